"""Paired statistics against scipy, enumeration and examples worked by hand."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from borex.errors import InputError
from borex.evaluation import compare
from borex.evaluation.statistics import holm, median_interval, rank_biserial, signed_rank_p
from tests.evaluation import oracles


@pytest.mark.parametrize("n", [1, 2, 7, 30, 50, 51, 80])
@pytest.mark.parametrize("shift", [-0.3, 0.0, 0.4])
def test_p_is_scipys(n, shift):
    differences = np.random.default_rng(n).normal(shift, 1, n)
    expected = scipy.stats.wilcoxon(
        differences, alternative="greater", method="exact" if n <= 50 else "approx", correction=False
    ).pvalue
    assert signed_rank_p(differences) == pytest.approx(expected, rel=1e-10)


def test_p_is_scipys_with_many_ties_and_zeros():
    differences = np.random.default_rng(3).integers(-3, 5, 120) / 4.0
    expected = scipy.stats.wilcoxon(differences, alternative="greater", method="approx").pvalue
    assert signed_rank_p(differences) == pytest.approx(expected, rel=1e-10)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_p_is_exact_with_ties_and_zeros(differences):
    expected = oracles.enumerated_signed_rank_p(differences)
    assert signed_rank_p(np.array(differences, dtype=float)) == pytest.approx(expected, abs=1e-12)


def test_p_worked_by_hand():
    # Signed ranks 1, 2, -3, 4: W+ = 7. Of the 16 sums 7 or more: 7 (1 2 4), 7 (3 4), 8, 9, 10.
    assert signed_rank_p(np.array([1.0, 2.0, -3.0, 4.0])) == pytest.approx(5 / 16)
    assert signed_rank_p(np.array([0.1, 0.2, 0.3, 0.4, 0.5])) == pytest.approx(1 / 32)
    assert signed_rank_p(-np.array([0.1, 0.2, 0.3, 0.4, 0.5])) == 1.0
    assert signed_rank_p(np.zeros(6)) == 1.0


def test_effect_worked_by_hand():
    assert rank_biserial(np.array([1.0, 2.0, -3.0, 4.0])) == pytest.approx((7 - 3) / 10)
    assert rank_biserial(np.array([1.0, -1.0, 0.0])) == 0.0  # tied ranks of 1.5 each
    assert rank_biserial(np.array([5.0, -1.0, 1.0])) == pytest.approx((3 + 1.5 - 1.5) / 6)
    assert rank_biserial(np.array([0.3, 2.0])) == 1.0
    assert rank_biserial(np.zeros(4)) == 0.0


def test_holm_worked_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.6, 0.7])), [1.0, 1.0])
    np.testing.assert_allclose(holm(np.array([0.2])), [0.2])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_and_is_at_most_bonferroni(p):
    p = np.array(p)
    corrected = holm(p)
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(1, p * p.size) + 1e-15).all()
    assert (np.argsort(corrected[np.argsort(p, kind="stable")], kind="stable") == np.arange(p.size)).all()
    np.testing.assert_allclose(holm(p[::-1])[::-1], corrected)


def test_the_interval_agrees_with_resampling_one_by_one():
    differences = np.random.default_rng(1).normal(0.2, 1, 41)
    found = median_interval(differences, np.random.default_rng(0), 0.9)
    rng = np.random.default_rng(5)
    medians = sorted(sorted(rng.choice(differences, 41))[20] for _ in range(4000))
    np.testing.assert_allclose(found, (medians[200], medians[3800]), atol=0.06)
    assert found[0] < np.median(differences) < found[1]


def test_the_interval_worked_by_hand():
    # The median of three draws from {0, 0, 6} is 6 when at least two draws are: 7 in 27.
    assert median_interval(np.array([0.0, 0.0, 6.0]), np.random.default_rng(0), 0.6) == (0.0, 6.0)
    assert median_interval(np.array([0.0, 0.0, 6.0]), np.random.default_rng(0), 0.2) == (0.0, 0.0)
    assert median_interval(np.full(5, 2.5), np.random.default_rng(0)) == (2.5, 2.5)


SAMPLE = {name: np.random.default_rng(i).normal(i / 3, 1, 23) for i, name in enumerate(("low", "mid", "high"))}


def test_a_comparison_holds_what_its_parts_give():
    found = compare(SAMPLE, "high")
    assert list(found) == ["low", "mid"]
    p = {name: signed_rank_p(SAMPLE["high"] - SAMPLE[name]) for name in found}
    corrected = dict(zip(found, holm(np.array(list(p.values()))), strict=True))
    for name, one in found.items():
        gain = SAMPLE["high"] - SAMPLE[name]
        assert (one.n, one.median, one.effect) == (23, np.median(gain), rank_biserial(gain))
        assert (one.p, one.p_holm) == (p[name], corrected[name])
        assert one.interval == median_interval(gain, np.random.default_rng(0))


def test_smaller_is_better_turns_every_sign():
    turned = {name: -column for name, column in SAMPLE.items()}
    assert compare(turned, "mid", larger_is_better=False) == compare(SAMPLE, "mid")
    assert compare(SAMPLE, "high")["low"].median > 0 > compare(SAMPLE, "high", larger_is_better=False)["low"].median


def test_other_comparisons_move_only_the_correction():
    both = compare(SAMPLE, "high")["low"]
    alone = compare({name: SAMPLE[name] for name in ("high", "low")}, "high")["low"]
    assert (both.p, both.interval, both.median, both.effect) == (alone.p, alone.interval, alone.median, alone.effect)
    assert alone.p_holm == alone.p
    assert both.p_holm == 2 * both.p


def test_a_seed_repeats_and_the_global_state_is_untouched():
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002 - the global state is what is looked at
    assert compare(SAMPLE, "high", seed=4) == compare(SAMPLE, "high", seed=4)
    assert compare(SAMPLE, "high", seed=4)["low"].interval != compare(SAMPLE, "high", seed=5)["low"].interval
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002


def test_equal_methods_are_not_told_apart():
    same = compare({"a": np.ones(9), "b": np.ones(9)}, "a")["b"]
    assert (same.median, same.interval, same.effect, same.p, same.p_holm) == (0.0, (0.0, 0.0), 0.0, 1.0, 1.0)


@pytest.mark.parametrize("scale", [1.0, 8.192, 1e-300])
@pytest.mark.parametrize("larger_is_better", [True, False])
def test_rounding_is_no_difference(scale, larger_is_better):
    theirs = np.random.default_rng(1).integers(0, 10, 30) / 10 * scale
    noise = 0.1 * scale
    same = compare({"o": (theirs + noise) - noise, "t": theirs}, "o", larger_is_better)["t"]
    assert (same.median, same.interval, same.effect, same.p) == (0.0, (0.0, 0.0), 0.0, 1.0)


def test_gains_that_differ_by_rounding_are_ties():
    tenths = np.random.default_rng(2).integers(-3, 5, 40)
    theirs = np.random.default_rng(1).integers(3, 10, 40) / 10
    assert np.unique(np.abs(theirs + tenths / 10 - theirs)).size > 5
    found = compare({"o": theirs + tenths / 10, "t": theirs}, "o")["t"]
    assert found.p == signed_rank_p(tenths.astype(float))
    assert found.effect == rank_biserial(tenths.astype(float))
    assert found.median == pytest.approx(np.median(tenths) / 10)


@pytest.mark.parametrize(
    ("scores", "ours", "text"),
    [
        ({"a": [1.0, 2.0]}, "b", r"ours is 'b'; expected one of \['a'\]"),
        ({"a": [1.0, 2.0]}, "a", "at least one other method"),
        ({"a": [1.0], "b": [2.0]}, "a", r"shape \(1,\); expected \(n,\).*at least 2"),
        ({"a": [[1.0, 2.0]], "b": [[1.0, 2.0]]}, "a", r"shape \(1, 2\); expected \(n,\)"),
        ({"a": [1.0, 2.0], "b": [1.0, 2.0, 3.0]}, "a", r"'b' have shape \(3,\).*paired"),
        ({"a": [1.0, 2.0], "b": [1.0, np.nan]}, "a", "'b' hold NaN or Inf at input 1"),
    ],
)
def test_bad_scores_are_refused(scores, ours, text):
    with pytest.raises(InputError, match=text):
        compare({name: np.array(column) for name, column in scores.items()}, ours)


@pytest.mark.parametrize("change", [{"confidence": 1.0}, {"resamples": 0}])
def test_a_bad_interval_is_refused(change):
    with pytest.raises(InputError, match="expected between 0 and 1, and at least 1"):
        compare(SAMPLE, "high", **change)
