"""Tiny classifiers with known answers: each class sees a weighted mean of every channel, weights differ by place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = 4
EXTENT = (6, 5)
CLIP = (7, 6, 5)
MEAN, STD = np.array([0.5, 0.4, 0.3]), np.array([0.25, 0.2, 0.5])
DTYPES = {
    "uint8": TensorProto.UINT8,
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "float64": TensorProto.DOUBLE,
    "int32": TensorProto.INT32,
}


def ramp(extent: tuple[int, ...]) -> np.ndarray:
    """A weight for every place, no two alike."""
    return (1 + np.arange(np.prod(extent)).reshape(extent) / 7).astype(np.float32)


def weights(channels: int) -> np.ndarray:
    return np.random.default_rng(channels).normal(size=(channels, CLASSES)).astype(np.float32)


def logits(x: np.ndarray) -> np.ndarray:
    """What every one of them answers for `(n, *extent, channels)`, after preprocessing: the oracle."""
    extent = x.shape[1:-1]
    seen = (x * ramp(extent)[..., None]).reshape(len(x), -1, x.shape[-1]).mean(axis=1)
    return seen @ weights(x.shape[-1])


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def normalised(media: np.ndarray, scale: float = 255.0) -> np.ndarray:
    return (media / scale - MEAN) / STD


def media(n: int, extent: tuple[int, ...] = EXTENT, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *extent, channels), dtype=np.uint8)


def write(
    path: Path,
    layout: str = "NCHW",
    *,
    batch: int | str = "n",
    extent: tuple[int, ...] = EXTENT,
    channels: int = 3,
    dtype: str = "float32",
    is_open: bool = False,
    normalises: bool = False,
    answers: str = "logits",
    metadata: dict[str, Any] | None = None,
    declared: list[Any] | None = None,
) -> Path:
    """An ONNX file. `is_open`: its extent is not stated. `normalises`: `(x / 255 - MEAN) / STD` is inside.

    `answers`: "logits", "probabilities", "features first" or "label first", where the scores are the second output.
    """
    ours = layout.replace("C", "") + "C"
    order = [layout.index(axis) for axis in ours]
    sizes: dict[str, Any] = {"N": batch, "C": channels} | dict(zip(ours[1:-1], extent, strict=True))
    if is_open:
        sizes |= {axis: axis.lower() for axis in ours[1:-1]}
    constants = {
        "ramp": ramp(extent)[..., None],
        "weights": weights(channels),
        "mean": (255 * MEAN[:channels]).astype(np.float32),
        "std": (255 * STD[:channels]).astype(np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["input"], ["moved"], perm=order),
        helper.make_node("Cast", ["moved"], ["x0"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["x0", "mean"], ["x1"]),
        helper.make_node("Div", ["x1", "std"], ["x2"]),
        helper.make_node("Mul", ["x2" if normalises else "x0", "ramp"], ["x3"]),
        helper.make_node("ReduceMean", ["x3"], ["features"], axes=list(range(1, len(layout) - 1)), keepdims=0),
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    if not normalises:
        del nodes[2:4], constants["mean"], constants["std"]
    if answers != "probabilities":
        del nodes[-1]
    score = "probabilities" if answers == "probabilities" else "logits"
    outputs = [helper.make_tensor_value_info(score, TensorProto.FLOAT, [batch, CLASSES])]
    if answers == "features first":
        nodes.append(helper.make_node("Unsqueeze", ["features", "axis"], ["maps"]))
        constants["axis"] = np.array([2])
        outputs.insert(0, helper.make_tensor_value_info("maps", TensorProto.FLOAT, [batch, channels, 1]))
    if answers == "label first":
        nodes.append(helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=1))
        outputs.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, [batch, 1]))
    taken = helper.make_tensor_value_info("input", DTYPES[dtype], declared or [sizes[axis] for axis in layout])
    graph = helper.make_graph(
        nodes, "tiny", [taken], outputs, [numpy_helper.from_array(value, name) for name, value in constants.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {key: json.dumps(value) for key, value in (metadata or {}).items()})
    onnx.save(model, path)
    return path
