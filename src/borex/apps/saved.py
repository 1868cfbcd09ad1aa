"""What a saved explanation is of."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

TOLERANCE = 2  # levels of 255, in the mean: by so much decoders may differ on one file; other pictures differ by more


def saved_media(path: Path) -> np.ndarray | None:
    """The media in a saved explanation; None for any other file, and where there is none in it."""
    if not zipfile.is_zipfile(path):
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return stored["media"] if {"json", "media"} <= set(stored.files) else None
    except Exception:  # noqa: BLE001  damaged archives fail in zip, zlib and NumPy alike; their readers say so
        return None


def is_same(saved: np.ndarray, read: np.ndarray) -> bool:
    """Whether the media in an explanation can be what was read of a file; of an array of the caller's own kind of
    values only the extent is compared."""
    if saved.shape[:-1] != read.shape[:-1]:
        return False
    if saved.dtype != read.dtype or saved.shape != read.shape:
        return True
    frames = (-1, *read.shape[-3:])  # one at a time: differences of all of them would take twice the media's memory
    pairs = zip(saved.reshape(frames), read.reshape(frames), strict=True)
    return all(np.abs(one.astype(np.int16) - other).mean() <= TOLERANCE for one, other in pairs)
