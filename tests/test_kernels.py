"""Covariances against scikit-learn and dense Kronecker products."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import Matern

from borex.kernels import apply_product, axis_gram, matern32


def test_matern_is_scikit_learns() -> None:
    at, other = np.random.default_rng(0).normal(size=7), np.random.default_rng(1).normal(size=4)
    expected = Matern(length_scale=1.7, nu=1.5)(at[:, None], other[:, None])
    np.testing.assert_allclose(axis_gram(at, other, 1.7), expected, rtol=0, atol=1e-14)


def test_matern_is_one_at_zero_and_falls() -> None:
    values = matern32(np.linspace(0, 10, 50))
    assert values[0] == 1
    assert (np.diff(values) < 0).all()
    assert (values > 0).all()


@pytest.mark.parametrize(
    ("outs", "ins"), [((3, 5), (2, 4)), ((3, 2, 5), (4, 6, 2)), ((1, 3), (1, 3)), ((2, 3, 4, 2), (3, 1, 2, 5))]
)
def test_a_product_over_axes_is_the_kronecker_product(outs: tuple[int, ...], ins: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    grams = [rng.normal(size=shape) for shape in zip(outs, ins, strict=True)]
    values = rng.normal(size=(3, *ins))
    expected = values.reshape(3, -1) @ reduce(np.kron, grams).T
    np.testing.assert_allclose(apply_product(grams, values).reshape(3, -1), expected, atol=1e-12)
    assert apply_product(grams, values).shape == (3, *outs)
    assert apply_product(grams, values[:0]).shape == (0, *outs)
