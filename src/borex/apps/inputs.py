"""What the user typed, as the library takes it."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from borex.errors import InputError
from borex.heatmaps import NAMES as HEATMAPS
from borex.media.load import Part, is_clip, read_given
from borex.media.read import read_map
from borex.models import NAMES, as_model, embedded, frame_mean

HEATMAP_NAMES = " or ".join([", ".join(HEATMAPS[:-1]), HEATMAPS[-1]])


def stated(model: str | None, output: str, mean: str | None, std: str | None) -> dict[str, Any]:
    """What was said of the model, as `as_model` takes it; raises InputError where that is no file of the user's."""
    said = {"output": output, "mean": _numbers("mean", mean), "std": _numbers("std", std)}
    given = {name: value for name, value in said.items() if value is not None and value != "auto"}
    if given and (model is None or model in NAMES):
        raise InputError(f"--{next(iter(given))} is of an ONNX file; give the file with --model, or leave it out")
    return given


def _numbers(name: str, text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--{name} is {text!r}; expected a number, or one a channel: 0.485,0.456,0.406") from None


def opened(model: str | None, path: Path, part: Part, of_model: dict[str, Any]) -> tuple[Any, Any]:
    """The model, and the picture or Clip that it is asked about; what is damaged in a file is said on stderr.
    `of_model`: what `stated` made of what was said of it."""
    box = embedded(3 if is_clip(path) else 2) if model is None else as_model(model, **of_model)
    if model == "frame-mean" and part.frames is not None:
        box = frame_mean(None, frames=part.frames)
    with said_on_stderr():
        return box, read_given(path, box.extent, part)


@contextmanager
def said_on_stderr() -> Iterator[None]:
    """A context in which warnings, such as of a damaged file, are lines for the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: print("borex:", message, file=sys.stderr)
        yield


def wanted_target(target: str | None, against: str | None) -> Any:
    """A class, a pair of classes, or None."""
    if against is None:
        return None if target is None else class_of(target)
    if target is None:
        raise InputError("--against was given without --target; say both: --target CLASS --against CLASS")
    return class_of(target), class_of(against)


def class_of(text: str) -> int | str:
    """The class that a text names: a number is an index."""
    try:
        return int(text)
    except ValueError:
        return text


def baseline_value(text: str | None) -> Any:
    """A baseline's name, a number, a tuple of these where there are commas, or None."""
    if text is not None and "," in text:
        return tuple(baseline_value(part.strip()) for part in text.split(","))
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def initial_map(text: str | None) -> Any:
    """None, the name of a heat map, or the array in a file."""
    if text is None or text in HEATMAPS:
        return text
    if not os.path.exists(text) and not Path(text).suffix:
        raise InputError(f"--initial is {text!r}, which is no file; expected a file, or {HEATMAP_NAMES}")
    return read_map(text)
