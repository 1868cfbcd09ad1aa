"""Segments of an image (superpixels) or a clip (supervoxels) by SLIC, and masks that are unions of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.errors import InputError
from borex.heatmaps.whitebox import needs

MOST_TRIES = 8


def segments(media: np.ndarray, n: int) -> np.ndarray:
    """Labels `(*extent,)`, integers from 0 without gaps, of about `n` connected segments of media
    `(*extent, channels)`, alike in colour (SLIC, Achanta et al. 2012; for clips over time as well)."""
    slic = needs("superpixels", "scikit-image", _slic)
    values = media.astype(np.float64)
    low, high = values.min(), values.max()
    values = (values - low) / (high - low) if high > low else np.zeros_like(values)
    # Lab is for three channels that are colours; of others the values themselves say what is alike. Texture would fall
    # to crumbs that SLIC then sweeps together, so where too few segments are left it counts less, and place more.
    compactness = 10.0 if media.shape[-1] == 3 else 0.1
    for _ in range(MOST_TRIES):
        labels = slic(values, n_segments=n, compactness=compactness, start_label=0, channel_axis=-1)
        if len(np.unique(labels)) >= max(2, n / 2):
            break
        compactness *= 4
    return compact(labels)


def compact(labels: Any) -> np.ndarray:
    """The same segments with labels from 0 without gaps; raises InputError for fewer than two."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iub":
        raise InputError(f"the segments have dtype {labels.dtype}; expected whole numbers, one for each segment")
    found, numbered = np.unique(labels, return_inverse=True)
    if len(found) < 2:
        raise InputError("there is a single segment, so nothing to compare; expected at least two")
    return numbered.reshape(labels.shape)


class SegmentMasks:
    """Bool masks `(n, *extent)` made of whole segments, which exist only where a slice of them is looked at."""

    def __init__(self, kept: np.ndarray, labels: np.ndarray) -> None:
        """`kept`: bool `(n, segments)`; `labels`: `(*extent,)`."""
        self.segments, self.labels = kept, labels

    def __len__(self) -> int:
        return len(self.segments)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.labels.shape)

    @property
    def dtype(self) -> np.dtype[np.bool_]:
        return np.dtype(bool)

    def __getitem__(self, part: slice) -> np.ndarray:
        return self.segments[part][:, self.labels]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or bool, copy=False)


def _slic() -> Any:
    from skimage.segmentation import slic

    return slic
