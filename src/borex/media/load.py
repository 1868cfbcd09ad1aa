"""What `refine` and the command line take for media: the path of a picture or of a video, or a Clip."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from borex.errors import FileError, InputError
from borex.explanation import Excerpt
from borex.media.decoder import ROUNDING, Decoder
from borex.media.folder import Folder
from borex.media.read import checked_path, read_image
from borex.media.video import Clip, check_arguments, read_clip, read_first

VIDEOS = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ogv", ".wmv", ".flv", ".ts", ".mts", ".m2ts",
    ".vob", ".3gp", ".3g2", ".mxf", ".y4m",
)  # fmt: skip
# Of a longer file so many frames are read, evenly spread; and of larger frames so many pixels of all in all: a heat
# map with its standard deviation takes eight bytes for each.
MAX_FRAMES, MAX_PIXELS = 64, 2**24
MOST_COUNTED = 512  # frames that are decoded to know how many there are


def is_clip(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads to a clip rather than to a picture: a folder, a video by its ending, a GIF that moves."""
    suffix = Path(path).suffix.lower()
    if os.path.isdir(path) or suffix in VIDEOS:
        return True
    if suffix != ".gif" or not os.path.isfile(path):
        return False
    try:
        with Image.open(path) as image:
            return int(getattr(image, "n_frames", 1)) > 1
    except (OSError, SyntaxError, ValueError):  # the reader says what is wrong with it
        return False


@dataclass(frozen=True)
class Part:
    """Which part of a clip to read, as in `read_clip`: from `start` to `end` seconds, so many `frames`, evenly spread,
    or every `stride`-th. None: what `read_media` does."""

    start: float | None = None
    end: float | None = None
    frames: int | None = None
    stride: int | None = None

    def given(self) -> dict[str, Any]:
        """What was said, by its name."""
        return {name: value for name, value in vars(self).items() if value is not None}


def read_media(
    media: str | os.PathLike[str] | Clip | np.ndarray, extent: tuple[int, ...] | None = None
) -> tuple[np.ndarray, Excerpt | None]:
    """Media `(*extent, 3)`, uint8, from a file (`read_given`), a Clip or a picture, and which part of a video it is."""
    given = media if isinstance(media, (Clip, np.ndarray)) else read_given(media, extent)
    if isinstance(given, Clip):
        return given.frames, Excerpt(given.source, tuple(given.seconds.tolist()), float(given.fps))
    return given, None


def read_given(
    path: str | os.PathLike[str], extent: tuple[int, ...] | None = None, part: Part | None = None
) -> np.ndarray | Clip:
    """The picture `(H, W, 3)` or the Clip that a path leads to.

    `extent`: what the model takes, if it says so: two axes ask for a picture, three for a clip, None for what the path
    leads to (`is_clip`). `part`: of a clip. Where it does not say how many frames, and there are more than 64 (or than
    the model takes, if that is more), so many are read, evenly spread, or the first so many at a stride. Frames that
    have more than 2^24 pixels together are shrunk: for frames of their own size give `refine` what `read_clip` returns.
    Frames that change their size midway are brought to that of the first.
    Raises what `read_image` and `read_clip` raise; InputError for a clip where the model takes pictures, and for a part
    of a picture.
    """
    if not os.fspath(path):
        raise FileError("the path of the media is empty; expected that of a picture, a video or a folder of frames")
    said = {} if part is None else part.given()
    if is_clip(path) if extent is None else len(extent) == 3:
        bounds = _bounds(path, said, extent)
        if "stride" in said and "frames" in bounds:
            return read_first(path, bounds.pop("frames"), **said, **bounds)
        return read_clip(path, **said, **bounds)
    if os.path.isdir(path) or Path(path).suffix.lower() in VIDEOS:
        raise InputError(
            f"{path} is a clip, but the model takes images of {extent}; expected a model of clips, such as "
            '"motionnet", or frame_mean(model), the mean of an image model over the frames'
        )
    if said:
        raise InputError(f"{path} is a picture; {', '.join(said)} choose frames of a clip. Leave them out")
    return read_image(path)


def _bounds(path: str | os.PathLike[str], said: dict[str, Any], extent: tuple[int, ...] | None) -> dict[str, Any]:
    """How many frames to read and at which size, where nothing was said of it and all would be too many."""
    check_arguments(said.get("start", 0.0), said.get("end"), said.get("frames"), said.get("stride"))
    most = said.get("frames") or (MAX_FRAMES if extent is None else max(MAX_FRAMES, extent[0]))
    is_spread = "frames" in said and "stride" not in said  # so many, however many there are
    if os.path.isdir(path):
        folder = Folder(Path(path))
        size, there = folder.size(next(folder.frames()).frame), most if is_spread else _counted(folder, said, most)
    else:
        with Decoder(checked_path(path)) as file:
            size, there = file.size(file.first.frame), most if is_spread else _counted(file, said, most)
    read = max(1, min(there, most))
    share = min(1.0, (MAX_PIXELS / (read * size[0] * size[1])) ** 0.5)
    bounds: dict[str, Any] = {"size": tuple(max(1, round(side * share)) for side in size)}
    if there > most and "frames" not in said:
        bounds["frames"] = most
    return bounds


def _counted(file: Decoder | Folder, said: dict[str, Any], most: int) -> int:
    """How many frames there are in the part that was said, or `most + 1` for more. They are counted, for a file need
    not state its length, and where the rate varies what it states is no count; unless that would take long and what it
    states is many more."""
    start, end, stride = said.get("start", 0.0), said.get("end", math.inf), said.get("stride", 1)
    stated = (min(end, file.stated_end) - start) * file.rate / stride if file.stated_end else 0.0
    if stated > 4 * most and most * stride > MOST_COUNTED:
        return most + 1
    n = 0
    for shown in file.frames(start):
        if shown.seconds >= end - ROUNDING or n > most * stride:
            break
        n += shown.seconds >= start - ROUNDING
    return -(-n // stride)
