"""What can be said of an ONNX file on the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import borex
from borex.apps.cli import main
from borex.media.read import read_image
from borex.models.onnx import wrap

FEW = ["--max-evals", "24"]
SAID = ["--model", "means.onnx", "--mean", "0.4,0.5,0.6", "--std", "0.1", "--output", "logits"]


@pytest.fixture
def network(folder: Path) -> Path:
    """A network that was trained on normalised pictures, and whose file does not say so: each colour's mean."""
    steps = [helper.make_node("ReduceMean", ["input"], ["scores"], axes=[2, 3], keepdims=0)]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, 24, 36])
    answer = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph(steps, "means", [given], [answer])
    path = folder / "means.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_what_is_said_of_a_file_is_what_wrap_is_told(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refine", "photo.png", *SAID, *FEW]) == 0
    found = borex.Explanation.load("borex-out/photo.npz")
    model = wrap(network, mean=[0.4, 0.5, 0.6], std=0.1, output="logits")
    expected = borex.refine(model, read_image("photo.png"), max_evals=24)
    assert found.score == expected.score
    assert np.array_equal(found.saliency, expected.saliency)
    assert main(["score", "photo.png", "borex-out/photo.npz", *SAID, "--steps", "4"]) == 0
    plain = borex.refine(wrap(network, output="logits"), read_image("photo.png"), max_evals=24)
    assert plain.score != expected.score


def test_each_of_a_folder_is_fed_so_and_the_summary_says_it(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = network.parent / "photos"
    photos.mkdir()
    (network.parent / "photo.png").rename(photos / "photo.png")
    assert main(["refine-each", "photos", *SAID, *FEW, "--out", "out"]) == 0
    expected = borex.refine(wrap(network, mean=[0.4, 0.5, 0.6], std=0.1, output="logits"), photos / "photo.png",
                            max_evals=24)  # fmt: skip
    assert np.array_equal(borex.Explanation.load("out/photo.npz").saliency, expected.saliency)
    with open("out/summary.csv") as file:
        (row,) = csv.DictReader(file)
    assert "output logits, mean [0.4, 0.5, 0.6], std [0.1]" in row["settings"]
    assert main(["refine-each", "photos", *SAID[:-2], "--output", "logits", "--std", "1", *FEW, "--out", "out"]) == 2
    assert "made with other settings" in capsys.readouterr().err
    assert main(["refine-each", "photos", "--output", "logits", *FEW, "--out", "other"]) == 2
    assert "--output is of an ONNX file" in capsys.readouterr().err
    assert not Path("other").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "means.onnx", "--mean", "grey"], "--mean is 'grey'; expected a number, or one a channel"),
        (["--model", "means.onnx", "--output", "odds"], "output is 'odds'; expected one of"),
        (["--mean", "0.5"], "--mean is of an ONNX file; give the file with --model"),
        (["--model", "motionnet", "--std", "0.5"], "--std is of an ONNX file"),
    ],
)
def test_what_cannot_be_said(
    network: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["refine", "photo.png", *arguments]) == 2
    assert says in capsys.readouterr().err
