"""`refine_many`: one input or ten thousand, which share the model's batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from borex.baselines import NAMES, Baseline
from borex.batches import Batches, BatchSize, OutOfMemory
from borex.blackbox import Output
from borex.errors import BorexError, InputError
from borex.explanation import Explanation
from borex.layout import to_channels_last
from borex.refine import Job, prepared, told
from borex.refiner import Refiner
from borex.scores import check_classes
from borex.settings import Settings
from borex.strategies import ROUND
from borex.targets import Target, TargetLike


@dataclass(frozen=True)
class Refined:
    """What became of one input: its `index` among the inputs, its `name` (the path, where it came as one), and either
    the `explanation` or the `error`, which carries the Refiner with what was answered as its `refiner`."""

    index: int
    name: str | None
    explanation: Explanation | None = field(repr=False)
    error: BorexError | None = None


def refine_many(
    model: Any,
    inputs: Iterable[Any],
    initial: str | Callable[[Any], Any] | None = None,
    *,
    target: TargetLike | Target = None,
    method: str = "field",
    max_evals: int = 200,
    batch_size: BatchSize = 32,
    baseline: Baseline = None,
    layout: str = "auto",
    output: Output = "auto",
    grid: tuple[int, ...] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Iterator[Refined]:
    """The refined heat maps of many inputs, each as soon as it is done, roughly in the order of the inputs.

    `model`: as in `refine`; None: of each input the embedded model that `refine` takes for it, loaded once.
    `inputs`: media as `refine` takes it, paths or arrays, from a list or an iterator, which is read as the work goes
    on; so few are held at a time that memory does not grow with their number.
    `initial`: None (flat), a name as in `refine`, or a function from an input, as it came, to its heat map.
    `target`: the same for every input; None: each one's own top class.
    The rest is as in `refine`; the budget is that of each input. Inputs share the model's batches, so that each is
    full. That changes no result: an input gets what `refine` gives it alone, to the last bit where the model scores an
    input alike in every batch. With batch_size="auto" the batches depend on a clock, and so may last bits.

    What is wrong with one input (a file that is no picture, a target that it has not, scores that are NaN, a function
    of yours that fails on it) becomes the `error` of its Refined and stops no other. Raises InputError at once for what
    is wrong with all of them. An interrupt, or an error of the iterator's own, carries the unfinished Refiners by index
    as its `refiners`.
    """
    from borex.heatmaps import NAMES as MADE
    from borex.models import as_model, embedded

    # By the axes of the media; one model for all of them is under 0.
    boxes = {0: model} if model is not None else {axes: embedded(axes) for axes in (2, 3)}
    batches = {axes: Batches(as_model(box, output=output), batch_size) for axes, box in boxes.items()}
    if isinstance(inputs, (str, os.PathLike)) or hasattr(inputs, "shape") or not isinstance(inputs, Iterable):
        raise InputError(
            f"the inputs are one {type(inputs).__name__}; expected a list or an iterator of media. One input is "
            "explained by refine, the files of a folder are sorted(Path(folder).iterdir())"
        )
    for part in baseline if isinstance(baseline, tuple) else (baseline,):
        if isinstance(part, str) and part not in NAMES:
            raise InputError(f"baseline is {part!r}; expected one of {', '.join(map(repr, NAMES))}")
    if not (initial is None or callable(initial) or (isinstance(initial, str) and initial in MADE)):
        given = initial if isinstance(initial, str) else type(initial).__name__
        raise InputError(
            f"initial is {given!r}; expected None, one of {', '.join(map(repr, MADE))}, or a function from an input to "
            "its heat map"
        )
    options: dict[str, Any] = {
        "target": target, "method": method, "max_evals": max_evals, "baseline": baseline, "layout": layout,
        "output": output, "grid": grid, "seed": seed,
    }  # fmt: skip
    # Raises what would be wrong with every input, whatever it is; into this extent any grid fits.
    refused: list[InputError] = []
    any_extent = (2**12,) * (2 if grid is None else max(2, np.size(grid)))
    for box in (one.model for one in batches.values()):
        try:
            Settings.of(any_extent, method, max_evals, box.output, seed, grid, None)
            Refiner(
                (14, 14), target=target, method=method, max_evals=max_evals, output=box.output, labels=box.labels,
                seed=seed,
            )  # fmt: skip
        except InputError as error:
            refused.append(error)
    if len(refused) == len(batches):
        raise refused[0]

    is_held = isinstance(inputs, (list, tuple))  # an iterator may write its next input where the last one lies

    def job(media: Any) -> Job:
        media = media if is_held else _copied(media)
        shared = batches[_axes(media, layout) if model is None else 0]
        start = _start(initial, media) if callable(initial) else initial
        return prepared(shared.model, media, start, batch_size=shared, **options)

    return _refined(inputs, job, progress)


def _axes(media: Any, layout: str) -> int:
    """How many axes an input has besides channels, as `refine` finds it."""
    if isinstance(media, (str, os.PathLike)):
        from borex.media.load import is_clip

        return 3 if is_clip(media) else 2
    return 3 if hasattr(media, "seconds") else to_channels_last(media, layout).ndim - 1


def _copied(media: Any) -> Any:
    """Media of its own memory, where it is an array or a tensor."""
    copy = getattr(media, "clone", None) or (media.copy if isinstance(media, np.ndarray) else None)
    return media if copy is None else copy()


def _start(initial: Callable[[Any], Any], media: Any) -> Any:
    """The heat map that the user's function makes of an input."""
    try:
        return initial(media)
    except BorexError:
        raise
    except Exception as error:
        raise InputError(
            f"the function of initial maps failed on this input: {type(error).__name__}: {error}; expected a function "
            "from an input, as it came, to its heat map"
        ) from error


@dataclass(eq=False)
class _Live:
    """An input at work: the masks that it waits for, and the answers so far."""

    index: int
    name: str | None
    job: Job
    masks: Any = None
    answers: list[np.ndarray] = field(default_factory=list)
    n_answered: int = 0
    error: BorexError | None = None

    @property
    def kind(self) -> tuple[Any, ...]:
        """What inputs must agree in to share a batch."""
        asker = self.job.asker
        return asker.batches, asker.media.shape, asker.media.dtype

    def next_masks(self) -> bool:
        """Asks for masks where none are waiting; whether there are any."""
        if self.masks is None:
            self.masks = self.job.refiner.ask()
        return len(self.masks) > 0

    def take(self, scores: np.ndarray) -> None:
        """Answers to the next masks; the refiner is told when they are complete."""
        check_classes(scores, self.answers, self.job.refiner.evals + self.n_answered)
        self.answers.append(scores)
        self.n_answered += len(scores)
        if self.n_answered == len(self.masks):
            self._tell()

    def fail(self, error: BorexError) -> None:
        """Keeps what was answered before the failure."""
        self.keep()
        error.refiner, self.error = self.job.refiner, error

    def keep(self) -> None:
        """Tells the refiner what was answered of masks that wait for more."""
        with suppress(BorexError):  # what led here is the error to report
            self._tell()

    def _tell(self) -> None:
        masks, answers, n = self.masks, self.answers, self.n_answered
        self.masks, self.answers, self.n_answered = None, [], 0
        if n:
            fills = self.job.refiner.fills[:n]
            told(self.job.refiner, masks if n == len(masks) else masks[:n], np.concatenate(answers), fills)


def _refined(inputs: Iterable[Any], job: Callable[[Any], Job], progress: bool) -> Iterator[Refined]:
    from tqdm import tqdm

    waiting = enumerate(inputs)
    live: list[_Live] = []
    is_open = True
    total = len(inputs) if isinstance(inputs, Sized) else None
    with tqdm(total=total, unit="input", disable=not progress, leave=False) as bar:
        try:
            while is_open or live:
                # An input usually waits for a round: so many are live that they fill two batches.
                while is_open and len(live) < 2 + 2 * _size(live) // ROUND:
                    index, media = next(waiting, (-1, None))
                    is_open = index >= 0
                    if is_open:
                        name = os.fspath(media) if isinstance(media, (str, os.PathLike)) else None
                        if (failure := _begun(live, index, name, job, media)) is not None:
                            bar.update()
                            yield Refined(index, name, None, failure)
                done = [one for one in live if one.error is not None or not one.next_masks()]
                for one in done:
                    found = None if one.error else one.job.result()
                    live.remove(one)  # not before, so that an interrupt finds it
                    bar.update()
                    failure, one.error = one.error, None  # whose traceback holds `one`: media would wait for gc
                    yield Refined(one.index, one.name, found, failure)
                if live and not done:
                    _answer(live)
        except GeneratorExit:  # nobody asks for more
            raise
        except BaseException as stop:  # an interrupt, or whatever the iterator of the inputs raises
            for one in live:
                one.keep()
            stop.refiners = {one.index: one.job.refiner for one in live}  # type: ignore[attr-defined]
            raise


def _begun(live: list[_Live], index: int, name: str | None, job: Callable[[Any], Job], media: Any) -> BorexError | None:
    """Puts an input to those at work, so that an interrupt finds it; its error, where it cannot be begun."""
    one: _Live | None = None
    try:
        one = _Live(index, name, job(media))
        live.append(one)
        one.job.begin(_Silent())
    except BorexError as error:
        if one is not None:
            live.remove(one)
            error.refiner = one.job.refiner
        return error
    return None


class _Silent:
    """A progress bar that shows nothing: progress here is counted in inputs."""

    def update(self, n: int) -> None:
        pass


def _size(live: list[_Live]) -> int:
    """The largest batch that is made of the inputs at work."""
    return max((one.job.asker.batches.size for one in live), default=0)


def _answer(live: list[_Live]) -> None:
    """One batch for the model: the masks of the inputs that came first, and of more until it is full."""
    room = live[0].job.asker.chunk
    pieces: list[tuple[_Live, int, int]] = []
    for one in live:
        if room and one.kind == live[0].kind:
            start = one.n_answered
            stop = min(start + room, len(one.masks))
            room -= stop - start
            pieces.append((one, start, stop))
    try:
        _ask(pieces)
    except OutOfMemory:
        return  # fewer next time
    except BorexError as error:
        if len(pieces) == 1:
            pieces[0][0].fail(error)
            return
        # One of them is to blame: each is asked alone.
        for piece in pieces:
            try:
                _ask([piece])
            except OutOfMemory:
                continue
            except BorexError as own:
                piece[0].fail(own)


def _ask(pieces: list[tuple[_Live, int, int]]) -> None:
    def parts() -> list[Any]:
        return [one.job.asker.part(one.masks, start, stop, one.job.refiner.fills) for one, start, stop in pieces]

    one, start, _ = pieces[0]
    scores = one.job.asker.batches(parts, sum(stop - start for _, start, stop in pieces), one.job.refiner.evals + start)
    for one, start, stop in pieces:
        own, scores = scores[: stop - start], scores[stop - start :]
        try:
            one.take(own)
        except BorexError as error:  # of telling: this input's alone, and the model has answered
            one.fail(error)
