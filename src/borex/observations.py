"""Masked queries as the field sees them: linear observations, each from the end that it is nearer to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def evenly(hidden: np.ndarray, most: int) -> np.ndarray:
    """The numbers of at most `most` answers, in rising order, evenly spread over those of each end: `hidden` bool
    `(n,)` says which, so that none is left out where the two take turns."""
    by_end = np.argsort(hidden, kind="stable")
    return np.sort(by_end[np.linspace(0, len(hidden) - 1, min(len(hidden), most)).astype(int)])


def least_difference(values: np.ndarray) -> float:
    """What answers may differ by and are the same: in log-odds 1e-9, of smaller units as small a part of them."""
    return 1e-9 * min(1.0, float(np.abs(values).max()))


@dataclass(frozen=True)
class Observations:
    """What was asked: `rows` `(n, cells)`, the share of each cell that is seen (where at most half of all is) or minus
    the share that is hidden (elsewhere); `hidden` bool `(n,)`, which of the two; `fills` integers `(n,)`, the number of
    the baseline that hides."""

    rows: np.ndarray
    hidden: np.ndarray
    fills: np.ndarray

    @classmethod
    def of(cls, coverage: np.ndarray, fills: np.ndarray | None = None) -> Observations:
        """From the share of each cell that was seen, `(n, *grid)` in [0, 1]; `fills=None`: always the first."""
        seen = np.asarray(coverage, dtype=np.float64).reshape(len(coverage), int(np.prod(np.shape(coverage)[1:])))
        hidden = seen.mean(axis=1) > 0.5
        rows = np.where(hidden[:, None], seen - 1.0, seen)
        return cls(rows, hidden, np.zeros(len(seen), dtype=int) if fills is None else np.asarray(fills, dtype=int))

    @classmethod
    def of_kinds(cls, n_baselines: int) -> Observations:
        """One of each `kind`, in order, of nothing."""
        kinds = np.arange(2 * n_baselines)
        return cls(np.zeros((len(kinds), 0)), kinds % 2 == 1, kinds // 2)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice | np.ndarray) -> Observations:
        return Observations(self.rows[part], self.hidden[part], self.fills[part])

    def __add__(self, other: Observations) -> Observations:
        return Observations(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.hidden, other.hidden]),
            np.concatenate([self.fills, other.fills]),
        )

    @property
    def sign(self) -> np.ndarray:
        """Of `d` in each answer `(n,)`: 1 where little is hidden, -1 where little is seen."""
        return np.where(self.hidden, 1.0, -1.0)

    @property
    def group(self) -> np.ndarray:
        """The intercept of each answer `(n,)`: 0 near the whole input, which is one whatever would hide, 1 + the number
        of the baseline near each baseline."""
        return np.where(self.hidden, 0, 1 + self.fills)

    @property
    def kind(self) -> np.ndarray:
        """The end and the baseline of each answer `(n,)`, as one number: only answers of one kind share noise."""
        return 2 * self.fills + self.hidden


@dataclass(frozen=True)
class Relations:
    """How kinds of answers go together, each `(kinds, kinds)`: `ends`, 1 at the same end and -1 at different ones;
    `fills`, 1 with the same baseline, else what makes the parts of all baselines sum to nothing, 0 where there is but
    one; `group`, 1 where they share an intercept, else 0."""

    ends: np.ndarray
    fills: np.ndarray
    group: np.ndarray

    @classmethod
    def of(cls, n_baselines: int) -> Relations:
        one = Observations.of_kinds(n_baselines)
        same = np.equal.outer(one.fills, one.fills)
        fills = np.where(same, 1.0, -1.0 / (n_baselines - 1)) if n_baselines > 1 else np.zeros(same.shape)
        return cls(np.outer(one.sign, one.sign), fills, np.equal.outer(one.group, one.group).astype(np.float64))


def between(relation: np.ndarray, one: Observations, other: Observations) -> np.ndarray:
    """What a relation of kinds `(kinds, kinds)` is of every two answers, `(n, other n)`."""
    return np.asarray(relation[one.kind][:, other.kind])


def shared(one: Observations, other: Observations) -> np.ndarray:
    """The covariance `(n, other n)` of the noise that answers share: the overlap of what is of one kind, 0 elsewhere.
    Where three baselines hide it is computed for a sixth of all."""
    found = np.zeros((len(one), len(other)))
    mine, theirs = one.kind, other.kind
    for kind in np.intersect1d(mine, theirs):
        at = np.ix_(mine == kind, theirs == kind)
        found[at] = overlap(one.rows[mine == kind], other.rows[theirs == kind])
    return found


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How much `rows` of one end are the same `(n, other n)`, in [0, 1]: 1 for equal ones, 0 where one is empty.

    The square of Tanimoto's coefficient, which is what both show of all that either shows; both are covariances
    (Ralaivola et al. 2005). Squared, it is near 0 for masks that have as much in common as any two have by chance.
    """
    both = one @ other.T
    either = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :] - both
    return np.asarray((both / np.maximum(either, 1e-12)) ** 2)
