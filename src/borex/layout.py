"""From the arrays of the outside world to `(*extent, channels)` and back, and from one resolution to another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from borex.errors import InputError, LayoutError

# By number of axes. N is a batch of one, T frames, H rows, W columns, C channels.
LAYOUTS = {
    2: ("HW",),
    3: ("HWC", "CHW", "THW"),
    4: ("NHWC", "NCHW", "THWC", "TCHW", "CTHW"),
    5: ("NTHWC", "NTCHW", "NCTHW"),
}
CHANNELS = (1, 3, 4)  # the sizes of an axis that "auto" takes for channels


def channels_last(axes: int) -> str:
    """The layout of media of so many axes, channels last: "HWC" of 3, "THWC" of 4."""
    return "THWC"[4 - axes :]


def to_channels_last(media: Any, layout: str = "auto") -> np.ndarray:
    """One image or clip as an array `(*extent, channels)`, extent = `(H, W)` or `(T, H, W)`.

    `media`: a NumPy array, a torch tensor on any device, or a PIL image (as it is shown: palettes and CMYK become RGB,
    its EXIF orientation is not applied). Values and range are kept, and so is the dtype, but for bool, which becomes
    float32 in {0, 1}, and torch.bfloat16, which becomes float32: between black and white there must be room for what is
    half hidden. The result may share memory with `media`.

    `layout`: one of `LAYOUTS`, or "auto": the axis of size 1, 3 or 4 is channels, if only one layout fits so.
    A batch axis N must have size 1.

    Raises LayoutError where `layout` does not fit or the axes cannot be told; InputError where there is more than one
    input, nothing or a single pixel to explain, NaN or Inf, or no array of numbers at all.
    """
    array, is_picture = numbers(media, "the media")
    if is_picture and layout == "auto":
        layout = "HW" if array.ndim == 2 else "HWC"
    name = _found(array.shape) if layout == "auto" else _checked(layout, array.shape)
    if 0 in array.shape:
        raise InputError(
            f"the media has shape {array.shape}, which is empty; expected at least one value along every axis"
        )
    if "N" in name:
        if len(array) != 1:
            raise InputError(
                f"the media has shape {array.shape}, in layout {name} a batch of {len(array)}; expected one input at a "
                "time. Call once for each: media[0], media[1], …"
            )
        array = array[0]
    named = name.replace("N", "")
    array = array.transpose([named.index(axis) for axis in _channels_last(named)])
    array = array if "C" in name else array[..., None]
    if math.prod(array.shape[:-1]) == 1:
        raise InputError(
            f"the media has one pixel (extent {array.shape[:-1]}); there is nothing to tell apart in it. Expected at "
            'least two; if an axis was taken for another, say which is which, for example layout="CHW"'
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(
            f"the media holds NaN or Inf, first at {at} of {array.shape}; expected finite numbers. Replace them first, "
            "for example with numpy.nan_to_num"
        )
    return np.ascontiguousarray(array)


def checked_initial(initial: Any, extent: tuple[int, ...]) -> np.ndarray:
    """A heat map of any resolution as float64 `(*initial_extent)`, raw values; it has as many axes as `extent`.

    `initial`: a NumPy array or torch tensor. Raises InputError for another number of axes, an empty axis, NaN or Inf,
    or what is no array of numbers.
    """
    values, _ = numbers(initial, "the initial map")
    if values.ndim != len(extent):
        raise InputError(
            f"the initial map has shape {values.shape}, {values.ndim} axes; the media has extent {extent}, so expected "
            f"{len(extent)} axes, of any size. "
            + (
                "Take batch or channel axes out first: initial[0] or initial.mean(axis=-1)"
                if values.ndim > len(extent)
                else "A map of one frame serves a whole clip as initial[None]"
            )
        )
    if values.size == 0:
        raise InputError(f"the initial map has shape {values.shape}, which is empty; None stands for a flat map")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise InputError(
            f"the initial map holds NaN or Inf in {bad} of {values.size} places; expected finite numbers. A map that "
            "is NaN everywhere often comes from dividing by a maximum of 0; None stands for a flat map"
        )
    return values


def resize(values: np.ndarray, extent: tuple[int, ...], dtype: DTypeLike | None = None) -> np.ndarray:
    """A map `(*from_extent)` at another resolution `(*extent)`, for any number of axes.

    Along an axis that grows: linear interpolation between pixel centres, which lie at halves (`align_corners=False`),
    constant beyond the outermost centres. Along an axis that shrinks: the mean over the area of each new pixel, exact
    for partial pixels, so that the mean of the map is kept. `dtype`: float32 or float64; None keeps float32, and makes
    everything else float64. No more than two arrays of the result's size exist at a time. A map that has
    the extent and dtype already is returned as it is.
    """
    values = np.asarray(values)
    if values.ndim != len(extent):
        raise InputError(f"cannot resize a map of shape {values.shape} to {extent}: expected as many axes")
    dtype = np.dtype(dtype if dtype is not None else np.float32 if values.dtype == np.float32 else np.float64)
    return _resized(values, tuple(extent), dtype)


def resize_media(media: np.ndarray, extent: tuple[int, ...]) -> np.ndarray:
    """Media `(*from_extent, channels)` at another resolution `(*extent, channels)`, as `resize` does each channel.

    The dtype is kept; integers are rounded. Media that has the extent already is returned as it is.
    """
    if media.ndim != len(extent) + 1:
        raise InputError(f"cannot resize media of shape {media.shape} to extent {extent}: expected (*extent, channels)")
    if media.shape[:-1] == tuple(extent):
        return media
    small = media.dtype.itemsize <= (4 if media.dtype.kind == "f" else 2)
    resized = np.empty((*extent, media.shape[-1]), dtype=media.dtype)
    for channel in range(media.shape[-1]):  # one at a time: floats of all of them would take 4 times the media's memory
        values = _resized(media[..., channel], tuple(extent), np.dtype(np.float32 if small else np.float64))
        resized[..., channel] = np.rint(values, out=values) if media.dtype.kind in "iu" else values
    return resized


def to_extent(media: np.ndarray, extent: tuple[int, ...]) -> np.ndarray:
    """Media `(*from_extent, channels)` at the extent that a model takes: the last two axes, which are space, are
    resized; of those before them places are picked, for a mean of frames is none that was seen."""
    return resize_media(picked(media, extent) if media.ndim == len(extent) + 1 else media, extent)


def picked(values: np.ndarray, extent: tuple[int, ...]) -> np.ndarray:
    """Values `(*from_extent, ...)` with as many places as `extent` has along the axes before its last two: those that
    `middles` says; a view where that is all of them."""
    for axis, (new, old) in enumerate(zip(extent[:-2], values.shape, strict=False)):
        values = values if new == old else np.take(values, middles(old, new), axis=axis)
    return values


def is_alike(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two extents have as many frames and, whatever their sizes in space, the same shape, within 2 %."""
    if len(one) != len(other) or one[:-2] != other[:-2]:
        return False
    return abs(float(np.log(one[-2] * other[-1]) - np.log(one[-1] * other[-2]))) < 0.02


def middles(size: int, n: int) -> np.ndarray:
    """The places, of `size`, in the middles of `n` equal parts of an axis; several times the same where n > size."""
    return np.minimum(((np.arange(n) + 0.5) * size / n).astype(int), size - 1)


def _channels_last(name: str) -> str:
    return name.replace("C", "") + ("C" if "C" in name else "")


def numbers(given: Any, what: str) -> tuple[np.ndarray, bool]:
    """An array of real numbers from an array, a tensor or a PIL image, and whether it was a PIL image."""
    is_file = isinstance(given, (bytes, bytearray)) or (hasattr(given, "read") and not hasattr(given, "shape"))
    if given is None or is_file or isinstance(given, str) or hasattr(given, "__fspath__"):
        raise InputError(
            f"{what} is {f'an open file or its bytes ({type(given).__name__})' if is_file else repr(given)}; expected "
            "an array or a tensor. A file is read with borex.media.read: read_image(path) for a picture, "
            "read_map(path) for a heat map"
        )
    is_picture = hasattr(given, "getbands") and hasattr(given, "convert")  # a PIL image, without importing PIL
    if is_picture and given.mode not in ("L", "RGB", "RGBA", "I", "F", "I;16", "I;16B", "I;16L"):
        given = given.convert("L" if given.mode == "1" else "RGBA" if given.has_transparency_data else "RGB")
    if hasattr(given, "detach"):  # a torch tensor, without importing torch
        given = given.detach().cpu()
        given = (given.float() if str(given.dtype) == "torch.bfloat16" else given).numpy()
    try:
        array = np.asarray(given)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} is a {type(given).__name__} that makes no array: {error}") from error
    if array.dtype.kind not in "fiub":
        raise InputError(
            f"{what} is a {type(given).__name__} of dtype {array.dtype}; expected an array, tensor or PIL image of "
            "real numbers (integers or floats)" + ("; take .real or abs() first" if array.dtype.kind == "c" else "")
        )
    dtype = np.dtype(np.float32) if array.dtype.kind == "b" else array.dtype.newbyteorder("=")
    return array.astype(dtype, copy=False), is_picture


def fits(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a shape can be of the layout `name`, with 1, 3 or 4 channels."""
    if name == "THW":  # fits any three axes: only when it is asked for
        return False
    sizes = dict(zip(name, shape, strict=True))
    return sizes.get("C", 1) in CHANNELS and sizes.get("N", 1) == 1


def _found(shape: tuple[int, ...]) -> str:
    """The only layout that fits the shape; LayoutError where several do, or none."""
    names = LAYOUTS.get(len(shape), ())
    if not names:
        raise LayoutError(
            f"the media has shape {shape}, {len(shape)} axes; expected 2 to 5: an image HW, HWC, CHW, a clip THWC, "
            "TCHW, CTHW, either with a batch axis N of size 1 in front"
        )
    if len(shape) == 5 and shape[0] > 1:
        raise InputError(
            f"the media has shape {shape}, a batch of {shape[0]} clips; expected one input at a time. Call once for "
            "each: media[0], media[1], …"
        )
    fitting = [name for name in names if fits(name, shape)]
    if len(fitting) == 1:
        return fitting[0]
    reading = "could be read in more than one way" if fitting else "has no axis of 1, 3 or 4 channels where expected"
    ways = " or ".join(f'layout="{name}" ({_spelled(name, shape)})' for name in fitting or names)
    raise LayoutError(f"the media has shape {shape}, which {reading}. Say which axis is which: {ways}")


def _spelled(name: str, shape: tuple[int, ...]) -> str:
    """What a layout makes of a shape, in words: "clip of 1 frame, 8 x 9, 3 channels"."""
    sizes = dict(zip(name, shape, strict=True))
    kind = f"clip of {sizes['T']} frame{'s' * (sizes['T'] != 1)}" if "T" in sizes else "image"
    channels = sizes.get("C", 1)
    kind = f"batch of {sizes['N']} {kind}" if "N" in sizes else kind
    return f"{kind}, {sizes['H']} x {sizes['W']}, {channels} channel{'s' * (channels != 1)}"


def _checked(layout: str, shape: tuple[int, ...]) -> str:
    every = [name for names in LAYOUTS.values() for name in names]
    if layout not in every:
        raise LayoutError(f'layout is {layout!r}; expected "auto" or one of {", ".join(every)}')
    if len(layout) != len(shape):
        raise LayoutError(
            f'layout="{layout}" names {len(layout)} axes, but the media has shape {shape}, {len(shape)} axes'
            + (f"; expected one of {', '.join(LAYOUTS[len(shape)])}" if len(shape) in LAYOUTS else "")
        )
    return layout


def _resized(values: np.ndarray, extent: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    if min((*extent, *values.shape), default=1) < 1:
        raise InputError(f"cannot resize shape {values.shape} to {extent}: expected at least 1 along every axis")
    growth = [new / old for new, old in zip(extent, values.shape, strict=True)]
    # What shrinks most goes first and what grows most last, so that no step is larger than the ends.
    for axis in sorted(range(len(extent)), key=growth.__getitem__):
        if extent[axis] > values.shape[axis]:
            values = _grown(values, axis, extent[axis], dtype)
        elif extent[axis] < values.shape[axis]:
            values = _shrunk(values, axis, extent[axis], dtype)
    resized: np.ndarray = values.astype(dtype, copy=False)
    return resized


def _along(weights: np.ndarray, axis: int, axes: int, dtype: np.dtype[Any]) -> np.ndarray:
    return weights.astype(dtype)[(slice(None), *[None] * (axes - axis - 1))]


def _grown(values: np.ndarray, axis: int, size: int, dtype: np.dtype[Any]) -> np.ndarray:
    old = values.shape[axis]
    centres = np.clip((np.arange(size) + 0.5) * (old / size) - 0.5, 0, old - 1)
    below = np.minimum(centres.astype(np.intp), max(old - 2, 0))
    values = values.astype(dtype, copy=False)
    lower = np.take(values, below, axis=axis)
    # lower + share (upper - lower), in place: exact where the map is constant.
    grown: np.ndarray = np.take(values, np.minimum(below + 1, old - 1), axis=axis)
    grown -= lower
    grown *= _along(centres - below, axis, values.ndim, dtype)
    grown += lower
    return grown


def _shrunk(values: np.ndarray, axis: int, size: int, dtype: np.dtype[Any]) -> np.ndarray:
    # Counted in units of 1 / size of an old pixel: new pixel i covers [i old, (i + 1) old), old pixel j covers
    # [j size, (j + 1) size), so that every overlap is an integer.
    old = values.shape[axis]
    new = np.arange(size)
    first = new * old // size
    values = np.ascontiguousarray(values)  # else numpy.take copies all of it at every step
    shrunk = np.zeros([size if a == axis else n for a, n in enumerate(values.shape)], dtype=dtype)
    for step in range(int((-(-(new + 1) * old // size) - first).max())):
        at = first + step
        overlap = np.minimum((new + 1) * old, (at + 1) * size) - np.maximum(new * old, at * size)
        part = np.take(values, np.minimum(at, old - 1), axis=axis).astype(dtype, copy=False)
        part *= _along(np.maximum(overlap, 0) / old, axis, values.ndim, dtype)
        shrunk += part
    return shrunk
