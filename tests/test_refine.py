"""`refine` on black boxes of known answer: what is found, what it costs, and that it can be repeated."""

from __future__ import annotations

import pkgutil
import random
from contextlib import nullcontext
from itertools import count
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

import borex
import borex.blackbox
from borex.baselines import usual
from borex.check import N_CHECK
from borex.errors import InputError, ModelOutputError
from borex.evaluation import average_precision
from borex.masks import cell_means
from borex.neighbours import Neighbours
from borex.strategies import FieldStrategy
from tests.closed_form import Counted, box, bumps, flat, interrupted, linear, ones, same, share_seen

IMAGE, CLIP = (42, 56), (6, 28, 35)
LAYOUTS = {2: "HWC", 3: "THWC"}


def refined(model: Any, extent: tuple[int, ...], initial: Any = None, **options: Any) -> borex.Explanation:
    given = {"target": 1, "baseline": "black", "layout": LAYOUTS[len(extent)], **options}
    return borex.refine(model, ones(extent), initial, **given)


def hint(extent: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """A heat map that knows a little: the truth at another resolution, in noise."""
    truth = box(tuple(size // 2 for size in extent)).astype(float)
    return truth + np.random.default_rng(seed).normal(0, 0.5, truth.shape)


# What is found


@pytest.mark.parametrize("extent", [IMAGE, CLIP])
def test_weights_of_a_linear_model_are_recovered(extent: tuple[int, ...]) -> None:
    weights = bumps(extent)
    found = refined(linear(weights), extent, max_evals=300)
    grid = found.record.settings.grid
    around = Neighbours(grid)  # a clip's map is of averages over neighbours; here all look the same
    found_cells, true_cells = (cell_means(values[None].astype(float), grid)[0] for values in (found.saliency, weights))
    if around:
        true_cells = np.stack([around.weights(t) @ true_cells[t].ravel() for t in range(grid[0])])
    cells = [found_cells.ravel(), true_cells.ravel()]
    assert np.corrcoef(*cells)[0, 1] > 0.95
    # Log-odds of a cell: the sum of its pixels' weights.
    per_cell = np.prod(extent) / np.prod(grid)
    assert np.polyfit(cells[1] * per_cell, cells[0], 1)[0] == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("initial", [None, "rise", "hint"])
def test_an_object_is_found(initial: Any) -> None:
    inside = box(IMAGE)
    found = refined(share_seen(inside), IMAGE, hint(IMAGE) if initial == "hint" else initial, max_evals=200)
    assert average_precision(found.saliency, inside) > 0.75


def test_an_object_is_found_in_space_and_time() -> None:
    inside = box(CLIP)
    found = refined(share_seen(inside), CLIP, max_evals=300)
    assert average_precision(found.saliency, inside) > 0.5 > 10 * inside.mean()


@pytest.mark.parametrize("extent", [IMAGE, CLIP])
def test_the_published_method_finds_it_too(extent: tuple[int, ...]) -> None:
    inside = box(extent)
    found = refined(share_seen(inside), extent, hint(extent), method="paper", max_evals=60)
    assert average_precision(found.saliency, inside) > 5 * inside.mean()
    assert found.std.min() > 0


def test_the_true_map_is_trusted_and_noise_is_not() -> None:
    weights = bumps(IMAGE)
    noise = np.random.default_rng(0).normal(size=IMAGE)
    true, false = (refined(linear(weights), IMAGE, initial).trust for initial in (weights, noise))
    assert true is not None
    assert false is not None
    assert true[0] > 4 * true[1]
    assert abs(false[0]) < 0.2 * true[0]


def test_uncertainty_shrinks_with_evaluations() -> None:
    few, many = (refined(linear(bumps(IMAGE)), IMAGE, max_evals=n, seed=1).std.mean() for n in (30, 300))
    assert 0 < many < few


def test_what_comes_back() -> None:
    model = linear(bumps(IMAGE))
    found = refined(model, IMAGE, target=None, max_evals=40)
    assert found.saliency.dtype == found.std.dtype == found.initial.dtype == np.float32
    assert found.saliency.shape == found.std.shape == found.initial.shape == IMAGE
    assert found.target == borex.targets.Target(1, "class 1")
    assert found.score == pytest.approx(1 / (1 + np.exp(-3) + np.exp(-15)))
    assert not found.initial.any()
    assert found.trust is None
    assert found.check is None
    assert [entry["evals"] for entry in found.history] == sorted(entry["evals"] for entry in found.history)
    assert found.record.coverage.shape[0] == found.record.scores.shape[0] == found.evals
    # The first is the untouched input, the second hides all.
    assert found.record.coverage.reshape(found.evals, -1)[:2].mean(axis=1).tolist() == [1, 0]


# What it costs


@pytest.mark.parametrize("method", ["field", "paper"])
@pytest.mark.parametrize("initial", [None, "rise", "hint"])
@pytest.mark.parametrize("max_evals", [20, 37, 101])
def test_the_budget_holds_and_everything_counts(method: str, initial: Any, max_evals: int) -> None:
    model = share_seen(box(IMAGE))
    given = hint(IMAGE) if initial == "hint" else initial
    found = refined(model, IMAGE, given, method=method, max_evals=max_evals, batch_size=7)
    assert model.calls == found.evals
    assert max_evals - 1 <= model.calls <= max_evals  # masks come in pairs
    assert "budget" in found.stop_reason
    assert max(model.batches) <= 7
    assert (found.check is None) == (initial is None)


def test_an_initial_map_by_name_is_data() -> None:
    found = refined(share_seen(box(IMAGE)), IMAGE, "rise", max_evals=100)
    assert found.evals == 100
    soft = ((found.record.coverage > 0.01) & (found.record.coverage < 0.99)).reshape(100, -1).any(axis=1)
    assert soft.sum() >= 20
    assert np.ptp(found.initial) > 0


# Repeatable


@pytest.mark.parametrize("method", ["field", "paper"])
@pytest.mark.parametrize("initial", [None, "rise"])
def test_same_seed_same_bits_whatever_the_batch(method: str, initial: Any) -> None:
    options = {"method": method, "max_evals": 50}
    one = refined(share_seen(box(IMAGE)), IMAGE, initial, batch_size=1, **options)
    for batch_size in (3, 32, 500):
        assert same(one, refined(share_seen(box(IMAGE)), IMAGE, initial, batch_size=batch_size, **options))
    assert not same(one, refined(share_seen(box(IMAGE)), IMAGE, initial, seed=1, **options))


@pytest.mark.parametrize("method", ["field", "paper"])
def test_no_global_random_state_is_touched(method: str) -> None:
    np.random.seed(3)  # noqa: NPY002
    before = str(np.random.get_state()), random.getstate()  # noqa: NPY002
    first = refined(share_seen(box(IMAGE)), IMAGE, "rise", method=method, max_evals=40)
    assert (str(np.random.get_state()), random.getstate()) == before  # noqa: NPY002
    np.random.seed(4)  # noqa: NPY002
    random.seed(4)
    assert same(first, refined(share_seen(box(IMAGE)), IMAGE, "rise", method=method, max_evals=40))


def test_inputs_are_left_as_they_were() -> None:
    media, initial = ones(IMAGE), hint(IMAGE)
    media.setflags(write=False)
    initial.setflags(write=False)
    borex.refine(share_seen(box(IMAGE)), media, initial, target=1, baseline="black", layout="HWC", max_evals=40)


# Nothing to find, nothing to gain, nothing more to learn


@pytest.mark.parametrize("method", ["field", "paper"])
@pytest.mark.parametrize("initial", [None, "rise", "hint"])
def test_a_flat_model_gives_a_flat_map_and_says_why(initial: Any, method: str) -> None:
    model = Counted(flat)
    found = refined(model, IMAGE, hint(IMAGE) if initial == "hint" else initial, target=None, method=method)
    assert "does not depend on what is hidden" in found.stop_reason
    assert found.target.index == 1
    assert model.calls == found.evals < 200
    if found.check is None or found.check.chosen == "refined":
        assert not found.saliency.any()
    assert not found.std.any()


def test_the_initial_map_comes_back_where_refinement_is_worse() -> None:
    # A checkerboard decides, far finer than the cells: only the given map can know them.
    extent = (48, 48)
    weights = np.indices(extent).sum(axis=0) % 2 * 2.0 - 1
    weights = weights / 100

    def model(batch: np.ndarray) -> np.ndarray:
        logit = ((batch[..., 0] != 0) * weights).reshape(len(batch), -1).sum(axis=1)
        return np.stack([0 * logit, logit], axis=1)

    found = borex.refine(model, ones(extent), weights, target=1, baseline="black", output="logits", layout="HWC",
                         max_evals=40)  # fmt: skip
    assert found.check is not None
    assert found.check.chosen == "initial"
    assert found.check.initial > 0.7 > 0.1 > found.check.refined
    assert found.check.gain == found.check.refined - found.check.initial < 0
    assert (found.saliency == weights.astype(np.float32)).all()
    assert "the initial map is returned" in found.summary()
    better = refined(linear(bumps(IMAGE)), IMAGE, -bumps(IMAGE))
    assert better.check is not None
    assert better.check.chosen == "refined"
    assert better.check.gain > 0


def test_it_stops_early_and_says_why() -> None:
    model = linear(bumps((6, 8)))
    found = refined(model, (6, 8), max_evals=2000)
    assert "ranking changed by less than" in found.stop_reason
    assert model.calls == found.evals < 1900
    changes = [entry["change"] for entry in found.history]
    assert max(changes[-2:]) < found.record.settings.tolerance <= max(changes[:-1])


def test_a_model_too_sure_to_be_told_apart_says_so_and_not_that_nothing_matters() -> None:
    def sure(batch: np.ndarray) -> np.ndarray:
        shown = batch.reshape(len(batch), -1).mean(axis=1, dtype=np.float64)
        return np.stack([20 + shown, np.zeros(len(batch))], axis=1)

    found = borex.refine(sure, ones((32, 32)), baseline="black", layout="HWC", max_evals=100)
    assert "raw score" in found.stop_reason
    assert "scores[:, 0]" in found.stop_reason
    raw = borex.refine(sure, ones((32, 32)), baseline="black", layout="HWC", target=lambda scores: scores[:, 0])
    assert raw.saliency.any()


def test_the_history_of_the_published_method_knows_no_change_of_ranking() -> None:
    found = refined(share_seen(box(IMAGE)), IMAGE, None, method="paper", max_evals=40)
    assert found.history
    assert not any("change" in entry for entry in found.history)


def test_a_clip_that_stands_still_is_hidden_as_an_image() -> None:
    # Its mean over time is the clip itself: half of the budget would ask about the untouched input.
    still = np.repeat(np.random.default_rng(0).integers(0, 255, (1, 24, 24, 3), dtype=np.uint8), 6, axis=0)
    untouched = 0

    def model(batch: np.ndarray) -> np.ndarray:
        nonlocal untouched
        untouched += int((batch == still).all(axis=(1, 2, 3, 4)).sum())
        seen = batch[:, :, 4:12, 4:12].mean(axis=(1, 2, 3, 4)) / 255
        return np.stack([seen, 1 - seen], axis=1)

    borex.refine(model, still, layout="THWC", max_evals=60)
    assert untouched == 1
    moving = still * np.arange(6, dtype=np.uint8)[:, None, None, None]
    assert usual("field", still) == usual("field", still[0]) != usual("field", moving)


# What goes wrong, and what is kept


@pytest.mark.parametrize("initial", [None, "rise"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError])
def test_everything_that_was_answered_is_kept(error: type[BaseException], initial: Any) -> None:
    model = share_seen(box((20, 20)))

    def fails(batch: np.ndarray) -> Any:
        if model.calls >= 43:
            raise error("enough")
        return model(batch)

    with pytest.raises(error) as caught:
        refined(fails, (20, 20), initial, max_evals=200, batch_size=1)
    assert caught.value.refiner.evals == 43  # type: ignore[attr-defined]


def test_answers_before_one_that_the_target_cannot_take_are_kept() -> None:
    model = share_seen(box((20, 20)))

    def target(scores: np.ndarray) -> np.ndarray:
        return np.where((scores[:, 1] > 0.5) & (scores[:, 1] < 0.9), np.nan, scores[:, 1])

    with pytest.raises(borex.TargetError, match="returned nan") as caught:
        refined(model, (20, 20), max_evals=100, target=target)
    found = caught.value.refiner
    assert found is not None
    first_bad = next(i for i, p in enumerate(_asked_again(model)[:, 1]) if 0.5 < p < 0.9)
    assert found.evals == first_bad


def _asked_again(model: Any) -> np.ndarray:
    return refined(model, (20, 20), max_evals=100, target=lambda scores: scores[:, 1]).record.scores


def test_a_budget_without_end_takes_no_memory_before_it_is_spent() -> None:
    found = refined(flat, (20, 20), max_evals=10**12)
    assert found.evals < 100
    assert found.record.scores.shape == (found.evals, 3)


def test_a_baseline_of_the_medias_size_comes_to_the_models_extent() -> None:
    rng = np.random.default_rng(0)
    media, baseline = (rng.integers(0, 256, (40, 56, 1), dtype=np.uint8) for _ in range(2))
    seen: list[np.ndarray] = []

    def scores(batch: np.ndarray) -> Any:
        seen.extend(batch)
        return flat(batch)

    model = borex.blackbox.Model(scores, extent=(20, 28))
    expected = baseline.reshape(20, 2, 28, 2, 1).mean(axis=(1, 3))
    coloured = np.repeat(media, 3, axis=-1)
    for given, shown in ((media, baseline), (coloured, baseline), (media, torch.as_tensor(baseline)),
                         (coloured, PIL.Image.fromarray(np.repeat(baseline, 3, axis=-1)))):  # fmt: skip
        seen.clear()
        borex.refine(model, given, baseline=shown, layout="HWC", max_evals=24)
        assert np.abs(seen[1] - expected).max() <= 1
    seen.clear()
    borex.refine(model, coloured, baseline=np.array([[[9, 8, 7]]]), layout="HWC", max_evals=24)
    assert (seen[1] == [9, 8, 7]).all()
    with pytest.raises(InputError, match=r"baseline is ndarray of shape \(5, 5, 1\); .* media's shape \(40, 56, 1\)"):
        borex.refine(model, media, baseline=np.zeros((5, 5, 1)), layout="HWC", max_evals=24)


def test_a_clip_of_fewer_frames_than_cells_loses_none() -> None:
    """The model is shown each of 4 frames four times, looks at the first alone, and the map has 8 cells in time."""
    rng = np.random.default_rng(0)
    clip = (rng.random((4, 28, 28, 3)) * 40).astype(np.uint8)
    clip[:, 4:14, 4:14] = 250

    def first(batch: np.ndarray) -> np.ndarray:
        seen = batch[:, :2, 4:14, 4:14].mean(axis=(1, 2, 3, 4)) / 255 * 12 - 6
        return np.stack([seen, 0 * seen], axis=1)

    model = borex.blackbox.Model(first, extent=(16, 28, 28))
    found = borex.refine(model, clip, max_evals=120, layout="THWC")
    mean, std = found.time_profile()
    whole = borex.refine(model, np.repeat(clip, 4, axis=0), max_evals=120, layout="THWC")
    by_frame = [values.reshape(4, 4).mean(axis=1) for values in whole.time_profile()]
    assert mean[0] > 2 * std[0]
    assert np.allclose(mean, by_frame[0], atol=1e-6 * by_frame[0].max())
    assert np.allclose(std, by_frame[1], rtol=1e-5)
    assert np.allclose(found.saliency, whole.saliency.reshape(4, 4, 28, 28).mean(axis=1), atol=1e-5)


def test_an_initial_maps_frames_are_picked_as_the_medias_are() -> None:
    clip = np.random.default_rng(0).random((3, 28, 28, 3)).astype(np.float32)
    initial = np.zeros((3, 28, 28))
    initial[1] = 1
    model = borex.blackbox.Model(lambda batch: np.stack([batch.mean(axis=(1, 2, 3, 4))] * 2, axis=1) * 3,
                                 extent=(8, 28, 28), output="logits")  # fmt: skip
    found = borex.refine(model, clip, initial, max_evals=40, layout="THWC")
    assert found.record.initial is not None
    assert found.record.initial.mean(axis=(1, 2)).tolist() == [0, 0, 0, 1, 1, 0, 0, 0]


def test_a_baseline_function_may_write_into_what_it_is_given() -> None:
    def black(media: np.ndarray) -> np.ndarray:
        media[...] = 0
        return media

    media = ones((20, 20))
    borex.refine(flat, media, baseline=black, layout="HWC", max_evals=24)
    assert media.all()


@pytest.mark.parametrize("answered", [1, 3, 5])
def test_a_check_that_was_cut_short_goes_on_where_it_was(answered: int) -> None:
    extent, model = (20, 20), share_seen(box((20, 20)))
    whole = refined(model, extent, hint(extent), max_evals=60, batch_size=1)
    assert whole.check is not None
    model.batches.clear()

    def fails(batch: np.ndarray) -> Any:
        if model.calls == 60 - N_CHECK + answered:
            raise RuntimeError("gone")
        return model(batch)

    with pytest.raises(borex.ModelError) as caught:
        refined(fails, extent, hint(extent), max_evals=60, batch_size=1)
    refiner = caught.value.refiner
    assert refiner is not None
    assert refiner.evals == 60 - N_CHECK + answered
    assert refiner.result().check is None
    while len(masks := refiner.ask()):
        seen = np.asarray(masks, dtype=np.uint8)[..., None]
        refiner.tell(masks, model.model(seen))
    assert refiner.evals == 60
    assert refiner.result().check == whole.check


def test_a_result_within_the_check_is_that_of_its_record() -> None:
    extent, model = (20, 20), share_seen(box((20, 20)))

    def fails(batch: np.ndarray) -> Any:
        if model.calls == 60 - N_CHECK + 4:
            raise RuntimeError("gone")
        return model(batch)

    with pytest.raises(borex.ModelError) as caught:
        refined(fails, extent, hint(extent), max_evals=60, batch_size=1)
    assert caught.value.refiner is not None
    found = caught.value.refiner.result()
    again = found.for_target(1)
    assert np.array_equal(found.saliency, again.saliency)
    assert np.array_equal(found.std, again.std)


@pytest.mark.parametrize("initial", [None, "hint"])
def test_what_only_the_ends_tell_is_as_unsure_as_the_prior(initial: Any) -> None:
    extent = (20, 20)
    refiner = borex.Refiner(extent, hint(extent) if initial else None, target=1, output="probabilities")
    refiner.tell(np.stack([np.ones(extent), np.zeros(extent)]), np.array([[0.1, 0.9], [0.9, 0.1]]))
    found = refiner.result()
    assert 0.01 < found.std.max() < 100
    assert found.trust is None or found.trust[1] < 100


def test_a_target_function_that_fits_one_input_at_a_time_is_an_error() -> None:
    with pytest.raises(borex.TargetError, match=r"returned shape \(1,\) for scores \(2, 2\); expected values of shape"):
        refined(share_seen(box((20, 20))), (20, 20), max_evals=24, target=lambda scores: scores[:1, 1])


@pytest.mark.parametrize("fails_at", [2, 9, 30, 41, 97])
@pytest.mark.parametrize("method", ["field", "paper"])
def test_a_run_that_stopped_goes_on_as_if_it_had_not(fails_at: int, method: str) -> None:
    media = np.random.default_rng(0).random((*IMAGE, 3)).astype(np.float32)
    options: dict[str, Any] = {
        "target": 1, "max_evals": 100, "method": method, "batch_size": 1, "layout": "HWC",
        "baseline": ("black", 1.0) if method == "field" else "black",
    }  # fmt: skip

    def model(batch: np.ndarray) -> np.ndarray:
        p = np.clip(batch[:, box(IMAGE)].mean(axis=(1, 2)), 0.01, 0.99)
        return np.stack([1 - p, p], axis=1)

    with pytest.raises(KeyboardInterrupt) as caught:
        borex.refine(interrupted(model, fails_at), media, hint(IMAGE), **options)
    stopped = caught.value.refiner  # type: ignore[attr-defined]
    assert stopped.evals == fails_at - 1
    found = borex.refine(model, media, hint(IMAGE), resume=stopped, **options)
    whole = borex.refine(model, media, hint(IMAGE), **options)
    assert found.evals == whole.evals == 100
    assert np.array_equal(found.record.fills, whole.record.fills)
    for name in ("saliency", "std"):
        values = getattr(whole, name)
        assert np.allclose(getattr(found, name), values, rtol=0, atol=1e-5 * np.abs(values).max())
    for changes in ({"seed": 1}, {"max_evals": 120}):
        with pytest.raises(InputError, match="resume is a Refiner of another run"):
            borex.refine(model, media, hint(IMAGE), resume=stopped, **{**options, **changes})
    for changes, what in (({"target": 0}, "another target"), ({"baseline": 0.5}, "other baselines")):
        if method == "paper" or "target" in changes:  # `field` has two here
            with pytest.raises(InputError, match=f"resume is a Refiner of {what}"):
                borex.refine(model, media, hint(IMAGE), resume=stopped, **{**options, **changes})
    for other, start, what in ((media[::-1], hint(IMAGE), "other media"), (media, -hint(IMAGE), "another initial map")):
        with pytest.raises(InputError, match=f"resume is a Refiner of {what}"):
            borex.refine(model, other, start, resume=stopped, **options)
    with pytest.raises(InputError, match="resume is Explanation; expected the `refiner` of an error"):
        borex.refine(model, media, hint(IMAGE), resume=whole, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("where", "at"),
    [
        ("borex.field.fit_hyperparameters", 3),
        ("borex.field.fit_hyperparameters", 6),  # within the last search, of the result
        ("borex.field.Field.samples", 2),
        ("borex.field.Field.mean", 2),
    ],
)
def test_a_run_that_stopped_between_two_answers_goes_on_as_if_it_had_not(
    where: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = np.random.default_rng(0).random((*IMAGE, 3)).astype(np.float32)
    options: dict[str, Any] = {"target": 1, "max_evals": 150, "baseline": ("black", 1.0), "layout": "HWC"}

    def model(batch: np.ndarray) -> np.ndarray:
        p = np.clip(batch[:, box(IMAGE)].mean(axis=(1, 2)), 0.01, 0.99)
        return np.stack([1 - p, p], axis=1)

    owner, name = where.rsplit(".", 1)
    owned = pkgutil.resolve_name(owner)
    done, called = getattr(owned, name), 0

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        nonlocal called
        called += 1
        found = done(*args, **kwargs)
        if called == at:  # all that it does is done, and lost
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patch:
        patch.setattr(owned, name, interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            borex.refine(model, media, **options)
    stopped = caught.value.refiner  # type: ignore[attr-defined]
    assert 20 < stopped.evals <= 150
    found, whole = borex.refine(model, media, resume=stopped, **options), borex.refine(model, media, **options)
    assert np.array_equal(found.record.coverage, whole.record.coverage)
    assert np.array_equal(found.saliency, whole.saliency)
    assert found.history == whole.history


def test_whatever_stops_a_run_carries_what_was_answered() -> None:
    class Stop(BaseException):
        """As a signal's handler or an event loop raises."""

    model = share_seen(box(IMAGE))

    def stopping(batch: np.ndarray) -> Any:
        if model.calls > 30:
            raise Stop
        return model(batch)

    with pytest.raises(Stop) as caught:
        refined(stopping, IMAGE, max_evals=100)
    assert caught.value.refiner.evals > 20  # type: ignore[attr-defined]


def test_scores_that_are_probabilities_at_first_and_then_are_not_lose_no_answer() -> None:
    """One raw score of a weak model: its first answers lie in [0, 1]."""
    inside = box((20, 20))

    def raw(batch: np.ndarray) -> np.ndarray:
        seen = (batch[..., 0] != 0).astype(float)
        return (seen[:, inside].mean(axis=1) - 0.7 * seen.mean(axis=(1, 2)) + 0.2)[:, None]

    with pytest.raises(InputError, match="its first answers said") as caught:
        refined(raw, (20, 20), max_evals=100)
    first_bad = next(i for i, one in enumerate(_all_raw(raw)) if not 0 <= one <= 1)
    assert caught.value.refiner is not None
    assert caught.value.refiner.evals == first_bad > 2


def _all_raw(raw: Any) -> list[float]:
    found = refined(raw, (20, 20), max_evals=100, output="logits")
    return list(found.record.scores[:, 0])


def test_that_nothing_stands_out_is_said() -> None:
    rng = np.random.default_rng(0)

    def noise(batch: np.ndarray) -> np.ndarray:
        p = rng.uniform(0.4, 0.6, len(batch))
        return np.stack([1 - p, p], axis=1)

    assert "nothing stands out" in refined(noise, IMAGE, max_evals=100).summary()
    assert "nothing stands out" not in refined(share_seen(box(IMAGE)), IMAGE, max_evals=100).summary()


@pytest.mark.parametrize(("fails_at", "has_map"), [(2, True), (3, True), (9, False), (40, True)])
def test_a_run_goes_on_with_the_map_that_it_made(fails_at: int, has_map: bool) -> None:
    model = share_seen(box(IMAGE))
    with pytest.raises(KeyboardInterrupt) as caught:
        refined(interrupted(model, fails_at), IMAGE, "rise", max_evals=100, batch_size=1)
    stopped = caught.value.refiner  # type: ignore[attr-defined]
    expected = nullcontext() if has_map else pytest.warns(UserWarning, match="initial map was not finished")
    with expected:
        found = refined(model, IMAGE, "rise", max_evals=100, batch_size=1, resume=stopped)
    assert found.evals == 100
    assert (found.trust is not None) == has_map
    if has_map:
        whole = refined(model, IMAGE, "rise", max_evals=100, batch_size=1)
        assert np.allclose(found.saliency, whole.saliency, rtol=0, atol=1e-5 * np.abs(whole.saliency).max())


@pytest.mark.parametrize("initial", ["rise", "lime", "shap"])
def test_an_interrupt_once_a_map_is_made_keeps_its_answers(initial: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, done = share_seen(box(IMAGE)), FieldStrategy.note

    def interrupted(*_: Any) -> Any:
        monkeypatch.setattr(FieldStrategy, "note", done)
        raise KeyboardInterrupt

    monkeypatch.setattr(FieldStrategy, "note", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        refined(model, IMAGE, initial, max_evals=200)
    assert caught.value.refiner.evals == model.calls > 40  # type: ignore[attr-defined]


def test_masks_are_numbered_from_the_first_of_the_run() -> None:
    model = share_seen(box(IMAGE))
    with pytest.raises(KeyboardInterrupt) as caught:
        refined(interrupted(model, 15), IMAGE, max_evals=60, batch_size=1)
    with pytest.raises(ModelOutputError, match=r"NaN or Inf for mask 20\b"):
        refined(
            nan_at(model, 7),
            IMAGE,
            max_evals=60,
            batch_size=1,
            resume=caught.value.refiner,  # type: ignore[attr-defined]
        )


def nan_at(model: Any, call: int) -> Any:
    calls = count(1)

    def scores(batch: np.ndarray) -> Any:
        return np.full((len(batch), 2), np.nan) if next(calls) == call else model(batch)

    return scores


def test_an_interrupt_of_the_last_fit_carries_the_refiner(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("borex.refiner.Refiner.result", stopped)
    with pytest.raises(KeyboardInterrupt) as caught:
        refined(share_seen(box(IMAGE)), IMAGE, max_evals=40)
    assert caught.value.refiner.evals == 40  # type: ignore[attr-defined]
