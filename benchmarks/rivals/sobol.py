"""Sobol attribution (Fel, Cadène, Chalvidal, Cord, Vigouroux, Serre 2021, arXiv 2111.04138), from the paper."""

from __future__ import annotations

import numpy as np

from borex.baselines import Baseline
from borex.evaluation.benchmark import Task
from borex.layout import resize

LEAST_DESIGNS = 8  # rows of each matrix: with fewer, the variances of the estimator swallow it


def sobol(task: Task, *, baseline: Baseline = "mean") -> np.ndarray:
    """The total-order Sobol index of each cell of a grid, brought to the media's extent.

    Masks in [0, 1] from a scrambled Sobol sequence in matrices A and B of `n` rows; C_i is A with column i of B;
    Jansen's estimator (section 3.3). That is `n (cells + 2)` evaluations: the grid is the finest with `n` >= 8.
    """
    sides = range(2, 65)
    side = max((g for g in sides if LEAST_DESIGNS * (g ** len(task.extent) + 2) <= task.budget), default=2)
    grid = tuple(min(side, size) for size in task.extent)
    cells = int(np.prod(grid))
    n = max(1, task.budget // (cells + 2))
    a, b = _designs(n, cells, task.rng())
    rows = np.concatenate([a, b, *(_with_column(a, b, i) for i in range(cells))])
    scores = task.scores(_Enlarged(rows.reshape(-1, *grid), task.extent), baseline)
    return resize(total_order(scores, n, cells).reshape(grid), task.extent)


def total_order(scores: np.ndarray, n: int, cells: int) -> np.ndarray:
    """Jansen's estimate of the total-order indices `(cells,)` from the scores of A, B, C_1 .. C_cells, `n` each."""
    of_a, of_b = scores[:n], scores[n : 2 * n]
    of_c = scores[2 * n :].reshape(cells, n)
    variance = np.concatenate([of_a, of_b]).var()
    return np.asarray(((of_a - of_c) ** 2).mean(axis=1) / 2 / max(variance, 1e-12))


def _designs(n: int, cells: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    from scipy.stats import qmc

    power = int(np.ceil(np.log2(max(2, n))))
    points = qmc.Sobol(2 * cells, rng=rng).random_base2(power)[:n]
    return points[:, :cells], points[:, cells:]


def _with_column(a: np.ndarray, b: np.ndarray, i: int) -> np.ndarray:
    c = a.copy()
    c[:, i] = b[:, i]
    return c


class _Enlarged:
    """Masks of whole cells, enlarged when a slice of them is looked at."""

    def __init__(self, grids: np.ndarray, extent: tuple[int, ...]) -> None:
        self._grids = grids.astype(np.float32)
        self._index = np.ix_(
            *(np.arange(size) * cells // size for size, cells in zip(extent, grids.shape[1:], strict=True))
        )

    def __len__(self) -> int:
        return len(self._grids)

    def __getitem__(self, part: slice) -> np.ndarray:
        return self._grids[part][(slice(None), *self._index)]
