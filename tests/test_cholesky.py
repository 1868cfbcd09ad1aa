"""A factor that grows against NumPy's of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from borex.cholesky import BLOCK, GrowingCholesky

SIZES = (3, 1, BLOCK + 5, 2 * BLOCK, 7)  # rows appended at a time: less than, more than and exactly so many blocks


def symmetric(n: int) -> np.ndarray:
    root = np.random.default_rng(0).normal(size=(n, n + 3))
    return root @ root.T / n + 0.1 * np.eye(n)


def grown(matrix: np.ndarray) -> GrowingCholesky:
    factor = GrowingCholesky()
    for new in SIZES:
        stop = len(factor) + new
        factor.append(matrix[:stop, len(factor) : stop])
    return factor


def test_it_solves_as_the_factor_of_the_whole() -> None:
    n = sum(SIZES)
    matrix = symmetric(n)
    chol, factor = np.linalg.cholesky(matrix), grown(matrix)
    assert len(factor) == n
    assert factor.half_log_det == pytest.approx(np.linalg.slogdet(matrix)[1] / 2, abs=1e-9)
    for right in (np.arange(n, dtype=float), np.random.default_rng(1).normal(size=(n, 5))):
        np.testing.assert_allclose(factor.forward(right), np.linalg.solve(chol, right), rtol=0, atol=1e-9 * n)
        np.testing.assert_allclose(factor.backward(right), np.linalg.solve(chol.T, right), rtol=0, atol=1e-9 * n)


def test_what_is_known_is_not_computed_again() -> None:
    matrix = symmetric(9)
    factor = GrowingCholesky()
    factor.append(matrix[:4, :4])
    right = np.arange(9.0)
    known = factor.forward(right[:4])
    factor.append(matrix[:, 4:])
    np.testing.assert_allclose(factor.forward(right, known), factor.forward(right), rtol=0, atol=1e-12)
    assert (factor.forward(right, known + 1)[:4] == known + 1).all()


def test_what_was_given_is_left_as_it_is() -> None:
    matrix, right = symmetric(8), np.ones(8)
    factor = GrowingCholesky()
    factor.append(matrix)
    factor.backward(right)
    factor.forward(right)
    assert (matrix == symmetric(8)).all()
    assert (right == 1).all()


def test_a_matrix_that_is_not_positive_definite_is_an_error() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        GrowingCholesky().append(-np.eye(3))
