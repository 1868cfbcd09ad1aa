"""The two methods as the loop sees them: which masks next, here are the answers, what is the map."""

from __future__ import annotations

from copy import copy
from typing import Any, Protocol

import numpy as np

from borex.answers import Answers
from borex.evidence import FIRST_STAGE, last_stage
from borex.field import Field
from borex.masks import CellMasks, cell_means, spread
from borex.neighbours import Neighbours, averaged, profile_std
from borex.observations import least_difference
from borex.published import Published
from borex.queries import SobolBoxes, spread_shares, top_share
from borex.settings import Settings

ROUND = 20  # masks at least: half of them kept, the other half the same hidden
GROWTH = 0.1  # a round is this share of the answers so far, where that is more: the later, the less one round tells
BOX_SHARE = 0.3  # of the budget goes to Sobol boxes before the Thompson masks


class Strategy(Protocol):
    """What the loop needs of a method. Masks have the extent.

    `asked`: the numbers of these evaluations `(n,)` and the places of their masks in the last `ask`, of which they
    answer all or a part; None for other masks.
    `used`: the numbers of the answers that are data, of all that a record has; `points`: what `points` gave.
    """

    @property
    def flat(self) -> bool: ...

    def ask(self, room: int) -> Any: ...

    def tell(self, answers: Answers, asked: tuple[np.ndarray, np.ndarray] | None) -> None: ...

    def note(self) -> dict[str, float] | None: ...

    def posterior(self) -> tuple[np.ndarray, np.ndarray]: ...

    def profile_std(self) -> np.ndarray: ...

    def trust(self) -> tuple[float, float] | None: ...

    def points(self) -> np.ndarray: ...

    def replay(self, answers: Answers, used: np.ndarray, points: np.ndarray) -> None: ...


class FieldStrategy:
    """`method="field"`: Sobol boxes first, then Thompson masks, each kept and hidden."""

    def __init__(
        self,
        settings: Settings,
        initial: np.ndarray | None,
        change: np.ndarray | None,
        appearance: np.ndarray | None,
        rng: np.random.Generator,
    ) -> None:
        self._settings, self._rng = settings, rng
        h = None if initial is None else cell_means(initial[None], settings.grid)[0]
        self.field = Field(
            settings.grid, settings.extent, h, n_baselines=settings.n_baselines, change=change, appearance=appearance
        )
        self._neighbours = Neighbours(settings.grid, appearance)
        self._boxes: SobolBoxes | None = None
        self._fitted_at = 0
        self._final: Field | None = None
        self._last: np.ndarray | None = None

    @property
    def flat(self) -> bool:
        return len(self.field) >= ROUND and self.field.flat

    def ask(self, room: int) -> Any:
        n = min(self._round(), room)
        if n == 0:
            return np.empty((0, *self._settings.extent), dtype=bool)
        half, before = (n + 1) // 2, self._rng.bit_generator.state
        try:
            kept = self._box_cells(half) if self._wants_boxes() else self._thompson_cells(half)
        except BaseException:
            self._rng.bit_generator.state = before  # a run that is stopped here goes on as if it had not been
            raise
        return CellMasks(np.concatenate([kept, ~kept])[:n], self._settings.extent)

    def _round(self) -> int:
        return max(ROUND, 2 * int(GROWTH * len(self.field) / 2))

    def _wants_boxes(self) -> bool:
        return len(self.field) < max(ROUND, BOX_SHARE * self._settings.max_evals) or self.field.flat

    def _box_cells(self, n: int) -> np.ndarray:
        if self._boxes is None:
            self._boxes = SobolBoxes(self._settings.grid, self._settings.extent, self._rng)
        return self._boxes.draw(n)

    def _thompson_cells(self, n: int) -> np.ndarray:
        self._fit()
        return top_share(self.field.samples(n, self._rng), spread_shares(n, self._rng))

    def tell(self, answers: Answers, asked: tuple[np.ndarray, np.ndarray] | None) -> None:
        self._observe(answers)

    def _fit(self) -> None:
        stage = last_stage(len(self.field))
        if stage > self._fitted_at:
            self.field.fit(stage)
            self._fitted_at = stage

    def note(self) -> dict[str, float] | None:
        if len(self.field) < FIRST_STAGE or self.field.flat:
            return None
        self._fit()
        mean = self.field.mean().ravel()
        ranks = np.argsort(np.argsort(mean)).astype(np.float64)
        # One cell is in order at once.
        same = 1.0 if len(ranks) == 1 else 0.0 if self._last is None else float(np.corrcoef(ranks, self._last)[0, 1])
        change = 1.0 - same
        self._last = ranks
        return {"change": change}

    def posterior(self) -> tuple[np.ndarray, np.ndarray]:
        extent = self._settings.extent
        if self.field.flat or len(self.field) < 2:
            return np.zeros(extent, np.float32), np.zeros(extent, np.float32)
        # Single precision before it is spread: the maps of a large photo are large.
        found = averaged(self._fitted(), self._neighbours)
        mean, std = (spread(values.astype(np.float32)[None], extent)[0] for values in found)
        return mean, std

    def profile_std(self) -> np.ndarray:
        """Standard deviation `(*extent[:-2],)` of the map's mean over the last two axes, which are space."""
        extent = self._settings.extent
        if self.field.flat or len(self.field) < 2:
            return np.zeros(extent[:-2], np.float32)
        std = profile_std(self._fitted(), self._neighbours, extent).astype(np.float32)
        return spread(std[None], extent[:-2])[0]

    def trust(self) -> tuple[float, float] | None:
        return None if self.field.flat or len(self.field) < 2 else self._fitted().trust()

    def _fitted(self) -> Field:
        """The field with hyperparameters that depend on the answers alone: a copy, so that looking changes no run."""
        if self._final is None or len(self._final) != len(self.field):
            final = copy(self.field)
            final.fit()
            self._final = final  # last, for an interrupted search must not be taken for a finished one
        return self._final

    def points(self) -> np.ndarray:
        return np.empty((0, 0))

    def replay(self, answers: Answers, used: np.ndarray, points: np.ndarray) -> None:
        self._observe(answers[used])

    def _observe(self, answers: Answers) -> None:
        self.field.observe(answers.coverage, answers.links, answers.fills, answers.outputs)


class PaperStrategy:
    """`method="paper"`: one window a round, kept and hidden."""

    def __init__(self, settings: Settings, initial: np.ndarray | None, rng: np.random.Generator) -> None:
        self._extent = settings.extent
        self._windows = Published(self._extent, np.zeros(self._extent) if initial is None else initial, rng)
        # The answers to a pair of masks, and their numbers (-1: not told yet); of the pairs before, theirs `(n, 2)`.
        self._values, self._numbers = np.zeros(2), np.full(2, -1)
        self._told_at = np.empty((0, 2), dtype=int)

    @property
    def flat(self) -> bool:
        scores = self._windows.scores
        return 2 * len(scores) >= ROUND and bool(np.ptp(scores) <= least_difference(scores))

    def ask(self, room: int) -> Any:
        self._numbers = np.full(2, -1)
        if room < 2:
            return np.empty((0, *self._extent), dtype=bool)
        return self._windows.ask()

    def tell(self, answers: Answers, asked: tuple[np.ndarray, np.ndarray] | None) -> None:
        if asked is None:
            return  # masks that are no windows (the untouched input, the check's) say nothing to a GP over windows
        numbers, places = asked
        self._values[places], self._numbers[places] = answers.values, numbers
        if (self._numbers >= 0).all():
            self._windows.tell(self._values)
            self._told_at = np.concatenate([self._told_at, self._numbers[None]])

    def note(self) -> dict[str, float] | None:
        scores = self._windows.scores
        return {"difference": float(scores[-1, 0] - scores[-1, 1])} if len(scores) else None

    def posterior(self) -> tuple[np.ndarray, np.ndarray]:
        if self.flat:  # the posterior of nothing but zeros would still wear the prior's shape
            return np.zeros(self._extent, np.float32), np.zeros(self._extent, np.float32)
        return self._windows.posterior()

    def profile_std(self) -> np.ndarray:
        return np.zeros(self._extent[:-2], np.float32) if self.flat else self._windows.profile()[1]

    def trust(self) -> tuple[float, float] | None:
        return None

    def points(self) -> np.ndarray:
        """A row for each window: the numbers of its two evaluations, the window, the jittered window."""
        return np.concatenate([self._told_at, self._windows.windows, self._windows.points], axis=1)

    def replay(self, answers: Answers, used: np.ndarray, points: np.ndarray) -> None:
        numbers, windows, jittered = np.split(points, [2, 2 + (points.shape[1] - 2) // 2], axis=1)
        self._told_at = numbers.astype(int)
        self._windows.observe(windows.astype(int), answers.values[self._told_at], jittered)
