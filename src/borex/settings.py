"""What decides a run, besides the media, the initial map and the model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from borex.blackbox import Output
from borex.errors import InputError

METHODS = ("field", "paper")
SPACE_CELLS, TIME_CELLS = 14, 8
TOLERANCE = 1e-3


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
    ) -> Settings:
        """Settings with every default filled in; raises InputError for a grid or tolerance that does not fit."""
        usual = (TIME_CELLS,) * (len(extent) - 2) + (SPACE_CELLS, SPACE_CELLS)
        grid = tuple(min(n, size) for n, size in zip(usual, extent, strict=True)) if grid is None else tuple(grid)
        if len(grid) != len(extent) or any(not 1 <= n <= size for n, size in zip(grid, extent, strict=False)):
            raise InputError(f"grid is {grid}; expected {len(extent)} numbers of cells, each from 1 to {extent}")
        tolerance = TOLERANCE if tolerance is None else float(tolerance)
        if not 0 <= tolerance < 1:
            raise InputError(f"tolerance is {tolerance}; expected at least 0 (never stop early) and below 1")
        return cls(extent, cast(Any, method), max_evals, output, seed, grid, tolerance)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Settings:
        return cls(**{**stored, "extent": tuple(stored["extent"]), "grid": tuple(stored["grid"])})
