"""A black box from a PyTorch module, on the device it is on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from borex.blackbox import Model, Output, unwrap
from borex.errors import InputError, LayoutError, MissingExtraError
from borex.models.preprocessing import (
    axes_order,
    check_batch,
    checked_extent,
    checked_labels,
    checked_layout,
    checked_output,
    colours,
)
from borex.models.processors import clip_facts, preset_of

try:
    import torch
except ImportError as error:
    raise MissingExtraError("borex.models.torch", "torch", "torch") from error

UNKNOWN_CLIPS = (
    "got clips, {}; whether the module takes channels or frames first cannot be told. "
    'Say so: borex.models.torch.wrap(module, layout="NCTHW") or layout="NTCHW"'
)


@dataclass(frozen=True)
class WhiteBox:
    """A module and how it is fed: what the heat maps that look inside a model need.

    `feed`: from a batch `(n, *extent, channels)` to the tensor that the module takes, preprocessed, on its device.
    `layout`: of that tensor, such as "NCHW".
    """

    module: Any
    feed: Callable[[np.ndarray], Any]
    layout: str


def wrap(
    module: Any,
    *,
    mean: Any = None,
    std: Any = None,
    scale: float | None = None,
    preprocess: Any = None,
    layout: str = "auto",
    extent: Sequence[int] | None = None,
    device: Any = None,
    output: Output = "auto",
    labels: Sequence[str] | None = None,
    channels_last: bool = False,
) -> Model:
    """A `torch.nn.Module` as a Model, which takes media `(n, *extent, channels)` and moves it to the module's device.

    `mean`, `std`, `scale`: the module is fed `(media / scale - mean) / std`, in its own floating dtype; numbers, or one
    a channel, mean and std in units of `media / scale`. Where `scale` is not given it is 255 with a mean or std (media
    in 0..255 and torchvision's numbers); with neither, uint8 media is divided by 255 and float media is taken as it is.
    `preprocess`: a preset such as torchvision's `weights.transforms()`, or a processor of transformers, in place of
    mean, std, scale and (for images) extent. Media is brought to the crop size whole; nothing is cropped away.
    `layout`: how the module takes its input, one of NCHW, NHWC, NCTHW, NTCHW, NTHWC; "auto": of the clip classifiers of
    torchvision and PyTorchVideo NCTHW, of transformers' NTCHW, with the extent, labels and logits that their
    configuration states; of all others NCHW for images, and an error for clips.
    `extent`: what media is brought to, `(H, W)` or `(T, H, W)`; None: any.
    `device`: where the module must be; it is never moved. Only a module without parameters is fed on another device.
    `output`, `labels`: as in `borex.blackbox.Model`. The module may return a tensor, a tuple, a dict or `.logits`.
    `channels_last`: keep channels last in memory, as `torch.channels_last` does: often faster on a CPU, but modules
    that call `.view` on feature maps fail.

    While it is asked, the module is in eval mode and torch in inference mode; the training flag of each submodule is
    then what it was, whatever fails. Parameters, `requires_grad` and hooks are left alone.

    Raises InputError where an argument cannot be used; LayoutError where the layout is unknown.
    """
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"expected a torch.nn.Module; got {type(module).__name__}. A function needs no adapter")
    checked_output(output)
    if preprocess is not None:
        if mean is not None or std is not None:
            raise InputError("preprocess brings its own mean and std; give either them or preprocess")
        preset = preset_of(preprocess)
        mean, std, scale = preset.mean, preset.std, preset.scale if scale is None else scale
        if extent is None and layout in ("auto", "NCHW", "NHWC") and clip_facts(module) is None:
            extent = preset.crop
    facts = clip_facts(module) if layout == "auto" else None
    if facts is not None:
        layout, extent = facts.layout, facts.extent if extent is None else extent
        labels = facts.labels if labels is None else labels
        output = "logits" if output == "auto" and facts.gives_logits else output
    if layout == "auto" and isinstance(extent, (tuple, list)) and len(extent) == 3:
        raise LayoutError(UNKNOWN_CLIPS.format(f"extent {tuple(extent)}"))
    named = "NCHW" if layout == "auto" else checked_layout(layout)
    wanted = checked_extent(extent, named)
    preprocessing = colours(mean, std, scale)
    required = None if device is None else _device(device)
    _place(module, required)

    def feed(batch: np.ndarray) -> Any:
        batch = np.asarray(batch)
        if layout == "auto" and batch.ndim == 5:
            raise LayoutError(UNKNOWN_CLIPS.format(f"a batch of shape {batch.shape}"))
        check_batch(batch, named, None, None)
        factor, offset = preprocessing.line(batch)
        where = _place(module, required)
        # What crosses to a device is the media's own bytes where they are uint8, a quarter of the floats.
        contiguous = np.require(batch, None if batch.dtype == np.uint8 else np.float32, ["C", "W"])
        x = torch.from_numpy(contiguous).to(where).float()
        x = x * torch.from_numpy(factor).to(where) + torch.from_numpy(offset).to(where)
        x = x.permute(axes_order(named)).to(_dtype(module))
        return x if channels_last else x.contiguous()

    def scores(batch: np.ndarray) -> Any:
        with _asked(module):
            return unwrap(module(feed(batch)))

    return Model(
        scores,
        extent=wanted,
        labels=checked_labels(labels),
        mean=preprocessing.mean_colour,
        output=output,
        white_box=WhiteBox(module, feed, named),
    )


@contextmanager
def _asked(module: Any) -> Iterator[None]:
    """Eval mode and inference mode; afterwards every submodule's training flag is what it was."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        with torch.inference_mode():
            yield
    finally:
        for part, training in modes:
            part.training = training


def _device(device: Any) -> Any:
    try:
        return torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f'device is {device!r}; expected one that torch knows, such as "cpu" or "cuda:0"') from error


def _tensors(module: Any) -> Iterator[Any]:
    yield from module.parameters()
    yield from module.buffers()


def _place(module: Any, required: Any) -> Any:
    """The device to feed; raises InputError where the module is on another than `required`."""
    own = next((tensor.device for tensor in _tensors(module)), None)
    if own is None:
        return torch.device("cpu") if required is None else required
    if required is not None and (own.type != required.type or required.index not in (None, own.index)):
        raise InputError(
            f"device is {str(required)!r}, but the module is on {str(own)!r}. Move it, module.to({str(required)!r}), "
            "or leave device out"
        )
    return own


def _dtype(module: Any) -> Any:
    """The dtype of the first floating parameter or buffer; float32 where there is none."""
    return next((tensor.dtype for tensor in _tensors(module) if tensor.is_floating_point()), torch.float32)
