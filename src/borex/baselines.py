"""What is seen where a mask hides: the baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from borex.errors import InputError
from borex.layout import numbers, to_extent

Baseline = str | float | np.ndarray | Callable[[np.ndarray], np.ndarray] | tuple[Any, ...] | None
NAMES = ("blur", "soft", "mean", "black", "frozen")

# A box this wide, as a share of the shorter side of the picture, leaves colour and light and takes the shapes
# (51 pixels of 224, as in the experiments that settled it).
BLUR_SHARE = 51 / 224
# This one leaves the shapes and takes the detail (21 pixels of 224).
SOFT_SHARE = 21 / 224
FAR = 16  # beyond this no baseline belongs to media of floats in [0, 1], however bright its lights


def baseline_of(baseline: Baseline, media: np.ndarray, mean: np.ndarray | None = None) -> np.ndarray:
    """The baseline `(*extent, channels)`, in the media's dtype.

    `baseline`: "blur" (a box mean over the last two axes of the extent, which are space: no shapes), "soft" (a smaller
    box: shapes, but no detail), "mean" (the colour `mean` that the model's preprocessing subtracts; the media's own
    mean colour where that is not known), "black" (zeros), "frozen" (of a clip `(T, H, W, channels)`, its mean over time
    in every frame: motion is hidden, place is not), a number, an array that broadcasts to the media's shape, or a
    function from the media to such an array.
    Raises InputError for anything else, for "frozen" where there is no axis of time, for NaN or Inf in the result, and
    for a number or array whose range can be no range of the media (0.5 beside bytes, 128 beside floats in [0, 1]).
    """
    if callable(baseline):
        try:
            value: Any = baseline(media.copy())  # it may write into what it is given
        except Exception as error:
            raise InputError(
                f"the baseline function failed for media of shape {media.shape}: {type(error).__name__}: {error}"
            ) from error
        said = "the baseline function returned"
    elif isinstance(baseline, str):
        if baseline not in NAMES:
            raise InputError(
                f"baseline is {baseline!r}; expected one of {', '.join(map(repr, NAMES))}, a number, an array of the "
                "media's shape or a function from the media to one"
            )
        value = _named(baseline, media, mean)
        said = "the baseline is"
    else:
        value = baseline
        said = "the baseline is"
    try:
        value = np.asarray(value)
        value = value if value.dtype.kind == "f" else value.astype(np.float64)
        np.broadcast_to(value, media.shape)
    except (TypeError, ValueError) as error:
        _check_no_list(baseline)
        raise InputError(
            f"{said} {type(value).__name__} of shape {np.shape(value)}; expected a number or an array that broadcasts "
            f"to the media's shape {media.shape} (channels last)"
        ) from error
    if not (np.isfinite(value.min()) and np.isfinite(value.max())):
        raise InputError(f"{said} an array with NaN or Inf; expected finite values in the media's range")
    if not isinstance(baseline, str) and not callable(baseline):
        _check_range(value, media)
    if media.dtype.kind in "iu":
        limits = np.iinfo(media.dtype)
        value = np.rint(value).clip(limits.min, limits.max)
    return np.broadcast_to(value, media.shape).astype(media.dtype)


def _check_no_list(baseline: Any) -> None:
    """Raises InputError for a list of what are baselines themselves, where together they are none."""
    if isinstance(baseline, list) and any(isinstance(one, (str, np.ndarray)) or callable(one) for one in baseline):
        raise InputError(
            f"the baseline is a list of {len(baseline)}; expected one. Several that hide in turn go in a tuple: "
            '("blur", "mean")'
        )


def _check_range(value: np.ndarray, media: np.ndarray) -> None:
    """Raises InputError for a baseline in another range than the media, where there is no doubt: a share of 1 beside
    larger integers, what is far beyond their type, and what is far beyond floats that are shares."""
    least, most = float(value.min()), float(value.max())
    is_whole = media.dtype.kind in "iu"
    if is_whole:
        limits = np.iinfo(media.dtype)
        far = (limits.max - limits.min) / 2
        is_share = least >= 0 and most <= 1 and bool((value != np.rint(value)).any()) and bool(media.max() > 1)
        is_wrong = is_share or least < limits.min - far or most > limits.max + far
    else:
        is_wrong = bool(media.min() >= 0 and 0 < media.max() <= 1) and max(-least, most) > FAR
    if is_wrong:
        values = f"{least:g}" if least == most else f"{least:g} to {most:g}"
        raise InputError(
            f"the baseline is {values}, but the media is {media.dtype}, from {media.min()} to {media.max()}; expected "
            "the media's own range"
        )


def baselines_of(
    baseline: Baseline, media: np.ndarray, mean: np.ndarray | None = None
) -> tuple[np.ndarray, tuple[int, ...]]:
    """The baselines `(k, *extent, channels)` in the media's dtype, and their numbers in the order in which they hide.

    `baseline`: a tuple of what `baseline_of` takes, whose entries hide in turn, a repeated one more often; or one of
    it. A tuple of numbers alone is a colour, one baseline. Raises what `baseline_of` raises.
    """
    parts = baseline if isinstance(baseline, tuple) and baseline and not _is_colour(baseline) else (baseline,)
    found: list[np.ndarray] = []
    turn: list[int] = []
    named: dict[str, int] = {}  # a repeated name is made once: a blur takes its time
    for part in parts:
        if isinstance(part, str) and part in named:
            turn.append(named[part])
            continue
        values = baseline_of(part, media, mean)
        known = [number for number, other in enumerate(found) if np.array_equal(values, other)]
        turn.append(known[0] if known else len(found))
        found += [] if known else [values]
        if isinstance(part, str):
            named[part] = turn[-1]
    return np.stack(found), tuple(turn)


def fitted(baseline: Baseline, shape: tuple[int, ...], extent: tuple[int, ...]) -> Baseline:
    """A baseline, or each of a tuple, at the extent that the model takes, where it is an array, a tensor or a picture
    that broadcasts to the media's shape; others as they are."""
    if isinstance(baseline, tuple):
        return tuple(fitted(part, shape, extent) for part in baseline)
    if not (isinstance(baseline, np.ndarray) or hasattr(baseline, "detach") or hasattr(baseline, "getbands")):
        return baseline
    values, _ = numbers(baseline, "the baseline")
    if values.shape == shape[:-1]:  # grey, as media without an axis of channels
        values = values[..., None]
    is_colour = max(values.shape[-len(shape) : -1], default=1) == 1  # for all places, of whatever size
    if _broadcasts(values, shape) and not is_colour:
        return to_extent(np.broadcast_to(values, shape), extent)
    if _broadcasts(values, (*extent, shape[-1])):
        return values
    raise InputError(
        f"the baseline is {type(baseline).__name__} of shape {values.shape}; expected one that broadcasts to the "
        f"media's shape {shape} (channels last)"
    )


def _broadcasts(values: np.ndarray, shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(values.shape, shape) == shape
    except ValueError:
        return False


def usual(method: str, media: np.ndarray) -> Baseline:
    """What hides, unless the user says: of `method` "paper" the mean colour; of "field" in turn a blur that takes
    shapes, a soft one that takes detail, and the mean colour, which takes all, four, three and three times in ten; of
    media `(*extent, channels)` whose frames differ the mean over time and the mean colour.

    A map made with one fill is poor under others; docs/experiments.md has the figures. A hole that moves with an
    object, or a blur that does, moves itself: only what stands still takes the motion away.
    """
    if method == "paper":
        return "mean"
    moves = media.ndim == 4 and bool((media != media[:1]).any())
    return ("frozen", "mean") if moves else ("blur", *3 * ("soft", "mean", "blur"))


def in_turn(turn: tuple[int, ...], n: int, start: int = 0, rng: np.random.Generator | None = None) -> np.ndarray:
    """The baselines of `n` masks `(n,)`: `turn` from its place `start` on, over and over, in an order of `rng` where
    there is one, for the first half; the same again for the second, its complements. `rng`: neighbours in a Sobol
    sequence lie in opposite halves of its first axis, and Thompson masks come by size, so that in order a baseline
    would have places and sizes of its own."""
    first = np.resize(np.roll(turn, -start), (n + 1) // 2)
    return np.tile(first if rng is None else rng.permutation(first), 2)[:n]


def change_of(media: np.ndarray, baselines: np.ndarray) -> np.ndarray:
    """How much the baselines `(k, *extent, channels)` change each pixel of the media `(*extent, channels)`: float32
    `(*extent,)`, ≥ 0, the root of the mean square over channels and over baselines, each in units of its own mean."""
    total = np.zeros(media.shape[:-1], dtype=np.float64)
    for baseline in baselines:
        apart = media.astype(np.float32) - baseline
        apart *= apart
        # A product is many times as fast as a mean over an axis as short as that of colours.
        square = (apart @ np.full(media.shape[-1], 1 / media.shape[-1], np.float32)).astype(np.float64)
        total += square / max(square.mean(), np.finfo(np.float64).tiny)
    return np.sqrt(total / len(baselines)).astype(np.float32)


def checked_fills(fills: Any, n: int, n_baselines: int) -> np.ndarray:
    """Which of the baselines hides in each of `n` masks, `(n,)`; raises InputError where that is not what was given."""
    fills = np.asarray(fills)
    if fills.shape != (n,) or fills.dtype.kind not in "iu" or not ((fills >= 0) & (fills < n_baselines)).all():
        raise InputError(
            f"told fills {fills.dtype} of shape {fills.shape}; expected {n} whole numbers from 0 to {n_baselines - 1}: "
            "which baseline hides in each mask"
        )
    return fills


def _is_colour(parts: tuple[Any, ...]) -> bool:
    return all(np.ndim(part) == 0 and not isinstance(part, str) and not callable(part) for part in parts)


def _named(name: str, media: np.ndarray, mean: np.ndarray | None) -> np.ndarray:
    if name == "blur":
        return box_blur(media, BLUR_SHARE)
    if name == "soft":
        return box_blur(media, SOFT_SHARE)
    if name == "mean":
        return media.mean(axis=tuple(range(media.ndim - 1)), dtype=np.float64) if mean is None else np.asarray(mean)
    if name == "frozen":
        if media.ndim != 4:
            raise InputError(
                f'the baseline "frozen" is the mean over time, but the media has shape {media.shape}; expected a clip '
                '(T, H, W, channels). For an image take "blur", "mean" or "black"'
            )
        return media.mean(axis=0, dtype=np.float64)
    return np.zeros(())


def box_blur(media: np.ndarray, share: float) -> np.ndarray:
    """Media `(*extent, channels)` averaged, in floats, over a square box in space, the last two axes of the extent:
    `share`, in [0, 1], of the shorter of them, at least 3 pixels; the borders are mirrored."""
    from scipy.ndimage import uniform_filter1d

    # An axis of one pixel has no shapes to take, and a box of one pixel would take none.
    sides = [size for size in media.shape[-3:-1] if size > 1]
    size = max(3, round(share * min(sides, default=1)) | 1)
    wide = media.dtype.itemsize > (4 if media.dtype.kind == "f" else 2)
    blurred = np.empty(media.shape, dtype=np.float64 if wide else np.float32)
    for channel in range(media.shape[-1]):  # one at a time: the steps in between stay small
        values = media[..., channel].astype(blurred.dtype)
        for axis in (-2, -1):
            values = uniform_filter1d(values, size, axis=axis, mode="mirror")
        blurred[..., channel] = values
    return blurred
