"""The embedded MotionNet, and classifiers of images averaged over frames."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import borex
from borex.blackbox import Asker, Model
from borex.errors import InputError, MissingExtraError
from borex.models import as_model, frame_mean, motionnet
from borex.scores import checked_scores, probabilities

LABELS = ["left", "right", "up", "down", "grow", "shrink", "clockwise", "counterclockwise", "blink"]


def ground(extent: tuple[int, int] = (112, 112)) -> np.ndarray:
    """A smooth background in colour, float64 `(H, W, 3)`."""
    y, x = np.mgrid[: extent[0], : extent[1]] / max(extent)
    return np.stack([90 + 60 * x, 110 + 50 * np.sin(4 * y), 130 - 60 * x * y], axis=-1)


def moving(way: str, extent: tuple[int, int] = (112, 112)) -> np.ndarray:
    """A clip, uint8 `(16, *extent, 3)`: a square that rests, moves 3 pixels a frame in frames 4 to 11, and rests."""
    frames = np.repeat(ground(extent)[None], 16, axis=0)
    down, right = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}[way]
    side = 36
    for t, frame in enumerate(frames):
        step = 3 * (min(max(t - 3, 0), 8) - 4)
        top, left = (size // 2 - side // 2 + way * step for size, way in zip(extent, (down, right), strict=True))
        frame[top : top + side, left : left + side] = (225, 60, 40)
        frame[top + 8 : top + 16, left + 6 : left + 20] = (250, 230, 90)
    return frames.round().astype(np.uint8)


@pytest.fixture(scope="module")
def net() -> Model:
    pytest.importorskip("onnxruntime")
    return motionnet()


@pytest.mark.parametrize("way", ["left", "right", "up", "down"])
def test_motionnet_names_where_a_square_goes(net: Model, way: str) -> None:
    clip = moving(way)
    scores = probabilities(checked_scores(net(np.stack([clip, clip[::-1]])), 2), net.output)
    assert net.labels is not None
    opposite = {"left": "right", "right": "left", "up": "down", "down": "up"}[way]
    assert [net.labels[i] for i in scores.argmax(axis=1)] == [way, opposite]
    assert scores.max(axis=1).min() > 0.6


def test_motionnet_describes_itself(net: Model) -> None:
    assert (net.extent, net.output, net.max_batch, net.labels) == ((16, 112, 112), "logits", None, LABELS)
    assert net.mean == pytest.approx(255 * 0.45)


def test_a_clip_in_the_colour_that_it_subtracts_is_zeros_to_the_network(net: Model) -> None:
    onnx = pytest.importorskip("onnx")
    path = Path(borex.__file__).parent / "models" / "motionnet" / "motionnet.onnx"
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    np.testing.assert_allclose(stored["mean"], net.mean / 255, rtol=1e-6)


def test_motionnet_takes_floats_in_its_range_and_no_others(net: Model) -> None:
    clip = moving("up")[None]
    np.testing.assert_allclose(net(clip.astype(np.float32)), net(clip), atol=1e-4)
    with pytest.raises(InputError, match=r"Multiply media in \[0, 1\] by 255"):
        net(clip / 255)
    with pytest.raises(InputError, match=r"takes the extent \(16, 112, 112\); got \(8, 112, 112\)"):
        net(clip[:, ::2])


def test_motionnet_without_onnxruntime_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'borex[onnx]'")):
        motionnet()


def test_a_clip_is_refined_in_space_and_time(net: Model) -> None:
    clip = np.repeat(moving("right", (100, 120)), 2, axis=0)[:29]
    explanation = borex.refine(net, clip, max_evals=60, baseline="frozen")
    assert explanation.saliency.shape == explanation.std.shape == clip.shape[:-1]
    assert explanation.target.label == "right"
    assert explanation.evals <= 60
    by_place = explanation.saliency.mean(axis=0)
    inside = by_place[25:75, 30:90].mean()
    assert inside > by_place[[*range(15), *range(85, 100)]].mean()


def test_a_clip_goes_from_a_file_to_a_map(net: Model, tmp_path: Path) -> None:
    pytest.importorskip("av")
    from borex.media.video import read_clip, write_clip

    clip = read_clip(write_clip(tmp_path / "a.mp4", moving("down"), 8), frames=16)
    explanation = borex.refine(motionnet(), clip.frames, max_evals=60)
    assert explanation.saliency.shape == (16, 112, 112)
    assert explanation.target.label == "down"
    loaded = borex.Explanation.load(explanation.save(tmp_path / "a.npz"))
    np.testing.assert_array_equal(loaded.saliency, explanation.saliency)


# Means over frames


def colours(batch: np.ndarray) -> np.ndarray:
    """Logits `(n, 4)` of images `(n, H, W, 3)`."""
    return batch.mean(axis=(1, 2)) @ np.array([[1, -1, 2, 0], [0, 1, -2, 1], [1, 1, 0, -3]]) / 50


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


CLIPS = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 7, 3), dtype=np.uint8)


def test_of_logits_it_is_their_mean() -> None:
    expected = np.stack([np.mean([colours(frame[None])[0] for frame in clip], axis=0) for clip in CLIPS])
    found = frame_mean(colours, output="logits")
    np.testing.assert_allclose(found(CLIPS), expected, rtol=1e-12)
    assert (found.output, found.extent) == ("logits", None)


def test_of_probabilities_it_is_the_mean_of_their_logarithms() -> None:
    given = Model(lambda batch: softmax(colours(batch)), output="probabilities", labels=["a", "b", "c", "d"], mean=7)
    found = frame_mean(given)
    assert (found.output, found.labels, found.mean) == ("logits", ["a", "b", "c", "d"], 7)
    for clip, answer in zip(CLIPS, probabilities(found(CLIPS), found.output), strict=True):
        geometric = np.prod([softmax(colours(frame[None]))[0] for frame in clip], axis=0) ** (1 / len(clip))
        np.testing.assert_allclose(answer, geometric / geometric.sum(), rtol=1e-9)


def test_either_way_a_clip_of_one_frame_scores_as_its_image() -> None:
    frames = CLIPS[0]
    for given in (colours, lambda batch: softmax(colours(batch))):
        found = frame_mean(given)
        np.testing.assert_allclose(softmax(found(frames[:, None])), softmax(colours(frames)), rtol=1e-9)


def test_a_single_column_stays_one() -> None:
    def bright(batch: np.ndarray) -> np.ndarray:
        return batch.mean(axis=(1, 2, 3))[:, None] / 255

    found = frame_mean(bright)
    p = np.array([[bright(frame[None])[0, 0] for frame in clip] for clip in CLIPS])
    np.testing.assert_allclose(found(CLIPS), np.log(p / (1 - p)).mean(axis=1, keepdims=True), rtol=1e-9)
    np.testing.assert_allclose(probabilities(found(CLIPS[:, :1]), "logits")[:, 1], p[:, 0], rtol=1e-9)


def test_what_the_scores_are_is_found_once() -> None:
    answers = iter([np.array([[3.0, -1.0]]), np.array([[0.2, 0.9]])])
    found = frame_mean(lambda batch: next(answers))
    one = CLIPS[:1, :1]
    assert found(one).tolist() == [[3.0, -1.0]]
    assert found(one).tolist() == [[0.2, 0.9]]


def test_a_probability_of_zero_stays_finite() -> None:
    found = frame_mean(lambda batch: np.tile([1.0, 0.0], (len(batch), 1)))
    assert np.isfinite(found(CLIPS)).all()


def test_frames_come_in_batches_and_at_the_image_models_extent() -> None:
    sizes: list[tuple[int, ...]] = []

    def seen(batch: np.ndarray) -> np.ndarray:
        sizes.append(batch.shape)
        return colours(batch)

    found = frame_mean(Model(seen, extent=(3, 4), output="logits", max_batch=4))
    found(CLIPS)
    assert sizes == [(4, 3, 4, 3), (4, 3, 4, 3), (2, 3, 4, 3)]
    assert found.extent is None
    assert frame_mean(Model(seen, extent=(3, 4)), frames=8).extent == (8, 3, 4)


@pytest.mark.parametrize("frames", [None, 4])
def test_a_mean_over_frames_is_refined(frames: int | None) -> None:
    clip = np.zeros((9, 20, 24, 3), np.uint8)
    clip[:5, 2:10, 3:12, 0] = 255
    model = frame_mean(as_model(colours, extent=(10, 12), output="logits"), frames=frames)
    explanation = borex.refine(model, clip, target=0, max_evals=60, baseline="black")
    assert explanation.saliency.shape == (9, 20, 24)
    assert explanation.saliency[:4, 3:9, 4:11].mean() > explanation.saliency[6:].mean() + explanation.std.mean() / 10
    masks = np.ones((3, *(model.extent or clip.shape[:-1])), bool)
    assert masks.shape[1] == (frames or 9)


def test_the_embedded_image_model_knows_a_cat_in_a_clip() -> None:
    pytest.importorskip("onnxruntime")
    data = pytest.importorskip("skimage.data")
    cat = data.chelsea()[:, 60:360][None, None]
    model = frame_mean(None, frames=2)
    assert model.extent == (2, 224, 224)
    from borex.layout import resize_media

    clip = resize_media(np.repeat(cat[0], 3, axis=0), (2, 224, 224))
    answer = Asker(model, clip, np.zeros_like(clip))(np.ones((1, 2, 224, 224), bool))
    assert model.labels is not None
    assert "cat" in model.labels[int(answer.argmax())]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: frame_mean(Model(colours, extent=(4, 5, 6))),
            r"takes the extent \(4, 5, 6\); expected one",
        ),
        (lambda: frame_mean(colours, frames=3), r"frames is 3, but the image model does not say which extent"),
        (lambda: frame_mean(Model(colours, extent=(3, 4)), frames=0), "frames is 0; expected a whole number"),
        (
            lambda: frame_mean(colours)(CLIPS[0]),
            r"takes clips \(n, T, H, W, channels\); got a batch of shape \(5, 6",
        ),
        (
            lambda: frame_mean(lambda batch: np.full((len(batch), 2), 0.9), output="probabilities")(CLIPS),
            r"sum to 1\.8\.\.1\.8 an image; frame_mean expects probabilities that sum to 1, or logits",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
