"""Heat maps in colour, alone and over media."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from borex.errors import InputError
from borex.media.write import colours, display_limits, overlay, scale

H, W = 21, 34


def blob(h: int = H, w: int = W, y: float = 0.4, x: float = 0.7) -> np.ndarray:
    rows, columns = np.mgrid[:h, :w]
    return np.exp(-((rows / h - y) ** 2 + (columns / w - x) ** 2) / 0.02)


def photo(h: int = H, w: int = W) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (h, w, 3), dtype=np.uint8)


def lightness(rgb: np.ndarray) -> np.ndarray:
    """CIE L* in [0, 100], written from the standard."""
    encoded = rgb / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(y > (6 / 29) ** 3, 116 * np.cbrt(y) - 16, y * (29 / 3) ** 3)


# The scales


def test_the_sequential_scale_grows_evenly_in_lightness() -> None:
    table = scale(False)
    assert table.shape == (256, 3)
    steps = np.diff(lightness(table)[::8])
    assert steps.min() > 0
    assert steps.max() < 2 * steps.mean()
    assert lightness(table)[0] < 5
    assert lightness(table)[-1] > 90
    assert np.abs(np.diff(table.astype(int), axis=0)).max() < 12  # no edge that the map has not


def test_the_diverging_scale_is_even_on_both_sides_of_a_colourless_middle() -> None:
    table = scale(True)
    assert table.shape == (511, 3)
    assert np.ptp(table[255].astype(int)) <= 1
    below, above = lightness(table)[255::-8], lightness(table)[255::8]
    assert (np.diff(below) < 0).all()
    assert (np.diff(above) < 0).all()
    np.testing.assert_allclose(below, above, atol=7)
    assert table[0, 2] > 2 * table[0, 0]  # blue below
    assert table[-1, 0] > 2 * table[-1, 2]  # red above


def test_a_scale_cannot_be_spoilt() -> None:
    with pytest.raises(ValueError, match="read-only"):
        scale(False)[0] = 0


# Limits


def test_limits_are_robust_and_say_whether_a_map_is_signed() -> None:
    saliency = blob()
    saliency[0, 0] = 1e6  # one outlier of 714 pixels
    low, high = display_limits(saliency)
    assert 0 <= low < 0.05
    assert 0.9 < high <= 1
    slightly = blob() - 0.05
    assert display_limits(slightly)[0] == 0
    signed = blob() - blob(x=0.2)
    assert display_limits(signed)[0] == -display_limits(signed)[1] < -0.8
    assert display_limits(-blob()) == (-display_limits(blob())[1], display_limits(blob())[1])  # all below 0: signed
    assert display_limits(0.5 + 0.01 * blob())[0] > 0.4  # an offset says nothing


def test_limits_of_a_map_whose_noise_is_known() -> None:
    signed, high = blob() - blob(x=0.2), display_limits(blob() - blob(x=0.2))[1]
    low, most = display_limits(signed, is_signed=False)
    assert low == 0
    assert most == pytest.approx(high, rel=0.1)
    slightly = blob() - 0.05
    assert display_limits(slightly, is_signed=True)[0] == -display_limits(slightly, is_signed=True)[1] < -0.8
    low, high = display_limits(-blob(), is_signed=False)  # noise alone: none of it is seen
    assert low == 0 < high
    assert (colours(-blob(), (low, high)) == scale(False)[0]).all()


def test_limits_of_flat_and_nearly_flat_maps() -> None:
    assert display_limits(np.full((H, W), 0.3)) == (0.3, 0.3)
    assert display_limits(np.full((H, W), np.nan)) == (0, 0)
    peak = np.zeros((100, 130))
    peak[3, 4] = 2.0
    assert display_limits(peak) == (0, 2)


# Colours


def test_colours_follow_the_values() -> None:
    shown = colours(blob())
    assert shown.shape == (H, W, 3)
    assert shown.dtype == np.uint8
    order = np.argsort(blob(), axis=None)
    assert (np.diff(lightness(shown).ravel()[order]) > -0.5).all()
    signed = colours(blob() - blob(x=0.2), limits=(-1, 1)).astype(int)
    assert signed[8, 6, 2] > 2 * signed[8, 6, 0]
    assert signed[8, 23, 0] > 2 * signed[8, 23, 2]
    assert colours(np.zeros((2, 3, 5))).shape == (2, 3, 5, 3)


def test_fixed_limits_make_pictures_comparable() -> None:
    half, whole = colours(0.5 * blob(), limits=(0, 1)), colours(blob(), limits=(0, 1))
    assert lightness(half).max() < 0.7 * lightness(whole).max()
    np.testing.assert_array_equal(colours(np.array([[-3.0, 0.5, 9.0]]), (0, 1))[0, [0, 2]], scale(False)[[0, -1]])
    # Around 0, both sides are shown to the same measure.
    np.testing.assert_array_equal(colours(np.array([[0.0, -1.0, 4.0]]), (-1, 4))[0], scale(True)[[255, 191, 510]])


@given(factor=st.floats(1e-3, 1e3), shift=st.floats(0, 10))
def test_the_default_limits_follow_the_raw_scale(factor: float, shift: float) -> None:
    plain, other = colours(blob()), colours(factor * (blob() + shift))
    assert np.abs(plain.astype(int) - other).max() <= 12  # a step of the scale


@pytest.mark.parametrize("value", [0.0, -2.0, 1e6, np.nan])
def test_flat_maps_show_nothing(value: float) -> None:
    flat = np.full((H, W), value)
    assert (colours(flat) == scale(False)[0]).all()
    plain = overlay(photo(), np.zeros((H, W)), alpha=0)
    np.testing.assert_array_equal(overlay(photo(), flat), plain)


def test_nan_is_shown_as_nothing() -> None:
    saliency = blob()
    saliency[8, 23] = np.nan
    np.testing.assert_array_equal(colours(saliency)[8, 23], scale(False)[0])
    np.testing.assert_array_equal(colours(saliency, (-1, 1))[8, 23], scale(True)[255])
    np.testing.assert_array_equal(colours(saliency - 3, (-3, -2))[8, 23], scale(False)[0])
    np.testing.assert_array_equal(overlay(photo(), saliency)[8, 23], overlay(photo(), blob(), alpha=0)[8, 23])


@pytest.mark.parametrize("limits", [(1, 1), (2, 1), (0, np.nan), (-np.inf, 1)])
def test_limits_that_are_none(limits: tuple[float, float]) -> None:
    for show in (lambda: colours(blob(), limits), lambda: overlay(photo(), blob(), limits=limits)):
        with pytest.raises(InputError, match="two finite values, the lower first"):
            show()


# Overlays


def test_an_overlay_is_warm_where_saliency_is_high_and_grey_elsewhere() -> None:
    shown = overlay(photo(), blob()).astype(int)
    assert shown.shape == (H, W, 3)
    chroma = np.ptp(shown, axis=-1)
    high, low = blob() > 0.6, blob() < 0.01
    assert chroma[high].mean() > 2 * chroma[low].mean()
    assert (shown[high][:, 0] > shown[high][:, 2]).all()
    # The picture stays visible, without saliency and under it.
    grey = photo() @ [0.299, 0.587, 0.114]
    for where, least in ((low, 0.95), (high, 0.6)):
        assert np.corrcoef(grey[where], (shown @ [0.299, 0.587, 0.114])[where])[0, 1] > least


def test_opacity_follows_the_size_of_signed_saliency() -> None:
    saliency = np.tile(np.linspace(-1, 1, W), (H, 1))
    plain = overlay(np.full((H, W, 3), 128, np.uint8), saliency, alpha=0)
    change = np.abs(overlay(np.full((H, W, 3), 128, np.uint8), saliency).astype(int) - plain).sum(axis=-1)[0]
    assert change[[W // 2 - 1, W // 2]].max() < 30
    assert change[[0, -1]].min() > 100


def test_alpha_is_the_highest_opacity() -> None:
    media = photo()
    strong, weak = overlay(media, blob(), alpha=1.0).astype(int), overlay(media, blob(), alpha=0.3).astype(int)
    plain = overlay(media, blob(), alpha=0.0).astype(int)
    np.testing.assert_allclose(weak - plain, 0.3 * (strong - plain), atol=1.5)
    for alpha in (-0.1, 1.1):
        with pytest.raises(InputError, match="opacity between 0 and 1"):
            overlay(media, blob(), alpha=alpha)


def test_maps_of_any_resolution_are_laid_over_media_of_any_extent() -> None:
    assert overlay(photo(), blob(5, 7)).shape == (H, W, 3)
    coarse = overlay(photo(), blob(7, 9), limits=(0, 1)).astype(int)
    assert np.abs(coarse - overlay(photo(), blob(), limits=(0, 1))).mean() < 12
    clip = np.stack([photo(), photo()[::-1]])
    assert overlay(clip, np.stack([blob(6, 8)] * 3)).shape == (2, H, W, 3)
    assert overlay(photo()[:, :1], blob()[:, :1]).shape == (H, 1, 3)  # one pixel wide
    with pytest.raises(InputError, match="as many axes"):
        overlay(photo(), blob()[None])


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = overlay(photo(), blob())
    monkeypatch.setattr("borex.media.write.BLOCK", 100)
    np.testing.assert_array_equal(overlay(photo(), blob()), whole)


def test_an_overlay_of_a_large_photo_is_lean() -> None:
    media, saliency = photo(1500, 2000), blob(14, 14)
    tracemalloc.start()
    try:
        overlay(media, saliency)
        assert tracemalloc.get_traced_memory()[1] < 14 * media.nbytes  # floats of all of it at once would be 25
    finally:
        tracemalloc.stop()
