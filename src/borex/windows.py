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
# Windows whose distances along the trailing axes are held at once, at most; fewer than the second would be asked for in
# too many steps.
TAIL, LEAST_TAIL = 2**15, 256


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
        sizes = [len(positions) for positions in axes]
        split = next(at for at in range(1, len(axes)) if math.prod(sizes[at:]) <= TAIL or at == len(axes) - 1)
        if split > 1 and math.prod(sizes[split:]) < LEAST_TAIL:
            split -= 1
        head, tail = outer_sum(parts[:split]), outer_sum(parts[split:])
        factor = np.concatenate([self.weights[None], self.whiten]).astype(dtype)
        mean, std = np.empty((2, head.shape[1], tail.shape[1]), dtype)
        for row in range(head.shape[1]):
            for start in range(0, tail.shape[1], BLOCK):
                here = row, slice(start, start + BLOCK)
                projected = factor @ matern32(tail[:, here[1]] + head[:, row, None])
                mean[here] = projected[0]
                std[here] = 1.0 - np.einsum("nm,nm->m", projected[1:], projected[1:])
        np.sqrt(np.maximum(std, 0.0, out=std), out=std)
        return mean.reshape(sizes), std.reshape(sizes)


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
