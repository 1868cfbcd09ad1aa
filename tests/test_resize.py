"""Maps and media of any resolution: against Pillow and against slow second implementations."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from borex.errors import InputError
from borex.layout import resize, resize_media


def slow_weights(old: int, new: int) -> np.ndarray:
    """Matrix `(new, old)` of `resize` along one axis, entry by entry."""
    weights = np.zeros((new, old))
    for i in range(new):
        if new < old:
            for j in range(old):
                overlap = min((i + 1) * old / new, j + 1) - max(i * old / new, j)
                weights[i, j] = max(0.0, overlap) * new / old
        else:
            centre = min(max((i + 0.5) * old / new - 0.5, 0.0), old - 1.0)
            for j in range(old):
                weights[i, j] = max(0.0, 1.0 - abs(centre - j))
    return weights


def slow_resize(values: np.ndarray, extent: tuple[int, ...]) -> np.ndarray:
    for axis, new in enumerate(extent):
        values = np.apply_along_axis(lambda line, n=new: slow_weights(len(line), n) @ line, axis, values)
    return values


def maps(axes: int) -> st.SearchStrategy[np.ndarray]:
    shapes = st.tuples(*[st.integers(1, 9)] * axes)
    return st.builds(lambda shape, seed: np.random.default_rng(seed).normal(size=shape), shapes, st.integers(0, 99))


def test_growing_is_pillow_s_bilinear() -> None:
    small = np.random.default_rng(0).random((13, 7)).astype(np.float32)
    expected = np.asarray(Image.fromarray(small).resize((22, 40), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(resize(small, (40, 22)), expected, atol=1e-6)


def test_shrinking_by_whole_factors_is_pillow_s_box() -> None:
    large = np.random.default_rng(0).random((39, 28)).astype(np.float32)
    expected = np.asarray(Image.fromarray(large).resize((7, 13), Image.Resampling.BOX))
    np.testing.assert_allclose(resize(large, (13, 7)), expected, atol=1e-6)


@given(values=st.integers(1, 3).flatmap(maps), data=st.data())
def test_resize_equals_the_slow_one(values: np.ndarray, data: st.DataObject) -> None:
    extent = tuple(data.draw(st.integers(1, 12)) for _ in values.shape)
    np.testing.assert_allclose(resize(values, extent), slow_resize(values, extent), atol=1e-12)


@given(values=maps(2), other=st.tuples(st.integers(1, 9), st.integers(1, 12)), factor=st.floats(-3, 3))
def test_resize_is_linear_and_follows_a_transposition(
    values: np.ndarray, other: tuple[int, int], factor: float
) -> None:
    more = np.cos(np.arange(values.size)).reshape(values.shape)
    together = resize(values + factor * more, other)
    np.testing.assert_allclose(together, resize(values, other) + factor * resize(more, other), atol=1e-12)
    np.testing.assert_allclose(resize(values.T, other[::-1]), resize(values, other).T, atol=1e-12)


@given(value=st.floats(-1e6, 1e6), grow=st.tuples(st.integers(3, 20), st.integers(7, 20)))
def test_a_constant_stays_constant(value: float, grow: tuple[int, int]) -> None:
    assert (resize(np.full((3, 7), value), grow) == value).all()
    np.testing.assert_allclose(resize(np.full((31, 17), value), (6, 5)), value, rtol=1e-12, atol=1e-300)


@given(values=st.integers(1, 3).flatmap(maps), data=st.data())
def test_shrinking_keeps_the_mean(values: np.ndarray, data: st.DataObject) -> None:
    extent = tuple(data.draw(st.integers(1, size)) for size in values.shape)
    assert resize(values, extent).mean() == pytest.approx(values.mean(), abs=1e-12)


def test_resize_dtypes_and_shapes() -> None:
    assert resize(np.ones((3, 7), np.float32), (5, 2)).dtype == np.float32
    assert resize(np.ones((3, 7), np.uint8), (5, 2)).dtype == np.float64
    assert resize(np.ones((3, 7)), (3, 7), np.float32).dtype == np.float32
    with pytest.raises(InputError, match=r"shape \(3, 7\) to \(5,\)"):
        resize(np.ones((3, 7)), (5,))
    with pytest.raises(InputError, match="at least 1"):
        resize(np.ones((3, 7)), (5, 0))


@pytest.mark.parametrize("extent", [(5, 4), (20, 31), (5, 31)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float16, np.float32, np.float64])
def test_media_is_resized_channel_by_channel_in_its_own_dtype(extent: tuple[int, int], dtype: type) -> None:
    media = (np.random.default_rng(0).random((13, 7, 3)) * 250).astype(dtype)
    resized = resize_media(media, extent)
    assert resized.dtype == dtype
    for channel in range(3):
        exact = resize(media[..., channel].astype(np.float64), extent)
        atol = 0.5 + 1e-4 if np.dtype(dtype).kind in "iu" else 0.1 if dtype == np.float16 else 1e-4
        np.testing.assert_allclose(resized[..., channel], exact, rtol=0, atol=atol)
    assert resize_media(media, (13, 7)) is media
    with pytest.raises(InputError, match="channels"):
        resize_media(media[..., 0], extent)


def test_a_clip_is_resized_in_space_and_time() -> None:
    clip = np.random.default_rng(0).random((6, 5, 7, 3))
    resized = resize_media(clip, (4, 9, 3))
    np.testing.assert_allclose(resized[..., 1], slow_resize(clip[..., 1], (4, 9, 3)), atol=1e-12)


@settings(deadline=None)
@given(extent=st.sampled_from([(1200, 1600), (1600, 1200)]))
def test_memory_is_bounded_by_two_arrays_of_the_result(extent: tuple[int, int]) -> None:
    tracemalloc.start()
    try:
        result = resize(np.random.default_rng(0).random((14, 9)), extent, np.float32)
        assert tracemalloc.get_traced_memory()[1] < 2.2 * result.nbytes
    finally:
        tracemalloc.stop()
