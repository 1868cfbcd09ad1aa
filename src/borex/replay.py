"""A run told once more, for another target: everything that was asked and answered is in its record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from borex.answers import Answers
from borex.blackbox import Output
from borex.check import Sides
from borex.explanation import Record
from borex.refiner import Refiner
from borex.targets import Target, TargetLike


def replay(
    record: Record, explained: Target, target: TargetLike | Target, labels: Any = None, output: Output | None = None
) -> Refiner:
    """A Refiner that has been told everything in a record of explaining `explained`, for another target; it asks
    nothing more. The check is kept for the same target only: it measured the top shares of that target's map, which for
    another are data like any other. `output`: what the scores are; None: as the record has it."""
    s = record.settings if output is None else replace(record.settings, output=output)
    refiner = Refiner(
        s.extent, record.initial, target=target, method=s.method, max_evals=s.max_evals, output=s.output,
        labels=labels, seed=s.seed, grid=s.grid, tolerance=s.tolerance, turn=s.turn, change=record.change,
        appearance=record.appearance,
    )  # fmt: skip
    refiner.target, refiner.output, refiner.score = refiner._found(record.coverage, record.scores)
    refiner.scores, refiner.coverage, refiner.told_fills = record.scores, record.coverage, record.fills
    at = np.arange(len(record.scores))
    is_same = refiner.target == explained and refiner.target.function is explained.function
    if is_same:
        at = np.delete(at, record.check_side)
        refiner._sides = Sides(record.initial_side, record.check_side)
    refiner._opened = True
    answers = Answers.of(refiner.target, refiner.output, record.coverage, record.fills, record.scores)
    refiner._strategy.replay(answers, at, record.points)
    if not is_same:
        refiner.stop_reason = refiner._reason(0) if refiner._strategy.flat else f"asked about {explained.label}"
    return refiner
