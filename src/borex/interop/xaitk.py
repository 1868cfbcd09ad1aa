"""BOREx as a saliency generator of xaitk-saliency."""

from __future__ import annotations

from typing import Any

import numpy as np

from borex.blackbox import Model
from borex.errors import InputError, MissingExtraError
from borex.refine import refine

try:
    from xaitk_saliency import GenerateImageClassifierBlackboxSaliency
except ImportError as error:
    raise MissingExtraError("borex.interop.xaitk", "xaitk-saliency", "interop") from error


class RefinedSaliency(GenerateImageClassifierBlackboxSaliency):  # type: ignore[misc]
    """Refined heat maps of every class of a black box, from the same evaluations."""

    def __init__(
        self, max_evals: int = 200, method: str = "field", baseline: str | float | None = None, seed: int = 0,
        batch_size: int = 32,
    ) -> None:  # fmt: skip
        """The options of `borex.refine`. The classifier's confidences are probabilities, as xaitk-saliency has them."""
        self._options = {
            "max_evals": max_evals, "method": method, "baseline": baseline, "seed": seed, "batch_size": batch_size,
        }  # fmt: skip

    def _generate(self, ref_image: np.ndarray, blackbox: Any) -> np.ndarray:
        """Maps `(classes, H, W)`, float32, in the order of the black box's labels, each scaled to [-1, 1] by its
        largest magnitude (a flat one is all zero)."""
        labels = list(blackbox.get_labels())
        if len(labels) < 2:
            raise InputError(f"the black box has {len(labels)} label; expected at least two, each with a confidence")

        def scores(batch: np.ndarray) -> np.ndarray:
            images = (image if ref_image.ndim == 3 else image[..., 0] for image in batch)
            return np.array([[float(found[label]) for label in labels] for found in blackbox.classify_images(images)])

        first = refine(
            Model(scores, labels=list(map(str, labels)), output="probabilities"),
            ref_image,
            layout="HWC" if ref_image.ndim == 3 else "HW",
            **self._options,  # type: ignore[arg-type]
        )
        # Of the top class: where the first of many labels is as good as impossible, nothing would move it.
        maps = [first.for_target(index) for index in range(len(labels))]
        return np.stack([_scaled(explanation.saliency) for explanation in maps])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same generator, as smqtk's configuration has them."""
        return dict(self._options)


def _scaled(values: np.ndarray) -> np.ndarray:
    largest = float(np.abs(values).max())
    return (values / largest if largest > 0 else values).astype(np.float32)
