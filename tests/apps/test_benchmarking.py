"""`borex benchmark`: what it prints, and that the project's own quick benchmark runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from borex.apps.cli import main
from borex.evaluation.benchmark import map_path, read_config, read_table, run
from tests.evaluation.benchmark.parts import method, write_config, write_inputs

QUICK = Path(__file__).parents[2] / "benchmarks" / "quick.toml"


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_inputs(tmp_path, 6)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_prints_the_means_and_the_failures(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_config(few, method("perfect") + method("noise") + method("broken"), budgets="[20, 10]")
    assert main(["benchmark", "few.toml"]) == 1  # as rows failed
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert lines[0] == "bright"
    assert [line.split()[:2] for line in lines[2:6]] == [
        [name, budget] for budget in ("10", "20") for name in ("noise", "perfect")
    ]
    rows = read_table(few / "borex-out" / "few" / "table.csv")
    perfect = [row.scores["deletion"] for row in rows if row.method == "perfect" and row.budget == 10]
    assert f"{np.mean(perfect):.3f}" in lines[3]
    assert lines[3].split()[-1] == "6"
    assert "deletion: low is good" in said.out
    assert "failed: broken at 20 on p0: RuntimeError: no luck, none at all" in said.out
    assert "failed: 7 more, see the table" in said.out


def test_a_mean_over_fewer_inputs_says_so(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = few / "labels.csv"
    table.write_text(table.read_text().replace("m1.png", ""))
    write_config(few, method("perfect"), budgets="[10]")
    assert main(["benchmark", "few.toml"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[2].split()[-3:] == ["1.000", "(5)", "6"]
    assert "means over n inputs, or (n); deletion: low is good" in said


def test_inputs_that_were_skipped_are_counted(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = few / "labels.csv"
    table.write_text(table.read_text().replace(".png,1,", ".png,0,"))
    write_config(few, method("perfect"), budgets="[10]", correct_only="true")
    assert main(["benchmark", "few.toml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "skipped: 6 of 6 rows, as the model takes the input for another class"


def test_json_is_one_document(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_config(few, budgets="[10]", ours='"perfect"')
    assert main(["benchmark", "few.toml", "--out", "there", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["rows"] == {"done": 12, "failed": 0, "skipped": 0}
    found = {one["score"]: one for one in document["comparisons"]}
    assert found["average_precision"]["result"]["n"] == 6
    assert found["average_precision"]["result"]["p"] == 1 / 64
    assert found["deletion"]["result"]["median"] > 0
    assert Path(document["files"]["table"]) == Path("there/table.csv")
    first = read_table("there/table.csv")[0]
    assert map_path("there", first.key).exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["absent.toml"], "there is no file absent.toml"),
        (["few.toml", "--data", "nowhere"], "there is no file nowhere/labels.csv"),
        (["few.toml", "--processes", "0"], "processes is 0; expected a whole number"),
    ],
)
def test_mistakes_are_one_line(few: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str) -> None:
    write_config(few)
    assert main(["benchmark", *arguments]) == 2
    said = capsys.readouterr()
    assert text in said.err
    assert said.err.count("\n") == 1


def test_the_quick_benchmark_of_the_project_runs(tmp_path: Path) -> None:
    """With fewer inputs, budgets and steps: the whole takes a minute."""
    config = read_config(QUICK)
    fewer = replace(config, budgets=(24,), steps=4, inputs=(replace(config.inputs[0], n=2),))
    rows = run(fewer, tmp_path)
    assert [(row.method, row.status, row.error) for row in rows] == [
        (method.name, "done", "") for _ in range(2) for method in config.methods
    ]


def test_a_run_in_which_ours_failed_has_its_means_and_its_page(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_config(few, method("noise") + method("broken"), budgets="[20]", ours='"broken"')
    assert main(["benchmark", "few.toml"]) == 1
    assert "noise" in capsys.readouterr().out
    assert (few / "borex-out" / "few" / "report.html").exists()


def test_the_page_says_the_command_that_was_typed(few: Path) -> None:
    write_config(few, budgets="[10]")
    assert main(["benchmark", "./few.toml", "--data", ".", "--out", "there is"]) == 0
    assert (
        "borex benchmark few.toml --data . --out &#39;there is&#39;" in (few / "there is" / "report.html").read_text()
    )
