"""Frames to video files, by PyAV."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from PIL import Image

TICK = Fraction(1, 100)  # of a GIF, in seconds
# Constant quality (x264's crf): hardly told from the source, and small.
QUALITY = "18"


def write_mp4(path: Path, frames: np.ndarray, fps: float) -> None:
    """H.264 in yuv420p, its table of frames in front, so that a player on the web can start at once."""
    height, width = (size + size % 2 for size in frames.shape[1:3])
    rate = Fraction(fps).limit_denominator(10_000)
    with av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": QUALITY})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            even = np.pad(frame, [(0, height - frame.shape[0]), (0, width - frame.shape[1]), (0, 0)], mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")))
        container.mux(stream.encode(None))


def write_gif(path: Path, frames: np.ndarray, fps: float) -> None:
    """A GIF with a palette of its own for every frame, shown over and over."""
    height, width = frames.shape[1:3]
    times = [round(i / fps / TICK) for i in range(len(frames) + 1)]
    with av.open(f"file:{path}", "w", format="gif") as container:
        stream = container.add_stream("gif", rate=100)
        stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
        for frame, (time, until) in zip(frames, pairwise(times), strict=True):
            shown = av.VideoFrame.from_ndarray(_in_256_colours(frame), format="pal8")
            shown.pts, shown.time_base = time, TICK
            for packet in stream.encode(shown):
                # Else the last frame, after which none comes, would be gone at once.
                packet.duration = until - time
                container.mux(packet)
        container.mux(stream.encode(None))


def _in_256_colours(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices `(H, W)` and the palette ARGB `(256, 4)`, both uint8, of a frame `(H, W, 3)`."""
    image = Image.fromarray(frame).quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
    colours = np.asarray(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    palette = np.full((256, 4), 255, dtype=np.uint8)
    palette[: len(colours), 1:] = colours
    return np.array(image), palette
