"""The command `borex`: what it prints where, what it writes, and how it fails."""

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
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from typer.testing import CliRunner

import borex
from borex.apps import commands, scoring
from borex.apps.cli import main
from borex.apps.commands import app
from borex.errors import InputError, ModelError
from borex.media.read import read_image

PHOTO = Path(__file__).parents[2] / "examples" / "coffee.jpg"
FEW = ["--max-evals", "40"]
COMMANDS = ["refine", "score"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a small photo of a coffee in it."""
    Image.fromarray(read_image(PHOTO)).resize((150, 100)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, its output piped."""
    command = [sys.executable, "-m", "borex.apps.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def failure(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """The one line on stderr of a command that fails with this exit code and prints no result."""
    assert main(arguments) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("borex: ")
    assert said.err.count("\n") == 1
    return said.err


# What it prints


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
    else:
        arguments += FEW
    assert main(arguments) == 0


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


# Scores


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
    assert main(["score", "photo.png", "map.png", "--mask", "mask.png", "--steps", "8", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["target"]["label"] == "espresso"
    assert document["evals"] == 24
    assert document["scores"]["average_precision"] > 0.95
    assert document["scores"]["pointing_game"] == 1


def bright(batch: np.ndarray) -> np.ndarray:
    share = batch[:, 3:6, 2:5].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - share, share], axis=1)


def test_a_perfect_map_beats_its_opposite_and_a_pair_is_a_difference() -> None:
    photo = np.zeros((10, 12, 3), dtype=np.uint8)
    photo[3:6, 2:5] = 255
    truth = photo[..., 0] / 255.0
    found, good = scoring.score_photo(bright, photo, truth, 1, truth, baseline="black", steps=20)
    _, bad = scoring.score_photo(bright, photo, -truth, 1, baseline="black", steps=20)
    assert found.index == 1
    assert good.insertion_baseline.auc > 0.95 > 0.1 > bad.insertion_baseline.auc
    assert good.localisation is not None
    assert good.localisation.average_precision == 1
    _, pair = scoring.score_photo(bright, photo, truth, (1, 0), baseline="black", steps=20)
    np.testing.assert_allclose(pair.deletion.scores, 2 * good.deletion.scores - 1)
    with pytest.raises(InputError, match=r"the object mask has shape \(5, 6\), the photo \(10, 12\)"):
        scoring.score_photo(bright, photo, truth, 1, truth[::2, ::2])


def test_scoring_tells_a_failing_model_from_a_bad_input() -> None:
    def broken(batch: np.ndarray) -> np.ndarray:
        raise RuntimeError("out of memory")

    photo = np.zeros((4, 5, 3), dtype=np.uint8)
    with pytest.raises(ModelError, match="the model failed on the photo: RuntimeError: out of memory"):
        scoring.score_photo(broken, photo, photo[..., 0])
    with pytest.raises(InputError, match="takes 3 channels; the media has 1"):
        scoring.score_photo(None, np.zeros((224, 224, 1), dtype=np.uint8), np.zeros((4, 4)))


# How it fails


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["refine", "nothing.png"], "there is no file nothing.png"),
        (["refine", "text.png"], "is no picture that Pillow can read"),
        (["refine", "photo.png", "--target", "expresso"], "close to it: 'espresso'"),
        (["refine", "photo.png", "--target", "1000"], "the model has classes 0 to 999"),
        (["refine", "photo.png", "--against", "cup"], "without --target"),
        (["refine", "photo.png", "--max-evals", "3"], "max_evals is 3; expected a whole number, at least 20"),
        (["refine", "photo.png", "--max-evals", "many"], "Invalid value for '--max-evals'"),
        (["refine", "photo.png", "--method", "best"], "see borex refine --help"),
        (["refine", "photo.png", "--baseline", "white"], "baseline is 'white'"),
        (["refine", "photo.png", "--batch-size", "0"], "batch_size is 0"),
        (["refine", "photo.png", "--initial", "rize"], "expected a file, or rise"),
        (["refine", "photo.png", "--initial", "rize.npy"], "there is no file rize.npy"),
        (["refine", "photo.png", "--initial", "photo.png"], "is a picture in colour; expected a heat map"),
        (["refine", "photo.png", "--initial", "nan.npy"], "NaN or Inf in 1 of 6 places"),
        (["refine", "photo.png", "--model", "text.png"], "expected one that ends in .onnx"),
        (["refine", "photo.png", "--model", "no.onnx"], "no.onnx"),
        (["refine", "photo.png", "--out", "text.png"], "cannot write to the folder text.png"),
        (["refine"], "Missing argument 'PHOTO'; see borex refine --help"),
        (["refine", "photo.png", "--colour"], "No such option"),
        (["explain", "photo.png"], "No such command 'explain'; see borex --help"),
        (["score", "photo.png", "nan.npy"], "NaN or Inf in 1 of 6 places"),
        (["score", "photo.png", "flat.npy", "--steps", "0"], "steps is 0"),
        (["score", "photo.png", "flat.npy", "--mask", "flat.npy"], "the object mask has shape (2, 3)"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_exit_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (folder / "text.png").write_text("no picture", encoding="utf-8")
    np.save("nan.npy", np.array([[0, 1, 2], [0, np.nan, 1]]))
    np.save("flat.npy", np.ones((2, 3)))
    assert said in failure(capsys, 2, *arguments)


def test_a_folder_that_is_read_only_is_found_before_the_model_is_asked(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:  # the super-user may write anywhere, so the system's answer is played
        raise PermissionError(13, "Permission denied")

    asked: list[Any] = []
    monkeypatch.setattr(commands.tempfile, "TemporaryFile", refused)
    monkeypatch.setattr(commands, "refine", lambda *a, **k: asked.append(a))
    line = failure(capsys, 2, "refine", "photo.png", "--out", "locked")
    assert "cannot write to the folder locked: Permission denied. Choose another one with --out" in line
    assert not asked


def test_an_explanation_of_a_function_needs_a_class_to_score(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explanation = borex.refine(bright, read_image("photo.png"), target=lambda s: s[:, 1], max_evals=20)
    explanation.save("f.npz")
    assert "say which class to score: --target CLASS" in failure(capsys, 2, "score", "photo.png", "f.npz")


def test_a_model_that_fails_is_exit_code_1(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise ModelError("the model failed on the batch that starts at mask 32\nOOM")

    monkeypatch.setattr(commands, "refine", failing)
    assert failure(capsys, 1, "refine", "photo.png").endswith("starts at mask 32 OOM\n")


def test_a_model_that_answers_nan_is_exit_code_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = [
        helper.make_node("Cast", ["input"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Neg", ["mean"], ["below"]),
        helper.make_node("Log", ["below"], ["scores"]),
    ]
    given = helper.make_tensor_value_info("input", TensorProto.UINT8, ["n", 8, 9, 3])
    answer = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph(steps, "log", [given], [answer])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), "nan.onnx")
    assert "NaN or Inf for mask 0" in failure(capsys, 1, "refine", "photo.png", "--model", "nan.onnx")


def test_control_c_is_exit_code_130(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "refine", interrupted)
    assert failure(capsys, 130, "refine", "photo.png") == "borex: interrupted\n"


@pytest.mark.parametrize(("package", "extra"), [("typer", "cli"), ("onnxruntime", "onnx")])
def test_a_missing_package_is_named_with_its_extra(folder: Path, package: str, extra: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from borex.apps.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "refine", "photo.png"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert f"pip install 'borex[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_reader_that_stops_reading_is_no_error(folder: Path) -> None:
    command = [sys.executable, "-m", "borex.apps.cli", "refine", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(60) == 1


def test_the_installed_program_is_this_one() -> None:
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="borex")
    assert script.load() is main
