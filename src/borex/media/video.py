"""Video files to clips and back: `read_clip`, `write_clip`. Everything but a folder of pictures needs PyAV."""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np

from borex.errors import FileError, InputError, MissingExtraError
from borex.media.decoder import ROUNDING, Decoder, Shown
from borex.media.folder import Folder
from borex.media.read import checked_path

NEAR = 1.0  # seconds: frames no further ahead than this are reached by decoding; a seek would cost more


@dataclass(frozen=True)
class Clip:
    """Frames of a video: `frames` uint8 RGB `(T, H, W, 3)`; `seconds` float64 `(T,)`, when each appears, from the first
    frame of the file on, never descending. `fps`: frames a second of *these* frames, so that `write_clip` plays them at
    the speed of the file; of a single frame, the file's. `source`: the path as it was given."""

    frames: np.ndarray = field(repr=False)
    fps: float
    seconds: np.ndarray = field(repr=False)
    source: str


def read_clip(
    path: str | os.PathLike[str],
    *,
    start: float = 0.0,
    end: float | None = None,
    frames: int | None = None,
    stride: int | None = None,
    size: tuple[int, int] | None = None,
) -> Clip:
    """The frames of a video file that are asked for, upright, as a Clip.

    `path`: an MP4, WebM, MOV, MKV, AVI or GIF, anything else that FFmpeg reads, or a folder of pictures, in the order
    of the numbers in their names. A folder knows no times: each of its pictures is shown for a second, so that seconds
    are positions, from 0.
    `start`, `end`: seconds from the first frame: the frames that appear from `start` on and before `end`; None: to the
    end of the file.
    `frames` alone: that many, evenly spread: the range is cut into as many equal parts, and of each comes the frame
    that is shown in its middle, whatever the frame rate and however it varies. Where the range has fewer frames, some
    come several times. Only what leads to them from the keyframes before is decoded.
    `stride`: every stride-th frame of the range; together with `frames`, the first so many of those.
    `size`: `(H, W)`; each frame is brought to it as it is decoded. Frames that were not chosen are never kept.

    A file that is damaged or breaks off: what can be read of it is used as if it were all, and a UserWarning says so.

    Raises InputError for a range outside the clip or without a frame, for more frames at a stride than there are, and
    for arguments of the wrong kind; FileError for a file that is missing, unreadable, without video (sound alone) or
    without frames, and for frames whose size changes midway where no `size` is given; MissingExtraError without PyAV.
    """
    return _opened(path, start, end, frames, stride, size)


def read_first(
    path: str | os.PathLike[str], most: int, *, stride: int, start: float = 0.0, end: float | None = None,
    size: tuple[int, int] | None = None,
) -> Clip:  # fmt: skip
    """The first `most` frames of a range at a stride, or as many as there are; all else as in `read_clip`."""
    return _opened(path, start, end, most, stride, size, is_most=True)


def _opened(
    path: str | os.PathLike[str], start: float, end: float | None, frames: int | None, stride: int | None,
    size: tuple[int, int] | None, is_most: bool = False,
) -> Clip:  # fmt: skip
    check_arguments(start, end, frames, stride, size)
    if os.path.isdir(path):
        return _read(Folder(Path(path)), os.fspath(path), start, end, frames, stride, size, is_most)
    with Decoder(checked_path(path)) as decoder:
        return _read(decoder, os.fspath(path), start, end, frames, stride, size, is_most)


def check_arguments(start: Any, end: Any, frames: Any, stride: Any, size: Any = None) -> None:
    """Raises InputError for what `read_clip` cannot take, whatever the file."""
    for name, value in (("start", start), ("end", end)):
        if value is None and name == "end":
            continue
        if not isinstance(value, (int, float, np.number)) or not math.isfinite(value) or value < 0:
            raise InputError(f"{name} is {value!r}; expected seconds from the first frame, at least 0")
    if end is not None and end <= start:
        raise InputError(f"the range is from {start:g} s to {end:g} s; expected an end after the start")
    for name, value in (("frames", frames), ("stride", stride)):
        if value is not None and not (_is_count(value) and value >= 1):
            raise InputError(f"{name} is {value!r}; expected a whole number, at least 1")
    fits = isinstance(size, (tuple, list)) and len(size) == 2 and all(_is_count(one) and one >= 1 for one in size)
    if size is not None and not fits:
        raise InputError(f"size is {size!r}; expected (height, width) in pixels, for example (112, 112)")


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _read(
    file: Decoder | Folder, source: str, start: float, end: float | None, frames: int | None, stride: int | None,
    size: tuple[int, int] | None, is_most: bool,
) -> Clip:  # fmt: skip
    _check_range(source, start, end, file.stated_end, _slack(file))
    if frames is None or stride is not None:
        kept = _Kept(file, source, size)
        readable = _take_every(file, kept, start, end, frames, stride or 1)
        if readable is not None and (file.stated_end is None or not kept.pixels):
            _check_range(source, start, end, readable, _slack(file))
        if not kept.pixels:
            raise InputError(
                f"no frame of {source} appears between {start:g} s and {'its end' if end is None else f'{end:g} s'}; "
                "take a longer range, or frames=1 for the one that is shown then"
            )
        if frames is not None and len(kept.pixels) < frames and not is_most:
            raise InputError(
                f"{source} has {len(kept.pixels)} frames in that range at stride {stride}; expected at least "
                f"{frames}. Ask for fewer, or leave out stride: then some come several times"
            )
        stop = None if end is None and file.stated_end is None else min(end or math.inf, file.stated_end or math.inf)
        fps = _rate(kept.seconds, file.rate, stride or 1)
    else:
        stop = min(end or math.inf, file.stated_end or _readable_end(file))
        kept, readable = _Kept(file, source, size), None
        if not _take_spread(file, kept, start, stop, frames):
            file.is_seekable = False
            readable = _readable_end(file)
            _check_range(source, start, end if file.stated_end is None else None, readable, _slack(file))
            kept = _Kept(file, source, size)
            _take_spread(file, kept, start, min(stop, readable), frames)
            fps = frames / (min(stop, readable) - start)
        else:
            fps = frames / (stop - start)
    breaks_off = readable is not None and stop is not None and readable < stop - _slack(file)
    if breaks_off or file.failures:
        until = f"it breaks off at {readable:.3g} s of {stop:.3g} s" if breaks_off else "parts cannot be decoded"
        warnings.warn(f"{source} is damaged: {until}; what can be read is used as if it were all", stacklevel=3)
    return Clip(np.stack(kept.pixels), fps, np.array(kept.seconds), source)


def _slack(file: Decoder | Folder) -> float:
    """Seconds by which a file's word on its length may be wrong: the last frame's duration is often not stated."""
    return max(file.longest, 2 / file.rate if file.rate else 0.0, 0.1)


def _check_range(source: str, start: float, end: float | None, length: float | None, slack: float) -> None:
    if length is not None and (start >= length or (end is not None and end > length + slack)):
        name, value = ("start", start) if start >= length else ("end", cast(float, end))
        raise InputError(
            f"{name} is {value:g} s, but {source} lasts {length:.4g} s; expected a range inside it"
            + (" (the pictures of a folder are shown for a second each)" if Path(source).is_dir() else "")
        )


class _Kept:
    """The frames that were chosen so far, as pixels, and their times."""

    def __init__(self, file: Decoder | Folder, source: str, size: tuple[int, int] | None) -> None:
        self._file, self._source, self._size = file, source, size
        self._last: Any = None
        self._extent: tuple[int, int] | None = None
        self.pixels: list[np.ndarray] = []
        self.seconds: list[float] = []

    def take(self, shown: Shown) -> None:
        """Raises FileError where the frame has another size than those before and nobody said which to take."""
        extent = self._file.size(shown.frame)
        before = self._extent
        if self._size is None and before is not None and before != extent:
            raise FileError(
                f"the frames of {self._source} change their size: {before[0]} x {before[1]} (height x width) until "
                f"{self.seconds[-1]:.3g} s, {extent[0]} x {extent[1]} at {shown.seconds:.3g} s. Say which to "
                f"bring them to: size={before}"
            )
        self._extent = extent
        is_same = self._last is shown.frame
        self.pixels.append(self.pixels[-1] if is_same else self._file.rgb(shown.frame, self._size))
        self.seconds.append(max(0.0, shown.seconds))
        self._last = shown.frame


def _take_every(
    file: Decoder | Folder, kept: _Kept, start: float, end: float | None, frames: int | None, stride: int
) -> float | None:
    """Takes every stride-th frame from `start` to `end`; where the file ends before, the seconds at which it does."""
    position, readable = 0, 0.0
    for shown in file.frames(start):
        if end is not None and shown.seconds >= end - ROUNDING:
            return None
        readable = shown.seconds + shown.lasts
        if shown.seconds < start - ROUNDING:
            continue
        if position % stride == 0:
            kept.take(shown)
            if len(kept.pixels) == frames:
                return None
        position += 1
    return readable


def _take_spread(file: Decoder | Folder, kept: _Kept, start: float, stop: float, frames: int) -> bool:
    """Takes the frames shown in the middles of so many equal parts of a range; False where the file ends before."""
    times = start + (np.arange(frames) + 0.5) * (stop - start) / frames
    near = NEAR
    coming = file.frames(float(times[0]))
    now, following = next(coming, None), next(coming, None)
    for time in times.tolist():
        if following is not None and file.is_seekable and time - following.seconds > near:
            before = following.seconds
            coming = file.frames(time)
            now, following = next(coming, None), next(coming, None)
            if now is not None and now.seconds <= before:  # the same keyframe again
                near = 2 * (time - before)
        while following is not None and following.seconds <= time + ROUNDING:
            now, following = following, next(coming, None)
        if now is None or (following is None and time > now.seconds + now.lasts + _slack(file)):
            return False
        kept.take(now)
    return True


def _readable_end(file: Decoder | Folder) -> float:
    """Seconds at which the last frame that can be decoded ends; decodes all of them."""
    return max((shown.seconds + shown.lasts for shown in file.frames()), default=0.0)


def _rate(seconds: list[float], rate: float, stride: int) -> float:
    """Frames a second of frames at these times: the file's own rate where they keep it but for rounding."""
    stated = rate / stride
    if len(seconds) == 1 or seconds[-1] <= seconds[0]:
        return rate or 1.0
    measured = (len(seconds) - 1) / (seconds[-1] - seconds[0])
    return stated if abs(stated - measured) < 0.01 * measured else measured


def write_clip(path: str | os.PathLike[str], frames: np.ndarray, fps: float) -> Path:
    """Writes frames, uint8 RGB `(T, H, W, 3)`, as an .mp4 (H.264, yuv420p) or .gif that plays `fps` frames a second;
    returns the path.

    H.264 in yuv420p has even sides: the last row or column of an odd one is repeated. A GIF has at most 256 colours a
    frame, and counts time in hundredths of a second. Raises InputError for other frames, or a rate that the format
    cannot play; FileError where the file cannot be written; MissingExtraError without PyAV.
    """
    path, frames = Path(path), np.asarray(frames)
    if path.suffix.lower() not in (".mp4", ".gif"):
        raise FileError(f"cannot write a clip as {path.name!r}; expected a name ending in .mp4 or .gif")
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise InputError(
            f"the frames have shape {frames.shape} and dtype {frames.dtype}; expected uint8 RGB (T, H, W, 3)"
        )
    most = 100 if path.suffix.lower() == ".gif" else 1000
    if not isinstance(fps, (int, float, np.number, Fraction)) or not 0.01 <= fps <= most:
        raise InputError(f"fps is {fps!r}; expected frames a second, from 0.01 to {most} for {path.suffix}")
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("writing a video file", "av", "video") from error
    from borex.media.encoder import write_gif, write_mp4

    try:
        (write_gif if path.suffix.lower() == ".gif" else write_mp4)(path, frames, float(fps))
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"cannot write {path}: {reason}; choose a folder you may write to") from error
    return path
