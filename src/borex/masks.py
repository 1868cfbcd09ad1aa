"""Masks: boxes, the grid of cells, and the one place where masks meet media.

A mask has the media's extent; 1 = kept, 0 = hidden. Nothing here knows how many axes there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


def masked(media: np.ndarray, baseline: np.ndarray, masks: Any) -> np.ndarray:
    """Copies `(n, *extent, channels)` of the media as seen through masks `(n, *extent)`: `m media + (1 - m) baseline`.

    `media`, `baseline`: `(*extent, channels)`, one dtype, which the copies keep; integer media is rounded. `baseline`
    may be one for each mask, `(n, *extent, channels)`.
    `masks`: bool, or floats in [0, 1]; bool masks copy values and are exact.
    """
    masks = np.asarray(masks)
    # A mask repeated for every channel runs over memory in order, which is several times as fast as broadcasting it.
    m = np.repeat(masks, media.shape[-1], axis=-1).reshape(len(masks), *media.shape)
    if masks.dtype == bool and media.dtype.itemsize == 1:
        # Kept bytes become all ones, then baseline ^ ((media ^ baseline) & ones): four times as fast as a choice.
        copies: np.ndarray = m.view(np.uint8)
        np.negative(copies, out=copies)
        copies &= media.view(np.uint8) ^ baseline.view(np.uint8)
        copies ^= baseline.view(np.uint8)
        return copies.view(media.dtype)
    if masks.dtype == bool:
        return np.where(m, media, baseline)
    # Float32 holds every integer of up to 24 bits; wider media needs more.
    real = np.float32 if media.dtype.itemsize <= (4 if media.dtype.kind == "f" else 2) else np.float64
    blend: np.ndarray = m.astype(real, copy=False)
    blend *= media.astype(real) - baseline
    blend += baseline
    if media.dtype.kind in "iu":
        np.rint(blend, out=blend)
    return blend.astype(media.dtype, copy=False)


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


def cell_of_pixel(size: int, cells: int) -> np.ndarray:
    """For each pixel of an axis the cell that its middle lies in, integers `(size,)` in [0, cells)."""
    return np.minimum(((np.arange(size) + 0.5) * cells / size).astype(int), cells - 1)


def cell_means(values: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """Means `(n, *grid)` of `values` `(n, *extent)` over the pixels of each cell; at least one pixel a cell.

    A pixel belongs to the one cell that its middle lies in, so this undoes `spread`, to the last bit for 0 and 1.
    """
    means = values.astype(np.float64) if values.dtype != np.float32 else values
    for axis, cells in enumerate(grid):
        size = means.shape[axis + 1]
        if size % cells == 0:
            shape = (*means.shape[: axis + 1], cells, size // cells, *means.shape[axis + 2 :])
            means = means.reshape(shape).mean(axis=axis + 2)
        else:
            belongs = (np.arange(cells)[:, None] == cell_of_pixel(size, cells)).astype(means.dtype)
            means = np.tensordot(means, belongs, axes=(axis + 1, 1)) / belongs.sum(axis=1)
            means = np.moveaxis(means, -1, axis + 1)
    return means


def spread(values: np.ndarray, extent: tuple[int, ...]) -> np.ndarray:
    """Values `(n, *grid)` of cells brought to pixels `(n, *extent)`, each pixel taking the value of its cell."""
    for axis in reversed(range(len(extent))):  # rows are copied whole then, not value by value
        size, cells = extent[axis], values.shape[axis + 1]
        if size % cells == 0:
            values = np.repeat(values, size // cells, axis=axis + 1)
        else:
            values = np.take(values, cell_of_pixel(size, cells), axis=axis + 1)
    return values


class CellMasks:
    """Bool masks made of whole cells: an array `(n, *extent)` that exists only where it is looked at.

    A slice or an index gives the masks as an array, `np.asarray` all of them, so that a round never needs more memory
    than the model's own batch.
    """

    def __init__(self, kept: np.ndarray, extent: tuple[int, ...]) -> None:
        """`kept`: bool `(n, *grid)`, the cells that are kept."""
        self.kept, self.extent = kept, extent

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.extent)

    @property
    def dtype(self) -> np.dtype[np.bool_]:
        return np.dtype(bool)

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, slice):
            return spread(self.kept[key], self.extent)
        if isinstance(key, (int, np.integer)):
            return spread(self.kept[key][None], self.extent)[0]
        return np.asarray(np.asarray(self)[key])

    def part(self, start: int, stop: int) -> CellMasks:
        """The masks from `start` to `stop`, still as cells."""
        return CellMasks(self.kept[start:stop], self.extent)

    def take(self, at: np.ndarray) -> CellMasks:
        """The masks of these numbers, still as cells."""
        return CellMasks(self.kept[at], self.extent)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return spread(self.kept, self.extent).astype(dtype or bool, copy=False)


def ones_where_kept(masks: Any, dtype: np.dtype[Any], width: int) -> Iterator[np.ndarray]:
    """For each of bool masks `(n, *extent)`, an array or CellMasks, all ones where it keeps and zeros elsewhere; the
    last axis is `width` long, each pixel of it repeated. One at a time: it stays in the processor's cache."""
    *early, last = masks.shape[1:]
    cells = hasattr(masks, "kept")
    kept = masks.kept if cells else np.asarray(masks)
    column = np.repeat(cell_of_pixel(last, kept.shape[-1]), width // last)
    for one in kept.view(np.int8):
        ones = np.negative(one, dtype=f"i{dtype.itemsize}").view(dtype)
        if cells:
            yield spread(np.take(ones, column, axis=-1)[None], (*early, width))[0]
        else:
            yield ones if width == last else np.repeat(ones, width // last, axis=-1)


def coverage_of(masks: Any, grid: tuple[int, ...]) -> np.ndarray:
    """How much of each cell is kept, float32 `(n, *grid)`, by masks `(n, *extent)`, an array or what gives one for a
    slice: a part of them at a time, for together they may be large."""
    kept = getattr(masks, "kept", None)
    if kept is not None and kept.shape[1:] == grid:
        return np.asarray(kept, dtype=np.float32)
    step = max(1, 2**24 // int(np.prod(masks.shape[1:])))
    parts = [masks[i : i + step] for i in range(0, len(masks), step)]
    return np.concatenate([cell_means(np.asarray(part, dtype=np.float32), grid) for part in parts])
