"""What a saved explanation is of: its media, its frames, its class."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from borex.errors import FileError, InputError
from borex.explanation import Excerpt, Explanation

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


def explained_by(path: Path, labels: Sequence[str] | None) -> Any:
    """The target of a saved explanation, as the classes' numbers; None for any other heat map. Raises InputError where
    the model, whose classes have these `labels`, calls one of them something else."""
    explanation = _explanation(path)
    if explanation is None:
        return None
    found = explanation.target
    if found.index is None:
        raise InputError(f"{path} explains the function {found.label!r}; say which class to score: --target CLASS")
    for index in (found.index, found.against):
        if index is None or not (labels and explanation.labels):
            continue
        was, now = _name(explanation.labels, index), _name(labels, index)
        if was != now:
            this = "this model has no such class" if now is None else f"this model calls it {now!r}"
            raise InputError(
                f"{path} explains class {index}, {was!r}, but {this}; say which class to score: --target CLASS"
            )
    return found.index if found.against is None else (found.index, found.against)


def _name(labels: Sequence[str], index: int) -> str | None:
    """What a model calls a class; None where it has no such class. A model of one output may name it alone: class 1."""
    labels = (f"not {labels[0]}", *labels) if len(labels) == 1 else labels
    return labels[index] if index < len(labels) else None


def check_same_media(path: Path, media: Path, shown: np.ndarray, read: Excerpt | None) -> None:
    """Raises InputError where a saved explanation is of another picture or clip than `media`, which was read as
    `shown`, or of other frames of it than those that were `read`."""
    if read is None:
        saved = saved_media(path)
        if saved is not None and saved.ndim == shown.ndim and not is_same(saved, shown):
            height, width = saved.shape[:2]
            which = f"one of {height} x {width} pixels (height x width), after which borex refine named its results"
            raise _other(path, "picture", media, which)
        return
    explanation = _explanation(path)
    made = None if explanation is None else explanation.excerpt
    if explanation is None or made is None:
        return
    if len(made.seconds) != len(read.seconds) or not np.allclose(made.seconds, read.seconds, atol=2e-3):
        ends = [
            f"{len(one.seconds)} frames from {one.seconds[0]:.2f} s to {one.seconds[-1]:.2f} s" for one in (made, read)
        ]
        raise InputError(
            f"{path} explains {ends[0]}, but {ends[1]} were read; give the same --start, --end, --frames and --stride"
        )
    saved = explanation.media
    # Of large clips the frames are shrunk here, and need not be in Python.
    if saved is not None and saved.shape == shown.shape and not is_same(saved, shown):
        raise _other(path, "clip", media, made.source)


def _other(path: Path, kind: str, media: Path, which: str) -> InputError:
    return InputError(
        f"{path} explains another {kind} than {media}: {which}. Give that one; or, to score the map on this one, save "
        f"the map alone: numpy.save('map.npy', borex.Explanation.load({str(path)!r}).saliency)"
    )


def _explanation(path: Path) -> Explanation | None:
    """A saved explanation; None for any other heat map."""
    if path.suffix != ".npz":
        return None
    if not zipfile.is_zipfile(path):
        raise FileError(
            f"{path} is no .npz archive, whatever its name says; expected what borex refine or numpy.savez writes. An "
            "array that numpy.save wrote is read under a name that ends in .npy"
        )
    with np.load(path, allow_pickle=False) as stored:
        if "json" not in stored.files:
            return None
    return Explanation.load(path)
