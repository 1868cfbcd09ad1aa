"""Every score of one heat map at once, for the price of three curves."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from borex.blackbox import Asker
from borex.evaluation.curves import (
    BlackBox,
    Curve,
    Target,
    curve,
    first_image,
    like_media,
    prepared,
    scores_of_ranks,
    target_scores,
)
from borex.evaluation.localisation import Localisation, localisation
from borex.scores import probabilities


@dataclass(frozen=True)
class Scores:
    """Every score of one heat map on one input.

    `insertion_blur`, `insertion_baseline`: curves from the blurred media and from the baseline (high is good);
    `deletion`: to the baseline (low is good). `localisation`: None where no object mask was given. `evals`: model
    inputs used.
    """

    insertion_blur: Curve
    insertion_baseline: Curve
    deletion: Curve
    localisation: Localisation | None
    evals: int

    @property
    def insertion_blur_minus_deletion(self) -> float:
        """AUC of the insertion from blur minus that of the deletion, in [-1, 1]; high is good."""
        return self.insertion_blur.auc - self.deletion.auc

    def as_dict(self) -> dict[str, float]:
        """The scores as one flat row of numbers, AUCs for curves; scores that do not apply are left out."""
        row = {
            "insertion_blur": self.insertion_blur.auc,
            "insertion_baseline": self.insertion_baseline.auc,
            "deletion": self.deletion.auc,
            "insertion_blur_minus_deletion": self.insertion_blur_minus_deletion,
        }
        if self.localisation is not None:
            found = {field.name: getattr(self.localisation, field.name) for field in fields(self.localisation)}
            row.update({name: float(value) for name, value in found.items() if value is not None})
        return row


def score(
    model: BlackBox,
    media: np.ndarray,
    saliency: np.ndarray,
    target: Target,
    *,
    baseline: np.ndarray | float,
    object_mask: np.ndarray | None = None,
    steps: int = 224,
    batch_size: int = 32,
    tolerance: float = 15,
) -> Scores:
    """All scores of the heat map `(*extent,)` of the media `(*extent, channels)`; `3 steps` evaluations.

    The curves are those of `insertion` and `deletion`, whose ends are asked once for all three; whether the model's
    scores are logits is found from all of them together. `object_mask`: bool `(*extent,)`, True = object; with it the
    localisation scores are there too. Arguments and errors as in `insertion` and `localisation`.
    """
    model, media, ranks, counts = prepared(model, media, saliency, target, steps)
    blank = like_media(media, baseline)
    found = None if object_mask is None else localisation(saliency, object_mask, tolerance)

    n = len(counts) - 1
    blurred = Asker(model, media, first_image(model, media, "blur"), batch_size)
    hidden = Asker(model, media, blank, batch_size)
    # The whole media is the last input of both insertions and the first of the deletion; the baseline alone is the
    # first of its insertion and the last of the deletion.
    nothing = np.zeros_like(counts)
    lower = np.concatenate([nothing[:-1], counts[1:-1]])
    upper = np.concatenate([counts[:-1], np.full(n - 1, ranks.size)])
    scores = [
        scores_of_ranks(blurred, ranks, nothing, counts, target),
        scores_of_ranks(hidden, ranks, lower, upper, target),
    ]
    values = target_scores(probabilities(np.concatenate(scores), model.output), target)
    from_blur, from_baseline, between = np.split(values, [n + 1, 2 * n + 1])
    whole, blank_score = from_blur[-1:], from_baseline[:1]
    return Scores(
        insertion_blur=curve(counts, from_blur),
        insertion_baseline=curve(counts, np.concatenate([from_baseline, whole])),
        deletion=curve(counts, np.concatenate([whole, between, blank_score])),
        localisation=found,
        evals=blurred.evals + hidden.evals,
    )
