"""Photos and heat maps from files, good and bad."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from borex.errors import FileError
from borex.media.load import Part
from borex.media.object_mask import read_mask
from borex.media.read import read_image, read_map
from borex.media.video import Clip

H, W = 8, 11


def colours() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)


def saved(path: Path, pixels: np.ndarray | Image.Image, **options: Any) -> Path:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def bomb(path: Path, width: int, height: int) -> Path:
    """A PNG of a few bytes that says it has many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


# Photos


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_rgb_comes_back_exactly(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    pixels = read_image(saved(tmp_path / f"a.{suffix}", colours(), **options))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, colours())
    pixels[0, 0] = 7  # it is the caller's


def test_a_path_may_be_text(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_image(str(saved(tmp_path / "a.png", colours()))), colours())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    turned = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", colours(), exif=exif)
    np.testing.assert_array_equal(read_image(path), turned(colours()))
    grey = colours()[..., 0]
    np.testing.assert_array_equal(read_map(saved(tmp_path / "b.png", grey, exif=exif)), turned(grey) / 255)


def test_damaged_exif_data_does_not_spoil_the_picture(tmp_path: Path) -> None:
    cut = b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0"
    assert read_image(saved(tmp_path / "a.jpg", colours(), exif=cut)).shape == (H, W, 3)


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    alpha = np.zeros((H, W), np.uint8)
    alpha[:, :4], alpha[:, 4:6] = 255, 128
    pixels = read_image(saved(tmp_path / "a.png", np.dstack([colours(), alpha])))
    np.testing.assert_array_equal(pixels[:, :4], colours()[:, :4])
    assert (pixels[:, 6:] == 255).all()
    np.testing.assert_allclose(pixels[:, 4:6], (colours()[:, 4:6] + 255.0) / 2, atol=1.5)


@pytest.mark.parametrize("mode", ["LA", "P"])
def test_transparency_of_greys_and_palettes_is_laid_on_white(tmp_path: Path, mode: str) -> None:
    if mode == "LA":
        path = saved(tmp_path / "a.png", np.dstack([np.full((H, W), 90), np.zeros((H, W))]).astype(np.uint8))
    else:
        path = saved(tmp_path / "a.png", Image.fromarray(colours()).quantize(4), transparency=b"\x00\x00\x00\x00")
    assert (read_image(path) == 255).all()


def test_palettes_bits_and_greys_become_rgb(tmp_path: Path) -> None:
    image = Image.fromarray(colours()).quantize(5)
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.gif", image)), np.asarray(image.convert("RGB")))
    grey = colours()[..., 0]
    np.testing.assert_array_equal(read_image(saved(tmp_path / "b.png", grey)), np.dstack([grey] * 3))
    bits = Image.fromarray(grey > 99)
    np.testing.assert_array_equal(read_image(saved(tmp_path / "c.png", bits))[..., 2], (grey > 99) * 255)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, H * W).reshape(H, W).astype(np.uint16)
    for suffix in ("png", "tif"):
        pixels = read_image(saved(tmp_path / f"a.{suffix}", deep))
        np.testing.assert_array_equal(pixels, np.dstack([np.rint(deep / 257)] * 3))


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    image = Image.new("RGB", (W, H), (200, 20, 60)).convert("CMYK")
    pixels = read_image(saved(tmp_path / "a.jpg", image, quality=95))
    np.testing.assert_allclose(pixels, np.full((H, W, 3), (200, 20, 60)), atol=6)


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("L", (W, H), level) for level in (40, 200)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert (read_image(path) == 40).all()


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_pictures(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a.{suffix}", noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FileError, match=r"damaged or incomplete|no picture"):
        read_image(path)


def test_a_png_with_a_wrong_checksum(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", colours())
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 8] ^= 255
    path.write_bytes(data)
    with pytest.raises(FileError, match="damaged"):
        read_image(path)


@pytest.mark.parametrize("read", [read_image, read_map])
@pytest.mark.parametrize("side", [10_000, 30_000])  # where Pillow warns, and where it raises
def test_decompression_bombs(tmp_path: Path, read: Callable[[Path], np.ndarray], side: int) -> None:
    path = bomb(tmp_path / "a.png", side, side)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in a caller's program
        with pytest.raises(FileError, match=r"more than 89 million pixels.*MAX_IMAGE_PIXELS"):
            read(path)


def test_values_of_unknown_range_are_not_guessed(tmp_path: Path) -> None:
    for low, high in [(-3, 0.5), (0, 900)]:
        path = saved(tmp_path / "a.tif", np.linspace(low, high, H * W, dtype=np.float32).reshape(H, W))
        with pytest.raises(FileError, match=rf"between {low} and {high}.*expected greyscale"):
            read_image(path)
    floats = np.linspace(0, 1, H * W, dtype=np.float32).reshape(H, W)
    np.testing.assert_array_equal(read_image(saved(tmp_path / "b.tif", floats))[..., 0], np.rint(floats * 255))


# Heat maps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_maps_come_back_raw(tmp_path: Path, dtype: type) -> None:
    saliency = np.random.default_rng(0).normal(size=(3, H, W)).astype(dtype)
    np.save(tmp_path / "a.npy", saliency)
    np.savez(tmp_path / "one.npz", anything=saliency)
    np.savez(tmp_path / "explanation.npz", std=saliency * 2, saliency=saliency, map=saliency * 3)
    np.savez_compressed(tmp_path / "map.npz", other=saliency * 2, map=saliency)
    for name in ("a.npy", "one.npz", "explanation.npz", "map.npz"):
        read = read_map(tmp_path / name)
        assert read.dtype == dtype
        np.testing.assert_array_equal(read, saliency)


def test_whole_numbers_become_floats(tmp_path: Path) -> None:
    for dtype in (bool, np.uint8, np.int64):
        np.save(tmp_path / "a.npy", np.eye(3, 5, dtype=dtype))
        read = read_map(tmp_path / "a.npy")
        assert read.dtype.kind == "f"
        np.testing.assert_array_equal(read, np.eye(3, 5))


def test_greyscale_pictures_are_maps_in_0_1(tmp_path: Path) -> None:
    grey = colours()[..., 0]
    np.testing.assert_array_equal(read_map(saved(tmp_path / "a.png", grey)), grey / 255)
    np.testing.assert_array_equal(read_map(saved(tmp_path / "b.png", np.dstack([grey] * 3))), grey / 255)
    np.testing.assert_allclose(read_map(saved(tmp_path / "c.jpg", grey, quality=100)), grey / 255, atol=0.02)
    deep = np.linspace(0, 65535, H * W).reshape(H, W).astype(np.uint16)
    np.testing.assert_array_equal(read_map(saved(tmp_path / "d.png", deep)), deep / 65535)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_in_a_map_or_mask_is_0(tmp_path: Path, mode: str) -> None:
    alpha = np.zeros((H, W), np.uint8)
    alpha[2:5, 3:9], alpha[5] = 255, 51
    if mode == "P":
        levels = Image.fromarray((alpha > 99).astype(np.uint8))
        levels.putpalette([255] * 6)
        path, alpha = saved(tmp_path / "a.png", levels, transparency=b"\x00\xff"), (alpha > 99) * 255
    else:
        under = colours() * (alpha == 0)[..., None] + 255 * (alpha > 0)[..., None]  # hidden colours are none
        path = saved(tmp_path / "a.png", np.dstack([under[..., : len(mode) - 1], alpha]).astype(np.uint8))
    np.testing.assert_allclose(read_map(path), alpha / 255, atol=1e-12)
    (tmp_path / "masks").mkdir()
    saved(tmp_path / "masks" / "0.png", Image.open(path))
    clip = Clip(np.zeros((1, H, W, 3), np.uint8), 1.0, np.zeros(1), str(tmp_path / "masks"))
    np.testing.assert_allclose(read_mask(tmp_path / "masks", Part(), None, clip)[0], alpha, atol=1e-4)
    with pytest.raises(FileError, match="in colour; expected a heat map"):
        read_map(saved(tmp_path / "b.png", np.dstack([colours(), alpha.astype(np.uint8)])))


def test_a_picture_in_colour_is_no_map(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"in colour; expected a heat map.*numpy\.save"):
        read_map(saved(tmp_path / "a.png", colours()))


def test_archives_that_are_no_map(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", left=np.eye(3), right=np.eye(4))
    np.savez(tmp_path / "none.npz")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "complex.npy", np.eye(3) * 1j)
    np.save(tmp_path / "cut.npy", np.eye(30))
    np.savez(tmp_path / "cut.npz", map=np.eye(30))
    for name in ("cut.npy", "cut.npz"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:300])
    for name, text in [
        ("two.npz", "holds 2 arrays (left, right); expected a single one, or one named 'saliency' or 'map'"),
        ("none.npz", "holds 0 arrays (none)"),
        ("objects.npy", "without pickle"),
        ("complex.npy", "complex128"),
        ("cut.npy", "damaged"),
        ("cut.npz", "damaged"),
    ]:
        with pytest.raises(FileError) as caught:
            read_map(tmp_path / name)
        assert text in str(caught.value)
