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
    """A `shap.Explanation` of one image or clip; `shap.image_plot(to_shap(explanation))` shows that of an image, of
    clips shap has no plot.

    `.values` `(1, *extent, channels, 1)`: the heat map, divided evenly over the channels, so that their sum is the map
    (and `borex.refine` takes it back as it was). `.data`: the media. `.base_values`: the score with everything hidden;
    NaN where that was not asked, or the target was a function, which a file does not keep.
    They are saliencies, not Shapley values: they do not sum to the score minus the base value.
    """
    if explanation.media is None:
        raise InputError("this explanation came from a Refiner and holds no media; use explanation.at(media, None)")
    media = explanation.media
    coverage = explanation.record.coverage
    hidden = coverage.reshape(len(coverage), -1).max(axis=1) <= 0
    target, base = explanation.target, float("nan")
    if hidden.any() and (target.index is not None or target.function is not None):
        base = float(target.value(explanation.record.scores[hidden], explanation.record.settings.output)[0])
    values = np.repeat(explanation.saliency[..., None] / media.shape[-1], media.shape[-1], axis=-1)
    return shap.Explanation(
        values=values[None, ..., None],
        base_values=np.array([base]),
        data=media[None],
        output_names=[explanation.target.label],
    )
