"""Refined heat maps as explanations of shap, for its plots."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.errors import InputError, MissingExtraError
from borex.explanation import Explanation

try:
    import shap
except ImportError as error:
    raise MissingExtraError("borex.interop.shap", "shap", "interop") from error


def to_shap(explanation: Explanation) -> Any:
    """A `shap.Explanation` of one image or clip: `shap.image_plot(to_shap(explanation))` shows it.

    `.values` `(1, *extent, channels, 1)`: the heat map, divided evenly over the channels, so that their sum is the map
    (and `borex.refine` takes it back as it was). `.data`: the media. `.base_values`: the score with everything hidden.
    They are saliencies, not Shapley values: they do not sum to the score minus the base value.
    """
    if explanation.media is None:
        raise InputError("this explanation came from a Refiner and holds no media; use explanation.at(media, None)")
    media = explanation.media
    coverage = explanation.record.coverage
    hidden = coverage.reshape(len(coverage), -1).max(axis=1) <= 0
    output = explanation.record.settings.output
    scores = explanation.target.value(explanation.record.scores[hidden], output) if hidden.any() else np.full(1, np.nan)
    values = np.repeat(explanation.saliency[..., None] / media.shape[-1], media.shape[-1], axis=-1)
    return shap.Explanation(
        values=values[None, ..., None],
        base_values=np.array([scores[0]]),
        data=media[None],
        output_names=[explanation.target.label],
    )
