"""What a map with an early axis shows of its field: for each cell an average over those around it, at the same moment,
that look alike. A clip has several cells for each answer, so that what is known of one alone is little.

The average keeps within outlines, as that of a bilateral filter does (Tomasi and Manduchi 1998).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from borex.field import Field
from borex.kernels import in_spreads, likeness_between
from borex.masks import cell_of_pixel
from borex.prior import ALIKE

# Standard deviations, in cells, of the Gaussian in space with which neighbours count: those that look alike; all, where
# it is not known what cells look like.
REACH, REACH_OF_ALL = 2.0, 0.7


class Neighbours:
    """The cells of a grid over which each cell's value in a map is averaged, and their weights."""

    def __init__(self, grid: tuple[int, ...], appearance: np.ndarray | None = None) -> None:
        """`appearance`: what each cell looks like, `(*grid, k)`, any scale; None: not known."""
        self.grid, self.n_moments = grid, int(np.prod(grid[:-2]))
        features = None if appearance is None else in_spreads(np.reshape(appearance, (int(np.prod(grid)), -1)))
        self._looks = None if features is None else features.reshape(self.n_moments, -1, features.shape[-1])

    def __bool__(self) -> bool:
        """Whether there is an early axis; without one each cell stands for itself."""
        return self.n_moments > 1

    @cached_property
    def _near(self) -> np.ndarray:
        """How much cells count by where they are, `(cells, cells)`."""
        at = np.indices(self.grid[-2:]).reshape(2, -1)
        apart = ((at[:, :, None] - at[:, None, :]) ** 2).sum(axis=0)
        return np.asarray(np.exp(-0.5 * apart / (REACH_OF_ALL if self._looks is None else REACH) ** 2))

    def weights(self, moment: int) -> np.ndarray:
        """Of all cells of a moment in the averages for each, `(cells, cells)`: rows sum to 1."""
        found = self._near
        if self._looks is not None:
            found = found * likeness_between(self._looks[moment], self._looks[moment], ALIKE)
        return np.asarray(found / found.sum(axis=1, keepdims=True))


def averaged(field: Field, neighbours: Neighbours) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and standard deviation `(*grid,)` of the averages of the saliency, in log-odds a cell."""
    if not neighbours:
        return field.mean(), field.std()
    mean = field.mean().reshape(neighbours.n_moments, -1)
    std = np.empty(mean.shape)
    for moment in range(len(mean)):  # one after the other: the weights of all cells at once would be large
        weights = neighbours.weights(moment)
        mean[moment] = weights @ mean[moment]
        std[moment] = _std_of(field, moment, weights)
    return mean.reshape(field.grid), std.reshape(field.grid)


def profile_std(field: Field, neighbours: Neighbours, extent: tuple[int, ...]) -> np.ndarray:
    """Posterior standard deviation `(*grid[:-2],)` of the mean over all pixels of a moment of what `averaged` gives."""
    sides = zip(extent[-2:], field.grid[-2:], strict=True)
    height, width = (np.bincount(cell_of_pixel(size, n)) / size for size, n in sides)
    share, std = np.outer(height, width).reshape(1, -1), np.empty(neighbours.n_moments)
    for moment in range(len(std)):
        std[moment] = _std_of(field, moment, share @ neighbours.weights(moment) if neighbours else share)[0]
    return std.reshape(field.grid[:-2])


def _std_of(field: Field, moment: int, weights: np.ndarray) -> np.ndarray:
    """`Field.std_of` of sums over one moment, with `weights` `(n, cells)`."""
    placed = np.zeros((len(weights), field.n_cells // weights.shape[1], weights.shape[1]))
    placed[:, moment] = weights
    return field.std_of(placed.reshape(len(weights), *field.grid))
