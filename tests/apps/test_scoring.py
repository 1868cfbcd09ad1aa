"""`borex score`, and the function behind it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

import borex
from borex.apps import scoring
from borex.apps.cli import main
from borex.blackbox import Model
from borex.errors import InputError, ModelError

FEW = ["--max-evals", "40"]


def write_means(path: Path, labels: list[str]) -> None:
    """A network that scores each colour's mean, with labels for its classes."""
    steps = [
        helper.make_node("ReduceMean", ["input"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Slice", ["means", "start", "end", "axis"], ["scores"]),
    ]
    values = {"start": 0, "end": len(labels), "axis": 1}
    constants = [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in values.items()]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, 24, 36])
    answer = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", len(labels)])
    graph = helper.make_graph(steps, "means", [given], [answer], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {"borex.labels": json.dumps(labels), "borex.output": json.dumps("logits")})
    onnx.save(model, path)


def test_score_prints_a_table_and_knows_what_the_map_explains(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refine", "photo.png", *FEW, "--target", "cup"]) == 0
    capsys.readouterr()
    assert main(["score", "photo.png", "borex-out/photo.npz", "--steps", "8"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "cup; baseline mean, 24 evaluations"
    rows = {line.split()[0]: float(line.split()[1]) for line in table[1:]}
    assert list(rows) == ["insertion_blur", "insertion_baseline", "deletion", "insertion_blur_minus_deletion"]
    assert rows["insertion_blur_minus_deletion"] == pytest.approx(rows["insertion_blur"] - rows["deletion"], abs=2e-3)
    assert [line.split()[2] for line in table[1:]] == ["high", "high", "low", "high"]


def test_score_of_a_plain_map_is_of_the_top_class_and_localises(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = np.zeros((100, 150), dtype=np.uint8)
    inside[20:60, 40:110] = 255
    Image.fromarray(inside).save("mask.png")
    Image.fromarray(inside).resize((30, 20)).save("map.png")
    assert main(["score", "photo.png", "map.png", "--mask", "mask.png", "--steps", "8"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "far below 1 at best" in line]
    assert [line.split()[0] for line in said] == ["mean_f1", "published_product"]
    assert main(["score", "photo.png", "map.png", "--mask", "mask.png", "--steps", "8", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["target"]["label"] == "espresso"
    assert document["evals"] == 24
    assert document["scores"]["average_precision"] > 0.95
    assert document["scores"]["pointing_game"] == 1


def test_an_explanation_is_scored_on_what_it_explains(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = Image.open("photo.png")
    photo.save("photo.jpg")
    photo.rotate(180).save("turned.png")
    photo.crop((0, 0, 150, 90)).save("lower.png")
    for name in ("photo.jpg", "photo.png"):
        assert main(["refine", name, "--max-evals", "20"]) == 0
        assert main(["score", name, "borex-out/photo.npz", "--steps", "2"]) == 0
    capsys.readouterr()
    for name in ("turned.png", "lower.png"):
        assert main(["score", name, "borex-out/photo.npz", "--steps", "2"]) == 2
        said = capsys.readouterr().err
        assert f"borex-out/photo.npz explains another picture than {name}: one of 100 x 150 pixels (height x" in said
        assert "after which borex refine named its results. Give that one" in said
        assert said.count("\n") == 1
    saved = borex.Explanation.load("borex-out/photo.npz")
    np.save("map.npy", saved.saliency)
    assert main(["score", "turned.png", "map.npy", "--steps", "2"]) == 0
    dataclasses.replace(saved, media=np.asarray(photo) / 255).save("floats.npz")  # values of the caller's own
    assert main(["score", "turned.png", "floats.npz", "--steps", "2"]) == 0
    assert main(["score", "lower.png", "floats.npz", "--steps", "2"]) == 2


def test_a_class_is_carried_to_models_that_call_it_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = {
        "one": ["cup", "mug", "bowl"],
        "same": ["cup", "mug", "jar"],
        "other": ["mug", "cup"],
        "few": ["cup", "mug"],
    }
    for name, labels in models.items():
        write_means(folder / f"{name}.onnx", labels)
    command = ["refine", "photo.png", "--model", "one.onnx", "--max-evals", "20"]
    assert main([*command, "--target", "mug", "--out", "mug"]) == 0
    assert main([*command, "--target", "mug", "--against", "bowl", "--out", "pair"]) == 0
    capsys.readouterr()
    score = ["score", "photo.png", "mug/photo.npz", "--steps", "2", "--json", "--model"]
    assert main([*score, "same.onnx"]) == 0
    assert json.loads(capsys.readouterr().out)["target"]["label"] == "mug"
    assert main([*score, "other.onnx"]) == 2
    said = capsys.readouterr().err
    assert "mug/photo.npz explains class 1, 'mug', but this model calls it 'cup'; say which class to score" in said
    assert main([*score, "other.onnx", "--target", "mug"]) == 0
    assert json.loads(capsys.readouterr().out)["target"]["index"] == 0
    score[2] = "pair/photo.npz"
    for name, found in (("same", "this model calls it 'jar'"), ("few", "this model has no such class")):
        assert main([*score, f"{name}.onnx"]) == 2
        assert f"explains class 2, 'bowl', but {found}" in capsys.readouterr().err


def bright(batch: np.ndarray) -> np.ndarray:
    share = batch[:, 3:6, 2:5].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - share, share], axis=1)


def test_a_perfect_map_beats_its_opposite_and_a_pair_is_a_difference() -> None:
    photo = np.zeros((10, 12, 3), dtype=np.uint8)
    photo[3:6, 2:5] = 255
    truth = photo[..., 0] / 255.0
    found, good = scoring.score_media(bright, photo, truth, 1, truth, baseline="black", steps=20)
    _, bad = scoring.score_media(bright, photo, -truth, 1, baseline="black", steps=20)
    assert found.index == 1
    assert good.insertion_baseline.auc > 0.95 > 0.1 > bad.insertion_baseline.auc
    assert good.localisation is not None
    assert good.localisation.average_precision == 1
    _, pair = scoring.score_media(bright, photo, truth, (1, 0), baseline="black", steps=20)
    np.testing.assert_allclose(pair.deletion.scores, 2 * good.deletion.scores - 1)
    _, half = scoring.score_media(bright, photo, truth, 1, np.repeat(np.repeat(truth, 2, 0), 2, 1), steps=20)
    assert half.localisation == good.localisation  # a mask of another size and the same shape
    with pytest.raises(InputError, match=r"the object mask has shape \(5, 12\), the media \(10, 12\)"):
        scoring.score_media(bright, photo, truth, 1, truth[::2])


def test_scoring_tells_a_failing_model_from_a_bad_input() -> None:
    def broken(batch: np.ndarray) -> np.ndarray:
        raise RuntimeError("out of memory")

    photo = np.zeros((4, 5, 3), dtype=np.uint8)
    with pytest.raises(ModelError, match="the model failed on the media: RuntimeError: out of memory"):
        scoring.score_media(broken, photo, photo[..., 0])
    with pytest.raises(InputError, match="takes 3 channels; the media has 1"):
        scoring.score_media(None, np.zeros((224, 224, 1), dtype=np.uint8), np.zeros((4, 4)))


def test_an_object_too_small_for_the_model_is_said() -> None:
    photo = np.zeros((100, 120, 3), dtype=np.uint8)
    mask = np.zeros((100, 120))
    mask[3, 4] = 1
    model = Model(bright, extent=(10, 12))
    with pytest.raises(InputError, match=r"1 pixels of \(100, 120\), is too small to be seen at the model's extent"):
        scoring.score_media(model, photo, photo[..., 0] + np.eye(100, 120), 1, mask, steps=4)


@pytest.mark.parametrize("extent", [(24, 36), (224, 336)])
def test_pointing_may_miss_by_the_same_part_of_every_size(extent: tuple[int, int]) -> None:
    height, width = extent
    mask = np.zeros(extent)
    mask[: height // 6, : width // 6] = 1
    saliency = np.zeros(extent)
    saliency[height // 6 + height // 8, 0] = 1  # an eighth of the side away: more than 15 of 224
    photo = np.zeros((*extent, 3), dtype=np.uint8)
    _, scores = scoring.score_media(bright, photo, saliency, 1, mask, steps=4)
    assert scores.localisation is not None
    assert scores.localisation.pointing_game == 0
