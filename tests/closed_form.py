"""Black boxes whose true saliency is known in closed form. Media are ones or coloured noise, the baseline is black."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np


class Counted:
    """A model that counts its inputs and remembers the sizes of its batches."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.batches: list[int] = []

    @property
    def calls(self) -> int:
        return sum(self.batches)

    def __call__(self, batch: np.ndarray) -> Any:
        self.batches.append(len(batch))
        return self.model(batch)


def bumps(extent: tuple[int, ...]) -> np.ndarray:
    """Smooth weights, one bump for the class and a smaller one against it; their sum is 5."""
    at = np.meshgrid(*[(np.arange(size) + 0.5) / size for size in extent], indexing="ij")
    bump = np.exp(-sum((a - c) ** 2 for a, c in zip(at, (0.3, 0.6, 0.4)[-len(extent) :], strict=True)) / 0.03)
    other = np.exp(-sum((a - c) ** 2 for a, c in zip(at, (0.7, 0.25, 0.8)[-len(extent) :], strict=True)) / 0.02)
    return 6 * bump / bump.sum() - other / other.sum()


def linear(weights: np.ndarray) -> Counted:
    """Logits of a class and of its absence: the logit is -2 + the weights of what is seen, in the first channel."""

    def logits(batch: np.ndarray) -> np.ndarray:
        seen = batch[..., 0] != 0
        logit = (seen * weights).reshape(len(batch), -1).sum(axis=1) - 2
        return np.stack([np.zeros(len(batch)), logit, -logit - 9], axis=1)

    return Counted(logits)


def box(extent: tuple[int, ...]) -> np.ndarray:
    """An object: a box in the second half of every axis, a quarter of its length."""
    inside = np.zeros(extent, dtype=bool)
    inside[tuple(slice(size // 2, size // 2 + max(1, size // 4)) for size in extent)] = True
    return inside


def share_seen(inside: np.ndarray) -> Counted:
    """Probabilities: of the object it is as sure as the share of it that it sees."""

    def probabilities(batch: np.ndarray) -> np.ndarray:
        seen = batch[..., 0] != 0
        p = 0.02 + 0.96 * (seen & inside).reshape(len(batch), -1).sum(axis=1) / inside.sum()
        return np.stack([1 - p, p], axis=1)

    return Counted(probabilities)


def flat(batch: np.ndarray) -> np.ndarray:
    return np.full((len(batch), 3), [0.2, 0.5, 0.3])


def ones(extent: tuple[int, ...], channels: int = 1, dtype: str = "uint8") -> np.ndarray:
    return np.ones((*extent, channels), dtype=dtype)


def same(a: Any, b: Any) -> bool:
    """Whether two explanations are equal to the last bit."""
    arrays = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("saliency", "std", "initial"))
    records = all(np.array_equal(getattr(a.record, n), getattr(b.record, n)) for n in ("coverage", "scores", "points"))
    names = ("target", "score", "evals", "stop_reason", "history", "trust", "check")
    return arrays and records and all(getattr(a, name) == getattr(b, name) for name in names)


def interrupted(what: Callable[..., Any], at: int) -> Callable[..., Any]:
    """A function, a model for one, interrupted when it is called for the `at`-th time."""
    calls = count(1)

    def call(*given: Any, **named: Any) -> Any:
        if next(calls) == at:
            raise KeyboardInterrupt
        return what(*given, **named)

    return call
