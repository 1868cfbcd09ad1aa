"""The models of a benchmark by name, on one thread: the processes are the parallelism."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from borex.blackbox import Model
from borex.errors import InputError
from borex.evaluation.benchmark.config import ModelSpec
from borex.evaluation.benchmark.modules import find_function
from borex.models import as_model, default, frame_mean, motionnet

EMBEDDED = {"lite0": default, "motionnet": motionnet}


def make_model(spec: ModelSpec, folder: Path) -> Model:
    """The Model that a benchmark names: "lite0" or "motionnet", the embedded ones; "frame-mean", the embedded
    EfficientNet-Lite0 averaged over `frames` frames; the path of an .onnx file, relative to `folder`; or
    "module:function", which returns anything that `borex.refine` takes as a model.

    Raises InputError where there is no such model or it does not take the options.
    """
    check_model(spec)
    try:
        if spec.make in EMBEDDED:
            return EMBEDDED[spec.make](threads=1, **spec.options)
        if spec.make == "frame-mean":
            return frame_mean(default(threads=1), **spec.options)
        if spec.make.endswith(".onnx"):
            return as_model(folder / spec.make, **{"threads": 1, **spec.options})
        made: Any = find_function(spec.make, folder)(**spec.options)
        return as_model(made)
    except TypeError as error:
        raise InputError(f"the model {spec.name!r} does not take these options: {error}") from error


def check_model(spec: ModelSpec) -> None:
    """Raises InputError for a name that says of no model where it is."""
    if not (spec.make in EMBEDDED or spec.make == "frame-mean" or spec.make.endswith(".onnx") or ":" in spec.make):
        known = ", ".join(EMBEDDED)
        raise InputError(
            f"the model is {spec.make!r}; expected {known}, frame-mean, an .onnx file or 'module:function'"
        )
