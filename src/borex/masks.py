"""Masks: boxes, the grid of cells, and the one place where masks meet media.

A mask has the media's extent; 1 = kept, 0 = hidden. Nothing here knows how many axes there are.
"""

from __future__ import annotations

import numpy as np


def masked(media: np.ndarray, baseline: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Copies `(n, *extent, channels)` of the media as seen through masks `(n, *extent)`: `m media + (1 - m) baseline`.

    `media`, `baseline`: `(*extent, channels)`, one dtype, which the copies keep; integer media is rounded.
    `masks`: bool, or floats in [0, 1]; bool masks copy values and are exact.
    """
    m = masks[..., None]
    if masks.dtype == bool:
        return np.where(m, media, baseline)
    copies = m * (media.astype(np.float32) - baseline) + baseline
    if media.dtype.kind in "iu":
        np.rint(copies, out=copies)
    return copies.astype(media.dtype, copy=False)


def boxes(lower: np.ndarray, upper: np.ndarray, extent: tuple[int, ...]) -> np.ndarray:
    """Bool masks `(n, *extent)` that keep the half-open boxes `[lower, upper)`, clipped to the extent.

    `lower`, `upper`: integers `(n, axes)`, in pixels (frames on a time axis).
    """
    inside = np.ones((len(lower), *extent), dtype=bool)
    for axis, size in enumerate(extent):
        at = np.arange(size)
        on = (at >= lower[:, axis, None]) & (at < upper[:, axis, None])
        shape = [len(lower)] + [1] * len(extent)
        shape[axis + 1] = size
        inside &= on.reshape(shape)
    return inside


def cell_edges(size: int, cells: int) -> np.ndarray:
    """The `cells + 1` pixel positions, in [0, size], at which an axis is cut into cells of equal width (float)."""
    return np.linspace(0.0, size, cells + 1)


def axis_coverage(size: int, cells: int) -> np.ndarray:
    """Matrix `(cells, size)`: the share of each cell that each pixel of an axis makes up; rows sum to 1."""
    edges = cell_edges(size, cells)
    at = np.arange(size)
    overlap = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
    return np.clip(overlap, 0.0, None) / (size / cells)


def cell_means(values: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """Means `(n, *grid)` of `values` `(n, *extent)` over each cell of the grid; any sizes, exact for partial pixels."""
    means = values.astype(np.float64) if values.dtype != np.float32 else values
    for axis, cells in enumerate(grid):
        size = means.shape[axis + 1]
        if size % cells == 0:
            shape = (*means.shape[: axis + 1], cells, size // cells, *means.shape[axis + 2 :])
            means = means.reshape(shape).mean(axis=axis + 2)
        else:
            weights = axis_coverage(size, cells).astype(means.dtype)
            means = np.moveaxis(np.tensordot(means, weights, axes=(axis + 1, 1)), -1, axis + 1)
    return means
