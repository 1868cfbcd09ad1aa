"""The never-worse check: the initial and the refined map compared on the user's own input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from borex.explanation import Check
from borex.queries import top_share

SHARES = np.array([0.05, 0.15, 0.4])  # of the pixels, at which two maps are compared
N_CHECK = 2 * len(SHARES)  # evaluations of one map's side: kept and hidden


def tops(heat_map: np.ndarray) -> np.ndarray:
    """The top shares of a heat map `(*extent,)`, kept and then hidden: bool `(N_CHECK, *extent)`."""
    top = top_share(np.broadcast_to(heat_map, (len(SHARES), *heat_map.shape)), SHARES)
    return np.concatenate([top, ~top])


def _none_yet() -> np.ndarray:
    return np.full(N_CHECK, -1)


@dataclass(frozen=True)
class Sides:
    """Which evaluations answered the `tops` of the initial map and of the refined one: their numbers `(N_CHECK,)`, -1
    where there is no answer yet; of a record that was cut short fewer."""

    initial: np.ndarray = field(default_factory=_none_yet)
    refined: np.ndarray = field(default_factory=_none_yet)

    @property
    def told(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the answers that are there, of each side."""
        return self.initial[self.initial >= 0], self.refined[self.refined >= 0]

    @property
    def is_begun(self) -> bool:
        """Whether an answer to the refined map's side is there."""
        return len(self.told[1]) > 0

    @property
    def is_due(self) -> bool:
        """Whether the initial map's side is there and the refined map's is to be asked."""
        return len(self.told[0]) == N_CHECK and not self.is_begun

    def compared(self, values: Callable[[np.ndarray], np.ndarray]) -> Check | None:
        """The check, from the scores of evaluations by their numbers; None where there is none, or it was cut short."""
        initial, refined = self.told
        whole = 0 < len(initial) == len(refined) == N_CHECK
        return compared(values(initial), values(refined)) if whole else None


def compared(initial: np.ndarray, refined: np.ndarray) -> Check:
    """Which map is better, from the scores `(N_CHECK,)` under the `tops` of each."""
    half = len(SHARES)
    means = [float((scores[:half] - scores[half:]).mean()) for scores in (initial, refined)]
    chosen = "refined" if means[1] >= means[0] else "initial"
    return Check(tuple(map(float, SHARES)), means[0], means[1], chosen)
