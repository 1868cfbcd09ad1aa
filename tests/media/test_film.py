"""Films and strips: the clip, its heat map and the profile over time, each where it belongs."""

from __future__ import annotations

import base64
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import borex
from borex.errors import InputError
from borex.explanation import Excerpt
from borex.layout import resize
from borex.media.film import PLAYHEAD, Chart, film, playing_rate, strip, tiles
from tests.closed_form import box, share_seen

av = pytest.importorskip("av")

T, H, W = 12, 30, 44
CLIP = np.random.default_rng(0).integers(60, 200, (T, H, W, 3), dtype=np.uint8)
MEAN = np.where(np.arange(T) == 7, 2.0, 0.5)
STD = np.linspace(0.1, 0.3, T)


def explained(**options: object) -> borex.Explanation:
    inside = box((T, H, W))
    return borex.refine(share_seen(inside), CLIP, target=1, baseline="black", max_evals=60, layout="THWC", **options)


@pytest.fixture(scope="module")
def found() -> borex.Explanation:
    return explained()


def orange(pixels: np.ndarray) -> np.ndarray:
    return (np.abs(pixels.astype(int) - PLAYHEAD) < 30).all(axis=-1)


def test_the_playhead_is_at_the_frame_that_is_seen() -> None:
    chart = Chart(MEAN, STD, None, 480, 120)
    assert not orange(chart.at()).any()
    for frame in (0, 5, T - 1):
        column = orange(chart.at(frame)).sum(axis=0)
        assert np.argmax(column) == pytest.approx((frame + 0.5) * 480 / T, abs=1.5)
        # The dot is on the curve: higher, where the profile is higher.
    heights = [np.argmax(orange(chart.at(frame)).sum(axis=1)) for frame in (5, 7)]
    assert heights[1] < heights[0] - 30


def test_the_band_is_as_wide_as_the_std() -> None:
    def shaded(std: np.ndarray, frame: int) -> int:
        column = Chart(MEAN, std, None, 480, 120).at()[:, round((frame + 0.5) * 480 / T)]
        return int((np.ptp(column.astype(int), axis=-1) > 40).sum())

    narrow, wide = (shaded(std, 2) for std in (STD / 4, STD))
    assert wide > 2 * narrow > 0


@pytest.mark.parametrize("n", [1, 2, 70])
def test_clips_of_any_length_have_a_chart_and_a_strip(n: int) -> None:
    clip = np.resize(CLIP, (n, H, W, 3))
    saliency = np.random.default_rng(1).random((n, H, W))
    profile = saliency.mean(axis=(1, 2)), np.full(n, 0.1)
    assert film(clip, saliency, profile).shape[0] == n
    sheet = strip(clip, saliency, profile, title="a clip")
    assert sheet.shape[1] >= 480
    assert sheet.dtype == np.uint8


def test_a_film_shows_every_frame_beside_itself_under_the_map() -> None:
    saliency = np.zeros((T, H, W))
    saliency[4, :, :20] = 1.0
    frames = film(CLIP, saliency, (MEAN, STD), np.arange(T) / 8, "right: 0.9")
    assert len(frames) == T
    assert all(size % 2 == 0 for size in frames.shape[1:3])
    factor = -(-240 // W)
    left = (frames.shape[2] - 2 * W * factor - 8) // 2
    clip = frames[:, 24 : 24 + H * factor, left : left + W * factor]
    blocks = [[resize(one[..., 1].astype(float), (3, 4)) for one in frames] for frames in (clip, CLIP)]
    np.testing.assert_allclose(*blocks, atol=3)
    assert np.ptp(blocks[1]) > 12
    heat = frames[:, 24 : 24 + H * factor, left + W * factor + 8 : left + 2 * W * factor + 8].astype(int)
    colour = np.ptp(heat, axis=-1)  # the overlay is nearly grey where nothing was found
    warm = colour[:, :, : 15 * factor].mean(axis=(1, 2))
    assert np.argmax(warm) == 4
    assert warm[4] > 2 * colour[4, :, 25 * factor :].mean()


def test_a_strip_has_its_frames_over_their_times() -> None:
    assert tiles(16).tolist() == [1, 3, 5, 7, 9, 11, 13, 15]
    assert tiles(5).tolist() == [0, 1, 2, 3, 4]
    saliency = np.zeros((T, H, W))
    saliency[tiles(T)[3]] = 1.0
    sheet = strip(CLIP, saliency, (MEAN, STD)).astype(int)
    step = sheet.shape[1] // 8
    rows = slice(24 + 8 + round(150 * H / W) + 10, 24 + 8 + 2 * round(150 * H / W))
    colour = np.ptp(sheet[rows], axis=-1)
    warm = [colour[:, i * step : (i + 1) * step].mean() for i in range(8)]
    assert np.argmax(warm) == 3


def test_clips_are_played_as_fast_as_they_were_where_that_can_be_watched() -> None:
    assert [playing_rate(fps) for fps in (None, 0.01, 12.5, 240.0)] == [8.0, 2.0, 12.5, 50.0]


# Explanations


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_an_explanation_is_saved_as_a_film(
    found: borex.Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("borex.media.film.FILM_SIDE", (60, 90))
    path = found.save(tmp_path / f"it.{kind}")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        rate = stream.average_rate
    assert len(shown) == T
    assert float(rate) == pytest.approx(8, rel=0.05)
    places = [int(np.argmax(orange_ish(frame[-125:, 8:-8]).sum(axis=0))) for frame in shown]
    expected = (np.arange(T) + 0.5) * (shown[0].shape[1] - 16) / T
    np.testing.assert_allclose(places, expected, atol=4)


def orange_ish(pixels: np.ndarray) -> np.ndarray:
    """The playhead after a codec."""
    red, green, blue = pixels.astype(int).transpose(2, 0, 1)
    return (red > 140) & (green < 130) & (blue < 90)


def test_an_explanation_is_a_strip_as_png_and_plays_in_a_notebook(
    found: borex.Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Image.open(found.save(tmp_path / "it.png")) as image:
        np.testing.assert_array_equal(np.asarray(image), found.panel())
    monkeypatch.setattr("borex.media.film.FILM_SIDE", (60, 90))
    (data,) = re.findall(r'<video [^>]*src="data:video/mp4;base64,([^"]*)"', found._repr_html_())
    with av.open(io.BytesIO(base64.b64decode(data))) as container:
        assert len(list(container.decode(video=0))) == T
    assert f"all {T} frames" in found._repr_html_()


def test_without_pyav_a_notebook_plays_a_gif(found: borex.Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr("borex.media.film.FILM_SIDE", (60, 90))
    (data,) = re.findall(r'src="data:image/gif;base64,([^"]*)"', found._repr_html_())
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.n_frames == T
        assert image.info["duration"] == pytest.approx(125, abs=5)


def test_a_film_of_an_image_or_without_media_is_refused(found: borex.Explanation, tmp_path: Path) -> None:
    from dataclasses import replace

    image = borex.refine(share_seen(box((H, W))), CLIP[0], target=1, baseline="black", max_evals=20)
    with pytest.raises(InputError, match=r"a film shows a clip; .*\(30, 44\) and holds an image: save it as \.png"):
        image.save(tmp_path / "it.mp4")
    with pytest.raises(InputError, match=r"holds no media: give it, explanation\.at\(media, None\)"):
        replace(found, media=None).save(tmp_path / "it.gif")


# The profile


@pytest.mark.parametrize("method", ["field", "paper"])
def test_the_profile_is_the_mean_of_each_frame_with_its_own_std(method: str) -> None:
    found = explained(method=method)
    mean, std = found.time_profile()
    np.testing.assert_allclose(mean, found.saliency.mean(axis=(1, 2)), rtol=1e-5)
    assert mean.shape == std.shape == (T,)
    assert (std > 0).all()
    # All pixels of a frame erring as one would be the largest std that their mean can have.
    assert (std <= found.std.mean(axis=(1, 2)) * (1 + 1e-5)).all()
    again = found.for_target(1).time_profile()
    np.testing.assert_array_equal(again[1], std)
    assert not np.array_equal(found.for_target(0).time_profile()[0], mean)


def test_the_profile_of_a_longer_clip_has_a_value_for_each_of_its_frames() -> None:
    long = np.repeat(CLIP, 3, axis=0)[:31]
    model = borex.models.as_model(share_seen(box((T, H, W))), extent=(T, H, W))
    found = borex.refine(model, long, target=1, baseline="black", max_evals=60, layout="THWC")
    mean, std = found.time_profile()
    assert mean.shape == std.shape == (31,)
    assert found.shown_frames().tolist() == [int((i + 0.5) * 31 / T) for i in range(T)]
    assert "the model was shown 12 of 31 frames" in found.summary()
    np.testing.assert_allclose(mean, found.saliency.mean(axis=(1, 2)), rtol=1e-5)


def test_the_profile_survives_a_file_and_an_image_has_none(found: borex.Explanation, tmp_path: Path) -> None:
    from dataclasses import replace

    timed = replace(found, excerpt=Excerpt("a.mp4", tuple(np.arange(T) / 25), 25.0))
    loaded = borex.Explanation.load(timed.save(tmp_path / "it.npz"))
    np.testing.assert_array_equal(loaded.time_profile(), found.time_profile())
    assert loaded.excerpt == timed.excerpt
    assert "of a.mp4, from 0.00 s to 0.44 s" in loaded.summary()
    image = borex.refine(share_seen(box((H, W))), CLIP[0], target=1, baseline="black", max_evals=20)
    assert image.profile_std is None
    for call in (image.time_profile, image.shown_frames):
        with pytest.raises(InputError, match=r"extent.* \(30, 44\), without a time axis"):
            call()


def test_a_long_title_leaves_room_for_the_frame_and_keeps_its_end() -> None:
    frames = film(CLIP, np.ones((T, H, W)), (MEAN, STD), title="a very long label " * 9 + "0.12")
    short = film(CLIP, np.ones((T, H, W)), (MEAN, STD), title="")
    right = frames.shape[2] - 60
    assert (frames[0, :20, right:] == short[0, :20, right:]).all()  # nothing but the number of the frame
    assert (frames[0, :20, : right - 40] < 128).any()


def test_the_curve_goes_through_the_profile_of_the_first_and_last_frames() -> None:
    """The dot of the playhead lies on it."""
    for mean in (np.array([0.0, 1.0, 0.0]), np.array([0.0, 1.0])):
        chart = Chart(mean, np.full(len(mean), 1e-3), None, 480, 120)
        for frame, value in enumerate(mean):
            column = chart.at()[:, round((frame + 0.5) * 480 / len(mean))].astype(int)
            curve = np.flatnonzero(np.ptp(column, axis=-1) > 100)
            assert curve.mean() == pytest.approx(chart._y(value) / 2, abs=3)


def test_another_clip_may_have_more_frames_than_were_explained() -> None:
    found = explained()
    timed = found.at(CLIP, None, Excerpt("a.mp4", tuple(np.arange(T) / 8), 8.0))
    longer = np.repeat(CLIP, 3, axis=0)
    assert timed.panel(longer).ndim == 3
    assert len(timed.plot(longer).axes) > 3
