"""Grad-CAM, Grad-CAM++ and LRP of the library, inside the networks that `zoo.network` has: one pass, not counted."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

import zoo
from borex.blackbox import Model
from borex.evaluation.benchmark import Task


def gradcam(task: Task) -> np.ndarray:
    from borex.heatmaps import gradcam as made

    return made(_network(task.model_name), task.media, task.target, layout=task.layout)


def gradcam_plus_plus(task: Task) -> np.ndarray:
    from borex.heatmaps import gradcam_plus_plus as made

    return made(_network(task.model_name), task.media, task.target, layout=task.layout)


def lrp(task: Task, *, blur: float = 0.0) -> np.ndarray:
    """`blur`: standard deviation, in pixels, of the Gaussian that smooths the map: 4 gives it its best scores."""
    from scipy.ndimage import gaussian_filter

    from borex.heatmaps import lrp as made

    heat_map = made(_network(task.model_name), task.media, task.target, layout=task.layout)
    return gaussian_filter(heat_map, blur) if blur else heat_map


@lru_cache(maxsize=1)
def _network(name: str) -> Model:
    return zoo.inside(name)
