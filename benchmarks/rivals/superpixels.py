"""LIME and Kernel SHAP of the library, which Captum runs, over superpixels (supervoxels of a clip)."""

from __future__ import annotations

import numpy as np

from borex.baselines import Baseline
from borex.evaluation.benchmark import Task

SEGMENTS = 50


def lime(task: Task, *, segments: int = SEGMENTS, baseline: Baseline = "mean") -> np.ndarray:
    """The weight of its segment at every pixel; `segments`: about how many, at any budget."""
    from borex.heatmaps import lime as made

    return made(
        task.model, task.media, task.target, n=task.budget, segments=segments, baseline=baseline, layout=task.layout,
        seed=task.seed,
    )[0]  # fmt: skip


def kernelshap(task: Task, *, segments: int = SEGMENTS, baseline: Baseline = "mean") -> np.ndarray:
    """The estimated Shapley value of its segment at every pixel; `segments` as in `lime`."""
    from borex.heatmaps import shap as made

    return made(
        task.model, task.media, task.target, n=task.budget, segments=segments, baseline=baseline, layout=task.layout,
        seed=task.seed,
    )[0]  # fmt: skip
