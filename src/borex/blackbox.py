"""The one protocol between BOREx and the world: a batch of media in, scores of every class out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from borex.errors import BorexError, InputError, ModelError, ModelOutputError
from borex.masks import masked
from borex.stated import OUTPUTS as OUTPUTS
from borex.stated import Output as Output
from borex.stated import checked_extent, checked_max_batch, checked_output
from borex.stated import class_names as class_names

# More than this many bytes of copies at a time would make memory grow with the media; a batch is cut instead: of copies
# that NumPy makes, and of those that a `Device` makes, counted as the floats that a network computes with.
MAX_BATCH_BYTES, MAX_DEVICE_BYTES = 64 * 2**20, 256 * 2**20


class Device(ABC):
    """A model's scores in two steps: an adapter's `Model.scores` may be of a class derived from this one. Masked copies
    are then made where the model runs, preprocessed, and nothing but masks goes there and scores come back. The numbers
    are those of `scores`.
    """

    @abstractmethod
    def __call__(self, batch: np.ndarray) -> Any:
        """The scores `(n, classes)` of a batch `(n, *extent, channels)`."""

    @abstractmethod
    def load(self, media: np.ndarray, baselines: np.ndarray) -> Callable[..., Any]:
        """Brings `media` `(*extent, channels)` and `baselines` `(k, *extent, channels)` to the device, once. Returns a
        function `(masks, fills=None)` to the copies that `run` takes: `masks` `(n, *extent)`, an array or CellMasks;
        `fills`: integers `(n,)`, which baseline hides in each, None: the first."""

    @abstractmethod
    def run(self, parts: Sequence[Any]) -> Any:
        """The scores `(n, classes)` of all copies in `parts`, in order, in one call of the model; each part is what a
        function of `load` returned."""


@dataclass(frozen=True)
class Model:
    """A classifier as BOREx sees it: a callable, and what its adapter knows about it.

    `scores`: from a batch `(n, *extent, channels)`, in the media's own dtype and range, to `(n, classes)`.
    `extent`: the input extent the model was made for, e.g. `(224, 224)`; media is brought to it once. None: any.
    `labels`: the name of every class, in order, or by its index, as in Hugging Face's `id2label`.
    `mean`: the mean colour that its preprocessing subtracts, in the media's range; shape `()` or `(channels,)`.
    `output`: what the scores are. `max_batch`: the largest batch it takes (1 for an ONNX file with a fixed batch).
    `white_box`: the framework's module and how it is fed, for the heat maps that look inside
    (`borex.models.torch.WhiteBox`); None: nothing but scores is known.
    `check_media`: raises InputError for media `(*extent, channels)` in another range than the model takes; it sees the
    media alone, once, before anything is asked: beside a baseline in the right range a wrong one does not show. None:
    any media will do.

    Raises InputError where an extent, labels, an output or a largest batch are none.
    """

    scores: Callable[[np.ndarray], Any]
    extent: tuple[int, ...] | None = None
    labels: Any = field(default=None, repr=False)
    mean: np.ndarray | None = None
    output: Output = "auto"
    max_batch: int | None = None
    white_box: Any = field(default=None, repr=False, compare=False)
    check_media: Callable[[np.ndarray], None] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        checked_output(self.output)
        object.__setattr__(self, "extent", checked_extent(self.extent))
        object.__setattr__(self, "labels", class_names(self.labels))
        object.__setattr__(self, "max_batch", checked_max_batch(self.max_batch))

    def __call__(self, batch: np.ndarray) -> Any:
        return self.scores(batch)


def unwrap(answer: Any, n: int | None = None, is_device: bool = False) -> np.ndarray:
    """The array of scores inside what a model returned for `n` inputs: an array or tensor as it is, `.logits`, a dict's
    `"logits"`, or the first array of a tuple, list or dict (what Hugging Face and torchvision models return). A list of
    arrays of one axis, or of `n` arrays `(1, classes)`, is one row of scores for each input. `is_device`: as
    `checked_scores` takes it. Raises ModelOutputError for a dict of several arrays of two axes without `"logits"`."""
    if hasattr(answer, "logits"):
        answer = answer.logits
    elif isinstance(answer, dict):
        answer = answer["logits"] if "logits" in answer else _only(answer, is_device)
    elif isinstance(answer, list) and answer and hasattr(answer[0], "shape"):
        are_rows = len(answer) == n and all(getattr(row, "shape", ())[:-1] == (1,) for row in answer)
        if are_rows or len(answer[0].shape) < 2:
            answer = [unwrap(row)[0] if are_rows else unwrap(row) for row in answer]
        else:
            answer = answer[0]
    elif isinstance(answer, tuple):
        answer = answer[0] if answer else None
    if hasattr(answer, "detach"):  # a torch tensor, without importing torch
        answer = answer.detach().cpu()
        answer = answer.float() if str(answer.dtype) in ("torch.bfloat16", "torch.float16") else answer
    try:
        if answer is None or np.iscomplexobj(answer):  # NumPy would make NaN of one and drop half of the other
            raise TypeError("nothing at all" if answer is None else "complex numbers")
        # A copy: the model may write its next answer where this one lies.
        return np.array(np.asarray(answer), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModelOutputError(
            f"the model returned {type(answer).__name__}, which is no array of scores ({error}); expected "
            "(batch, classes). Wrap it in a function that returns the scores"
        ) from error


def _only(answer: dict[Any, Any], is_device: bool) -> Any:
    """The first value of a dict; raises ModelOutputError where several could be the scores."""
    tables = {key: shape for key, value in answer.items() if len(shape := _shape(value)) == 2}
    if len(tables) > 1:
        listed = " and ".join(f"{key!r} {shape}" for key, shape in tables.items())
        ways = " or ".join(f"lambda x: f(x)[{key!r}]" for key in tables)
        way = "Return the scores alone from forward" if is_device else f"Say which are the scores: {ways}"
        raise ModelOutputError(
            f"the model returned a dict with {len(tables)} arrays of two axes, {listed}; expected one, or one called "
            f"'logits'. {way}"
        )
    return next(iter(answer.values()), None)


def _shape(value: Any) -> tuple[int, ...]:
    try:
        return tuple(np.shape(value))
    except (TypeError, ValueError, RuntimeError):  # a ragged list, or one of tensors
        return ()


def checked_scores(answer: Any, n: int, first_mask: int = 0, is_device: bool = False) -> np.ndarray:
    """Scores `(n, classes)`, float64, from what a model returned for `n` inputs; raises ModelOutputError otherwise.

    `is_device`: the model is a `Device`, which no function of arrays can be put around. One number an input is refused:
    a score and the number of a class look alike.
    """
    scores = unwrap(answer, n, is_device)
    if scores.ndim != 2 or len(scores) != n or scores.shape[1] == 0:
        is_one_each = scores.shape == (n,) or (is_device and n == 1 and scores.ndim == 0)  # squeeze() takes every axis
        way = "return scores.reshape(-1, 1) from forward" if is_device else "lambda x: f(x)[:, None]"
        hint = f" If it returns one score an input, add an axis: {way}" if is_one_each else ""
        raise ModelOutputError(
            f"the model returned shape {scores.shape} for a batch of {n}; expected ({n}, classes).{hint}"
        )
    bad = ~np.isfinite(scores).all(axis=1)
    if bad.any():
        raise ModelOutputError(
            f"the model returned NaN or Inf for mask {first_mask + int(np.argmax(bad))}; expected finite scores. "
            "Check its preprocessing, or look at that mask. The Refiner keeps what was answered before that batch"
        )
    return scores


def probabilities(scores: np.ndarray, output: Output = "auto") -> np.ndarray:
    """Probabilities `(n, classes)`, in [0, 1], from scores `(n, classes)`; one column counts as two classes.

    `output="auto"`: scores in [0, 1] whose rows sum to 1 (or a single column in [0, 1]) are probabilities; scores with
    a value outside [0, 1] are logits, brought to probabilities by softmax (sigmoid for a single column); anything else
    is ambiguous and raises InputError.
    """
    scores = np.asarray(scores, dtype=np.float64)
    single = scores.shape[1] == 1
    if output == "auto":
        output = find_output(scores)
    if output == "logits":
        if single:
            scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))
    if scores.min() < -1e-6 or scores.max() > 1 + 1e-6:
        raise InputError(
            f"the model's scores lie between {scores.min():.3g} and {scores.max():.3g}; expected [0, 1] of what "
            'output="probabilities" or, with output="auto", its first answers said. If they are logits, say '
            'output="logits"'
        )
    scores = np.clip(scores, 0.0, 1.0)
    return np.concatenate([1 - scores, scores], axis=1) if single else scores


def find_output(scores: np.ndarray) -> Output:
    """Whether scores `(n, classes)` are "probabilities" or "logits"; InputError where they could be either, or are
    percentages."""
    if scores.min() < -1e-6 or scores.max() > 1 + 1e-6:
        sums = scores.sum(axis=1)
        if scores.min() >= 0 and scores.shape[1] > 1 and np.allclose(sums, 100, atol=1, rtol=0):
            raise InputError(
                f"the model's scores lie between 0 and 100 and sum to {sums.min():.3g}..{sums.max():.3g} an input, as "
                'percentages do; divide them by 100. If they are logits all the same, say output="logits"'
            )
        return "logits"
    if scores.shape[1] == 1 or np.allclose(scores.sum(axis=1), 1.0, atol=1e-2):
        return "probabilities"
    sums = scores.sum(axis=1)
    raise InputError(
        f"the model's scores lie in [0, 1] but sum to {sums.min():.3g}..{sums.max():.3g} an input, so they could be "
        'logits or independent probabilities. Say which: output="logits" or output="probabilities"'
    )


def load(model: Model, media: np.ndarray, baselines: np.ndarray) -> Callable[..., Any]:
    """A function from masks to masked copies, as `Device.load` says, for any model."""
    if isinstance(model.scores, Device):
        return model.scores.load(media, baselines)

    def compose(masks: Any, fills: np.ndarray | None = None) -> np.ndarray:
        return masked(media, baselines[0] if fills is None else baselines[fills], masks)

    return compose


def run(model: Model, parts: Sequence[Any]) -> Any:
    """What the model answers to all copies in `parts`, as `Device.run` says, for any model."""
    if isinstance(model.scores, Device):
        return model.scores.run(parts)
    return model.scores(parts[0] if len(parts) == 1 else np.concatenate(parts))


def check_classes(scores: np.ndarray, before: list[np.ndarray], at: int) -> None:
    """Raises ModelOutputError unless scores from mask `at` on have as many classes as those `before`."""
    if before and scores.shape[1] != before[0].shape[1]:
        raise ModelOutputError(
            f"the model returned {scores.shape[1]} classes for the batch that starts at mask {at}, and "
            f"{before[0].shape[1]} before; expected as many for every batch"
        )


class Asker:
    """Asks a model about masked copies of one input: composes them in chunks, counts them, checks the answers."""

    def __init__(self, model: Model, media: np.ndarray, baseline: np.ndarray, batch_size: Any = 32) -> None:
        """`media`: `(*extent, channels)`. `baseline`: the same, or `(k, *extent, channels)` where several hide in turn;
        of one dtype. `batch_size`: inputs in one call of the model, or "auto"; or the `Batches` of several inputs.
        Whatever it says, batches hold 64 MiB at most of copies that NumPy makes, for a function and for soft masks, or
        256 MiB of float32 that a `Device` makes: 445 photos of 224 x 224 in uint8, or 27 clips of 16 such frames."""
        from borex.batches import Batches

        if model.check_media is not None:
            model.check_media(media)
        self.model, self.media = model, media
        self.batches = batch_size if isinstance(batch_size, Batches) else Batches(model, batch_size)
        try:
            self.compose = load(model, media, baseline if baseline.ndim > media.ndim else baseline[None])
        except BorexError:
            raise
        except Exception as error:
            raise ModelError(f"the model could not take the media in: {type(error).__name__}: {error}") from error
        self._most_made = max(1, MAX_BATCH_BYTES // max(1, media.nbytes))
        floats = max(1, MAX_DEVICE_BYTES // max(1, 4 * media.size))
        self._most = floats if isinstance(model.scores, Device) else self._most_made
        self.evals = 0

    @property
    def chunk(self) -> int:
        """How many copies go to the model at a time, of masks that are bool."""
        return self._at_once(is_soft=False)

    def _at_once(self, is_soft: bool) -> int:
        return min(self.batches.size, self._most_made if is_soft else self._most)

    def part(self, masks: Any, start: int, stop: int, fills: np.ndarray | None = None) -> Any:
        """The masked copies of `masks` from `start` to `stop`, as the model takes them."""
        some = masks.part(start, stop) if hasattr(masks, "part") else masks[start:stop]
        return self.compose(some) if fills is None else self.compose(some, fills[start:stop])

    def _parts(self, *what: Any) -> list[Any]:
        return [self.part(*what)]

    def __call__(self, masks: Any, fills: np.ndarray | None = None) -> np.ndarray:
        """Scores `(n, classes)` of the media seen through masks `(n, *extent)`, 1 = kept: an array, or what gives one
        for a slice. `fills`: integers `(n,)`, the baseline that hides in each; None: the first.

        Raises ModelError with the number of the failing mask. `answered` on it, and on whatever else is raised, an
        interrupt too, holds the scores of those before.
        """
        from borex.batches import OutOfMemory

        answers: list[np.ndarray] = []
        is_soft = getattr(masks, "dtype", None) != np.dtype(bool)
        start = 0
        while start < len(masks):
            stop = min(start + self._at_once(is_soft), len(masks))
            compose = partial(self._parts, masks, start, stop, fills)
            try:
                scores = self.batches(compose, stop - start, self.evals)
                check_classes(scores, answers, self.evals)
            except OutOfMemory:
                continue
            except BaseException as error:
                error.answered = np.concatenate(answers) if answers else None  # type: ignore[attr-defined]
                raise
            answers.append(scores)
            self.evals += stop - start
            start = stop
        return np.concatenate(answers)
