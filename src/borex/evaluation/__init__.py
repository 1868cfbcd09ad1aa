"""How good a heat map is: insertion and deletion, localisation against object masks, and paired statistics."""

from borex.evaluation.curves import Curve, deletion, insertion, rise_blur
from borex.evaluation.localisation import (
    Localisation,
    average_precision,
    best_f1,
    localisation,
    mean_f1,
    pointing_game,
    precision_recall,
    published_product,
    time_average_precision,
    time_pointing_game,
    time_profile,
)
from borex.evaluation.metrics import Scores, score
from borex.evaluation.statistics import Comparison, compare

__all__ = [
    "Comparison",
    "Curve",
    "Localisation",
    "Scores",
    "average_precision",
    "best_f1",
    "compare",
    "deletion",
    "insertion",
    "localisation",
    "mean_f1",
    "pointing_game",
    "precision_recall",
    "published_product",
    "rise_blur",
    "score",
    "time_average_precision",
    "time_pointing_game",
    "time_profile",
]
