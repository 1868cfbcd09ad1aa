"""How well a heat map finds an object whose mask is known: any extent, space-time included, and time alone.

Every score but the pointing game looks at the k most salient pixels for each k from 1 to all. Pixels that tie are taken
as one group whose hits rise evenly, so no score depends on where in the image the ties lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from borex.errors import InputError
from borex.evaluation.curves import spatial_axes
from borex.evaluation.ranking import checked_saliency, falling_order


@dataclass(frozen=True)
class Localisation:
    """Every score of a heat map against an object mask, each in [0, 1], high is good.

    1 is best of all but `mean_f1` and `published_product`, which are means over k: of the best map they are far below 1
    where the object is small (.08 and .05 where it is a hundredth of all pixels).
    `pointing_game`: whether the peak hits. `time_average_precision`, `time_pointing_game`: of the profile over time
    against the frames that the object is in; None where there is no time axis or the object is in every frame.
    """

    pointing_game: bool
    average_precision: float
    best_f1: float
    mean_f1: float
    published_product: float
    time_average_precision: float | None
    time_pointing_game: bool | None


def localisation(saliency: np.ndarray, object_mask: np.ndarray, tolerance: float = 15) -> Localisation:
    """Every score of the heat map `(*extent,)` against the bool object mask `(*extent,)`, from one sort.

    `tolerance`: of the pointing game, in pixels. Raises InputError for another shape, NaN or Inf in the heat map, a
    mask that is not bool, that is empty, or that covers everything.
    """
    saliency, object_mask = checked_pair(saliency, object_mask)
    at = _Hits.of(saliency, object_mask)
    # An image is one frame, and the object is in it: no case of its own.
    in_some_frames_only = not object_mask.any(axis=spatial_axes(saliency.ndim)).all()
    return Localisation(
        pointing_game=pointing_game(saliency, object_mask, tolerance),
        average_precision=at.average_precision(),
        best_f1=float(at.f1().max()),
        mean_f1=float(at.f1().mean()),
        published_product=float((at.precision() * at.recall()).mean()),
        time_average_precision=time_average_precision(saliency, object_mask) if in_some_frames_only else None,
        time_pointing_game=time_pointing_game(saliency, object_mask) if in_some_frames_only else None,
    )


def precision_recall(saliency: np.ndarray, object_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall `(pixels,)` of the k most salient pixels, k = 1 .. all; recall ends at 1.

    Inside a group of ties both are those expected when its pixels come in random order. Raises as `localisation`.
    """
    at = _Hits.of(*checked_pair(saliency, object_mask))
    return at.precision(), at.recall()


def average_precision(saliency: np.ndarray, object_mask: np.ndarray) -> float:
    """Sum over the distinct thresholds of precision times the gain in recall, in (0, 1].

    The same as scikit-learn's `average_precision_score`, ties included. Raises as `localisation`.
    """
    return _Hits.of(*checked_pair(saliency, object_mask)).average_precision()


def best_f1(saliency: np.ndarray, object_mask: np.ndarray) -> float:
    """The largest F1 (harmonic mean of precision and recall) of any threshold, in (0, 1]. Raises as `localisation`."""
    return float(_Hits.of(*checked_pair(saliency, object_mask)).f1().max())


def mean_f1(saliency: np.ndarray, object_mask: np.ndarray) -> float:
    """F1 of the k most salient pixels averaged over k = 1 .. all, in (0, 1); below 1 even for a perfect map.

    Raises as `localisation`.
    """
    return float(_Hits.of(*checked_pair(saliency, object_mask)).f1().mean())


def published_product(saliency: np.ndarray, object_mask: np.ndarray) -> float:
    """Recall times precision of the k most salient pixels averaged over k = 1 .. all, in (0, 1).

    What the authors of BOREx (arXiv 2210.17130) report as F: a product, not F1. Raises as `localisation`.
    """
    precision, recall = precision_recall(saliency, object_mask)
    return float((precision * recall).mean())


def pointing_game(saliency: np.ndarray, object_mask: np.ndarray, tolerance: float = 15) -> bool:
    """Whether the most salient pixel (the first, where several tie) lies on the object or at most `tolerance` from it.

    The distance is Euclidean, in pixels of the map given, over the last two axes; on the axes before them (time) the
    object must be in the same frame. Zhang et al. 2018 ("Top-down neural attention by excitation backprop", section
    5.1): their code tests whether a closed disc of radius 15 px, at the image's original size, touches the object's
    segmentation. TorchRay's disc is open: there a distance of exactly 15 is a miss. Raises as `localisation`.
    """
    saliency, object_mask = checked_pair(saliency, object_mask)
    if not tolerance >= 0:
        raise InputError(f"tolerance is {tolerance}; expected at least 0 pixels")
    peak = np.unravel_index(int(np.argmax(saliency)), saliency.shape)
    axes = spatial_axes(saliency.ndim)
    objects = np.argwhere(object_mask[peak[: axes[0]]])
    if len(objects) == 0:
        return False
    squared = ((objects - np.array(peak[axes[0] :])) ** 2).sum(axis=1)
    return bool(squared.min() <= tolerance**2)


def time_profile(saliency: np.ndarray) -> np.ndarray:
    """Mean saliency of each frame `(T,)`: the mean over the last two axes of a clip's heat map `(T, H, W)`.

    The mean, not the maximum: one bright voxel does not make a salient frame. Raises InputError for an image.
    """
    saliency = np.asarray(saliency)
    if saliency.ndim < 3:
        raise InputError(f"the heat map has shape {saliency.shape}, with no time axis; expected a clip's, (T, H, W)")
    return np.asarray(saliency.mean(axis=spatial_axes(saliency.ndim), dtype=np.float64))


def time_average_precision(saliency: np.ndarray, object_mask: np.ndarray) -> float:
    """`average_precision` over time alone: of `time_profile` against the frames in which there is any object.

    Raises InputError as `localisation`, for an image, and where the object is in every frame.
    """
    return average_precision(*_over_time(saliency, object_mask))


def time_pointing_game(saliency: np.ndarray, object_mask: np.ndarray, tolerance: int = 0) -> bool:
    """Whether the frame with the most saliency in `time_profile` (the first, where several tie) is one that the object
    is in, or at most `tolerance` frames from one. Raises InputError as `time_average_precision`."""
    profile, inside = _over_time(saliency, object_mask)
    if not tolerance >= 0:
        raise InputError(f"tolerance is {tolerance}; expected at least 0 frames")
    return bool(np.abs(np.flatnonzero(inside) - int(np.argmax(profile))).min() <= tolerance)


def _over_time(saliency: np.ndarray, object_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The profile over time and whether there is any object in each frame, both flat."""
    saliency, object_mask = checked_pair(saliency, object_mask)
    profile = time_profile(saliency)
    frames = np.asarray(object_mask.any(axis=spatial_axes(saliency.ndim)))
    if frames.all():
        raise InputError(
            f"the object is in all {frames.size} frames, so every ranking of them is perfect; expected a frame without "
            "it. Leave the clip out of this score"
        )
    return profile.ravel(), frames.ravel()


def checked_pair(saliency: np.ndarray, object_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The heat map as float64 and the bool object mask, of one shape; InputError otherwise."""
    object_mask = np.asarray(object_mask)
    if object_mask.dtype != bool:
        raise InputError(f"the object mask holds {object_mask.dtype}; expected bool (True = object): try mask > 0")
    saliency = checked_saliency(saliency, object_mask.shape, "object mask")
    if not object_mask.any() or object_mask.all():
        state = "covers every pixel" if object_mask.any() else "is empty"
        raise InputError(
            f"the object mask (shape {object_mask.shape}) {state}, so every heat map scores alike; expected some "
            "pixels of the object and some of the rest. Leave this input out of the localisation scores"
        )
    return saliency, object_mask


@dataclass(frozen=True)
class _Hits:
    """`hits` `(pixels,)` among the k most salient pixels, k = 1 .. all; the k at which groups of ties end."""

    hits: np.ndarray
    ends: np.ndarray
    n_object: int

    @classmethod
    def of(cls, saliency: np.ndarray, object_mask: np.ndarray) -> _Hits:
        order = falling_order(saliency)
        values = saliency.ravel()[order]
        hits = np.cumsum(object_mask.ravel()[order])
        ends = np.flatnonzero(np.append(values[1:] != values[:-1], True)) + 1
        even = np.interp(np.arange(1, order.size + 1), np.append(0, ends), np.append(0, hits[ends - 1]))
        return cls(even, ends, int(hits[-1]))

    def precision(self) -> np.ndarray:
        return self.hits / np.arange(1, self.hits.size + 1)

    def recall(self) -> np.ndarray:
        return self.hits / self.n_object

    def f1(self) -> np.ndarray:
        return 2 * self.hits / (np.arange(1, self.hits.size + 1) + self.n_object)

    def average_precision(self) -> float:
        # Inside a group of ties precision is not defined by a threshold: only the groups' ends count.
        at = self.ends - 1
        return float(np.sum(np.diff(self.recall()[at], prepend=0.0) * self.precision()[at]))
