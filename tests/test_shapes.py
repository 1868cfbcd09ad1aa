"""Media of every shape, range and number of channels; an axis more or less; transposed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import borex
from borex import Refiner
from borex.evaluation import average_precision
from tests.closed_form import Counted, box, bumps, linear, ones, same, share_seen
from tests.test_refiner import driven, scores_of

EXTENTS = [(1, 40), (40, 1), (1, 2), (3, 2), (5, 4), (13, 15), (37, 53)]
EXTENTS += [(2, 3, 4), (3, 1, 17), (5, 1, 1), (9, 16, 15), (1, 6, 7)]
RANGES = {"uint8": 255, "uint16": 60000, "int32": 2**31 - 1, "float16": 1, "float32": 1, "float64": 1e6}


@pytest.mark.parametrize("extent", EXTENTS)
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_every_extent_and_number_of_channels(extent: tuple[int, ...], channels: int) -> None:
    model = share_seen(box(extent))
    layout = "HWC" if len(extent) == 2 else "THWC"
    found = borex.refine(
        model, ones(extent, channels), target=1, baseline="black", layout=layout, max_evals=60, batch_size=9
    )
    assert found.saliency.shape == found.std.shape == found.initial.shape == extent
    assert np.isfinite(found.saliency).all()
    assert np.isfinite(found.std).all()
    assert found.evals == model.calls <= 60
    inside = box(extent)
    if not inside.all():
        assert found.saliency[inside].mean() > found.saliency[~inside].mean()


@pytest.mark.parametrize("method", ["field", "paper"])
@pytest.mark.parametrize("extent", [(1, 40), (40, 1), (1, 2), (3, 1, 17)])
def test_one_pixel_wide_with_an_initial_map(method: str, extent: tuple[int, ...]) -> None:
    layout = "HWC" if len(extent) == 2 else "THWC"
    initial = box(extent) + np.random.default_rng(0).random(extent)
    found = borex.refine(
        share_seen(box(extent)), ones(extent, 3), initial, target=1, baseline="black", layout=layout, method=method,
        max_evals=40,
    )  # fmt: skip
    assert average_precision(found.saliency, box(extent)) > 0.6


@pytest.mark.parametrize("extent", [(1, 90), (90, 1)])
def test_the_usual_baseline_hides_something_in_a_line_of_pixels(extent: tuple[int, int]) -> None:
    media = np.random.default_rng(0).integers(0, 255, (*extent, 3), dtype=np.uint8)
    weights = bumps(extent)[..., None] * (media.astype(float) - media.mean()) / 9e3

    def model(batch: np.ndarray) -> np.ndarray:
        return (batch * weights).reshape(len(batch), -1).sum(axis=1)[:, None] - 2

    found = borex.refine(model, media, target=1, layout="HWC", max_evals=60)
    assert "budget" in found.stop_reason
    assert found.saliency.any()


@pytest.mark.parametrize(("dtype", "top"), list(RANGES.items()))
def test_the_model_sees_the_medias_dtype_and_range(dtype: str, top: float) -> None:
    extent = (12, 17)
    media = (np.random.default_rng(0).uniform(0.1, 1, (*extent, 3)) * top).astype(dtype)
    seen: list[tuple[np.dtype[Any], float, float]] = []
    whole = []

    def model(batch: np.ndarray) -> np.ndarray:
        seen.append((batch.dtype, float(batch.min()), float(batch.max())))
        whole.append(np.array_equal(batch[0], media))
        p = (batch != 0).reshape(len(batch), -1).mean(axis=1)
        return np.stack([1 - p, p], axis=1)

    borex.refine(model, media, "rise", baseline="black", max_evals=40)
    assert {dtype for dtype, _, _ in seen} == {media.dtype}
    assert min(low for _, low, _ in seen) == 0
    assert max(high for _, _, high in seen) <= float(media.max())
    assert whole[0]


def test_a_model_of_one_extent_sees_media_brought_to_it_once() -> None:
    shapes = []

    def model(batch: np.ndarray) -> np.ndarray:
        shapes.append(batch.shape[1:])
        p = (batch[:, 10:20, 10:20] != 0).reshape(len(batch), -1).mean(axis=1)
        return np.stack([1 - p, p], axis=1)

    box_model = borex.blackbox.Model(model, extent=(24, 32))
    media = ones((51, 47), 3)
    found = borex.refine(box_model, media, np.random.default_rng(0).random((5, 9)), target=1, baseline="black")
    assert set(shapes) == {(24, 32, 3)}
    assert found.saliency.shape == found.std.shape == found.initial.shape == (51, 47)
    # Cells keep their values: no more than the grid has.
    assert len(np.unique(found.saliency)) <= np.prod(found.record.settings.grid)
    truth = np.zeros((51, 47), dtype=bool)
    truth[21:43, 15:30] = True
    assert average_precision(found.saliency, truth) > 0.8


# A clip of one frame is its image


def test_a_clip_of_one_frame_is_its_image_under_the_same_masks() -> None:
    """The boxes of a clip have a length in time, so its design has an axis more and draws other boxes than the image's:
    what is the same is what the same masks and answers say. Length scales of an axis of one cell change nothing."""
    extent = (24, 35)
    model = linear(bumps(extent))
    image, clip = Refiner(extent, bumps(extent), target=1), Refiner((1, *extent), bumps(extent)[None], target=1)
    for _ in range(6):
        masks = np.asarray(image.ask())
        scores = scores_of(model, masks)
        image.tell(masks, scores)
        clip.tell(masks[:, None], scores)
    one, other = image.result(), clip.result()
    np.testing.assert_allclose(other.saliency[0], one.saliency, atol=1e-6)
    np.testing.assert_allclose(other.std[0], one.std, atol=1e-6)
    assert other.trust == pytest.approx(one.trust, abs=1e-6)


def test_for_the_published_method_the_whole_run_is_the_same() -> None:
    extent = (24, 35)
    initial = np.random.default_rng(0).random(extent)
    model = share_seen(box(extent))
    image = driven(Refiner(extent, initial, target=1, method="paper", max_evals=60), model).result()
    clip = driven(Refiner((1, *extent), initial[None], target=1, method="paper", max_evals=60), model).result()
    np.testing.assert_allclose(clip.saliency[0], image.saliency, atol=1e-6)
    np.testing.assert_allclose(clip.std[0], image.std, atol=1e-6)


def test_transposed_masks_and_initial_map_give_the_transposed_map() -> None:
    extent, weights = (21, 35), bumps((21, 35))
    rng = np.random.default_rng(0)
    masks = rng.random((80, *extent)) < 0.5
    scores = scores_of(linear(weights), masks)
    initial = rng.random((7, 9))
    one, other = Refiner(extent, initial, target=1), Refiner(extent[::-1], initial.T, target=1)
    one.tell(masks, scores)
    other.tell(masks.transpose(0, 2, 1), scores)
    np.testing.assert_allclose(other.result().saliency.T, one.result().saliency, atol=1e-5)
    np.testing.assert_allclose(other.result().std.T, one.result().std, atol=1e-5)


# Time


@pytest.mark.parametrize("method_grid", [(8, 5, 7), (4, 5, 7)])
def test_reversed_masks_and_initial_map_give_the_reversed_map(method_grid: tuple[int, ...]) -> None:
    """The design is mirrored with the clip: then the posterior is, too, its profile over time and its std included."""
    extent = (16, 20, 21)
    masks = np.random.default_rng(0).random((60, *extent)) < 0.5
    scores = scores_of(linear(bumps(extent)), masks)
    initial = np.random.default_rng(1).random((5, 6, 7))
    one, other = (Refiner(extent, start, target=1, grid=method_grid) for start in (initial, initial[::-1]))
    one.tell(masks, scores)
    other.tell(masks[:, ::-1], scores)
    forwards, backwards = one.result(), other.result()
    np.testing.assert_allclose(backwards.saliency[::-1], forwards.saliency, atol=1e-5)
    np.testing.assert_allclose(backwards.std[::-1], forwards.std, atol=1e-5)
    for ours, theirs in zip(forwards.time_profile(), backwards.time_profile(), strict=True):
        np.testing.assert_allclose(theirs[::-1], ours, atol=1e-5)
    assert np.abs(forwards.saliency - forwards.saliency[::-1]).max() > 0.01


def test_a_clip_played_backwards_has_the_map_played_backwards() -> None:
    """Each run asks about masks of its own, so the maps agree as far as 300 evaluations tell: correlation above .9."""
    extent = (16, 21, 28)
    weights = bumps(extent)
    runs = [driven(Refiner(extent, target=1, max_evals=300), linear(w)).result() for w in (weights, weights[::-1])]
    forwards, backwards = runs[0].saliency, runs[1].saliency[::-1]
    assert np.corrcoef(forwards.ravel(), backwards.ravel())[0, 1] > 0.9
    assert np.corrcoef(forwards.ravel(), backwards[::-1].ravel())[0, 1] < 0.6


@pytest.mark.parametrize("layout", ["HWC", "CHW", "NCHW"])
def test_layouts_bring_the_same_result(layout: str) -> None:
    media = np.random.default_rng(0).integers(1, 255, (20, 31, 3), dtype=np.uint8)
    arranged = {"HWC": media, "CHW": media.transpose(2, 0, 1), "NCHW": media.transpose(2, 0, 1)[None]}[layout]
    options = {"baseline": "black", "max_evals": 40, "target": 1}
    # A batch of one could be a clip of one frame.
    found = borex.refine(share_seen(box((20, 31))), arranged, layout=layout if "N" in layout else "auto", **options)
    assert same(found, borex.refine(share_seen(box((20, 31))), media, layout="HWC", **options))


# Memory

PEAK = """
import resource, sys
import numpy as np, onnxruntime, scipy.linalg, scipy.ndimage, scipy.stats, scipy.optimize, borex
media = np.random.default_rng(0).integers(0, 255, (3000, 4000, 3), dtype=np.uint8)
model = borex.models.as_model(None)
model.scores(np.zeros((32, 224, 224, 3), dtype=np.uint8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = borex.refine(model, media, max_evals=int(sys.argv[1]))
assert found.saliency.shape == (3000, 4000)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_memory_stays_bounded_for_a_photo_of_12_megapixels() -> None:
    pytest.importorskip("onnxruntime")
    peaks = []
    for max_evals in (40, 120):
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", "import borex.models\n" + PEAK, str(max_evals)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        peaks.append(float(ran.stdout))
    assert max(peaks) < 300  # MiB above the media and the model
    assert peaks[1] < peaks[0] + 30


def test_masks_are_never_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(borex.blackbox, "MAX_BATCH_BYTES", 2**16)
    extent = (120, 160)
    model = share_seen(box(extent))
    borex.refine(model, ones(extent, 3), "rise", target=1, baseline="black", layout="HWC", max_evals=60)
    assert max(model.batches) * 120 * 160 * 3 <= 2**16
    assert isinstance(model, Counted)
