"""What a TOML file may say, and what is said of mistakes in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from borex.errors import FileError, InputError
from borex.evaluation.benchmark import InputSet, MethodSpec, ModelSpec, read_config

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
GOOD = """
title = "A title"
budgets = [100, 50]
seeds = [0, 3]
baseline = 12.5
ours = "a"
pairs = [["a@100", "b@8000"]]
[[inputs]]
table = "some/labels.csv"
where = { top1 = 1, kind = "photo" }
n = 4
[[models]]
name = "lite0"
[[models]]
name = "mine"
make = "model.onnx"
mean = 3
[[methods]]
name = "a"
run = "field"
baseline = "mean"
[[methods]]
name = "b"
run = "rise"
budgets = [8000]
noise = 0.5
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "some-name.toml"
    path.write_text(text)
    return path


def test_everything_is_read(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, GOOD))
    assert (config.name, config.title, config.folder) == ("some-name", "A title", tmp_path)
    assert config.inputs == (InputSet(tmp_path / "some/labels.csv", {"top1": "1", "kind": "photo"}, (0, 1), 4),)
    assert config.models == (ModelSpec("lite0", "lite0"), ModelSpec("mine", "model.onnx", {"mean": 3}))
    assert config.methods == (
        MethodSpec("a", "field", {"baseline": "mean"}),
        MethodSpec("b", "rise", {}, 0.5, (8000,)),
    )
    assert (config.budgets, config.seeds, config.steps, config.baseline) == ((100, 50), (0, 3), 56, 12.5)
    assert (config.ours, config.pairs) == ("a", (("a@100", "b@8000"),))


def test_tables_of_inputs_can_lie_elsewhere(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, GOOD), tmp_path / "data")
    assert config.inputs[0].table == tmp_path / "data" / "some/labels.csv"


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("budgets = [100, 50]", "", "budgets is missing"),
        ("budgets = [100, 50]", "budgets = 100", "budgets is 100; expected a list of whole numbers"),
        ("budgets = [100, 50]", "budgets = [0]", "budgets[0] is 0; expected a whole number, at least 1"),
        ("budgets = [100, 50]", "budgets = [7, 7]", "expected each number once"),
        ("seeds = [0, 3]", "seeds = [true]", "seeds[0] is True; expected a whole number, at least 0"),
        ("title", "titel", "titel is not known here; expected name, inputs, models"),
        ("baseline = 12.5", "baseline = []", "baseline is []; expected str or int or float"),
        ("baseline = 12.5", 'baseline = "blurr"', "baseline is 'blurr'; expected one of 'blur', 'soft', 'mean'"),
        ("baseline = 12.5", "baseline = 0.5", "the baseline is 0.5, but the media is uint8, from 0 to 255"),
        ("baseline = 12.5", "baseline = 1000", "the baseline is 1000, but the media is uint8, from 0 to 255"),
        ("baseline = 12.5", "baseline = nan", "NaN or Inf; expected finite values"),
        ("n = 4", "m = 4", "inputs[0].m is not known here; expected table, where, rows, n"),
        ("n = 4", "n = 0", "inputs[0].n is 0"),
        ("n = 4", "rows = 2", "inputs[0].rows is 2; expected [start, step], such as [1, 2]: the rows 1, 3, 5 …"),
        ("n = 4", "rows = [0, 0]", "inputs[0].rows[1] is 0; expected a whole number, at least 1"),
        ("where = { top1 = 1, kind = \"photo\" }", "where = 1", "inputs[0].where is 1; expected columns"),
        ('table = "some/labels.csv"', "", "inputs[0].table is missing"),
        ('name = "mine"', 'name = "lite0"', "models has two of the name 'lite0'"),
        ('name = "b"', 'name = "a b"', "methods[1].name is 'a b'; expected letters, digits"),
        ('name = "b"', "", "methods[1].name is missing"),
        ("noise = 0.5", "noise = 2", "methods[1].noise is 2; expected a level from 0 (none) to 1"),
        ('ours = "a"', 'ours = "c"', "ours is 'c'; expected one of the methods a, b"),
        ('[["a@100", "b@8000"]]', '[["a@100"]]', "pairs[0] is ['a@100']; expected two methods with budgets"),
        ('[["a@100", "b@8000"]]', '[["a@100", "b@100"]]', "pairs[0] names 'b@100', which is not run"),
        ("[[models]]", "[[model]]", "model is not known here"),
        ('table = "some/labels.csv"', "table = 5", "inputs[0].table is 5; expected str"),
        ("noise = 0.5", 'initial = { run = "rise" }', "methods[1].initial.budget is missing"),
        ("noise = 0.5", 'initial = { run = "rise", budget = 0 }', "methods[1].initial.budget is 0; expected a whole"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, text: str) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(InputError, match=re.escape(text)) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("baseline", ['"blur"', '"soft"', '"mean"', '"black"', '"frozen"', "0", "255", "127.5"])
def test_every_baseline_is_one(tmp_path: Path, baseline: str) -> None:
    read_config(written(tmp_path, GOOD.replace("baseline = 12.5", f"baseline = {baseline}")))


def test_what_is_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"some-name.toml is no TOML file: .*line 1"):
        read_config(written(tmp_path, "a = = 1"))
    with pytest.raises(FileError, match="there is no file"):
        read_config(tmp_path / "absent.toml")


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_benchmark_of_the_project_can_be_read(path: Path) -> None:
    config = read_config(path)
    assert config.title
    assert config.text
