"""Localisation scores against scikit-learn, slow second implementations and cases worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

from borex import evaluation
from borex.errors import InputError
from tests.evaluation import oracles

SCORES = (
    evaluation.average_precision,
    evaluation.best_f1,
    evaluation.mean_f1,
    evaluation.published_product,
    evaluation.pointing_game,
)


@st.composite
def maps_with_ties(draw, extent):
    n = int(np.prod(extent))
    saliency = draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n))
    inside = draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(lambda m: any(m) and not all(m)))
    return np.array(saliency, dtype=float).reshape(extent), np.array(inside).reshape(extent)


@settings(deadline=None, max_examples=100)
@given(st.one_of(maps_with_ties((7, 5)), maps_with_ties((3, 4, 2)), maps_with_ties((9,))))
def test_average_precision_is_scikit_learns(case):
    saliency, inside = case
    expected = average_precision_score(inside.ravel(), saliency.ravel())
    assert evaluation.average_precision(saliency, inside) == pytest.approx(expected, abs=1e-12)


def test_average_precision_is_scikit_learns_on_a_large_map_without_ties():
    rng = np.random.default_rng(0)
    saliency, inside = rng.normal(size=(60, 70)), rng.random((60, 70)) < 0.2
    expected = average_precision_score(inside.ravel(), saliency.ravel())
    assert evaluation.average_precision(saliency, inside) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=25)
@given(maps_with_ties((2, 3)))
def test_inside_ties_precision_and_recall_are_those_of_every_order_averaged(case):
    saliency, inside = case
    precision, recall = oracles.expected_precision_recall(saliency, inside)
    found = evaluation.precision_recall(saliency, inside)
    np.testing.assert_allclose(found[0], precision, atol=1e-12)
    np.testing.assert_allclose(found[1], recall, atol=1e-12)
    assert evaluation.published_product(saliency, inside) == pytest.approx(np.mean(precision * recall))


@settings(deadline=None, max_examples=60)
@given(st.one_of(maps_with_ties((4, 3)), maps_with_ties((2, 3, 2))))
def test_best_f1_is_that_of_the_best_threshold(case):
    saliency, inside = case
    assert evaluation.best_f1(saliency, inside) == pytest.approx(oracles.threshold_f1(saliency, inside))
    by_sklearn = max(f1_score(inside.ravel(), (saliency >= t).ravel()) for t in np.unique(saliency))
    assert evaluation.best_f1(saliency, inside) == pytest.approx(by_sklearn)


def test_a_case_worked_by_hand():
    saliency = np.array([[9.0, 7.0, 8.0], [1.0, 2.0, 3.0]])
    inside = np.array([[True, True, False], [False, False, False]])
    precision, recall = evaluation.precision_recall(saliency, inside)
    np.testing.assert_allclose(precision, [1, 1 / 2, 2 / 3, 2 / 4, 2 / 5, 2 / 6])
    np.testing.assert_allclose(recall, [1 / 2, 1 / 2, 1, 1, 1, 1])
    assert evaluation.average_precision(saliency, inside) == pytest.approx(1 / 2 + 1 / 3)
    assert evaluation.best_f1(saliency, inside) == pytest.approx(4 / 5)
    assert evaluation.mean_f1(saliency, inside) == pytest.approx(np.mean([2 / 3, 2 / 4, 4 / 5, 4 / 6, 4 / 7, 4 / 8]))
    product = np.mean([1 / 2, 1 / 4, 2 / 3, 2 / 4, 2 / 5, 2 / 6])
    assert evaluation.published_product(saliency, inside) == pytest.approx(product)


@pytest.mark.parametrize("extent", [(6, 9), (4, 6, 9)])
def test_a_perfect_map_gets_1_and_a_worst_map_the_closed_form(extent):
    inside = np.zeros(extent, dtype=bool)
    inside[:2, 2:4] = True
    n, m = inside.size, int(inside.sum())
    found = evaluation.localisation(inside * 1.0, inside, tolerance=0)
    assert (found.pointing_game, found.average_precision, found.best_f1) == (True, 1.0, 1.0)
    worst = evaluation.localisation(-1.0 * inside, inside, tolerance=0)
    assert worst.pointing_game is False
    assert worst.average_precision == pytest.approx(m / n)
    assert worst.best_f1 == pytest.approx(2 * m / (n + m))
    rising = np.arange(n, dtype=float).reshape(extent)
    distinct = evaluation.localisation(rising - n * inside, inside, tolerance=0)
    assert distinct.average_precision == pytest.approx(np.mean([k / (n - m + k) for k in range(1, m + 1)]))


def test_the_tolerance_is_a_closed_disc_of_15_pixels():
    inside = np.zeros((40, 60), dtype=bool)
    inside[20, 30] = True

    def points_at(y, x, **tolerance):
        saliency = np.zeros((40, 60))
        saliency[y, x] = 1.0
        return evaluation.pointing_game(saliency, inside, **tolerance)

    assert points_at(20, 45)
    assert not points_at(20, 46)
    assert points_at(32, 39)  # 12, 9: exactly 15
    assert not points_at(32, 40)
    assert not points_at(31, 41)  # inside the square of half-width 15, outside the disc
    assert points_at(20, 30, tolerance=0)
    assert not points_at(20, 31, tolerance=0)


@settings(deadline=None, max_examples=60)
@given(st.one_of(maps_with_ties((5, 7)), maps_with_ties((3, 4, 5))), st.sampled_from([0, 1, 1.5, 2, 3]))
def test_the_pointing_game_is_that_of_a_disc_drawn_pixel_by_pixel(case, tolerance):
    saliency, inside = case
    assert evaluation.pointing_game(saliency, inside, tolerance) == oracles.disc_touches(saliency, inside, tolerance)


def test_a_clip_must_point_in_the_right_frame():
    inside = np.zeros((3, 4, 5), dtype=bool)
    inside[1] = True
    for frame, hit in ((0, False), (1, True), (2, False)):
        saliency = np.zeros((3, 4, 5))
        saliency[frame, 2, 3] = 1.0
        assert evaluation.pointing_game(saliency, inside) is hit


def test_time_alone():
    saliency = np.zeros((4, 3, 2))
    saliency[0, 0, 0] = 3.0  # one bright voxel: mean 0.5
    saliency[1] = 1.0
    saliency[3] = 0.25
    np.testing.assert_allclose(evaluation.time_profile(saliency), [0.5, 1.0, 0.0, 0.25])
    inside = np.zeros((4, 3, 2), dtype=bool)
    inside[1, 2, 1] = inside[3, 0, 0] = True
    # Ranked 1, 0, 3, 2: hits at the first and the third.
    assert evaluation.time_average_precision(saliency, inside) == pytest.approx((1 + 2 / 3) / 2)
    assert evaluation.localisation(saliency, inside).time_average_precision == pytest.approx((1 + 2 / 3) / 2)


def test_pointing_in_time_is_whether_the_peak_of_the_profile_is_in_the_interval():
    saliency = np.zeros((6, 3, 5))
    saliency[1, 0, 0] = 9  # the largest voxel, but not the largest frame
    saliency[4] = 1
    inside = np.zeros((6, 3, 5), dtype=bool)
    inside[2:4, 1] = True
    assert not evaluation.time_pointing_game(saliency, inside)
    assert evaluation.time_pointing_game(saliency, inside, tolerance=1)
    inside[4, 2, 2] = True
    assert evaluation.time_pointing_game(saliency, inside)
    assert evaluation.localisation(saliency, inside).time_pointing_game is True
    assert evaluation.localisation(saliency[4], inside[4]).time_pointing_game is None
    with pytest.raises(InputError, match="tolerance is -1; expected at least 0 frames"):
        evaluation.time_pointing_game(saliency, inside, tolerance=-1)


def test_time_alone_is_left_out_where_it_means_nothing():
    inside = np.zeros((4, 3, 2), dtype=bool)
    inside[:, 1] = True
    saliency = np.arange(24.0).reshape(4, 3, 2)
    assert evaluation.localisation(saliency, inside).time_average_precision is None
    assert evaluation.localisation(saliency[0], inside[0]).time_average_precision is None
    with pytest.raises(InputError, match="all 4 frames"):
        evaluation.time_average_precision(saliency, inside)
    with pytest.raises(InputError, match=r"shape \(3, 2\), with no time axis"):
        evaluation.time_profile(saliency[0])


@settings(deadline=None, max_examples=40)
@given(maps_with_ties((4, 3)))
def test_what_must_not_matter_does_not(case):
    saliency, inside = case
    for score in SCORES[:4]:
        expected = score(saliency, inside)
        assert 0 < expected <= 1
        assert score(saliency.T, inside.T) == expected  # ties and all
        assert score(saliency[None], inside[None]) == expected
        assert score(np.exp(saliency), inside) == expected
    assert evaluation.pointing_game(saliency[None], inside[None]) == evaluation.pointing_game(saliency, inside)


@settings(deadline=None, max_examples=20)
@given(maps_with_ties((2, 4, 3)))
def test_all_at_once_is_one_by_one(case):
    saliency, inside = case
    found = evaluation.localisation(saliency, inside, tolerance=1)
    for score in SCORES[:4]:
        assert getattr(found, score.__name__) == score(saliency, inside)
    assert found.pointing_game == evaluation.pointing_game(saliency, inside, tolerance=1)


@pytest.mark.parametrize("score", [*SCORES, evaluation.localisation, evaluation.precision_recall])
def test_bad_input_is_refused(score):
    saliency, inside = np.arange(12.0).reshape(4, 3), np.arange(12).reshape(4, 3) > 7
    with pytest.raises(InputError, match=r"shape \(3, 4\); expected \(4, 3\), the extent of the object mask"):
        score(saliency.T, inside)
    with pytest.raises(InputError, match="NaN or Inf at 2 of 12"):
        score(np.where(saliency < 2, np.nan, saliency), inside)
    with pytest.raises(InputError, match=r"object mask .* is empty"):
        score(saliency, np.zeros((4, 3), dtype=bool))
    with pytest.raises(InputError, match=r"object mask .* covers every pixel"):
        score(saliency, np.ones((4, 3), dtype=bool))
    with pytest.raises(InputError, match=r"holds uint8; expected bool.*mask > 0"):
        score(saliency, inside.astype(np.uint8))


def test_a_negative_tolerance_is_refused():
    with pytest.raises(InputError, match="tolerance is -1"):
        evaluation.pointing_game(np.arange(3.0), np.arange(3) > 1, tolerance=-1)
