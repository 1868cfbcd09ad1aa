"""Insertion and deletion (RISE, Petsiuk et al. 2018, section 4.2): how the score moves as pixels appear or go.

Pixels are shown or hidden in the order of falling saliency, so only the ranks of a heat map count. What stands where a
pixel is hidden decides much of the score: always say which start an insertion had.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from borex.blackbox import Asker, Model
from borex.errors import InputError, TargetError
from borex.evaluation.ranking import checked_saliency, falling_order
from borex.models import as_model
from borex.scores import probabilities
from borex.settings import is_whole

BlackBox = Any  # whatever `as_model` takes: a Model, a callable, an ONNX file, a module
Target = int | Callable[[np.ndarray], np.ndarray]

BLUR_TAPS, BLUR_SIGMA = 11, 5.0


@dataclass(frozen=True)
class Curve:
    """The score of the target as a growing share of the pixels is inserted or deleted.

    `shares` `(steps + 1,)`: share of the pixels changed so far, rising from 0 to 1. `scores` `(steps + 1,)`: the
    target's score there, in [0, 1] for a class. `auc`: the area under it by the trapezoid rule, in the score's units.
    """

    shares: np.ndarray
    scores: np.ndarray
    auc: float


def insertion(
    model: BlackBox,
    media: np.ndarray,
    saliency: np.ndarray,
    target: Target,
    *,
    start: Literal["blur"] | np.ndarray | float = "blur",
    steps: int = 224,
    batch_size: int = 32,
) -> Curve:
    """Curve from `start` to the whole media, the most salient pixels first; high is good; `steps + 1` evaluations.

    `model`: what `borex.refine` takes. `media`: `(*extent, channels)`; `saliency`: `(*extent,)`. `target`: a class, or
    a function from the probabilities `(n, classes)` to scores `(n,)`. `start`: "blur" is `rise_blur` of the media;
    otherwise a baseline: an array that broadcasts to the media, in its range. `steps`: at most as many as there are
    pixels are made; where they do not divide the pixels, steps differ by one pixel. `batch_size`: inputs in one call of
    the model; masks are made a batch at a time, so that memory does not grow with `steps`.

    Raises InputError, TargetError, ModelError. Petsiuk et al. 2018, section 4.2; their step is 224 pixels of 224 x 224.
    """
    model, media, ranks, counts = prepared(model, media, saliency, target, steps)
    asker = Asker(model, media, first_image(model, media, start), batch_size)
    scores = scores_of_ranks(asker, ranks, np.zeros_like(counts), counts, target)
    return curve(counts, target_scores(probabilities(scores, model.output), target))


def deletion(
    model: BlackBox,
    media: np.ndarray,
    saliency: np.ndarray,
    target: Target,
    *,
    baseline: np.ndarray | float,
    steps: int = 224,
    batch_size: int = 32,
) -> Curve:
    """Curve from the whole media to `baseline`, the most salient pixels going first; low is good.

    `baseline`: an array that broadcasts to the media, in its range. All else as in `insertion`.
    """
    model, media, ranks, counts = prepared(model, media, saliency, target, steps)
    asker = Asker(model, media, like_media(media, baseline), batch_size)
    scores = scores_of_ranks(asker, ranks, counts, np.full_like(counts, ranks.size), target)
    return curve(counts, target_scores(probabilities(scores, model.output), target))


def rise_blur(media: np.ndarray, outside: np.ndarray | float | None = None) -> np.ndarray:
    """The media blurred as the RISE authors blur it, same shape and dtype; a clip is blurred frame by frame.

    Their kernel has 11 x 11 taps: a Gaussian filter (sigma 5) of one bright pixel in an 11 x 11 image with mirrored
    borders, which leaves it nearly a flat box. They pad with zeros after normalisation, where zero is the mean colour;
    so here `outside`, in the media's range, is what lies beyond the border: give the mean that the model's
    preprocessing subtracts, to be equal to theirs. None: the media's own mean colour.

    Integer media is blurred in floating point and rounded. Source: `gkern` in evaluation.py of eclique/RISE.
    """
    from scipy.ndimage import correlate1d, gaussian_filter1d

    dot = np.zeros(BLUR_TAPS)
    dot[BLUR_TAPS // 2] = 1.0
    kernel: np.ndarray = gaussian_filter1d(dot, BLUR_SIGMA)
    work = media.astype(np.result_type(media.dtype, np.float32))
    if outside is None:
        outside = work.mean(axis=tuple(range(work.ndim - 1)), dtype=np.float64)
    border = np.asarray(outside, dtype=work.dtype)
    work -= border
    for axis in spatial_axes(media.ndim - 1):
        work = correlate1d(work, kernel, axis=axis, mode="constant", cval=0.0)
    work += border
    if media.dtype.kind in "iu":
        work = np.clip(np.rint(work), np.iinfo(media.dtype).min, np.iinfo(media.dtype).max)
    return work.astype(media.dtype, copy=False)


def spatial_axes(n_axes: int) -> tuple[int, ...]:
    """The axes of an extent of `n_axes` axes that are space: its last two."""
    return tuple(range(max(0, n_axes - 2), n_axes))


def prepared(
    model: BlackBox, media: np.ndarray, saliency: np.ndarray, target: Target, steps: int
) -> tuple[Model, np.ndarray, np.ndarray, np.ndarray]:
    """The checked model and media, the rank of each pixel `(*extent,)` (0 = most salient), and the number of pixels
    changed at each step, `(steps + 1,)`, from 0 to all."""
    model = as_model(model)
    media = np.asarray(media)
    if media.ndim < 2 or media.size == 0:
        raise InputError(f"the media has shape {media.shape}; expected (*extent, channels), for example (H, W, 3)")
    if media.dtype.kind not in "iuf" or not np.isfinite(media).all():
        raise InputError(f"the media ({media.dtype}) holds NaN, Inf or no numbers; expected finite integers or floats")
    extent = media.shape[:-1]
    if model.extent is not None and tuple(model.extent) != extent:
        raise InputError(
            f"the media has extent {extent}; the model was made for {tuple(model.extent)}. "
            "Bring the media and the heat map to that size first"
        )
    if not is_whole(steps, 1):
        raise InputError(f"steps is {steps!r}; expected a whole number, at least 1")
    if not callable(target):
        checked_class(target, None)
    order = falling_order(checked_saliency(saliency, extent, "media"))
    ranks = np.empty(order.size, dtype=np.int64)
    ranks[order] = np.arange(order.size)
    steps = min(steps, order.size)
    counts = np.arange(steps + 1, dtype=np.int64) * order.size // steps
    return model, media, ranks.reshape(extent), counts


def like_media(media: np.ndarray, image: np.ndarray | float) -> np.ndarray:
    """`image` (a baseline) in the media's shape and dtype; InputError where it does not fit."""
    values = np.asarray(image)
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise InputError(f"the baseline ({values.dtype}) holds NaN, Inf or no numbers; expected finite real numbers")
    try:
        values = np.broadcast_to(values, media.shape)
    except ValueError as error:
        raise InputError(
            f"the baseline has shape {values.shape}, which does not broadcast to the media's {media.shape}; give an "
            "array of the media's shape, a colour (channels,), or a number"
        ) from error
    if media.dtype.kind in "iu":
        limits = np.iinfo(media.dtype)
        values = np.rint(values)
        if values.min() < limits.min or values.max() > limits.max:
            raise InputError(
                f"the baseline lies between {values.min():.4g} and {values.max():.4g}; {media.dtype} media holds "
                f"{limits.min} to {limits.max}. Give the baseline in the media's own range"
            )
    return values.astype(media.dtype)


def first_image(model: Model, media: np.ndarray, start: Literal["blur"] | np.ndarray | float) -> np.ndarray:
    """Where an insertion begins: the blurred media or the baseline given, `(*extent, channels)`."""
    if not isinstance(start, str):
        return like_media(media, start)
    if start != "blur":
        raise InputError(f'start is {start!r}; expected "blur", or a baseline as an array or a number')
    return rise_blur(media, outside=model.mean)


def scores_of_ranks(
    asker: Asker, ranks: np.ndarray, lower: np.ndarray, upper: np.ndarray, target: Target
) -> np.ndarray:
    """Scores `(n, classes)` of the inputs that keep the pixels of rank in `[lower, upper)`, given as two `(n,)`."""
    answers: list[np.ndarray] = []
    axes = (slice(None), *[None] * ranks.ndim)
    first = 0
    while first < len(lower):
        part = slice(first, first + asker.chunk)  # which may change from call to call
        answers.append(asker((ranks >= lower[part][axes]) & (ranks < upper[part][axes])))
        first = part.stop
        if not callable(target) and len(answers) == 1:
            # One column is two classes: see `probabilities`.
            checked_class(target, max(2, answers[0].shape[1]))
    return np.concatenate(answers)


def checked_class(target: int, classes: int | None) -> int:
    """The class as an int in [0, classes); TargetError where it is none. `classes=None`: not known yet."""
    try:
        index = operator.index(target)
    except TypeError as error:
        raise TargetError(
            f"the target is {target!r}; expected the index of a class, or a function from probabilities (n, classes) "
            "to scores (n,)"
        ) from error
    if index < 0 or (classes is not None and index >= classes):
        known = "" if classes is None else f" to {classes - 1}, the model's last class"
        raise TargetError(f"the target is class {index}; expected a class from 0{known}")
    return index


def target_scores(chances: np.ndarray, target: Target) -> np.ndarray:
    """The target's score `(n,)` from probabilities `(n, classes)`."""
    if not callable(target):
        return chances[:, checked_class(target, chances.shape[1])].copy()
    try:
        scores = np.asarray(target(chances), dtype=np.float64)
    except InputError:
        raise
    except Exception as error:
        raise TargetError(
            f"the target function failed for probabilities of shape {chances.shape}: {type(error).__name__}: {error}; "
            f"expected values of shape ({len(chances)},). Index the classes on axis 1: lambda p: p[:, 7]"
        ) from error
    if scores.shape != (len(chances),) or not np.isfinite(scores).all():
        raise TargetError(
            f"the target function returned shape {scores.shape} for probabilities of shape {chances.shape}; expected "
            f"({len(chances)},), all finite. Index the classes on axis 1: lambda p: p[:, 7]"
        )
    return scores


def curve(counts: np.ndarray, scores: np.ndarray) -> Curve:
    """The curve of `scores` `(steps + 1,)` at `counts` `(steps + 1,)` changed pixels, the last of them all pixels."""
    shares = counts / counts[-1]
    area = float(np.sum(np.diff(shares) * (scores[1:] + scores[:-1])) / 2)
    return Curve(shares, scores, area)
