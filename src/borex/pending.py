"""What a refiner has asked and is not told yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from borex.masks import CellMasks

ROUNDING = 1e-6  # of how many masks a coverage is computed at once may change its last bits


@dataclass(frozen=True)
class Pending:
    """Masks that wait for answers. `kind`: what for, "opening", "round" or "check"; `masks` `(n, *extent)`, the seen
    share of each cell `coverage` `(n, *grid)`, which baseline hides in each, `fills` `(n,)`, and the `places` `(n,)`
    that they had among the `n_asked` that were asked together."""

    kind: str
    masks: Any
    coverage: np.ndarray
    fills: np.ndarray
    places: np.ndarray
    n_asked: int

    @classmethod
    def of(cls, kind: str, masks: Any, coverage: np.ndarray, fills: np.ndarray) -> Pending:
        """Masks that were just asked."""
        return cls(kind, masks, coverage, fills, np.arange(len(fills)), len(fills))

    def __len__(self) -> int:
        return len(self.fills)

    def among(self, told: np.ndarray, fills: np.ndarray | None = None) -> np.ndarray:
        """Which of these the masks are that were told, by their coverage `(m, *grid)`: their places `(m,)`, -1 for none
        of them. They may come in any order, and masks of the caller's own between them. Of masks that are the same the
        first is taken, or the first that its baseline hides in, `fills` `(m,)`."""
        found = np.full(len(told), -1)
        left = list(range(len(self)))
        for number, coverage in enumerate(told):
            same = (at for at in left if np.abs(self.coverage[at] - coverage).max() <= ROUNDING)
            at = next(same, None)
            if at is not None and fills is not None and self.fills[at] != fills[number]:
                at = next((other for other in same if self.fills[other] == fills[number]), at)
            if at is not None:
                found[number] = self.places[at]
                left.remove(at)
        return found

    def without(self, places: np.ndarray) -> Pending:
        """What is left when these are told."""
        left = np.flatnonzero(~np.isin(self.places, places))
        masks = self.masks.take(left) if isinstance(self.masks, CellMasks) else self.masks[left]
        return Pending(self.kind, masks, self.coverage[left], self.fills[left], self.places[left], self.n_asked)
