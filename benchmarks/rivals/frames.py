"""Refinement of each frame of a clip as an image, by what the model says of the clip with that frame masked."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.evaluation.benchmark import Task


def frame_by_frame(task: Task, **options: Any) -> np.ndarray:
    """Each frame's map of `borex.refine`, the other frames whole, from an equal share of the budget; `options` are
    those of `refine`. At least 20 evaluations a frame."""
    from borex import refine
    from borex.models import as_model

    clip, maps = task.media, []
    for t, frame in enumerate(clip):

        def scores(images: np.ndarray, t: int = t) -> np.ndarray:
            clips = np.repeat(clip[None], len(images), axis=0)
            clips[:, t] = images
            return np.asarray(task.model.scores(clips))

        one = as_model(scores, output=task.model.output, mean=task.model.mean)
        found = refine(
            one, frame, target=task.target, max_evals=task.budget // len(clip), layout="HWC", seed=task.seed, **options
        )
        maps.append(found.saliency)
    return np.stack(maps)
