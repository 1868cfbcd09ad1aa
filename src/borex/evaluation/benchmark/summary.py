"""What a table of results says: means, paired comparisons, the inputs on which a method did worst."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from borex.errors import InputError
from borex.evaluation.benchmark.config import Config
from borex.evaluation.benchmark.table import LOW_IS_GOOD, SCORES, Row
from borex.evaluation.statistics import Comparison, compare, holm

LEAST = 5  # inputs: with fewer, no signed-rank test can reach p = .05


@dataclass(frozen=True)
class Mean:
    """The mean of a score over inputs (each input's over seeds first): `n` inputs, `interval` of the mean by bootstrap,
    95 %, None for one input."""

    model: str
    method: str
    budget: int
    score: str
    n: int
    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Compared:
    """`ours` against `other` at their budgets, on the inputs that both have; `result.p_holm` is corrected over all
    tests of this model and score."""

    model: str
    score: str
    ours: str
    ours_budget: int
    other: str
    other_budget: int
    result: Comparison


Scored = dict[tuple[str, str, int], dict[str, float]]  # (model, method, budget) -> input -> score


def by_input(rows: Sequence[Row], score: str) -> Scored:
    """Each input's score, its mean over seeds, of the rows that are done and have the score."""
    every: dict[tuple[str, str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.status == "done" and score in row.scores:
            every[row.model, row.method, row.budget][row.input].append(row.scores[score])
    return {key: {name: float(np.mean(values)) for name, values in found.items()} for key, found in every.items()}


def scores_in(rows: Sequence[Row]) -> list[str]:
    """The scores that any row has, in the order of `SCORES`."""
    return [score for score in SCORES if any(score in row.scores for row in rows)]


def means(rows: Sequence[Row]) -> list[Mean]:
    """The mean of every score of every method at every budget."""
    found = []
    for score in scores_in(rows):
        for (model, method, budget), values in by_input(rows, score).items():
            column = np.array(list(values.values()))
            found.append(Mean(model, method, budget, score, column.size, float(column.mean()), mean_interval(column)))
    return found


def mean_interval(values: np.ndarray, resamples: int = 2000) -> tuple[float, float] | None:
    """Bootstrap percentile interval, 95 %, of the mean of `values` `(n,)`; None for n = 1."""
    if values.size < 2:
        return None
    rng = np.random.default_rng(0)
    drawn = values[rng.integers(values.size, size=(resamples, values.size))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def comparisons(rows: Sequence[Row], config: Config) -> list[Compared]:
    """`config.ours` against every other method at the same budget, and `config.pairs`.

    A method whose only budget is 1 (a white-box method, whose price is not counted in model inputs) is compared with
    `ours` at each of its budgets. Pairs with fewer than 5 inputs in common are left out.
    Holm's correction is over all tests of one score and model: over methods and budgets together.
    """
    found: list[Compared] = []
    for score in scores_in(rows):
        scored = by_input(rows, score)
        for model in dict.fromkeys(model for model, _, _ in scored):
            family = []
            for a, b in _pairs(scored, model, config):
                ours, other = scored[model, *a], scored[model, *b]
                both = [name for name in ours if name in other]
                if len(both) >= LEAST:
                    columns = {"a": [ours[name] for name in both], "b": [other[name] for name in both]}
                    result = compare(
                        {name: np.array(column) for name, column in columns.items()}, "a",
                        larger_is_better=score not in LOW_IS_GOOD,
                    )["b"]  # fmt: skip
                    family.append(Compared(model, score, *a, *b, result))
            corrected = holm(np.array([one.result.p for one in family]))
            found += [
                replace(one, result=replace(one.result, p_holm=float(p)))
                for one, p in zip(family, corrected, strict=True)
            ]
    return found


def _pairs(scored: Scored, model: str, config: Config) -> list[tuple[tuple[str, int], tuple[str, int]]]:
    budgets: dict[str, list[int]] = defaultdict(list)
    for name, method, budget in scored:
        if name == model:
            budgets[method].append(budget)
    alone = {one.name: 1 for one in config.methods if one.budgets == (1,)}
    pairs = []
    for budget in sorted(budgets.get(config.ours or "", [])):
        assert config.ours is not None
        for method, own in budgets.items():
            at = budget if budget in own else alone.get(method)
            if method != config.ours and at is not None:
                pairs.append(((config.ours, budget), (method, at)))
    for a, b in config.pairs:
        pair = _spelled(a), _spelled(b)
        if all(budget in budgets.get(method, []) for method, budget in pair) and pair not in pairs:
            pairs.append(pair)
    return pairs


def _spelled(text: str) -> tuple[str, int]:
    method, _, budget = text.rpartition("@")
    return method, int(budget)


def best(found: Sequence[Mean], model: str, score: str, budget: int) -> float:
    """The best mean of a score at a budget, of the methods of the model that have most inputs there: a mean over other
    inputs, of a run that is not done or of a method that failed, is no rival."""
    there = [one for one in found if (one.model, one.score, one.budget) == (model, score, budget)]
    if not there:
        raise InputError(f"no method of {model} has {score} at {budget}")
    n = max(one.n for one in there)
    values = [one.mean for one in there if one.n == n]
    return min(values) if score in LOW_IS_GOOD else max(values)


def over(n: int, of_line: int) -> str:
    """The number of inputs of a cell in a table, where it is not that of its line."""
    return "" if n == of_line else f" ({n})"


def of_first_seeds(rows: Sequence[Row]) -> list[Row]:
    """The rows of each method's first seed: methods may have seeds of their own."""
    first: dict[str, int] = {}
    for row in rows:
        first[row.method] = min(row.seed, first.get(row.method, row.seed))
    return [row for row in rows if row.seed == first[row.method]]


def worst(rows: Sequence[Row], method: str, budget: int, score: str, n: int = 6) -> list[tuple[Row, Row, float]]:
    """The inputs on which `method` loses most to the best of the others at a budget: its row, that other's row, and by
    how much, worst first; ties by name. Of several seeds, each method's first."""
    sign = -1.0 if score in LOW_IS_GOOD else 1.0
    there = [
        row for row in of_first_seeds(rows) if row.status == "done" and row.budget == budget and score in row.scores
    ]
    losses = []
    for mine in (row for row in there if row.method == method):
        others = [
            row for row in there
            if row.method != method and (row.input, row.model) == (mine.input, mine.model)
        ]  # fmt: skip
        if others:
            top = max(others, key=lambda row: sign * row.scores[score])
            losses.append((mine, top, sign * (top.scores[score] - mine.scores[score])))
    return sorted(losses, key=lambda loss: (-loss[2], loss[0].input))[:n]
