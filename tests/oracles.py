"""Slow, obvious second implementations, by loops and dense matrices, that the tests compare the library with."""

from __future__ import annotations

from itertools import product

import numpy as np

from borex.field import Field
from borex.hyperparameters import WIDE, Hyperparameters
from borex.prior import ALIKE, LONG

JITTER = 1e-9  # what the field adds to the noise's variance


def matern32(distance: float, length: float) -> float:
    scaled = np.sqrt(3) * abs(distance) / length
    return float((1 + scaled) * np.exp(-scaled))


def alike(appearance: np.ndarray | None, a: tuple[int, ...], b: tuple[int, ...]) -> float:
    """How alike the cells `a` and `b` look."""
    if appearance is None:
        return 1.0
    rows = appearance.reshape(-1, appearance.shape[-1])
    spread = np.sqrt(sum(rows[:, k].var() for k in range(rows.shape[1])))
    return matern32(float(np.linalg.norm(appearance[a] - appearance[b])) / spread, ALIKE)


class DenseField:
    """The field by the book: one Gaussian over [u of every cell, d of every cell, e_k of every cell and baseline, beta,
    the intercepts (of little seen with each baseline, of little hidden)], conditioned on all answers at once
    (Rasmussen & Williams 2006, eq. A.6)."""

    def __init__(
        self,
        field: Field,
        extent: tuple[int, ...],
        initial: np.ndarray | None,
        hyper: Hyperparameters,
        n_baselines: int = 1,
        change: np.ndarray | None = None,
        appearance: np.ndarray | None = None,
    ) -> None:
        grid = field.grid
        self.n_baselines = k = n_baselines
        self.grid, self.hyper = grid, hyper
        self.n = n = int(np.prod(grid))
        cells = list(product(*map(range, grid)))
        lengths = (*hyper.lengths, hyper.lengths[-1])
        unit = unit_of_space(grid, extent)
        early = len(grid) - 2
        long = [LONG * n for n in grid[:early]] + [LONG * min(extent[-2:]) / unit] * 2
        gram = np.zeros((n, n))
        for (i, a), (j, b) in product(enumerate(cells), enumerate(cells)):
            short_part = long_part = 1.0
            for axis in range(len(grid)):
                step = extent[axis] / grid[axis] / unit if axis >= early else 1.0
                short_part *= matern32((a[axis] - b[axis]) * step, lengths[axis])
                long_part *= matern32((a[axis] - b[axis]) * step, long[axis])
            gram[i, j] = short_part * alike(appearance, a, b) + long_part
        if change is not None:
            width = [max(float(value / change.mean()) ** 0.5, 0.05) for value in change.ravel()]
            width = np.array(width) / np.sqrt(sum(value**2 for value in width) / n)
            gram *= np.outer(width, width)
        size = (2 + k) * n + 1 + k + 1
        self.beta_at, self.intercepts_at = (2 + k) * n, (2 + k) * n + 1
        self.prior = np.zeros((size, size))
        self.prior[:n, :n] = hyper.amplitude**2 * gram
        self.prior[n : 2 * n, n : 2 * n] = (hyper.contrast * hyper.amplitude) ** 2 * gram
        h = np.zeros(n)
        if initial is not None and np.ptp(initial) > 0:
            h = (initial.ravel() - initial.mean()) / initial.std()
            self.prior[self.beta_at, self.beta_at] = hyper.trust**2
        if k > 1:  # parts that sum to nothing over the baselines, each of variance 1
            together = (np.eye(k) - 1 / k) * k / (k - 1)
            self.prior[2 * n : (2 + k) * n, 2 * n : (2 + k) * n] = np.kron(
                together, (hyper.fills * hyper.amplitude) ** 2 * gram
            )
        for at in range(self.intercepts_at, size):
            self.prior[at, at] = WIDE**2
        self.h = h
        # s = u + beta h as a matrix on the latent vector.
        self.saliency = np.zeros((n, size))
        self.saliency[:, :n], self.saliency[:, self.beta_at] = np.eye(n), h

    def design(self, coverage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A row of the latent vector for each query, hidden by the baselines two by two, and the variance of its
        noise."""
        rows, noise, n = [], [], self.n
        for number, seen in enumerate(coverage.reshape(len(coverage), n)):
            by = number // 2 % self.n_baselines
            hidden = seen.mean() > 0.5
            a = seen - 1 if hidden else seen  # c_hidden - (1 - seen) . s_hidden, or c_seen + seen . s_seen
            sign = 1.0 if hidden else -1.0
            row = np.zeros(len(self.prior))
            row[:n], row[n : 2 * n], row[(2 + by) * n : (3 + by) * n] = a, sign * a, a
            row[self.beta_at] = a @ self.h
            row[-1 if hidden else self.intercepts_at + by] = 1.0
            rows.append(row)
            noise.append(self.hyper.noise[int(hidden)] ** 2 + JITTER)
        return np.array(rows).reshape(-1, len(self.prior)), np.array(noise)

    def shared(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The covariance of the noise that masks of one end and one baseline share: how much of what either shows (or
        hides) both do, squared."""
        found = np.zeros((len(one), len(other)))
        for (i, a), (j, b) in product(enumerate(one), enumerate(other)):
            ends = a.mean() > 0.5, b.mean() > 0.5
            if ends[0] == ends[1] and i // 2 % self.n_baselines == j // 2 % self.n_baselines:
                a, b = (1 - a, 1 - b) if ends[0] else (a, b)
                both = sum(float(p * q) for p, q in zip(a.ravel(), b.ravel(), strict=True))
                either = float((a**2).sum() + (b**2).sum()) - both
                found[i, j] = (self.hyper.overlap * both / either) ** 2 if either else 0.0
        return found

    def predicted(self, coverage: np.ndarray, scaled: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance, noise included, of the answers to queries `new`."""
        (rows, noise), (asked, own) = self.design(coverage), self.design(new)
        covariance = rows @ self.prior @ rows.T + self.shared(coverage, coverage) + np.diag(noise)
        cross = asked @ self.prior @ rows.T + self.shared(new, coverage)
        before = asked @ self.prior @ asked.T + self.shared(new, new)
        gain = np.linalg.solve(covariance, cross.T).T
        return gain @ scaled, np.diag(before - gain @ cross.T) + own

    def given(self, coverage: np.ndarray, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Posterior mean and covariance of the latent vector, and the log evidence, of answers that are scaled."""
        rows, noise = self.design(coverage)
        covariance = rows @ self.prior @ rows.T + self.shared(coverage, coverage) + np.diag(noise)
        gain = np.linalg.solve(covariance, rows @ self.prior).T
        mean = gain @ scaled
        posterior = self.prior - gain @ rows @ self.prior
        evidence = -0.5 * scaled @ np.linalg.solve(covariance, scaled)
        evidence -= 0.5 * np.linalg.slogdet(covariance)[1] + 0.5 * len(scaled) * np.log(2 * np.pi)
        return mean, posterior, float(evidence)


def unit_of_space(grid: tuple[int, ...], extent: tuple[int, ...]) -> float:
    """Pixels in one unit of the length scale of space."""
    return float(np.sqrt(extent[-2] / grid[-2] * extent[-1] / grid[-1]))


def masked_copy(media: np.ndarray, baseline: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """One masked copy, pixel by pixel."""
    copy = np.empty_like(media)
    for place in np.ndindex(media.shape):
        m = float(mask[place[:-1]])
        value = m * float(media[place]) + (1 - m) * float(baseline[place])
        copy[place] = round(value) if media.dtype.kind in "iu" else value
    return copy


def cell_mean(values: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """The mean over the pixels whose middle lies in each cell."""
    total, count = np.zeros(grid), np.zeros(grid)
    for place in np.ndindex(values.shape):
        cell = tuple(int((at + 0.5) / size * cells) for at, size, cells in zip(place, values.shape, grid, strict=True))
        total[cell] += values[place]
        count[cell] += 1
    return total / count
