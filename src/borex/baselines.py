"""What is seen where a mask hides: the baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from borex.errors import InputError

Baseline = str | float | np.ndarray | Callable[[np.ndarray], np.ndarray] | None
NAMES = ("blur", "mean", "black", "frozen")

# A box this wide, as a share of the shorter side of the picture, leaves colour and light and takes the shapes
# (51 pixels of 224, as in the experiments that settled it).
BLUR_SHARE = 51 / 224


def baseline_of(baseline: Baseline, media: np.ndarray, mean: np.ndarray | None = None) -> np.ndarray:
    """The baseline `(*extent, channels)`, in the media's dtype.

    `baseline`: "blur" (a box mean over the last two axes of the extent, which are space), "mean" (the colour `mean`
    that the model's preprocessing subtracts; the media's own mean colour where that is not known), "black" (zeros),
    "frozen" (of a clip `(T, H, W, channels)`, its mean over time in every frame: motion is hidden, place is not), a
    number, an array that broadcasts to the media's shape, or a function from the media to such an array.
    Raises InputError for anything else, for "frozen" where there is no axis of time, and for NaN or Inf in the result.
    """
    if callable(baseline):
        value: Any = baseline(media)
        said = "the baseline function returned"
    elif isinstance(baseline, str):
        if baseline not in NAMES:
            raise InputError(
                f"baseline is {baseline!r}; expected one of {', '.join(map(repr, NAMES))}, a number, an array of the "
                "media's shape or a function from the media to one"
            )
        value = _named(baseline, media, mean)
        said = "the baseline is"
    else:
        value = baseline
        said = "the baseline is"
    try:
        value = np.asarray(value)
        value = np.broadcast_to(value if value.dtype.kind == "f" else value.astype(np.float64), media.shape)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{said} {type(value).__name__} of shape {np.shape(value)}; expected a number or an array that broadcasts "
            f"to the media's shape {media.shape} (channels last)"
        ) from error
    if not np.isfinite(value.min()) or not np.isfinite(value.max()):
        raise InputError(f"{said} an array with NaN or Inf; expected finite values in the media's range")
    if media.dtype.kind in "iu":
        limits = np.iinfo(media.dtype)
        value = np.rint(value).clip(limits.min, limits.max)
    return value.astype(media.dtype)


def _named(name: str, media: np.ndarray, mean: np.ndarray | None) -> np.ndarray:
    if name == "blur":
        return box_blur(media, BLUR_SHARE)
    if name == "mean":
        return media.mean(axis=tuple(range(media.ndim - 1)), dtype=np.float64) if mean is None else np.asarray(mean)
    if name == "frozen":
        if media.ndim != 4:
            raise InputError(
                f'the baseline "frozen" is the mean over time, but the media has shape {media.shape}; expected a clip '
                '(T, H, W, channels). For an image take "blur", "mean" or "black"'
            )
        return media.mean(axis=0, dtype=np.float64)
    return np.zeros(())


def box_blur(media: np.ndarray, share: float) -> np.ndarray:
    """Media `(*extent, channels)` averaged, in floats, over a square box in space, the last two axes of the extent:
    `share`, in [0, 1], of the shorter of them, at least 3 pixels; the borders are mirrored."""
    from scipy.ndimage import uniform_filter1d

    # An axis of one pixel has no shapes to take, and a box of one pixel would take none.
    sides = [size for size in media.shape[-3:-1] if size > 1]
    size = max(3, round(share * min(sides, default=1)) | 1)
    wide = media.dtype.itemsize > (4 if media.dtype.kind == "f" else 2)
    blurred = np.empty(media.shape, dtype=np.float64 if wide else np.float32)
    for channel in range(media.shape[-1]):  # one at a time: the steps in between stay small
        values = media[..., channel].astype(blurred.dtype)
        for axis in (-2, -1):
            values = uniform_filter1d(values, size, axis=axis, mode="mirror")
        blurred[..., channel] = values
    return blurred
