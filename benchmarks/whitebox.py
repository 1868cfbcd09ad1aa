"""Which networks of torchvision the maps that look inside work for: a table, one row a network.

    python benchmarks/whitebox.py [NETWORK ...]

Weights are random (heads that torchvision fills with zeros are drawn, too, and batch norms have seen the input), one
noise input each, explained for its top class. Grad-CAM: the layer that is found and its grid. LRP: the sum of the
relevance over the output that it should be, or what has no rule.
"""

from __future__ import annotations

import argparse
import re
from typing import Any

import numpy as np
import torch
import torchvision

from borex.errors import BorexError
from borex.heatmaps import gradcam, gradcam_plus_plus, layers, lrp
from borex.models.torch import wrap

EXTENTS = {
    "vgg16": (224, 224), "resnet50": (224, 224), "densenet121": (224, 224), "mobilenet_v2": (224, 224),
    "mobilenet_v3_large": (224, 224), "efficientnet_b0": (224, 224), "convnext_tiny": (224, 224),
    "vit_b_16": (224, 224), "swin_t": (224, 224), "maxvit_t": (224, 224),
    "r3d_18": (16, 112, 112), "r2plus1d_18": (16, 112, 112), "mc3_18": (16, 112, 112), "s3d": (16, 224, 224),
    "mvit_v2_s": (16, 224, 224), "swin3d_t": (16, 112, 112),
}  # fmt: skip
MEAN, STD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)


def built(name: str, x: Any) -> Any:
    """The network with random weights: no parameter all zero, and batch norms that have seen `x`, without which values
    would shrink from layer to layer until LRP's stabiliser is larger than they are."""
    torch.manual_seed(0)
    net = torchvision.models.get_model(name, weights=None)
    for key, parameter in net.named_parameters():
        if key.endswith("weight") and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    norms = [part for part in net.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # the mean of what it sees
    with torch.no_grad():
        net.eval().requires_grad_(False)
        for norm in norms:
            norm.train()
        net(torch.cat([x, x.flip(-1)]))
    return net.eval()


def row(name: str) -> str:
    """The network's row of the table."""
    extent = EXTENTS[name]
    media = np.random.default_rng(0).integers(0, 256, (*extent, 3)).astype(np.uint8)
    x = torch.from_numpy((media / 255 - MEAN[0]).astype(np.float32) / STD[0]).movedim(-1, 0)[None]
    net = built(name, x)
    box = wrap(net, mean=MEAN, std=STD, layout="NCTHW" if len(extent) == 3 else "NCHW")
    layout = "THWC" if len(extent) == 3 else "HWC"
    seen: list[str] = []
    find = layers.find

    def watched(calls: Any, value: Any, size: Any) -> Any:
        layer, reshape = find(calls, value, size)
        call = next(call for call in calls if call.layer is layer)
        seen.append(f"`{call.name}`, {' x '.join(map(str, reshape(call.output).shape[2:]))}")
        return layer, reshape

    layers.find = watched
    cells = []
    try:
        for make in (gradcam, gradcam_plus_plus):
            try:
                heat_map = make(box, media, layout=layout)
                assert heat_map.shape == extent
                flat = "" if heat_map.max() > 0 else " (flat)"
                cells.append((seen[-1] if make is gradcam else "yes") + flat)
            except BorexError as error:
                cells.append(f"no: {error}"[:90])
    finally:
        layers.find = find
    try:
        relevance = lrp(box, media, layout=layout)
        with torch.no_grad():
            output = float(net(x).max())
        cells.append(f"{relevance.sum() / output:.4f}")
    except BorexError as error:
        cells.append("no rule for " + re.split(r"no rule for |\. It knows", str(error))[1])
    return f"| {name} | {' x '.join(map(str, extent))} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(EXTENTS))
    print("| network | input | Grad-CAM: layer, grid | Grad-CAM++ | LRP: relevance / output |")
    print("|---" * 5 + "|")
    for name in parser.parse_args().networks:
        print(row(name), flush=True)


if __name__ == "__main__":
    main()
