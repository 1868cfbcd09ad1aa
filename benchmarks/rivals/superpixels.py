"""LIME and KernelSHAP by Captum, over superpixels (SLIC; supervoxels of a clip)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from borex.baselines import Baseline
from borex.evaluation.benchmark import Task

SEGMENTS = 50


def lime(task: Task, *, segments: int = SEGMENTS, baseline: Baseline = "mean") -> np.ndarray:
    """The weights of LIME (Ribeiro et al. 2016), set as in its authors' package: ridge regression with alpha 1, a
    kernel of width 0.25 of the cosine distance, each segment kept in half of the samples, all in the first."""
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr import Lime

    def make(ask: Any) -> Any:
        return Lime(ask, SkLearnRidge(alpha=1.0), similarity_func=_closeness, perturb_func=_halves)

    return _explained(task, segments, baseline, make)


def kernelshap(task: Task, *, segments: int = SEGMENTS, baseline: Baseline = "mean") -> np.ndarray:
    """The weights of KernelSHAP (Lundberg & Lee 2017)."""
    from captum.attr import KernelShap

    return _explained(task, segments, baseline, KernelShap)


def _explained(task: Task, segments: int, baseline: Baseline, make: Any) -> np.ndarray:
    """The weight of its segment at every pixel. What Captum sees as the input is a vector of segments, 1 = kept."""
    import torch

    labels = segmented(task.media, segments)
    n = int(labels.max()) + 1

    def ask(kept: Any) -> Any:
        return torch.from_numpy(task.scores(_Segments(kept.numpy() > 0.5, labels), baseline)).float()

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        found = make(ask).attribute(torch.ones(1, n), n_samples=task.budget, perturbations_per_eval=32)
    return np.asarray(found.numpy()[0][labels], dtype=np.float64)


def _closeness(_: Any, __: Any, kept: Any, **___: Any) -> Any:
    """The weight of a sample: exp(-d^2 / width^2) under a root, d the cosine distance to the vector that keeps all."""
    distance = 1 - (kept.float().mean(dim=1) ** 0.5)
    return ((-(distance**2)) / 0.25**2).exp() ** 0.5


def _halves(_: Any, *, num_interp_features: int, **__: Any) -> Iterator[Any]:
    import torch

    yield torch.ones(1, num_interp_features, dtype=torch.long)
    while True:
        yield torch.randint(0, 2, (1, num_interp_features))


def segmented(media: np.ndarray, segments: int) -> np.ndarray:
    """Labels `(*extent,)` from 0 of about so many superpixels (supervoxels of a clip)."""
    from skimage.segmentation import slic

    labels: np.ndarray = slic(media, n_segments=segments, compactness=10, channel_axis=-1, start_label=0)
    return labels


class _Segments:
    """Masks that keep or hide whole segments, drawn when a slice of them is looked at."""

    def __init__(self, kept: np.ndarray, labels: np.ndarray) -> None:
        self._kept, self._labels = kept, labels

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, part: slice) -> np.ndarray:
        return self._kept[part][:, self._labels]
