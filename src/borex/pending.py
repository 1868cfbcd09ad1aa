"""What a refiner has asked and is not told yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

ROUNDING = 1e-6  # of how many masks a coverage is computed at once may change its last bits


@dataclass(frozen=True)
class Pending:
    """Masks that wait for answers, in the order in which they were asked. `kind`: what for, "opening", "round" or
    "check"; `masks` `(n, *extent)`, the seen share of each cell `coverage` `(n, *grid)`, and which baseline hides in
    each, `fills` `(n,)`."""

    kind: str
    masks: Any
    coverage: np.ndarray
    fills: np.ndarray

    def __len__(self) -> int:
        return len(self.fills)

    def after(self, n: int) -> Pending:
        """What is left when the first `n` are told."""
        return Pending(self.kind, self.masks[n:], self.coverage[n:], self.fills[n:])

    def among(self, told: np.ndarray) -> np.ndarray:
        """Which of the masks that were told, by their coverage `(m, *grid)`, are these: bool `(m,)`, the first of these
        that is not told yet, then the next. Masks of the caller's own may lie between them."""
        found = np.zeros(len(told), dtype=bool)
        at = 0
        for number, coverage in enumerate(told):
            if at < len(self) and np.abs(self.coverage[at] - coverage).max() <= ROUNDING:
                found[number] = True
                at += 1
        return found
