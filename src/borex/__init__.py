"""BOREx: refine the heat map of any classifier that can only be asked for scores, and say how sure it is."""

from borex.errors import (
    BorexError,
    BudgetError,
    FileError,
    InputError,
    LayoutError,
    MissingExtraError,
    ModelError,
    ModelOutputError,
    TargetError,
)
from borex.explanation import Explanation
from borex.many import Refined, refine_many
from borex.refine import refine
from borex.refiner import Refiner

__version__ = "0.1.0"

_PARTS = ("evaluation", "heatmaps", "interop", "media", "models")


def __getattr__(name: str) -> object:
    """`borex.models` and the other parts are imported when they are first spoken of."""
    if name in _PARTS:
        from importlib import import_module

        return import_module(f"borex.{name}")
    raise AttributeError(f"module 'borex' has no attribute {name!r}")


__all__ = [
    "BorexError",
    "BudgetError",
    "Explanation",
    "FileError",
    "InputError",
    "LayoutError",
    "MissingExtraError",
    "ModelError",
    "ModelOutputError",
    "Refined",
    "Refiner",
    "TargetError",
    "__version__",
    "refine",
    "refine_many",
]
