"""RISE's masks and map, against loops and a black box of known answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import borex
from borex.blackbox import Model
from borex.errors import InputError
from borex.heatmaps import shap
from borex.heatmaps.rise import RiseMasks, rise

EXTENTS = [(20, 31), (4, 18, 25), (1, 40), (5, 3), (2, 2)]


@pytest.mark.parametrize("extent", EXTENTS)
def test_masks_are_soft_in_range_and_kept_by_half(extent: tuple[int, ...]) -> None:
    masks = RiseMasks(400, extent, np.random.default_rng(0))
    drawn = masks[:]
    assert drawn.shape == masks.shape == (400, *extent)
    assert drawn.dtype == np.float32
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    # 400 coins on every pixel: six standard errors of a mean.
    assert np.abs(drawn.mean(axis=0) - 0.5).max() < 6 * 0.5 / 20
    assert np.unique(drawn).size > 2


def test_a_mask_is_a_grid_enlarged_and_shifted() -> None:
    masks = RiseMasks(1, (21, 35), np.random.default_rng(1))
    kept, shift = masks._kept[0], masks._shift[0]
    for y, x in np.ndindex(21, 35):
        at = [np.clip((p + 0.5) * 7 / size + s - 0.5, 0, 7) for p, size, s in zip((y, x), (21, 35), shift, strict=True)]
        low = [min(int(a), 6) for a in at]
        value = 0.0
        for dy, dx in np.ndindex(2, 2):
            weight = [1 - (a - lo) if not d else a - lo for a, lo, d in zip(at, low, (dy, dx), strict=True)]
            value += weight[0] * weight[1] * kept[low[0] + dy, low[1] + dx]
        assert masks[:1][0, y, x] == pytest.approx(value, abs=1e-5)


def test_a_slice_is_a_part_of_the_whole_whenever_it_is_drawn() -> None:
    masks = RiseMasks(30, (8, 9), np.random.default_rng(2))
    whole = masks[:]
    assert (masks[4:9] == whole[4:9]).all()
    assert masks[3:3].shape == (0, 8, 9)
    assert (RiseMasks(30, (8, 9), np.random.default_rng(2))[:] == whole).all()


def test_the_map_is_the_mean_of_masks_weighted_by_scores() -> None:
    masks = RiseMasks(21, (8, 9), np.random.default_rng(3), p=0.3)
    values = np.random.default_rng(4).random(21)
    expected = sum(v * m for v, m in zip(values, masks[:], strict=True)) / (21 * 0.3)
    np.testing.assert_allclose(masks.heat_map(values), expected, rtol=1e-5)
    np.testing.assert_allclose(masks.heat_map(values, chunk=4), expected, rtol=1e-5)


@pytest.mark.parametrize("extent", [(20, 30), (6, 14, 21)])
def test_it_finds_the_object(extent: tuple[int, ...]) -> None:
    seen = np.zeros(extent)
    seen[tuple(slice(size // 2, size // 2 + max(2, size // 4)) for size in extent)] = 1

    def model(batch: np.ndarray) -> np.ndarray:
        p = (batch[..., 0] * seen).reshape(len(batch), -1).sum(axis=1) / seen.sum()
        return np.stack([1 - p, p], axis=1)

    media = np.ones((*extent, 1))
    found = rise(model, media, 1, n=602, baseline="black", layout="HWC" if len(extent) == 2 else "THWC")
    assert seen[np.unravel_index(found.heat_map.argmax(), extent)] == 1
    assert found.masks.shape == (600, *extent)
    assert found.scores.shape == (600, 2)
    again = rise(model, media, 1, n=602, baseline="black", layout="HWC" if len(extent) == 2 else "THWC")
    assert np.array_equal(again.heat_map, found.heat_map)


def test_debiased_it_is_zero_where_nothing_matters_and_the_scoring_of_xaitk() -> None:
    scoring = pytest.importorskip("xaitk_saliency.impls.gen_classifier_conf_sal.rise_scoring").RISEScoring
    masks = RiseMasks(300, (12, 17), np.random.default_rng(5), p=0.4)
    assert np.abs(masks.heat_map(np.full(300, 0.7), debiased=True)).max() < 0.1
    assert masks.heat_map(np.full(300, 0.7)).min() > 0.5
    values = np.random.default_rng(6).random(300)
    for debiased in (False, True):
        theirs = scoring(p1=0.4 if debiased else 0.0).generate(np.ones(1), values[:, None], masks[:])[0]
        ours = masks.heat_map(values, debiased=debiased)
        np.testing.assert_allclose(ours / np.abs(ours).max(), theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"p": 0}, "p is 0; expected a probability above 0 and below 1"),
        ({"n": 3}, "n is 3; expected a whole number of model inputs, at least 4"),
        ({"n": 10.0}, "n is 10.0; expected a whole number"),
        ({"seed": -1}, "seed is -1; expected a whole number, at least 0"),
    ],
)
def test_what_cannot_be_used(options: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        rise(lambda batch: batch[:, 0, 0, :2], np.ones((5, 6, 3)), 0, **options)  # type: ignore[arg-type]


def test_what_the_scores_are_is_found_once_for_all_answers() -> None:
    media = np.full((12, 12, 1), 200, np.uint8)

    def logit(batch: np.ndarray) -> np.ndarray:  # its whole input says that it is no probability, most masks do not
        return 1.1 * (batch / 200).mean(axis=(1, 2, 3))[:, None]

    options: dict[str, Any] = {"n": 100, "baseline": 0, "layout": "HWC"}
    expected = rise(logit, media, 1, output="logits", **options)
    assert np.array_equal(rise(logit, media, 1, **options).heat_map, expected.heat_map)
    found, same = (shap(logit, media, 1, output=output, **options).heat_map for output in ("auto", "logits"))
    assert np.array_equal(found, same)


def test_a_clip_is_brought_to_the_models_frames_as_refine_does() -> None:
    clip = np.tile(np.array([0, 200], np.uint8)[:, None, None, None], (4, 8, 8, 1))
    seen: list[np.ndarray] = []

    def scores(batch: np.ndarray) -> np.ndarray:
        seen.extend(batch)
        return np.tile([0.3, 0.7], (len(batch), 1))

    rise(Model(scores, extent=(4, 8, 8)), clip, n=4, layout="THWC")
    assert set(np.unique(seen[0])) <= {0, 200}
    borex.refine(Model(scores, extent=(4, 8, 8)), clip, layout="THWC", max_evals=20)
    assert np.array_equal(seen[0], seen[4])


def test_the_embedded_model_is_that_of_the_media() -> None:
    pytest.importorskip("onnxruntime")
    clip = np.random.default_rng(0).integers(0, 256, (16, 112, 112, 3), dtype=np.uint8)
    assert rise(None, clip, n=4, baseline=None).heat_map.shape == (16, 112, 112)


def test_the_masks_of_a_clip_of_one_frame_are_those_of_an_image() -> None:
    image, clip = (RiseMasks(300, extent, np.random.default_rng(0))[:] for extent in ((20, 30), (1, 20, 30)))
    assert image.std() == pytest.approx(clip.std(), rel=0.03)
