"""What a path leads to: a picture or a clip, how many of its frames, at which size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import borex
from borex.errors import FileError, InputError
from borex.media import load
from borex.media.load import Part, is_clip, read_given, read_media
from borex.media.video import Clip, read_clip, write_clip
from tests.media.films import CODECS, H, T, W, av, encoded, greys, noise, of_two_sizes, sound, turned, which


def brightness(batch: np.ndarray) -> np.ndarray:
    """Logits of a clip (or image): how bright its first and its second half are, in time or rows."""
    half = batch.shape[1] // 2
    both = [part.reshape(len(batch), -1).mean(axis=1) for part in (batch[:, : max(half, 1)], batch[:, half:])]
    return np.stack([*both, np.zeros(len(batch))], axis=1) / 100


def explained(path: Path, **options: object) -> borex.Explanation:
    return borex.refine(brightness, path, target=1, baseline="black", max_evals=20, output="logits", **options)


@pytest.mark.parametrize("kind", [*CODECS, "gif", "folder"])
def test_refine_takes_every_kind_of_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"clip.{kind}"
    if kind == "folder":
        path.mkdir()
        for i, frame in enumerate(greys()):
            Image.fromarray(np.array(frame)).save(path / f"{i}.png")
    elif kind == "gif":
        write_clip(path, greys(), 8)
    else:
        encoded(path, greys(), CODECS[kind])
    found = explained(path)
    assert found.saliency.shape == (T, H, W)
    assert found.media is not None
    assert which(found.media) == list(range(T))
    assert found.excerpt is not None
    rate = 1 if kind == "folder" else 8
    np.testing.assert_allclose(found.excerpt.seconds, np.arange(T) / rate, atol=6e-3)  # a GIF counts hundredths
    assert f"all 16 frames of {path}, from 0.00 s to {15 / rate:.2f} s" in found.summary()


def test_a_clip_that_was_read_is_media_with_its_times(tmp_path: Path) -> None:
    clip = read_clip(encoded(tmp_path / "a.mp4", greys()), start=0.5, frames=4)
    found = explained(clip)  # type: ignore[arg-type]
    assert found.excerpt is not None
    assert found.excerpt.seconds == tuple(clip.seconds.tolist())
    assert found.excerpt.fps == pytest.approx(clip.fps)
    np.testing.assert_array_equal(found.media, clip.frames)


def test_what_a_path_leads_to(tmp_path: Path) -> None:
    still = write_clip(tmp_path / "still.gif", greys(1), 8)
    moves = write_clip(tmp_path / "moves.gif", greys(3), 8)
    (tmp_path / "broken.gif").write_bytes(b"GIF89a")
    answers = {"still.gif": False, "moves.gif": True, "broken.gif": False, "gone.mp4": True, "gone.gif": False}
    assert {name: is_clip(tmp_path / name) for name in answers} == answers
    assert is_clip(tmp_path)
    assert not is_clip(tmp_path / "photo.JPG")
    assert read_media(still)[0].shape == (H, W, 3)
    assert read_media(moves)[0].shape == (3, H, W, 3)
    # Where the model says what it takes, that decides.
    assert read_media(moves, (20, 30))[0].shape == (H, W, 3)
    assert read_media(still, (4, 20, 30))[0].shape == (1, H, W, 3)


def test_of_a_long_file_frames_are_read_evenly_and_of_a_large_one_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encoded(tmp_path / "a.mp4", greys(20))
    monkeypatch.setattr(load, "MAX_FRAMES", 5)
    clip = read_given(path)
    assert isinstance(clip, Clip)
    assert which(clip.frames) == [2, 6, 10, 14, 18]
    assert len(read_media(path, (10, 8, 8))[0]) == 10
    assert which(read_media(path, (30, 8, 8))[0]) == list(range(20))  # no more than there are
    assert which(np.asarray(read_given(path, None, Part(stride=3)).frames)) == [0, 3, 6, 9, 12]  # type: ignore[union-attr]
    assert which(read_given(path, None, Part(start=1.0, end=1.5)).frames) == [8, 9, 10, 11]  # type: ignore[union-attr]
    assert which(read_given(path, None, Part(frames=7)).frames) == [1, 4, 7, 10, 12, 15, 18]  # type: ignore[union-attr]
    monkeypatch.setattr(load, "MAX_PIXELS", 5 * H * W // 4)
    assert read_media(path)[0].shape == (5, H // 2, W // 2, 3)


def test_rotation_and_changing_rates_are_respected(tmp_path: Path) -> None:
    upright = explained(turned(encoded(tmp_path / "a.mp4", noise(4)), [0, 1, -1, 0]))
    assert upright.saliency.shape == (4, W, H)
    times = [0, 1, 2, 3, 8, 9, 16, 30]
    found = explained(encoded(tmp_path / "b.mkv", greys(8), times=times))
    assert found.excerpt is not None
    np.testing.assert_allclose(found.excerpt.seconds, np.array(times) / 8, atol=2e-3)


def test_frames_that_change_their_size_come_at_that_of_the_first(tmp_path: Path) -> None:
    found = explained(of_two_sizes(tmp_path / "a.mkv"))
    assert found.saliency.shape == (7, H, W)
    assert found.media is not None
    assert which(found.media) == list(range(7))


def test_a_video_for_a_model_of_images_says_what_to_do(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", greys(2))
    model = borex.models.as_model(brightness, extent=(8, 9))
    with pytest.raises(InputError, match=r'a\.mp4 is a clip, .* images of \(8, 9\); .* "motionnet", or frame_mean'):
        borex.refine(model, path)
    Image.new("RGB", (5, 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png is a picture; start, frames choose frames of a clip"):
        read_given(tmp_path / "a.png", None, Part(start=1.0, frames=2))


def test_files_that_hold_no_clip_are_named_before_the_model_is_asked(tmp_path: Path) -> None:
    def never(batch: np.ndarray) -> np.ndarray:
        raise AssertionError("the model was asked")

    for path, message in (
        (sound(tmp_path / "a.mp4"), "holds no video stream, but audio"),
        (tmp_path / "gone.mkv", "there is no file"),
        (tmp_path / "empty.mp4", "is empty"),
    ):
        if path.name == "empty.mp4":
            path.touch()
        with pytest.raises(FileError, match=message):
            borex.refine(never, path)


def test_a_file_that_breaks_off_is_explained_as_far_as_it_goes(tmp_path: Path) -> None:
    from tests.media.films import cut

    path = cut(encoded(tmp_path / "a.mkv", noise()), 0.6)
    with pytest.warns(UserWarning, match=r"is damaged: .* as if it were all"):
        found = explained(path)
    assert 3 <= len(found.saliency) < T


def test_a_file_of_one_frame_is_its_picture(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mkv", noise(1), "mjpeg")
    clip = explained(path)
    assert clip.saliency.shape == (1, H, W)
    assert clip.media is not None
    # Brightness of rows of an image, of frames of a clip: asked about the same masks both see the same picture.
    np.testing.assert_array_equal(clip.media[0], read_clip(path).frames[0])
    assert clip.time_profile()[0].shape == (1,)


def test_a_clip_shorter_than_the_model_wants_has_frames_twice(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", greys(3))
    seen: list[np.ndarray] = []

    def model(batch: np.ndarray) -> np.ndarray:
        seen.append(batch)
        return brightness(batch)

    found = borex.refine(
        borex.models.as_model(model, extent=(7, H, W)), path, target=1, baseline="black", max_evals=20, output="logits"
    )
    assert which(seen[0][0]) == [0, 0, 1, 1, 1, 2, 2]
    assert found.saliency.shape == (3, H, W)
    assert found.shown_frames().tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert "all 3 frames, as 7 of" in found.summary()


def test_a_stride_in_a_damaged_file_takes_what_there_is(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mkv", noise(100))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.5)])
    with pytest.warns(UserWarning, match="is damaged"):
        given = read_given(path, (4, H, W), Part(stride=1))
    assert isinstance(given, Clip)
    assert 10 < len(given.frames) < 64
    with pytest.raises(InputError, match="expected at least 64"):
        read_clip(path, frames=64, stride=1)  # said by the user, it stands


def test_frames_are_counted_where_a_file_states_no_length_or_another_rate(tmp_path: Path) -> None:
    """Written as it comes, without a length; and at a varying rate, of which the header states the fastest."""
    live = encoded(tmp_path / "live.mkv", greys(30), live="1")
    varying = encoded(tmp_path / "varying.mkv", greys(30), times=[*range(5), *range(20, 270, 10)])
    for path in (live, varying):
        clip = read_given(path)
        assert isinstance(clip, Clip)
        assert which(clip.frames) == which(greys(30))
        assert np.array_equal(clip.seconds, read_clip(path).seconds)
    many = read_given(encoded(tmp_path / "many.mkv", greys(70), live="1"))
    assert isinstance(many, Clip)
    assert len(many.frames) == 64
    some = read_given(tmp_path / "many.mkv", part=Part(start=1.0, stride=2))
    assert isinstance(some, Clip)
    assert which(some.frames) == which(greys(70)[8::2])


@pytest.mark.parametrize("suffix", [".mts", ".y4m"])
def test_what_cameras_and_encoders_write_is_a_clip(tmp_path: Path, suffix: str) -> None:
    kind = {".mts": "mpegts", ".y4m": "yuv4mpegpipe"}[suffix]
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream("wrapped_avframe" if suffix == ".y4m" else "libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = W, H, "yuv420p"
        for pixels in greys():
            frame = av.VideoFrame.from_ndarray(np.array(pixels), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    assert is_clip(path)
    assert explained(path).saliency.shape[1:] == (H, W)


def test_of_many_inputs_a_path_that_the_system_refuses_stops_no_other(tmp_path: Path) -> None:
    Image.fromarray(greys(1)[0]).save(tmp_path / "photo.png")
    given = [tmp_path / ("a" * 300 + suffix) for suffix in (".jpg", ".gif", "")] + [tmp_path / "photo.png"]
    found = {one.index: one for one in borex.refine_many(brightness, given, max_evals=20, output="logits")}
    assert all(isinstance(found[i].error, FileError) for i in range(3))
    assert found[3].error is None
