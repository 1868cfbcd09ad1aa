"""Media of any layout, heat maps of any resolution."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from borex.errors import InputError, LayoutError
from borex.layout import LAYOUTS, checked_initial, resize, resize_media, to_channels_last

SIZES = {"N": 1, "T": 5, "H": 8, "W": 11, "C": 3}
NAMES = [name for names in LAYOUTS.values() for name in names]


def shape_of(name: str, **sizes: int) -> tuple[int, ...]:
    return tuple({**SIZES, **sizes}[axis] for axis in name)


def numbered(name: str, **sizes: int) -> np.ndarray:
    shape = shape_of(name, **sizes)
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


class Tensor:
    """What is used of a torch tensor: it lies on a device and needs a gradient until it is told otherwise."""

    def __init__(self, array: np.ndarray, steps: tuple[str, ...] = (), dtype: str = "torch.float32") -> None:
        self.array, self.steps, self.dtype = array, steps, dtype

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad")

    def detach(self) -> Tensor:
        return Tensor(self.array, (*self.steps, "detach"), self.dtype)

    def cpu(self) -> Tensor:
        return Tensor(self.array, (*self.steps, "cpu"), self.dtype)

    def float(self) -> Tensor:
        return Tensor(self.array, self.steps, "torch.float32")

    def numpy(self) -> np.ndarray:
        assert self.steps == ("detach", "cpu")
        assert self.dtype != "torch.bfloat16"
        return self.array


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


# Layouts


@pytest.mark.parametrize("name", NAMES)
def test_every_layout_comes_to_channels_last_and_back(name: str) -> None:
    media = numbered(name)
    arrived, layout = to_channels_last(media, name)
    axes = "THW" if "T" in name else "HW"
    assert arrived.shape == (*shape_of(axes), SIZES["C"] if "C" in name else 1)
    # One value followed by hand: channel 2, row 6, column 9 (, frame 4).
    at = {"N": 0, "T": 4, "H": 6, "W": 9, "C": 2 if "C" in name else 0}
    assert arrived[tuple(at[axis] for axis in axes + "C")] == media[tuple(at[axis] for axis in name)]
    np.testing.assert_array_equal(layout.restore(arrived), media)


@pytest.mark.parametrize("name", ["HW", "HWC", "CHW", "THWC", "TCHW", "CTHW", "NTHWC", "NTCHW", "NCTHW"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_auto_finds_what_can_only_be_one(name: str, channels: int) -> None:
    media = numbered(name, C=channels)
    found, layout = to_channels_last(media)
    assert layout.name == name
    np.testing.assert_array_equal(found, to_channels_last(media, name)[0])


@given(
    name=st.sampled_from(NAMES),
    sizes=st.fixed_dictionaries({axis: st.integers(1, 6) for axis in "TC"} | {a: st.integers(2, 6) for a in "HW"}),
)
def test_layouts_round_trip(name: str, sizes: dict[str, int]) -> None:
    media = numbered(name, **sizes)
    arrived, layout = to_channels_last(media, name)
    assert arrived.flags.c_contiguous
    np.testing.assert_array_equal(layout.restore(arrived), media)


@given(shape=st.lists(st.integers(1, 5), min_size=2, max_size=5).map(tuple))
def test_auto_is_the_only_reading_or_an_error_that_names_the_fix(shape: tuple[int, ...]) -> None:
    def fits(name: str) -> bool:
        sizes = dict(zip(name, shape, strict=True))
        return name != "THW" and sizes.get("C", 1) in (1, 3, 4) and sizes.get("N", 1) == 1

    fitting = [name for name in LAYOUTS[len(shape)] if fits(name)]
    media = np.zeros(shape)
    if len(fitting) == 1:
        assume(np.prod(shape) > 4)  # one pixel is an error of its own
        assert to_channels_last(media)[1].name == fitting[0]
    elif len(shape) == 5 and shape[0] > 1:
        with pytest.raises(InputError, match="one input at a time"):
            to_channels_last(media)
    else:
        with pytest.raises(LayoutError) as caught:
            to_channels_last(media)
        assert all(f'layout="{name}"' in str(caught.value) for name in fitting)


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ((3, 9, 4), ("HWC", "CHW")),  # either end could be channels
        ((1, 9, 3), ("HWC", "CHW")),  # one pixel high, or one channel
        ((7, 9, 5), ("HWC", "CHW", "THW")),  # neither end could
        ((1, 3, 8, 11), ("NCHW", "TCHW")),  # a batch of one image, or a clip of one frame
        ((1, 8, 11, 3), ("NHWC", "THWC")),
        ((3, 4, 8, 11), ("TCHW", "CTHW")),
        ((6, 7, 8, 11), ("THWC", "TCHW", "CTHW")),
    ],
)
def test_ambiguous_layouts_are_never_guessed(shape: tuple[int, ...], named: tuple[str, ...]) -> None:
    with pytest.raises(LayoutError) as caught:
        to_channels_last(np.zeros(shape))
    assert str(shape) in str(caught.value)
    assert all(f'layout="{name}"' in str(caught.value) for name in named)
    for name in named:  # what the message proposes works
        if "N" not in name or shape[0] == 1:
            to_channels_last(np.zeros(shape), name)


def test_an_ambiguous_layout_is_spelled_out() -> None:
    with pytest.raises(LayoutError) as caught:
        to_channels_last(np.zeros((1, 8, 11, 3)))
    assert str(caught.value) == (
        "the media has shape (1, 8, 11, 3), which could be read in more than one way. Say which axis is which: "
        'layout="NHWC" (batch of 1 image, 8 x 11, 3 channels) or layout="THWC" (clip of 1 frame, 8 x 11, 3 channels) '
        'or layout="CTHW" (clip of 8 frames, 11 x 3, 1 channel)'
    )


@pytest.mark.parametrize(
    ("shape", "layout", "text"),
    [
        ((8, 11, 3), "NCHW", "names 4 axes, but the media has shape (8, 11, 3)"),
        ((8, 11, 3), "WHC", 'expected "auto" or one of HW, HWC'),
        ((8,), "auto", "1 axes; expected 2 to 5"),
        ((1, 1, 5, 8, 11, 3), "auto", "6 axes; expected 2 to 5"),
    ],
)
def test_a_layout_that_does_not_fit(shape: tuple[int, ...], layout: str, text: str) -> None:
    with pytest.raises(LayoutError) as caught:
        to_channels_last(np.zeros(shape), layout)
    assert text in str(caught.value)


@pytest.mark.parametrize(("name", "sizes"), [("NCHW", {"N": 2}), ("NHWC", {"N": 4}), ("NCTHW", {"N": 2})])
def test_one_input_at_a_time(name: str, sizes: dict[str, int]) -> None:
    for layout in [name] + ["auto"] * (len(name) == 5):
        with pytest.raises(InputError, match="one input at a time"):
            to_channels_last(numbered(name, **sizes), layout)


# Values


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64, np.float16, np.float32, np.float64])
def test_dtype_and_values_are_kept(dtype: type) -> None:
    media = numbered("CHW").astype(dtype)
    arrived, layout = to_channels_last(media)
    assert arrived.dtype == layout.dtype == dtype
    np.testing.assert_array_equal(arrived, media.transpose(1, 2, 0))


def test_bool_media_becomes_float_and_foreign_byte_order_the_machine_s() -> None:
    media = np.arange(8 * 11).reshape(8, 11) % 3 == 0
    arrived, _ = to_channels_last(media)
    assert arrived.dtype == np.float32
    np.testing.assert_array_equal(arrived[..., 0], media)
    swapped, _ = to_channels_last(numbered("HWC").astype(">f4"))
    assert swapped.dtype == np.float32
    assert swapped.dtype.isnative


def test_tensors_are_taken_off_their_device_and_graph() -> None:
    media = numbered("NCHW").astype(np.float32)
    arrived, _ = to_channels_last(Tensor(media), "NCHW")
    np.testing.assert_array_equal(arrived, media[0].transpose(1, 2, 0))
    to_channels_last(Tensor(media, dtype="torch.bfloat16"), "NCHW")
    np.testing.assert_array_equal(checked_initial(Tensor(media[0, 0]), (5, 6)), media[0, 0])


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("RGB", 3), ("L", 1), ("RGBA", 4), ("P", 3), ("CMYK", 3), ("LA", 4), ("1", 1), ("F", 1), ("I;16", 1), ("HSV", 3)],
)
def test_pictures_of_every_mode(mode: str, channels: int) -> None:
    picture = Image.new("RGB", (8, 3), (200, 20, 60))  # 3 high: as an array it would be ambiguous
    if mode in ("LA", "RGBA"):
        picture.putalpha(7)
    picture = (
        Image.new(mode, (8, 3), 40000) if mode == "I;16" else picture.convert(mode, palette=Image.Palette.ADAPTIVE)
    )
    arrived, layout = to_channels_last(picture)
    assert arrived.shape == (3, 8, channels)
    assert layout.name == ("HW" if channels == 1 else "HWC")
    if mode in ("P", "CMYK", "HSV"):
        assert np.abs(arrived.astype(int) - (200, 20, 60)).max() < 5
    if channels == 4:
        assert (arrived[..., 3] == 7).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_say_where(value: float) -> None:
    media = numbered("HWC")
    media[6, 9, 2] = value
    with pytest.raises(InputError, match=r"NaN or Inf, first at \(6, 9, 2\) of \(8, 11, 3\); expected finite"):
        to_channels_last(media)


@pytest.mark.parametrize(
    ("media", "layout", "text"),
    [
        (np.zeros((0, 11, 3)), "auto", "which is empty"),
        (np.zeros((8, 0)), "auto", "which is empty"),
        (np.zeros((1, 1, 3)), "HWC", "one pixel"),
        (np.zeros((1, 1, 1, 3)), "THWC", "one pixel"),
        (np.zeros((8, 11), dtype=complex), "auto", "dtype complex128; expected"),
        (np.full((8, 11), None), "auto", "dtype object; expected"),
        (np.full((8, 11), "a"), "auto", "dtype <U1; expected"),
        ([[1, 2], [3]], "auto", "makes no array"),
        ("photo.jpg", "auto", "read_image(path)"),
        (None, "auto", "the media is None; expected an array"),
    ],
)
def test_what_is_no_media(media: object, layout: str, text: str) -> None:
    with pytest.raises(InputError) as caught:
        to_channels_last(media, layout)
    assert text in str(caught.value)


@pytest.mark.parametrize("shape", [(8, 1), (1, 11), (2, 1)])
def test_one_pixel_wide_is_fine(shape: tuple[int, int]) -> None:
    assert to_channels_last(np.zeros(shape))[0].shape == (*shape, 1)
    assert to_channels_last(np.zeros((*shape, 3)), "HWC")[0].shape == (*shape, 3)


# The initial map


@pytest.mark.parametrize(("shape", "extent"), [((7, 5), (224, 300)), ((3, 7, 5), (16, 112, 90))])
def test_an_initial_map_of_any_resolution(shape: tuple[int, ...], extent: tuple[int, ...]) -> None:
    given_map = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    checked = checked_initial(given_map, extent)
    assert checked.dtype == np.float64
    np.testing.assert_array_equal(checked, given_map)
    assert not np.shares_memory(checked, given_map)


@pytest.mark.parametrize(
    ("initial", "extent", "texts"),
    [
        (np.zeros((1, 7, 5)), (8, 11), ("(1, 7, 5)", "(8, 11)", "initial[0]")),
        (np.zeros((7, 5)), (4, 8, 11), ("(7, 5)", "(4, 8, 11)", "initial[None]")),
        (np.zeros((0, 5)), (8, 11), ("(0, 5)", "empty")),
        (np.full((7, 5), np.nan), (8, 11), ("NaN or Inf in 35 of 35", "None stands for a flat map")),
        (np.full((7, 5), 1j), (8, 11), ("the initial map", "complex128")),
        (np.full((7, 5), None), (8, 11), ("the initial map", "object")),
        ("map.npy", (8, 11), ("the initial map is 'map.npy'", "read_map")),
    ],
)
def test_initial_maps_that_cannot_be_used(initial: object, extent: tuple[int, ...], texts: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        checked_initial(initial, extent)
    assert all(text in str(caught.value) for text in texts)


# Resizing


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
