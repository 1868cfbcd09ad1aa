"""Black boxes of models that other packages run, and the embedded ones: `default` for images, `motionnet` for clips.

Each framework is imported in its own file alone, and only when one of its models comes.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
from pathlib import Path
from typing import Any

from borex.blackbox import Model
from borex.errors import InputError
from borex.models.clips import frame_mean, motionnet

__all__ = ["NAMES", "as_model", "default", "embedded", "frame_mean", "motionnet"]

NAMES = ("motionnet", "frame-mean")
DEFAULT = Path(__file__).parent / "efficientnet_lite0" / "model.onnx"

ACCEPTED = (
    "a function from a batch (n, *extent, channels) to scores (n, classes), the path of an .onnx file, "
    "an onnxruntime.InferenceSession, a torch.nn.Module, a borex.blackbox.Model, one of the names "
    f"{', '.join(map(repr, NAMES))}, or None for the embedded model"
)


def as_model(model: Any = None, **options: Any) -> Model:
    """Anything that BOREx can explain, as a Model.

    `model`: a Model, which stays as it is; a path that ends in ".onnx" or an onnxruntime session (`onnx.wrap`); a
    `torch.nn.Module` (`torch.wrap`); None, the embedded model (`default`); "motionnet" or "frame-mean", the embedded
    models of clips (`motionnet`, `frame_mean(None, frames=16)`); or any callable from a batch `(n, *extent, channels)`,
    in the media's own dtype and range, to scores `(n, classes)`.
    `options`: what the adapter takes, such as `output`, `labels`, `mean`, `std`, `layout`. For a callable and for a
    Model: the fields of Model (`extent`, `labels`, `mean`, `output`, `max_batch`). `output="auto"` changes nothing.

    Raises InputError where `model` is nothing of this, or an option does not exist or cannot be used; and what the
    adapter raises.
    """
    if options.get("output") == "auto":  # nothing was stated, so an adapter's knowledge stands
        del options["output"]
    if model is None:
        model = DEFAULT
    if isinstance(model, str) and model in NAMES:
        model = motionnet() if model == "motionnet" else frame_mean(None, frames=16)
    if isinstance(model, Model):
        return _called(dataclasses.replace, model, **options) if options else model
    if isinstance(model, (str, os.PathLike)):
        if Path(model).suffix.lower() != ".onnx":
            raise InputError(f"the model is the path {str(model)!r}; expected one that ends in .onnx, or {ACCEPTED}")
        from borex.models import onnx

        return _called(onnx.wrap, model, **options)
    if hasattr(model, "get_inputs") and hasattr(model, "run"):
        from borex.models import onnx

        return _called(onnx.wrap, model, **options)
    if isinstance(model, type):
        raise InputError(f"the model is the class {model.__name__} itself; expected an instance: {model.__name__}(...)")
    # Nobody who never imported torch has a module of it.
    nn = getattr(sys.modules.get("torch"), "nn", None)
    if nn is not None and isinstance(model, nn.Module):
        from borex.models import torch

        return _called(torch.wrap, model, **options)
    if callable(model):
        return _called(Model, model, **options)
    raise InputError(f"the model is {type(model).__name__}; expected {ACCEPTED}")


def default(*, threads: int | None = None) -> Model:
    """The embedded model: EfficientNet-Lite0, ImageNet-1k, for RGB images in 0..255, brought to 224 x 224.

    `threads`: CPU threads; None: all cores, or a GPU (`onnx.wrap`). Raises MissingExtraError without onnxruntime.
    """
    from borex.models import onnx

    return onnx.wrap(DEFAULT, threads=threads)


def embedded(axes: int) -> Model:
    """The embedded model for media with so many axes besides channels: of images 2, of clips 3."""
    return motionnet() if axes == 3 else default()


def _called(make: Any, *given: Any, **options: Any) -> Model:
    """`make(*given, **options)`, with an InputError that lists the options it takes where one does not exist."""
    fields = [f.name for f in dataclasses.fields(Model) if f.name != "scores"]
    known = fields if make in (Model, dataclasses.replace) else list(inspect.signature(make).parameters)[len(given) :]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise InputError(f"this model takes no option {unknown[0]!r}; it takes {', '.join(known)}")
    made: Model = make(*given, **options)
    return made
