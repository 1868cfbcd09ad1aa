"""A heat map of a photo or clip, scored under any model: what `borex score` does."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.baselines import Baseline, baseline_of
from borex.errors import InputError, ModelError
from borex.evaluation import Scores, score
from borex.layout import checked_initial, is_alike, to_extent
from borex.models import as_model
from borex.scores import checked_scores
from borex.targets import Target, TargetLike, find_target

POINTING = 15 / 224  # of the shorter side: by how much the pointing game may miss


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

    `media`: `(*extent, C)`. `object_mask`: `(*extent,)`, in space of any size of the same shape; what is above half of
    its maximum is object. Pointing may miss it by 15 pixels of 224. The rest as in `borex.refine` and
    `borex.evaluation.score`, whose errors it raises.
    """
    box = as_model(model)
    extent = box.extent or media.shape[:-1]
    if len(extent) != media.ndim - 1:
        raise InputError(f"the media has extent {media.shape[:-1]}, but the model takes {extent}")
    given = checked_initial(saliency, media.shape[:-1])
    inside = None
    if object_mask is not None:
        if not is_alike(object_mask.shape, media.shape[:-1]):
            frames = "; as many frames as are read, see --frames" if media.ndim == 4 else ""
            raise InputError(
                f"the object mask has shape {object_mask.shape}, the media {media.shape[:-1]}; expected the same, or "
                f"one of another size and the same shape{frames}"
            )
        there = object_mask > object_mask.max() / 2
        inside = _at(there, extent) >= 0.5
        if there.any() and not inside.any():
            raise InputError(
                f"the object in the mask, {int(there.sum())} pixels of {there.shape}, is too small to be seen at the "
                f"model's extent {extent}"
            )
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
        tolerance=POINTING * min(extent[-2:]),
    )  # fmt: skip


def _at(values: np.ndarray, extent: tuple[int, ...]) -> np.ndarray:
    """A map at the extent that the model takes; in time it is picked where the frames are."""
    return to_extent(values.astype(np.float32)[..., None], extent)[..., 0]
