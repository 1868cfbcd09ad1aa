"""Which hyperparameters of the field make its answers most likely: evidence, with weak priors.

Length scales move on a ladder, because a new length scale costs a new matrix of covariances; at a given ladder rung the
amplitude, contrast and noises are found by L-BFGS with the analytic gradient (Rasmussen & Williams 2006, eq. 5.9).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from borex.hyperparameters import WIDE, Hyperparameters
from borex.observations import between, evenly, shared

if TYPE_CHECKING:
    from borex.field import Field
    from borex.prior import Prior

# Hyperparameters are few: this many answers, spread over all of them, decide them as well as thousands would.
MAX_ANSWERS = 128
# A search among the first 40, 80, 160, … answers starts where that among half as many ended.
FIRST_STAGE = 40
# Of L-BFGS on a rung of the ladder: steps at most, and the relative gain at which it is close enough.
STEPS, CLOSE = 8, 3e-4
RUNG = 1.4  # between neighbouring length scales
LENGTH, LENGTH_SPREAD = 3.0, 0.7  # cells; median and log-std of the prior of a length scale
# Of log(amplitude of a typical answer, contrast, noise of little seen, noise of little hidden, part of the baselines,
# noise shared by overlap): median and log-std.
CENTRE = np.log([1.0, 0.5, 0.3, 0.3, 0.3, 0.3])
SPREAD = np.array([1.0, 0.7, 1.0, 1.0, 1.0, 1.0])
# Less noise than this is not believed of a linear model: the answers would be interpolated, and the map fall to pieces.
BOUNDS = [(-3.0, 3.0), (-3.0, 0.0), (-2.5, 1.0), (-2.5, 1.0), (-3.0, 0.0), (-3.0, 1.0)]
TRUST = 3.0  # std of what beta times the initial map explains, in standard deviations of the answers: wide


def last_stage(n: int) -> int:
    """The largest of 40, 80, 160, … that is at most `n`; 0 where `n` is less."""
    return FIRST_STAGE << (n // FIRST_STAGE).bit_length() - 1 if n >= FIRST_STAGE else 0


# Covariances at unit amplitude of `u`, of `d`, of `e_k` (None where one baseline hides always) and of the shared noise.
Parts = tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]


@dataclass(frozen=True)
class _Rung:
    """What answers have to do with each other at some length scales, see `negative_log_density`, and the mean variance
    of an answer that `parts` were divided by."""

    parts: Parts
    unit: float


@dataclass(frozen=True)
class _Found:
    """The best that a search found: minus the log density there, and where."""

    cost: float
    theta: np.ndarray
    lengths: tuple[float, ...]


def fit_hyperparameters(
    field: Field, prior: Prior, n: int, start: Hyperparameters | None = None, *, has_ladder: bool = True
) -> Hyperparameters:
    """The hyperparameters with the largest posterior density under `prior`, given the field's first `n` answers,
    searched from `start` or else from the usual values; without `has_ladder` the length scales stay as they are."""
    chosen = evenly(field._asked.hidden[:n], MAX_ANSWERS)
    centre, unit = field._units(n)
    asked, values = field._asked[chosen], (field._values[chosen] - centre) / unit
    how = field._relations
    ends, fills, group = (between(relation, asked, asked) for relation in (how.ends, how.fills, how.group))
    rows, fixed, overlap = asked.rows, WIDE**2 * group, shared(asked, asked)
    trust = TRUST
    if field._h is not None and len(rows):
        explained = rows @ field._h
        spread = float(explained.std())
        trust = TRUST / spread if spread > 1e-9 else TRUST  # no mask has hidden a part yet
        fixed += trust**2 * np.outer(explained, explained)

    lengths = (LENGTH,) * (len(field.grid) - 1) if start is None else start.lengths
    if not len(rows):
        return Hyperparameters(1.0, 0.5, 0.3, lengths, (0.3, 0.3), 0.3, trust)

    @cache
    def rung(lengths: tuple[float, ...]) -> _Rung:
        gram = rows @ prior.applied(lengths, rows).T
        mean = float(np.diag(gram).mean())
        unit = mean if mean > 1e-12 else 1.0
        gram /= unit
        return _Rung((gram, gram * ends, gram * fills if fills.any() else None, overlap), unit)

    def beside(lengths: tuple[float, ...]) -> float:
        return 0.5 * float(((np.log(lengths) - np.log(LENGTH)) ** 2).sum()) / LENGTH_SPREAD**2

    def cost(lengths: tuple[float, ...], theta: np.ndarray) -> float:
        given = rung(lengths).parts, fixed, asked.hidden, values
        return negative_log_density(theta, *given, has_gradient=False)[0] + beside(lengths)

    def best_on(lengths: tuple[float, ...], guess: np.ndarray) -> _Found:
        theta, least = _minimise(guess, rung(lengths).parts, fixed, asked.hidden, values)
        return _Found(least + beside(lengths), theta, lengths)

    guess = CENTRE
    if start is not None:
        amplitude = start.amplitude * np.sqrt(rung(lengths).unit)
        guess = np.log([amplitude, start.contrast, *start.noise, start.fills, start.overlap])
    best = best_on(lengths, guess)
    for axis in range(len(lengths)) if has_ladder else ():
        for step in (RUNG, 1 / RUNG):
            before = best
            while 0.5 <= best.lengths[axis] * step <= 16:
                there = _scaled(best.lengths, axis, step)
                # A neighbour that is worse with what is best here is not searched: measured, that loses nothing.
                if cost(there, best.theta) >= best.cost - 1e-6:
                    break
                best = best_on(there, best.theta)
            if best is not before:
                break  # where longer was better, shorter is not
    amplitude, contrast, seen, hid, by_fill, by_overlap = map(float, np.exp(best.theta))
    amplitude /= float(np.sqrt(rung(best.lengths).unit))
    return Hyperparameters(amplitude, contrast, by_fill, best.lengths, (seen, hid), by_overlap, float(trust))


def _scaled(lengths: tuple[float, ...], axis: int, factor: float) -> tuple[float, ...]:
    return (*lengths[:axis], lengths[axis] * factor, *lengths[axis + 1 :])


def _minimise(guess: np.ndarray, *given: Any) -> tuple[np.ndarray, float]:
    from scipy.optimize import minimize

    def cost(theta: np.ndarray) -> tuple[float, np.ndarray]:
        return negative_log_density(theta, *given)

    found = minimize(cost, guess, jac=True, method="L-BFGS-B", bounds=BOUNDS, options={"maxiter": STEPS, "ftol": CLOSE})
    return np.asarray(found.x), float(found.fun)


def negative_log_density(
    theta: np.ndarray,
    parts: Parts,
    fixed: np.ndarray,
    hidden: np.ndarray,
    values: np.ndarray,
    has_gradient: bool = True,
) -> tuple[float, np.ndarray]:
    """Minus the log of evidence times prior at `theta`, the logs of (amplitude, contrast, noise of little seen, noise
    of little hidden, part of the baselines, noise shared by overlap), up to a constant; and its gradient, zeros without
    `has_gradient`. `fixed`: what no hyperparameter changes; it and `parts` are symmetric."""
    from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

    amplitude, contrast, seen, hid, fills, shared = np.exp(2 * theta)
    gram, by_end, by_fill, by_overlap = parts
    second = (amplitude * contrast) * by_end
    varying = amplitude * gram + second
    third = None if by_fill is None else (amplitude * fills) * by_fill
    if third is not None:
        varying += third
    noise = np.where(hidden, hid, seen)
    covariance = varying + fixed
    covariance += shared * by_overlap
    covariance.flat[:: len(values) + 1] += noise + 1e-9
    # The transpose of a symmetric matrix is itself, in the order that LAPACK takes without a copy.
    chol, failed = dpotrf(covariance.T, lower=1, overwrite_a=1)
    if failed:
        return 1e9, np.zeros(len(theta))
    log_det = np.log(np.diag(chol)).sum()
    weights, _ = dpotrs(chol, values, lower=1)
    away = (theta - CENTRE) / SPREAD
    value = float(0.5 * values @ weights + log_det + 0.5 * away @ away)
    if not has_gradient:  # which is most of the work
        return value, np.zeros(len(theta))
    inverse, _ = dpotri(chol, lower=1, overwrite_c=1)  # its lower triangle; the upper one is zero
    own = np.diag(inverse).copy()

    def slope(part: np.ndarray) -> float:
        trace = 2 * np.vdot(inverse.T, part) - own @ np.diag(part)
        return float(trace - weights @ (part @ weights))

    diagonal = (own - weights**2) * noise
    slopes = [slope(varying), slope(second), diagonal[~hidden].sum(), diagonal[hidden].sum()]
    slopes += [0.0 if third is None else slope(third), shared * slope(by_overlap)]
    return value, np.array(slopes) + away / SPREAD
