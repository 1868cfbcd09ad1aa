"""A black box from an ONNX file, run by onnxruntime."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from borex.blackbox import Device, Model, Output
from borex.errors import FileError, InputError, LayoutError, MissingExtraError
from borex.layout import CHANNELS
from borex.masks import masked, ones_where_kept
from borex.models.preprocessing import (
    LAYOUTS,
    Colours,
    axes_order,
    check_batch,
    checked_labels,
    checked_layout,
    colours,
    feeder,
)
from borex.stated import checked_extent, checked_output

TYPES: dict[str, type[np.generic]] = {
    "tensor(uint8)": np.uint8,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
SCORES = ("tensor(float)", "tensor(float16)", "tensor(bfloat16)", "tensor(double)")


def wrap(
    path_or_session: Any,
    *,
    mean: Any = None,
    std: Any = None,
    scale: float | None = None,
    layout: str = "auto",
    extent: Sequence[int] | None = None,
    output: Output = "auto",
    output_name: str | None = None,
    labels: Sequence[str] | Mapping[Any, str] | None = None,
    threads: int | None = None,
) -> Model:
    """The classifier in an ONNX file as a Model, which takes media `(n, *extent, channels)`.

    `path_or_session`: a file, or an `onnxruntime.InferenceSession` of your own, which stays as it is.
    `mean`, `std`, `scale`: the graph is fed `(media / scale - mean) / std`; numbers, or one a channel, mean and std in
    units of `media / scale`. Where `scale` is not given it is 255 with a mean or std; with neither, uint8 media is
    divided by 255 and float media is taken as it is. A graph that takes uint8 holds its own preprocessing: media in
    0..255 is fed as it is, floats rounded and clipped (`scale=1 / 255` for media in [0, 1]).
    `layout`: how the graph takes its input, one of NCHW, NHWC, NCTHW, NTCHW, NTHWC; "auto": read from its shape.
    `extent`: what media is brought to where the graph leaves it open; a graph with a fixed extent says so itself.
    `output_name`: which of the graph's outputs are the scores `(n, classes)`; None: the first.
    `threads`: CPU threads for a file, which then runs there; None: an NVIDIA GPU where this onnxruntime has its CUDA
    provider, else all cores.

    A graph with a fixed batch is fed that many at a time. A file may describe itself, in its `metadata_props`, by JSON:
    "borex.labels", a list of class names; "borex.output", "probabilities" or "logits"; "borex.mean", the colour that
    the graph subtracts itself, in its input's range, which also says that media is fed as it is. Arguments win.

    Raises FileError where there is no file, or no ONNX graph in it; LayoutError where the axes cannot be told;
    InputError where an argument does not fit the graph; MissingExtraError without onnxruntime.
    """
    checked_output(output)
    stated = colours(mean, std, scale)
    session = _session(path_or_session, threads)
    given = session.get_inputs()
    if len(given) != 1:
        names = ", ".join(repr(one.name) for one in given)
        raise InputError(
            f"the ONNX graph has {len(given)} inputs ({names}); expected one. Wrap it in a function of one"
        )
    dtype = TYPES.get(given[0].type)
    if dtype is None:
        raise InputError(f"the ONNX graph takes {given[0].type}; expected one of {', '.join(TYPES)}")
    shape = [size if isinstance(size, int) and size > 0 else None for size in given[0].shape]
    layout = _found(shape) if layout == "auto" else checked_layout(layout, len(shape) or None)
    sizes = dict(zip(layout, shape or [None] * len(layout), strict=True))
    fixed = tuple(sizes[axis] for axis in layout if axis not in "NC")
    wanted = _extent(checked_extent(extent, len(layout) - 2), fixed)
    scores_name, classes = _scores(session.get_outputs(), output_name)
    described = _described(session)
    if labels is None:
        labels = described.get("borex.labels")
    preprocessing, mean_colour = _preprocessing(stated, dtype, described.get("borex.mean"))
    feed = feeder(preprocessing, dtype, axes_order(layout))

    def fed(batch: np.ndarray) -> np.ndarray:
        batch = np.asarray(batch)
        check_batch(batch, layout, sizes["C"], fixed)
        return feed(batch)

    scores = Scores(session, given[0].name, scores_name, fed, layout.index("C"), sizes["N"])
    return Model(
        scores,
        extent=wanted,
        labels=checked_labels(labels, classes),
        mean=mean_colour,
        output=described.get("borex.output", "auto") if output == "auto" else output,
        max_batch=sizes["N"],
        check_media=preprocessing.check,
    )


class Scores(Device):
    """The scores of an ONNX graph; a `borex.blackbox.Device`, which composes copies in the graph's own layout and dtype
    of media that was preprocessed once."""

    def __init__(
        self, session: Any, input_name: str, output_name: str, feed: Any, channel_axis: int, at_once: int | None
    ) -> None:
        """`feed`: from a batch to what the graph takes. `at_once`: the graph's fixed batch; None: any."""
        self._session, self._input, self._output = session, input_name, output_name
        self._feed, self._channel_axis, self._at_once = feed, channel_axis, at_once

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        return self.run([self._feed(batch)])

    def load(self, media: np.ndarray, baselines: np.ndarray) -> Callable[..., np.ndarray]:
        # One batch, so that what is found out about its range is the same for all.
        fed = self._feed(np.concatenate([media[None], baselines]))
        bits = fed.view(f"u{fed.dtype.itemsize}")
        whole, hiding = np.split(self._by_channel(bits), [1])
        differing = whole ^ hiding

        def compose(masks: Any, fills: np.ndarray | None = None) -> np.ndarray:
            which = np.zeros(len(masks), dtype=int) if fills is None else fills
            if masks.dtype != bool:
                return np.asarray(self._feed(masked(media, baselines[which], masks)))
            # Kept values become all ones, then baseline ^ ((media ^ baseline) & ones): exact, and faster than a choice.
            copies = np.empty((len(masks), *bits.shape[1:]), bits.dtype)
            rows = ones_where_kept(masks, bits.dtype, whole.shape[-1])
            for copy, ones, fill in zip(self._by_channel(copies), rows, which, strict=True):
                for channel, apart, hidden in zip(copy, differing[fill], hiding[fill], strict=True):
                    np.bitwise_and(apart, ones, out=channel)
                    channel ^= hidden
            return np.asarray(copies.view(fed.dtype))

        return compose

    def _by_channel(self, batch: np.ndarray) -> np.ndarray:
        """A view `(n, channels, *extent)`; channels that lie last are one with the last axis, which no loop can beat:
        `(n, 1, *extent[:-1], extent[-1] channels)`."""
        if self._channel_axis == batch.ndim - 1:
            return batch.reshape(len(batch), 1, *batch.shape[1:-2], -1)
        return np.moveaxis(batch, self._channel_axis, 1)

    def run(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        fed = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if not self._at_once:
            return self._asked(fed)
        answers = []
        for start in range(0, len(fed), self._at_once):
            part = fed[start : start + self._at_once]
            filled = np.concatenate([part, np.repeat(part[-1:], self._at_once - len(part), axis=0)])
            answers.append(self._asked(filled)[: len(part)])
        return np.concatenate(answers)

    def _asked(self, fed: np.ndarray) -> np.ndarray:
        return np.asarray(self._session.run([self._output], {self._input: fed})[0])


def _session(path_or_session: Any, threads: int | None) -> Any:
    """An onnxruntime session: the one that was given, or that of a file."""
    if hasattr(path_or_session, "get_inputs") and hasattr(path_or_session, "run"):
        if threads is not None:
            raise InputError("threads is for a file; a session has its own: set intra_op_num_threads in its options")
        return path_or_session
    if not isinstance(path_or_session, (str, os.PathLike)):
        raise InputError(
            "expected the path of an .onnx file or an onnxruntime.InferenceSession; "
            f"got {type(path_or_session).__name__}"
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("running an ONNX model", "onnxruntime", "onnx") from error
    path = Path(path_or_session)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not there"
        raise FileError(f"the ONNX file {str(path)!r} is {what}; expected the path of an .onnx file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # its warnings go to the process's stderr, past Python
    if threads is not None:
        if threads < 1:
            raise InputError(f"threads is {threads}; expected at least 1, or None for all cores")
        options.intra_op_num_threads = threads
    # The fastest convolution is guessed, not searched for: a search for every new batch size takes longer than the run.
    cuda = ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"})
    has_gpu = threads is None and cuda[0] in onnxruntime.get_available_providers()
    providers = [cuda, "CPUExecutionProvider"] if has_gpu else ["CPUExecutionProvider"]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise FileError(
            f"{str(path)!r} cannot be loaded as an ONNX model: {reason}. Check that it was copied whole (with its "
            ".data file, if it has one) and that onnxruntime is new enough for it"
        ) from error


def _found(shape: list[int | None]) -> str:
    """The one layout whose channel axis has 1, 3 or 4 channels; raises LayoutError where none or several have."""
    fitting = [name for name in LAYOUTS if len(name) == len(shape)]
    spelled = "(" + ", ".join("?" if size is None else str(size) for size in shape) + ")"
    if not fitting:
        raise LayoutError(
            f"the ONNX graph's input has shape {spelled}, {len(shape)} axes; expected 4 for images or 5 for clips"
            + ("" if shape else ". If you know it, state it, for example layout='NCHW'")
        )
    found = [name for name in fitting if shape[name.index("C")] in CHANNELS]
    if len(found) != 1:
        why = "more than one axis could be" if found else "no axis with 1, 3 or 4 is"
        raise LayoutError(
            f"the ONNX graph's input has shape {spelled}, in which {why} the channels. "
            f"State it: wrap(..., layout=...), one of {', '.join(found or fitting)}"
        )
    return found[0]


def _extent(wanted: tuple[int, ...] | None, fixed: tuple[int | None, ...]) -> tuple[int, ...] | None:
    """The extent to bring media to: the graph's where it is fixed, else what was asked for."""
    if wanted is None:
        sizes = tuple(size for size in fixed if size is not None)
        return sizes if len(sizes) == len(fixed) else None
    if any(size not in (None, want) for want, size in zip(wanted, fixed, strict=True)):
        raise InputError(
            f"extent is {wanted}, but the ONNX graph takes {tuple(s or 'any' for s in fixed)}; leave it out"
        )
    return wanted


def _scores(outputs: Sequence[Any], name: str | None) -> tuple[str, int | None]:
    """The name of the output with the class scores, and the number of classes where the graph tells it."""
    listed = ", ".join(f"{one.name!r} {one.type} {one.shape}" for one in outputs)
    found = [one for one in outputs if name in (None, one.name)]
    if not found:
        raise InputError(f"output_name is {name!r}, which the ONNX graph has not; it has {listed}")
    chosen = found[0]
    if chosen.type not in SCORES or (chosen.shape and len(chosen.shape) != 2):
        raise InputError(
            f"the ONNX graph's output {chosen.name!r} is {chosen.type} of shape {chosen.shape}; expected scores, "
            f"floats (n, classes). Name the output that has them: wrap(..., output_name=...), one of {listed}"
        )
    classes = chosen.shape[1] if chosen.shape else None
    return str(chosen.name), classes if isinstance(classes, int) else None


def _described(session: Any) -> dict[str, Any]:
    """What a file says of itself under "borex.…" in its metadata."""
    described: dict[str, Any] = {}
    for key, text in session.get_modelmeta().custom_metadata_map.items():
        if key in ("borex.labels", "borex.mean", "borex.output"):
            try:
                described[key] = json.loads(text)
            except json.JSONDecodeError as error:
                raise FileError(f"the ONNX file's metadata {key!r} is {text!r:.80}; expected JSON ({error})") from error
    checked_output(described.get("borex.output", "auto"))
    return described


def _preprocessing(stated: Colours, dtype: type[np.generic], inside: Any) -> tuple[Colours, np.ndarray | None]:
    """What to do with media of a caller who stated `stated`, and its mean colour; `inside`: the file's "borex.mean"."""
    has_colours = stated.mean is not None or stated.std is not None
    if dtype is np.uint8 and has_colours:
        raise InputError(
            "the ONNX graph takes uint8, so its preprocessing is inside; leave out mean and std "
            "(scale may say what brings the media to 0..255)"
        )
    if has_colours or (inside is None and dtype is not np.uint8):
        return stated, stated.mean_colour
    is_assumed = stated.scale is None
    preprocessing = Colours(None, None, 1.0 if stated.scale is None else stated.scale, is_assumed)
    mean = colours(inside, None, None).mean
    return preprocessing, None if mean is None or preprocessing.scale is None else mean * preprocessing.scale
