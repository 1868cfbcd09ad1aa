"""What is said of a model, by its adapter or by whoever calls, checked once: extent, labels, output, largest batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, Literal

import numpy as np

from borex.errors import InputError

Output = Literal["auto", "probabilities", "logits"]
OUTPUTS = ("auto", "probabilities", "logits")
EXTENTS = {2: "(H, W)", 3: "(T, H, W)"}


def class_names(labels: Any) -> list[str] | None:
    """The name of every class, in order, from a sequence of texts or numbers, or from a dict by index; None stays None.
    Raises InputError for anything else, and where a dict's keys are not 0, 1, 2, ... in some order."""
    if labels is None:
        return None
    names = labels
    if isinstance(labels, Mapping):
        by_index = {str(index): name for index, name in labels.items()}  # the keys of a JSON file are text
        if {*by_index} != {*map(str, range(len(by_index)))}:
            raise InputError(
                f"labels is a dict with the keys {[*labels][:6]}; expected 0 to {len(labels) - 1}, the classes' indices"
            )
        names = [by_index[str(index)] for index in range(len(by_index))]
    is_ordered = isinstance(names, Iterable) and not isinstance(names, (str, bytes, Set))
    names = list(names) if is_ordered else [None]
    if not all(isinstance(name, (str, int, float, np.generic)) for name in names):
        raise InputError(f"labels is {labels!r:.80}; expected one text a class, in order")
    return list(map(str, names))


def checked_extent(extent: Any, axes: int | None = None) -> tuple[int, ...] | None:
    """`extent` as a tuple, one size above 0 for each of so many axes, `axes=None`: 2 or 3; None stays None. Raises
    InputError otherwise."""
    if extent is None:
        return None
    sizes = tuple(extent) if isinstance(extent, (tuple, list, np.ndarray)) else (extent,)
    if len(sizes) not in (EXTENTS if axes is None else (axes,)) or not all(map(_is_size, sizes)):
        expected = " or ".join(EXTENTS.values()) if axes is None else EXTENTS[axes]
        raise InputError(f"extent is {extent!r}; expected {expected}, for example {(16, 112, 112)[-(axes or 2) :]}")
    return tuple(map(int, sizes))


def checked_max_batch(max_batch: Any) -> int | None:
    """`max_batch` as an int; None stays None. Raises InputError where it is no whole number above 0."""
    if max_batch is None or _is_size(max_batch):
        return None if max_batch is None else int(max_batch)
    raise InputError(f"max_batch is {max_batch!r}; expected a whole number, at least 1, or None for any")


def checked_output(output: Any) -> None:
    """Raises InputError unless `output` is "auto", "probabilities" or "logits"."""
    if output not in OUTPUTS:
        raise InputError(f"output is {output!r}; expected one of {', '.join(map(repr, OUTPUTS))}")


def _is_size(value: Any) -> bool:
    from borex.settings import is_whole  # which needs what a model is

    return is_whole(value, 1)
