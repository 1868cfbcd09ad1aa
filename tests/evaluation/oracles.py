"""Second implementations, slow and obvious, and models whose answers are known in closed form."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from scipy.ndimage import gaussian_filter

Scores = Callable[[np.ndarray], np.ndarray]


def two_classes(chance: np.ndarray) -> np.ndarray:
    return np.stack([1 - chance, chance], axis=1)


def all_visible(media: np.ndarray, needed: np.ndarray) -> Scores:
    """Class 1 is certain where every needed pixel is the media's own, and impossible otherwise."""

    def scores(batch: np.ndarray) -> np.ndarray:
        same = (batch == media).all(axis=-1) | ~needed
        return two_classes(same.reshape(len(batch), -1).all(axis=1).astype(float))

    return scores


def share_visible(media: np.ndarray, needed: np.ndarray) -> Scores:
    """The chance of class 1 is the share of the needed pixels that are the media's own."""

    def scores(batch: np.ndarray) -> np.ndarray:
        same = (batch == media).all(axis=-1) & needed
        return two_classes(same.reshape(len(batch), -1).sum(axis=1) / needed.sum())

    return scores


def weighted(weights: np.ndarray, seen: list[int] | None = None) -> Scores:
    """Logits of five classes (never all in [0, 1]), one input at a time so that no bit depends on the batch.

    `seen` collects the lengths of the batches.
    """

    def scores(batch: np.ndarray) -> np.ndarray:
        if seen is not None:
            seen.append(len(batch))
        return np.array([[(c + 1) * float((x * weights).sum()) / weights.size - 2 for c in range(5)] for x in batch])

    return scores


def falling_positions(saliency: np.ndarray) -> list[tuple[int, ...]]:
    """Every pixel's index, the most salient first; ties in the order of reading."""
    return sorted(np.ndindex(saliency.shape), key=lambda at: -float(saliency[at]))


def curve_scores(
    scores: Scores, begin: np.ndarray, end: np.ndarray, saliency: np.ndarray, target: int, steps: int
) -> tuple[list[float], list[float]]:
    """Shares and softmax scores as pixels of `begin` turn, one after the other, into those of `end`."""
    now, order = begin.copy(), falling_positions(saliency)
    shares, values, done = [], [], 0
    for step in range(steps + 1):
        while done < len(order) * step // steps:
            now[order[done]] = end[order[done]]
            done += 1
        logits = scores(now[None])[0]
        powers = [np.exp(v) for v in logits]
        shares.append(done / len(order))
        values.append(powers[target] / sum(powers))
    return shares, values


def trapezoid(x: list[float], y: list[float]) -> float:
    return sum((x[i + 1] - x[i]) * (y[i] + y[i + 1]) / 2 for i in range(len(x) - 1))


def rise_authors_blur(image: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """What the RISE authors' code does to one image `(H, W, C)`: normalise, a zero-padded 11 x 11 convolution, back."""
    dot = np.zeros((11, 11))
    dot[5, 5] = 1
    kernel = gaussian_filter(dot, 5)
    padded = np.pad((image - mean) / std, ((5, 5), (5, 5), (0, 0)))
    blurred = np.empty(image.shape)
    for y, x, c in np.ndindex(image.shape):
        blurred[y, x, c] = (padded[y : y + 11, x : x + 11, c] * kernel).sum()
    return blurred * std + mean


def orders_of_ties(saliency: np.ndarray) -> Iterator[tuple[int, ...]]:
    """Every order of the flat pixels in which saliency never rises: all the ways to break the ties."""
    flat = saliency.ravel()
    for order in itertools.permutations(range(flat.size)):
        if all(flat[a] >= flat[b] for a, b in itertools.pairwise(order)):
            yield order


def expected_precision_recall(saliency: np.ndarray, object_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall at each k, averaged over every way to break the ties."""
    inside = object_mask.ravel()
    hits = np.mean([np.cumsum(inside[list(order)]) for order in orders_of_ties(saliency)], axis=0)
    return hits / np.arange(1, inside.size + 1), hits / inside.sum()


def threshold_f1(saliency: np.ndarray, object_mask: np.ndarray) -> float:
    """The best F1 of `saliency >= threshold` over every threshold that occurs."""
    best = 0.0
    for threshold in np.unique(saliency):
        found = saliency >= threshold
        hits = int((found & object_mask).sum())
        best = max(best, 2 * hits / int(found.sum() + object_mask.sum()))
    return best


def disc_touches(saliency: np.ndarray, object_mask: np.ndarray, tolerance: float) -> bool:
    """Whether a closed disc around the peak touches the object, in the peak's own frame."""
    peak = falling_positions(saliency)[0]
    return any(
        object_mask[at] and at[:-2] == peak[:-2] and (at[-2] - peak[-2]) ** 2 + (at[-1] - peak[-1]) ** 2 <= tolerance**2
        for at in np.ndindex(object_mask.shape)
    )


def enumerated_signed_rank_p(differences: list[float]) -> float:
    """One-sided p of the signed-rank test: every assignment of signs, mean ranks for ties, zeros left out."""
    kept = [d for d in differences if d != 0]
    sizes = [abs(d) for d in kept]
    ranks = [sum(b < a for b in sizes) + (sum(b == a for b in sizes) + 1) / 2 for a in sizes]
    observed = sum(r for r, d in zip(ranks, kept, strict=True) if d > 0)
    every = itertools.product((0, 1), repeat=len(kept))
    sums = [sum(r for r, on in zip(ranks, signs, strict=True) if on) for signs in every]
    return sum(s >= observed for s in sums) / len(sums)
