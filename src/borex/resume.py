"""A run that goes on: whether the Refiner that is given is of the same one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from borex.errors import InputError
from borex.refiner import Refiner

KNOWN = {"_appearance": "other media", "_change": "other baselines", "initial": "another initial map"}


def check_same_run(stopped: Any, fresh: Refiner, has_initial: bool) -> None:
    """Raises InputError where `stopped` is no Refiner of the run that `fresh`, which was told nothing, would be of, as
    far as it shows: what the model is does not. `has_initial`: `fresh` knows its initial map, and its target as given.
    """
    if not isinstance(stopped, Refiner):
        raise InputError(f"resume is {type(stopped).__name__}; expected the `refiner` of an error of refine")
    what = _difference(stopped, fresh, has_initial)
    if what is not None:
        raise InputError(f"resume is a Refiner of {what}; expected all else as it was when the run stopped")


def _difference(stopped: Refiner, fresh: Refiner, has_initial: bool) -> str | None:
    one, other = asdict(stopped.settings), asdict(fresh.settings)
    for name in one:
        if name != "output" and one[name] != other[name]:  # what the scores are is found from them
            return f"another run, {name} {one[name]}, than this, {name} {other[name]}"
    for name, what in KNOWN.items():
        mine, theirs = (np.asarray(getattr(each, name)) for each in (stopped, fresh))
        if (has_initial or name != "initial") and not np.array_equal(mine, theirs):
            return what
    if has_initial and stopped._wanted is not fresh._wanted and stopped._wanted != fresh._wanted:
        return f"another target, {stopped._wanted}, than this, {fresh._wanted}"
    return None
