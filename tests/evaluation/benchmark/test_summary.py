"""What is said of a table: means, paired comparisons, worst cases, against a second way of working them out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from borex.evaluation.benchmark import Config, Row
from borex.evaluation.benchmark.config import MethodSpec
from borex.evaluation.benchmark.summary import best, by_input, comparisons, mean_interval, means, scores_in, worst
from borex.evaluation.statistics import holm

RNG = np.random.default_rng(0)
N = 12
METHODS = (MethodSpec("ours", "field"), MethodSpec("rise", "rise"), MethodSpec("lrp", "x:lrp", budgets=(1,)))
CONFIG = Config("x", Path(), (), (), METHODS, (100, 200), ours="ours")


def row(name: str, method: str, budget: int, value: float, seed: int = 0, score: str = "deletion") -> Row:
    return Row(name, "photo", "m", method, budget, seed, "done", {score: value})


LEVELS = {("ours", 100): 0.3, ("ours", 200): 0.2, ("rise", 100): 0.5, ("rise", 200): 0.35, ("lrp", 1): 0.28}
VALUES = {key: level + RNG.normal(0, 0.1, N) for key, level in LEVELS.items()}
ROWS = [row(f"i{i}", *key, float(value)) for key, values in VALUES.items() for i, value in enumerate(values)]


def test_means_are_over_inputs_whose_seeds_are_averaged_first() -> None:
    rows = [row("a", "ours", 100, 0.2, seed=0), row("a", "ours", 100, 0.4, seed=1), row("b", "ours", 100, 0.9)]
    rows += [replace(row("c", "ours", 100, 5.0), status="failed")]
    (found,) = means(rows)
    assert (found.n, found.mean) == (2, pytest.approx((0.3 + 0.9) / 2))
    assert found.interval == (pytest.approx(0.3), pytest.approx(0.9))
    assert by_input(rows, "deletion")["m", "ours", 100] == {"a": pytest.approx(0.3), "b": 0.9}
    assert mean_interval(np.array([1.0])) is None


def test_the_interval_of_a_mean_is_about_two_standard_errors() -> None:
    values = np.random.default_rng(2).normal(3, 2, 400)
    interval = mean_interval(values)
    assert interval is not None
    np.testing.assert_allclose(interval, values.mean() + np.array([-1.96, 1.96]) * values.std() / 20, atol=0.03)


def test_comparisons_are_paired_at_equal_budgets_and_corrected_together() -> None:
    found = comparisons(ROWS, CONFIG)
    keys = [(one.ours, one.ours_budget, one.other, one.other_budget) for one in found]
    assert keys == [
        ("ours", 100, "rise", 100),
        ("ours", 100, "lrp", 1),
        ("ours", 200, "rise", 200),
        ("ours", 200, "lrp", 1),
    ]
    p = []
    for one in found:
        gains = VALUES[one.other, one.other_budget] - VALUES[one.ours, one.ours_budget]  # low is good
        p.append(scipy.stats.wilcoxon(gains, alternative="greater").pvalue)
        assert one.result.p == pytest.approx(p[-1])
        assert (one.result.n, one.result.median) == (N, pytest.approx(np.median(gains)))
    np.testing.assert_allclose([one.result.p_holm for one in found], holm(np.array(p)))


def test_what_has_not_run_at_a_budget_yet_is_not_compared_there() -> None:
    rows = [one for one in ROWS if (one.method, one.budget) != ("rise", 200)]
    keys = [(one.ours_budget, one.other, one.other_budget) for one in comparisons(rows, CONFIG)]
    assert keys == [(100, "rise", 100), (100, "lrp", 1), (200, "lrp", 1)]


def test_only_inputs_that_both_have_are_compared() -> None:
    kept = [one for one in ROWS if not (one.method == "rise" and one.input in ("i3", "i7"))]
    shuffled = [kept[i] for i in np.random.default_rng(1).permutation(len(kept))]
    found = {(one.other, one.ours_budget): one.result for one in comparisons(shuffled, CONFIG)}
    assert (found["rise", 100].n, found["lrp", 100].n) == (10, 12)
    without = np.delete(VALUES["rise", 100] - VALUES["ours", 100], [3, 7])
    assert found["rise", 100].median == pytest.approx(np.median(without))
    few = [one for one in ROWS if one.input in ("i0", "i1", "i2", "i3")]
    assert comparisons(few, CONFIG) == []


def test_pairs_of_the_benchmark_come_beside_them() -> None:
    config = replace(CONFIG, ours=None, pairs=(("ours@200", "rise@100"), ("lrp@1", "rise@300")))
    (one,) = comparisons(ROWS, config)
    assert (one.ours, one.ours_budget, one.other, one.other_budget) == ("ours", 200, "rise", 100)
    assert one.result.p_holm == one.result.p
    assert comparisons(ROWS, replace(CONFIG, ours=None)) == []


def test_models_are_not_mixed() -> None:
    other = [replace(one, model="second", scores={"deletion": 1 - one.scores["deletion"]}) for one in ROWS]
    both = comparisons(ROWS + other, CONFIG)
    assert [one for one in both if one.model == "m"] == comparisons(ROWS, CONFIG)
    assert [one.result.median for one in both if one.model == "second"] == pytest.approx(
        [-one.result.median for one in both if one.model == "m"]
    )


def test_the_best_mean_knows_what_is_good() -> None:
    high = [row(one.input, one.method, one.budget, one.scores["deletion"], score="best_f1") for one in ROWS]
    found = means(ROWS + high)
    assert best(found, "m", "deletion", 200) == pytest.approx(VALUES["ours", 200].mean())
    assert best(found, "m", "best_f1", 200) == pytest.approx(VALUES["rise", 200].mean())
    assert scores_in(ROWS + high) == ["deletion", "best_f1"]
    fewer = [one for one in high if one.method != "rise" or one.input != "i4"]
    assert best(means(fewer), "m", "best_f1", 200) == pytest.approx(VALUES["ours", 200].mean())


def test_worst_cases_are_where_another_method_is_most_ahead() -> None:
    found = worst(ROWS, "ours", 200, "deletion", n=3)
    loss = VALUES["ours", 200] - VALUES["rise", 200]
    assert [mine.input for mine, _, _ in found] == [f"i{i}" for i in np.argsort(-loss)[:3]]
    for mine, other, by in found:
        assert (mine.method, other.method) == ("ours", "rise")
        assert by == pytest.approx(mine.scores["deletion"] - other.scores["deletion"])


def test_worst_cases_are_of_each_methods_own_first_seed() -> None:
    later = [replace(one, seed=2 if one.method == "ours" else 0) for one in ROWS]
    other = [replace(one, seed=3, scores={"deletion": 9.0}) for one in ROWS]
    expected = [(mine.input, by) for mine, _, by in worst(ROWS, "ours", 200, "deletion")]
    assert [(mine.input, by) for mine, _, by in worst(later + other, "ours", 200, "deletion")] == expected != []
