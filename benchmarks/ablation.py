"""`field` with its inside changed, for ablations: nothing of this is an option of the library."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from borex import strategies
from borex.evaluation.benchmark import Found, Task
from borex.evaluation.benchmark.methods import refined
from borex.masks import CellMasks
from borex.targets import Target


def field(
    task: Task,
    *,
    constants: dict[str, Any] | None = None,
    link: str = "log-odds",
    show: str = "both",
    never_worse: bool = True,
    **options: Any,
) -> Found:
    """The map of `field` with some of its parts taken away or changed.

    `constants`: values of constants by "module.NAME", for this call. `link`: what the field is told of an answer, its
    "log-odds" or its "probability". `show`: the masks "kept" and "hidden", or only one of them, as many in all.
    `never_worse`: an initial map is compared with the refined one. `options`: those of `field`.
    """

    def probability(scores: np.ndarray) -> np.ndarray:
        return Target(task.target, "").value(scores, task.model.output)

    changes: dict[str, Any] = dict(constants or {})
    if show != "both":
        changes["strategies.FieldStrategy"] = {"kept": OnlyKept, "hidden": OnlyHidden}[show]
    if not never_worse:
        changes |= {"check.N_CHECK": 0, "check.tops": _no_tops}
    asked: Any = task if link == "log-odds" else _Explaining(task, probability)
    with changed(changes):
        return refined(asked, method="field", **options)


def _no_tops(heat_map: np.ndarray) -> np.ndarray:
    return np.empty((0, *heat_map.shape), dtype=bool)


class OnlyKept(strategies.FieldStrategy):
    """Shows the inside of every mask and never its outside."""

    inside = True

    def ask(self, room: int) -> Any:
        n = min(self._round(), room)
        if n == 0:
            return super().ask(room)
        cells = self._box_cells(n) if self._wants_boxes() else self._thompson_cells(n)
        return CellMasks(cells if self.inside else ~cells, self._settings.extent)


class OnlyHidden(OnlyKept):
    inside = False


class _Explaining:
    """A task whose target is a function of the scores."""

    def __init__(self, task: Task, target: Any) -> None:
        self._task, self.target = task, target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)


@contextmanager
def changed(constants: dict[str, Any]) -> Iterator[None]:
    """`borex` with names, by "module.NAME", changed wherever they are known, for a while; AttributeError where there is
    none."""
    before: list[tuple[str, Any, Any]] = []
    try:
        for spelled, value in constants.items():
            module, name = spelled.rsplit(".", 1)
            was = getattr(importlib.import_module(f"borex.{module}"), name)
            before.append((name, was, value))
            _exchange(name, was, value)
        yield
    finally:  # a module that was imported meanwhile has the changed value as well
        for name, was, value in reversed(before):
            _exchange(name, value, was)


def _exchange(name: str, old: Any, new: Any) -> None:
    for key, module in list(sys.modules.items()):
        if key.startswith("borex.") and getattr(module, name, None) is old:
            setattr(module, name, new)
