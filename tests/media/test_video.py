"""Clips from video files and back; every file is made here."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from borex.errors import FileError, InputError
from borex.media.read import read_image
from borex.media.video import read_clip, write_clip
from tests.media.films import CODECS, H, T, W, encoded, greys, noise, turned, which

av = pytest.importorskip("av")

# Every format, and the choice of frames


@pytest.fixture(scope="module", params=[*CODECS, "gif", "folder"])
def every(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A clip of 16 greys in each format, and its frame rate."""
    kind = request.param
    folder = tmp_path_factory.mktemp(kind)
    if kind == "gif":
        return write_clip(folder / "a.gif", greys(), 8), 8.0
    if kind == "folder":
        for i, frame in enumerate(greys()):
            Image.fromarray(frame).save(folder / f"frame{i}.png")
        (folder / "notes.txt").write_text("no picture")
        return folder, 1.0
    return encoded(folder / f"a.{kind}", greys(), CODECS[kind]), 8.0


def test_every_format_gives_every_frame_at_its_time(every: tuple[Path, float]) -> None:
    path, fps = every
    clip = read_clip(path)
    assert (clip.frames.shape, clip.frames.dtype, clip.source) == ((T, H, W, 3), np.uint8, str(path))
    assert which(clip.frames) == list(range(T))
    assert clip.fps == pytest.approx(fps, rel=0.01)
    np.testing.assert_allclose(clip.seconds, np.arange(T) / fps, atol=0.0051)


def test_the_choice_is_the_same_in_every_format(every: tuple[Path, float]) -> None:
    path, fps = every
    chosen = read_clip(path, start=4 / fps, end=12 / fps)
    assert which(chosen.frames) == list(range(4, 12))
    np.testing.assert_allclose(chosen.seconds, np.arange(4, 12) / fps, atol=0.0051)
    chosen = read_clip(path, stride=3)
    assert which(chosen.frames) == [0, 3, 6, 9, 12, 15]
    assert chosen.fps == pytest.approx(fps / 3, rel=0.01)
    assert which(read_clip(path, start=2 / fps, frames=3, stride=4).frames) == [2, 6, 10]
    chosen = read_clip(path, frames=4)
    assert which(chosen.frames) == [2, 6, 10, 14]
    assert chosen.fps == pytest.approx(fps / 4, rel=0.01)
    assert which(read_clip(path, start=8 / fps, end=14 / fps, frames=2).frames) == [9, 12]
    assert which(read_clip(path, frames=T).frames) == list(range(T))
    small = read_clip(path, frames=2 * T, size=(6, 10))
    assert which(small.frames) == np.repeat(np.arange(T), 2).tolist()
    assert small.frames.shape == (2 * T, 6, 10, 3)
    assert which(read_clip(path, start=9.5 / fps, frames=1).frames) == [12]


def test_a_range_outside_the_clip_is_refused(every: tuple[Path, float]) -> None:
    path, fps = every
    length = T / fps
    for options in ({"start": length + 1}, {"start": length + 1, "frames": 3}):
        with pytest.raises(InputError, match=rf"start is {length + 1:g} s, but .* lasts .* a range inside it"):
            read_clip(path, **options)
    for options in ({"end": 2 * length + 1}, {"end": 2 * length + 1, "frames": 3}):
        with pytest.raises(InputError, match=rf"end is {2 * length + 1:g} s, but .* lasts"):
            read_clip(path, **options)
    with pytest.raises(InputError, match=r"no frame of .* appears between .*frames=1"):
        read_clip(path, start=4.3 / fps, end=4.6 / fps)
    assert which(read_clip(path, start=4.3 / fps, end=4.6 / fps, frames=1).frames) == [4]
    with pytest.raises(InputError, match=r"has 4 frames in that range at stride 5; expected at least 5"):
        read_clip(path, frames=5, stride=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": -1}, "start is -1; expected seconds"),
        ({"start": "a"}, "start is 'a'; expected seconds"),
        ({"end": np.nan}, "end is nan; expected seconds"),
        ({"start": 2, "end": 1}, "from 2 s to 1 s; expected an end after the start"),
        ({"frames": 0}, "frames is 0; expected a whole number"),
        ({"stride": 1.5}, "stride is 1.5; expected a whole number"),
        ({"size": 12}, r"size is 12; expected \(height, width\)"),
        ({"size": (0, 3)}, r"size is \(0, 3\); expected"),
    ],
)
def test_what_is_no_choice_is_refused_before_the_file_is_opened(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_clip("none.mp4", **options)


def test_a_varying_frame_rate_counts_by_time(tmp_path: Path) -> None:
    times = [0, 1, 2, 10, 20, 21, 22, 30]
    for kind in ("mp4", "mkv"):
        path = encoded(tmp_path / f"a.{kind}", greys(8), times=times)
        clip = read_clip(path)
        assert which(clip.frames) == list(range(8))
        np.testing.assert_allclose(clip.seconds, np.array(times) / 8, atol=1e-3)
        assert clip.fps == pytest.approx(7 / (30 / 8), rel=1e-3)
        # Middles of four parts of 2.5 s: at 0.3125, 0.9375, … s, in eighths 2.5, 7.5, 12.5, 17.5.
        assert which(read_clip(path, end=2.5, frames=4).frames) == [2, 2, 3, 3]
        assert which(read_clip(path, start=1.25, end=2.75).frames) == [3, 4, 5]


def test_far_frames_are_found_without_decoding_what_lies_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from borex.media.decoder import Decoder

    path = encoded(tmp_path / "long.mp4", greys(400))
    decoded = 0
    original = Decoder._decoded

    def counted(self: Decoder) -> Any:
        nonlocal decoded
        for shown in original(self):
            decoded += 1
            yield shown

    monkeypatch.setattr(Decoder, "_decoded", counted)
    clip = read_clip(path, frames=5)
    assert which(clip.frames) == which(greys(400)[40::80])
    assert decoded < 60
    decoded = 0
    late = read_clip(path, start=49.0)
    assert which(late.frames) == which(greys(400)[392:])
    assert decoded < 30


def test_frames_that_were_not_chosen_are_not_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from borex.media.decoder import Decoder

    converted = []
    original = Decoder.rgb
    monkeypatch.setattr(Decoder, "rgb", lambda self, *given: (converted.append(1), original(self, *given))[1])
    read_clip(encoded(tmp_path / "a.mp4", greys()), stride=5)
    assert len(converted) == 4


# What a file says about how it is to be seen


@pytest.mark.parametrize(
    ("matrix", "seen"),
    [
        ([1, 0, 0, 1], lambda image: image),
        ([0, -1, 1, 0], lambda image: np.rot90(image, 1)),
        ([0, 1, -1, 0], lambda image: np.rot90(image, -1)),
        ([-1, 0, 0, -1], lambda image: np.rot90(image, 2)),
        ([-1, 0, 0, 1], lambda image: image[:, ::-1]),
        ([0, 1, 1, 0], lambda image: image.transpose(1, 0, 2)),
    ],
    ids=["upright", "left", "right", "half", "mirrored", "transposed"],
)
def test_rotation_is_respected(tmp_path: Path, matrix: list[int], seen: Any) -> None:
    image = np.full((H, W, 3), 20, np.uint8)
    image[:8, :16], image[-8:, :16] = (220, 40, 40), (40, 220, 40)
    path = turned(write_clip(tmp_path / "a.mp4", np.stack([image] * 3), 8), matrix)
    expected = seen(image).astype(int)
    frames = read_clip(path).frames.astype(int)
    assert frames.shape == (3, *expected.shape)
    assert np.abs(frames - expected).mean() < 6
    half = (expected.shape[0] // 2, expected.shape[1] // 4)
    small = read_clip(path, size=half).frames.astype(int)
    assert np.abs(small[-1] - expected[::2, ::4]).mean() < 12


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (W, H), (0, 0, 0, 0))
    image.paste((200, 0, 0, 255), (0, 0, 24, H))
    image.save(tmp_path / "a.gif", save_all=True, append_images=[image.transpose(Image.Transpose.ROTATE_180)])
    first = read_clip(tmp_path / "a.gif").frames[0]
    assert first[3, 3].tolist() == [200, 0, 0]
    assert first[3, 40].tolist() == [255, 255, 255]


def test_colours_survive_and_one_frame_is_a_clip(tmp_path: Path) -> None:
    image = np.zeros((H, W, 3), np.uint8)
    image[:, :16], image[:, 16:32], image[:, 32:] = (200, 30, 60), (30, 160, 220), (240, 240, 20)
    for name in ("a.mp4", "a.gif"):
        clip = read_clip(write_clip(tmp_path / name, image[None], 5))
        assert clip.frames.shape == (1, H, W, 3)
        assert np.abs(clip.frames[0, :, 4:12].astype(int) - image[:, 4:12]).max() < 12
        assert np.abs(clip.frames[0].astype(int) - image).mean() < 8
        assert clip.seconds.tolist() == [0.0]
        assert read_clip(tmp_path / name, frames=3).frames.shape == (3, H, W, 3)
    assert read_clip(tmp_path / "a.mp4").fps == 5


def test_a_folder_is_in_the_order_of_its_numbers_and_may_be_text(tmp_path: Path) -> None:
    for i, frame in enumerate(greys(12)):
        Image.fromarray(frame).save(tmp_path / f"f{i}.png")
    assert which(read_clip(str(tmp_path)).frames) == list(range(12))
    Image.fromarray(greys(1)[0, :8]).save(tmp_path / "f12.png")
    with pytest.raises(FileError, match=r"change their size: 32 x 48 \(height x width\) until 11 s, 8 x 48 at 12 s"):
        read_clip(tmp_path)
    assert len(read_clip(tmp_path, size=(8, 12)).frames) == 13
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match=r"folder .* holds no picture; expected files that end in \.bmp"):
        read_clip(tmp_path / "empty")


# Writing


@pytest.mark.parametrize("fps", [8, 12.5, 30000 / 1001])
def test_what_is_written_plays_at_its_rate(tmp_path: Path, fps: float) -> None:
    clip = read_clip(write_clip(tmp_path / "a.mp4", greys(), fps))
    assert which(clip.frames) == list(range(T))
    assert clip.fps == pytest.approx(fps, rel=1e-4)
    clip = read_clip(write_clip(tmp_path / "a.gif", greys(), fps))
    assert which(clip.frames) == list(range(T))
    assert clip.fps == pytest.approx(fps, rel=0.02)
    again = read_clip(write_clip(tmp_path / "b.mp4", clip.frames, clip.fps))
    assert again.frames.shape == clip.frames.shape


def test_equal_frames_stay_as_many(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.gif"):
        assert len(read_clip(write_clip(tmp_path / name, np.zeros((7, H, W, 3), np.uint8), 10)).frames) == 7


def test_odd_sides_are_made_even_by_repeating_the_edge(tmp_path: Path) -> None:
    frames = np.array(greys(3))[:, :31, :47]
    frames[:, -1] = 250
    found = read_clip(write_clip(tmp_path / "a.mp4", frames, 8)).frames
    assert found.shape == (3, 32, 48, 3)
    assert found[:, 31].min() > 200
    assert read_clip(write_clip(tmp_path / "a.gif", frames, 8)).frames.shape == (3, 31, 47, 3)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    frames = np.array(greys(2))
    for bad in (frames / 255, frames[0], frames[..., :1], frames[:0]):
        with pytest.raises(InputError, match=r"the frames have shape .*; expected uint8 RGB \(T, H, W, 3\)"):
            write_clip(tmp_path / "a.mp4", bad, 8)
    with pytest.raises(FileError, match=r"cannot write a clip as 'a\.webm'; expected a name ending in \.mp4 or \.gif"):
        write_clip(tmp_path / "a.webm", frames, 8)
    for name, fps in itertools.product(("a.mp4", "a.gif"), (0, np.nan, 5000, "8")):
        with pytest.raises(InputError, match="expected frames a second"):
            write_clip(tmp_path / name, frames, fps)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"from 0\.01 to 100 for \.gif"):
        write_clip(tmp_path / "a.gif", frames, 120)
    for name in ("a.mp4", "a.gif"):
        with pytest.raises(FileError, match=r"cannot write .*; choose a folder you may write to"):
            write_clip(tmp_path / "none" / name, frames, 8)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_frames_with_exif_are_upright(tmp_path: Path, orientation: int) -> None:
    image = np.full((H, W, 3), 20, np.uint8)
    image[:8, :16], image[-8:, :16] = (220, 40, 40), (40, 220, 40)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "a camera"
    Image.fromarray(image).save(tmp_path / "a.jpg", exif=exif, quality=95)
    expected = read_image(tmp_path / "a.jpg").astype(int)
    found = read_clip(tmp_path / "a.jpg").frames.astype(int)
    assert found.shape == (1, *expected.shape)
    assert np.abs(found - expected).mean() < 6


def test_pixels_that_are_wider_than_high_make_a_wide_frame(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.height, stream.width, stream.pix_fmt = H, W, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        for pixels in greys():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
        container.mux(stream.encode(None))
    assert read_clip(tmp_path / "a.mp4").frames.shape == (T, H, 2 * W, 3)


def test_a_program_stream_ends_where_its_last_frame_does(tmp_path: Path) -> None:
    frames = noise(400)
    frames[:300] = 128  # so that the bytes tell nothing of the seconds
    path = encoded(tmp_path / "a.mpg", frames, "mpeg2video")
    assert np.abs(read_clip(path, start=49.5).seconds[-3:] - np.array([397, 398, 399]) / 8).max() < 0.07
    assert np.abs(read_clip(path, frames=4).seconds - np.array([50, 150, 250, 350]) / 8).max() < 0.01
