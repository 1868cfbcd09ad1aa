"""The loop driven from outside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from borex import Refiner
from borex.errors import BudgetError, InputError
from borex.evaluation import average_precision
from borex.masks import CellMasks
from tests.closed_form import box, bumps, linear, same, share_seen
from tests.test_refine import IMAGE, hint, refined


def scores_of(model: Any, masks: Any) -> np.ndarray:
    return np.asarray(model(np.asarray(masks)[..., None]))


def driven(refiner: Refiner, model: Any, rounds: int = 10**6) -> Refiner:
    while rounds and len(masks := refiner.ask()):
        refiner.tell(masks, scores_of(model, masks))
        rounds -= 1
    return refiner


@pytest.mark.parametrize("method", ["field", "paper"])
@pytest.mark.parametrize("initial", [None, "hint"])
@pytest.mark.parametrize("dense", [False, True])
def test_driven_by_hand_it_is_refine(method: str, initial: Any, dense: bool) -> None:
    model, given = share_seen(box(IMAGE)), hint(IMAGE) if initial else None
    options = {"target": 1, "method": method, "max_evals": 60}
    refiner = Refiner(IMAGE, given, **options)
    while len(masks := refiner.ask()):
        again = refiner.ask()
        assert np.array_equal(np.asarray(masks), np.asarray(again))
        told = np.asarray(masks) if dense else masks
        refiner.tell(told, scores_of(model, told))
    by_hand, all_in_one = refiner.result(), refined(model, IMAGE, given, method=method, max_evals=60)
    if initial is None:
        assert same(by_hand, all_in_one)
    for name in ("saliency", "std"):
        assert np.array_equal(getattr(by_hand, name), getattr(all_in_one, name))


@pytest.mark.parametrize("extent", [(41, 53), (5, 27, 31)])
def test_sizes_that_the_grid_does_not_divide_change_nothing_of_that(extent: tuple[int, ...]) -> None:
    model = linear(bumps(extent))
    results = []
    for dense in (False, True):
        refiner = Refiner(extent, target=1, max_evals=60)
        while len(masks := refiner.ask()):
            refiner.tell(np.asarray(masks, dtype=np.float32) if dense else masks, scores_of(model, masks))
        results.append(refiner.result())
    assert same(*results)


def test_masks_that_were_never_asked_for_are_data() -> None:
    weights = bumps(IMAGE)
    model = linear(weights)
    rng = np.random.default_rng(0)
    masks = np.repeat(np.repeat(rng.random((150, 14, 14)) < 0.5, 3, axis=1), 4, axis=2)
    refiner = Refiner(IMAGE, target=1)
    refiner.tell(masks, scores_of(model, masks))
    assert refiner.evals == 150
    found = refiner.result()
    assert found.stop_reason == "not finished"
    assert np.corrcoef(found.saliency[1::3, 2::4].ravel(), weights[1::3, 2::4].ravel())[0, 1] > 0.5
    assert np.isnan(found.score)
    driven(refiner, model)
    assert refiner.evals == 200
    assert refiner.result().score == pytest.approx(0.9526, abs=1e-3)


@pytest.mark.parametrize("method", ["field", "paper"])
def test_own_masks_between_asking_and_telling(method: str) -> None:
    model = share_seen(box(IMAGE))
    own = np.random.default_rng(1).random((5, *IMAGE)).astype(np.float32) < 0.6
    refiner = Refiner(IMAGE, hint(IMAGE), target=1, method=method, max_evals=80)
    for _ in range(3):
        masks = np.asarray(refiner.ask())
        refiner.tell(own, scores_of(model, own))
        assert np.array_equal(refiner.ask(), masks)
        driven(refiner, model, rounds=1)
    found = driven(refiner, model).result()
    assert 79 <= found.evals <= 80
    tops, values = found.record.coverage[found.record.initial_side], found.record.scores[:, 1]
    assert tops.reshape(6, -1).mean(axis=1) == pytest.approx([0.05, 0.15, 0.4, 0.95, 0.85, 0.6], abs=0.01)
    assert found.check is not None
    for at, measured in [
        (found.record.initial_side, found.check.initial), (found.record.check_side, found.check.refined)
    ]:  # fmt: skip
        assert measured == pytest.approx(np.mean(values[at[:3]] - values[at[3:]]))
    again = found.for_target(1)
    assert np.array_equal(again.saliency, found.saliency)
    assert again.check == found.check


def test_own_masks_after_the_end_are_data_too() -> None:
    model = linear(bumps(IMAGE))
    refiner = driven(Refiner(IMAGE, hint(IMAGE), target=1, max_evals=40), model)
    before = refiner.result()
    own = np.random.default_rng(1).random((200, *IMAGE)) < 0.5
    refiner.tell(own, scores_of(model, own))
    after = refiner.result()
    assert after.evals == before.evals + 200
    assert after.check == before.check
    assert not np.array_equal(after.saliency, before.saliency)
    assert len(refiner.ask()) == 0


def test_a_budget_that_own_masks_have_spent_asks_nothing() -> None:
    refiner = Refiner(IMAGE, hint(IMAGE), target=1, max_evals=20)
    own = np.random.default_rng(1).random((30, *IMAGE)) < 0.5
    refiner.tell(own, scores_of(share_seen(box(IMAGE)), own))
    assert len(refiner.ask()) == 0
    assert refiner.result().stop_reason == "the budget of 20 evaluations is spent"


def test_results_come_at_any_time() -> None:
    model = share_seen(box(IMAGE))
    refiner = Refiner(IMAGE, max_evals=60)
    with pytest.raises(InputError, match="nothing has been told yet"):
        refiner.result()
    while len(masks := refiner.ask()):
        refiner.tell(masks, scores_of(model, masks))
        found = refiner.result()
        assert found.stop_reason == "not finished"
        assert same(found, refiner.result())
    refiner.result().saliency[:] = 7
    assert refiner.result().saliency.max() < 7


def test_asking_for_results_in_between_changes_nothing() -> None:
    runs = []
    for peek in (False, True):
        refiner = Refiner(IMAGE, target=1, max_evals=100)
        while len(masks := refiner.ask()):
            refiner.tell(masks, scores_of(share_seen(box(IMAGE)), masks))
            if peek:
                refiner.result()
        runs.append(refiner.result())
    assert same(*runs)


def test_rounds_grow_with_what_is_known() -> None:
    """As pairs of kept and hidden, 20 masks at first, then a tenth of what was answered; to the last of the budget."""
    weights = bumps(IMAGE)
    refiner = Refiner(IMAGE, max_evals=437, tolerance=0)
    rounds = []
    while len(masks := refiner.ask()):
        rounds.append((refiner.evals, len(masks)))
        refiner.tell(masks, scores_of(linear(weights), masks))
    assert refiner.evals == 437
    assert rounds[0] == (0, 2)
    *rounds, last = rounds[1:]
    for answered, n in rounds:
        assert n % 2 == 0
        assert n == 20 if answered <= 200 else 0.1 * answered - 2 < n <= 0.1 * answered
    assert rounds[-1][1] > 30
    assert last[1] <= 44


def test_one_score_an_input_may_come_without_its_axis() -> None:
    model = share_seen(box(IMAGE))
    one = driven(Refiner(IMAGE, max_evals=40), model).result()
    refiner = Refiner(IMAGE, max_evals=40)
    while len(masks := refiner.ask()):
        refiner.tell(masks, scores_of(model, masks)[:, 1])
    assert np.array_equal(refiner.result().saliency, one.saliency)
    assert refiner.result().target.index == 1


@pytest.mark.parametrize(
    ("masks", "scores", "says"),
    [
        (
            np.ones((2, 4, 5)),
            np.ones((2, 3)) / 3,
            r"masks of shape \(2, 4, 5\) .*expected \(n, 42, 56\) and \(n, classes\)",
        ),
        (np.ones((2, *IMAGE)), np.ones((3, 3)) / 3, r"scores of shape \(3, 3\)"),
        (np.ones((2, *IMAGE)), np.ones((2, 3, 1)) / 3, r"scores of shape \(2, 3, 1\)"),
        (np.ones((2, *IMAGE)), np.ones((2, 0)), "scores of 0 classes; expected at least one"),
        (np.ones((2, *IMAGE)), np.array([[0.5, 0.5], [np.nan, 1]]), "NaN or Inf for mask 1"),
        (
            np.full((2, *IMAGE), 255),
            np.ones((2, 2)) / 2,
            r"values outside \[0, 1\]; expected 1 where the input is kept",
        ),
        (np.full((2, *IMAGE), np.nan), np.ones((2, 2)) / 2, r"values outside \[0, 1\]"),
        ("masks", np.ones((2, 2)) / 2, r"told str and ndarray that make no arrays of numbers .*expected masks"),
        (np.ones((2, *IMAGE)), "scores", r"told ndarray and str that make no arrays of numbers"),
        (1.0, np.ones((2, 2)) / 2, r"masks of shape \(\) .*expected \(n, 42, 56\)"),
        (np.zeros((2, *IMAGE)), np.ones((2, 2)) / 2, "do not include the untouched input.*or give target="),
        (np.ones((2, *IMAGE)), np.array([[0.9, 0.8], [0.9, 0.8]]), "output="),
    ],
)
def test_what_cannot_be_told_leaves_no_trace(masks: np.ndarray, scores: np.ndarray, says: str) -> None:
    refiner = Refiner(IMAGE, max_evals=40)
    refiner.ask()
    with pytest.raises(InputError, match=says):
        refiner.tell(masks, scores)
    assert refiner.evals == len(refiner.coverage) == 0
    assert refiner.target is None
    model = share_seen(box(IMAGE))
    assert same(driven(refiner, model).result(), driven(Refiner(IMAGE, max_evals=40), model).result())


@pytest.mark.parametrize("extent", [5, "ab", (40.5, 56), None, (4, None)])
def test_what_is_no_extent(extent: Any) -> None:
    with pytest.raises(InputError, match=r"the extent is .*; expected whole numbers, \(H, W\) or \(T, H, W\)"):
        Refiner(extent)


def test_another_number_of_classes_midway() -> None:
    refiner = driven(Refiner(IMAGE, max_evals=40), share_seen(box(IMAGE)), rounds=1)
    with pytest.raises(InputError, match="told scores of 3 classes; expected 2 as before"):
        refiner.tell(np.ones((1, *IMAGE)), np.ones((1, 3)) / 3)


def test_logits_that_looked_like_probabilities_are_an_error_that_loses_nothing() -> None:
    refiner = Refiner(IMAGE, max_evals=40)
    masks = refiner.ask()
    refiner.tell(masks, np.array([[0.9], [0.2]]))
    assert refiner.result().record.settings.output == "probabilities"
    masks = refiner.ask()
    with pytest.raises(InputError, match='If they are logits, say output="logits"'):
        refiner.tell(masks, np.linspace(-3, 3, len(masks)))
    assert refiner.evals == 2


def test_what_the_scores_are_is_found_from_all_of_the_first() -> None:
    logits = np.array([[0.4, 0.1], [-3.0, 2.0]])
    refiner = Refiner(IMAGE, max_evals=40)
    refiner.tell(refiner.ask(), logits)
    found = refiner.result()
    assert found.record.settings.output == "logits"
    assert found.score == pytest.approx(1 / (1 + np.exp(-0.3)))
    assert found.for_target(1).score == pytest.approx(1 - found.score)


def test_cells_and_tolerance_that_are_none() -> None:
    for grid in (14, (14.0, 14.0), ("a", "b")):
        with pytest.raises(InputError, match=r"grid is .*; expected 2 whole numbers of cells"):
            Refiner((56, 56), grid=grid)  # type: ignore[arg-type]
    for tolerance in ("x", 1, -0.1, float("nan")):
        with pytest.raises(InputError, match=r"tolerance is .*; expected at least 0"):
            Refiner((56, 56), tolerance=tolerance)  # type: ignore[arg-type]


@pytest.mark.parametrize("initial", [None, "hint"])
def test_windows_may_be_told_one_mask_at_a_time(initial: Any) -> None:
    model, given = share_seen(box(IMAGE)), hint(IMAGE) if initial else None
    # Of cells alike in pixels the means are the same to the last bit, of however many masks they are taken at once.
    one, other = (Refiner(IMAGE, given, target=1, method="paper", max_evals=60, grid=(14, 14)) for _ in range(2))
    driven(one, model)
    while len(masks := np.asarray(other.ask())):
        for mask in masks:
            other.tell(mask[None], scores_of(model, mask[None]))
    assert same(one.result(), other.result())
    assert np.ptp(other.result().saliency) > 0
    again = other.result().for_target(1)
    assert np.array_equal(again.saliency, one.result().saliency)


def test_the_second_half_of_a_window_may_come_after_other_masks() -> None:
    model, own = linear(bumps(IMAGE)), np.random.default_rng(1).random((1, *IMAGE)) < 0.6
    refiner = Refiner(IMAGE, target=1, method="paper", max_evals=61)
    driven(refiner, model, rounds=2)
    pair = np.asarray(refiner.ask())
    for masks in (pair[:1], own):
        refiner.tell(masks, scores_of(model, masks))
    assert np.array_equal(refiner.ask(), pair[1:])
    found = driven(refiner, model).result()
    assert len(found.record.points) == (61 - 2 - 1) // 2
    assert np.array_equal(found.for_target(1).saliency, found.saliency)


def test_a_part_of_the_check_is_known_by_its_cells_to_rounding() -> None:
    """Of how many masks means over cells are taken at once may change their last bits."""
    extent = (100, 100)
    model = share_seen(box(extent))
    refiner = Refiner(extent, hint(extent), target=1, max_evals=60)
    while len(masks := np.asarray(refiner.ask())) and refiner._pending.kind != "check":
        refiner.tell(masks, scores_of(model, masks))
    refiner._pending = replace(refiner._pending, coverage=refiner._pending.coverage + np.float32(3e-8))
    refiner.tell(masks[:1], scores_of(model, masks[:1]))
    assert refiner.result().record.check_side.tolist() == [refiner.evals - 1]
    assert len(refiner.ask()) == len(masks) - 1


@pytest.mark.parametrize("method", ["field", "paper"])
def test_telling_in_parts_or_with_own_masks_between_is_telling_at_once(method: str) -> None:
    """The same is asked, with the same baselines, and as many rounds are counted; own masks are data, nothing else."""
    model = linear(bumps(IMAGE))
    turn = (0, 1, 2) if method == "field" else (0,)
    own = np.random.default_rng(1).random((1, *IMAGE)) < 0.6
    results = []
    for how in ("at once", "one by one", "in any order", "own first", "own among them"):
        refiner = Refiner(IMAGE, hint(IMAGE), target=1, method=method, max_evals=150, turn=turn, tolerance=0)
        is_told = False
        while len(masks := np.asarray(refiner.ask())):
            fills = refiner.fills
            if how == "one by one":
                masks, fills = masks[:1], fills[:1]
            if how == "in any order":
                order = np.random.default_rng(refiner.evals).permutation(len(masks))
                masks, fills = masks[order], fills[order]
            if how.startswith("own") and not is_told and refiner.evals > 20:
                at = 0 if how == "own first" else len(masks) // 2
                if at == 0:
                    refiner.tell(own, scores_of(model, own))
                else:
                    masks = np.concatenate([masks[:at], own, masks[at:]])
                    fills = np.concatenate([fills[:at], [0], fills[at:]])
                is_told = True
            before = refiner.evals
            # The input is hidden by each baseline alone: the same mask as often as there are.
            refiner.tell(masks, scores_of(model, masks), fills if how == "in any order" and before == 0 else None)
            assert refiner.told_fills[before:].tolist() == fills.tolist()
        results.append(refiner.result())
        assert results[-1].check is not None
        assert np.array_equal(results[-1].for_target(1).saliency, results[-1].saliency)
    whole, parts, shuffled, *mixed = results
    # The same masks with the same baselines, and the same windows, in another order.
    assert (shuffled.evals, len(shuffled.history)) == (whole.evals, len(whole.history))
    if method == "paper":
        assert np.allclose(shuffled.saliency, whole.saliency, atol=1e-6 * np.ptp(whole.saliency))
        assert shuffled.check == whole.check
    assert len(whole.history) == len(parts.history)
    assert whole.evals == parts.evals
    assert np.allclose(whole.record.coverage, parts.record.coverage, rtol=0, atol=1e-6)
    assert np.allclose(whole.saliency, parts.saliency, atol=1e-6 * np.ptp(whole.saliency))
    for found in mixed:
        assert 149 <= found.evals <= 150
        assert np.corrcoef(found.saliency.ravel(), whole.saliency.ravel())[0, 1] > 0.9


def test_a_run_told_in_parts_does_not_stop_early() -> None:
    """The ranking moves little from one answer to the next: that is no round."""
    model = share_seen(box(IMAGE))
    for seed in range(4):
        refiner = Refiner(IMAGE, target=1, max_evals=200, seed=seed)
        while len(masks := np.asarray(refiner.ask())):
            refiner.tell(masks[:1], scores_of(model, masks[:1]))
        assert refiner.evals == 200


def test_what_is_refused_changes_nothing() -> None:
    refiner = Refiner(IMAGE, max_evals=60, output="probabilities")
    masks = np.ones((2, *IMAGE), dtype=bool)
    with pytest.raises(InputError):
        refiner.tell(masks, [[0.9, 0.1], [1.7, 0.1]])
    assert (refiner.evals, refiner.target, refiner.score) == (0, None, None)
    refiner.tell(masks, [[0.2, 0.8], [0.2, 0.8]])
    assert refiner.result().target.index == 1


def test_a_map_that_was_looked_at_within_the_check_is_made_anew_with_later_answers() -> None:
    model = linear(bumps(IMAGE))
    refiner = Refiner(IMAGE, hint(IMAGE), target=1, max_evals=60)
    while len(masks := np.asarray(refiner.ask())) and refiner._pending.kind != "check":
        refiner.tell(masks, scores_of(model, masks))
    refiner.tell(masks[:3], scores_of(model, masks[:3]))
    before = refiner.result()
    refiner.tell(masks[3:], scores_of(model, masks[3:]))
    own = np.random.default_rng(1).random((3, *IMAGE)) < 0.5
    refiner.tell(own, scores_of(model, own))
    assert not np.array_equal(refiner.result().saliency, before.saliency)


def test_a_budget_that_the_opening_is_more_than() -> None:
    with pytest.raises(BudgetError, match=r"max_evals is 20, but 22 evaluations .* 21 baselines"):
        Refiner(IMAGE, target=1, max_evals=20, turn=tuple(range(21)))
    with pytest.raises(BudgetError, match=r"22 evaluations .* 15 baselines"):
        Refiner(IMAGE, hint(IMAGE), target=1, max_evals=20, turn=tuple(range(15)))


def test_what_is_left_of_a_budget_is_said() -> None:
    model = share_seen(box(IMAGE))
    assert driven(Refiner(IMAGE, target=1, method="paper", max_evals=21), model).result().stop_reason == (
        "the budget of 21 evaluations is spent; 1 left, too few to ask again"
    )


def test_small_differences_of_small_values_are_no_sameness() -> None:
    model = linear(bumps(IMAGE))
    for method in ("field", "paper"):
        refiner = Refiner(IMAGE, target=lambda s: 1e-11 * s[:, 1], method=method, max_evals=40)
        found = driven(refiner, model).result()
        assert found.evals == 40
        assert np.ptp(found.saliency) > 0


@pytest.mark.filterwarnings("error")
def test_a_field_of_one_cell() -> None:
    refiner = Refiner(IMAGE, target=1, max_evals=100, grid=(1, 1))
    found = driven(refiner, linear(bumps(IMAGE))).result()
    assert all(entry["change"] == 0 for entry in found.history)
    assert np.ptp(found.saliency) == 0


@pytest.mark.parametrize(
    ("extent", "grid"),
    [
        ((224, 224), (20, 20)), ((240, 320), (17, 24)), ((64, 1024), (5, 80)), ((1024, 64), (80, 5)),
        ((1, 500), (1, 400)), ((7, 7), (7, 7)), ((3, 400), (2, 200)), ((16, 112, 112), (8, 14, 14)),
        ((5, 90, 160), (5, 10, 20)), ((1, 224, 224), (1, 20, 20)), ((1, 90, 160), (1, 15, 27)),
    ],
)  # fmt: skip
def test_the_usual_cells_are_nearly_square_and_as_many(extent: tuple[int, ...], grid: tuple[int, ...]) -> None:
    assert Refiner(extent).settings.grid == grid


def test_small_objects_in_a_wide_picture_are_found() -> None:
    """Of 20 x 20 cells each would be 2 pixels high and 26 wide."""
    extent = (48, 512)
    found: dict[Any, list[float]] = {None: [], (20, 20): []}
    for y, x in ((20, 300), (5, 50), (30, 420), (12, 200)):
        truth = np.zeros(extent, dtype=bool)
        truth[y : y + 16, x : x + 16] = True
        for grid, scores in found.items():
            refiner = driven(Refiner(extent, target=1, grid=grid), share_seen(truth))
            scores.append(average_precision(refiner.result().saliency, truth))
    assert np.mean(found[None]) > np.mean(found[20, 20]) + 0.15


def test_what_is_left_of_a_round_stays_cells() -> None:
    """Of a large picture the masks themselves would be larger than all else."""
    refiner = driven(Refiner((900, 900), target=1, max_evals=60), linear(bumps((900, 900))), rounds=1)
    masks = refiner.ask()
    refiner.tell(masks[3:4], [[0.2, 0.5, 0.3]])
    left = refiner.ask()
    assert isinstance(left, CellMasks)
    assert np.array_equal(left.kept, np.delete(masks.kept, 3, axis=0))
    assert np.array_equal(np.asarray(refiner.ask()), np.delete(np.asarray(masks), 3, axis=0))


def test_an_interrupt_while_asking_loses_no_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    refiner = Refiner(IMAGE, max_evals=40)
    with monkeypatch.context() as patch:
        patch.setattr("borex.refiner.coverage_of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            refiner.ask()
    assert np.asarray(refiner.ask())[0].all()
    assert driven(refiner, share_seen(box(IMAGE))).result().score == pytest.approx(0.98)
