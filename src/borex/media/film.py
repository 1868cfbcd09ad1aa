"""Heat maps of clips as pictures that move, and as strips of frames; under both the profile over time.

Frames lie side by side on the axis of time, each as wide as the next, so that what is above a point of the profile is
the frame that it is about.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from borex.layout import resize, resize_media
from borex.media.write import Limits, display_limits, grown, overlay, picture, scale

# Pixels. Heights are even, and widths are made so: H.264 asks for it.
FILM_SIDE, STRIP_SIDE, CHART_HEIGHT, GAP = (240, 420), 150, 120, 8
TILES = 8
FINE = 2  # the chart is drawn so many times larger and shrunk: lines without steps
INK, FAINT, PLAYHEAD = (40, 40, 40), (215, 215, 215), (214, 90, 20)


class Chart:
    """A profile over time, mean ± std of each frame, drawn once; `at(frame)` is it with the playhead there."""

    def __init__(
        self, mean: np.ndarray, std: np.ndarray, seconds: Sequence[float] | None, width: int, height: int
    ) -> None:
        """`mean`, `std`: `(T,)`. `seconds`: `(T,)`, what the axis shows; None: numbers of frames."""
        self._n, self.size = len(mean), (width, height)
        self._font = ImageFont.load_default(size=11 * FINE)
        line = 15 * FINE
        self._top, self._bottom = line + 4 * FINE, height * FINE - line - 2 * FINE
        low, high = float((mean - std).min()), float((mean + std).max())
        low, high = min(low, 0.0), max(high, 0.0)
        self._low, self._span = low, (high - low) or 1.0
        self._sheet = Image.new("RGB", (width * FINE, height * FINE), "white")
        draw = ImageDraw.Draw(self._sheet)
        self._draw_axes(draw, seconds, (low, high))
        x = [self.x(i) for i in range(self._n)]
        # The first and the last frame reach to the ends of the sheet.
        x_band = [0, *x, width * FINE]
        upper, middle, lower = (
            [self._y(float(values[i])) for i in (0, *range(self._n), -1)] for values in (mean + std, mean, mean - std)
        )
        band, curve = (tuple(scale(False)[at].tolist()) for at in (205, 110))
        pale = tuple(round(255 - 0.45 * (255 - c)) for c in band)
        draw.polygon([*zip(x_band, upper, strict=True), *zip(x_band[::-1], lower[::-1], strict=True)], fill=pale)
        draw.line([(0, self._y(0.0)), (width * FINE, self._y(0.0))], fill=FAINT, width=FINE)
        draw.line(list(zip(x_band, middle, strict=True)), fill=curve, width=2 * FINE, joint="curve")
        self._mean = mean

    def x(self, frame: int) -> float:
        """Where the middle of a frame lies, in pixels of the fine sheet."""
        return (frame + 0.5) / self._n * self.size[0] * FINE

    def _y(self, value: float) -> float:
        return self._bottom - (value - self._low) / self._span * (self._bottom - self._top)

    def _draw_axes(self, draw: ImageDraw.ImageDraw, seconds: Sequence[float] | None, ends: Limits) -> None:
        unit = "frames" if seconds is None else "seconds"
        title = f"mean saliency of each frame ± std, from {ends[0]:.3g} to {ends[1]:.3g}; {unit} below"
        draw.text((4 * FINE, 0), title, fill=INK, font=self._font)
        for at in range(0, self._n, -(-self._n // 9)):
            text = str(at) if seconds is None else f"{seconds[at]:.2f}"
            wide = self._font.getlength(text)
            left = min(max(self.x(at) - wide / 2, 0), self.size[0] * FINE - wide)
            draw.text((left, self._bottom + 2 * FINE), text, fill=INK, font=self._font)
            draw.line([(self.x(at), self._top), (self.x(at), self._bottom)], fill=FAINT, width=1)

    def at(self, frame: int | None = None) -> np.ndarray:
        """The chart as uint8 `(height, width, 3)`, with a line and a dot at a frame."""
        sheet = self._sheet
        if frame is not None:
            sheet = sheet.copy()
            draw, x, y = ImageDraw.Draw(sheet), self.x(frame), self._y(float(self._mean[frame]))
            draw.line([(x, self._top), (x, self._bottom)], fill=PLAYHEAD, width=2 * FINE)
            r = 4 * FINE
            draw.ellipse((x - r, y - r, x + r, y + r), fill=PLAYHEAD)
        return np.asarray(sheet.resize(self.size, Image.Resampling.BOX))


def film(
    media: np.ndarray,
    saliency: np.ndarray,
    profile: tuple[np.ndarray, np.ndarray],
    seconds: Sequence[float] | None = None,
    title: str = "",
    limits: Limits | None = None,
) -> np.ndarray:
    """Frames uint8 `(T, H, W, 3)` that show a clip, beside it the clip under its heat map, and under both the profile
    over time with a line at the frame that is seen.

    `media`: `(T, H, W, channels)`; `saliency`: of any resolution, three axes; `profile`: mean and std `(T,)`; `limits`:
    the saliency at the ends of the colours.
    """
    shown = grown(picture(media, FILM_SIDE[1]), FILM_SIDE[0])
    n, height, width = shown.shape[:3]
    heat = overlay(shown, saliency, limits=limits)
    wide = _even(max(2 * width + 3 * GAP, 480))
    font = ImageFont.load_default(size=13)
    head = 24
    chart = Chart(*profile, seconds, wide - 2 * GAP, CHART_HEIGHT)
    tall = _even(head + height + GAP + CHART_HEIGHT + GAP)
    frames = np.full((n, tall, wide, 3), 255, dtype=np.uint8)
    left = (wide - 2 * width - GAP) // 2
    for i, frame in enumerate(frames):
        frame[head : head + height, left : left + width] = shown[i]
        frame[head : head + height, left + width + GAP : left + 2 * width + GAP] = heat[i]
        below = head + height + GAP
        frame[below : below + CHART_HEIGHT, GAP : wide - GAP] = chart.at(i)
        text = f"frame {i}" if seconds is None else f"{seconds[i]:.2f} s"
        frame[:head] = _line(title, text, wide, head, font)
    return frames


def strip(
    media: np.ndarray,
    saliency: np.ndarray,
    profile: tuple[np.ndarray, np.ndarray],
    seconds: Sequence[float] | None = None,
    title: str = "",
    limits: Limits | None = None,
) -> np.ndarray:
    """The same as one picture, uint8 `(H, W, 3)`: eight frames (or all, where there are fewer), the same under their
    heat map, and the profile. Each frame stands over its time."""
    at = tiles(len(media))
    shown = picture(media[at], STRIP_SIDE)
    height, width = shown.shape[1:3]
    if max(height, width) < STRIP_SIDE:
        share = STRIP_SIDE / max(height, width)
        height, width = max(1, round(height * share)), max(1, round(width * share))
        shown = resize_media(shown, (len(shown), height, width))
    whole = limits if limits is not None else display_limits(np.asarray(saliency))
    of_tiles = at_frames(np.asarray(saliency), len(media))[at]
    heat = overlay(shown, of_tiles, limits=whole if whole[0] < whole[1] else None)
    step = max(width + GAP, -(-480 // len(at)))
    wide = step * len(at)
    head, label = 24, 16
    sheet = np.full((head + 2 * (height + GAP) + label + CHART_HEIGHT, wide, 3), 255, dtype=np.uint8)
    sheet[:head] = _line(title, "", wide, head, ImageFont.load_default(size=13))
    small = ImageFont.load_default(size=11)
    for i, frame in enumerate(at):
        left = i * step + (step - width) // 2
        for row, pixels in enumerate((shown[i], heat[i])):
            top = head + row * (height + GAP)
            sheet[top : top + height, left : left + width] = pixels
        text = f"frame {frame}" if seconds is None else f"{seconds[frame]:.2f} s"
        below = head + 2 * (height + GAP) - GAP // 2
        sheet[below : below + label, i * step : (i + 1) * step] = _line("", text, step, label, small, middle=True)
    chart = Chart(*profile, seconds, wide, CHART_HEIGHT)
    sheet[-CHART_HEIGHT:] = chart.at()
    return sheet


def tiles(n: int, most: int = TILES) -> np.ndarray:
    """The frames in the middles of at most `most` equal parts of a clip of `n` frames."""
    parts = min(n, most)
    return ((np.arange(parts) + 0.5) * n / parts).astype(int)


def playing_rate(fps: float | None) -> float:
    """Frames a second to play a clip with: its own rate where it can be watched; 8 where it has none."""
    return 8.0 if fps is None else min(max(fps, 2.0), 50.0)


def at_frames(saliency: np.ndarray, n: int) -> np.ndarray:
    """A map of any number of steps in time, with one for each of `n` frames; space stays as it is."""
    return resize(saliency.astype(np.float32, copy=False), (n, *saliency.shape[1:]), np.float32)


def _even(size: int) -> int:
    return size + size % 2


def _line(left: str, right: str, width: int, height: int, font: object, middle: bool = False) -> np.ndarray:
    """A line of text on white, uint8 `(height, width, 3)`: one at its left end, shortened where there is no room for
    all of it, one at its right end or middle."""
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    kind: ImageFont.ImageFont | ImageFont.FreeTypeFont = font  # type: ignore[assignment]
    room = width - 2 * GAP - (0 if middle or not right else kind.getlength(right) + 2 * GAP)
    draw.text((GAP, height // 2), _shortened(left, room, kind), fill=INK, font=kind, anchor="lm")
    at = (width // 2, height // 2) if middle else (width - GAP, height // 2)
    draw.text(at, right, fill=INK, font=kind, anchor="mm" if middle else "rm")
    return np.asarray(sheet)


def _shortened(text: str, room: float, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """A text whose middle is left out as far as there is no room for it: at the end of a title stands the score."""
    if font.getlength(text) <= room:
        return text
    for kept in range(len(text) - 1, 0, -1):
        shorter = f"{text[: kept - kept // 3]}…{text[len(text) - kept // 3 :]}"
        if font.getlength(shorter) <= room:
            return shorter
    return ""
