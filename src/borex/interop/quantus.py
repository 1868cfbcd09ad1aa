"""BOREx as the explanation that Quantus evaluates."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.errors import InputError
from borex.interop.single import is_single, output_target
from borex.refine import refine
from borex.settings import METHODS

# What Quantus passes to every explain_func, whether it is of use or not.
OF_QUANTUS = ("device", "softmax", "channel_first", "img_size", "nr_channels")


def explain(model: Any, inputs: np.ndarray, targets: Any, **options: Any) -> np.ndarray:
    """Refined heat maps `(n, 1, H, W)`, or `(n, 1, T, H, W)`, float32: an `explain_func` of Quantus.

        quantus.PixelFlipping()(model, x, y, explain_func=explain, explain_func_kwargs={"max_evals": 200})

    `model`: a `torch.nn.Module`, or what else both `borex.refine` and Quantus take. `inputs`: channels first.
    `targets`: a class for each; 0 of a single output is that output itself. `options`: those of `borex.refine`.
    """
    inputs = np.asarray(inputs)
    if inputs.ndim not in (4, 5):
        raise InputError(f"inputs have shape {inputs.shape}; expected (n, C, H, W) or (n, C, T, H, W)")
    options = {key: value for key, value in options.items() if key not in OF_QUANTUS}
    if options.get("method") not in METHODS:  # quantus.evaluate passes what its user calls this function
        options.pop("method", None)
    layout = "NCHW" if inputs.ndim == 4 else "NCTHW"
    if inputs.ndim == 5:
        model = _of_clips(model)
    classes = np.broadcast_to(np.asarray(targets).reshape(-1), len(inputs)).tolist()
    single = is_single(model, inputs[:1], layout)
    maps = [
        refine(model, one[None], target=output_target(target, single), layout=layout, **options).saliency
        for one, target in zip(inputs, classes, strict=True)
    ]
    return np.stack(maps)[:, None].astype(np.float32)


def _of_clips(model: Any) -> Any:
    """A module that takes clips as Quantus holds them, channels before frames; any other model as it is."""
    if not hasattr(model, "named_modules"):
        return model
    from borex.models.torch import wrap

    return wrap(model, layout="NCTHW")
