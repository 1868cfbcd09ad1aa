"""What is known of each cell before anything is asked: how much the baselines change it, and what it looks like."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.errors import InputError
from borex.masks import cell_means


def cells_of_change(change: Any, extent: tuple[int, ...], grid: tuple[int, ...]) -> np.ndarray:
    """Root mean squares `(*grid)` over cells of a change of pixels `(*extent,)`, or of cells `(*grid)` as it is; raises
    InputError for anything else."""
    change = np.asarray(change)
    fits = change.shape in (extent, grid) and change.dtype.kind in "iuf"
    if not fits or not (np.isfinite(change) & (change >= 0)).all():
        raise InputError(
            f"change is {change.dtype} of shape {change.shape}; expected numbers of at least 0, one for each pixel "
            f"{extent} or cell {grid}: how much the baselines change it (borex.baselines.change_of)"
        )
    if change.shape == grid:
        return change.astype(np.float64)
    return np.sqrt(cell_means(change.astype(np.float64)[None] ** 2, grid)[0])


def cells_of_appearance(appearance: Any, extent: tuple[int, ...], grid: tuple[int, ...]) -> np.ndarray:
    """Means `(*grid, k)` over cells of what pixels `(*extent, k)` look like, the media for one, or of cells
    `(*grid, k)` as it is; raises InputError for anything else."""
    appearance = np.asarray(appearance)
    fits = appearance.ndim == len(extent) + 1 and appearance.shape[:-1] in (extent, grid) and appearance.shape[-1] > 0
    if not fits or appearance.dtype.kind not in "iuf" or not np.isfinite(appearance).all():
        raise InputError(
            f"appearance is {appearance.dtype} of shape {appearance.shape}; expected finite numbers, a row for each "
            f"pixel {extent} or cell {grid}: what it looks like, such as the media itself"
        )
    if appearance.shape[:-1] == grid:
        return appearance.astype(np.float64)
    # One channel at a time: the media may be large.
    channels = [cell_means(appearance[None, ..., k], grid)[0] for k in range(appearance.shape[-1])]
    return np.stack(channels, axis=-1).astype(np.float64)
