"""A heat map of a photo or clip, scored under any model: what `borex score` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from borex.baselines import Baseline, baseline_of
from borex.blackbox import checked_scores
from borex.errors import InputError, ModelError
from borex.evaluation import Scores, score
from borex.layout import checked_initial, to_extent
from borex.media.load import is_clip
from borex.media.read import read_map
from borex.media.video import read_clip
from borex.models import as_model
from borex.targets import Target, TargetLike, find_target


def score_media(
    model: Any,
    media: np.ndarray,
    saliency: np.ndarray,
    target: TargetLike | Target = None,
    object_mask: np.ndarray | None = None,
    baseline: Baseline = "mean",
    steps: int = 224,
    batch_size: int = 32,
) -> tuple[Target, Scores]:
    """The target and every score of a heat map of any resolution, at the size that the model works at.

    `media`: `(*extent, C)`. `object_mask`: `(*extent,)`; what is above half of its maximum is object. The rest as in
    `borex.refine` and `borex.evaluation.score`, whose errors it raises.
    """
    box = as_model(model)
    extent = box.extent or media.shape[:-1]
    if len(extent) != media.ndim - 1:
        raise InputError(f"the media has extent {media.shape[:-1]}, but the model takes {extent}")
    given = checked_initial(saliency, media.shape[:-1])
    inside = None
    if object_mask is not None:
        if object_mask.shape != media.shape[:-1]:
            raise InputError(
                f"the object mask has shape {object_mask.shape}, the media {media.shape[:-1]}; expected the same"
            )
        inside = _at(object_mask > object_mask.max() / 2, extent) >= 0.5
    working = to_extent(media, extent)
    blank = baseline_of(baseline, working, box.mean)
    try:
        answer = box(working[None])
    except InputError:
        raise
    except Exception as error:
        raise ModelError(f"the model failed on the media: {type(error).__name__}: {error}") from error
    found = find_target(target, checked_scores(answer, 1), box.labels, box.output)

    def scored(chances: np.ndarray) -> np.ndarray:
        return found.value(chances, "probabilities")

    return found, score(
        box, working, _at(given, extent), scored,
        baseline=blank, object_mask=inside, steps=steps, batch_size=batch_size,
    )  # fmt: skip


def _at(values: np.ndarray, extent: tuple[int, ...]) -> np.ndarray:
    """A map at the extent that the model takes; in time it is picked where the frames are."""
    return to_extent(values.astype(np.float32)[..., None], extent)[..., 0]


def read_mask(path: Path) -> np.ndarray:
    """An object mask `(*extent,)`: a picture, an array or an .npz (`read_map`), or of a clip a folder or video of
    pictures, of which white is the object."""
    if is_clip(path):
        return np.asarray(read_clip(path).frames.mean(axis=-1))
    return read_map(path)
