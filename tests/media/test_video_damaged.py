"""Files that hold no video, are damaged or change midway: a clear error, or the stated behaviour."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from borex.errors import FileError, MissingExtraError
from borex.media.video import read_clip, write_clip
from tests.media.films import CODECS, H, T, W, cut, encoded, greys, noise, of_two_sizes, sound, which

av = pytest.importorskip("av")


def test_files_that_hold_no_video_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="there is no file"):
        read_clip(tmp_path / "none.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(FileError, match="is empty"):
        read_clip(tmp_path / "empty.mp4")
    (tmp_path / "junk.mp4").write_bytes(b"hello world" * 100)
    with pytest.raises(FileError, match="is no video that FFmpeg can read, or it is incomplete"):
        read_clip(tmp_path / "junk.mp4")
    with pytest.raises(FileError, match="holds no video stream, but audio; expected a video"):
        read_clip(sound(tmp_path / "sound.mp4"))


def test_a_file_without_frames_is_refused(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.avi", greys(3), "mjpeg")
    data = path.read_bytes()
    start, end = data.index(b"movi") + 4, data.index(b"idx1")
    path.write_bytes(data[:start] + bytes(end - start) + data[end:])
    with pytest.raises(FileError, match=r"no frame in it can be decoded|no video that FFmpeg can read"):
        read_clip(path)


def test_an_mp4_that_lost_its_table_of_frames_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="An MP4 whose end is missing has lost its table of frames"):
        read_clip(cut(encoded(tmp_path / "a.mp4", noise()), 0.7))


def test_a_frame_that_is_not_all_there_is_not_made_up(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.avi", noise(), "mpeg4")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"00dc", data.index(b"movi")) + 500])
    with pytest.raises(FileError, match="no frame in it can be decoded; expected at least one"):
        read_clip(path)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "avi"])
def test_of_a_file_that_breaks_off_the_rest_is_used_and_a_warning_says_so(tmp_path: Path, kind: str) -> None:
    options = {"movflags": "+faststart"} if kind == "mp4" else {}
    path = cut(encoded(tmp_path / f"a.{kind}", noise(), CODECS[kind], **options), 0.8 if kind == "avi" else 0.6)

    def places(frames: np.ndarray) -> list[int]:
        return which(frames[:, :6])

    with pytest.warns(UserWarning, match=r"is damaged: .* as if it were all"):
        clip = read_clip(path)
    assert 3 <= len(clip.frames) < T
    assert places(clip.frames) == list(range(len(clip.frames)))
    with pytest.warns(UserWarning, match="is damaged"):
        spread = read_clip(path, frames=3)
    assert len(spread.frames) == 3
    assert set(places(spread.frames)) <= set(range(len(clip.frames)))
    assert len(set(places(spread.frames))) == 3
    whole = read_clip(path, end=2 / 8)
    assert places(whole.frames) == [0, 1]


def test_frames_that_change_their_size_need_one(tmp_path: Path) -> None:
    path = of_two_sizes(tmp_path / "a.mkv")
    with pytest.raises(FileError, match=r"32 x 48 \(height x width\) until 0.375 s, 16 x 24 at 0.5 s.*size=\(32, 48\)"):
        read_clip(path)
    clip = read_clip(path, size=(H, W))
    assert clip.frames.shape == (7, H, W, 3)
    assert which(clip.frames) == list(range(7))
    assert which(read_clip(path, end=0.5).frames) == list(range(4))


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.gif", greys(2), 8)
    Image.fromarray(greys(1)[0]).save(tmp_path / "f.png")
    monkeypatch.setitem(sys.modules, "av", None)
    for call in (lambda: read_clip(path), lambda: write_clip(tmp_path / "b.mp4", greys(2), 8)):
        with pytest.raises(MissingExtraError, match=r"pip install 'borex\[video\]'"):
            call()
    assert len(read_clip(tmp_path).frames) == 2  # a folder needs Pillow alone


@pytest.mark.parametrize("kind", ["mp4", "mov"])
def test_wherever_a_file_breaks_off_it_is_read_or_named(tmp_path: Path, kind: str) -> None:
    """At some lengths FFmpeg comes to the end of the file while it opens it, at others it knows no decoder."""
    options = {"movflags": "frag_keyframe+empty_moov"} if kind == "mov" else {}
    whole = encoded(tmp_path / f"whole.{kind}", noise(), CODECS[kind], **options).read_bytes()
    path = tmp_path / f"a.{kind}"
    refused = 0
    for n in np.linspace(0, len(whole), 80).astype(int)[1:]:
        path.write_bytes(whole[:n])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert len(read_clip(path).frames) > 0
        except FileError:
            refused += 1
    assert refused > 0
