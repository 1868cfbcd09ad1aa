"""Initial maps made here; any other heat map is an array, and what other libraries return is one too (`accepted`).

The white-box maps look inside a `torch.nn.Module`: `gradcam`, `gradcam_plus_plus`, `lrp`. The black-box maps ask for
scores alone: `lime`, `shap`, `rise`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from borex.heatmaps import surrogates
from borex.heatmaps.accept import accepted
from borex.heatmaps.asked import Asked, Question
from borex.heatmaps.cam import gradcam, gradcam_plus_plus
from borex.heatmaps.frames import per_frame
from borex.heatmaps.lime import lime, lime_map
from borex.heatmaps.lrp import lrp
from borex.heatmaps.rise import rise, rise_map
from borex.heatmaps.shap import shap, shap_map

__all__ = [
    "BLACK_BOX",
    "NAMES",
    "WHITE_BOX",
    "Asked",
    "accepted",
    "check_extras",
    "gradcam",
    "gradcam_plus_plus",
    "lime",
    "lrp",
    "per_frame",
    "rise",
    "shap",
]

WHITE_BOX: dict[str, Callable[..., np.ndarray]] = {
    "gradcam": gradcam, "gradcam++": gradcam_plus_plus, "lrp": lrp,
}  # fmt: skip
BLACK_BOX: dict[str, Callable[[Question], tuple[np.ndarray, Any, np.ndarray]]] = {
    "lime": lime_map, "shap": shap_map, "rise": rise_map,
}  # fmt: skip
NAMES = (*WHITE_BOX, *BLACK_BOX)


def check_extras(name: str) -> None:
    """Raises MissingExtraError where a package that the black-box map needs is not installed, before it costs any."""
    if name != "rise":
        surrogates.check_extras()
