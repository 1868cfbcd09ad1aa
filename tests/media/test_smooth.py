"""Maps of cells as pictures show them: interpolated, while the values stay what they are."""

from __future__ import annotations

import numpy as np
import pytest

import borex
from borex.media.write import overlay, smooth

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
    return borex.refine(bright_middle, photo, target=1, max_evals=60, baseline="black")


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
    assert len(np.unique(raw)) <= 200
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
