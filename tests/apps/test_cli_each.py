"""`borex refine-each`: many inputs, one folder of results."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

import borex
from borex.apps.cli import main

FEW = ["--max-evals", "20"]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_is_written_a_bad_one_is_reported_and_a_second_run_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = folder / "photos", folder / "out"
    photos.mkdir()
    shutil.copy("photo.png", photos / "b.png")
    (photos / "a.png").write_bytes(b"no picture")
    (photos / "notes.txt").write_text("not media")
    assert main(["refine-each", "photos", "--out", "out", *FEW]) == 2
    printed = capsys.readouterr()
    assert "borex: photos/a.png: " in printed.err
    assert "photos/b.png: espresso" in printed.out
    assert sorted(path.name for path in out.iterdir()) == ["b.npz", "b_overlay.png", "b_panel.png", "summary.csv"]
    rows = {row["input"]: row for row in table(out / "summary.csv")}
    assert sorted(rows) == ["a.png", "b.png"]
    assert rows["a.png"]["error"]
    assert rows["b.png"]["evals"] == "20"
    alone = borex.refine(None, photos / "b.png", max_evals=20)
    assert (borex.Explanation.load(out / "b.npz").saliency == alone.saliency).all()

    shutil.copy("photo.png", photos / "a.png")
    before = (out / "b.npz").stat().st_mtime_ns
    assert main(["refine-each", "photos", "--out", "out", *FEW]) == 0
    assert "1 of 2 are in out already" in capsys.readouterr().err
    assert (out / "b.npz").stat().st_mtime_ns == before
    assert [row["input"] for row in table(out / "summary.csv")] == ["a.png", "b.png", "a.png"]


def test_what_is_no_folder_of_media_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    for given, said in (("photo.png", "is no folder"), ("nowhere", "is no folder"), ("empty", "holds no picture")):
        assert main(["refine-each", given, *FEW]) == 2
        assert said in capsys.readouterr().err
    shutil.copy("photo.png", folder / "photo.jpg")
    assert main(["refine-each", ".", *FEW]) == 2
    assert "would both be written as photo.npz; rename one" in capsys.readouterr().err
