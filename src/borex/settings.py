"""What decides a run, besides the media, the initial map and the model."""

from __future__ import annotations

import math
import operator
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import numpy as np

from borex.blackbox import OUTPUTS, Output
from borex.errors import BudgetError, InputError

METHODS = ("field", "paper")
IMAGE_CELLS = 20  # on each side of a square picture
CLIP_CELLS, TIME_CELLS = 14, 8  # on each side of a square clip, and on each axis before
TOLERANCE = 1e-3
MIN_EVALS = 20


@dataclass(frozen=True)
class Settings:
    """Everything that a run depends on and that an explanation states."""

    extent: tuple[int, ...]
    method: Literal["field", "paper"]
    max_evals: int
    output: Output
    seed: int
    grid: tuple[int, ...]
    tolerance: float
    turn: tuple[int, ...] = (0,)

    @classmethod
    def of(
        cls,
        extent: tuple[int, ...],
        method: str,
        max_evals: int,
        output: Output,
        seed: int,
        grid: tuple[int, ...] | None,
        tolerance: float | None,
        turn: tuple[int, ...] = (0,),
    ) -> Settings:
        """Settings with every default filled in, as `Refiner` takes them; raises InputError for what does not fit,
        BudgetError for a budget that is too small."""
        try:
            sizes = tuple(operator.index(size) for size in extent)
        except TypeError as error:
            raise InputError(f"the extent is {extent!r}; expected whole numbers, (H, W) or (T, H, W)") from error
        if len(sizes) < 2 or min(sizes) < 1 or int(np.prod(sizes)) < 2:
            raise InputError(f"the extent is {extent}; expected (H, W) or (T, H, W) with at least two pixels")
        extent = sizes
        if method not in METHODS:
            raise InputError(f"method is {method!r}; expected one of {', '.join(map(repr, METHODS))}")
        if output not in OUTPUTS:
            raise InputError(f"output is {output!r}; expected one of {', '.join(map(repr, OUTPUTS))}")
        if not is_whole(max_evals, MIN_EVALS):
            raise BudgetError(
                f"max_evals is {max_evals!r}; expected a whole number, at least {MIN_EVALS}. 200 is usual"
            )
        if not is_whole(seed, 0):
            raise InputError(f"seed is {seed!r}; expected a whole number, at least 0")
        try:
            grid = usual_grid(extent) if grid is None else tuple(map(operator.index, grid))
        except TypeError as error:
            raise InputError(f"grid is {grid!r}; expected {len(extent)} whole numbers of cells") from error
        if len(grid) != len(extent) or any(not 1 <= n <= size for n, size in zip(grid, extent, strict=False)):
            raise InputError(f"grid is {grid}; expected {len(extent)} numbers of cells, each from 1 to {extent}")
        tolerance = TOLERANCE if tolerance is None else tolerance
        if not isinstance(tolerance, (int, float, np.number)) or not 0 <= tolerance < 1:
            raise InputError(f"tolerance is {tolerance!r}; expected at least 0 (never stop early) and below 1")
        if not turn or not all(is_whole(number, 0) for number in turn) or {*turn} != {*range(len({*turn}))}:
            raise InputError(f"turn is {turn!r}; expected the numbers of the baselines, from 0, such as (0, 0, 1)")
        if len(turn) > 1 and method == "paper":
            raise InputError(f'{len(turn)} baselines hide in turn, but method="paper" hides with one; give one')
        turn, tolerance = tuple(map(int, turn)), float(tolerance)
        return cls(extent, cast(Any, method), int(max_evals), output, int(seed), grid, tolerance, turn)

    @property
    def n_baselines(self) -> int:
        """How many baselines hide."""
        return max(self.turn) + 1

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Settings:
        return cls(
            **{
                **stored,
                "extent": tuple(stored["extent"]),
                "grid": tuple(stored["grid"]),
                "turn": tuple(stored["turn"]),
            }
        )


def usual_grid(extent: tuple[int, ...]) -> tuple[int, ...]:
    """Cells on each axis: of a clip `TIME_CELLS` before space; in space nearly square ones, as many as of a square."""
    n = IMAGE_CELLS if math.prod(extent[:-2]) == 1 else CLIP_CELLS
    short, long = sorted(extent[-2:])
    fewer = max(1, round(n * (short / long) ** 0.5))
    more = round(n**2 / fewer)
    space = (fewer, more) if extent[-2] <= extent[-1] else (more, fewer)
    return tuple(map(min, ((TIME_CELLS,) * (len(extent) - 2) + space), extent))


def is_whole(value: Any, least: int) -> bool:
    """Whether `value` is an integer, Python's or NumPy's and no bool, of at least `least`."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= least)
