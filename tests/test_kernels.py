"""Covariances against scikit-learn and dense Kronecker products."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import Matern

from borex.kernels import Likened, Separable, apply_product, axis_gram, leading_likeness, likeness, matern32, product


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


def test_leading_likeness_is_nearly_likeness() -> None:
    rng = np.random.default_rng(0)
    features = rng.choice([10.0, 90.0, 200.0], size=(60, 1)) * [1.0, 0.7, 0.2] + rng.normal(size=(60, 3)) * 4
    exact = likeness(features, 0.5)
    assert exact is not None
    errors = []
    for rank in (1, 3, 12, 60):
        found = leading_likeness(features, 0.5, rank)
        assert found is not None
        assert found.shape == (rank, 60)
        np.testing.assert_allclose((found**2).sum(axis=0), 1, rtol=1e-9)
        errors.append(np.abs(found.T @ found - exact).max())
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < 0.2  # three things to see
    assert errors[-1] < 1e-6


def test_leading_likeness_of_few_things_takes_few() -> None:
    found = leading_likeness(np.repeat([[1.0], [5.0]], 4, axis=0), 0.5, 6)
    assert found is not None
    assert found.shape == (2, 8)
    assert leading_likeness(np.full((5, 2), 3.0), 0.5, 4) is None


def test_a_product_with_looks_is_the_matrix() -> None:
    rng = np.random.default_rng(0)
    grid = (2, 3, 4)
    grams = [axis_gram(np.arange(n), np.arange(n), 1.5) for n in grid]
    wide = [axis_gram(np.arange(n), np.arange(n), 9.0) for n in grid]
    looks = rng.normal(size=(3, *grid))
    alike = np.einsum("kc,kd->cd", looks.reshape(3, 24), looks.reshape(3, 24))
    separable, exact = Separable([grams, wide], looks), Likened(grams, alike, product(wide))
    values = rng.normal(size=(5, *grid))
    np.testing.assert_allclose(separable.apply(values), exact.apply(values), rtol=1e-4, atol=1e-4)  # single precision
    some = np.array([3, 23, 0, 11])
    np.testing.assert_allclose(separable.between(some), exact.between(some), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(Separable([grams]).between(some), reduce(np.kron, grams)[np.ix_(some, some)], rtol=1e-12)
    drawn = separable.draw((40_000, *grid), rng).reshape(-1, 24)
    covariance = exact.apply(np.eye(24).reshape(24, *grid)).reshape(24, 24)
    assert np.abs(np.cov(drawn.T) - covariance).max() < 0.05 * np.abs(covariance).max()
