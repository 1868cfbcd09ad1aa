"""Covariances: Matérn 3/2 on each axis, products over axes.

A product over axes never becomes one big matrix: it is applied one axis at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def matern32(distance: np.ndarray) -> np.ndarray:
    """Matérn covariance with smoothness 3/2 and unit amplitude of distances in length scales, ≥ 0; in (0, 1].

    Rasmussen & Williams 2006, eq. 4.17.
    """
    scaled = np.sqrt(3.0) * distance
    return np.asarray((1.0 + scaled) * np.exp(-scaled))


def axis_gram(at: np.ndarray, other: np.ndarray, length_scale: float) -> np.ndarray:
    """Covariances `(len(at), len(other))` between two sets of positions on one axis, in the length scale's unit."""
    return matern32(np.abs(at[:, None] - other[None, :]) / length_scale)


def apply_product(grams: Sequence[np.ndarray], values: np.ndarray) -> np.ndarray:
    """The Kronecker product of `grams`, each `(out, in)`, times each of `values` `(n, *ins)`: `(n, *outs)`."""
    for gram in grams:
        # The first axis is always the next: each turn takes it away and puts its result last, one large product a turn.
        values = np.moveaxis(values, 1, -1) @ gram.T
    return values
