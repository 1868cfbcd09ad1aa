"""Kernel SHAP (Lundberg & Lee 2017, arXiv 1705.07874): Shapley values of segments by a weighted regression."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.baselines import Baseline
from borex.blackbox import Output
from borex.heatmaps.asked import Asked, Question, alone
from borex.heatmaps.superpixels import SegmentMasks
from borex.heatmaps.surrogates import fitted, segmented
from borex.targets import Target, TargetLike


def shap(
    model: Any,
    media: Any,
    target: TargetLike | Target = None,
    *,
    n: int = 1000,
    segments: np.ndarray | int | None = None,
    baseline: Baseline = "blur",
    batch_size: int = 32,
    layout: str = "auto",
    output: Output = "auto",
    seed: int = 0,
) -> Asked:
    """Kernel SHAP's map, its masks and their scores, from `n` inputs of any black box: the estimated Shapley value of
    each segment for the probability of the class, signed; they sum to the probability of the media minus that of the
    baseline.

    The arguments are those of `borex.heatmaps.lime`. Run by Captum.
    """
    return alone(
        lambda question: shap_map(question, segments), model, media, target, n, baseline, batch_size, layout, output,
        seed,
    )  # fmt: skip


def shap_map(
    question: Question, segments: np.ndarray | int | None = None
) -> tuple[np.ndarray, SegmentMasks, np.ndarray]:
    """The map `(*extent,)`, the masks and the scores `(n, classes)`, from `question.n` inputs at most."""
    # The first two samples are the ends, which are known already.
    return fitted(
        question, segmented(question, segments), question.n + 2, lambda attr, forward: attr.KernelShap(forward)
    )
