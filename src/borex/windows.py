"""Gaussian-process regression over windows: Matern 3/2 with a length scale for each coordinate, unit amplitude.

A window is a row of coordinates, e.g. `(y, x, half-width)`; nothing here knows what they mean. Used by `published`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

# Windows whose kernel is evaluated at once: with 50 observations a block then stays in a core's cache.
BLOCK = 2048
# Windows in one matrix product of `predict`.
PRODUCT = 2**14
# Multiplications in one matrix product of `on_grid`. OpenBLAS starts its threads above 2^18; for small products that
# costs more than it wins: a scheduler's time slice each, where a model's own threads still hold the cores.
SMALL_PRODUCT = 2**18


def matern32(squares: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Matern 3/2 correlations, in (0, 1], of *three times* the squared scaled distances; `squares` is overwritten.

    Rasmussen & Williams 2006, eq. 4.17.
    """
    root = np.sqrt(squares, out=squares)
    decay: np.ndarray = np.negative(root, out=out)
    np.exp(decay, out=decay)
    root += 1.0
    decay *= root
    return decay


def outer_sum(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Sums `(n, p * q * ...)` of every combination of columns of `(n, p)`, `(n, q)`, ..., the last one fastest."""
    total = parts[0]
    for part in parts[1:]:
        total = (total[:, :, None] + part[:, None, :]).reshape(len(total), total.shape[1] * part.shape[1])
    return total


def log_evidence(
    log_scales: np.ndarray, points: np.ndarray, values: np.ndarray, noise: float
) -> tuple[float, np.ndarray]:
    """Log marginal likelihood of `values` `(n,)` at `points` `(n, k)`, and its gradient `(k,)`.

    `log_scales` `(k,)`: logarithms of the length scales; `noise`: its variance, > 0.
    Rasmussen & Williams 2006, eqs. 2.30 and 5.9.
    """
    squares = 3.0 * ((points[:, None, :] - points[None, :, :]) * np.exp(-log_scales)) ** 2
    distance = squares.sum(axis=2)
    slope = np.exp(-np.sqrt(distance))  # d kernel / d log scale = slope * squares, without a division by zero at 0
    lower = np.linalg.cholesky(matern32(distance) + noise * np.eye(len(points)))
    whiten = np.linalg.inv(lower)
    weights = whiten.T @ (whiten @ values)
    value = -0.5 * values @ weights - np.log(np.diag(lower)).sum() - 0.5 * len(values) * np.log(2 * np.pi)
    inner = (np.outer(weights, weights) - whiten.T @ whiten) * slope
    return float(value), 0.5 * np.tensordot(inner, squares, axes=2)


def fit_length_scales(
    points: np.ndarray, values: np.ndarray, start: np.ndarray, bounds: tuple[np.ndarray, np.ndarray], noise: float
) -> np.ndarray:
    """Length scales `(k,)` at a local maximum of the evidence between `bounds` (lower, upper), climbed to from `start`.

    L-BFGS-B on their logarithms, as scikit-learn's `GaussianProcessRegressor` does without restarts.
    """
    from scipy.optimize import minimize  # here: importing it takes longer than all of borex

    def loss(log_scales: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = log_evidence(log_scales, points, values, noise)
        return -value, -gradient

    limits = list(zip(*np.log(bounds), strict=True))
    scales: np.ndarray = np.exp(minimize(loss, np.log(start), method="L-BFGS-B", jac=True, bounds=limits).x)
    return scales


@dataclass(frozen=True)
class WindowGP:
    """A zero-mean GP conditioned on noisy values at `n` windows. Make one with `WindowGP.given`."""

    points: np.ndarray  # (n, k)
    length_scales: np.ndarray  # (k,), in the units of each coordinate; inf: the coordinate does not matter
    whiten: np.ndarray  # (n, n), inverse of the Cholesky factor of the noisy covariance
    weights: np.ndarray  # (n,), its inverse times the values

    @classmethod
    def given(cls, points: np.ndarray, values: np.ndarray, length_scales: np.ndarray, noise: float) -> WindowGP:
        """The GP that has seen `values` `(n,)`, n >= 0, at `points` `(n, k)`, with noise of variance `noise` > 0.

        Rasmussen & Williams 2006, Alg. 2.1, lines 2 and 3; the inverse factor is harmless with a noise of .01.
        """
        scaled = points / length_scales
        covariance = matern32(3.0 * ((scaled[:, None] - scaled[None, :]) ** 2).sum(axis=2))
        whiten = np.linalg.inv(np.linalg.cholesky(covariance + noise * np.eye(len(points))))
        return cls(points, length_scales, whiten, whiten.T @ (whiten @ values))

    def squares(self, axis: int, positions: np.ndarray) -> np.ndarray:
        """Three times the squared scaled distances `(n, m)` to `positions` `(m,)` along one coordinate."""
        scaled = (positions - self.points[:, axis, None]) * (np.sqrt(3.0) / self.length_scales[axis])
        squares: np.ndarray = scaled**2
        return squares

    def predict(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean and standard deviation (without the noise), each `(m,)`, at windows `(m, k)`."""
        mean, std = np.empty((2, len(at)))
        for start in range(0, len(at), PRODUCT):
            here = slice(start, start + PRODUCT)
            kernel = matern32(np.sum([self.squares(axis, column) for axis, column in enumerate(at[here].T)], axis=0))
            mean[here] = self.weights @ kernel
            std[here] = np.sqrt(np.maximum(1.0 - ((self.whiten @ kernel) ** 2).sum(axis=0), 0.0))
        return mean, std

    def on_grid(self, axes: Sequence[np.ndarray], dtype: DTypeLike = np.float64) -> tuple[np.ndarray, np.ndarray]:
        """The same, each `(len(axes[0]), len(axes[1]), ...)`, at every combination of the axes' positions.

        Squared distances are sums over the axes, so a window costs one addition, root and exponential for each point.
        `dtype`: float32 is twice as fast and within 1e-4.
        """
        parts: list[np.ndarray] = [self.squares(axis, positions).astype(dtype) for axis, positions in enumerate(axes)]
        split = len(axes) - 1
        while split > 1 and math.prod([len(positions) for positions in axes[split - 1 :]]) <= BLOCK:
            split -= 1
        head, tail = outer_sum(parts[:split]), outer_sum(parts[split:])
        n, width = tail.shape
        strip = min(width, max(64, SMALL_PRODUCT // (n * n + n + 1)))
        rows = max(1, min(n + 1, SMALL_PRODUCT // (n * strip + 1)))
        projection = np.zeros((-(-(n + 1) // rows) * rows, n), dtype)
        projection[0], projection[1 : n + 1] = self.weights, self.whiten
        projection = projection.reshape(len(projection) // rows, rows, n)
        distance, kernel = np.empty_like(tail), np.zeros((n, -(-width // strip) * strip), dtype)
        strips = kernel.reshape(n, kernel.shape[1] // strip, strip).transpose(1, 0, 2)[:, None]  # a view
        mean, std = np.empty((2, head.shape[1], width), dtype)
        for block in range(head.shape[1]):
            np.add(tail, head[:, block, None], out=distance)
            matern32(distance, out=kernel[:, :width])
            projected = projection @ strips
            mean[block] = projected[:, 0, 0].ravel()[:width]
            projected[:, 0, 0] = 0.0
            std[block] = 1.0 - np.einsum("sgij,sgij->sj", projected, projected).ravel()[:width]
        np.sqrt(np.maximum(std, 0.0, out=std), out=std)
        shape = [len(positions) for positions in axes]
        return mean.reshape(shape), std.reshape(shape)


def box_means(size: int, centres: np.ndarray, radius: int) -> np.ndarray:
    """Matrix `(size, len(centres))` that averages over the centres at most `radius` pixels from each pixel."""
    near: np.ndarray = np.abs(np.arange(size)[:, None] - centres) <= radius
    weights: np.ndarray = near / near.sum(axis=1, keepdims=True)
    return weights


def lag_weights(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Matrix `(size, m)`: for each row of `a` and `b` `(size, m)`, the sum of `a_i b_j` over all `|i - j|` = lag."""
    m = a.shape[1]
    both = np.fft.irfft(np.fft.rfft(a, 2 * m).conj() * np.fft.rfft(b, 2 * m), 2 * m)
    both[:, 1:m] += both[:, :m:-1]
    lags: np.ndarray = both[:, :m]
    return lags


def along_axes(values: np.ndarray, matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Values `(n, *sizes)` from `(n, *ms)`: a matrix `(size, m)` applied along each axis after the first."""
    for matrix in matrices:  # the axis it removes is always the second, the one it makes is always the last
        values = np.tensordot(values, matrix, axes=(1, 1))
    return values
