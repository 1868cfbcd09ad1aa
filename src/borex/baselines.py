"""What is seen where a mask hides: the baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from borex.errors import InputError

Baseline = str | float | np.ndarray | Callable[[np.ndarray], np.ndarray] | None
NAMES = ("blur", "mean", "black")

# A box this wide, as a share of the shorter side of the picture, leaves colour and light and takes the shapes
# (51 pixels of 224, as in the experiments that settled it).
BLUR_SHARE = 51 / 224


def baseline_of(baseline: Baseline, media: np.ndarray, mean: np.ndarray | None = None) -> np.ndarray:
    """The baseline `(*extent, channels)`, in the media's dtype.

    `baseline`: "blur" (a box mean over the last two axes of the extent, which are space), "mean" (the colour `mean`
    that the model's preprocessing subtracts; the media's own mean colour where that is not known), "black" (zeros), a
    number, an array that broadcasts to the media's shape, or a function from the media to such an array.
    Raises InputError for anything else, and for NaN or Inf in the result.
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
        value = np.broadcast_to(np.asarray(value, dtype=np.float64), media.shape)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{said} {type(value).__name__} of shape {np.shape(value)}; expected a number or an array that broadcasts "
            f"to the media's shape {media.shape} (channels last)"
        ) from error
    if not np.isfinite(value).all():
        raise InputError(f"{said} an array with NaN or Inf; expected finite values in the media's range")
    if media.dtype.kind in "iu":
        limits = np.iinfo(media.dtype)
        value = np.clip(np.rint(value), limits.min, limits.max)
    return value.astype(media.dtype)


def _named(name: str, media: np.ndarray, mean: np.ndarray | None) -> np.ndarray:
    if name == "blur":
        return box_blur(media, BLUR_SHARE)
    if name == "mean":
        return media.mean(axis=tuple(range(media.ndim - 1)), dtype=np.float64) if mean is None else np.asarray(mean)
    return np.zeros(())


def box_blur(media: np.ndarray, share: float) -> np.ndarray:
    """Media `(*extent, channels)` averaged, float64, over a box of `share` of the shorter of its last two axes of
    extent, in [0, 1]; the borders are mirrored."""
    from scipy.ndimage import uniform_filter1d

    height, width = media.shape[-3], media.shape[-2]
    size = max(1, round(share * min(height, width)) | 1)
    blurred = media.astype(np.float64)
    for axis in (-3, -2):
        blurred = uniform_filter1d(blurred, size, axis=axis, mode="mirror")
    return np.asarray(blurred)
