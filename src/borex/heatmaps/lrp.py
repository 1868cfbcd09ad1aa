"""Layer-wise relevance propagation (Bach et al. 2015; composites: Montavon et al. 2019), by the package zennit."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np

from borex.errors import ModelError
from borex.heatmaps.whitebox import Opened, needs, opened
from borex.layout import resize
from borex.targets import Target, TargetLike


def lrp(
    model: Any,
    media: Any,
    target: TargetLike | Target = None,
    *,
    composite: Any = None,
    layout: str = "auto",
) -> np.ndarray:
    """The relevance `(*extent,)` of an image or a clip, float64, signed, summed over channels. At the size that the
    model sees, it sums to the model's raw output for the class, less what units that only their bias makes active take
    with them: biases pass nothing on (of residual networks nothing, of depthwise ones a part).

    `model`, `media`, `target`, `layout`: as in `borex.heatmaps.gradcam`. `composite`: a `zennit.composites.Composite`;
    None: the flat rule for the first layer, z+ for convolutions, epsilon for linear layers ("epsilon plus flat"), with
    batch norms merged into the layers before them and sums split in proportion (zennit's norm rule).

    The module is left as it was. Raises InputError, which names the layer, where no rule fits: attention, layer
    norms, scripted and traced code, and a torch.autograd.Function of the network's own have none.
    """
    with opened("LRP", model, media, target, layout) as box:
        needs("LRP", "zennit", _package)
        from borex.heatmaps import rules

        x = box.x.detach().requires_grad_()
        if composite is None:
            with rules.suited(box.module, lambda: box.answer(box.x)) as between:
                relevance = _propagated(box, x, between)
        else:
            with composite.context(box.module):
                relevance = _propagated(box, x)
    if not np.isfinite(relevance).all():
        raise ModelError("the relevance holds NaN or Inf; expected finite numbers. Check the module's parameters")
    return resize(relevance, box.extent)


def _package() -> Any:
    import zennit

    return zennit


def _propagated(box: Opened, x: Any, between: Any = None) -> np.ndarray:
    """The relevance of every input value, summed over channels: what zennit's rules make of the gradient. `between`:
    a `rules.Between`, entered for the way forward alone, as zennit computes on the way back; None: no such rules."""
    import torch

    with between or nullcontext():
        scores = box.answer(x)
    if between is not None:
        between.check(scores)
    # What is propagated is the share that each output has in the value: a, and -b of a pair.
    (share,) = torch.autograd.grad(box.value(scores), scores, retain_graph=True)
    (slope,) = torch.autograd.grad(scores, x, share * scores.detach())
    axes = [axis for axis in box.layout if axis != "N"]
    relevance: np.ndarray = slope[0].sum(axes.index("C")).double().cpu().numpy()
    return relevance
