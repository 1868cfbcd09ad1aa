"""A method's map averaged over cells or over superpixels: what the outlines of a map's pieces do to its scores.

Insertion and deletion show the model the very outlines of the map's most salient part, and a network answers to
outlines. Maps whose pieces have the same shape differ by what the methods know alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from borex.evaluation.benchmark import Task
from borex.evaluation.benchmark.methods import run_method
from borex.heatmaps.superpixels import segments
from borex.masks import cell_means, spread

FOLDER = Path(__file__).parents[1]


def in_cells(task: Task, *, of: dict[str, Any], cells: int = 14) -> np.ndarray:
    """The map of the method `of` (its `run` and options) averaged over `cells` x `cells` cells of an image."""
    return spread(cell_means(_made(task, of)[None], (cells, cells)), task.extent)[0]


def in_superpixels(task: Task, *, of: dict[str, Any], superpixels: int = 50) -> np.ndarray:
    """The same averaged over about so many SLIC superpixels, which are those of `rivals.superpixels` at 50."""
    labels, made = segments(task.media, superpixels), _made(task, of)
    sizes = np.bincount(labels.ravel())
    return np.asarray((np.bincount(labels.ravel(), weights=made.ravel()) / sizes)[labels])


def _made(task: Task, of: dict[str, Any]) -> np.ndarray:
    options = {name: value for name, value in of.items() if name != "run"}
    return run_method(of["run"], task, FOLDER, options).saliency
