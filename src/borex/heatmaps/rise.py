"""RISE (Petsiuk, Das, Saenko 2018, arXiv 1806.07421): scores under random smooth masks, averaged."""

from __future__ import annotations

import numpy as np

from borex.blackbox import Asker
from borex.kernels import apply_product


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
        masks = np.empty((len(self._kept[part]), *self.extent), dtype=np.float32)
        for row, (kept, shift) in enumerate(zip(self._kept[part], self._shift[part], strict=True)):
            masks[row] = apply_product(self._weights(shift), kept[None].astype(np.float32))[0]
        return masks

    def _weights(self, shift: np.ndarray) -> list[np.ndarray]:
        """For each axis the linear weights `(size, cells + 1)` of the coarse grid's values at every pixel."""
        weights = []
        for size, cells, moved in zip(self.extent, self._cells, shift, strict=True):
            at = np.clip((np.arange(size) + 0.5) * cells / size + moved - 0.5, 0, cells)
            weights.append(np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(cells + 1))).astype(np.float32))
        return weights

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
