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
