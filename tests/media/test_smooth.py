"""Maps of cells as pictures show them: interpolated, while the values stay what they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import borex
from borex.explanation import Check
from borex.media import show
from borex.media.write import display_limits, overlay, smooth

H, W = 40, 61


def bright_middle(batch: np.ndarray) -> np.ndarray:
    """Probabilities (n, 2): the brighter the middle, the surer of class 1."""
    middle = batch[:, 12:28, 20:40].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - middle, middle], axis=1)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    image = np.random.default_rng(3).integers(0, 80, (H, W, 3), dtype=np.uint8)
    image[12:28, 20:40] += 150
    return image


@pytest.fixture(scope="module")
def explained(photo: np.ndarray) -> borex.Explanation:
    return borex.refine(bright_middle, photo, target=1, max_evals=60, baseline="black", grid=(11, 18))


def test_smooth_goes_through_the_cells_and_has_no_steps() -> None:
    cells = np.random.default_rng(0).random((5, 7)).astype(np.float32)
    fine = smooth(cells, finer=9)  # odd: the middle of each cell is a value of the fine map
    assert fine.shape == (45, 63)
    assert fine.dtype == np.float32
    np.testing.assert_allclose(fine[4::9, 4::9], cells, atol=1e-5)
    assert np.abs(np.diff(fine, axis=0)).max() < np.abs(np.diff(cells, axis=0)).max() / 3


def test_smooth_takes_any_number_of_axes_and_a_single_cell() -> None:
    assert smooth(np.ones((2, 3, 4)), finer=2).shape == (4, 6, 8)
    np.testing.assert_allclose(smooth(np.full((1, 3), 2.5), finer=4), 2.5, rtol=1e-6)


def test_an_overlay_shows_no_cells_though_the_saliency_has_them(
    photo: np.ndarray, explained: borex.Explanation
) -> None:
    raw = explained.saliency
    assert len(np.unique(raw)) <= np.prod(explained.record.settings.grid) < raw.size / 4
    blank = np.full_like(photo, 128)
    steps = [
        np.abs(np.diff(shown.astype(int), axis=1)).max() for shown in (explained.overlay(blank), overlay(blank, raw))
    ]
    assert steps[0] < 0.6 * steps[1]
    np.testing.assert_array_equal(raw, explained.saliency)


def test_a_panel_has_the_initial_map_only_where_there_is_one(photo: np.ndarray, explained: borex.Explanation) -> None:
    flat = explained.panel()
    assert flat.dtype == np.uint8
    given = borex.refine(bright_middle, photo, photo[..., 0] / 255.0, target=1, max_evals=60, baseline="black")
    assert given.panel().shape[1] > flat.shape[1] + 50
    assert given.panel(max_side=30).shape[1] < given.panel().shape[1]


def with_cells_below(found: borex.Explanation, stds: float, share: float = 0.9) -> borex.Explanation:
    """The map with cells that lie so many of their standard deviations below 0, and far enough to be seen: by a share
    of how far the highest lies above."""
    saliency, std, low = found.saliency.copy(), found.std.copy(), share * found.saliency.max()
    saliency[..., :6, :], std[..., :6, :] = -low, low / stds
    return replace(found, saliency=saliency, std=std)


def ends(found: borex.Explanation) -> tuple[float, float]:
    limits = show.limits(found)
    assert limits is not None
    return limits


def test_colours_diverge_where_a_cell_is_far_below_0(explained: borex.Explanation) -> None:
    noise, signed = with_cells_below(explained, 1.9), with_cells_below(explained, 2.1)
    assert display_limits(noise.smooth(noise.saliency))[0] < 0  # what the values alone would say
    assert ends(noise)[0] == 0
    assert ends(signed)[0] == -ends(signed)[1] < 0
    stronger = with_cells_below(explained, 1.5, share=1.1)  # unsure, but less so than what lies above
    assert ends(stronger)[0] == -ends(stronger)[1] < 0
    kept = replace(noise, check=Check((0.5,), 1.0, 0.0, "initial"))  # in its own units, which std says nothing about
    assert ends(kept) == display_limits(kept.saliency)
    assert show.limits(replace(noise, saliency=np.zeros_like(noise.saliency))) is None


def test_every_picture_has_the_same_colours(
    explained: borex.Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from borex.apps.outputs import write

    noise, drawn = with_cells_below(explained, 1.9), []
    smoothed = noise.smooth(noise.saliency)

    def seen(media: np.ndarray, saliency: np.ndarray, alpha: float = 0.85, limits: Any = None) -> np.ndarray:
        if saliency.shape == smoothed.shape and np.array_equal(saliency, smoothed):
            drawn.append(limits)
        return overlay(media, saliency, alpha, limits)

    for module in ("write", "show", "plots"):
        monkeypatch.setattr(f"borex.media.{module}.overlay", seen)
    monkeypatch.setattr("borex.apps.outputs.overlay", seen)
    noise.overlay()
    noise.panel()
    noise._repr_html_()
    noise.save(tmp_path / "one.png")
    write(noise, tmp_path, "two")
    assert drawn == [ends(noise)] * 6
    pytest.importorskip("matplotlib")
    assert any(axis.get_xlim() == pytest.approx(ends(noise)) for axis in noise.plot().axes)


def test_so_has_every_picture_of_a_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = np.random.default_rng(0).integers(0, 256, (5, 22, 30, 3), dtype=np.uint8)

    def bright(batch: np.ndarray) -> np.ndarray:
        seen = batch[:, :2, 12:].mean(axis=(1, 2, 3, 4)) / 255
        return np.stack([1 - seen, seen], axis=1)

    noise = with_cells_below(borex.refine(bright, clip, target=1, max_evals=40, baseline="black"), 1.9)
    assert display_limits(noise.smooth(noise.saliency))[0] < 0 == ends(noise)[0]
    drawn = []

    def seen(media: np.ndarray, saliency: np.ndarray, alpha: float = 0.85, limits: Any = None) -> np.ndarray:
        drawn.append(limits)
        return overlay(media, saliency, alpha, limits)

    for module in ("film", "plots"):
        monkeypatch.setattr(f"borex.media.{module}.overlay", seen)
    noise.panel()
    show.frames(noise)
    pytest.importorskip("matplotlib")
    noise.plot()
    assert drawn == [ends(noise)] * 3
