"""Object masks: files to arrays, the masks of a clip to those of the frames that were read of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from borex.errors import InputError
from borex.layout import is_alike
from borex.media.folder import Folder
from borex.media.load import Part, is_clip, read_given, read_media
from borex.media.read import read_map
from borex.media.video import Clip, read_clip

MASK_KEYS = ("masks", "mask")  # where an .npz of several arrays keeps its masks


def read_mask(path: Path, part: Part, extent: tuple[int, ...] | None, media: np.ndarray | Clip) -> np.ndarray:
    """An object mask `(*extent,)` of the media, of its own size in space: a picture in grey, an array or an .npz
    (`read_map`), or of a clip a folder or video of pictures, of which white is the object. What is transparent in a
    picture is none.

    Of a clip there is a mask for each frame of its file, of which those of the frames that were read are taken, or one
    for each frame that was read; of a video like the clip the same `part` is read as of the `media`. Raises FileError,
    and InputError for another number of masks.
    """
    if path.is_dir() and isinstance(media, Clip):
        return _of_folder(path, media)
    if is_clip(path):
        return _of_video(path, part, extent, media)
    values = read_map(path, MASK_KEYS, "mask")
    return values[_places(path, len(values), media)] if isinstance(media, Clip) and values.ndim == 3 else values


def _of_video(path: Path, part: Part, extent: tuple[int, ...] | None, media: np.ndarray | Clip) -> np.ndarray:
    if isinstance(media, Clip):
        n = len(read_clip(path, size=(8, 8)).seconds)
        places = _places(path, n, media)
        if n == len(media.seconds):  # those of the frames that were read: no part of them, but all
            film = read_media(read_given(path, extent, Part(frames=n, stride=1)))[0]
            return np.asarray(film[places].mean(axis=-1))
    return np.asarray(read_media(read_given(path, extent, part))[0].mean(axis=-1))


def _places(path: Path, n: int, clip: Clip) -> list[int]:
    """Which of `n` masks stand for the frames of a clip. Masks know no times, so they are told by their numbers."""
    every = read_clip(clip.source, size=(8, 8)).seconds
    if n == len(every):
        return [int(np.abs(every - time).argmin()) for time in clip.seconds]
    if n != len(clip.seconds):
        raise InputError(
            f"{path} holds {n} masks, but {clip.source} has {len(every)} frames, of which {len(clip.seconds)} are "
            "read; expected a mask for each of them"
        )
    return list(range(n))


def _of_folder(path: Path, clip: Clip) -> np.ndarray:
    """The pictures of a folder that stand for the frames of a clip, float32 `(T, H, W)`."""
    folder = Folder(path, ground="black")
    every = [shown.frame for shown in folder.frames()]
    pictures = [every[place] for place in _places(path, len(every), clip)]
    sizes = {folder.size(picture) for picture in pictures}
    if len(sizes) > 1:
        raise InputError(f"the masks in {path} have the sizes {sorted(sizes)}; expected one size")
    (size,), shown = sizes, clip.frames.shape[1:3]
    smaller = (shown[0], shown[1]) if is_alike(size, shown) else None  # else the shape is the error to report
    return np.stack([folder.rgb(picture, smaller).mean(axis=-1, dtype=np.float32) for picture in pictures])
