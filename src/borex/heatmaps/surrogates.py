"""Linear models of a black box over segments: what LIME and Kernel SHAP share, run by Captum."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from borex.errors import InputError
from borex.heatmaps.asked import Question
from borex.heatmaps.superpixels import SegmentMasks, compact, segments
from borex.heatmaps.whitebox import needs

LEAST_SEGMENTS, MOST_SEGMENTS = 8, 64
BATCH = 32  # masks that Captum gathers before it asks; the model's own batches are cut from them


def segmented(question: Question, labels: np.ndarray | int | None) -> np.ndarray:
    """Labels `(*extent,)` of the segments: those given, about as many as asked for, or, for None, one for every two
    questions that may be asked, from 8 to 64."""
    extent = question.media.shape[:-1]
    if labels is None:
        labels = int(np.clip(question.n // 2, LEAST_SEGMENTS, MOST_SEGMENTS))
    if isinstance(labels, (int, np.integer)):
        if labels < 2:
            raise InputError(f"segments is {labels}; expected at least 2, or an array of labels {extent}")
        return segments(question.media, int(labels))
    if np.shape(labels) != extent:
        raise InputError(f"segments has shape {np.shape(labels)}; expected {extent}, what the model sees")
    return compact(labels)


def fitted(
    question: Question, labels: np.ndarray, n: int, make: Callable[[Any, Callable[[Any], Any]], Any]
) -> tuple[np.ndarray, SegmentMasks, np.ndarray]:
    """The coefficient of each segment spread over it `(*extent,)`, the masks that were asked, and their scores.

    `make(attr, forward)`: the explainer of Captum, from its module `captum.attr` and the function to explain. Captum
    sees vectors of segments, 1 = kept; pixels are composed where the model is asked. It draws from torch's global
    state, which is set from the seed meanwhile and put back.
    """
    torch, attr = needs("a heat map by LIME or SHAP", "captum", _captum)
    asked: list[tuple[np.ndarray, np.ndarray]] = []
    count = int(labels.max()) + 1

    def forward(vectors: Any) -> Any:
        kept = vectors.numpy() > 0.5
        scores = np.empty((len(kept), question.ends.shape[1]))
        known = [kept.all(axis=1), ~kept.any(axis=1)]
        for end, rows in zip(question.ends, known, strict=True):
            scores[rows] = end
        new = ~(known[0] | known[1])
        if new.any():
            scores[new] = question.ask(SegmentMasks(kept[new], labels))
            asked.append((kept[new], scores[new]))
        return torch.from_numpy(question.value(scores))

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(question.seed)
        coefficients = make(attr, forward).attribute(
            torch.ones(1, count), feature_mask=torch.arange(count)[None], n_samples=n, perturbations_per_eval=BATCH
        )
    if not asked:
        raise InputError("no mask was asked for; give a larger budget")
    kept = SegmentMasks(np.concatenate([k for k, _ in asked]), labels)
    heat_map = coefficients.numpy()[0].astype(np.float64)[labels]
    return heat_map, kept, np.concatenate([s for _, s in asked])


def check_extras() -> None:
    """Raises MissingExtraError where a package that LIME and SHAP need is not installed."""
    needs("a heat map by LIME or SHAP", "captum", _captum)
    needs("a heat map by LIME or SHAP", "scikit-image", lambda: importlib.import_module("skimage.segmentation"))
    needs("a heat map by LIME or SHAP", "scikit-learn", lambda: importlib.import_module("sklearn.linear_model"))


def _captum() -> tuple[Any, Any]:
    import torch
    from captum import attr

    return torch, attr
