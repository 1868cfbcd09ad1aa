"""A benchmark runs every row once, whatever happens in between."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from borex.errors import FileError, InputError
from borex.evaluation import score
from borex.evaluation.benchmark import map_path, read_config, read_table, run
from borex.evaluation.benchmark.report import seeds
from borex.evaluation.benchmark.table import open_table
from borex.media.read import read_image
from tests.evaluation.benchmark.parts import EXTENT, HERE, method, model, run_in, write_config


def test_every_row_is_there_with_the_scores_of_its_map(few: Path) -> None:
    rows = run_in(few)
    assert len(rows) == 3 * 2 * 2
    assert {row.key for row in rows} == {
        (f"p{i}", "bright", name, budget, 0) for i in range(3) for name in ("perfect", "noise") for budget in (10, 20)
    }
    assert read_table(few / "out" / "table.csv") == rows
    for row in rows:
        media = read_image(few / f"{row.input}.png")
        saliency = np.load(map_path(few / "out", row.key)).astype(np.float64)
        inside = read_image(few / f"m{row.input[1]}.png")[..., 0] > 127
        expected = score(model(), media, saliency, 1, baseline=0.0, object_mask=inside, steps=10).as_dict()
        assert row.scores == pytest.approx(expected)
        assert (row.status, row.target, row.p_target) == ("done", 1, pytest.approx(0.98))
        assert row.evals == (1 if row.method == "perfect" else 0)
        if row.method == "perfect":
            np.testing.assert_array_equal(saliency, media[..., 0] == 255)
            assert row.scores["average_precision"] == 1
            assert row.seconds is not None
            assert row.model_seconds is not None
            assert 0 < row.model_seconds <= row.seconds


def test_the_map_that_is_kept_is_the_one_that_is_scored(few: Path) -> None:
    rows = run_in(few, method("close") + method("huge"), {"budgets": "[5]"})
    row = rows[0]
    kept = np.load(map_path(few / "out", row.key))
    assert len(np.unique(kept)) < kept.size / 10
    inside = read_image(few / "m0.png")[..., 0] > 127
    expected = score(model(), read_image(few / "p0.png"), kept, 1, baseline=0.0, object_mask=inside, steps=10)
    assert row.scores == expected.as_dict()
    assert "holds NaN or Inf" in rows[1].error


def test_a_run_that_goes_on_gives_the_rows_that_the_first_gave(few: Path) -> None:
    """Of a clip with an object in some frames, too, which has scores of its own."""
    for name in ("clip", "masks"):
        (few / name).mkdir()
    for i in range(3):
        (few / f"p{i}.png").rename(few / "clip" / f"{i}.png")
        Image.fromarray(read_image(few / f"m{i}.png") * (i == 1)).save(few / "masks" / f"{i}.png")
    (few / "labels.csv").write_text("file,class_index,mask\nclip,1,masks\n")
    (row,) = run_in(few, method("noise"), {"budgets": "[5]"})
    assert "time_average_precision" in row.scores
    assert run_in(few, method("noise"), {"budgets": "[5]"}) == [row]


def test_inputs_share_no_random_numbers_and_a_seed_repeats(few: Path) -> None:
    noise = method("noise")
    rows = run_in(few, noise, {"budgets": "[5]", "seeds": "[0, 4]"})
    maps = {row.key: np.load(map_path(few / "out", row.key)) for row in rows}
    assert len({one.tobytes() for one in maps.values()}) == 6
    again = run(read_config(write_config(few, noise, budgets="[5]", seeds="[4]")), few / "again")
    for row in again:
        np.testing.assert_array_equal(np.load(map_path(few / "again", row.key)), maps[row.key])


def test_a_method_has_seeds_of_its_own(few: Path) -> None:
    """A method that draws nothing need not run twice."""
    rows = run_in(few, method("noise", seeds=[0, 3]) + method("perfect"), {"budgets": "[5]"})
    found = sorted((row.method, row.seed) for row in rows if row.input == "p0")
    assert found == [("noise", 0), ("noise", 3), ("perfect", 0)]
    assert seeds(read_config(few / "few.toml")) == "0; noise 0, 3"


def test_what_is_there_is_not_made_again(few: Path) -> None:
    log = few / "log"
    once = method("perfect", log=str(log))
    run_in(few, once, {"budgets": "[10]"})
    table = (few / "out" / "table.csv").read_bytes()
    assert log.read_text() == "x" * 3
    rows = run_in(few, once, {"budgets": "[10]"})
    assert log.read_text() == "x" * 3
    assert len(rows) == 3
    assert (few / "out" / "table.csv").read_bytes() == table
    assert len(run_in(few, once, {"budgets": "[10, 11]"})) == 6
    assert log.read_text() == "x" * 6
    assert (few / "out" / "table.csv").read_bytes().startswith(table)


def test_a_failure_is_a_row_and_is_made_again_on_request(few: Path) -> None:
    methods = method("perfect") + method("greedy") + method("broken") + method("misshapen")
    rows = {(row.method, row.input): row for row in run_in(few, methods, {"budgets": "[10]"})}
    assert [rows[name, "p0"].status for name in ("perfect", "greedy", "broken", "misshapen")] == ["done"] + [
        "failed"
    ] * 3
    assert "asked for 11 evaluations; the budget is 10" in rows["greedy", "p1"].error
    assert rows["broken", "p1"].error == "RuntimeError: no luck, none at all"
    assert "shape (40, 30)" in rows["misshapen", "p2"].error
    assert f"expected finite values {EXTENT}" in rows["misshapen", "p2"].error
    table = (few / "out" / "table.csv").read_text()
    assert "no luck, none at all" in table
    assert len(table.splitlines()) == 1 + 12
    run_in(few, methods, {"budgets": "[10]"})
    assert (few / "out" / "table.csv").read_text() == table
    run_in(few, methods, {"budgets": "[10]"}, retry=True)
    assert len((few / "out" / "table.csv").read_text().splitlines()) == 1 + 12 + 9
    assert len(read_table(few / "out" / "table.csv")) == 12


def test_what_a_method_says_is_kept(few: Path) -> None:
    row = run_in(few, method("opposite"), {"budgets": "[10]"})[0]
    assert json.loads(read_table(few / "out" / "table.csv")[0].facts) == {"note": 'so "it" says', "level": 0.25}
    assert row.scores["average_precision"] < 0.2


def test_what_a_method_says_must_fit_into_a_table(few: Path) -> None:
    rows = run_in(few, method("talkative") + method("unclear") + method("noise"), {"budgets": "[5]"})
    assert [row.status for row in rows[:3]] == ["failed", "failed", "done"]
    assert "are 200011 characters of JSON; expected at most 10000" in rows[0].error
    assert "make no JSON" in rows[1].error
    assert read_table(few / "out" / "table.csv") == rows


def test_an_input_taken_for_another_class_is_skipped_where_that_is_asked(few: Path) -> None:
    table = few / "labels.csv"
    table.write_text(table.read_text().replace("p1.png,1", "p1.png,0"))
    rows = run_in(few, method("noise"), {"budgets": "[10]", "correct_only": "true"})
    assert [row.status for row in rows] == ["done", "skipped", "done"]
    assert (rows[1].target, rows[1].scores) == (0, {})
    kept = run(read_config(write_config(few, method("noise"), budgets="[10]")), few / "all")
    assert [row.status for row in kept] == ["done"] * 3


def test_a_class_the_model_has_not_is_said_in_the_row(few: Path) -> None:
    table = few / "labels.csv"
    table.write_text(table.read_text().replace("p1.png,1", "p1.png,7"))
    row = run_in(few, method("noise"), {"budgets": "[10]"})[1]
    assert row.status == "failed"
    assert "the class of p1.png is 7; the model 'bright' has 2 classes" in row.error


def test_without_a_class_it_is_the_models_own(few: Path) -> None:
    (few / "labels.csv").write_text("file\np0.png\n")
    row = run_in(few, method("noise"), {"budgets": "[10]"})[0]
    assert (row.target, row.kind) == (1, "input")
    assert "average_precision" not in row.scores


def test_a_name_with_blanks_is_made_once(few: Path) -> None:
    (few / "p0.png").rename(few / "a  b .png")
    (few / "labels.csv").write_text("file,class_index,kind\na  b .png,1,of  two\n")
    rows = run_in(few, method("noise"), {"budgets": "[5]"})
    assert read_table(few / "out" / "table.csv") == rows
    run_in(few, method("noise"), {"budgets": "[5]"})
    assert len((few / "out" / "table.csv").read_text().splitlines()) == 2


def test_no_map_takes_the_place_of_another(few: Path) -> None:
    (few / "p0.png").rename(few / "a b.png")
    (few / "p1.png").rename(few / "a_b.png")
    (few / "labels.csv").write_text("file\na b.png\n")
    run_in(few, method("noise"), {"budgets": "[5]"})
    for table in ("file\na_b.png\na b.png\n", "file\na_b.png\n"):
        (few / "labels.csv").write_text(table)
        with pytest.raises(InputError, match=r"'a b' and 'a_b' .* a_b__bright__noise__5__0\.npy\. Rename"):
            run_in(few, method("noise"), {"budgets": "[5]"})


def test_a_name_too_long_for_the_file_of_a_map_is_said_before_anything_is_run(few: Path) -> None:
    log, name = few / "log", "x" * 240
    (few / "p2.png").rename(few / f"{name}.png")
    (few / "labels.csv").write_text(f"file,class_index\np0.png,1\n{name}.png,1\n")
    with pytest.raises(InputError, match=f"too long a name for a file. Rename {name}.png"):
        run_in(few, method("perfect", log=str(log)), {"budgets": "[5]"})
    assert not log.exists()
    longest = "x" * (255 - len("__bright__noise__5__0.npy"))
    (few / f"{name}.png").rename(few / f"{longest}.png")
    (few / "labels.csv").write_text(f"file,class_index\n{longest}.png,1\n")
    assert [row.error for row in run_in(few, method("noise"), {"budgets": "[5]"})] == [""]


def test_two_runs_cannot_write_one_table(few: Path) -> None:
    pytest.importorskip("fcntl")
    (few / "out").mkdir()
    with open_table(few / "out" / "table.csv"), pytest.raises(FileError, match="another run is writing"):
        run_in(few)


def test_mistakes_are_found_before_anything_is_run(few: Path) -> None:
    with pytest.raises(InputError, match="has no 'absent'"):
        run_in(few, f'[[methods]]\nname = "a"\nrun = "{HERE}:absent"\n')
    with pytest.raises(InputError, match="processes is 0"):
        run_in(few, processes=0)
    (few / "file").write_text("")
    with pytest.raises(FileError, match="cannot make the folder"):
        run(read_config(few / "few.toml"), few / "file" / "out")
    assert not (few / "out").exists()


@pytest.mark.parametrize(
    ("changes", "text"), [({"mask": "p1.png"}, "p1.png is a picture in colour"), ({"baseline": '"frozen"'}, "frozen")]
)
def test_what_is_wrong_with_an_input_is_found_before_a_method_costs_anything(
    few: Path, changes: dict[str, str], text: str
) -> None:
    log, table = few / "log", few / "labels.csv"
    table.write_text(table.read_text().replace("m1.png", changes.pop("mask", "m1.png")))
    rows = run_in(few, method("perfect", log=str(log)), {"budgets": "[5]", **changes})
    assert text in rows[1].error
    assert len(log.read_text() if log.exists() else "") == sum(row.status == "done" for row in rows)


def test_a_model_is_asked_in_its_own_words(few: Path) -> None:
    """Logits are told from probabilities once, not in every batch."""
    (few / "logits.py").write_text(
        "import numpy as np\ndef make():\n    return lambda b: np.stack([np.zeros(len(b)),"
        " (b[..., 0] > 200).reshape(len(b), -1).sum(axis=1) / 24.0], axis=1)\n"
    )
    config = write_config(few, method("noise"), budgets="[5]")
    config.write_text(config.read_text().replace(f"{HERE}:model", "logits:make"))
    row = run(read_config(config), few / "out")[0]
    assert row.p_target == pytest.approx(1 / (1 + np.exp(-4)))


def test_a_model_that_is_none_is_said_before_anything_is_run(few: Path) -> None:
    path = write_config(few, method("noise"))
    path.write_text(path.read_text().replace(f'make = "{HERE}:model"', 'make = "lite7"'))
    with pytest.raises(InputError, match="the model is 'lite7'; expected lite0, motionnet, frame-mean"):
        run(read_config(path), few / "out")
    assert not (few / "out").exists()


def test_what_was_replaced_between_two_runs_is_read_anew(few: Path) -> None:
    """In one process: the file of an input, its mask, and what makes the model."""
    (few / "labels.csv").write_text("file,class_index,mask\np0.png,1,m0.png\n")
    config = read_config(write_config(few, method("perfect"), budgets="[5]"))
    run(config, few / "first")
    there = read_image(few / "m0.png")
    for name, picture in (("p0.png", read_image(few / "p0.png")), ("m0.png", there)):
        Image.fromarray(picture[::-1]).save(few / name)
    (row,) = run(config, few / "second")
    np.testing.assert_array_equal(np.load(map_path(few / "second", row.key)), there[::-1, :, 0] > 0)
    assert row.scores["average_precision"] == 1


def test_a_model_file_that_was_replaced_is_another_model(few: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")

    def write(least: float) -> None:
        """Class 1 with the mean of the input, but at least `least`."""
        from onnx import TensorProto, helper, numpy_helper

        known = [("least", np.array(least, np.float32)), ("one", np.array(1.0, np.float32))]
        nodes = [
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("ReduceMean", ["mean"], ["grey"], axes=[1], keepdims=1),
            helper.make_node("Max", ["grey", "least"], ["p"]),
            helper.make_node("Sub", ["one", "p"], ["q"]),
            helper.make_node("Concat", ["q", "p"], ["y"], axis=1),
        ]
        graph = helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, *EXTENT])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
            [numpy_helper.from_array(value, name) for name, value in known],
        )  # fmt: skip
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(made, few / "net.onnx")

    config = write_config(few, method("noise"), budgets="[5]")
    config.write_text(config.read_text().replace(f"{HERE}:model", "net.onnx"))
    for least in (0.75, 0.875):
        write(least)
        (row, *_) = run(read_config(config), few / str(least))
        assert row.p_target == least
