"""RISE (Petsiuk, Das, Saenko 2018, arXiv 1806.07421): scores under random smooth masks, averaged."""

from __future__ import annotations

import numpy as np

from borex.blackbox import Asker


class RiseMasks:
    """Random smooth masks `(n, *extent)`, float32 in [0, 1], drawn when a slice of them is looked at.

    A coarse grid of kept (probability `p`) and hidden cells, enlarged linearly and shifted by less than a cell, as in
    the authors' code: 8 x 8 visible cells at most, `cells` of them on every axis.
    """

    def __init__(
        self, n: int, extent: tuple[int, ...], rng: np.random.Generator, *, p: float = 0.5, cells: int = 7
    ) -> None:
        self.extent, self.p = extent, p
        self._cells = tuple(min(cells, size) for size in extent)
        self._kept = rng.random((n, *(c + 1 for c in self._cells))) < p
        self._shift = rng.random((n, len(extent)))

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.extent)

    def __getitem__(self, part: slice) -> np.ndarray:
        masks = []
        for kept, shift in zip(self._kept[part], self._shift[part], strict=True):
            mask = kept.astype(np.float32)
            for axis, (size, cells) in enumerate(zip(self.extent, self._cells, strict=True)):
                at = (np.arange(size) + 0.5) * cells / size + shift[axis] - 0.5
                at = np.clip(at, 0, cells)
                low = np.minimum(at.astype(int), cells - 1)
                weight = (at - low).astype(np.float32).reshape([-1] + [1] * (mask.ndim - 1 - axis))
                below, above = np.take(mask, low, axis=axis), np.take(mask, low + 1, axis=axis)
                mask = below + weight * (above - below)
            masks.append(mask)
        return np.stack(masks) if masks else np.empty((0, *self.extent), dtype=np.float32)

    def heat_map(self, values: np.ndarray, chunk: int = 16) -> np.ndarray:
        """The heat map `(*extent,)` from the scores `(n,)` under the masks: sum of score times mask over `n p`."""
        total = np.zeros(self.extent)
        for start in range(0, len(self), chunk):
            part = slice(start, start + chunk)
            total += np.tensordot(values[part], self[part], axes=1)
        return total / (len(self) * self.p)


def rise(
    asker: Asker, extent: tuple[int, ...], target: int, n: int, rng: np.random.Generator, *, p: float = 0.5
) -> np.ndarray:
    """The heat map of `n` masks for class `target` of a model that answers in probabilities."""
    masks = RiseMasks(n, extent, rng, p=p)
    return masks.heat_map(asker(masks)[:, target])
