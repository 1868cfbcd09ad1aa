"""Media of any layout, and what is no media."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from borex.errors import InputError, LayoutError
from borex.layout import LAYOUTS, checked_initial, to_channels_last

SIZES = {"N": 1, "T": 5, "H": 8, "W": 11, "C": 3}
NAMES = [name for names in LAYOUTS.values() for name in names]


def shape_of(name: str, **sizes: int) -> tuple[int, ...]:
    return tuple({**SIZES, **sizes}[axis] for axis in name)


def numbered(name: str, **sizes: int) -> np.ndarray:
    shape = shape_of(name, **sizes)
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


def back(arrived: np.ndarray, name: str) -> np.ndarray:
    """Media `(*extent, channels)` in the layout that it came in."""
    axes = ("THW" if "T" in name else "HW") + "C"
    if "C" not in name:
        arrived, axes = arrived[..., 0], axes[:-1]
    turned = np.einsum(f"{axes}->{name.replace('N', '')}", arrived)
    return turned[None] if "N" in name else turned


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


# Layouts


@pytest.mark.parametrize("name", NAMES)
def test_every_layout_comes_to_channels_last_and_back(name: str) -> None:
    media = numbered(name)
    arrived = to_channels_last(media, name)
    axes = "THW" if "T" in name else "HW"
    assert arrived.shape == (*shape_of(axes), SIZES["C"] if "C" in name else 1)
    # One value followed by hand: channel 2, row 6, column 9 (, frame 4).
    at = {"N": 0, "T": 4, "H": 6, "W": 9, "C": 2 if "C" in name else 0}
    assert arrived[tuple(at[axis] for axis in axes + "C")] == media[tuple(at[axis] for axis in name)]
    np.testing.assert_array_equal(back(arrived, name), media)


@pytest.mark.parametrize("name", ["HW", "HWC", "CHW", "THWC", "TCHW", "CTHW", "NTHWC", "NTCHW", "NCTHW"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_auto_finds_what_can_only_be_one(name: str, channels: int) -> None:
    media = numbered(name, C=channels)
    np.testing.assert_array_equal(back(to_channels_last(media), name), media)


@given(
    name=st.sampled_from(NAMES),
    sizes=st.fixed_dictionaries({axis: st.integers(1, 6) for axis in "TC"} | {a: st.integers(2, 6) for a in "HW"}),
)
def test_layouts_round_trip(name: str, sizes: dict[str, int]) -> None:
    media = numbered(name, **sizes)
    arrived = to_channels_last(media, name)
    assert arrived.flags.c_contiguous
    np.testing.assert_array_equal(back(arrived, name), media)


@given(shape=st.lists(st.integers(1, 5), min_size=2, max_size=5).map(tuple))
def test_auto_is_the_only_reading_or_an_error_that_names_the_fix(shape: tuple[int, ...]) -> None:
    def fits(name: str) -> bool:
        sizes = dict(zip(name, shape, strict=True))
        return name != "THW" and sizes.get("C", 1) in (1, 3, 4) and sizes.get("N", 1) == 1

    fitting = [name for name in LAYOUTS[len(shape)] if fits(name)]
    media = np.zeros(shape)
    if len(fitting) == 1:
        assume(np.prod(shape) > 4)  # one pixel is an error of its own
        media = np.arange(np.prod(shape)).reshape(shape)
        np.testing.assert_array_equal(back(to_channels_last(media), fitting[0]), media)
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
    arrived = to_channels_last(media)
    assert arrived.dtype == dtype
    np.testing.assert_array_equal(arrived, media.transpose(1, 2, 0))


def test_bool_media_becomes_float_and_foreign_byte_order_the_machine_s() -> None:
    media = np.arange(8 * 11).reshape(8, 11) % 3 == 0
    arrived = to_channels_last(media)
    assert arrived.dtype == np.float32
    np.testing.assert_array_equal(arrived[..., 0], media)
    swapped = to_channels_last(numbered("HWC").astype(">f4"))
    assert swapped.dtype == np.float32
    assert swapped.dtype.isnative


def test_tensors_are_taken_off_their_device_and_graph() -> None:
    media = numbered("NCHW").astype(np.float32)
    arrived = to_channels_last(Tensor(media), "NCHW")
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
    arrived = to_channels_last(picture)
    assert arrived.shape == (3, 8, channels)
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
    assert to_channels_last(np.zeros(shape)).shape == (*shape, 1)
    assert to_channels_last(np.zeros((*shape, 3)), "HWC").shape == (*shape, 3)


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


def test_an_open_file_and_its_bytes_are_named_and_left_open(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(bytes(5000))
    with path.open("rb") as file:
        for opened in (file, path.read_bytes(), io.BytesIO(path.read_bytes())):
            with pytest.raises(InputError, match="is an open file or its bytes") as caught:
                to_channels_last(opened)
            assert len(str(caught.value)) < 300
        assert file.read(1) == bytes(1)
