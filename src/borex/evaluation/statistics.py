"""Is one method better than the others on the same inputs: paired tests, effects and intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from borex.errors import InputError

# Up to here the distribution of the signed ranks is counted out; scipy does the same where there are no ties.
MAX_EXACT = 50
# Of the largest score: differences as small are rounding, as (0.3 + 0.1) - 0.1 is not 0.3, and would be ranked.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Comparison:
    """Our method against one other on the same inputs. Differences are ours minus theirs, or theirs minus ours where
    smaller scores are better: above 0 is in our favour.

    `n`: pairs. `median`: of the differences, in score units. `interval`: of that median, by bootstrap. `effect`:
    matched-pairs rank-biserial correlation in [-1, 1]. `p`: one-sided, that ours is no better. `p_holm`: `p` after
    Holm's correction for all the comparisons made together.
    """

    n: int
    median: float
    interval: tuple[float, float]
    effect: float
    p: float
    p_holm: float


def compare(
    scores: Mapping[str, np.ndarray],
    ours: str,
    larger_is_better: bool = True,
    seed: int = 0,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> dict[str, Comparison]:
    """`scores[ours]` against each other entry, by its name; the entries hold `(n,)` scores of the same n inputs, in the
    same order.

    `seed`: of the bootstrap; each comparison starts from it, so the result does not depend on which others are made.
    `p_holm` does, as it must. Differences that are only rounding, up to 1e-12 of the largest score, are 0, and those
    whose sizes differ by no more are ties. Raises InputError where there is nothing to compare, n < 2, lengths differ,
    or a score is NaN or Inf.
    """
    values = {name: np.asarray(column, dtype=np.float64) for name, column in scores.items()}
    if ours not in values:
        raise InputError(f"ours is {ours!r}; expected one of {sorted(values)}")
    if len(values) < 2:
        raise InputError(f"the scores hold {ours!r} alone; expected at least one other method to compare it with")
    shape = values[ours].shape
    if len(shape) != 1 or shape[0] < 2:
        raise InputError(f"the scores of {ours!r} have shape {shape}; expected (n,), one score an input, n at least 2")
    for name, column in values.items():
        if column.shape != shape:
            raise InputError(
                f"the scores of {name!r} have shape {column.shape}, those of {ours!r} {shape}; the test is paired: "
                "give both for the same inputs, in the same order"
            )
        if not np.isfinite(column).all():
            raise InputError(
                f"the scores of {name!r} hold NaN or Inf at input {int(np.argmin(np.isfinite(column)))}; expected "
                "finite scores. Leave that input out for every method"
            )
    sign = 1.0 if larger_is_better else -1.0
    gains = {name: _gains(sign * values[ours], sign * column) for name, column in values.items() if name != ours}
    p_values = {name: signed_rank_p(gain) for name, gain in gains.items()}
    corrected = holm(np.array(list(p_values.values())))
    return {
        name: Comparison(
            n=gain.size,
            median=float(np.median(gain)),
            interval=median_interval(gain, np.random.default_rng(seed), confidence, resamples),
            effect=rank_biserial(gain),
            p=p_values[name],
            p_holm=float(p_holm),
        )
        for (name, gain), p_holm in zip(gains.items(), corrected, strict=True)
    }


def _gains(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Ours minus theirs; of sizes that only rounding tells apart each is the smallest, which is 0 next to 0."""
    gain = ours - theirs
    size = np.abs(gain)
    order = np.argsort(size)
    rounding = ROUNDING * max(np.abs(ours).max(), np.abs(theirs).max())
    is_new = np.diff(size[order], prepend=0.0) > rounding
    size[order] = np.maximum.accumulate(np.where(is_new, size[order], 0.0))
    return np.copysign(size, gain)


def signed_rank_p(differences: np.ndarray) -> float:
    """One-sided p of the Wilcoxon signed-rank test that `differences` `(n,)` are not above 0, in (0, 1].

    Zeros are left out (Wilcoxon's way); 1 where nothing is left. Up to 50 differences p is exact, ties included: the
    share of all assignments of signs whose positive rank sum is as large (equal to scipy's where there are no ties).
    Above 50, the normal approximation with correction for ties of `scipy.stats.wilcoxon`.
    """
    from scipy.stats import rankdata, wilcoxon

    differences = differences[differences != 0]
    n = differences.size
    if n == 0:
        return 1.0
    if n > MAX_EXACT:
        return float(wilcoxon(differences, alternative="greater", correction=False, method="approx").pvalue)
    doubled = np.rint(2 * rankdata(np.abs(differences))).astype(np.int64)  # ranks of ties are halves
    share = np.zeros(int(doubled.sum()) + 1)
    share[0] = 1.0
    for rank in doubled:
        shifted = np.zeros_like(share)
        shifted[rank:] = share[: share.size - rank]
        share = (share + shifted) / 2
    return float(min(1.0, share[int(doubled[differences > 0].sum()) :].sum()))


def rank_biserial(differences: np.ndarray) -> float:
    """Matched-pairs rank-biserial correlation: (W+ - W-) / (W+ + W-), in [-1, 1]; 0 where every difference is 0.

    W+ and W- are the sums of the ranks of positive and of negative differences, zeros left out. Kerby 2014, "The simple
    difference formula": the share of evidence in favour minus the share against.
    """
    from scipy.stats import rankdata

    differences = differences[differences != 0]
    if differences.size == 0:
        return 0.0
    ranks = rankdata(np.abs(differences))
    return float((np.sign(differences) * ranks).sum() / ranks.sum())


def median_interval(
    differences: np.ndarray, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 10_000
) -> tuple[float, float]:
    """Bootstrap percentile interval of the median of `differences` `(n,)`, in their units (Efron & Tibshirani 1993,
    section 13.3). The inputs are what is drawn again, with replacement."""
    if not 0 < confidence < 1 or resamples < 1:
        raise InputError(f"confidence is {confidence}, resamples {resamples}; expected between 0 and 1, and at least 1")
    n = differences.size
    medians = np.empty(resamples)
    for first in range(0, resamples, 500):  # bounds memory at 500 n, whatever the number of resamples
        part = medians[first : first + 500]
        part[:] = np.median(differences[rng.integers(n, size=(part.size, n))], axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return float(low), float(high)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's (1979) step-down adjusted p-values `(m,)`, in [0, 1], in the order given."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p, dtype=np.float64)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)))
    return adjusted
