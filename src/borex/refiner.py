"""The loop, driven from outside: `masks = refiner.ask()`, `refiner.tell(masks, scores)`, `refiner.result()`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from borex.answers import Answers, checked_answers
from borex.baselines import checked_fills, in_turn
from borex.blackbox import Output, class_names
from borex.cells import cells_of_appearance, cells_of_change
from borex.check import N_CHECK, Sides, tops
from borex.errors import BudgetError, InputError
from borex.explanation import Explanation, Record
from borex.layout import checked_initial, resize
from borex.masks import coverage_of
from borex.pending import Pending
from borex.settings import Settings
from borex.strategies import ROUND, FieldStrategy, PaperStrategy, Strategy
from borex.targets import Target, TargetLike, check_target, find_target, found_output
from borex.threads import one_thread

ROOM = 1024  # rows of scores that are made room for at first


class Refiner:
    """Refines one heat map: asks for masks, is told scores, gives the explanation. The only object that changes.

    All that was told is kept whatever happens to the model; pickled, a Refiner goes on where it was. A new one that is
    told the same answers makes the same map of them, but asks some of those masks again.
    """

    def __init__(
        self,
        extent: tuple[int, ...],
        initial: np.ndarray | None = None,
        *,
        target: TargetLike | Target = None,
        method: str = "field",
        max_evals: int = 200,
        output: Output = "auto",
        labels: Any = None,
        seed: int = 0,
        grid: tuple[int, ...] | None = None,
        tolerance: float | None = None,
        turn: tuple[int, ...] = (0,),
        change: np.ndarray | None = None,
        appearance: np.ndarray | None = None,
    ) -> None:
        """`extent`: of the masks, `(H, W)` or `(T, H, W)`. `initial`: a heat map of any resolution with as many axes;
        None: flat. `max_evals`: the budget, in model inputs. `output`: what the scores are. `grid`: cells of the field
        on each axis; None: 20 x 20, or 8 x 14 x 14; where space is not square nearly as many nearly square ones.
        `tolerance`: stop when the ranking of the map changes by less in two successive rounds of `field` (1 -
        Spearman's correlation); 0: only at the budget. `turn`: the numbers of the baselines, in the order in which they
        hide; `fills` says which one hides in each mask that was asked. `change`: how much they change each pixel or
        cell, any scale: what is not changed is not salient; None: not known.
        `appearance`: what each pixel or cell looks like, `(*extent, k)` or `(*grid, k)`, such as the media: what looks
        alike is rather of one thing; None: not known.
        Raises InputError (BudgetError for a budget that is too small) before anything is asked.
        """
        labels = class_names(labels)
        check_target(target, labels)
        self.settings = Settings.of(extent, method, max_evals, output, seed, grid, tolerance, turn)
        self.extent = self.settings.extent
        self.labels = labels
        self.initial = None if initial is None else resize(checked_initial(initial, self.extent), self.extent)
        self._ranks_something = self.initial is not None and float(np.ptp(self.initial)) > 0
        opening = 1 + self.settings.n_baselines + (N_CHECK if self._ranks_something else 0)
        if opening > self.settings.max_evals:
            raise BudgetError(
                f"max_evals is {max_evals}, but {opening} evaluations are spent before the first round: the untouched "
                f"input, {self.settings.n_baselines} baselines alone{', the initial map' * self._ranks_something}. "
                "Expected more, 200 is usual, or fewer baselines"
            )
        grids = self.extent, self.settings.grid
        self._change = None if change is None else cells_of_change(change, *grids)
        self._appearance = None if appearance is None else cells_of_appearance(appearance, *grids)
        rng = np.random.default_rng(self.settings.seed)
        self._strategy: Strategy = (
            FieldStrategy(self.settings, self.initial, self._change, self._appearance, rng)
            if method == "field"
            else PaperStrategy(self.settings, self.initial, rng)
        )
        self._wanted = target
        self.target: Target | None = None
        self.coverage = np.empty((0, *self.settings.grid), dtype=np.float32)
        self.scores = np.empty((0, 0))
        self._room = self.scores  # where the scores lie: rows for the whole budget, so that no round copies the last's
        self.score: float | None = None
        self.history: list[dict[str, float]] = []
        self.stop_reason: str | None = None
        self.output: Output = output
        # Which baseline hides in each mask that was last asked, and in each that was told.
        self.fills = self.told_fills = np.empty(0, dtype=int)
        self._pending = Pending.of("nothing", np.empty((0, *self.extent), dtype=bool), self.coverage, self.fills)
        self._opened = False
        self._noted_at, self._is_to_note = 0, False
        self._sides = Sides()  # of the check
        self._map: tuple[int, np.ndarray, np.ndarray] | None = None

    @property
    def evals(self) -> int:
        """How many model inputs have been answered."""
        return len(self.scores)

    # --- ask

    def ask(self) -> Any:
        """The masks to show next, an array (or what `np.asarray` makes one) `(n, *extent)`, 1 = kept; empty when done.

        What was asked and is not told yet is asked again. The first is the untouched input, the second hides all. After
        it, `fills` `(n,)` is the number of the baseline that hides in each: 0 unless there are several.
        """
        self._note()  # due only where it was interrupted
        room = self.settings.max_evals - self.evals
        reserve = N_CHECK if self._sides.is_due else 0
        if 0 < len(self._pending) <= room - (reserve if self._pending.kind == "round" else 0):
            self.fills = self._pending.fills
            return self._pending.masks
        self._pending = self._pending.without(self._pending.places)
        if self.stop_reason is None and not self._opened:
            opening = self._opening()
            fits = 0 < len(opening[0]) <= room
            masks = self._remember("opening", *opening) if fits else None
            self._opened = True
            if masks is not None:
                return masks
        if self.stop_reason is None and not self._sides.is_begun:
            if room > reserve and not self._settled():
                with one_thread():
                    masks = self._strategy.ask(room - reserve)
                if len(masks):
                    rng = np.random.default_rng([self.settings.seed, self.evals])
                    fills = in_turn(self.settings.turn, len(masks), self.evals // 2, rng)  # on from the last round
                    return self._remember("round", masks, fills)
            if 0 < reserve <= room:
                return self._remember("check", tops(self._posterior()[0]), in_turn(self.settings.turn, N_CHECK))
        self.stop_reason = self.stop_reason or self._reason(room)
        return self._pending.masks

    def _remember(self, kind: str, masks: Any, fills: np.ndarray) -> Any:
        """Remembers what was asked, so that its answers are told from those to any other masks."""
        self._pending = Pending.of(kind, masks, coverage_of(masks, self.settings.grid), fills)
        self.fills = fills
        return masks

    def _opening(self) -> tuple[np.ndarray, np.ndarray]:
        """The whole input, all hidden by each baseline, and the initial map's side of the check, which is data like any
        other; and their baselines."""
        seen = self.coverage.reshape(len(self.coverage), int(np.prod(self.settings.grid)))
        whole, blank = ((seen == end).all(axis=1) for end in (True, False))
        unseen = np.setdiff1d(np.arange(self.settings.n_baselines), self.told_fills[blank])
        masks = [np.full((int(not whole.any()), *self.extent), True), np.full((len(unseen), *self.extent), False)]
        fills = [np.zeros(len(masks[0]), dtype=int), unseen]
        if self._ranks_something:
            masks.append(tops(np.asarray(self.initial)))
            fills.append(in_turn(self.settings.turn, N_CHECK))
        return np.concatenate(masks), np.concatenate(fills)

    def _settled(self) -> bool:
        if self._strategy.flat:
            return True
        changes = [entry["change"] for entry in self.history[-2:] if "change" in entry]
        return self.settings.tolerance > 0 and len(changes) == 2 and max(changes) < self.settings.tolerance

    def _reason(self, room: int) -> str:
        if self._strategy.flat:
            return self.target.unmoved(self.scores, self.output) if self.target else ""
        if room > 0 and self._settled():
            return f"the ranking changed by less than {self.settings.tolerance:g} in two successive rounds"
        left = f"; {room} left, too few to ask again" if room > 0 else ""
        return f"the budget of {self.settings.max_evals} evaluations is spent{left}"

    # --- tell

    def tell(self, masks: Any, scores: Any, fills: Any = None) -> None:
        """Takes what the model answered to `masks` `(n, *extent)`, bool or floats in [0, 1]: `scores` `(n, classes)`,
        or `(n,)` for a model with one output. Masks that were never asked for are data as well, for `field`; `paper`
        can use none but its own. Masks that were asked may be told in parts, in any order, with others between them.
        `fills`: which baseline hid in each, `(n,)`; None: for masks that were asked, those said with them, for others
        the first. Raises InputError, and changes nothing, where they do not fit."""
        masks, scores = checked_answers(masks, scores, self.extent, self.scores)
        if not len(masks):
            return
        coverage = coverage_of(masks, self.settings.grid)
        if not (coverage.min() >= -1e-6 and coverage.max() <= 1 + 1e-6):
            raise InputError(
                "told masks with values outside [0, 1]; expected 1 where the input is kept, 0 where hidden"
            )
        fills = None if fills is None else checked_fills(fills, len(coverage), self.settings.n_baselines)
        places = self._pending.among(coverage, fills)
        is_asked = places >= 0
        if fills is None:
            fills = np.zeros(len(coverage), dtype=int)
            fills[is_asked] = self._pending.fills[np.searchsorted(self._pending.places, places[is_asked])]
        found = self._found(coverage, scores)
        answers = Answers.of(*found[:2], coverage, fills, scores)  # raises before anything is kept
        self.target, self.output, self.score = found
        for part in np.split(np.arange(len(coverage)), np.flatnonzero(np.diff(is_asked)) + 1):
            self._take(answers[part], scores[part], places[part])

    def _take(self, answers: Answers, scores: np.ndarray, places: np.ndarray) -> None:
        """Answers to masks that were all asked, in these places, or all of the caller's own (-1)."""
        kind = self._pending.kind if places[0] >= 0 else "other"
        numbers = self.evals + np.arange(len(scores))
        self.told_fills = np.concatenate([self.told_fills, answers.fills])
        self.coverage = np.concatenate([self.coverage, answers.coverage])
        self._keep(scores)
        if kind != "other":
            self._pending = self._pending.without(places)
        if kind == "check":
            # No data: the map that the check measures is the one that is returned, unless other masks come after it.
            self._sides.refined[places] = numbers
            return
        if kind == "opening" and self._ranks_something:  # the last of it
            places = places - (self._pending.n_asked - N_CHECK)
            self._sides.initial[places[places >= 0]] = numbers[places >= 0]
        with one_thread():
            self._strategy.tell(answers, (numbers, places) if kind == "round" else None)
        is_other = kind == "other" and self.evals - self._noted_at >= ROUND
        self._is_to_note = (kind == "round" and not len(self._pending)) or is_other
        self._note()

    def _keep(self, scores: np.ndarray) -> None:
        first, end = self.evals, self.evals + len(scores)
        if self.scores.base is not self._room or len(self._room) < end:
            # The whole budget at once where that is little; more is made when it is needed.
            rows = max(end, min(self.settings.max_evals, max(ROOM, 2 * len(self._room))))
            self._room = np.empty((rows, scores.shape[1]))
            self._room[:first] = self.scores.reshape(first, scores.shape[1])
        self._room[first:end] = scores
        self.scores = self._room[:end]

    def _found(self, coverage: np.ndarray, scores: np.ndarray) -> tuple[Target, Output, float | None]:
        """What is explained and what the scores are, from the first scores; the score of the untouched input."""
        if self.target is not None and self.score is not None:
            return self.target, self.output, self.score
        whole = np.flatnonzero(coverage.reshape(len(coverage), -1).min(axis=1) >= 1)
        if not len(whole) and self._wanted is None:
            raise InputError(
                "the first masks told do not include the untouched input (a mask of ones), so the class to explain is "
                "not known; tell that mask first, or give target="
            )
        output = found_output(self._wanted, scores, self.output)
        at = scores[whole[:1]] if len(whole) else scores[:1]
        target = find_target(self._wanted, at, self.labels, output)
        return target, output, float(target.value(at, output)[0]) if len(whole) else None

    def _values(self, scores: np.ndarray) -> np.ndarray:
        assert self.target is not None
        return self.target.value(scores, self.output)

    def _note(self) -> None:
        """One line of history, where one is due: how much the ranking of the cells changed."""
        if not self._is_to_note:
            return
        with one_thread():
            entry = self._strategy.note()
        if entry is not None:
            self.history.append({"evals": float(self.evals), **entry})
        self._noted_at, self._is_to_note = self.evals, False

    # --- result

    def _posterior(self) -> tuple[np.ndarray, np.ndarray]:
        """The refined map and its standard deviation, float32, from all answers but those of the check."""
        used = self.evals - len(self._sides.told[1])
        if self._map is None or self._map[0] != used:
            with one_thread():
                saliency, std = self._strategy.posterior()
            self._map = used, saliency.astype(np.float32, copy=False), std.astype(np.float32, copy=False)
        return self._map[1:]

    def result(self) -> Explanation:
        """The explanation from everything told so far; maps have the extent of the masks. Can be called at any time
        after the first answers, and again."""
        if self.target is None or not self.evals:
            raise InputError("nothing has been told yet; there is no result before the first answers")
        saliency, std = self._posterior()
        with one_thread():
            trust = self._strategy.trust()
            profile_std = self._strategy.profile_std().astype(np.float32) if self.extent[:-2] else None
        check = self._sides.compared(lambda numbers: self._values(self.scores[numbers]))
        if check is not None and check.chosen == "initial":
            assert self.initial is not None
            saliency = self.initial
        flat = self.initial if self.initial is not None else np.zeros(self.extent, dtype=np.float32)
        return Explanation(
            saliency=saliency.astype(np.float32), std=std.astype(np.float32), profile_std=profile_std,
            initial=flat.astype(np.float32), trust=trust, target=self.target,
            score=float("nan") if self.score is None else self.score, evals=self.evals,
            stop_reason=self.stop_reason or "not finished", history=tuple(self.history), check=check,
            record=Record(
                replace(self.settings, output=self.output), self.coverage, self.scores, self.told_fills,
                self._strategy.points(), *self._sides.told, self.initial, self._change, self._appearance,
            ),
            labels=None if self.labels is None else tuple(self.labels),
        )  # fmt: skip
