"""Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) and Grad-CAM++ (Chattopadhay et al. 2018, arXiv 1710.11063), by
the package grad-cam."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.errors import InputError
from borex.heatmaps import layers
from borex.heatmaps.whitebox import Opened, needs, opened
from borex.layout import resize
from borex.targets import Target, TargetLike


def gradcam(
    model: Any,
    media: Any,
    target: TargetLike | Target = None,
    layer: Any = None,
    *,
    reshape: layers.Reshape | None = None,
    layout: str = "auto",
) -> np.ndarray:
    """The Grad-CAM map `(*extent,)`, float64, ≥ 0, of an image or a clip: raw, from the layer's grid brought to the
    media's size; all zero where no channel speaks for the class.

    `model`: a `torch.nn.Module`, or `borex.models.torch.wrap` of one; `media`, `layout`: as in `borex.refine`, with
    the preprocessing of the model. `target`: a class index, a label, a pair for a against b; None: the top class.
    `layer`: a submodule or its dotted path; None: the last one that lies on a grid over the input (`layers.find`).
    `reshape`: from the layer's output to `(1, channels, *grid)`; None: found.

    The module is left as it was. Raises InputError where there is no module, no such layer or class.
    """
    return _cam("GradCAM", model, media, target, layer, reshape, layout)


def gradcam_plus_plus(
    model: Any,
    media: Any,
    target: TargetLike | Target = None,
    layer: Any = None,
    *,
    reshape: layers.Reshape | None = None,
    layout: str = "auto",
) -> np.ndarray:
    """The Grad-CAM++ map `(*extent,)`, float64, ≥ 0; everything else as in `gradcam`."""
    return _cam("GradCAMPlusPlus", model, media, target, layer, reshape, layout)


def _cam(
    kind: str,
    model: Any,
    media: Any,
    target: TargetLike | Target,
    layer: Any,
    reshape: layers.Reshape | None,
    layout: str,
) -> np.ndarray:
    name = {"GradCAM": "Grad-CAM", "GradCAMPlusPlus": "Grad-CAM++"}[kind]
    with opened(name, model, media, target, layout) as box:
        packaged = needs(name, "grad-cam", _package)
        x = box.x.detach().requires_grad_()
        with layers.recorded(box.module) as calls:
            value = box.value(box.answer(x))
        extent = _extent(box)
        if layer is None:
            place, arrange = layers.find(calls, value, extent)
        else:
            place, arrange = layers.named(box.module, layer, calls, extent, reshape)
        del calls, value  # the graph of the search
        cam = getattr(packaged, kind)(_scores_only(box), [place], lambda tensor: _checked(arrange(tensor), extent))
        seen = cam.activations_and_grads
        try:
            box.value(seen(x)).backward()
            activations, slopes = (seen.activations[0].numpy(), seen.gradients[0].numpy())
            # Neither map changes where slopes grow and activations shrink alike, but the package's alphas have 1e-6 in
            # their denominators, and slopes behind a mean over many cells are smaller than that.
            size = float(np.abs(slopes).max()) or 1.0
            heat_map = cam.get_cam_image(x, place, [], activations * size, slopes / size)[0]
        finally:
            seen.release()  # the package's own `with` would swallow an IndexError
    return resize(np.maximum(heat_map.astype(np.float64), 0), box.extent)


def _package() -> Any:
    import pytorch_grad_cam

    return pytorch_grad_cam


def _extent(box: Opened) -> tuple[int, ...]:
    """The extent of the tensor that the module is fed."""
    return tuple(size for axis, size in zip(box.layout, box.x.shape, strict=True) if axis not in "NC")


def _checked(tensor: Any, extent: tuple[int, ...]) -> Any:
    if tensor.ndim != len(extent) + 2:
        raise InputError(
            f"the layer's output came as shape {tuple(tensor.shape)}; expected (1, channels, *grid) with a grid of "
            f"{len(extent)} axes. Give reshape=, a function that makes it so"
        )
    return tensor.float()


def _scores_only(box: Opened) -> Any:
    """The module as the package wants it: scores out, and a parameter that says which device it is on."""
    import torch

    class Scores(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.place = torch.nn.Parameter(torch.empty(0, device=box.x.device))
            self.explained = box.module

        def forward(self, x: Any) -> Any:
            return box.answer(x)

    return Scores()
