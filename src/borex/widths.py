"""How salient a cell may be at all, from everything that the model answered, every class alike.

What moves no class moves the one that is explained no more: the prior variance of each cell is that of all classes'
saliency there, one step of expectation maximisation from the prior (sparse Bayesian learning of several outputs with
one sparsity: Wipf and Rao 2007, eq. 13 and 18).
"""

from __future__ import annotations

import numpy as np

from borex.observations import Observations

# With more cells than this (a clip has 1568) there are several for each answer: what is told of one alone is too little.
MOST_CELLS = 1024
# Of many answers so many, evenly spread: what is found out about cells grows slowly after them.
MOST_ANSWERS = 512


def spread_over(n: int) -> np.ndarray:
    """The numbers of the answers that are looked at, of the first `n`."""
    return np.linspace(0, n - 1, min(n, MOST_ANSWERS)).astype(int)


def moved(covariance: np.ndarray, cross: np.ndarray, variance: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """What the variance of each cell `(cells,)` is after one step, over what it was.

    `covariance` `(n, n)` of the answers with their noise, `cross` `(n, cells)` with the saliency, `variance` `(cells,)`
    of that before any answer; `outputs` `(n, k)`: what the model answered besides, of which each column is taken for
    a draw from one prior: only their covariance over the answers counts, whatever `k` is.
    """
    from scipy.linalg import cho_factor, cho_solve

    weights = cho_solve(cho_factor(covariance, lower=True), cross)
    outputs = outputs - outputs.mean(axis=0)
    total = float((outputs**2).mean(axis=0).sum())
    if not total > 0:
        return np.ones(len(variance))
    gram = outputs @ outputs.T / total
    explained = np.einsum("nc,nc->c", weights, gram @ weights)
    left = variance - np.einsum("nc,nc->c", weights, cross)
    return np.asarray((explained + np.maximum(left, 0.0)) / variance)
