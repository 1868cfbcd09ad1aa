"""Arrays to pictures: heat maps in colour, overlays, panels with captions, PNG files.

Values are normalised here only, for display; `limits` fixes the normalisation, so that pictures can be compared.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from borex.errors import FileError, InputError
from borex.layout import resize, resize_media

Limits = tuple[float, float]

# Anchors of the colour scales in OKLCh (Ottosson 2020): lightness, chroma, hue in degrees. Lightness changes evenly, so
# that equal steps of saliency look equally large, in grey and to colour-blind eyes, too.
LCh = tuple[float, float, float]
DARK: LCh = (0.14, 0.06, 285)
SEQUENTIAL = (DARK, (0.30, 0.15, 300), (0.47, 0.20, 350), (0.64, 0.21, 30), (0.80, 0.17, 68), (0.96, 0.12, 105))
COLD = ((0.42, 0.17, 262), (0.60, 0.15, 252), (0.78, 0.09, 240), (0.97, 0.0, 230))
WARM = ((0.97, 0.0, 60), (0.78, 0.11, 45), (0.60, 0.20, 30), (0.42, 0.17, 25))

# A map of unknown noise counts as signed when its low end lies further below zero than this share of its high end.
SIGNED = 0.25

# The look of an overlay: the picture keeps this share of its brightness and of its colour, and shades the heat by the
# rest of KEPT_FLAT; opacity follows saliency to a power below 1, so that half the saliency is more than half seen.
BRIGHTNESS, COLOUR, KEPT_FLAT, OPACITY_POWER = 0.85, 0.15, 0.65, 0.75
OVERSHOOT = 0.25  # floats that leave [0, 1] by no more are in that range all the same
BLOCK = 2**20  # pixels coloured at a time: floats of a whole photo would take 12 times its memory


def display_limits(saliency: np.ndarray, is_signed: bool | None = None) -> Limits:
    """The values `(low, high)` at the ends of the colour scale: robust to outliers, and around 0 for signed maps.

    The 1st and the 99.5th percentile; a signed map gets `(-m, m)`; one with little below 0, `(0, high)`. `is_signed`:
    whether what is below 0 is more than noise; None: told from how much it is. For a map that is flat, `low == high`.
    """
    finite = saliency[np.isfinite(saliency)]
    if finite.size == 0:
        return 0.0, 0.0
    low, high = (float(value) for value in np.percentile(finite, (1, 99.5)))
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # a small peak on a flat map, or nothing but rounding
        low, high = float(finite.min()), float(finite.max())
        if high - low <= 1e-9 * max(abs(low), abs(high)):
            return low, low
    if is_signed is None:
        is_signed = low < 0 and (high <= 0 or -low > SIGNED * high)
    if is_signed:
        most = float(np.percentile(np.abs(finite), 99.5))
        return -most, most
    return max(low, 0.0), high if high > 0 else -low  # noise alone, below 0: all of it at the low end


def ends(saliency: np.ndarray, limits: Limits | None = None) -> Limits:
    """The values at the two ends of the colours: `limits`, both as far from 0 where they lie around it; None:
    `display_limits`. Raises InputError for what is no range."""
    if limits is None:
        return display_limits(saliency)
    low, high = (float(value) for value in limits)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"limits are ({low}, {high}); expected two finite values, the lower first")
    return (-max(-low, high), max(-low, high)) if low < 0 < high else (low, high)


def colours(saliency: np.ndarray, limits: Limits | None = None) -> np.ndarray:
    """A heat map `(*extent,)` in colour, uint8 `(*extent, 3)`.

    `limits`: the values at the ends of the scale; None: `display_limits`. Where they lie around 0 the scale diverges
    (blue below, white at 0, red above, both sides to the same measure), else it runs from near-black over violet and
    orange to pale yellow. Values beyond the limits get the colour of the end, NaN that of nothing.
    """
    saliency = np.asarray(saliency)
    limits = ends(saliency, limits)
    return _coloured(_position(saliency, limits), limits)


@cache
def scale(diverging: bool) -> np.ndarray:
    """The colours of the scale, uint8 `(256, 3)`, or `(511, 3)` of the diverging one, with white at 255; read-only."""
    table = np.concatenate([_ramp(COLD, 256), _ramp(WARM, 256)[1:]]) if diverging else _ramp(SEQUENTIAL, 256)
    table.setflags(write=False)
    return table


def overlay(media: np.ndarray, saliency: np.ndarray, alpha: float = 0.85, limits: Limits | None = None) -> np.ndarray:
    """The media, greyed, under its heat map in colour; uint8 `(*extent, 3)`.

    `media`: `(*extent, channels)`, any dtype and range (see `picture`). `saliency`: a map of any resolution with the
    extent's axes. `alpha`: opacity in [0, 1] of the highest saliency; it falls to 0 with saliency, so that the picture
    stays visible where nothing was found. `limits`: as for `colours`.
    """
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha is {alpha}; expected an opacity between 0 and 1")
    saliency = np.asarray(saliency)
    limits = ends(saliency, limits)
    shown = picture(media)
    extent = shown.shape[:-1]
    saliency = resize(np.nan_to_num(saliency, nan=limits[0]), extent, np.float32)
    laid = np.empty_like(shown)
    rows = max(1, BLOCK // max(1, math.prod(extent[1:])))
    for start in range(0, extent[0], rows):
        block = slice(start, start + rows)
        laid[block] = _laid(shown[block], saliency[block], alpha, limits)
    return laid


def smooth(cells: np.ndarray, finer: int = 8) -> np.ndarray:
    """A map of one value a cell, interpolated by cubic splines: float32, `finer` times as many values on each axis.

    For display: edges of cells are no edges of what the model saw. Scores are better of the cells as they are.
    """
    from scipy.ndimage import zoom

    values = np.asarray(cells, dtype=np.float32)
    interpolated: np.ndarray = zoom(values, finer, order=3, mode="nearest", grid_mode=True)
    return interpolated


def picture(media: np.ndarray, max_side: int | None = None) -> np.ndarray:
    """Media `(*extent, channels)` to look at: uint8 `(*extent, 3)`, whatever its range.

    One channel is grey, two are shown by their mean, of more the first three are RGB. Range: uint8 as it is; other
    numbers in [0, 1], [0, 255] or (uint16) [0, 65535] by that range; anything else, such as media normalised for a
    model, is stretched from its least to its greatest value. `max_side`: pixels along the longer side of a frame, at
    most; larger media is shrunk.
    """
    media = np.asarray(media)
    if media.ndim < 2 or 0 in media.shape:
        raise InputError(f"cannot show media of shape {media.shape}; expected (*extent, channels), nothing empty")
    media = media[..., :3] if media.shape[-1] > 2 else media
    if max_side is not None and media.ndim > 2 and max(media.shape[-3:-1]) > max_side:
        share = max_side / max(media.shape[-3:-1])
        sides = tuple(max(1, round(side * share)) for side in media.shape[-3:-1])
        media = resize_media(media, (*media.shape[:-3], *sides))
    if media.dtype != np.uint8:
        media = _eight_bits(media)
    if media.shape[-1] == 3:
        return media
    grey = media if media.shape[-1] == 1 else np.rint(media.mean(axis=-1, keepdims=True)).astype(np.uint8)
    return np.repeat(grey, 3, axis=-1)


def grown(shown: np.ndarray, least: int) -> np.ndarray:
    """Pictures `(*extent, 3)` large enough to be looked at: their longer side is brought to at least so many pixels, by
    a whole factor."""
    *early, height, width = shown.shape[:-1]
    factor = -(-least // max(height, width))
    return resize_media(shown, (*early, height * factor, width * factor)) if factor > 1 else shown


def panel(pictures: Sequence[np.ndarray], titles: Sequence[str], gap: int = 12) -> np.ndarray:
    """Pictures side by side on white, each with its title above it; uint8 `(H, W, 3)`.

    `pictures`: uint8 `(h, w, 3)`, brought to the height of the tallest. `gap`: pixels between and around them.
    """
    if not pictures or len(pictures) != len(titles):
        raise InputError(f"{len(pictures)} pictures and {len(titles)} titles; expected at least one, and a title each")
    height = max(len(shown) for shown in pictures)
    scaled = [resize_media(shown, (height, max(1, round(shown.shape[1] * height / len(shown))))) for shown in pictures]
    font = ImageFont.load_default(size=max(13, round(min(height, *(shown.shape[1] for shown in scaled)) / 17)))
    boxes = [font.getbbox(title) for title in titles]
    line = math.ceil(sum(font.getmetrics())) if isinstance(font, ImageFont.FreeTypeFont) else 15
    widths = [max(shown.shape[1], math.ceil(box[2])) for shown, box in zip(scaled, boxes, strict=True)]
    sheet = Image.new("RGB", (sum(widths) + gap * (len(widths) + 1), height + line + 2 * gap + gap // 2), "white")
    draw = ImageDraw.Draw(sheet)
    left = gap
    for shown, title, width, box in zip(scaled, titles, widths, boxes, strict=True):
        draw.text((left + (width - box[2]) // 2, gap), title, fill=(40, 40, 40), font=font)
        sheet.paste(Image.fromarray(shown), (left + (width - shown.shape[1]) // 2, gap + line + gap // 2))
        left += width + gap
    return np.array(sheet)


def png(pixels: np.ndarray) -> bytes:
    """The bytes of a PNG file that shows uint8 `(H, W)` or `(H, W, 3 or 4)`."""
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] in (3, 4))):
        raise InputError(
            f"a PNG is made of uint8 (H, W) or (H, W, 3 or 4), not {pixels.dtype} {pixels.shape}. "
            "borex.media.write.picture and colours make such arrays"
        )
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, format="PNG")
    return encoded.getvalue()


def save_png(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Writes what `png` makes of the pixels to a file; FileError where it cannot be written."""
    path, encoded = Path(path), png(pixels)
    if not path.parent.is_dir():
        raise FileError(f"cannot write {path}: there is no folder {path.parent}. Make it first")
    try:
        path.write_bytes(encoded)
    except OSError as error:
        raise FileError(
            f"cannot write {path}: {error.strerror}. Choose a folder that can be written to, with space left"
        ) from error


def _position(saliency: np.ndarray, limits: Limits) -> np.ndarray:
    """Where values lie on the colour scale, in [0, 1]; the middle is 0 where the limits lie around 0."""
    low, high = limits
    if low == high:  # a flat map
        return np.zeros(saliency.shape, dtype=np.float32)
    values = np.nan_to_num(saliency.astype(np.float32, copy=False), nan=0.0 if low < 0 < high else low)
    position: np.ndarray = np.clip((values - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return position


def _coloured(position: np.ndarray, limits: Limits) -> np.ndarray:
    table = scale(limits[0] < 0 < limits[1])
    coloured: np.ndarray = table[np.rint(position * (len(table) - 1)).astype(np.intp)]
    return coloured


def _laid(shown: np.ndarray, saliency: np.ndarray, alpha: float, limits: Limits) -> np.ndarray:
    """Pixels `(n, …, 3)` under their saliency `(n, …)`, in colour."""
    position = _position(saliency, limits)
    strength = np.abs(2 * position - 1) if limits[0] < 0 < limits[1] else position
    opacity = (alpha * strength**OPACITY_POWER)[..., None]
    seen = shown.astype(np.float32)
    grey = (seen @ np.array([0.299, 0.587, 0.114], dtype=np.float32))[..., None]
    below = BRIGHTNESS * (COLOUR * seen + (1 - COLOUR) * grey)
    heat = _coloured(position, limits) * (KEPT_FLAT + (1 - KEPT_FLAT) / 255 * grey)
    laid: np.ndarray = np.rint(below + opacity * (heat - below)).astype(np.uint8)
    return laid


def _eight_bits(media: np.ndarray) -> np.ndarray:
    values = media.astype(np.float64 if media.dtype.itemsize > 4 else np.float32)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    # Resampling overshoots; media in 0..255 that never exceeds 1 shows nothing anyway.
    if low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
        low, high = 0.0, 1.0
    elif low >= -0.5 and high <= 255.5:
        low, high = 0.0, 255.0
    elif media.dtype == np.uint16:
        low, high = 0.0, 65535.0
    values -= low
    values *= 255 / ((high - low) or 1.0)
    eight: np.ndarray = np.clip(np.rint(values, out=values), 0, 255).astype(np.uint8)
    return eight


def _ramp(anchors: Sequence[tuple[float, float, float]], n: int) -> np.ndarray:
    lightness, chroma, hue = np.array(anchors).T
    hue = np.unwrap(hue, period=360)
    at = np.linspace(lightness[0], lightness[-1], n)
    order = np.argsort(lightness)
    chroma, hue = (np.interp(at, lightness[order], values[order]) for values in (chroma, hue))
    kept, lost = np.zeros(n), np.ones(n) + 1e-9
    for _ in range(
        30
    ):  # what no screen can show loses chroma, not lightness: the largest share that it can, by halving
        share = (kept + lost) / 2
        linear = _linear_srgb(at, share * chroma, hue)
        inside = ((linear >= 0) & (linear <= 1)).all(axis=1)
        kept, lost = np.where(inside, share, kept), np.where(inside, lost, share)
    linear = _linear_srgb(at, kept * chroma, hue)
    linear = np.clip(linear, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    pixels: np.ndarray = np.rint(255 * encoded).astype(np.uint8)
    return pixels


def _linear_srgb(lightness: np.ndarray, chroma: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """Linear sRGB `(n, 3)` of OKLCh colours; Ottosson (2020), "A perceptual color space for image processing"."""
    a, b = chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))
    to_lms = np.array(
        [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear: np.ndarray = (np.stack([lightness, a, b], axis=1) @ to_lms.T) ** 3 @ to_rgb.T
    return linear
