"""LIME and Kernel SHAP: against the packages lime and shap on the same segments, in closed form, and by name."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

import borex
from borex.baselines import baseline_of
from borex.errors import InputError, MissingExtraError, ModelError
from borex.heatmaps import lime, shap
from borex.heatmaps.superpixels import SegmentMasks, compact, segments
from tests.closed_form import Counted, box, share_seen
from tests.heatmaps.nets import photo

torch = pytest.importorskip("torch")


def tiles(extent: tuple[int, ...], grid: tuple[int, ...]) -> np.ndarray:
    """Labels of a grid of boxes."""
    at = [np.arange(size) * cells // size for size, cells in zip(extent, grid, strict=True)]
    return np.ravel_multi_index(np.meshgrid(*at, indexing="ij"), grid)


def weighted(labels: np.ndarray, seed: int = 1) -> tuple[Any, np.ndarray]:
    """Probabilities that are a sum of weights of the segments that are seen, with one product of two of them."""
    weights = np.random.default_rng(seed).normal(size=labels.max() + 1)
    weights /= 4 * np.abs(weights).sum()

    def model(batch: np.ndarray) -> np.ndarray:
        seen = np.stack([(batch[..., 0] != 0)[:, labels == i].mean(axis=1) for i in range(len(weights))], axis=1)
        p = 0.5 + seen @ weights + 0.02 * seen[:, 0] * seen[:, -1]
        return np.stack([1 - p, p], axis=1)

    return model, weights


MEDIA = np.full((24, 35, 3), 200, np.uint8)
LABELS = tiles((24, 35), (3, 5))
OPTIONS: dict[str, Any] = {"segments": LABELS, "baseline": "black", "layout": "HWC"}


def by_segment(heat_map: np.ndarray, labels: np.ndarray = LABELS) -> np.ndarray:
    values = np.array([heat_map[labels == i].mean() for i in range(labels.max() + 1)])
    np.testing.assert_allclose(values[labels], heat_map, atol=1e-7)  # one value a segment
    return values


def test_kernel_shap_finds_the_shapley_values() -> None:
    model, weights = weighted(LABELS)
    found = shap(model, MEDIA, 1, n=1000, **OPTIONS)
    expected = weights.copy()
    expected[[0, -1]] += 0.01  # a product is shared by its two players
    values = by_segment(found.heat_map)
    np.testing.assert_allclose(values, expected, atol=2e-3)
    ends = model(np.stack([MEDIA, 0 * MEDIA]))[:, 1]
    assert values.sum() == pytest.approx(ends[0] - ends[1], abs=1e-4)


def test_it_is_the_package_shap() -> None:
    package = pytest.importorskip("shap")
    model, _ = weighted(LABELS)

    def of_segments(kept: np.ndarray) -> np.ndarray:
        return model(MEDIA * (kept[:, LABELS, None] > 0.5))[:, 1]

    explainer = package.KernelExplainer(of_segments, np.zeros((1, 15)))
    theirs = explainer.shap_values(np.ones((1, 15)), nsamples=1000, l1_reg=False, silent=True)[0]
    ours = by_segment(shap(model, MEDIA, 1, n=1000, **OPTIONS).heat_map)
    assert spearmanr(ours, theirs).statistic > 0.98


def test_it_is_the_package_lime() -> None:
    images = pytest.importorskip("lime.lime_image")
    model, _ = weighted(LABELS)
    explained = images.LimeImageExplainer(random_state=0).explain_instance(
        MEDIA, model, labels=(1,), top_labels=None, hide_color=0, num_samples=1000,
        segmentation_fn=lambda _: LABELS,
    )  # fmt: skip
    theirs = np.array([weight for _, weight in sorted(explained.local_exp[1])])
    found = lime(model, MEDIA, 1, n=1000, **OPTIONS)
    assert spearmanr(by_segment(found.heat_map), theirs).statistic > 0.98
    np.testing.assert_allclose(by_segment(found.heat_map), theirs, atol=5e-3)
    # What lime returns is an initial map as it is.
    np.testing.assert_allclose(borex.heatmaps.accepted(explained, (24, 35), target=1), theirs[LABELS])


def test_its_kernel_is_that_of_the_package_lime() -> None:
    images = pytest.importorskip("lime.lime_image")

    def model(batch: np.ndarray) -> np.ndarray:
        p = (batch[..., 0] != 0).mean(axis=(1, 2)) ** 6  # how steep it looks depends on how local the fit is
        return np.stack([1 - p, p], axis=1)

    explained = images.LimeImageExplainer(random_state=0).explain_instance(
        MEDIA, model, labels=(1,), top_labels=None, hide_color=0, num_samples=4000, segmentation_fn=lambda _: LABELS
    )
    theirs = np.mean([weight for _, weight in explained.local_exp[1]])
    assert lime(model, MEDIA, 1, n=4000, **OPTIONS).heat_map.mean() == pytest.approx(theirs, rel=0.15)


@pytest.mark.parametrize("make", [lime, shap])
def test_masks_scores_and_the_count_of_inputs(make: Any) -> None:
    model = Counted(weighted(LABELS)[0])
    found = make(model, MEDIA, 1, n=100, batch_size=7, **OPTIONS)
    assert model.calls <= 100
    assert max(model.batches) <= 7
    assert len(found.masks) == len(found.scores) == model.calls - 2
    assert len(found.scores) >= 96
    masks = np.asarray(found.masks)
    assert masks.dtype == bool
    assert masks.shape[1:] == (24, 35)
    np.testing.assert_allclose(model.model(MEDIA * masks[..., None]), found.scores)
    assert (masks[3:9] == found.masks[3:9]).all()
    assert found.target.index == 1


@pytest.mark.parametrize("make", [lime, shap])
def test_same_seed_same_bits_and_no_global_state(make: Any) -> None:
    model = weighted(LABELS)[0]
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = make(model, MEDIA, 1, n=60, seed=3, **OPTIONS)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    torch.rand(5)
    again = make(model, MEDIA, 1, n=60, seed=3, **OPTIONS)
    assert np.array_equal(first.heat_map, again.heat_map)
    assert np.array_equal(first.scores, again.scores)
    assert not np.array_equal(first.scores, make(model, MEDIA, 1, n=60, seed=4, **OPTIONS).scores)


@pytest.mark.parametrize("extent", [(30, 41), (8, 24, 30)])
@pytest.mark.parametrize("make", [lime, shap])
def test_superpixels_and_supervoxels_find_the_object(make: Any, extent: tuple[int, ...]) -> None:
    inside = box(extent)
    media = np.random.default_rng(0).integers(60, 90, (*extent, 3)).astype(np.uint8)
    media[inside] = [250, 30, 20]
    model = share_seen(inside)
    found = make(model, media, 1, n=300, segments=12, baseline="black", layout="THWC"[4 - media.ndim :])
    assert found.heat_map.shape == extent
    assert found.heat_map[inside].mean() > 3 * np.abs(found.heat_map[~inside]).mean()


@pytest.mark.parametrize(("extent", "channels"), [((40, 56), 3), ((31, 17), 1), ((23, 30), 4), ((4, 20, 26), 3)])
def test_segments_are_numbered_and_cover_everything(extent: tuple[int, ...], channels: int) -> None:
    labels = segments(photo(extent, channels), 20)
    assert labels.shape == extent
    assert set(np.unique(labels)) == set(range(labels.max() + 1))
    assert 5 <= labels.max() + 1 <= 60
    flat = segments(np.full((*extent, channels), 7, np.uint8), 20)
    assert flat.max() > 0


def test_segment_masks_are_what_they_keep() -> None:
    labels = compact(np.array([[7, 7, 2], [2, 9, 9]]))
    kept = np.array([[True, False, False], [False, True, True]])
    masks = SegmentMasks(kept, labels)
    assert masks.shape == (2, 2, 3)
    for mask, row in zip(masks[:], kept, strict=True):
        for y, x in np.ndindex(2, 3):
            assert mask[y, x] == row[{2: 0, 7: 1, 9: 2}[[[7, 7, 2], [2, 9, 9]][y][x]]]


@pytest.mark.parametrize("name", ["lime", "shap", "rise"])
@pytest.mark.parametrize("max_evals", [20, 61, 100])
def test_by_name_in_refine(name: str, max_evals: int) -> None:
    extent = (42, 56)
    media = photo(extent) // 2 + 100
    model = Counted(share_seen(box(extent)))
    found = borex.refine(model, media, name, baseline="black", target=1, max_evals=max_evals, seed=2)
    assert model.calls == found.evals <= max_evals
    assert found.evals >= max_evals - 1
    assert np.ptp(found.initial) > 0
    assert found.trust is not None
    share = int(0.25 * max_evals)
    asked = found.record.coverage[2 : 2 + share - 3].reshape(share - 3, -1)
    assert (asked.max(axis=1) > 0).all()  # what the map asked is data
    again = borex.refine(share_seen(box(extent)), media, name, baseline="black", target=1, max_evals=max_evals, seed=2)
    assert np.array_equal(found.saliency, again.saliency)


@pytest.mark.parametrize("name", ["lime", "shap", "rise"])
def test_what_was_answered_before_a_failure_is_kept(name: str) -> None:
    good, calls = share_seen(box((42, 56))), []

    def model(batch: np.ndarray) -> np.ndarray:
        calls.append(len(batch))
        if sum(calls) > 50:
            raise RuntimeError("gone")
        return good(batch)

    with pytest.raises(ModelError, match="gone") as caught:
        borex.refine(model, photo((42, 56)) // 2 + 100, name, baseline="black", target=1, max_evals=400, batch_size=8)
    assert caught.value.refiner is not None
    assert caught.value.refiner.evals == sum(calls[:-1]) > 30


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"segments": 1}, r"segments is 1; expected at least 2, or an array of labels \(24, 35\)"),
        ({"segments": np.zeros((3, 4), int)}, r"segments has shape \(3, 4\); expected \(24, 35\), what the model sees"),
        ({"segments": np.zeros((24, 35), int)}, "there is a single segment, so nothing to compare"),
        ({"segments": LABELS / 2}, "the segments have dtype float64; expected whole numbers"),
        ({"n": True}, "n is True; expected a whole number of model inputs"),
    ],
)
@pytest.mark.parametrize("make", [lime, shap])
def test_what_cannot_be_used(make: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        make(weighted(LABELS)[0], MEDIA, 1, **{**OPTIONS, **options})


def test_without_captum_the_extra_is_named_before_the_model_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    model = share_seen(box((42, 56)))
    with pytest.raises(MissingExtraError, match=re.escape("needs the package 'captum', which is not installed: pip")):
        borex.refine(model, photo((42, 56)), "lime")
    assert model.calls == 0


def test_hidden_is_the_runs_own_baseline() -> None:
    seen = []

    def model(batch: np.ndarray) -> np.ndarray:
        seen.append(batch)
        return np.full((len(batch), 2), 0.5)

    media = photo((24, 35))
    lime(model, media, 1, n=10, segments=LABELS, baseline="blur")
    hidden = baseline_of("blur", media)
    batch = np.concatenate(seen)
    assert (((batch == media) | (batch == hidden)).all(axis=-1)).all()
    assert (batch[1] == hidden).all()
