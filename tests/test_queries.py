"""Which masks are asked: boxes that are boxes, shares that are kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from borex.queries import LARGEST, SMALLEST, SobolBoxes, spread_shares, top_share

GRIDS = [((6, 9), (60, 135)), ((4, 5, 7), (12, 50, 91)), ((8, 1), (200, 1)), ((1, 6), (1, 90)), ((2, 3), (2, 3))]


@pytest.mark.parametrize(("grid", "extent"), GRIDS)
def test_boxes_are_boxes_and_never_empty(grid: tuple[int, ...], extent: tuple[int, ...]) -> None:
    inside = SobolBoxes(grid, extent, np.random.default_rng(0)).draw(150)
    assert inside.shape == (150, *grid)
    assert inside.dtype == bool
    for box in inside:
        at = np.argwhere(box)
        assert len(at)
        assert box.sum() == np.prod(at.max(axis=0) - at.min(axis=0) + 1)


@pytest.mark.parametrize(("grid", "extent"), GRIDS)
def test_boxes_reach_every_cell_and_differ_in_size(grid: tuple[int, ...], extent: tuple[int, ...]) -> None:
    inside = SobolBoxes(grid, extent, np.random.default_rng(0)).draw(256)
    assert inside.any(axis=0).all()
    assert len(np.unique(inside.reshape(256, -1).sum(axis=1))) > 1


def test_of_the_cuboids_of_a_clip_a_sixth_are_all_of_space_for_a_while_and_of_an_image_none() -> None:
    clip = SobolBoxes((8, 14, 14), (16, 112, 112), np.random.default_rng(0)).draw(600)
    slabs = clip[clip.any(axis=1).all(axis=(1, 2))]
    assert len(slabs) == pytest.approx(100, abs=15)
    assert {1, 2, 4, 8} <= set(slabs.any(axis=(2, 3)).sum(axis=1))
    frame = SobolBoxes((1, 14, 14), (1, 112, 112), np.random.default_rng(0)).draw(600)
    assert not frame.all(axis=(1, 2, 3)).any()


def test_the_design_is_the_same_however_it_is_drawn() -> None:
    grid, extent = GRIDS[1]
    at_once = SobolBoxes(grid, extent, np.random.default_rng(5)).draw(90)
    boxes = SobolBoxes(grid, extent, np.random.default_rng(5))
    assert (np.concatenate([boxes.draw(n) for n in (1, 10, 79)]) == at_once).all()
    other = SobolBoxes(grid, extent, np.random.default_rng(6)).draw(90)
    assert (other != at_once).any()


def test_boxes_have_the_shape_of_the_media_not_of_the_grid() -> None:
    # Cells four times as high as wide: a square of pixels is four times as many columns as rows of cells.
    inside = SobolBoxes((40, 80), (400, 200), np.random.default_rng(0)).draw(500)
    whole = [box for box in inside if not (box[0].any() or box[-1].any() or box[:, 0].any() or box[:, -1].any())]
    rows, columns = (np.array([box.any(axis=axis).sum() for box in whole]) for axis in (1, 0))
    assert len(whole) > 50
    assert columns.mean() == pytest.approx(4 * rows.mean(), rel=0.1)


@given(st.integers(1, 30), st.integers(0, 99))
def test_shares_spread_over_the_range(n: int, seed: int) -> None:
    shares = spread_shares(n, np.random.default_rng(seed))
    assert shares.shape == (n,)
    assert (shares >= SMALLEST).all()
    assert (shares <= LARGEST).all()
    parts = np.log(shares / SMALLEST) / np.log(LARGEST / SMALLEST) * n
    assert (np.floor(parts + 1e-9) == np.arange(n)).all()


@given(st.lists(st.integers(1, 6), min_size=2, max_size=3), st.floats(0, 1), st.integers(0, 99))
def test_the_top_share_is_the_top(shape: list[int], share: float, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 5, (2, *shape)).astype(float)
    top = top_share(values, np.array([share, 0.5]))
    places = int(np.prod(shape))
    assert top.shape == values.shape
    assert top[0].sum() == np.clip(round(share * places), 1, max(1, places - 1))
    for row, kept in zip(values, top, strict=True):
        if not kept.all():
            assert row[kept].min() >= row[~kept].max()


def test_ties_go_to_the_first_place() -> None:
    assert top_share(np.zeros((1, 2, 3)), np.array([0.5])).ravel().tolist() == [True] * 3 + [False] * 3
