"""A folder of pictures, read as the decoder reads a video: one picture a second."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from borex.errors import FileError
from borex.layout import resize_media
from borex.media.decoder import Shown
from borex.media.read import checksum, read_image, unreadable

PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class Folder:
    """The pictures of a folder in the order of the numbers in their names, other files left out; see `Decoder`."""

    rate, longest, failures, is_seekable = 1.0, 1.0, 0, True

    def __init__(self, path: Path, ground: str = "white") -> None:
        """`ground`: the colour on which transparency is laid. Raises FileError where there is no picture, or the folder
        cannot be read."""
        try:
            every = list(path.iterdir())
        except OSError as error:
            raise unreadable(path, error) from error
        found = [one for one in every if one.suffix.lower() in PICTURES and not one.name.startswith(".")]
        if not found:
            raise FileError(f"the folder {path} holds no picture; expected files that end in {', '.join(PICTURES)}")
        self._ground = ground
        self._paths = sorted(found, key=_order)
        self._last: tuple[Path | None, np.ndarray] = (None, np.empty(0))
        self.stated_end = float(len(found))

    def frames(self, start: float = 0.0) -> Iterator[Shown]:
        """The pictures, not yet read, from the one that is shown at `start` seconds on."""
        for i in range(int(start), len(self._paths)):
            yield Shown(float(i), self._paths[i], 1.0)

    def rgb(self, frame: Path, size: tuple[int, int] | None = None) -> np.ndarray:
        """A picture as uint8 `(H, W, 3)`; `size`: `(H, W)` of the result, None: its own."""
        if self._last[0] != frame:
            self._last = frame, read_image(frame, self._ground)
        return self._last[1] if size is None else resize_media(self._last[1], size)

    def size(self, frame: Path) -> tuple[int, int]:
        """`(H, W)` of a picture."""
        height, width = self.rgb(frame).shape[:2]
        return height, width


def checksum_of(path: Path) -> int:
    """The CRC-32 of a file, or of the pictures of a folder one after the other; raises OSError where one cannot be
    read."""
    return checksum([shown.frame for shown in Folder(path).frames()] if path.is_dir() else [path])


def _order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sorts 2 before 10."""
    parts = re.findall(r"\d+|\D+", path.stem.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name
