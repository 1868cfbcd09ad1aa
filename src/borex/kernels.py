"""Covariances: Matérn 3/2 on each axis, products over axes, and of what cells look like."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

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


class Separable:
    """The covariance between the cells of a grid as a sum of products over its axes, which never becomes a matrix: it
    is applied one axis at a time."""

    def __init__(self, products: Sequence[Sequence[np.ndarray]], looks: np.ndarray | None = None) -> None:
        """`products`: for each, the covariance of every axis, `(n, n)`. `looks` `(k, *grid)`: the first product is
        multiplied by their inner product over `k`, of every pair of cells; None: it is not."""
        self._products = products
        # They are nearly what is meant, so single precision will do, and takes half of the time.
        self._looks = None if looks is None else looks.astype(np.float32)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """The covariance times each of `values` `(n, *grid)`: `(n, *grid)`."""
        if self._looks is None:
            return np.asarray(sum(apply_product(grams, values) for grams in self._products))
        single = values.astype(np.float32)
        first, *others = ([gram.astype(np.float32) for gram in grams] for grams in self._products)
        found = np.zeros(values.shape, dtype=np.float32)
        for look in self._looks:
            found += look * apply_product(first, look * single)
        for grams in others:
            found += apply_product(grams, single)
        return found.astype(np.float64)

    def between(self, cells: np.ndarray) -> np.ndarray:
        """The covariance `(k, k)` of some cells, by their numbers `(k,)` in the flat grid."""
        at = np.unravel_index(cells, [len(gram) for gram in self._products[0]])
        first, *others = (
            reduce(np.multiply, (gram[np.ix_(i, i)] for gram, i in zip(grams, at, strict=True)))
            for grams in self._products
        )
        if self._looks is not None:
            looks = self._looks.reshape(len(self._looks), -1)[:, cells]
            first = first * (looks.T @ looks)
        return np.asarray(sum(others, first))

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draws `shape` `(n, *grid)` from the Gaussian of mean 0 and this covariance."""
        kind = np.float64 if self._looks is None else np.float32
        drawn = np.zeros(shape, dtype=kind)
        for at, grams in enumerate(self._products):
            factors = [_factor(gram).astype(kind) for gram in grams]
            for look in [1.0] if at or self._looks is None else self._looks:
                drawn += look * apply_product(factors, rng.standard_normal(shape, dtype=kind))
        return drawn.astype(np.float64)


def product(grams: Sequence[np.ndarray]) -> np.ndarray:
    """The Kronecker product of `grams`, each `(n, n)`, as a matrix; in a third of the time of `np.kron`."""
    return reduce(_kron, grams)


def _kron(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one[:, None, :, None] * other[None, :, None, :]).reshape(2 * (len(one) * len(other),))


class Likened:
    """The same as a matrix `(cells, cells)`, in which the first of two products is multiplied by how alike cells are.

    A product of covariances is one (Rasmussen & Williams 2006, section 4.2.4), but this one has no axes.
    """

    def __init__(self, grams: Sequence[np.ndarray], alike: np.ndarray, other: np.ndarray) -> None:
        """`grams`: of the first product, the covariance of every axis; `alike`: of every pair of cells, a covariance
        with ones on its diagonal; `other`: the second product, of every pair of cells."""
        self._matrix = product(grams)
        self._matrix *= alike
        self._matrix += other
        self._chol: np.ndarray | None = None

    def apply(self, values: np.ndarray) -> np.ndarray:
        """As `Separable.apply`."""
        return np.asarray((values.reshape(len(values), -1) @ self._matrix).reshape(values.shape))

    def between(self, cells: np.ndarray) -> np.ndarray:
        """As `Separable.between`."""
        return np.asarray(self._matrix[np.ix_(cells, cells)])

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """As `Separable.draw`."""
        if self._chol is None:
            self._chol = _factor(self._matrix)
        return np.asarray((rng.standard_normal((shape[0], len(self._chol))) @ self._chol.T).reshape(shape))


def likeness(features: np.ndarray, length_scale: float) -> np.ndarray | None:
    """Matérn covariance `(n, n)`, in (0, 1], of how far apart `features` `(n, k)` are, in units of their own spread
    (the root of the variances' sum); None where all are the same."""
    scaled = in_spreads(features)
    return None if scaled is None else likeness_between(scaled, scaled, length_scale)


def leading_likeness(features: np.ndarray, length_scale: float, rank: int) -> np.ndarray | None:
    """`(k, n)`, at most `rank` of them, whose inner products over `k` are `likeness` as nearly as so few can be, with
    ones for each with itself: the first columns of its Cholesky factor, pivoted (Fine and Scheinberg 2001), and scaled.
    Where features are of many kinds, those that no pivot is near come out too much alike."""
    scaled = in_spreads(features)
    if scaled is None:
        return None
    found, left = np.zeros((rank, len(scaled))), np.ones(len(scaled))
    for k in range(rank):
        pivot = int(np.argmax(left))
        if left[pivot] < 1e-6:
            found = found[:k]
            break
        column = (
            likeness_between(scaled, scaled[pivot : pivot + 1], length_scale)[:, 0] - found[:k].T @ found[:k, pivot]
        )
        found[k] = column / np.sqrt(left[pivot])
        left = np.maximum(left - found[k] ** 2, 0.0)
    return np.asarray(found / np.sqrt(np.maximum((found**2).sum(axis=0), 1e-300)))


def in_spreads(features: np.ndarray) -> np.ndarray | None:
    """`features` `(n, k)` about their mean, in units of their own spread; None where all are the same."""
    centred = features - features.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=1).mean())
    return None if spread <= 1e-9 * max(1.0, float(np.abs(features).max())) else centred / spread


def likeness_between(one: np.ndarray, other: np.ndarray, length_scale: float) -> np.ndarray:
    """Matérn covariance `(n, m)` of how far apart features `(n, k)` and `(m, k)` are that `in_spreads` gave."""
    apart = np.zeros((len(one), len(other)))
    for mine, theirs in zip(one.T, other.T, strict=True):  # features are few: one after the other takes a fifth
        apart += (mine[:, None] - theirs) ** 2
    return matern32(np.sqrt(apart, out=apart) / length_scale)


def _factor(gram: np.ndarray) -> np.ndarray:
    return np.linalg.cholesky(gram + 1e-9 * np.eye(len(gram)))
