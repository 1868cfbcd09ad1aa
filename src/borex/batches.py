"""How many model inputs travel in one call: stated, or found while the evaluations that are due anyway are made."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from borex.blackbox import Device, Model, run
from borex.errors import BorexError, InputError, ModelError
from borex.scores import checked_scores
from borex.settings import is_whole

BatchSize = int | Literal["auto"]

# "auto" begins here and doubles for as long as an input in the larger batch takes less than GAIN of the time of one in
# the smaller; each size is timed twice and the first time, in which kernels are chosen and memory is made, is dropped.
FIRST, LARGEST, GAIN = 16, 1024, 0.93


# What torch, onnxruntime and the networks themselves say of inputs that do not fit; "image_size" too, not "resized".
SIZE_WORDS = re.compile(r"(?<![a-z])(shape|size|dimension|height|width|resolution)s?(?![a-z])")


class OutOfMemory(ModelError):
    """The model had no memory for a batch, and a smaller one is next."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception of any framework says that memory was short: MemoryError, torch's and cupy's
    OutOfMemoryError, or the words in the message of another (onnxruntime and torch's CPU have no type of their own)."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "out of memory" in text
        or "allocate memory" in text
        or "not enough memory" in text
    )


def _advice(error: BaseException, takes_any: bool) -> str:
    """What to do where an exception of a framework may mean that the model takes other inputs; else nothing.
    `takes_any`: the model did not say which size it takes."""
    text = str(error).lower()
    if isinstance(error, (KeyError, AttributeError, NameError)):  # a slip in the code, of whatever name
        return ""
    if "channel" in text:  # torch gives the size of the weights with it
        return (
            ' If the media is grey or RGBA and the model takes RGB, bring it to that: a PIL image by .convert("RGB"), '
            "an array (H, W) by np.stack([grey] * 3, axis=-1), one of 4 channels by media[..., :3]"
        )
    # An assertion often has no words.
    if takes_any and (SIZE_WORDS.search(text) or (isinstance(error, AssertionError) and not text)):
        return " If it takes one size alone, say which: wrap(..., extent=(224, 224)) brings media to it"
    return ""


class Batches:
    """Calls a model on batches of prepared copies, and decides how many go into one. Several inputs may share it."""

    def __init__(
        self, model: Model, batch_size: BatchSize = 32, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """`batch_size`: copies in one call, or "auto"; an `Asker` makes fewer at a time of media that is
        large. `clock`: seconds. Raises InputError for any other value."""
        self.is_found = isinstance(batch_size, str)
        if batch_size != "auto" if self.is_found else not is_whole(batch_size, 1):
            raise InputError(f'batch_size is {batch_size!r}; expected a whole number, at least 1, or "auto"')
        self.model, self._clock = model, clock
        self._limit = model.max_batch or LARGEST
        self.size = min(FIRST if self.is_found else int(batch_size), model.max_batch or LARGEST**2)
        self._settled = not self.is_found
        self._times: list[float] = []  # seconds an input at this size
        self._before: float | None = None  # and at half of it

    def __call__(self, compose: Callable[[], Sequence[Any]], n: int, first: int = 0) -> np.ndarray:
        """Scores `(n, classes)` of the `n` copies that `compose` makes, a list of parts as the model's `run` takes
        them. `first`: the number of the first mask, for messages.

        Raises OutOfMemory where memory was short and `size` is smaller now: ask again for fewer; ModelError where the
        model fails.
        """
        start = self._clock()
        parts: Sequence[Any] = ()
        try:
            parts = compose()
            answer = run(self.model, parts)
        except BorexError:  # an adapter's word on what it was given or got, not the model's failure
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            short = out_of_memory(error)
            if short and self.is_found and n > 1:
                self.size = self._limit = max(1, min(self.size, n) // 2)
                self._settled = True
                raise OutOfMemory(what) from error
            hint = ' If memory is short, batch_size="auto" takes smaller batches' if short and not self.is_found else ""
            shape = "".join(f" (shape {part.shape}, {part.dtype})" for part in parts[:1] if hasattr(part, "shape"))
            if isinstance(self.model.scores, Device) and not short:
                hint = _advice(error, self.model.extent is None)
            raise ModelError(
                f"the model failed on the batch of {n} that starts at mask {first}{shape}: {what}.{hint}"
            ) from error
        scores = checked_scores(answer, n, first, isinstance(self.model.scores, Device))
        if not self._settled and n == self.size:
            self._time((self._clock() - start) / n)
        return scores

    def _time(self, seconds: float) -> None:
        self._times.append(seconds)
        if len(self._times) < 2:
            return
        now, self._times = self._times[1], []
        if self._before is not None and now > GAIN * self._before:
            # No faster: the smaller batch is enough, and the next round is sooner.
            self.size, self._settled = max(1, self.size // 2), True
        elif 2 * self.size > self._limit:
            self._settled = True
        else:
            self.size, self._before = 2 * self.size, now
