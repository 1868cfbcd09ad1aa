"""The saliency field: a Gaussian process over the cells of a grid, told of masked queries as linear observations.

A query shows the model a set of cells. It is described from the end that it is nearer to, the baseline (little is
seen) or the whole input (little is hidden):

    g(f(little seen))   = c_seen,k + a . (s - d + e_k) + noise,     a: how much of each cell is seen
    g(f(little hidden)) = c_hidden - a . (s + d + e_k) + noise,     a: how much of each cell is hidden

`s` is the saliency, `d` what sets the two ends apart, `e_k` what sets baseline `k` apart where several hide in turn
(they sum to nothing over `k`). One part of the noise is each answer's own. The other is shared by masks that overlap,
within an end and a baseline: no model is linear, and what a line misses it misses alike for masks that are much the
same. `s = beta h + u`, where `h` is the initial map, standardised, and `u`, `d`, `e_k` are zero-mean GPs. Their
covariance is the sum of two products of Matérn 3/2 over the axes: one with length scales that the evidence chooses,
times one of what the cells look like, for cells that look alike are rather of one thing; one with long ones (with the
first alone the map falls to pieces where the answers say little). It is scaled in each cell by how much the baselines
change that cell, for what hides nothing does nothing, and by what the answers of all classes say (`widths`). `g` is the
log-odds. Everything is Gaussian and closed: this is
Bayesian linear regression (Rasmussen & Williams 2006, chapter 2), and samples are drawn by pathwise conditioning
(Wilson et al. 2020, eq. 10).
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from borex.cholesky import GrowingCholesky
from borex.evidence import fit_hyperparameters, last_stage
from borex.hyperparameters import WIDE, Hyperparameters
from borex.observations import Observations, Relations, between, least_difference, overlap, shared
from borex.prior import Prior
from borex.widths import widened

AT_ONCE = 256  # observations that are solved for: what is made in between does not grow with the square of all


@dataclass(frozen=True)
class _Fit:
    """What some answers say of the field: its prior, with the width of each cell, and the hyperparameters that go with
    it; and those that go with the prior as it was, from which the next search starts."""

    prior: Prior
    hyper: Hyperparameters
    bare: Hyperparameters


class Field:
    """The posterior of the saliency of every cell, given masked queries and what the model answered."""

    def __init__(
        self,
        grid: tuple[int, ...],
        extent: tuple[int, ...],
        initial: np.ndarray | None = None,
        *,
        n_baselines: int = 1,
        change: np.ndarray | None = None,
        appearance: np.ndarray | None = None,
    ) -> None:
        """`grid`: cells on each axis. `extent`: pixels on each axis; only proportions count. `initial`: the initial
        map's mean in each cell `(*grid,)`, any scale; None or constant: flat. `n_baselines`: how many hide in turn.
        `change`: how much they change each cell `(*grid,)`, any scale, ≥ 0; None or zero: every cell alike.
        `appearance`: what each cell looks like, `(*grid, k)`, such as its mean colour, any scale; None: not known."""
        self.grid = grid
        self.n_cells = int(np.prod(grid))
        self._bare = self._prior = Prior(grid, extent, change, appearance)
        self._n_baselines, self._relations = n_baselines, Relations.of(n_baselines)
        self._h: np.ndarray | None = None
        if initial is not None:
            h = np.asarray(initial, dtype=np.float64).ravel()
            if h.std() > 1e-12 * float(np.abs(h).max()):
                self._h = (h - h.mean()) / h.std()
        self._asked = Observations.of(np.empty((0, *grid)))
        self._values = np.empty(0)
        self._outputs: tuple[np.ndarray, ...] = ()
        self.hyperparameters: Hyperparameters | None = None
        self._fits: dict[int, _Fit] = {}  # by the number of answers that they are from
        self._forget()

    # --- observations

    def __len__(self) -> int:
        return len(self._values)

    def observe(
        self,
        coverage: np.ndarray,
        values: np.ndarray,
        fills: np.ndarray | None = None,
        outputs: np.ndarray | None = None,
    ) -> None:
        """Adds queries: `coverage` `(n, *grid)`, the share of each cell that was seen, in [0, 1]; `values` `(n,)`, the
        log-odds answered; `fills` `(n,)`, the number of the baseline that hid the rest, None: the first; `outputs`
        `(n, k)`, all that the model answered, such as the log-probability of every class, None: the values alone."""
        values = np.asarray(values, dtype=np.float64)
        # In one statement: an interrupt comes before it or after it.
        vars(self).update(
            _asked=self._asked + Observations.of(coverage, fills),
            _outputs=(*self._outputs, values[:, None] if outputs is None else np.asarray(outputs)),
            _values=np.concatenate([self._values, values]),
        )

    @property
    def flat(self) -> bool:
        """Whether every answer so far is the same, so that there is nothing to explain."""
        return len(self) > 0 and bool(np.ptp(self._values) <= least_difference(self._values))

    # --- what the posterior says

    def mean(self) -> np.ndarray:
        """Posterior mean of the saliency `(*grid,)`, in log-odds a cell."""
        self._solve()
        return (self._weights() @ self._cross).reshape(self.grid) * self._unit

    def std(self) -> np.ndarray:
        """Posterior standard deviation of the saliency `(*grid,)`, in log-odds a cell, ≥ 0."""
        self._solve()
        half = self._chol.forward(self._cross)
        variance = self._prior_variance() - np.einsum("nc,nc->c", half, half)
        return np.sqrt(np.maximum(variance, 0.0)).reshape(self.grid) * self._unit

    def std_of(self, weights: np.ndarray) -> np.ndarray:
        """Posterior standard deviation `(k,)` of weighted sums of the saliency, `weights` `(k, *grid)`, in log-odds a
        cell, ≥ 0; the covariances between cells are in it, so that for one cell alone it is `std` there."""
        self._solve()
        hyper, rows = self._hyper(), np.asarray(weights, dtype=np.float64).reshape(len(weights), -1)
        variance = hyper.amplitude**2 * self._prior.variance_of(hyper.lengths, rows)
        if self._h is not None:
            variance += (hyper.trust * (rows @ self._h)) ** 2
        at = np.flatnonzero(rows.any(axis=0))  # a frame of many has few of the cells
        half = self._chol.forward(self._cross[:, at] @ rows[:, at].T)
        variance -= np.einsum("nk,nk->k", half, half)
        return np.sqrt(np.maximum(variance, 0.0)) * self._unit

    def trust(self) -> tuple[float, float] | None:
        """Posterior mean and std of beta, in log-odds a cell for one standard deviation of the initial map; None where
        the initial map is flat."""
        if self._h is None:
            return None
        self._solve()
        tau = self._hyper().trust
        covariance = tau**2 * (self._asked.rows @ self._h)
        half = self._chol.forward(covariance)
        variance = max(tau**2 - float((half**2).sum()), 0.0)
        return float(covariance @ self._weights()) * self._unit, float(np.sqrt(variance)) * self._unit

    def samples(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """`n` draws `(n, *grid)` of the saliency from its posterior, in log-odds a cell."""
        self._solve()
        hyper = self._hyper()
        k = self._n_baselines if self._n_baselines > 1 else 0
        drawn = hyper.amplitude * self._prior.draw(hyper.lengths, (2 + k) * n, rng)
        saliency, contrast, *fills = drawn.reshape(2 + k, n, self.n_cells)
        if self._h is not None:
            saliency = saliency + hyper.trust * rng.standard_normal((n, 1)) * self._h
        rows = self._asked.rows
        answers = saliency @ rows.T + hyper.contrast * (contrast @ rows.T) * self._asked.sign
        for number, own in enumerate(fills - np.mean(fills, axis=0) if k else []):
            answers += np.sqrt(k / (k - 1)) * hyper.fills * (own @ rows.T) * (self._asked.fills == number)
        answers += (WIDE * rng.standard_normal((n, 1 + self._n_baselines)))[:, self._asked.group]
        answers += hyper.overlap * self._overlap_draws(n, rng)
        answers += rng.standard_normal(answers.shape) * self._noise(hyper, self._asked)
        residual = self._scaled() - answers
        draws = saliency + self._chol.backward(self._chol.forward(residual.T)).T @ self._cross
        return draws.reshape(n, *self.grid) * self._unit

    def predict(self, coverage: np.ndarray, fills: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation `(n,)` of the answer, noise included, to queries `(n, *grid)`, in log-odds;
        `fills` as in `observe`."""
        self._solve()
        hyper, asked = self._hyper(), Observations.of(coverage, fills)
        applied = self._prior.applied(hyper.lengths, asked.rows)
        half = self._chol.forward(self._covariance(hyper, self._asked, asked, applied))
        own = np.diag(self._covariance(hyper, asked, asked, applied))
        variance = own + self._noise(hyper, asked) ** 2 - (half**2).sum(axis=0)
        mean = half.T @ self._half
        return mean * self._unit + self._centre, np.sqrt(np.maximum(variance, 0.0)) * self._unit

    def evidence(self) -> float:
        """Log marginal likelihood of the answers, scaled to unit variance (Rasmussen & Williams 2006, eq. 2.30)."""
        self._solve()
        half = self._half
        return float(-0.5 * half @ half - self._chol.half_log_det - 0.5 * len(self) * np.log(2 * np.pi))

    # --- hyperparameters

    def fit(self, n: int | None = None) -> None:
        """Chooses the hyperparameters by evidence, from the first `n` answers, in their order, and from nothing else;
        None: from all so far."""
        n = len(self) if n is None else n
        self._forget()
        self._centre, self._unit = self._units(n)
        fitted = self._fitted(n)
        self._prior, self.hyperparameters = fitted.prior, fitted.hyper

    def _fitted(self, n: int) -> _Fit:
        if n not in self._fits:
            before = last_stage(n - 1)
            bare = fit_hyperparameters(self, self._bare, n, self._fitted(before).bare if before else None)
            prior = widened(self, self._bare, n, bare)
            hyper = bare if prior is self._bare else fit_hyperparameters(self, prior, n, bare, has_ladder=False)
            self._fits[n] = _Fit(prior, hyper, bare)
        return self._fits[n]

    def with_hyperparameters(self, **changes: object) -> Field:
        """The same field and observations under other hyperparameters."""
        other = copy(self)
        other._fits = dict(self._fits)
        other.hyperparameters = replace(self._hyper(), **changes)  # type: ignore[arg-type]
        other._forget(keep_scale=True)
        return other

    # --- linear algebra; everything below is in answers minus their centre, divided by their unit

    def _forget(self, keep_scale: bool = False) -> None:
        if not keep_scale:
            self._centre, self._unit = 0.0, 1.0
        self._chol = GrowingCholesky()
        self._cross = np.empty((0, self.n_cells))  # covariance of every observation with every cell's saliency
        self._half = np.empty(0)  # the factor's inverse times the answers
        self._solved: np.ndarray | None = None

    def _hyper(self) -> Hyperparameters:
        if self.hyperparameters is None:
            self.fit()
        assert self.hyperparameters is not None
        return self.hyperparameters

    def _scaled(self) -> np.ndarray:
        return (self._values - self._centre) / self._unit

    def _units(self, n: int) -> tuple[float, float]:
        """Mean and standard deviation of the first `n` answers; 1 where they do not differ."""
        values = self._values[:n] if n else np.zeros(1)
        unit = float(values.std())
        return float(values.mean()), unit if unit > least_difference(values) else 1.0

    def _noise(self, hyper: Hyperparameters, asked: Observations) -> np.ndarray:
        return np.where(asked.hidden, hyper.noise[1], hyper.noise[0])

    def _overlap_draws(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """`n` draws `(n, len(self))` of the shared noise in the answers so far, at unit amplitude."""
        drawn = rng.standard_normal((n, len(self)))
        kind = self._asked.kind
        for at in (np.flatnonzero(kind == one) for one in np.unique(kind)):
            rows = self._asked.rows[at]
            half = np.linalg.cholesky(overlap(rows, rows) + 1e-6 * np.eye(len(at)))
            drawn[:, at] = drawn[:, at] @ half.T
        return drawn

    def _prior_variance(self) -> np.ndarray:
        u = self._hyper().amplitude ** 2 * self._prior.variance
        return u if self._h is None else u + (self._hyper().trust * self._h) ** 2

    def _covariance(
        self, hyper: Hyperparameters, one: Observations, other: Observations, applied: np.ndarray
    ) -> np.ndarray:
        """Covariance without noise between the answers to `one` and to `other`, of which `K a` is `applied`."""
        how = self._relations
        parts = hyper.amplitude**2 * (1 + hyper.contrast**2 * how.ends + hyper.fills**2 * how.fills)
        covariance = one.rows @ applied.T
        covariance *= between(parts, one, other)
        covariance += between(WIDE**2 * how.group, one, other)
        covariance += hyper.overlap**2 * shared(one, other)
        if self._h is not None:
            covariance += hyper.trust**2 * np.outer(one.rows @ self._h, other.rows @ self._h)
        return np.asarray(covariance)

    def _solve(self) -> None:
        """Brings the Cholesky factor up to date: the rows of new observations are appended."""
        if not len(self._chol) == len(self._cross) == len(self._half):  # an interrupt came between them
            self._forget(keep_scale=True)
        hyper, known, n = self._hyper(), len(self._cross), len(self)
        if known == n:
            return
        crosses = [self._cross]
        for old in range(known, n, AT_ONCE):
            asked, new = self._asked[: old + AT_ONCE], self._asked[old : old + AT_ONCE]
            applied = self._prior.applied(hyper.lengths, new.rows)
            columns = self._covariance(hyper, asked, new, applied)
            # The last columns' diagonal is the new observations' own variance.
            columns[np.arange(old, len(asked)), np.arange(len(new))] += self._noise(hyper, new) ** 2 + 1e-9
            self._chol.append(columns)
            crosses.append(hyper.amplitude**2 * applied)
            if self._h is not None:
                crosses[-1] += hyper.trust**2 * np.outer(new.rows @ self._h, self._h)
        self._solved = None
        self._cross = np.concatenate(crosses)
        self._half = self._chol.forward(self._scaled(), self._half)

    def _weights(self) -> np.ndarray:
        if self._solved is None:
            self._solved = self._chol.backward(self._half)
        return self._solved
