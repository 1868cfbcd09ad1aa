"""HSIC attribution (Novello, Fel, Vigouroux 2022, arXiv 2206.06219), from the paper."""

from __future__ import annotations

import numpy as np

from borex.baselines import Baseline
from borex.evaluation.benchmark import Task
from borex.layout import resize
from rivals.sobol import _Enlarged


def hsic(task: Task, *, cells: int = 7, baseline: Baseline = "mean") -> np.ndarray:
    """The Hilbert-Schmidt independence criterion between each cell of a grid being kept and the score.

    Binary masks, each cell kept in half of them (a Latin hypercube, thresholded); the paper's kernel for binary inputs
    (section 4.2) and a Gaussian one for the scores, its width the median distance.
    """
    from scipy.stats import qmc

    grid = tuple(min(cells, size) for size in task.extent)
    kept = qmc.LatinHypercube(int(np.prod(grid)), rng=task.rng()).random(task.budget) > 0.5
    scores = task.scores(_Enlarged(kept.reshape(-1, *grid), task.extent), baseline)
    return resize(dependence(kept, scores).reshape(grid), task.extent)


def dependence(kept: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """HSIC `(cells,)` of each column of `kept` `(n, cells)`, bool, with `scores` `(n,)`: trace(K H L H) / n^2.

    K = 1/2 - (m - m')^2: of bits +1/2 where they are equal, -1/2 where not.
    """
    apart = np.abs(scores[:, None] - scores)
    width = np.median(apart[np.triu_indices(len(scores), 1)]) or 1.0
    gram = np.exp(-(apart**2) / (2 * width**2))
    centred = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
    signs = kept - 0.5  # K = 2 (m - 1/2)(m' - 1/2)
    return np.asarray(2 * ((centred @ signs) * signs).sum(axis=0) / len(scores) ** 2)
