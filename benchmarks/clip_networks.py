"""Every clip network of torchvision, and VideoMAE, TimeSformer and ViViT, through refine: random weights, what it took.

    python benchmarks/clip_networks.py [NAME ...]

Prints a line of the table in docs/clips.md for each: input, what was said to the adapter, evaluations, seconds. Needs
torch, torchvision and transformers. Random weights show shapes, axes and preprocessing, and nothing about maps.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import torch

import borex
from borex.models.torch import wrap

EVALS = 20
TORCHVISION = {
    "r3d_18": (8, 64, 64), "r2plus1d_18": (8, 64, 64), "mc3_18": (8, 64, 64), "s3d": (16, 224, 224),
    "swin3d_t": (8, 64, 64), "mvit_v2_s": (16, 224, 224),
}  # fmt: skip
TRANSFORMERS = {
    "VideoMAE": {"patch_size": 16, "tubelet_size": 2}, "Timesformer": {"patch_size": 16},
    "Vivit": {"tubelet_size": [2, 16, 16]},
}  # fmt: skip


def of_torchvision(name: str) -> tuple[Any, tuple[int, ...], str]:
    from torchvision.models import get_model, get_model_weights

    preset = get_model_weights(name).DEFAULT.transforms()
    extent = TORCHVISION[name]
    module = get_model(name, weights=None)
    return wrap(module, preprocess=preset, extent=extent, output="logits"), extent, "its preset, extent"


def of_transformers(name: str) -> tuple[Any, tuple[int, ...], str]:
    import transformers

    config = getattr(transformers, f"{name}Config")(
        image_size=64, num_frames=8, hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96,
        num_labels=5, **TRANSFORMERS[name],
    )  # fmt: skip
    processor = getattr(transformers, "VivitImageProcessor" if name == "Vivit" else "VideoMAEImageProcessor")()
    module = getattr(transformers, f"{name}ForVideoClassification")(config)
    return wrap(module, preprocess=processor), (8, 64, 64), "its processor"


def main() -> None:
    names = sys.argv[1:] or [*TORCHVISION, *TRANSFORMERS]
    clip = np.random.default_rng(0).integers(0, 256, (24, 90, 120, 3), dtype=np.uint8)
    print("| network | input | said | evaluations | seconds |\n| --- | --- | --- | --- | --- |")
    for name in names:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            model, extent, said = (of_torchvision if name in TORCHVISION else of_transformers)(name)
        assert model.extent == extent
        begun = time.perf_counter()
        found = borex.refine(model, clip, target=1, max_evals=EVALS, batch_size=4)
        seconds = time.perf_counter() - begun
        assert found.saliency.shape == clip.shape[:-1]
        assert found.evals == EVALS
        assert np.ptp(found.saliency) > 0
        print(f"| {name} | {extent} | {said} | {found.evals} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
