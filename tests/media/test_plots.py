"""The figure of a refinement."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from borex.errors import InputError, MissingExtraError
from borex.media.plots import clip_figure, figure

H, W = 21, 34
RNG = np.random.default_rng(0)
MEDIA = RNG.integers(0, 256, (H, W, 3), dtype=np.uint8)
SALIENCY = RNG.normal(size=(H, W)) * np.linspace(0, 1, W)
STD = RNG.random((H, W)) * 0.1


@pytest.fixture(autouse=True)
def _matplotlib() -> None:
    pytest.importorskip("matplotlib")


def panels(drawn: Any) -> dict[str, Any]:
    """The axes by their title; colour bars have none."""
    titles = {axis.get_title() or axis.get_title(loc="left"): axis for axis in drawn.axes}
    titles.pop("", None)
    return titles


def saved(drawn: Any) -> bytes:
    file = io.BytesIO()
    drawn.savefig(file, format="png", dpi=40)
    return file.getvalue()


def test_every_part_has_its_panel() -> None:
    drawn = figure(MEDIA, SALIENCY[::3, ::2], SALIENCY, STD, "tiger cat", np.arange(5.0), "insertion")
    assert list(panels(drawn)) == ["picture", "initial map", "refined map", "standard deviation", "insertion"]
    assert drawn.get_suptitle() == "tiger cat"
    assert len(drawn.axes) == 5 + 3  # a colour bar for each map
    assert saved(drawn).startswith(b"\x89PNG")


def test_absent_parts_are_left_out() -> None:
    drawn = figure(MEDIA, None, SALIENCY, None, "cat")
    assert list(panels(drawn)) == ["picture", "refined map"]
    assert list(panels(figure(MEDIA, None, SALIENCY, STD, "cat", np.array([])))) == [
        "picture",
        "refined map",
        "standard deviation",
    ]


def test_values_are_raw_and_maps_lie_on_the_picture() -> None:
    coarse = SALIENCY[::3, ::2]
    shown = panels(figure(MEDIA, coarse, SALIENCY, STD, "cat"))
    (image,) = shown["initial map"].get_images()
    np.testing.assert_array_equal(image.get_array(), coarse)
    assert image.get_extent() == list(shown["picture"].get_images()[0].get_extent())
    np.testing.assert_array_equal(shown["standard deviation"].get_images()[0].get_array(), STD)
    np.testing.assert_array_equal(shown["picture"].get_images()[0].get_array(), MEDIA)


def test_the_colour_bar_carries_the_limits_of_the_map() -> None:
    from borex.media.write import display_limits

    drawn = figure(MEDIA, None, SALIENCY, None, "cat")
    (bar,) = [axis for axis in drawn.axes if not axis.get_title()]
    assert bar.get_xlim() == pytest.approx(display_limits(SALIENCY))


@pytest.mark.parametrize("axes", [2, 3])
def test_given_limits_around_0_lie_as_far_from_it_on_the_bar_as_in_the_colours(axes: int) -> None:
    if axes == 2:
        drawn = figure(MEDIA, None, SALIENCY, None, "cat", limits=(-1, 3))
    else:
        profile = np.zeros(2), np.ones(2)
        drawn = clip_figure(np.stack([MEDIA] * 2), None, np.stack([SALIENCY] * 2), None, "cat", profile, limits=(-1, 3))
    (bar,) = [axis for axis in drawn.axes if axis.get_label() == "<colorbar>"]
    assert (bar.get_xlim() if axes == 2 else bar.get_ylim()) == (-3, 3)


def test_the_history_is_drawn_against_evaluations() -> None:
    drawn = figure(MEDIA, None, SALIENCY, STD, "cat", np.array([[10, 0.5], [30, 0.7]]), "score")
    (line,) = panels(drawn)["score"].get_lines()
    np.testing.assert_array_equal(line.get_xydata(), [[10, 0.5], [30, 0.7]])
    drawn = figure(MEDIA, None, SALIENCY, STD, "cat", np.array([0.5, 0.7, 0.6]), "score")
    np.testing.assert_array_equal(panels(drawn)["score"].get_lines()[0].get_xdata(), [1, 2, 3])
    with pytest.raises(InputError, match=r"history has shape \(2, 3\)"):
        figure(MEDIA, None, SALIENCY, STD, "cat", np.zeros((2, 3)))


def test_a_clip_is_a_strip_of_frames_with_its_profile_below() -> None:
    clip = np.stack([MEDIA // (1 + i) for i in range(11)])
    saliency = np.stack([STD + i for i in range(11)])
    mean, std = np.arange(11.0), np.linspace(0.1, 0.2, 11)
    drawn = clip_figure(clip, saliency[:2, ::3], saliency, saliency / 2, "clip", (mean, std), None, np.arange(4.0))
    shown = panels(drawn)
    at = [0, 2, 3, 4, 6, 7, 8, 10]  # the middles of eight parts of eleven
    names = [f"frame {i}" for i in at]
    assert list(shown) == [
        *names, "initial map", "refined map", "standard deviation", "mean saliency of each frame ± std", "score"
    ]  # fmt: skip
    np.testing.assert_array_equal(shown["frame 6"].get_images()[0].get_array(), MEDIA // 7)
    tiles = [axis for axis in drawn.axes if axis.get_images() and axis.get_images()[0].get_array().ndim == 2]
    np.testing.assert_allclose(tiles[8 + 4].get_images()[0].get_array(), (STD + 6) / 2, rtol=1e-6)
    (line,) = [one for one in shown["mean saliency of each frame ± std"].get_lines() if len(one.get_xdata()) == 11]
    np.testing.assert_array_equal(line.get_xydata(), np.stack([np.arange(11), mean], axis=1))
    (band,) = shown["mean saliency of each frame ± std"].collections
    corners = band.get_paths()[0].vertices
    for x, value in ((3.0, mean[3] + std[3]), (3.0, mean[3] - std[3])):
        assert np.isclose(corners, [x, value]).all(axis=1).any()
    assert saved(drawn).startswith(b"\x89PNG")
    timed = panels(clip_figure(clip, None, saliency, None, "clip", (mean, std), np.arange(11) / 4))
    assert "1.50 s" in timed
    assert timed["mean saliency of each frame ± std"].get_xlabel() == "seconds"


@pytest.mark.parametrize("value", [0.0, -1.5])
def test_flat_maps_can_be_plotted(value: float) -> None:
    flat = np.full((H, W), value)
    assert saved(figure(MEDIA, flat, flat, flat, "cat", np.zeros(3)))


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (300, 7)])
def test_narrow_pictures_can_be_plotted(shape: tuple[int, int]) -> None:
    assert saved(figure(np.zeros((*shape, 1)), None, np.ones(shape) * np.arange(shape[1]), np.ones(shape), "narrow"))


def test_large_photos_are_shrunk() -> None:
    media, saliency = np.zeros((1700, 2000, 3), np.uint8), np.zeros((1700, 2000), np.float32)
    shown = panels(figure(media, None, saliency, saliency, "large"))
    assert shown["picture"].get_images()[0].get_array().shape == (680, 800, 3)
    assert shown["standard deviation"].get_images()[0].get_array().shape == (680, 800)


@pytest.mark.parametrize(
    ("media", "std", "text"),
    [
        (MEDIA, STD[None], "the standard deviation has shape (1, 21, 34)"),
        (MEDIA, STD[0], "expected a map of 2 axes"),
    ],
)
def test_axes_that_do_not_agree(media: np.ndarray, std: np.ndarray, text: str) -> None:
    with pytest.raises(InputError) as caught:
        figure(media, None, SALIENCY, std, "cat")
    assert text in str(caught.value)
    with pytest.raises(InputError, match=r"expected \(H, W, C\); a clip is shown by clip_figure"):
        figure(MEDIA[0], None, SALIENCY[0], None, "a line")
    with pytest.raises(InputError, match=r"\(21, 34, 3\) cannot be plotted here; expected \(T, H, W, C\)"):
        clip_figure(MEDIA, None, SALIENCY, None, "an image", (SALIENCY[0], SALIENCY[0]))


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"plotting needs the package 'matplotlib'.*borex\[plot\]"):
        figure(MEDIA, None, SALIENCY, STD, "cat")


def test_no_figure_is_kept_and_nothing_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, numpy as np; from borex.media.plots import figure; "
        "assert 'matplotlib' not in sys.modules; m = np.ones((5, 7)); "
        "figure(m[..., None], m, m, m, 'a'); assert 'matplotlib.figure' in sys.modules; "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("shape", [(60, 20), (40, 30), (20, 60)])
def test_numbers_below_narrow_pictures_do_not_touch(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    drawn = figure(rng.random((*shape, 3)), None, 1e-3 * rng.random(shape), 1e-4 * rng.random(shape), "title")
    saved(drawn)
    renderer = drawn.canvas.get_renderer()
    for axis in drawn.axes:
        boxes = [label.get_window_extent(renderer) for label in axis.get_xticklabels() if label.get_text()]
        for one, other in itertools.pairwise(sorted(boxes, key=lambda box: box.x0)):
            assert one.x1 < other.x0


def test_a_curve_counts_in_whole_evaluations() -> None:
    drawn = figure(MEDIA, None, SALIENCY, None, "title", np.array([[50, 0.5], [51, 0.4], [52, 0.1]]))
    saved(drawn)
    shown = panels(drawn)["score"].get_xticks()
    assert (shown == np.rint(shown)).all()


@pytest.mark.parametrize("n", [2, 3, 4])
def test_frames_are_counted_in_whole_numbers(n: int) -> None:
    profile = np.arange(n) / 10, np.full(n, 0.1)
    stacked = np.stack([MEDIA] * n), None, np.stack([SALIENCY] * n), None, "title", profile
    (axis,) = [axis for axis in clip_figure(*stacked).axes if axis.get_xlabel() == "frame"]
    assert all(float(tick).is_integer() for tick in axis.get_xticks())
    (axis,) = [axis for axis in clip_figure(*stacked, [0.5 * i for i in range(n)]).axes if axis.get_xlabel()]
    assert axis.get_xlabel() == "seconds"


def test_a_clip_of_one_frame_shows_its_profile_and_its_maps_below_each_other() -> None:
    profile = np.array([0.2]), np.array([0.1])
    drawn = clip_figure(MEDIA[None], None, SALIENCY[None], STD[None], "title", profile)
    saved(drawn)
    shown = panels(drawn)
    assert len(shown["mean saliency of each frame ± std"].containers) == 1
    middles = [box.x0 + box.width / 2 for box in (shown[name].get_position() for name in ("refined map", "frame 0"))]
    assert abs(middles[0] - middles[1]) < 0.1


def test_a_map_that_was_kept_is_not_called_refined() -> None:
    profile = np.zeros(2), np.ones(2)
    for drawn in (
        figure(MEDIA, None, SALIENCY, STD, "title", returned="initial map, kept"),
        clip_figure(
            np.stack([MEDIA] * 2), None, np.stack([SALIENCY] * 2), None, "title", profile, returned="initial map, kept"
        ),
    ):
        assert "initial map, kept" in panels(drawn)
        assert "refined map" not in panels(drawn)


@pytest.mark.parametrize("shape", [(30, 120), (60, 90), (120, 30)])
def test_the_picture_and_its_maps_lie_side_by_side(shape: tuple[int, int]) -> None:
    values = np.linspace(0, 1, shape[0] * shape[1]).reshape(shape)
    drawn = figure(np.zeros((*shape, 3), np.uint8), values, values, values, "cat", np.arange(5.0))
    drawn.canvas.draw()
    shown = [axis.get_position() for axis in drawn.axes if axis.images]
    assert len(shown) == 4
    for edge in ("y0", "y1"):
        places = [getattr(place, edge) for place in shown]
        assert np.ptp(places) < 0.01, edge
