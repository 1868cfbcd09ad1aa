"""What other packages' objects say of how a model is to be fed: presets of torchvision, processors and configurations
of transformers, and which axes the clip classifiers of both take. Nothing is imported: attributes are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from borex.errors import InputError


@dataclass(frozen=True)
class Preset:
    """The model takes `(media / scale - mean) / std`; `scale=None`: as the adapter does. `crop`: `(H, W)`, or None."""

    mean: Any
    std: Any
    scale: float | None
    crop: list[int] | None


@dataclass(frozen=True)
class Facts:
    """Of a classifier: the `layout` it takes; the `extent`, the `labels` and that its scores are logits, where it
    says so."""

    layout: str
    extent: tuple[int, ...] | None = None
    labels: list[str] | None = None
    gives_logits: bool = False


def preset_of(preprocess: Any) -> Preset:
    """From torchvision's `weights.transforms()` or a transformers processor such as `VideoMAEImageProcessor`.

    Raises InputError for what is neither, and for a processor that does not bring colours to the range of its mean.
    """
    if hasattr(preprocess, "image_mean") and hasattr(preprocess, "image_std"):
        return _of_processor(preprocess)
    if not hasattr(preprocess, "mean") or not hasattr(preprocess, "std"):
        raise InputError(
            f"preprocess is {type(preprocess).__name__}; expected a preset with .mean and .std, such as torchvision's "
            "weights.transforms(), or a processor with .image_mean and .image_std, such as transformers' "
            "VideoMAEImageProcessor. For any other, give mean, std and scale, or a function of your own in place of "
            "the module: lambda batch: module(prepare(batch))"
        )
    return Preset(preprocess.mean, preprocess.std, None, _sides(getattr(preprocess, "crop_size", None)))


def _of_processor(processor: Any) -> Preset:
    if getattr(processor, "do_flip_channel_order", False):
        raise InputError(
            f"{type(processor).__name__} turns RGB into BGR (do_flip_channel_order), which a preset cannot say; wrap a "
            "function in place of the module, lambda x: module(x.flip(1)), and set the processor's flag to False"
        )
    factor = float(processor.rescale_factor) if getattr(processor, "do_rescale", True) else 1.0
    # ViViT's takes 1 from what it has rescaled to [0, 2], and then mean and std.
    taken = getattr(processor, "offset", False) or getattr(processor, "rescale_offset", False)
    offset = 1.0 if taken and getattr(processor, "do_rescale", True) else 0.0
    mean, std = np.asarray(0.0), np.asarray(1.0)
    subtracts = offset != 0 or getattr(processor, "do_normalize", True)
    if getattr(processor, "do_normalize", True):
        mean, std = np.asarray(processor.image_mean, float), np.asarray(processor.image_std, float)
    if getattr(processor, "include_top", False):  # EfficientNet's: divided by std once more
        std = std * np.asarray(processor.image_std, float)
    size = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    # 255 is what an adapter takes for granted, and then it checks the media's range.
    scale = None if abs(1 / factor - 255) < 1e-6 else 1 / factor
    # std alone keeps the scale that goes without saying.
    return Preset(mean + offset if subtracts else None, std, scale, _sides(size or getattr(processor, "size", None)))


def _sides(size: Any) -> list[int] | None:
    """`[H, W]` from a number, a pair, or transformers' dictionaries; None where neither side is fixed."""
    if size is None:
        return None
    if isinstance(size, (int, np.integer)):
        return [int(size)] * 2
    if isinstance(size, (tuple, list)):
        return [int(one) for one in (size * 2 if len(size) == 1 else size)]
    sides = dict(size) if hasattr(size, "keys") else vars(size)
    if sides.get("height") and sides.get("width"):
        return [int(sides["height"]), int(sides["width"])]
    return [int(sides["shortest_edge"])] * 2 if sides.get("shortest_edge") else None


def facts_of(module: Any) -> Facts | None:
    """What a classifier of transformers (of clips: frames first), or a clip classifier of torchvision or PyTorchVideo
    (channels first), says of itself; None for any other module."""
    config = getattr(module, "config", None)
    frames, side = getattr(config, "num_frames", None), getattr(config, "image_size", None)
    if side is None:  # a model of pictures and words has a part for each
        side = getattr(getattr(config, "vision_config", None), "image_size", None)
    if getattr(module, "main_input_name", None) == "pixel_values":
        gives_logits = hasattr(module, "classifier") or "ForImageClassification" in type(module).__name__
        if isinstance(frames, int) and side is not None:
            return Facts("NTCHW", (frames, *(_sides(side) or [])), _named(config), gives_logits)
        if frames is None and gives_logits:
            sides = _sides(side)
            return Facts("NCHW", None if sides is None else tuple(sides), _named(config), gives_logits)
    package = type(module).__module__
    if package.startswith(("torchvision.models.video", "pytorchvideo.models")):
        return Facts("NCTHW")
    return None


def _named(config: Any) -> list[str] | None:
    """The names of the classes in order; None where they are only numbered."""
    names: dict[int, str] = getattr(config, "id2label", None) or {}
    labels = [str(names.get(i, "")) for i in range(len(names))]
    numbered: Sequence[str] = [f"LABEL_{i}" for i in range(len(names))]
    return labels if labels and all(labels) and labels != list(numbered) else None
