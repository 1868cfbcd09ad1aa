"""What is believed of the saliency before anything is asked: how cells covary.

The covariance of the cells is the sum of two products of Matérn 3/2 over the axes: one with length scales that are
given, times one of what the cells look like; one with fixed, long ones. It is scaled in each cell by how much the
baselines change that cell, and by what answers say of its width.
"""

from __future__ import annotations

from copy import copy

import numpy as np

from borex.kernels import Likened, Separable, axis_gram, leading_likeness, likeness, product

# The long length scale of every axis, as a share of it (in space: of the shorter side that is longer than one pixel).
LONG = 0.36
# Of how much a baseline changes a cell, over all cells: the prior of the saliency is as wide as this power of it, and
# never below this share of the usual, for a baseline may hide little and yet all that counts.
CHANGE_POWER, LEAST_CHANGE = 0.5, 0.05
# Length scale of what cells look like, in units of its spread over the cells.
ALIKE = 0.5
# With more cells than this (a clip has 1568) a covariance of every pair takes longer than it is worth: what they look
# like is then so many numbers for each, whose inner products are nearly the same.
MOST_PAIRED, LOOKS = 1024, 8


class Prior:
    """The covariance of the cells of a grid at unit amplitude, for any length scales."""

    def __init__(
        self,
        grid: tuple[int, ...],
        extent: tuple[int, ...],
        change: np.ndarray | None = None,
        appearance: np.ndarray | None = None,
    ) -> None:
        """All as `Field` takes them."""
        self.grid = grid
        cells = int(np.prod(grid))
        # An axis of one pixel has no cells side by side, and no say in how far apart they are.
        sides = [size / n for size, n in zip(extent[-2:], grid[-2:], strict=True) if size > 1] or [1.0]
        side = float(np.prod(sides)) ** (1 / len(sides))
        n_early = len(grid) - 2
        # Time is counted in cells of its own axis: a frame and a pixel have no common unit.
        self._at = [
            (np.arange(n) + 0.5) * (1.0 if axis < n_early else size / n / side)
            for axis, (n, size) in enumerate(zip(grid, extent, strict=True))
        ]
        shorter = min((n for n in extent[-2:] if n > 1), default=1)
        self._long = self._grams((*(LONG * n for n in grid[:n_early]), LONG * shorter / side))
        # Of every pair of cells: how alike they are, and what is added.
        self._pairs: tuple[np.ndarray, np.ndarray] | None = None
        self._looks = None
        if appearance is not None and cells <= MOST_PAIRED:
            alike = likeness(np.reshape(appearance, (cells, -1)), ALIKE)
            self._pairs = None if alike is None else (alike, product(self._long))
        elif appearance is not None:
            looks = leading_likeness(np.reshape(appearance, (cells, -1)), ALIKE, LOOKS)
            self._looks = None if looks is None else looks.reshape(-1, *grid)
        by_change = np.ones(cells) if change is None else np.asarray(change, dtype=np.float64).ravel()
        self._scale = _scale(by_change ** (2 * CHANGE_POWER))
        self._latest: tuple[tuple[float, ...], Likened | Separable] | None = None

    @property
    def variance(self) -> np.ndarray:
        """Of each cell, `(cells,)`; it is the same for all length scales."""
        return 2 * self._scale**2

    def widened(self, ratio: np.ndarray) -> Prior:
        """The same with the variance of each cell times `ratio` `(cells,)`, ≥ 0, as far as `LEAST_CHANGE` allows."""
        other = copy(self)
        other._scale = _scale(self._scale**2 * ratio)
        return other

    def applied(self, lengths: tuple[float, ...], rows: np.ndarray) -> np.ndarray:
        """The covariance times each of `rows` `(n, cells)`: `(n, cells)`."""
        cubes = (rows * self._scale).reshape(len(rows), *self.grid)
        return self._covariance(lengths).apply(cubes).reshape(rows.shape) * self._scale

    def variance_of(self, lengths: tuple[float, ...], rows: np.ndarray) -> np.ndarray:
        """Of sums of the cells weighted by each of `rows` `(n, cells)`: `(n,)`."""
        at = np.flatnonzero(rows.any(axis=0))
        if len(at) > MOST_PAIRED:
            return np.einsum("nc,nc->n", rows, self.applied(lengths, rows))
        scaled = rows[:, at] * self._scale[at]
        return np.einsum("nc,nc->n", scaled, scaled @ self._covariance(lengths).between(at))

    def draw(self, lengths: tuple[float, ...], n: int, rng: np.random.Generator) -> np.ndarray:
        """`n` draws `(n, cells)`."""
        return self._covariance(lengths).draw((n, *self.grid), rng).reshape(n, -1) * self._scale

    def _covariance(self, lengths: tuple[float, ...]) -> Likened | Separable:
        """Before it is scaled; the latest is kept, because it is asked for again and again."""
        if self._latest is None or self._latest[0] != lengths:
            grams = self._grams(lengths)
            pairs, looks = self._pairs, self._looks
            self._latest = lengths, Separable((grams, self._long), looks) if pairs is None else Likened(grams, *pairs)
        return self._latest[1]

    def _grams(self, lengths: tuple[float, ...]) -> list[np.ndarray]:
        """The covariances of each axis for length scales of the early axes and of space."""
        return [axis_gram(at, at, n) for at, n in zip(self._at, (*lengths, lengths[-1]), strict=True)]


def _scale(variance: np.ndarray) -> np.ndarray:
    """The prior width of the saliency in each cell `(cells,)`, of mean square 1, from its variance in any unit."""
    if not variance.max() > 0:
        return np.ones(len(variance))
    width = np.maximum(np.sqrt(variance / variance.mean()), LEAST_CHANGE)
    return np.asarray(width / np.sqrt((width**2).mean()))
