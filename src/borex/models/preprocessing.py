"""What every adapter does between media and a model: find the axes, check the sizes, scale the colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from borex.errors import InputError, LayoutError
from borex.stated import class_names

# How a model may take a batch. N inputs, C channels, T frames, H rows, W columns. Ours is NHWC or NTHWC.
LAYOUTS = ("NCHW", "NHWC", "NCTHW", "NTCHW", "NTHWC")


@dataclass(frozen=True)
class Colours:
    """`(x / scale - mean) / std`, from media to what a model takes.

    `mean`, `std`: shape `()` or `(channels,)`, in units of `x / scale`.
    `scale=None`: 255 for uint8 media, 1 for floats.
    `is_assumed`: nobody stated the scale, so media that cannot be in 0..255 is an error.
    """

    mean: np.ndarray | None
    std: np.ndarray | None
    scale: float | None
    is_assumed: bool = False

    @property
    def mean_colour(self) -> np.ndarray | None:
        """The colour that becomes 0, in the media's range; None where nothing is subtracted."""
        return None if self.mean is None else self.mean * (1.0 if self.scale is None else self.scale)

    def line(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`factor, offset`, float32, `()` or `(channels,)`: the model takes `batch * factor + offset`.

        Raises InputError where the batch's dtype or range shows that the scale is wrong, or `mean` has other channels.
        """
        self.check(batch)
        scale = self.scale
        if scale is None:
            if batch.dtype.kind in "iu" and batch.dtype != np.uint8:
                raise InputError(
                    f"the media is {batch.dtype}, whose range is not known; expected uint8 or floats. "
                    "State it: wrap(..., scale=65535) divides by 65535"
                )
            scale = 255.0 if batch.dtype == np.uint8 else 1.0
        for name, value in (("mean", self.mean), ("std", self.std)):
            if value is not None and value.size not in (1, batch.shape[-1]):
                raise InputError(f"{name} has {value.size} values, but the media has {batch.shape[-1]} channels")
        std = np.float64(1.0) if self.std is None else self.std
        mean = np.float64(0.0) if self.mean is None else self.mean
        return np.asarray(1.0 / (scale * std), np.float32), np.asarray(-mean / std, np.float32)

    def check(self, batch: np.ndarray) -> None:
        """Raises InputError for media, one or a batch, that cannot be in the 0..255 that nobody stated."""
        if not self.is_assumed or batch.dtype == np.uint8 or batch.size == 0:
            return
        low, high = float(batch.min()), float(batch.max())
        kind = "floats" if batch.dtype.kind == "f" else str(batch.dtype)
        said = f"the media holds {kind} in [{low:.5g}, {high:.5g}], but the model's preprocessing expects 0..255. "
        if high > 2 * 255:  # resampling overshoots by less
            raise InputError(said + "Bring it to that range, 16-bit media by media / 257")
        in_unit_range = kind == "floats" and high <= 1.0 and bool(((batch > 0) & (batch < 1)).any())
        if low < 0.0 or in_unit_range:
            is_ours = self.mean is not None or self.std is not None  # else the graph's own
            if low < 0.0 and is_ours:
                said += "If it is normalised already, leave out mean and std. "
            unit = "1" if self.scale == 255.0 else "1 / 255"
            raise InputError(
                f"{said}Multiply media in [0, 1] by 255, or say what it is divided by: wrap(..., scale={unit})"
            )


def colours(mean: Any, std: Any, scale: float | None) -> Colours:
    """The preprocessing that a caller stated; with `mean` or `std` alone, media is in 0..255 and is divided by 255."""
    if scale is not None and not (np.ndim(scale) == 0 and np.isfinite(scale) and scale > 0):
        raise InputError(f"scale is {scale!r}; expected a number above 0, what the media is divided by, such as 255")
    mean, std = _numbers("mean", mean), _numbers("std", std)
    if std is not None and (std <= 0).any():
        raise InputError(f"std is {std.tolist()}; expected numbers above 0")
    is_assumed = scale is None and (mean is not None or std is not None)
    return Colours(mean, std, 255.0 if is_assumed else None if scale is None else float(scale), is_assumed)


def _numbers(name: str, value: Any) -> np.ndarray | None:
    if value is None:
        return None
    try:
        array = np.asarray(value, dtype=np.float64).squeeze()
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is {value!r}; expected a number or one number a channel") from error
    if array.ndim > 1 or array.size == 0 or not np.isfinite(array).all():
        raise InputError(f"{name} has shape {array.shape}; expected a finite number or one a channel")
    return array


def checked_layout(layout: str, axes: int | None = None) -> str:
    """`layout` if it is one of LAYOUTS and has `axes` axes; raises LayoutError otherwise."""
    fitting = [name for name in LAYOUTS if axes in (None, len(name))]
    if layout not in fitting:
        what = "" if axes is None else f" for a model whose input has {axes} axes"
        raise LayoutError(f'layout is {layout!r}; expected "auto" or one of {", ".join(fitting)}{what}')
    return layout


def axes_order(layout: str) -> list[int]:
    """For `numpy.transpose`: from our `(n, *extent, channels)` to the model's layout."""
    ours = layout.replace("C", "") + "C"
    return [ours.index(axis) for axis in layout]


def feeder(preprocessing: Colours, dtype: type[np.generic], order: list[int]) -> Callable[[np.ndarray], np.ndarray]:
    """A function from a batch `(n, *extent, channels)` to what a model takes, contiguous and of its dtype."""

    def feed(batch: np.ndarray) -> np.ndarray:
        factor, offset = preprocessing.line(batch)
        moved = batch.transpose(order)
        if dtype is np.uint8 and batch.dtype == np.uint8 and math.isclose(float(factor), 1.0):
            return np.ascontiguousarray(moved)
        along = [-1 if axis == batch.ndim - 1 else 1 for axis in order]
        fed = np.empty(moved.shape, np.float32)
        np.multiply(moved, factor.reshape(along) if factor.ndim else factor, out=fed, casting="same_kind")
        fed += offset.reshape(along) if offset.ndim else offset
        if dtype is np.uint8:
            np.clip(np.rint(fed, out=fed), 0, 255, out=fed)
        return fed.astype(dtype, copy=False)

    return feed


def check_batch(batch: np.ndarray, layout: str, channels: int | None, extent: Sequence[int | None] | None) -> None:
    """Raises LayoutError or InputError where a batch `(n, *extent, channels)` is not what the model was made for.

    `channels`, `extent`: sizes that the model fixes; None: any.
    """
    ours = layout.replace("C", "") + "C"
    if batch.ndim != len(ours):
        kinds = {4: "images (n, H, W, channels)", 5: "clips (n, T, H, W, channels)"}
        raise LayoutError(
            f"the model takes {kinds[len(ours)]}, layout {layout}; got a batch of shape {batch.shape}. "
            "If that is not how it takes them, say layout=... to wrap()"
        )
    if channels is not None and batch.shape[-1] != channels:
        plural = "" if channels == 1 else "s"
        ways = {
            (1, 3): 'of a grey image (H, W) take np.stack([grey] * 3, axis=-1), of a PIL image .convert("RGB")',
            (4, 3): 'take media[..., :3], of a PIL image .convert("RGB")',
        }
        grey = "take media.mean(axis=-1, keepdims=True)" if channels == 1 else "give it as many"
        way = ways.get((batch.shape[-1], channels), grey)
        raise InputError(
            f"the model takes {channels} channel{plural}; the media has {batch.shape[-1]} "
            f"(batch of shape {batch.shape}, channels last): {way}"
        )
    got = batch.shape[1:-1]
    if extent is not None and any(want not in (None, size) for want, size in zip(extent, got, strict=True)):
        wanted = tuple("any" if want is None else want for want in extent)
        raise InputError(
            f"the model takes the extent {wanted}; got {got}. Resize the media to it first, or "
            "say what it is to be brought to: wrap(..., extent=...)"
        )


def checked_labels(labels: Any, classes: int | None = None) -> list[str] | None:
    """`class_names(labels)`, as many as there are classes where that is known (a single output is one class or two);
    raises InputError otherwise."""
    names = class_names(labels)
    if names is not None and classes is not None and len(names) != classes and (classes, len(names)) != (1, 2):
        raise InputError(f"labels has {len(names)} names, but the model has {classes} classes; expected one for each")
    return names
