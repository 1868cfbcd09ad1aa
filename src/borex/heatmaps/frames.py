"""Heat maps of images as one of a clip: made frame by frame, and stacked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from borex.errors import InputError
from borex.settings import is_whole


def per_frame(make: Callable[[np.ndarray], Any], clip: np.ndarray, *, frames: int | None = None) -> np.ndarray:
    """A heat map `(T, h, w)` of a clip `(T, H, W, channels)`: `make(frame)` `(h, w)` for each of its frames.

    `make`: any heat map of an image, such as `lambda frame: gradcam(image_net, frame, 281)`. `frames`: only so many are
    asked about, in the middles of equal parts of the clip, `(frames, h, w)`; `refine` brings that to the clip's length.
    What a map of single frames cannot know is what changes between them: a place to start from.

    Raises InputError where the clip is none, or the maps are no images of one size.
    """
    from borex.layout import middles

    clip = np.asarray(clip)
    if clip.ndim != 4 or 0 in clip.shape:
        raise InputError(f"the clip has shape {clip.shape}; expected (T, H, W, channels), nothing empty")
    n = len(clip) if frames is None else frames
    if not is_whole(n, 1):
        raise InputError(f"frames is {frames!r}; expected a whole number, at least 1")
    maps: list[np.ndarray] = []
    for at in middles(len(clip), int(n)).tolist():
        made = make(clip[at])
        values = np.asarray(made.detach().cpu() if hasattr(made, "detach") else made)
        if values.ndim != 2 or (maps and values.shape != maps[0].shape):
            before = f" and {maps[0].shape} before" if maps else ""
            raise InputError(f"the map of frame {at} has shape {values.shape}{before}; expected (h, w), all alike")
        maps.append(values)
    return np.stack(maps)
