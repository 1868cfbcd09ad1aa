"""`refine`: the loop around `Refiner`, with the model called here."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from borex.baselines import Baseline, baselines_of, change_of, fitted, usual
from borex.batches import Batches, BatchSize
from borex.blackbox import Asker, Model, Output
from borex.errors import BorexError, InputError
from borex.explanation import Excerpt, Explanation
from borex.layout import channels_last, picked, to_channels_last, to_extent
from borex.refiner import Refiner
from borex.resume import check_same_run
from borex.settings import Settings
from borex.targets import Target, TargetLike, check_target

# An initial map that makes evaluations may spend this share of the budget, and no more than so many.
INITIAL_SHARE, INITIAL_EVALS = 0.25, 100
N_ENDS = 2  # before such a map all is shown once and all hidden once


def refine(
    model: Any,
    media: Any,
    initial: Any = None,
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
    resume: Refiner | None = None,
) -> Explanation:
    """What in `media` made the model answer as it did: a refined heat map, and how sure it is.

    `model`: a callable from a batch `(n, *extent, channels)` in the media's own dtype and range to scores
    `(n, classes)`; a `torch.nn.Module`; an ONNX file's path or session; a `Model`; "motionnet"; "frame-mean"; None: the
    embedded EfficientNet-Lite0 for images, MotionNet for clips.
    `media`: an image `(H, W, C)` or clip `(T, H, W, C)`, an array, tensor, PIL image, the path of a picture, a video or
    a folder of frames (of which it takes at most 64 frames, or as many as the model; see `borex.media.load`), or what
    `borex.media.video.read_clip` returns. Space is brought to the model's extent by resizing, time by picking frames.
    One input, no batch: `(8, H, W, 3)` is a clip of 8 frames (`refine_many` takes several).
    `initial`: the heat map to refine, any resolution: an array, a file, what another library returned
    (`borex.heatmaps.accepted`); "gradcam", "gradcam++", "lrp": made here, of a torch.nn.Module; "lime", "shap", "rise":
    made here, of any model, from a quarter of the budget (100 evaluations at most); None: flat.
    `target`: class index, label, a pair `(a, b)` for a against b, a function of the scores; None: the top class.
    `method`: "field" (ours) or "paper" (as published). `max_evals`: the budget in model inputs, all included.
    `batch_size`: model inputs in one call, fewer where media is large; it does not change the result. "auto":
    larger for as long as that is faster, smaller where memory is short. `baseline`: what is seen where a mask
    hides: "blur", "soft" (a blur that leaves shapes), "mean", "black", "frozen" (of clips, their mean over time), a
    number, an array, tensor or picture, a function, or a tuple of these, which hide in turn; None: the method's own
    (field: blur, soft, mean, four, three and three times in ten; of clips that move frozen, mean; paper: mean).
    `layout`: of the media, for example "CHW"; "auto": found, or an error. `output`: "probabilities" or "logits";
    "auto": found, or an error. `grid`: cells of the map on each axis; None: 20 x 20, for clips 8 x 14 x 14; of
    media that is not square nearly as many nearly square ones. `seed`: same seed, same result.

    Raises InputError and its kin before the model is asked where that is possible. An error midway, and Ctrl-C, carries
    the Refiner with everything observed so far as its `refiner`; given as `resume`, with all else as it was, the run
    goes on where it stopped.
    """
    from borex.models import as_model

    box = None if model is None else as_model(model, output=output)
    job = prepared(
        box, media, initial, target=target, method=method, max_evals=max_evals, batch_size=batch_size,
        baseline=baseline, layout=layout, output=output, grid=grid, seed=seed,
    )  # fmt: skip
    if resume is not None:
        job.resume(resume)
    with _bar(progress, max_evals) as bar:
        bar.update(job.refiner.evals)
        try:
            job.begin(bar)
            while len(masks := job.refiner.ask()):
                fills = job.refiner.fills
                told(job.refiner, masks, _answers(job.refiner, job.asker, masks, bar, fills), fills)
            return job.result()
        except BaseException as error:  # who interrupts a slow model keeps what it answered
            with suppress(Exception):  # an error of the caller's own may take no attribute
                error.refiner = job.refiner  # type: ignore[attr-defined]
            raise


@dataclass
class Job:
    """A refinement in which everything was checked and nothing was asked yet.

    `shown`: the media as it came, channels last. `given`: the initial map as it came; None: flat, or not made yet.
    `excerpt`: which part of a recording the media is.
    `make_initial`: of `borex.heatmaps.BLACK_BOX`, or None.
    """

    refiner: Refiner
    asker: Asker
    shown: np.ndarray
    given: np.ndarray | None
    excerpt: Excerpt | None
    options: dict[str, Any]
    make_initial: Any

    def begin(self, bar: Any) -> None:
        """Makes the initial map where it is made by asking."""
        if self.make_initial is not None:
            self.refiner = _from_answers(self.make_initial, self.refiner, self.asker, self.options, bar)

    def resume(self, refiner: Refiner) -> None:
        """Takes the Refiner of an earlier run of the same; raises InputError for that of another, as far as shows."""
        check_same_run(refiner, self.refiner, has_initial=self.make_initial is None)
        self.refiner = refiner
        self.asker.evals = refiner.evals  # errors number masks from the first of the run
        if refiner.evals > N_ENDS and self.make_initial is not None:
            self.make_initial = None
            if refiner.initial is None:
                text = "the initial map was not finished when the run stopped; it goes on from a flat one"
                warnings.warn(text, stacklevel=3)

    def result(self) -> Explanation:
        """The explanation so far, at the media's own size."""
        layout = channels_last(self.shown.ndim)
        return self.refiner.result().at(self.shown, self.given, self.excerpt, layout=layout)


def prepared(
    box: Model | None,
    media: Any,
    initial: Any = None,
    *,
    target: TargetLike | Target,
    method: str,
    max_evals: int,
    batch_size: BatchSize | Batches,
    baseline: Baseline,
    layout: str,
    output: Output,
    grid: tuple[int, ...] | None = None,
    seed: int,
) -> Job:
    """The refinement of one input, as `refine` describes it; raises whatever can be known before the model is asked.
    `box`: None for the embedded model that fits the media."""
    from borex.heatmaps import BLACK_BOX, NAMES, WHITE_BOX, accepted, check_extras
    from borex.heatmaps.accept import looks_like_file
    from borex.models import as_model, embedded

    shown, excerpt = read_input(media, layout, None if box is None else box.extent)
    extent = shown.shape[:-1]
    box = as_model(embedded(len(extent)), output=output) if box is None else box
    if box.extent is not None and len(box.extent) != len(extent):
        raise InputError(
            f"the media has extent {extent}, but the model takes {box.extent}; expected {len(box.extent)} axes"
            + (
                ". The inputs of a batch are explained one by one, or by refine_many; a clip with "
                "borex.models.frame_mean(model), the mean of the model over its frames"
                if len(box.extent) == 2
                else ""
            )
        )
    # Media of another layout comes as a view; what runs over it later is fast in order alone.
    working = np.ascontiguousarray(to_extent(shown, box.extent or extent))
    hides = usual(method, working) if baseline is None else fitted(baseline, shown.shape, working.shape[:-1])
    hiding, turn = baselines_of(hides, working, box.mean)
    # Before a map is made that asks the model.
    Settings.of(working.shape[:-1], method, max_evals, box.output, seed, grid, None, turn)
    check_target(target, box.labels)
    asker = Asker(box, working, hiding, batch_size)
    options: dict[str, Any] = {
        "target": target, "method": method, "max_evals": max_evals, "output": box.output, "labels": box.labels,
        "grid": grid, "seed": seed, "turn": turn, "change": change_of(working, hiding),
        "appearance": working,
    }  # fmt: skip
    maker = initial if isinstance(initial, str) and initial in NAMES else None
    if isinstance(initial, str) and maker is None and not looks_like_file(initial):
        raise InputError(
            f"initial is {initial!r}; expected a heat map, the path of one, one of the names "
            f"{', '.join(map(repr, NAMES))}, or None (flat)"
        )
    given = None
    if maker in WHITE_BOX:
        given = WHITE_BOX[maker](box, working, target, layout=channels_last(working.ndim))
    elif maker is not None:
        check_extras(maker)
    elif initial is not None:
        given = accepted(initial, extent, channels=shown.shape[-1], target=target, labels=box.labels)
    is_frame_by_frame = given is not None and given.shape[:-2] == extent[:-2]
    start = picked(given, working.shape[:-1]) if given is not None and is_frame_by_frame else given
    refiner = Refiner(working.shape[:-1], start, **options)
    return Job(refiner, asker, shown, given, excerpt, options, BLACK_BOX.get(maker or ""))


def _answers(refiner: Refiner, asker: Asker, masks: Any, bar: Any, fills: np.ndarray | None = None) -> np.ndarray:
    """The scores under masks; where that fails or is interrupted, the refiner is told what was answered before."""
    try:
        scores = asker(masks, fills)
    except BaseException as error:
        answered = getattr(error, "answered", None)
        if answered is not None:
            with suppress(BorexError):  # what led here is the error to report
                told(refiner, masks[: len(answered)], answered, None if fills is None else fills[: len(answered)])
        raise
    bar.update(len(masks))
    return scores


def told(refiner: Refiner, masks: Any, scores: np.ndarray, fills: np.ndarray | None) -> None:
    """Tells the refiner; where an answer cannot be used, those before it, and raises that error."""
    try:
        refiner.tell(masks, scores, fills)
    except InputError:
        n = _n_usable(refiner, scores)
        if 0 < n < len(scores):
            refiner.tell(masks[:n], scores[:n], None if fills is None else fills[:n])
        raise


def _n_usable(refiner: Refiner, scores: np.ndarray) -> int:
    """How many rows of scores come before the first of which the target cannot be had; all where none is."""
    if refiner.target is None:
        return 0
    for row in range(len(scores)):
        try:
            refiner.target.value(scores[row : row + 1], refiner.output)
        except InputError:
            return row
    return len(scores)


def _from_answers(make: Any, refiner: Refiner, asker: Asker, options: dict[str, Any], bar: Any) -> Refiner:
    """A Refiner that starts from a heat map that was asked for; what that cost is told to it as data."""
    from borex.heatmaps.asked import Question, ends_of

    settings = refiner.settings
    n = min(INITIAL_EVALS, int(settings.max_evals * INITIAL_SHARE))
    n -= (settings.max_evals - n) % 2  # what is left is asked in pairs
    ends, known = ends_of(refiner.extent), refiner.evals  # a run that goes on may know one or both
    answered: list[tuple[Any, np.ndarray]] = []

    def ask(masks: Any) -> np.ndarray:
        scores = _answers(refiner, asker, masks, bar)
        answered.append((masks, scores))
        return scores

    def value(scores: np.ndarray) -> np.ndarray:
        assert refiner.target is not None
        return refiner.target.value(scores, refiner.output)

    if known < len(ends):
        refiner.tell(ends[known:], _answers(refiner, asker, ends[known:], bar))
    try:
        heat_map, masks, scores = make(Question(asker.media, ask, value, refiner.scores, n, settings.seed))
        made = Refiner(refiner.extent, heat_map, **{**options, "target": refiner.target, "output": refiner.output})
        made.tell(ends, refiner.scores)
        made.tell(masks, scores)
    except BaseException:  # what was answered before is kept, too
        for part, scores in answered:
            refiner.tell(part, scores)
        raise
    return made


def read_input(media: Any, layout: str, extent: tuple[int, ...] | None) -> tuple[np.ndarray, Excerpt | None]:
    """The media `(*extent, channels)` of a file, or what was given, and which part of a recording it is. `media`,
    `layout`: as in `refine`; `extent`: what the model takes, if it says so."""
    from os import PathLike

    if isinstance(media, (str, PathLike)) or hasattr(media, "seconds"):  # a path, or a Clip
        from borex.media.load import read_media

        media, excerpt = read_media(media, extent)
        return media, excerpt
    return to_channels_last(media, layout), None


def _bar(progress: bool, total: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, unit="eval", disable=not progress, leave=False)
