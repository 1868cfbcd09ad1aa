"""A model with one output, as other libraries count its classes."""

from __future__ import annotations

from typing import Any

from borex.blackbox import Asker
from borex.heatmaps.asked import ends_of
from borex.layout import to_channels_last, to_extent
from borex.models import as_model


def output_target(target: Any, is_single: bool) -> Any:
    """The target as `borex.refine` counts. Elsewhere 0 is the only target that a single output has, the output itself;
    here it is the second of two classes, and 0 is all else."""
    return 1 if is_single and (target is None or target == 0) else target


def is_single(model: Any, media: Any, layout: str) -> bool:
    """Whether a model gives one score an input; asks it about the media, once. `media`: as in `borex.refine`."""
    box = as_model(model)
    shown = to_channels_last(media, layout)
    working = to_extent(shown, box.extent or shown.shape[:-1])
    return Asker(box, working, working)(ends_of(working.shape[:-1])[:1]).shape[1] == 1
