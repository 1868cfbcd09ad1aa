"""The exceptions that BOREx raises.

    BorexError
    ├── InputError (ValueError)      a value of the caller's cannot be used; as a rule before the model is asked
    │   ├── LayoutError              which axis of the media is which cannot be told
    │   ├── TargetError              the class to explain does not exist
    │   └── BudgetError              too few evaluations for what was asked
    ├── ModelError (RuntimeError)    the model was asked and something went wrong
    │   └── ModelOutputError         its answer has the wrong shape or holds NaN or Inf
    ├── FileError (OSError)          a file cannot be read or written
    └── MissingExtraError (ImportError)   an optional dependency is not installed

Each message says what was expected, what came and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from borex.refiner import Refiner


class BorexError(Exception):
    """Base of every exception that BOREx raises on purpose.

    `refiner`: after an error in the middle of `refine`, the Refiner with everything that was answered before.
    """

    refiner: Refiner | None = None


class InputError(BorexError, ValueError):
    """A value given by the caller cannot be used. As a rule that is known before the model is asked; which
    classes there are, and whether scores are logits, its first answers say."""


class LayoutError(InputError):
    """Which axis of the media is which is wrong or ambiguous."""


class TargetError(InputError):
    """The class to explain is out of range or its label is unknown."""


class BudgetError(InputError):
    """`max_evals` is smaller than the method needs."""


class ModelError(BorexError, RuntimeError):
    """The model failed when it was asked; the message carries the number of the first mask of the failing batch."""


class ModelOutputError(ModelError):
    """The model's answer has the wrong shape, or holds NaN or Inf."""


class FileError(BorexError, OSError):
    """A file cannot be read or written, or does not hold what was expected."""


class MissingExtraError(BorexError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs the package {package!r}, which is not installed: pip install 'borex[{extra}]'")
        self._given = what, package, extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        return type(self), self._given
