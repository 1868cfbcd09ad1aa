"""Media to look at, panels with captions, PNG files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from borex.errors import FileError, InputError
from borex.media.write import panel, picture, png, save_png

H, W = 21, 34


def photo(h: int = H, w: int = W) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (h, w, 3), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_media_of_any_number_of_channels(channels: int) -> None:
    media = np.random.default_rng(0).integers(0, 256, (H, W, channels), dtype=np.uint8)
    shown = picture(media)
    assert shown.shape == (H, W, 3)
    if channels < 3:
        np.testing.assert_array_equal(shown, np.repeat(np.rint(media.mean(-1, keepdims=True)), 3, axis=-1))
    else:
        np.testing.assert_array_equal(shown, media[..., :3])


@pytest.mark.parametrize(
    ("dtype", "factor"),
    [(np.float32, 1 / 255), (np.float16, 1 / 255), (np.float64, 1), (np.int64, 1), (np.uint16, 257)],
)
def test_ranges_are_understood(dtype: type, factor: float) -> None:
    media = photo() // 2 + 9  # not all of the range
    np.testing.assert_allclose(
        picture((media.astype(np.float64) * factor).astype(dtype)), media, atol=1 if dtype == np.float16 else 0
    )


def test_media_normalised_for_a_model_is_stretched() -> None:
    media = photo()
    normalised = (media / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    shown = picture(normalised.astype(np.float32))
    assert shown.min() == 0
    assert shown.max() == 255
    assert np.corrcoef(shown.ravel(), media.ravel())[0, 1] > 0.99
    assert (picture(np.full((H, W, 3), -7.0)) == picture(np.full((H, W, 3), -9.0))).all()  # nothing to stretch


def test_pictures_of_what_cannot_be_explained() -> None:
    media = photo() / 255
    media[3, 4] = np.nan, np.inf, -np.inf
    assert (picture(media)[3, 4] == 0).all()
    np.testing.assert_array_equal(picture(media)[5:], photo()[5:])
    assert (picture(np.eye(4, 6, dtype=bool)[..., None])[0, 0] == 255).all()
    for shape in ((5,), (0, 4, 3)):
        with pytest.raises(InputError, match="cannot show media"):
            picture(np.zeros(shape))


def test_the_longer_side_of_a_frame_is_bounded() -> None:
    assert picture(photo(40, 100), max_side=50).shape == (20, 50, 3)
    assert picture(photo(100, 40), max_side=50).shape == (50, 20, 3)
    assert picture(np.stack([photo(40, 100)] * 70), max_side=50).shape == (70, 20, 50, 3)
    assert picture(photo(), max_side=50).shape == (H, W, 3)
    assert picture(photo(1, 300), max_side=50).shape == (1, 50, 3)


def test_a_panel_holds_its_pictures_and_titles() -> None:
    large, small = photo(60, 90), np.full((30, 20, 3), 77, np.uint8)
    sheet = panel([large, small], ["one", "another, with a title wider than its picture"])
    found = [
        (y, x)
        for y in range(sheet.shape[0] - 59)
        for x in range(sheet.shape[1] - 89)
        if (sheet[y, x] == large[0, 0]).all() and (sheet[y : y + 60, x : x + 90] == large).all()
    ]
    assert len(found) == 1
    (top, left) = found[0]
    assert ((sheet == 77).all(axis=-1)).sum() == 60 * 40  # brought to the height of the tallest
    titles = (sheet[:top] < 128).any(axis=-1)
    assert titles[:, left : left + 90].any()
    assert titles[:, left + 90 :].sum() > titles[:, : left + 90].sum()
    assert (sheet[:, -1] == 255).all()  # nothing is cut off
    assert (sheet[-1] == 255).all()


def test_a_panel_needs_a_title_for_each_picture() -> None:
    for pictures, titles in (([photo()], ["a", "b"]), ([], [])):
        with pytest.raises(InputError, match=f"{len(pictures)} pictures and {len(titles)} titles"):
            panel(pictures, titles)


@pytest.mark.parametrize("shape", [(H, W), (H, W, 3), (H, W, 4)])
def test_png_files_come_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    save_png(tmp_path / "a.png", pixels)
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), pixels)
    with Image.open(io.BytesIO(png(pixels))) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_files_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileError, match=r"cannot write .*a\.png: there is no folder .*nowhere\. Make it first"):
        save_png(tmp_path / "nowhere" / "a.png", photo())
    with pytest.raises(FileError, match=r"cannot write .*: Is a directory"):
        save_png(tmp_path, photo())

    def denied(*_: object, **__: object) -> None:  # the administrator, as whom tests may run, may write everywhere
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("io.open", denied)
    with pytest.raises(FileError, match=r"Permission denied\. Choose a folder that can be written to"):
        save_png(tmp_path / "a.png", photo())


@pytest.mark.parametrize("pixels", [np.zeros((H, W, 3)), np.zeros((H, W, 2), np.uint8), np.zeros(5, np.uint8)])
def test_what_is_no_png(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"made of uint8 \(H, W\)"):
        save_png(tmp_path / "a.png", pixels)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.01), (-0.06, 1.08), (0.0, 1.0)])
def test_floats_that_resampling_took_beyond_1_are_in_that_range(low: float, high: float) -> None:
    values = np.full((4, 5, 3), 0.5)
    values[0, 0], values[1, 1] = low, high
    shown = picture(values)
    assert shown[3, 3].tolist() == [128] * 3
    assert shown[0, 0, 0] == 0
    assert shown[1, 1, 0] == 255
