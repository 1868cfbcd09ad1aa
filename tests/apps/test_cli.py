"""The command `borex`: what it prints where, and what it writes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import borex
from borex.apps.cli import main
from borex.apps.commands import app
from borex.media.read import read_image
from tests.apps.conftest import PHOTO

FEW = ["--max-evals", "40"]
COMMANDS = ["benchmark", "refine", "refine-each", "score"]


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, its output piped."""
    command = [sys.executable, "-m", "borex.apps.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def write_benchmark(folder: Path) -> None:
    """A benchmark of two methods on the photo of the example, in quick.toml and photos/."""
    (folder / "photos").mkdir()
    shutil.copy(PHOTO, folder / "photos")
    (folder / "photos" / "labels.csv").write_text("file,class_index\ncoffee.jpg,967\n")
    (folder / "quick.toml").write_text(
        'budgets = [40]\nsteps = 6\n[[inputs]]\ntable = "labels.csv"\n[[models]]\nname = "lite0"\n'
        '[[methods]]\nname = "field"\n[[methods]]\nname = "rise"\n'
    )


def test_version_is_quick_and_needs_no_typer(folder: Path) -> None:
    code = "import sys; from borex.apps.cli import main; main(['--version']); print(sorted(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    version, modules = said.split("\n", 1)
    assert version == f"borex {borex.__version__}"
    assert "'numpy'" in modules  # the list is one of modules
    for heavy in ("typer", "scipy.linalg", "onnxruntime", "matplotlib", "PIL"):
        assert f"'{heavy}'" not in modules


def test_version_after_other_options_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version", "--help"]) == 0
    assert capsys.readouterr().out == f"borex {borex.__version__}\n"


def test_without_a_command_the_help_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf"^  {name} ", shown, re.MULTILINE) for name in COMMANDS)
    assert sorted(info.name for info in app.registered_commands) == COMMANDS


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=["borex", *COMMANDS])
def test_every_help_has_an_example_that_runs(folder: Path, command: list[str]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0
    _, example = shown.output.split("Example: borex ")
    arguments = shlex.split(re.sub(r"--max-evals\s+\d+", "", example))
    shutil.copy(PHOTO, "photo.jpg")
    if arguments[0] == "score":
        assert main(["refine", "photo.jpg", *FEW]) == 0
        arguments += ["--steps", "6"]
    elif arguments[0] == "benchmark":
        write_benchmark(folder)
    elif arguments[0] == "refine-each":
        (folder / "photos").mkdir()
        shutil.copy("photo.png", "photos")
        arguments += FEW
    else:
        arguments += FEW
    assert main(arguments) == 0


def test_the_help_says_that_numbers_with_commas_are_one_colour() -> None:
    shown = " ".join(CliRunner().invoke(app, ["refine", "--help"]).output.split())
    assert "numbers alone (0,128,255) are one colour" in shown


def test_refine_writes_three_files_and_says_nothing_on_stderr_in_a_pipe(folder: Path) -> None:
    done = run("refine", "photo.png", *FEW)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "espresso: score" in done.stdout
    assert "40 evaluations" in done.stdout
    out = folder / "borex-out"
    assert sorted(path.name for path in out.iterdir()) == ["photo.npz", "photo_overlay.png", "photo_panel.png"]
    assert all(os.path.join("borex-out", path.name) in done.stdout for path in out.iterdir())
    assert read_image(out / "photo_overlay.png").shape == (100, 150, 3)
    explanation = borex.Explanation.load(out / "photo.npz")
    assert explanation.saliency.shape == (100, 150)
    assert explanation.evals == 40


def test_results_of_another_input_are_replaced_with_a_word(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few, made = ["--max-evals", "20"], Path("borex-out/photo.npz")
    for _ in range(2):
        assert main(["refine", "photo.png", *few]) == 0
        assert capsys.readouterr().err == ""
    Image.open("photo.png").rotate(180).save("photo.webp", lossless=True)
    assert main(["refine", "photo.webp", *few]) == 0
    assert capsys.readouterr().err == f"borex: replaces {made}, which explains another input\n"
    made.write_bytes(b"PK\x03\x04 and no more")
    assert main(["refine", "photo.webp", *few]) == 0
    assert capsys.readouterr().err == f"borex: replaces {made}, which does not say what it explains\n"
    assert borex.Explanation.load(made).evals == 20


def test_json_is_one_document_that_says_what_was_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["refine", "photo.png", *FEW, "--seed", "3", "--out", "a/b", "--initial", "rise", "--json"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert said.err == ""
    document = json.loads(said.out)
    explanation = borex.Explanation.load(document["files"]["explanation"])
    assert document["target"] == {"index": 967, "label": "espresso", "against": None}
    assert (document["evals"], document["seed"], document["method"]) == (40, 3, "field")
    assert document["score"] == pytest.approx(explanation.score)
    assert explanation.check is not None
    assert document["check"]["chosen"] == explanation.check.chosen
    assert document["trust"]["std"] > 0
    assert all(Path(path).parent == Path("a/b") for path in document["files"].values())


@pytest.mark.parametrize("name", ["lime", "shap"])
def test_maps_by_name(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refine", "photo.png", *FEW, "--initial", name]) == 0
    capsys.readouterr()
    written = borex.Explanation.load("borex-out/photo.npz")
    same = borex.refine(None, read_image("photo.png"), name, max_evals=40)
    np.testing.assert_array_equal(written.initial, same.initial)
    assert np.ptp(written.initial) > 0


def test_options_reach_the_library(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--target", "espresso", "--against", "923", "--method", "paper", "--baseline", "90", "--batch-size", "7"]
    assert main(["refine", "photo.png", "--max-evals", "20", "--seed", "5", *options]) == 0
    capsys.readouterr()
    written = borex.Explanation.load("borex-out/photo.npz")
    photo = read_image("photo.png")
    same = borex.refine(
        None, photo, target=("espresso", 923), method="paper", baseline=90.0, max_evals=20, seed=5, batch_size=7
    )
    np.testing.assert_array_equal(written.saliency, same.saliency)
    assert written.target == same.target


def test_the_panel_shows_the_initial_map_where_there_is_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("map.npy", np.random.default_rng(0).random((9, 14)))
    assert main(["refine", "photo.png", *FEW, "--out", "flat"]) == 0
    assert main(["refine", "photo.png", *FEW, "--out", "given", "--initial", "map.npy"]) == 0
    assert read_image("given/photo_panel.png").shape[1] > read_image("flat/photo_panel.png").shape[1] + 100


def test_a_terminal_sees_progress(folder: Path) -> None:
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    termios = pytest.importorskip("termios")
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))  # a new one has no columns, and a bar has no room in it
    command = [sys.executable, "-m", "borex.apps.cli", "refine", "photo.png", *FEW]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=follower, text=True) as process:
        os.close(follower)
        shown = b""
        try:
            while part := os.read(leader, 1024):
                shown += part
        except OSError:  # Linux says so when the other end is closed
            pass
        out, _ = process.communicate(timeout=60)
    os.close(leader)
    assert b"/40" in shown
    assert "espresso" in out
    assert "/40" not in out
