"""The one protocol between BOREx and the world: a batch of media in, scores of every class out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from borex.errors import BorexError, ModelError
from borex.masks import masked
from borex.scores import check_classes
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
