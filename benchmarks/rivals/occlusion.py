"""Sliding occlusion (Zeiler & Fergus 2014): what the score loses when a window is hidden."""

from __future__ import annotations

from itertools import product

import numpy as np

from borex.baselines import Baseline
from borex.evaluation.benchmark import Task


def occlusion(task: Task, *, window: float = 2.0, time_steps: int = 4, baseline: Baseline = "mean") -> np.ndarray:
    """The mean over the windows that cover a pixel of (score of the whole media - score with the window hidden).

    As many positions as the budget allows, equally many on both axes of space and `time_steps` of a clip's time; one
    evaluation is the whole media. `window`: its side in strides.
    """
    room = task.budget - 1
    in_time = (min(time_steps, room),) * (len(task.extent) - 2)
    a_side = int(np.sqrt(room // int(np.prod(in_time, dtype=int))) + 1e-9)
    counts = (*in_time, a_side, a_side)
    places = []
    for at in product(*(range(count) for count in counts)):
        place = []
        for i, count, size in zip(at, counts, task.extent, strict=True):
            stride = size / count
            centre, half = (i + 0.5) * stride, window * stride / 2
            place.append(slice(max(0, round(centre - half)), max(1, round(centre + half))))
        places.append(tuple(place))
    masks = np.ones((1 + len(places), *task.extent), dtype=bool)
    for mask, place in zip(masks[1:], places, strict=True):
        mask[place] = False
    scores = task.scores(masks, baseline)
    total, covered = np.zeros(task.extent), np.zeros(task.extent)
    for place, hidden in zip(places, scores[1:], strict=True):
        total[place] += scores[0] - hidden
        covered[place] += 1
    return total / np.maximum(covered, 1)
