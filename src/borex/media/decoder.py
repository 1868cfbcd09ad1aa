"""The frames of a video file as PyAV decodes them: upright, at their own times, from any time on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from borex.errors import FileError, MissingExtraError

# Matroska and WebM round times to milliseconds: a frame counts as being at a time that it misses by no more.
ROUNDING = 1.5e-3


class Shown(NamedTuple):
    """A frame, when it is shown, `seconds` from the first frame of its file, and for how long: it `lasts` seconds, as
    far as the file tells."""

    seconds: float
    frame: Any
    lasts: float


class Decoder:
    """One video stream: its frames one after the other, from any time on. A context manager.

    `first`: the first frame, at 0 s. `rate`: frames a second, the mean that the file states; 0 where it states none.
    `stated_end`: seconds at which the file says that its last frame ends; None where it does not.
    `failures`: packets that could not be decoded so far. `longest`: seconds, the longest time between two frames so
    far. `is_seekable`: set it to False to come to every frame by decoding all before it.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file and decodes its first frame.

        Raises FileError for what FFmpeg cannot read, for a file without video or without a frame; MissingExtraError
        without PyAV.
        """
        self.path, self.failures, self.longest, self.is_seekable = path, 0, 0.0, True
        self._origin = 0.0
        self._open()
        try:
            first = next(self._decoded(), None)
            if first is None:
                raise FileError(
                    f"{path} has a video stream ({self._codec()}), but no frame in it can be decoded; expected at "
                    "least one. Get it or write it once more"
                )
            self._origin = first.seconds
            self.first = first._replace(seconds=0.0)
            self._turn = _display_matrix(first.frame)
            self.rate = float(self._stream.average_rate or self._stream.guessed_rate or 0.0)
            self.stated_end = self._stated_end()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        try:
            import av
        except ImportError as error:
            raise MissingExtraError("reading a video file", "av", "video") from error
        # "file:" and the whitelist keep a name with a colon, or a playlist, from becoming a network address.
        options = {"protocol_whitelist": "file"}
        try:
            self._container = av.open(f"file:{self.path}", options=options, metadata_errors="replace")
        except PermissionError as error:
            raise FileError(f"cannot read {self.path}: {error.strerror}. Check its permissions") from error
        except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FileError(
                f"{self.path} is no video that FFmpeg can read, or it is incomplete ({reason}); expected an MP4, WebM, "
                "MOV, MKV, AVI or GIF. An MP4 whose end is missing has lost its table of frames: get it once more"
            ) from error
        # The cover of a piece of music is a stream of one picture.
        streams = [one for one in self._container.streams.video if not _is_cover(one)]
        if not streams:
            kinds = sorted({one.type for one in self._container.streams})
            self._container.close()
            raise FileError(
                f"{self.path} holds no video stream, but {' and '.join(kinds) or 'no stream at all'}; expected a video"
            )
        self._stream = streams[0]

    def _codec(self) -> str:
        context = self._stream.codec_context  # None where FFmpeg has no decoder for it
        return "of an unknown kind" if context is None else context.name

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- frames

    def frames(self, start: float = 0.0) -> Iterator[Shown]:
        """Frames in order: from the last keyframe at or before `start` seconds, so that the frame shown then is among
        them, to the end of what can be read. Only one of these iterators can be in use at a time."""
        self._go_to(start if self.is_seekable else 0.0)
        shown = self._decoded()
        first = next(shown, None)
        if start > 0 and self.is_seekable and (first is None or first.seconds > start + ROUNDING):
            self.is_seekable = False  # this file's index leads past what it should find
            self._go_to(0.0)
            return self._decoded()
        return itertools.chain([] if first is None else [first], shown)

    def _go_to(self, seconds: float) -> None:
        import av

        if seconds > 0:
            try:
                stamp = math.floor((seconds + self._origin) / float(self._stream.time_base or 1))
                self._container.seek(stamp, stream=self._stream)
                return
            except av.error.FFmpegError:
                self.is_seekable = False
        self._container.close()  # a seek to the very beginning is not possible in every format
        self._open()

    def _decoded(self) -> Iterator[Shown]:
        """Every frame from where the file stands; damaged packets are counted and left out."""
        import av

        packets = self._container.demux(self._stream)
        before: float | None = None
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                if packet.is_corrupt:  # decoded, what is missing in it would be made up
                    self.failures += 1
                    continue
                frames = packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                self.failures += 1
                if not isinstance(error, av.error.InvalidDataError):
                    return
                continue
            for frame in frames:
                step = 1 / float(self._stream.average_rate or 25)
                stated = frame.time  # None in raw streams
                guess = self._origin if before is None else before + step
                seconds = guess if stated is None else float(stated)
                self.longest = max(self.longest, step if before is None else seconds - before)
                before = seconds
                lasts = float((getattr(frame, "duration", 0) or 0) * (frame.time_base or 0))
                yield Shown(seconds - self._origin, frame, lasts or step)

    def _stated_end(self) -> float | None:
        stream, container = self._stream, self._container
        if container.format.name == "mpeg":  # a program stream, whose length FFmpeg guesses from its bytes
            return None
        if stream.duration is not None and stream.time_base is not None:
            begin = 0 if stream.start_time is None else stream.start_time
            return float((begin + stream.duration) * stream.time_base) - self._origin
        tag = stream.metadata.get("DURATION", "").split(":")  # what Matroska says of one stream
        if len(tag) == 3:
            try:
                return float(tag[0]) * 3600 + float(tag[1]) * 60 + float(tag[2]) - self._origin
            except ValueError:
                pass
        # A container's duration is that of its longest stream, which may be the sound.
        if container.duration is not None and len(container.streams) == 1:
            return float(container.duration + (container.start_time or 0)) / 1e6 - self._origin
        return None

    # --- pixels

    def rgb(self, frame: Any, size: tuple[int, int] | None = None) -> np.ndarray:
        """A frame as it is to be seen, uint8 `(H, W, 3)`: turned as the file says, transparency on white.

        `size`: `(H, W)` of the result; None: the frame's own.
        """
        matrix = _display_matrix(frame)
        turn = self._turn if matrix is None else matrix
        height, width = self.size(frame) if size is None else size
        if _is_quarter(turn):  # a frame is brought to its size as it is stored, and then turned
            height, width = width, height
        shrinks = height * width < frame.height * frame.width
        has_alpha = any(component.is_alpha for component in frame.format.components)
        pixels = frame.reformat(
            width, height, "rgba" if has_alpha else "rgb24", interpolation="AREA" if shrinks else "BICUBIC"
        ).to_ndarray()
        if has_alpha:
            opacity = pixels[..., 3:].astype(np.uint16)
            pixels = ((pixels[..., :3] * opacity + (255 - opacity) * 255 + 127) // 255).astype(np.uint8)
        return np.ascontiguousarray(_turned(pixels, turn))

    def size(self, frame: Any) -> tuple[int, int]:
        """`(H, W)` of a frame as it is to be seen: upright, and as wide as the shape of its pixels makes it."""
        matrix = _display_matrix(frame)
        quarter = _is_quarter(self._turn if matrix is None else matrix)
        aspect = float(self._stream.sample_aspect_ratio or 0) or 1.0
        width = max(1, round(frame.width * aspect))
        return (width, frame.height) if quarter else (frame.height, width)


def _is_cover(stream: Any) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _display_matrix(frame: Any) -> np.ndarray | None:
    """The part `(2, 2)` of a frame's display matrix that turns and mirrors, if it has one: pixel (x, y) is shown at
    (x, y) @ matrix, y downwards."""
    try:
        every = list(frame.side_data)
    except ValueError:  # of a kind that PyAV does not know, such as EXIF; the angle can be had all the same
        angle = -np.deg2rad(frame.rotation)
        return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for data in every:
        if data.type.name == "DISPLAYMATRIX":
            return np.frombuffer(bytes(data), np.int32)[:9].reshape(3, 3)[:2, :2] / 65536.0
    return None


def _is_quarter(matrix: np.ndarray | None) -> bool:
    """Whether width and height change places; angles in between count as the nearest quarter turn."""
    return matrix is not None and float(np.abs(np.diag(matrix)).sum()) < float(np.abs(matrix).sum()) / 2


def _turned(pixels: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
    if matrix is None:
        return pixels
    if _is_quarter(matrix):
        pixels, right, down = pixels.transpose(1, 0, 2), matrix[1, 0], matrix[0, 1]
    else:
        right, down = matrix[0, 0], matrix[1, 1]
    pixels = pixels[:, ::-1] if right < 0 else pixels
    return pixels[::-1] if down < 0 else pixels
