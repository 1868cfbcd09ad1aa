"""What benchmarks/evidence.py keeps of a run, and what benchmarks/low_quality.py draws."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from borex.evaluation.benchmark import Row, read_config, read_table, run
from borex.evaluation.benchmark.methods import find_function
from borex.evaluation.benchmark.table import open_table
from tests.evaluation.benchmark.parts import method, write_config, write_inputs

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Runs the benchmark and the script; the names of the files that it wrote."""
    run(read_config(folder / "few.toml"), folder / "out")
    given = ["evidence.py", str(folder / "few.toml"), str(folder / "out"), str(folder / "docs")]
    monkeypatch.setattr(sys, "argv", given)
    find_function("evidence:main", BENCHMARKS)()
    return {path.name for path in (folder / "docs").iterdir()}


def test_rows_page_and_curves(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(few, method("noise") + method("perfect", budgets=[4]), budgets=[2, 4], ours='"noise"')
    pictures = {
        f"few-bright-{score}.svg" for score in ("insertion_blur_minus_deletion", "deletion", "average_precision")
    }
    assert kept(few, monkeypatch) == {"few.csv", "few.md", *pictures}
    page = (few / "docs" / "few.md").read_text(encoding="utf-8")
    assert all(f"({picture})" in page for picture in pictures)
    assert "| noise | 2 |" in page
    assert len(read_table(few / "docs" / "few.csv")) == 9


def test_a_cell_over_fewer_inputs_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_inputs(tmp_path, 6)
    table = tmp_path / "labels.csv"
    table.write_text(table.read_text().replace("m1.png", ""))
    write_config(tmp_path, method("noise") + method("perfect"), budgets=[4], ours='"noise"')
    kept(tmp_path, monkeypatch)
    lines = (tmp_path / "docs" / "few.md").read_text(encoding="utf-8").splitlines()
    mean, test = (
        next(line for line in lines if line.startswith(start)) for start in ("| perfect", "| noise 4 against")
    )
    for line in (mean, test):
        assert line.endswith(" | 6 |")
        assert [cell.endswith(" (5) ") for cell in line.split("|")[2:-2]].count(True) == 3
    assert " | **1.000** (5) | " in mean


def test_a_mean_of_nothing_is_a_point_of_the_curve(tmp_path: Path) -> None:
    """benchmarks/low_quality.py draws a score of exactly 0 as any other."""
    table = tmp_path / "t.csv"
    with open_table(table) as file:
        for noise in (0, 50, 80, 100):
            file.append(Row("p", "", "m", f"rise-{noise}", 9, 0, "done", {"deletion": 0.0 if noise == 80 else 0.5}))
    found = find_function("low_quality:lines", BENCHMARKS)(table)
    assert found == {("rise", 9, "deletion"): [0.5, 0.5, 0.0, 0.5]}


def test_without_masks_and_at_one_budget_each(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = few / "labels.csv"
    table.write_text("file,class_index\n" + "".join(f"p{i}.png,1\n" for i in range(3)))
    write_config(few, method("noise", budgets=[2]) + method("perfect", budgets=[4]), budgets=[2, 4])
    assert kept(few, monkeypatch) == {"few.csv", "few.md"}
    assert "average precision" not in (few / "docs" / "few.md").read_text(encoding="utf-8")
