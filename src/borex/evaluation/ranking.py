"""The order in which a heat map names pixels: all that insertion, deletion and localisation look at."""

from __future__ import annotations

import numpy as np

from borex.errors import InputError


def checked_saliency(saliency: np.ndarray, extent: tuple[int, ...], whose: str) -> np.ndarray:
    """The heat map as float64 of shape `extent`; `whose` names, in the error, what has that extent.

    Raises InputError for another shape, an empty map, or NaN or Inf in it.
    """
    saliency = np.asarray(saliency)
    if saliency.shape != extent:
        raise InputError(
            f"the heat map has shape {saliency.shape}; expected {extent}, the extent of the {whose}. "
            "Bring both to one size first, and give the heat map no channel axis"
        )
    if saliency.size == 0:
        raise InputError(f"the heat map is empty (shape {saliency.shape}); expected at least one pixel")
    if saliency.dtype.kind not in "biuf":
        raise InputError(f"the heat map holds {saliency.dtype}; expected real numbers")
    saliency = saliency.astype(np.float64)
    bad = ~np.isfinite(saliency)
    if bad.any():
        raise InputError(
            f"the heat map holds NaN or Inf at {int(bad.sum())} of {bad.size} pixels, which have no rank; expected "
            "finite values. Replace them, for example with np.nan_to_num"
        )
    return saliency


def falling_order(saliency: np.ndarray) -> np.ndarray:
    """Flat indices `(pixels,)` of a float heat map by falling saliency.

    Ties keep their position: row by row, frame by frame. (The RISE authors' code takes ties from the end.)
    """
    return np.argsort(-saliency.ravel(), kind="stable")
