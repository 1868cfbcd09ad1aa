"""A black box from a PyTorch module, on the device it is on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from borex.blackbox import Device, Model, Output
from borex.errors import InputError, LayoutError, MissingExtraError
from borex.masks import cell_of_pixel, masked
from borex.models.preprocessing import (
    axes_order,
    check_batch,
    checked_layout,
    colours,
)
from borex.models.processors import facts_of, preset_of
from borex.scores import unwrap
from borex.stated import checked_extent, checked_output

try:
    import torch
except ImportError as error:
    raise MissingExtraError("borex.models.torch", "torch", "torch") from error

PRECISIONS = ("fp32", "tf32", "bf16")
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
    labels: Sequence[str] | Mapping[Any, str] | None = None,
    channels_last: bool = False,
    precision: str | None = None,
) -> Model:
    """A `torch.nn.Module` as a Model, which takes media `(n, *extent, channels)` and moves it to the module's device.

    `mean`, `std`, `scale`: the module is fed `(media / scale - mean) / std`, in its own floating dtype; numbers, or one
    a channel, mean and std in units of `media / scale`. Where `scale` is not given it is 255 with a mean or std (media
    in 0..255 and torchvision's numbers); with neither, uint8 media is divided by 255 and float media is taken as it is.
    `preprocess`: a preset such as torchvision's `weights.transforms()`, or a processor of transformers, in place of
    mean, std, scale and (for images) extent. Media is brought to the crop size whole; nothing is cropped away.
    `layout`: how the module takes its input, one of NCHW, NHWC, NCTHW, NTCHW, NTHWC; "auto": of the clip classifiers of
    torchvision and PyTorchVideo NCTHW, of transformers' NTCHW; of all others NCHW for images, and an error for
    clips. Of transformers' classifiers also the extent, labels and logits that their configuration states.
    `extent`: what media is brought to, `(H, W)` or `(T, H, W)`; None: any.
    `device`: where the module must be; it is never moved. Only a module without parameters is fed on another device.
    `output`, `labels`: as in `borex.blackbox.Model`. The module may return a tensor, a tuple, a dict or `.logits`.
    `channels_last`: keep channels last in memory, as `torch.channels_last` does: often faster on a CPU, but modules
    that call `.view` on feature maps fail.
    `precision`: "fp32", "tf32" (matrices and convolutions rounded to 10 bits on NVIDIA GPUs that can) or "bf16"
    (autocast); None: as torch is set. What it changes in torch is changed back after every call.

    While it is asked, the module is in eval mode and no gradients are taken; the training flag of each submodule is
    then what it was, whatever fails. Parameters, `requires_grad` and hooks are left alone. Several threads may ask a
    module that is in eval mode before.

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
        own = facts_of(module)
        if extent is None and layout in ("auto", "NCHW", "NHWC") and (own is None or own.layout == "NCHW"):
            extent = preset.crop
    facts = facts_of(module) if layout == "auto" else None
    if facts is not None:
        layout, extent = facts.layout, facts.extent if extent is None else extent
        labels = facts.labels if labels is None else labels
        output = "logits" if output == "auto" and facts.gives_logits else output
    if layout == "auto" and isinstance(extent, (tuple, list)) and len(extent) == 3:
        raise LayoutError(UNKNOWN_CLIPS.format(f"extent {tuple(extent)}"))
    named = "NCHW" if layout == "auto" else checked_layout(layout)
    wanted = checked_extent(extent, len(named) - 2)
    preprocessing = colours(mean, std, scale)
    if precision not in (None, *PRECISIONS):
        raise InputError(f"precision is {precision!r}; expected one of {', '.join(map(repr, PRECISIONS))}, or None")
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

    return Model(
        Scores(module, feed, named.index("C"), channels_last, precision),
        extent=wanted,
        labels=labels,
        mean=preprocessing.mean_colour,
        output=output,
        white_box=WhiteBox(module, feed, named),
        check_media=preprocessing.check,
    )


class Scores(Device):
    """The scores of a module; a `borex.blackbox.Device`, which composes copies on the module's device, of media that
    was brought there and preprocessed once: only cells (or pixels) that are kept, as bool, cross to it in a round."""

    def __init__(self, module: Any, feed: Any, channel_axis: int, channels_last: bool, precision: str | None) -> None:
        """`feed`: from a batch `(n, *extent, channels)` to the tensor that the module takes."""
        self._module, self._feed, self._channel_axis = module, feed, channel_axis
        self._channels_last, self._precision = channels_last, precision

    def __call__(self, batch: np.ndarray) -> Any:
        return self.run([self._feed(batch)])

    def load(self, media: np.ndarray, baselines: np.ndarray) -> Callable[..., Any]:
        # One batch, so that what is found out about its range is the same for all.
        fed = self._feed(np.concatenate([media[None], baselines]))
        at: dict[tuple[int, int], Any] = {}  # for each axis the cell of each pixel, on the device

        def kept_on_device(masks: Any) -> Any:
            if not hasattr(masks, "kept"):
                return torch.from_numpy(np.ascontiguousarray(masks)).to(fed.device)
            kept = torch.from_numpy(np.ascontiguousarray(masks.kept)).to(fed.device)
            for axis, size in enumerate(masks.extent):
                key = axis, kept.shape[axis + 1]
                if key not in at:
                    at[key] = torch.from_numpy(cell_of_pixel(size, key[1])).to(fed.device)
                kept = kept.index_select(axis + 1, at[key])
            return kept

        def compose(masks: Any, fills: np.ndarray | None = None) -> Any:
            which = np.zeros(1, dtype=int) if fills is None else fills
            if masks.dtype != bool:
                return self._feed(masked(media, baselines[which], masks))
            hiding = fed[1:2] if fills is None else fed[1:][torch.from_numpy(which).to(fed.device)]
            copies = torch.where(kept_on_device(masks).unsqueeze(self._channel_axis), fed[:1], hiding)
            if self._channels_last and self._channel_axis == 1:
                last = torch.channels_last if copies.ndim == 4 else torch.channels_last_3d
                return copies.contiguous(memory_format=last)
            return copies.contiguous()

        return compose

    def run(self, parts: Sequence[Any]) -> Any:
        with _asked(self._module), _precise(self._precision, parts[0].device.type):
            fed = parts[0] if len(parts) == 1 else torch.cat(list(parts))
            return unwrap(self._module(fed), len(fed), is_device=True)


@contextmanager
def _precise(precision: str | None, device: str) -> Iterator[None]:
    """Torch's arithmetic at a precision; its switches, which are global, are then what they were."""
    if precision is None:
        yield
        return
    switches = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = precision == "tf32"
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        for switch, allowed in zip(switches, before, strict=True):
            switch.allow_tf32 = allowed


@contextmanager
def _asked(module: Any) -> Iterator[None]:
    """Eval mode, no gradients; afterwards every submodule's training flag is what it was."""
    # What is frozen or exported has no flag, or cannot be told; what is in eval mode already is left alone.
    modes = [(part, part.training) for part in module.modules() if hasattr(part, "training")]
    try:
        if any(training for _, training in modes):
            with suppress(NotImplementedError):
                module.eval()
        with torch.no_grad():  # in inference mode, what a module keeps for later could not be trained with
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
