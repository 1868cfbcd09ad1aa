"""Insertion and deletion against slow second implementations and models known in closed form."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from borex.blackbox import Model
from borex.errors import FileError, InputError, ModelError, TargetError
from borex.evaluation import deletion, insertion, rise_blur
from tests.evaluation import oracles

EXTENTS = [(7, 5), (3, 6, 4), (2, 3, 5, 4), (11,)]


def random_case(extent, channels=2, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    media = rng.integers(1, 250, (*extent, channels)).astype(dtype)
    return media, rng.permutation(np.prod(extent)).reshape(extent).astype(float), rng.normal(size=media.shape) / 20


@pytest.mark.parametrize("extent", EXTENTS)
@pytest.mark.parametrize("steps", [1, 4, 9])
@pytest.mark.parametrize("start", ["blur", "array"])
def test_insertion_equals_turning_pixel_after_pixel(extent, steps, start):
    media, saliency, weights = random_case(extent)
    begin = rise_blur(media) if start == "blur" else np.full_like(media, 3.0)
    shares, scores = oracles.curve_scores(oracles.weighted(weights), begin, media, saliency, 3, steps)
    found = insertion(
        oracles.weighted(weights), media, saliency, 3, start="blur" if start == "blur" else begin, steps=steps
    )
    np.testing.assert_allclose(found.shares, shares, rtol=1e-12)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-12)
    assert found.auc == pytest.approx(oracles.trapezoid(shares, scores), rel=1e-12)


@pytest.mark.parametrize("extent", EXTENTS)
@pytest.mark.parametrize("steps", [1, 4, 9])
def test_deletion_equals_turning_pixel_after_pixel(extent, steps):
    media, saliency, weights = random_case(extent, seed=1)
    blank = np.full_like(media, 9.0)
    shares, scores = oracles.curve_scores(oracles.weighted(weights), media, blank, saliency, 2, steps)
    found = deletion(oracles.weighted(weights), media, saliency, 2, baseline=9.0, steps=steps)
    np.testing.assert_allclose(found.shares, shares, rtol=1e-12)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-12)
    assert found.auc == pytest.approx(oracles.trapezoid(shares, scores), rel=1e-12)


@pytest.mark.parametrize("extent", [(6, 5), (3, 5, 4)])
def test_a_perfect_and_a_worst_map_give_the_closed_form(extent):
    media, _, _ = random_case(extent)
    needed = np.zeros(extent, dtype=bool)
    needed[..., 1:3, 2:4] = True
    n, m = needed.size, int(needed.sum())
    model = oracles.all_visible(media, needed)
    perfect, worst = needed.astype(float), -needed.astype(float)
    assert insertion(model, media, perfect, 1, start=0.0, steps=n).auc == pytest.approx((n - m + 0.5) / n)
    assert insertion(model, media, worst, 1, start=0.0, steps=n).auc == pytest.approx(0.5 / n)
    assert deletion(model, media, perfect, 1, baseline=0.0, steps=n).auc == pytest.approx(0.5 / n)
    assert deletion(model, media, worst, 1, baseline=0.0, steps=n).auc == pytest.approx((n - m + 0.5) / n)
    share = oracles.share_visible(media, needed)
    assert insertion(share, media, perfect, 1, start=0.0, steps=n).auc == pytest.approx(1 - m / (2 * n))
    assert deletion(share, media, perfect, 1, baseline=0.0, steps=n).auc == pytest.approx(m / (2 * n))


def test_a_map_of_one_decisive_pixel_comes_to_1_and_0_as_pixels_grow():
    media = np.ones((90, 110, 1))
    needed = np.zeros((90, 110), dtype=bool)
    needed[40, 70] = True
    model = oracles.all_visible(media, needed)
    found = insertion(model, media, needed * 1.0, 1, start=0.0)
    assert found.scores[1:].min() == 1.0
    assert found.auc > 0.99
    found = deletion(model, media, needed * 1.0, 1, baseline=0.0)
    assert found.scores[1:].max() == 0.0
    assert found.auc < 0.01


def test_the_curves_begin_and_end_where_they_say():
    media, saliency, weights = random_case((7, 5))
    model = oracles.weighted(weights)

    def alone(image):
        return insertion(model, image, saliency, 3, start=image, steps=1).scores[0]

    up, down = insertion(model, media, saliency, 3, steps=6), deletion(model, media, saliency, 3, baseline=5.0, steps=6)
    assert up.scores[0] == alone(rise_blur(media))
    assert up.scores[-1] == down.scores[0] == alone(media)
    assert down.scores[-1] == alone(np.full_like(media, 5.0))
    assert len({alone(media), alone(rise_blur(media)), alone(np.full_like(media, 5.0))}) == 3


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_the_batch_size_changes_no_bit(batch_size):
    media, saliency, weights = random_case((3, 7, 5))
    seen: list[int] = []
    found = insertion(oracles.weighted(weights, seen), media, saliency, 3, steps=17, batch_size=batch_size)
    whole = insertion(oracles.weighted(weights), media, saliency, 3, steps=17, batch_size=18)
    assert found.scores.tobytes() == whole.scores.tobytes()
    assert max(seen) == min(batch_size, 18)
    assert sum(seen) == 18


def test_masks_are_streamed():
    media, saliency = np.ones((64, 48, 1)), np.arange(64.0 * 48).reshape(64, 48)
    tracemalloc.start()
    deletion(lambda x: np.full((len(x), 2), 0.5), media, saliency, 1, baseline=0.0, steps=3000, batch_size=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6  # the masks of all steps together take 9.2 MB


def test_transposing_media_and_map_changes_nothing():
    media, saliency, weights = random_case((7, 5), dtype=np.uint8)
    media2, saliency2, weights2 = media.swapaxes(0, 1), saliency.T, weights.swapaxes(0, 1)
    for run in (
        lambda w, x, s: insertion(oracles.weighted(w), x, s, 3, steps=8),
        lambda w, x, s: insertion(oracles.weighted(w), x, s, 3, start=7, steps=8),
        lambda w, x, s: deletion(oracles.weighted(w), x, s, 3, baseline=7, steps=8),
    ):
        np.testing.assert_allclose(
            run(weights, media, saliency).scores, run(weights2, media2, saliency2).scores, rtol=1e-9
        )


def test_a_clip_of_one_frame_equals_its_image():
    media, saliency, weights = random_case((7, 5), dtype=np.uint8)
    image = insertion(oracles.weighted(weights), media, saliency, 3, steps=8)
    clip = insertion(oracles.weighted(weights[None]), media[None], saliency[None], 3, steps=8)
    assert image.scores.tobytes() == clip.scores.tobytes()


def test_ties_keep_their_position():
    media, _, weights = random_case((4, 3))
    by_position = -np.arange(12.0).reshape(4, 3)
    for flat in (np.zeros((4, 3)), np.zeros((4, 3), dtype=np.uint8), np.ones((4, 3), dtype=bool)):
        found = insertion(oracles.weighted(weights), media, flat, 3, steps=12)
        assert (found.scores == insertion(oracles.weighted(weights), media, by_position, 3, steps=12).scores).all()


def test_unsigned_maps_rank_as_their_values_do():
    media, saliency, weights = random_case((4, 3))
    assert (
        insertion(oracles.weighted(weights), media, saliency.astype(np.uint8), 3).scores
        == insertion(oracles.weighted(weights), media, saliency, 3).scores
    ).all()


def test_more_steps_than_pixels_are_as_many_as_pixels():
    media, saliency, weights = random_case((4, 3))
    found = insertion(oracles.weighted(weights), media, saliency, 3, steps=224)
    np.testing.assert_allclose(found.shares, np.arange(13) / 12)


def test_steps_that_do_not_divide_the_pixels_differ_by_one():
    media, saliency, weights = random_case((7, 5))
    pixels = np.diff(insertion(oracles.weighted(weights), media, saliency, 3, steps=9).shares) * 35
    assert {round(p) for p in pixels} == {3, 4}


def test_a_target_may_be_a_function_of_the_probabilities():
    media, saliency, weights = random_case((7, 5))
    model = oracles.weighted(weights)
    one, other = (insertion(model, media, saliency, c, steps=8).scores for c in (4, 1))
    against = insertion(model, media, saliency, lambda p: p[:, 4] - p[:, 1], steps=8).scores
    np.testing.assert_allclose(against, one - other, atol=1e-15)


def test_one_column_is_two_classes():
    media, saliency = np.ones((5, 4, 1)), np.arange(20.0).reshape(5, 4)
    found = insertion(lambda x: x.mean(axis=(1, 2)), media, saliency, 1, start=0.0, steps=20)
    np.testing.assert_allclose(found.scores, np.arange(21) / 20)


def test_stated_logits_are_not_guessed():
    media, saliency = np.ones((5, 4, 1)), np.arange(20.0).reshape(5, 4)
    model = Model(lambda x: oracles.two_classes(x.mean(axis=(1, 2, 3))), output="logits")
    assert insertion(model, media, saliency, 1, start=0.0).scores[-1] == pytest.approx(np.e / (1 + np.e))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-4, 4), min_size=30, max_size=30), st.integers(1, 40), st.integers(1, 7))
def test_insertion_and_deletion_mirror_each_other_for_an_additive_model(values, steps, batch_size):
    media, saliency = np.full((6, 5, 3), 2.0), np.array(values, dtype=float).reshape(6, 5)
    needed = np.arange(30).reshape(6, 5) % 4 == 0
    model = oracles.share_visible(media, needed)
    up = insertion(model, media, saliency, 1, start=0.0, steps=steps, batch_size=batch_size)
    down = deletion(model, media, saliency, 1, baseline=0.0, steps=steps, batch_size=batch_size)
    np.testing.assert_allclose(up.scores + down.scores, 1.0, atol=1e-12)
    assert up.auc + down.auc == pytest.approx(1.0)
    assert (np.diff(up.scores) >= 0).all()
    # Only ranks count.
    assert insertion(model, media, np.exp(saliency) * 3, 1, start=0.0, steps=steps).auc == pytest.approx(up.auc)


def test_the_blur_is_that_of_the_rise_authors():
    rng = np.random.default_rng(5)
    image, mean, std = rng.uniform(0, 255, (17, 14, 3)), np.array([124.0, 117.0, 104.0]), np.array([58.0, 57.0, 57.0])
    expected = oracles.rise_authors_blur(image, mean, std)
    np.testing.assert_allclose(rise_blur(image, outside=mean), expected, rtol=1e-12)
    np.testing.assert_allclose(rise_blur(image.astype(np.float32), outside=mean), expected, rtol=1e-5)
    rounded = rise_blur(np.rint(image).astype(np.uint8), outside=mean)
    assert rounded.dtype == np.uint8
    assert np.abs(rounded - oracles.rise_authors_blur(np.rint(image), mean, std)).max() <= 0.5001
    own = image.mean(axis=(0, 1))
    np.testing.assert_allclose(rise_blur(image), oracles.rise_authors_blur(image, own, std), rtol=1e-12)


def test_the_blur_is_within_a_frame_and_keeps_a_flat_one():
    rng = np.random.default_rng(6)
    clip = rng.uniform(0, 1, (4, 9, 13, 2))
    mean = np.array([0.2, 0.7])
    for frame, blurred in zip(clip, rise_blur(clip, outside=mean), strict=True):
        np.testing.assert_allclose(blurred, rise_blur(frame, outside=mean), rtol=1e-12)
    flat = np.full((3, 9, 13, 2), 200, dtype=np.uint8)
    assert (rise_blur(flat) == flat).all()


def test_an_insertion_from_blur_uses_the_mean_the_model_subtracts():
    media, saliency, weights = random_case((7, 5))
    mean = np.array([3.0, 240.0])
    scores = oracles.weighted(weights)
    found = insertion(Model(scores, mean=mean), media, saliency, 3, steps=5)
    by_hand = insertion(scores, media, saliency, 3, start=rise_blur(media, outside=mean), steps=5)
    assert (found.scores == by_hand.scores).all()
    assert found.scores[0] != insertion(scores, media, saliency, 3, steps=5).scores[0]


MEDIA, MAP = np.ones((5, 4, 3)), np.arange(20.0).reshape(5, 4)


def never(batch):
    raise AssertionError("the model was asked")


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"saliency": MAP.T}, InputError, r"shape \(4, 5\); expected \(5, 4\), the extent of the media"),
        ({"saliency": MAP[..., None]}, InputError, "no channel axis"),
        ({"saliency": np.where(MAP == 3, np.nan, MAP)}, InputError, "NaN or Inf at 1 of 20 pixels.*nan_to_num"),
        ({"saliency": MAP * 1j}, InputError, "complex128; expected real numbers"),
        ({"media": np.ones(5)}, InputError, r"shape \(5,\); expected \(\*extent, channels\)"),
        ({"media": np.where(MEDIA > 0, np.inf, 0)}, InputError, "NaN, Inf or no numbers"),
        ({"media": np.ones((0, 4, 3))}, InputError, r"media has shape \(0, 4, 3\)"),
        ({"steps": 0}, InputError, "steps is 0; expected a whole number, at least 1"),
        ({"steps": 5.5}, InputError, r"steps is 5\.5; expected a whole number"),
        ({"model": 7}, InputError, "the model is int; expected a function from a batch"),
        ({"model": "gone.onnx"}, FileError, r"'gone\.onnx' is not there"),
        ({"batch_size": 0}, InputError, "batch_size is 0"),
        ({"start": "black"}, InputError, "start is 'black'; expected \"blur\""),
        ({"start": np.ones((4, 5, 3))}, InputError, r"does not broadcast to the media's \(5, 4, 3\)"),
        ({"start": np.nan}, InputError, "baseline.*finite"),
        ({"media": MEDIA.astype(np.uint8), "start": -4.0}, InputError, "uint8 media holds 0 to 255"),
        ({"target": -1}, TargetError, "class -1; expected a class from 0"),
        ({"target": "cat"}, TargetError, "target is 'cat'; expected the index"),
        ({"model": Model(never, extent=(8, 8))}, InputError, r"made for \(8, 8\)"),
    ],
)
def test_bad_input_is_refused_before_the_model_is_asked(change, error, text):
    arguments = {"model": never, "media": MEDIA, "saliency": MAP, "target": 1, **change}
    with pytest.raises(error, match=text):
        insertion(**arguments)


def test_a_class_that_does_not_exist_is_found_at_the_first_batch():
    seen: list[int] = []
    with pytest.raises(TargetError, match="class 5; expected a class from 0 to 4"):
        insertion(oracles.weighted(np.ones((5, 4, 3)), seen), MEDIA, MAP, 5, batch_size=2)
    assert seen == [2]


def test_a_target_function_of_another_shape_is_refused():
    with pytest.raises(TargetError, match=r"returned shape \(21, 5\).*expected \(21,\)"):
        insertion(oracles.weighted(np.ones((5, 4, 3))), MEDIA, MAP, lambda p: p)


def test_a_target_function_that_fails_is_named():
    with pytest.raises(
        TargetError, match=r"failed for probabilities of shape \(21, 5\): IndexError.*lambda p: p\[:, 7\]"
    ):
        insertion(oracles.weighted(np.ones((5, 4, 3))), MEDIA, MAP, lambda p: p[:, 9])


def test_a_failing_model_is_reported():
    with pytest.raises(ModelError, match="the model was asked"):
        deletion(never, MEDIA, MAP, 1, baseline=0.0)


def test_batches_whose_size_is_found_give_the_same_curve():
    media, saliency, weights = random_case((16, 16))
    model = oracles.weighted(weights)
    for curve, end in ((insertion, {}), (deletion, {"baseline": 3.0})):
        one, auto = (curve(model, media, saliency, 1, batch_size=size, **end) for size in (32, "auto"))
        np.testing.assert_allclose(auto.scores, one.scores, rtol=1e-12)
