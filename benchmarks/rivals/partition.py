"""The Partition explainer of `shap` with its blur masker: Owen values over a tree, split where effects are large."""

from __future__ import annotations

import numpy as np

from borex.baselines import Baseline
from borex.evaluation.benchmark import Task
from borex.targets import Target

BLURS = {"blur": "blur(51,51)", "soft": "blur(21,21)"}


def partition(task: Task, *, baseline: Baseline = "blur") -> np.ndarray:
    """SHAP values of the pixels of an image, summed over channels; `max_evals` is the budget (made even: it asks in
    pairs). `baseline`: "blur" and "soft" are shap's own masker, a box of 51 or 21 pixels."""
    import shap

    target = Target(task.target, "")

    def scores(batch: np.ndarray) -> np.ndarray:
        answers = np.asarray(task.model(np.asarray(batch).astype(task.media.dtype)))
        return target.value(answers, task.model.output)

    named = isinstance(baseline, str) and baseline in BLURS
    value = BLURS[str(baseline)] if named else task.baseline(baseline).astype(np.float64)
    explainer = shap.PartitionExplainer(scores, shap.maskers.Image(value, task.media.shape))
    state = np.random.get_state()  # noqa: NPY002  shap breaks ties by NumPy's global generator
    np.random.seed(task.seed)  # noqa: NPY002
    try:
        found = explainer(task.media[None], max_evals=task.budget // 2 * 2, batch_size=10, silent=True)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return np.asarray(found.values[0]).reshape(task.media.shape).sum(axis=-1)
