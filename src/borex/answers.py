"""What a refiner is told, before it takes it: masks and the scores that a model gave them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from borex.blackbox import Output
from borex.errors import InputError
from borex.targets import Target


@dataclass(frozen=True)
class Answers:
    """What `n` evaluations came to: the seen share of each cell `coverage` `(n, *grid)`; which baseline hid, `fills`
    `(n,)`; the target's score `values` and what the field is told of it, `links`, each `(n,)`; and all that the model
    said, `outputs` `(n, k)`."""

    coverage: np.ndarray
    fills: np.ndarray
    values: np.ndarray
    links: np.ndarray
    outputs: np.ndarray

    @classmethod
    def of(cls, target: Target, output: Output, coverage: np.ndarray, fills: np.ndarray, scores: np.ndarray) -> Answers:
        """From the model's scores `(n, classes)`."""
        values, links = target.value(scores, output), target.link(scores, output)
        return cls(coverage, fills, values, links, target.outputs(scores, output))

    def __getitem__(self, at: np.ndarray) -> Answers:
        return Answers(self.coverage[at], self.fills[at], self.values[at], self.links[at], self.outputs[at])


def checked_answers(masks: Any, scores: Any, extent: tuple[int, ...], before: np.ndarray) -> tuple[Any, np.ndarray]:
    """The masks `(n, *extent)`, an array or what gives one for a slice, and their scores `(n, classes)`, float64, of a
    single output `(n, 1)`. `before`: the scores `(m, classes)` that were told before. Raises InputError where they are
    no numbers, do not fit each other or those before, or are not finite."""
    try:
        masks = masks if hasattr(masks, "shape") else np.asarray(masks, dtype=np.float32)
        scores = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # the last of a tensor that has a gradient
        raise InputError(
            f"told {type(masks).__name__} and {type(scores).__name__} that make no arrays of numbers ({error}); "
            "expected masks (n, *extent) and scores (n, classes)"
        ) from error
    scores = scores[:, None] if scores.ndim == 1 else scores
    if scores.ndim != 2 or tuple(masks.shape) != (len(scores), *extent):
        raise InputError(
            f"told masks of shape {tuple(masks.shape)} and scores of shape {scores.shape}; expected "
            f"(n, {', '.join(map(str, extent))}) and (n, classes)"
        )
    if len(masks) and (scores.shape[1] == 0 or (len(before) and scores.shape[1] != before.shape[1])):
        expected = f"{before.shape[1]} as before" if len(before) else "at least one"
        raise InputError(f"told scores of {scores.shape[1]} classes; expected {expected}")
    if not np.isfinite(scores).all():
        bad = int(np.argmax(~np.isfinite(scores).all(axis=1)))
        raise InputError(f"told NaN or Inf for mask {len(before) + bad}; expected finite scores")
    return masks, scores
