"""The never-worse check: the initial and the refined map compared on the user's own input."""

from __future__ import annotations

import numpy as np

from borex.explanation import Check
from borex.queries import top_share

SHARES = np.array([0.05, 0.15, 0.4])  # of the pixels, at which two maps are compared
N_CHECK = 2 * len(SHARES)  # evaluations of one map's side: kept and hidden


def tops(heat_map: np.ndarray) -> np.ndarray:
    """The top shares of a heat map `(*extent,)`, kept and then hidden: bool `(N_CHECK, *extent)`."""
    top = top_share(np.broadcast_to(heat_map, (len(SHARES), *heat_map.shape)), SHARES)
    return np.concatenate([top, ~top])


def compared(initial: np.ndarray, refined: np.ndarray) -> Check:
    """Which map is better, from the scores `(N_CHECK,)` under the `tops` of each."""
    half = len(SHARES)
    means = [float((scores[:half] - scores[half:]).mean()) for scores in (initial, refined)]
    chosen = "refined" if means[1] >= means[0] else "initial"
    return Check(tuple(map(float, SHARES)), means[0], means[1], chosen)
