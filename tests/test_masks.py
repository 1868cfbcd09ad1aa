"""Masks against loops over every pixel; sizes that all differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from borex.masks import CellMasks, boxes, cell_means, cell_of_pixel, masked, spread
from tests.oracles import cell_mean, masked_copy

DTYPES = ["uint8", "int8", "uint16", "int16", "int32", "float16", "float32", "float64"]
EXTENTS = [(5, 7), (3, 4, 6), (6, 1), (1, 5)]


def media_of(extent: tuple[int, ...], channels: int, dtype: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = (
        rng.uniform(-100, 100, (*extent, channels)) if dtype[0] != "u" else rng.uniform(0, 250, (*extent, channels))
    )
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("extent", "channels"), list(zip(EXTENTS, [3, 1, 4, 5], strict=True)))
@pytest.mark.parametrize("soft", [False, True])
def test_copies_are_what_loops_make(dtype: str, extent: tuple[int, ...], channels: int, soft: bool) -> None:
    media, baseline = media_of(extent, channels, dtype, 0), media_of(extent, channels, dtype, 1)
    rng = np.random.default_rng(2)
    masks = rng.random((4, *extent)).astype(np.float32) if soft else rng.random((4, *extent)) < 0.5
    copies = masked(media, baseline, masks)
    assert copies.dtype == media.dtype
    assert copies.shape == (4, *media.shape)
    expected = np.stack([masked_copy(media, baseline, mask) for mask in masks])
    if not soft:
        assert (copies == expected).all()
    else:
        # One level where a half is rounded; for floats the precision of the copies.
        close = {"i": 1, "u": 1, "f": 0.2 if dtype == "float16" else 1e-4}[media.dtype.kind]
        np.testing.assert_allclose(copies.astype(float), expected.astype(float), rtol=0, atol=close)
        assert (np.abs(copies.astype(float) - expected.astype(float)) > 0.5).mean() < 0.02


@pytest.mark.parametrize("dtype", DTYPES)
def test_ends_and_inputs_are_untouched(dtype: str) -> None:
    media, baseline = media_of((5, 7), 3, dtype, 0), media_of((5, 7), 3, dtype, 1)
    kept = media.copy(), baseline.copy()
    for ones in (np.ones((1, 5, 7), dtype=bool), np.ones((1, 5, 7), dtype=np.float32)):
        np.testing.assert_allclose(masked(media, baseline, ones)[0], media, rtol=1e-6, atol=1e-5)
        assert (masked(media, baseline, ~(ones > 0))[0] == baseline).all()
    assert (media == kept[0]).all()
    assert (baseline == kept[1]).all()


def test_soft_masks_keep_large_integers() -> None:
    media = np.full((1, 2, 1), 2**30 + 1, dtype=np.int32)
    ones = np.ones((1, 1, 2), dtype=np.float32)
    assert (masked(media, np.zeros_like(media), ones) == media).all()


def test_boxes_are_clipped_and_half_open() -> None:
    found = boxes(np.array([[-2, 1], [3, 5]]), np.array([[1, 4], [9, 5]]), (4, 6))
    expected = np.zeros((2, 4, 6), dtype=bool)
    expected[0, 0:1, 1:4] = True
    assert (found == expected).all()


@given(st.integers(1, 40), st.data())
def test_every_cell_has_pixels_in_order(size: int, data: st.DataObject) -> None:
    cells = data.draw(st.integers(1, size))
    of = cell_of_pixel(size, cells)
    assert (np.unique(of) == np.arange(cells)).all()
    assert (np.diff(of) >= 0).all()
    counts = np.bincount(of)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(
    ("extent", "grid"), [((6, 8), (3, 2)), ((7, 9), (3, 4)), ((5, 7, 10), (2, 3, 5)), ((9, 1), (4, 1))]
)
def test_cell_means_are_what_loops_make(extent: tuple[int, ...], grid: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=(2, *extent))
    expected = np.stack([cell_mean(v, grid) for v in values])
    np.testing.assert_allclose(cell_means(values, grid), expected, atol=1e-12)
    np.testing.assert_allclose(cell_means(values.astype(np.float32), grid), expected, atol=1e-6)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=3), st.data())
def test_cell_means_undo_spread_to_the_last_bit(extent: list[int], data: st.DataObject) -> None:
    grid = tuple(data.draw(st.integers(1, size)) for size in extent)
    kept = np.random.default_rng(data.draw(st.integers(0, 99))).random((2, *grid)) < 0.5
    pixels = spread(kept, tuple(extent))
    assert pixels.shape == (2, *extent)
    assert (cell_means(pixels.astype(np.float32), grid) == kept).all()


def test_cell_masks_exist_where_they_are_looked_at() -> None:
    kept = np.random.default_rng(0).random((5, 2, 3)) < 0.5
    masks = CellMasks(kept, (7, 8))
    whole = np.asarray(masks)
    assert whole.dtype == masks.dtype == bool
    assert whole.shape == masks.shape == (5, 7, 8)
    assert len(masks) == 5
    assert (whole == spread(kept, (7, 8))).all()
    assert (masks[1:4] == whole[1:4]).all()
    assert (masks[2] == whole[2]).all()
    assert (masks[np.int64(-1)] == whole[-1]).all()
    assert (masks[[0, 3]] == whole[[0, 3]]).all()
    assert np.asarray(masks, dtype=np.float32).dtype == np.float32
