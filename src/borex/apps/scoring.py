"""A heat map of a photo, scored under any model: what `borex score` does."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.baselines import Baseline, baseline_of
from borex.blackbox import checked_scores
from borex.errors import InputError, ModelError
from borex.evaluation import Scores, score
from borex.layout import checked_initial, resize, resize_media
from borex.models import as_model
from borex.targets import Target, TargetLike, find_target


def score_photo(
    model: Any,
    photo: np.ndarray,
    saliency: np.ndarray,
    target: TargetLike | Target = None,
    object_mask: np.ndarray | None = None,
    baseline: Baseline = "mean",
    steps: int = 224,
    batch_size: int = 32,
) -> tuple[Target, Scores]:
    """The target and every score of a heat map of any resolution, at the size that the model works at.

    `photo`: `(H, W, C)`. `object_mask`: `(H, W)` of the photo; what is above half of its maximum is object. The rest as
    in `borex.refine` and `borex.evaluation.score`, whose errors it raises.
    """
    box = as_model(model)
    extent = box.extent or photo.shape[:-1]
    given = checked_initial(saliency, photo.shape[:-1])
    inside = None
    if object_mask is not None:
        if object_mask.shape != photo.shape[:-1]:
            raise InputError(
                f"the object mask has shape {object_mask.shape}, the photo {photo.shape[:-1]}; expected the same"
            )
        inside = resize((object_mask > object_mask.max() / 2).astype(np.float32), extent) >= 0.5
    working = resize_media(photo, extent)
    blank = baseline_of(baseline, working, box.mean)
    try:
        answer = box(working[None])
    except InputError:
        raise
    except Exception as error:
        raise ModelError(f"the model failed on the photo: {type(error).__name__}: {error}") from error
    found = find_target(target, checked_scores(answer, 1), box.labels, box.output)

    def scored(chances: np.ndarray) -> np.ndarray:
        return found.value(chances, "probabilities")

    return found, score(
        box, working, resize(given, extent), scored,
        baseline=blank, object_mask=inside, steps=steps, batch_size=batch_size,
    )  # fmt: skip
