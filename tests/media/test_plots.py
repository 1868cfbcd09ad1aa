"""The figure of a refinement."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from borex.errors import InputError, MissingExtraError
from borex.media.plots import figure

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


def test_the_history_is_drawn_against_evaluations() -> None:
    drawn = figure(MEDIA, None, SALIENCY, STD, "cat", np.array([[10, 0.5], [30, 0.7]]), "score")
    (line,) = panels(drawn)["score"].get_lines()
    np.testing.assert_array_equal(line.get_xydata(), [[10, 0.5], [30, 0.7]])
    drawn = figure(MEDIA, None, SALIENCY, STD, "cat", np.array([0.5, 0.7, 0.6]), "score")
    np.testing.assert_array_equal(panels(drawn)["score"].get_lines()[0].get_xdata(), [1, 2, 3])
    with pytest.raises(InputError, match=r"history has shape \(2, 3\)"):
        figure(MEDIA, None, SALIENCY, STD, "cat", np.zeros((2, 3)))


def test_a_clip_shows_the_frame_with_the_most_saliency() -> None:
    clip = np.stack([MEDIA, MEDIA[::-1], MEDIA[:, ::-1], MEDIA // 2, MEDIA // 3])
    saliency = np.stack([STD, STD, STD, STD + 1, STD])
    shown = panels(figure(clip, saliency[:2, ::3, ::2], saliency, saliency, "clip"))
    assert list(shown) == ["picture, frame 3 of 5", "initial map", "refined map", "standard deviation"]
    np.testing.assert_array_equal(shown["picture, frame 3 of 5"].get_images()[0].get_array(), MEDIA // 2)
    np.testing.assert_allclose(shown["standard deviation"].get_images()[0].get_array(), STD + 1)


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
        (MEDIA[..., 0], STD, "expected a map of 1 axes"),
    ],
)
def test_axes_that_do_not_agree(media: np.ndarray, std: np.ndarray, text: str) -> None:
    with pytest.raises(InputError) as caught:
        figure(media, None, SALIENCY, std, "cat")
    assert text in str(caught.value)
    with pytest.raises(InputError, match=r"expected \(H, W, C\) or \(T, H, W, C\)"):
        figure(MEDIA[0], None, SALIENCY[0], None, "a line")


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
