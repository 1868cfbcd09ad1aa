"""Heat maps as other libraries and files hold them, as arrays, without importing any library."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from borex.errors import InputError, TargetError
from borex.heatmaps.asked import Asked
from borex.layout import CHANNELS, checked_initial, numbers
from borex.targets import Target, TargetLike, find_target


def accepted(
    initial: Any,
    extent: tuple[int, ...],
    *,
    channels: int = 3,
    target: TargetLike | Target = None,
    labels: Sequence[str] | None = None,
) -> np.ndarray:
    """A heat map `(*any_extent,)`, float64, signed as it came, from whatever holds one for media of this `extent`.

    Arrays and tensors: of `(H, W)` or `(T, H, W)`, with axes of size 1 in front (a batch of one), and with an axis of
    1, 3, 4 or `channels` channels first, last or, of clips, second: their *sum* is taken, signs kept, which for an
    attribution of every input value is that of the pixel. `(classes, H, W)` with any other number (xaitk-saliency): the
    class of `target`. Files: `.npy`, `.npz`, a greyscale picture. Objects: `shap.Explanation`; `ImageExplanation` of
    lime; a list or tuple of one map (torchcam, Captum); zennit's (output, relevance); `borex.Explanation`; `Asked`.

    Where an object has a map for each of several classes, `target` (index, label or pair) says which; for None it is
    the one class it has, or lime's first. Raises InputError where the map or the class cannot be told.
    """
    values = _array(_inside(initial, target, labels))
    if values.dtype == np.uint8 and values.ndim == len(extent) + 1 and _is_in_colour(values):
        raise InputError(
            f"the initial map is a picture in colour, {values.shape}; expected a heat map, {len(extent)} axes of "
            "values. They cannot be told from colours: give the map that was drawn"
        )
    while values.ndim > len(extent) and values.shape[0] == 1:
        values = values[0]
    if values.ndim == len(extent) + 1:
        values = _without_channels(values, extent, channels, target, labels)
    elif values.ndim == len(extent) + 2 and _has_classes_last(values, extent, channels):
        raise InputError(
            f"the initial map has shape {values.shape}, with channels, and with {values.shape[-1]} classes behind; "
            "expected that of one class: initial[..., 7]"
        )
    elif values.ndim == len(extent) + 2:
        raise InputError(
            f"the initial map has shape {values.shape}, a batch of {len(values)} maps; expected one, for one input at "
            "a time: initial[0]"
        )
    return checked_initial(values, extent)


def _is_in_colour(values: np.ndarray) -> bool:
    """Whether bytes with three or four channels, first or last, differ between the first three."""
    for axis in (-1, 0):
        if values.shape[axis] in (3, 4):
            colours = np.moveaxis(values, axis, -1)[..., :3]
            return bool((colours != colours[..., :1]).any())
    return False


def _has_classes_last(values: np.ndarray, extent: tuple[int, ...], channels: int) -> bool:
    """Whether an array with two axes more than the extent has classes behind, and channels before them or in front."""
    sizes = {*CHANNELS, channels}
    is_in_front = len(values) in sizes and values.shape[-1] not in sizes  # else a batch, channels last
    return values.shape[: len(extent)] == extent or (values.shape[1:-1] == extent and is_in_front)


def looks_like_file(text: str) -> bool:
    """Whether a text is meant as a path rather than as a name."""
    return bool(Path(text).suffix) or Path(text).exists()


def _array(given: Any) -> np.ndarray:
    return numbers(given, "the initial map")[0]


def _inside(given: Any, target: Any, labels: Sequence[str] | None) -> Any:
    """The array or tensor in a file, in another library's object, or in a list or tuple of one."""
    if isinstance(given, Asked):
        return given.heat_map
    if isinstance(given, os.PathLike) or (isinstance(given, str) and looks_like_file(given)):
        from borex.media.read import read_map

        return read_map(given)
    if hasattr(given, "saliency") and hasattr(given, "trust"):
        return given.saliency
    if hasattr(given, "local_exp") and hasattr(given, "segments"):
        return _lime(given, target, labels)
    if hasattr(given, "base_values") and hasattr(given, "output_names"):
        return _shap(given, target, labels)
    if isinstance(given, (list, tuple)) and given and all(hasattr(one, "shape") for one in given):
        if len(given) == 2 and len(given[0].shape) == 2 and len(given[0]) == 1 and len(given[1].shape) > 3:
            return given[1]  # zennit's attributors return what the model answered as well
        if len(given) != 1:
            raise InputError(
                f"the initial map is a {type(given).__name__} of {len(given)} maps, one for each layer or input; "
                "expected one. Take one of them, initial[0], or their mean"
            )
        return given[0]
    return given


def _lime(given: Any, target: Any, labels: Sequence[str] | None) -> np.ndarray:
    """The weights in an ImageExplanation, spread over its segments."""
    segments = np.asarray(given.segments)

    def of(label: int) -> np.ndarray:
        weights = np.zeros(int(segments.max()) + 1)
        for segment, weight in given.local_exp[label]:
            weights[segment] = weight
        return weights[segments]

    top = getattr(given, "top_labels", None) or list(given.local_exp)
    known = {int(label): of for label in given.local_exp}
    return _of_target(known, target, labels, "lime's explanation", int(top[0]) if len(top) else None)


def _shap(given: Any, target: Any, labels: Sequence[str] | None) -> np.ndarray:
    """The values in a shap.Explanation, of the output that is the target's class."""
    values, data = np.asarray(given.values), given.data
    n_axes = values.ndim if data is None else np.ndim(data)
    names = given.output_names
    names = names[0] if names is not None and len(names) == 1 and np.ndim(names[0]) == 1 else names
    if values.ndim <= n_axes or values.shape[-1] == 1:
        if isinstance(names, str) or (names is not None and len(names) == 1):
            _check_name(names if isinstance(names, str) else str(names[0]), target, labels)
        return values if values.ndim <= n_axes else values[..., 0]
    n = values.shape[-1]
    numbered = getattr(given, "output_indexes", None)
    is_invented = names is not None and list(map(str, names)) == [f"Output {i}" for i in range(n)]
    if numbered is not None:
        keys: list[Any] = [int(i) for i in np.ravel(numbered)]
    elif is_invented and (labels is None or n != max(2, len(labels))):
        raise InputError(
            f"shap's explanation names its {n} outputs {names[0]!r} to {names[-1]!r}, as shap does where it knows no "
            "names, in whatever order it was asked for them; which classes they are cannot be told. Take one of them, "
            "sv[..., k], or give shap the names: shap.Explainer(..., output_names=labels)"
        )
    elif names is None or is_invented:
        keys = list(range(n))
    elif all(isinstance(name, (int, np.integer)) for name in names):
        keys = [int(name) for name in names]
    else:
        keys = [_index(str(name), labels or list(map(str, names))) for name in names]
        labels = labels or list(map(str, names))
    known = {key: lambda _, at=at: values[..., at] for at, key in enumerate(keys)}
    return _of_target(known, target, labels, "shap's explanation", None)


def _check_name(name: str, target: Any, labels: Sequence[str] | None) -> None:
    """Raises TargetError where the one map that there is has the name of another class than the target. A name that is
    no label, as shap invents them, says nothing."""
    if labels is None or target is None or callable(target):
        return
    found = target if isinstance(target, Target) else _found(target, labels)
    parts = name.split(" against ")
    try:
        named = _found(tuple(parts) if len(parts) == 2 else name, labels)
    except TargetError:
        return
    if found.function is None and (named.index, named.against) != (found.index, found.against):
        raise TargetError(
            f"shap's explanation is of {name!r}, and what is explained {found.label!r}; expected the map of the same. "
            "Say target=, or ask shap for that output"
        )


def _without_channels(
    values: np.ndarray, extent: tuple[int, ...], channels: int, target: Any, labels: Sequence[str] | None
) -> np.ndarray:
    """The sum over the channels of an array with one axis more than the extent, or the target's map of a stack."""
    sizes = {*CHANNELS, channels}
    places = [0, values.ndim - 1] if len(extent) == 2 else [0, 1, values.ndim - 1]
    fitting = [axis for axis in places if values.shape[axis] in sizes]
    if len(fitting) > 1:  # the map has the media's own extent in one reading alone, or is drawn out of proportion
        rest = {axis: tuple(np.delete(values.shape, axis)) for axis in fitting}
        fitting = [axis for axis in fitting if rest[axis] == extent] or fitting
    if len(fitting) == 1 and not (fitting[0] == 0 and _is_stack(values, channels, labels)):
        return np.asarray(values.sum(axis=fitting[0]))
    if fitting:
        raise InputError(
            f"the initial map has shape {values.shape}; which axis is channels (or classes) cannot be told. Take it "
            "out: initial.sum(axis=...) for channels, initial[target] for classes"
        )
    if values.shape[:-1] == extent != values.shape[1:]:
        raise InputError(
            f"the initial map has shape {values.shape}, with {values.shape[-1]} classes or channels behind; expected "
            "one map: initial[..., 7] for classes, initial.sum(axis=-1) for channels"
        )
    if len(extent) == 2 and target is not None:
        if labels is not None and len(values) != max(2, len(labels)):
            raise InputError(
                f"the initial map has shape {values.shape}, {len(values)} maps, but the model has "
                f"{max(2, len(labels))} classes; expected one map, or one for each class. Of the maps of several "
                "inputs, take this one's: initial[0]"
            )
        known = dict.fromkeys(range(len(values)), values.__getitem__)
        return _of_target(known, target, labels, f"a stack of {len(values)} maps", None)
    few = ", ".join(map(str, sorted(sizes)))
    raise InputError(
        f"the initial map has shape {values.shape}, {values.ndim} axes; the media has extent {extent}, so expected "
        f"{len(extent)} axes, of any size, and besides them a batch of one and {few} channels. Of a stack of maps, one "
        "for each class, say which: target=, or give initial[class]"
    )


def _is_stack(values: np.ndarray, channels: int, labels: Sequence[str] | None) -> bool:
    """Whether the first axis may as well be the model's classes."""
    return labels is not None and len(labels) == len(values) and len(values) != 1


def _of_target(known: dict[int, Any], target: Any, labels: Sequence[str] | None, what: str, usual: int | None) -> Any:
    """The map of the target's class, or the difference of a pair's, from functions of the class by index."""
    if target is None and len(known) == 1:
        usual = next(iter(known))
    if callable(target) or (target is None and usual is None):
        raise InputError(
            f"{what} has a map for each of {len(known)} classes; say which: target=, a class or a pair of classes"
        )
    found = target if isinstance(target, Target) else Target(usual, "") if target is None else _found(target, labels)
    wanted = [index for index in (found.index, found.against) if index is not None]
    missing = [index for index in wanted if index not in known]
    if missing:
        few = ", ".join(map(str, list(known)[:6]))
        raise TargetError(f"{what} has no map of class {missing[0]}; it has those of {few}")
    maps = [known[index](index) for index in wanted]
    return maps[0] - maps[1] if len(maps) == 2 else maps[0]


def _found(target: Any, labels: Sequence[str] | None) -> Target:
    n = len(labels) if labels is not None else 2**17
    return find_target(target, np.zeros((1, max(2, n))), labels, "logits")


def _index(name: str, labels: Sequence[str]) -> int:
    found = _found(name, labels).index
    assert found is not None
    return found
