"""RISE (Petsiuk, Das, Saenko 2018, arXiv 1806.07421): scores under random smooth masks, averaged."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.baselines import Baseline
from borex.blackbox import Output
from borex.errors import InputError
from borex.heatmaps.asked import Asked, Question, alone
from borex.kernels import apply_product
from borex.targets import Target, TargetLike


class RiseMasks:
    """Random smooth masks `(n, *extent)`, float32 in [0, 1], drawn when a slice of them is looked at.

    A coarse grid of kept (probability `p`) and hidden cells, enlarged linearly and shifted by less than a cell, as in
    the authors' code: 8 x 8 visible cells at most, `cells` of them on every axis.
    """

    def __init__(
        self, n: int, extent: tuple[int, ...], rng: np.random.Generator, *, p: float = 0.5, cells: int = 7
    ) -> None:
        self.extent, self.p = extent, p
        self._cells = tuple(min(cells, size) for size in extent)
        self._kept = rng.random((n, *(c + 1 for c in self._cells))) < p
        self._shift = rng.random((n, len(extent)))

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.extent)

    def __getitem__(self, part: slice) -> np.ndarray:
        masks = np.empty((len(self._kept[part]), *self.extent), dtype=np.float32)
        for row, (kept, shift) in enumerate(zip(self._kept[part], self._shift[part], strict=True)):
            masks[row] = apply_product(self._weights(shift), kept[None].astype(np.float32))[0]
        return masks

    def _weights(self, shift: np.ndarray) -> list[np.ndarray]:
        """For each axis the linear weights `(size, cells + 1)` of the coarse grid's values at every pixel."""
        weights = []
        for size, cells, moved in zip(self.extent, self._cells, shift, strict=True):
            moved = moved if size > 1 else 0.0  # an axis of one pixel shows one cell, not a mixture of two
            at = np.clip((np.arange(size) + 0.5) * cells / size + moved - 0.5, 0, cells)
            weights.append(np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(cells + 1))).astype(np.float32))
        return weights

    def heat_map(self, values: np.ndarray, chunk: int = 16, *, debiased: bool = False) -> np.ndarray:
        """The heat map `(*extent,)` from the scores `(n,)` under the masks: sum of score times mask over `n p`.

        `debiased`: of score times (mask - `p`) instead, so that a place that happened to be seen more often than others
        gains nothing by that (Hatakeyama et al. 2020, section 3.2); signed, zero where nothing matters.
        """
        total = np.zeros(self.extent)
        for start in range(0, len(self), chunk):
            part = slice(start, start + chunk)
            total += np.tensordot(values[part], self[part], axes=1)
        if debiased:
            total -= self.p * np.sum(values)
        return total / (len(self) * self.p)


def rise(
    model: Any,
    media: Any,
    target: TargetLike | Target = None,
    *,
    n: int = 1000,
    p: float = 0.5,
    debiased: bool = False,
    baseline: Baseline = "mean",
    batch_size: int = 32,
    layout: str = "auto",
    output: Output = "auto",
    seed: int = 0,
) -> Asked:
    """RISE's map, its masks and their scores, from `n` inputs of any black box: the mean of the probability of the
    class over the masks that keep a place; of a clip with masks that are smooth in time as well.

    `model`, `media`, `target`, `baseline`, `batch_size`, `layout`, `output`, `seed`: as in `borex.refine`, but one
    baseline, no tuple of several. `p`: the probability that a cell is kept. `debiased`: see `RiseMasks.heat_map`. Masks
    are drawn as they are needed, never all at once.
    """
    if not 0 < p < 1:
        raise InputError(f"p is {p}; expected a probability above 0 and below 1, 0.5 as its authors have it")

    def make(question: Question) -> tuple[np.ndarray, RiseMasks, np.ndarray]:
        return rise_map(question, p, debiased)

    return alone(make, model, media, target, n, baseline, batch_size, layout, output, seed)


def rise_map(question: Question, p: float = 0.5, debiased: bool = False) -> tuple[np.ndarray, RiseMasks, np.ndarray]:
    """The map `(*extent,)`, the masks and the scores `(n, classes)`, from `question.n` inputs."""
    masks = RiseMasks(question.n, question.media.shape[:-1], np.random.default_rng([question.seed, 1]), p=p)
    scores = question.ask(masks)
    return masks.heat_map(question.value(scores), debiased=debiased), masks, scores
