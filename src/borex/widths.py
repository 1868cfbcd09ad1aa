"""How salient a cell may be at all, from everything that the model answered, every class alike.

What moves no class hardly moves the one that is explained: the prior variance of each cell is that of all classes'
saliency there, by one step of the kind that sparse Bayesian learning takes (of several outputs that share where they
are zero: Wipf and Rao 2007, IEEE Transactions on Signal Processing 55), where it is expectation maximisation for cells
that do not covary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from borex.observations import evenly

if TYPE_CHECKING:
    from borex.field import Field
    from borex.hyperparameters import Hyperparameters
    from borex.prior import Prior

# With more cells than this (a clip has 1568) there are several for each answer, and little is told of one alone.
MOST_CELLS = 1024
# Of many answers so many, evenly spread: what is found out about cells grows slowly after them.
MOST_ANSWERS = 512


def widened(field: Field, prior: Prior, n: int, hyper: Hyperparameters) -> Prior:
    """`prior` with the width of each cell as the field's first `n` answers have it, whose hyperparameters under `prior`
    are `hyper`; `prior` itself where that is more than can be told."""
    if not n or field.n_cells > MOST_CELLS:
        return prior
    chosen = evenly(field._asked.hidden[:n], MOST_ANSWERS)
    asked, outputs = field._asked[chosen], np.concatenate(field._outputs)[chosen]
    applied = prior.applied(hyper.lengths, asked.rows)
    covariance = field._covariance(hyper, asked, asked, applied)
    covariance.flat[:: len(asked) + 1] += field._noise(hyper, asked) ** 2 + 1e-9
    power = hyper.amplitude**2
    return prior.widened(moved(covariance, power * applied, power * prior.variance, outputs))


def moved(covariance: np.ndarray, cross: np.ndarray, variance: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """What the variance of each cell `(cells,)` is after one step, over what it was.

    `covariance` `(n, n)` of the answers with their noise, `cross` `(n, cells)` with the saliency, `variance` `(cells,)`
    of that before any answer; `outputs` `(n, k)`: what the model answered besides, of which each column is taken for
    a draw from one prior: only their covariance over the answers counts, whatever `k` is.
    """
    from scipy.linalg import cho_factor, cho_solve

    weights = cho_solve(cho_factor(covariance, lower=True), cross)
    outputs = outputs - outputs.mean(axis=0, dtype=np.float64)
    outputs /= float(np.abs(outputs).max()) or 1.0  # of any unit, without loss
    total = float((outputs**2).mean(axis=0).sum())
    if not total > 0:
        return np.ones(len(variance))
    gram = outputs @ outputs.T / total
    explained = np.einsum("nc,nc->c", weights, gram @ weights)
    left = variance - np.einsum("nc,nc->c", weights, cross)
    return np.asarray((explained + np.maximum(left, 0.0)) / variance)
