"""The clips that the project makes itself: what moves, where and when; MotionNet knows them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from borex.media.read import read_image
from borex.models import motionnet
from borex.scores import probabilities

ROOT = Path(__file__).parents[1]
DIRECTIONS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}


@pytest.fixture(scope="module")
def made() -> ModuleType:
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        import motion_clips
    finally:
        sys.path.pop(0)
    return motion_clips


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return read_image(ROOT / "examples" / "coffee.jpg")


def places(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle `(frames, 2)` and the area of the actor in the frames that it is in."""
    frames = [np.argwhere(frame) for frame in mask if frame.any()]
    return np.array([at.mean(axis=0) for at in frames]), np.array([len(at) for at in frames], dtype=float)


def test_what_is_said_of_a_clip_is_true_of_its_mask(made: ModuleType, photo: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for motion in [*made.MOTIONS, "still"]:
        clip = made.motion_clip(motion, [photo], rng)
        assert clip.frames.shape == (16, 112, 112, 3)
        assert clip.frames.dtype == np.uint8
        there = np.flatnonzero(clip.mask.any(axis=(1, 2)))
        if motion == "still":
            assert len(there) == 0
            continue
        assert there.tolist() == list(range(clip.start, clip.end + 1))
        assert clip.start >= 1
        assert clip.end <= 14
        middles, areas = places(clip.mask)
        steps = np.diff(middles, axis=0)
        if motion in DIRECTIONS:
            assert 1 < (steps @ np.array(DIRECTIONS[motion])).mean() < 5  # 2 to 4 pixels, and the camera's pan
        if motion in ("grow", "shrink"):
            ratio = (areas[1:] / areas[:-1]) ** (0.5 if motion == "grow" else -0.5)
            assert 1.03 < np.median(ratio) < 1.15
        if motion in ("clockwise", "counterclockwise", "blink"):
            assert np.abs(steps).max() < 2
            assert np.ptp(areas) < 0.2 * areas.mean()


def test_same_seed_same_clip(made: ModuleType, photo: np.ndarray) -> None:
    one, other, third = (made.motion_clip("blink", [photo], np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.frames, other.frames)
    np.testing.assert_array_equal(one.mask, other.mask)
    assert not np.array_equal(one.frames, third.frames)


def test_motionnet_knows_every_motion(made: ModuleType, photo: np.ndarray) -> None:
    pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(1)
    clips = np.stack([made.motion_clip(motion, [photo], rng).frames for motion in made.MOTIONS])
    model = motionnet()
    chances = probabilities(np.asarray(model.scores(clips)), "logits")
    assert model.labels == list(made.MOTIONS)
    assert (np.diag(chances) > 0.6).all()


def test_the_mask_does_not_lie_where_the_explanation_is_written(made: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("av")
    made.main(["--motion", "right", "--seed", "1", "--out", str(tmp_path / "motion.mp4")])
    assert {path.name for path in tmp_path.iterdir()} == {"motion.mp4", "motion_mask.npz"}
    with np.load(tmp_path / "motion_mask.npz") as held:
        assert held["masks"].any(axis=(1, 2)).any()
        assert held["masks"].shape[1:] == (made.SIDE, made.SIDE)


def test_the_script_that_trains_runs_and_exports_the_interface_of_the_embedded_model(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    script = ROOT / "benchmarks" / "motionnet.py"
    command = [sys.executable, "-W", "error", str(script), "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "9 clips: " in done.stdout
    folder = ROOT / "src" / "borex" / "models" / "motionnet"
    assert (tmp_path / "labels.txt").read_text().split() == (folder / "labels.txt").read_text().split()
    interfaces = []
    for path in (tmp_path, folder):
        session = onnxruntime.InferenceSession(path / "motionnet.onnx")
        ends = [*session.get_inputs(), *session.get_outputs()]
        interfaces.append([(end.name, end.shape, end.type) for end in ends])
        interfaces[-1].append(session.get_modelmeta().custom_metadata_map["labels"])
    assert interfaces[0] == interfaces[1]
