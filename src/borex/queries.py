"""Which masks to ask next. Knows cells and shares, no model and no field."""

from __future__ import annotations

import numpy as np

# Half-widths of boxes in space, as shares of the shorter side (30 to 90 pixels of 224), and half-lengths on every
# earlier axis, as shares of its length. With time there is one size more, all of space: what a moment is worth is not
# found out by adding up places.
BOX_SIZES = (30 / 224, 45 / 224, 60 / 224, 75 / 224, 90 / 224)
BOX_LENGTHS = (1 / 8, 1 / 4, 1 / 2)
# Thompson masks keep from the smallest to the largest of these shares of the cells.
SMALLEST, LARGEST = 0.03, 0.9


class SobolBoxes:
    """A scrambled Sobol design of boxes of cells (cuboids, with time) of several sizes, without end."""

    def __init__(self, grid: tuple[int, ...], extent: tuple[int, ...], rng: np.random.Generator) -> None:
        from scipy.stats import qmc

        self.grid, self.extent = grid, extent
        self._early = len(grid) - 2
        self._sobol = qmc.Sobol(len(grid) + 1 + self._early, rng=rng)
        self._drawn = np.empty((0, len(grid) + 1 + self._early))

    def draw(self, n: int) -> np.ndarray:
        """The next `n` boxes, bool `(n, *grid)`, True inside."""
        while len(self._drawn) < n:
            self._drawn = np.concatenate([self._drawn, self._sobol.random(64)])
        points, self._drawn = self._drawn[:n], self._drawn[n:]
        axes = len(self.grid)
        side = min((n for n in self.extent[-2:] if n > 1), default=1)  # an axis of one pixel has no boxes of its own
        sizes = (*BOX_SIZES, np.inf) if max(self.grid[: self._early], default=1) > 1 else BOX_SIZES
        size = np.take(sizes, (points[:, axes] * len(sizes)).astype(int)) * side
        inside = np.ones((n, *self.grid), dtype=bool)
        for axis, (cells, pixels) in enumerate(zip(self.grid, self.extent, strict=True)):
            if axis < self._early:
                pick = (points[:, axes + 1 + axis] * len(BOX_LENGTHS)).astype(int)
                half = np.take(BOX_LENGTHS, pick) * cells
            else:
                half = size * cells / pixels
            centre = points[:, axis] * cells
            lower = np.rint(centre - half)
            upper = np.maximum(np.rint(centre + half), lower + 1)
            # A box that rounding leaves outside the grid is moved to its border: an empty box asks nothing.
            lower, upper = np.minimum(lower, cells - 1), np.maximum(upper, 1)
            at = np.arange(cells)
            on = (at >= lower[:, None]) & (at < upper[:, None])
            inside &= on.reshape([n] + [cells if a == axis else 1 for a in range(axes)])
        return inside


def spread_shares(n: int, rng: np.random.Generator) -> np.ndarray:
    """`n` shares in [0.03, 0.9], one in each of `n` equal parts of the range's logarithm."""
    at = (np.arange(n) + rng.random()) / n
    return np.asarray(SMALLEST * (LARGEST / SMALLEST) ** at)


def top_share(values: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Bool `(n, *shape)`: the places of `values` `(n, *shape)` that are among the top `share` `(n,)` of their row; at
    least one and not all; ties go to the first place."""
    flat = values.reshape(len(values), -1)
    places = flat.shape[1]
    count = np.clip(np.rint(share * places).astype(int), 1, max(1, places - 1))
    top = np.zeros(flat.shape, dtype=bool)
    for row, n in enumerate(count):
        top[row, np.argsort(-flat[row], kind="stable")[:n]] = True
    return top.reshape(values.shape)
