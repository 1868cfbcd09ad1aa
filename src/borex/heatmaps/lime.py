"""LIME (Ribeiro, Singh, Guestrin 2016, arXiv 1602.04938): a ridge regression on random unions of segments."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.baselines import Baseline
from borex.blackbox import Output
from borex.heatmaps.asked import Asked, Question, alone
from borex.heatmaps.superpixels import SegmentMasks
from borex.heatmaps.surrogates import fitted, segmented
from borex.targets import Target, TargetLike

WIDTH = 0.25  # of the kernel over cosine distances to the whole, as in the package lime for images
RIDGE = 1.0  # its penalty there


def lime(
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
    """LIME's map, its masks and their scores, from `n` inputs of any black box: the weight of each segment for the
    probability of the class, signed.

    `model`, `media`, `target`, `baseline`, `batch_size`, `layout`, `output`, `seed`: as in `borex.refine`, but one
    baseline, no tuple of several. `segments`: labels `(*extent,)` at the model's extent, about how many superpixels (of
    a clip: supervoxels) SLIC should make, or None: half as many as questions, from 8 to 64.

    The regression, its kernel and its penalty are those of the package `lime`; run by Captum.
    """
    return alone(
        lambda question: lime_map(question, segments), model, media, target, n, baseline, batch_size, layout, output,
        seed,
    )  # fmt: skip


def lime_map(
    question: Question, segments: np.ndarray | int | None = None
) -> tuple[np.ndarray, SegmentMasks, np.ndarray]:
    """The map `(*extent,)`, the masks and the scores `(n, classes)`, from `question.n` inputs at most."""

    def explainer(attr: Any, forward: Any) -> Any:
        from captum._utils.models.linear_model import SkLearnRidge
        from captum.attr._core.lime import get_exp_kernel_similarity_function

        return attr.Lime(
            forward,
            interpretable_model=SkLearnRidge(alpha=RIDGE),
            similarity_func=get_exp_kernel_similarity_function("cosine", kernel_width=WIDTH),
        )

    return fitted(question, segmented(question, segments), question.n, explainer)
