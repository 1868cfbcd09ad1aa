"""Video files that the tests make, and what can be told of their frames."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av")

T, H, W = 16, 32, 48
CODECS = {"mp4": "libx264", "mov": "libx264", "mkv": "libx264", "webm": "libvpx-vp9", "avi": "mpeg4"}


def greys(n: int = T) -> np.ndarray:
    """Frames `(n, H, W, 3)` of one grey each, far enough apart to survive a codec: 10, 20, …"""
    return np.broadcast_to((10 + 10 * np.arange(n, dtype=np.uint8) % 240)[:, None, None, None], (n, H, W, 3))


def which(frames: np.ndarray) -> list[int]:
    """Which of the `greys` each frame is."""
    return [round((float(frame.mean()) - 10) / 10) for frame in frames]


def encoded(
    path: Path, frames: np.ndarray, codec: str = "libx264", times: list[int] | None = None, **options: Any
) -> Path:
    """A file in any container, 8 frames a second, or with frames at `times` in eighths of a second."""
    with av.open(str(path), "w", options=options) as container:
        options_of = {} if codec == "mjpeg" else {"g": "5"}
        stream = container.add_stream(codec, rate=8, options=options_of)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 8)
        for time, pixels in zip(times or range(len(frames)), frames, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 8)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turned(path: Path, matrix: list[int]) -> Path:
    """An MP4 whose track header says (a, b, c, d): pixel (x, y) is shown at (a x + c y, b x + d y)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value * 65536 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def noise(n: int = T) -> np.ndarray:
    """Frames that need bytes, each with the grey of its place around it."""
    frames = np.array(greys(n))
    frames[:, 8:24, 8:40] = np.random.default_rng(0).integers(0, 256, (n, 16, 32, 3), dtype=np.uint8)
    return frames


def of_two_sizes(path: Path) -> Path:
    """A film of 7 greys whose frames are half as large from the fifth on; the stream names the first size."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=8)
        stream.width, stream.height, stream.pix_fmt = W, H, "yuvj420p"
        for size, times in (((H, W), range(4)), ((H // 2, W // 2), range(4, 7))):
            context = av.CodecContext.create("mjpeg", "w")
            context.height, context.width, context.pix_fmt = *size, "yuvj420p"
            context.time_base = Fraction(1, 8)
            for time in times:
                pixels = np.full((*size, 3), 10 + 10 * time, np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = time, Fraction(1, 8)
                for packet in context.encode(frame):
                    packet.stream = stream
                    container.mux(packet)
    return path
