"""The command `borex` when something is wrong: one line on stderr, and an exit code."""

from __future__ import annotations

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

import borex
from borex.apps import commands, outputs
from borex.apps.cli import main
from borex.apps.outputs import say_replaced
from borex.errors import FileError, ModelError
from borex.media.read import read_image


def failure(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """The one line on stderr of a command that fails with this exit code and prints no result."""
    assert main(arguments) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("borex: ")
    assert said.err.count("\n") == 1
    return said.err


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
        (
            ["refine", "photo.png", "--initial", "rize"],
            "expected a file, or gradcam, gradcam++, lrp, lime, shap or rise",
        ),
        (["refine", "photo.png", "--initial", "gradcam"], 'scores, "rise", "lime" and "shap" make a map'),
        (["refine", "photo.png", "--initial", "lrp"], "LRP looks inside the network, so it needs a torch.nn.Module"),
        (["refine", "photo.png", "--initial", "rize.npy"], "there is no file rize.npy"),
        (["refine", "photo.png", "--initial", "photo.png"], "is a picture in colour; expected a heat map"),
        (["score", "photo.png", "flat.npy", "--mask", "photo.png"], "is a picture in colour; expected a mask"),
        (["refine", "photo.png", "--initial", "nan.npy"], "NaN or Inf in 1 of 6 places"),
        (["refine", "photo.png", "--model", "text.png"], "expected one that ends in .onnx"),
        (["refine", "photo.png", "--model", "no.onnx"], "no.onnx"),
        (["refine", "photo.png", "--out", "text.png"], "cannot write to the folder text.png"),
        (["refine"], "Missing argument 'MEDIA'; see borex refine --help"),
        (["refine", "photo.png", "--colour"], "No such option"),
        (["explain", "photo.png"], "No such command 'explain'; see borex --help"),
        (["score", "photo.png", "nan.npy"], "NaN or Inf in 1 of 6 places"),
        (["score", "photo.png", "flat.npy", "--steps", "0"], "steps is 0"),
        (["score", "photo.png", "array.npz"], "array.npz is no .npz archive, whatever its name says"),
        (["score", "photo.png", "flat.npy", "--mask", "square.npy"], "the object mask has shape (3, 3)"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_exit_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (folder / "text.png").write_text("no picture", encoding="utf-8")
    np.save("nan.npy", np.array([[0, 1, 2], [0, np.nan, 1]]))
    np.save("flat.npy", np.ones((2, 3)))
    np.save("square.npy", np.eye(3))
    shutil.copy("flat.npy", "array.npz")
    assert said in failure(capsys, 2, *arguments)


def test_a_folder_that_is_read_only_is_found_before_the_model_is_asked(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:  # the super-user may write anywhere, so the system's answer is played
        raise PermissionError(13, "Permission denied")

    asked: list[Any] = []
    monkeypatch.setattr(outputs.tempfile, "TemporaryFile", refused)
    monkeypatch.setattr(commands, "refine", lambda *a, **k: asked.append(a))
    line = failure(capsys, 2, "refine", "photo.png", "--out", "locked")
    assert "cannot write to the folder locked: Permission denied. Choose another one with --out" in line
    assert not asked


LONG = "a" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["refine", LONG],
        ["refine", f"{LONG}.mp4"],
        ["refine", "photo.png", "--out", LONG],
        ["refine", "photo.png", "--initial", LONG],
        ["refine", "photo.png", "--model", f"{LONG}.onnx"],
        ["refine-each", LONG],
        ["refine-each", ".", "--model", f"{LONG}.onnx"],
        ["score", "photo.png", LONG],
        ["score", "photo.png", "flat.npy", "--mask", LONG],
        ["benchmark", LONG],
    ],
    ids=lambda value: " ".join(value).replace(LONG, "LONG"),
)
def test_a_path_that_the_system_refuses_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    np.save("flat.npy", np.ones((2, 3)))
    assert LONG in failure(capsys, 2, *arguments)


def test_a_folder_that_may_not_be_listed_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("os.listdir", "os.scandir"):
        monkeypatch.setattr(name, denied)
    for command in ("refine", "refine-each"):
        line = failure(capsys, 2, command, str(folder))
        assert line == f"borex: cannot read {folder}: Permission denied. Check its permissions\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("more", [[], ["--json"]], ids=str)
def test_a_result_that_cannot_be_printed_is_one_line(folder: Path, more: list[str]) -> None:
    np.save("flat.npy", np.eye(2, 3))
    command = [sys.executable, "-m", "borex.apps.cli", "score", "photo.png", "flat.npy", "--steps", "2", *more]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == "borex: cannot read or write: No space left on device. Choose another path\n"


def halves(batch: np.ndarray) -> np.ndarray:
    share = batch[:, :, :75].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - share, share], axis=1)


def test_an_explanation_of_a_function_needs_a_class_to_score(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explanation = borex.refine(halves, read_image("photo.png"), target=lambda s: s[:, 1], max_evals=20)
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


def test_control_c_keeps_what_was_answered(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = borex.models.as_model(None)
    asked = 0

    def interrupted(batch: np.ndarray) -> Any:
        nonlocal asked
        asked += len(batch)
        if asked > 30:
            raise KeyboardInterrupt
        return model(batch)

    slow = borex.blackbox.Model(interrupted, extent=model.extent, labels=model.labels, output=model.output)
    monkeypatch.setattr("borex.apps.inputs.embedded", lambda axes: slow)
    assert main(["refine", "photo.png", "--max-evals", "60", "--batch-size", "8"]) == 130
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "borex: what was answered is in borex-out/photo_unfinished.npz, the explanation so far"
    assert said[1:] == ["borex: interrupted"]
    found = borex.Explanation.load("borex-out/photo_unfinished.npz")
    assert 20 <= found.evals <= 30
    assert found.stop_reason == "not finished"
    assert found.saliency.shape == (100, 150)
    assert found.media is not None
    assert found.target.label.startswith("espresso")


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


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell that closes streams")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_is_no_error(folder: Path, closed: str) -> None:
    np.save("flat.npy", np.eye(2, 3))
    for arguments in ("refine photo.png --max-evals 20", "score photo.png flat.npy --steps 2"):
        command = f'"{sys.executable}" -m borex.apps.cli {arguments} {closed}'
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        assert ("espresso" in done.stdout) == (closed == "2>&-")
    assert borex.Explanation.load("borex-out/photo.npz").evals == 20


def test_the_installed_program_is_this_one() -> None:
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="borex")
    assert script.load() is main


def test_without_av_a_folder_of_frames_costs_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = folder / "frames"
    frames.mkdir()
    for i in range(3):
        Image.new("RGB", (40, 30), (i * 90, 90, 0)).save(frames / f"{i}.png")
    monkeypatch.setattr(outputs, "find_spec", lambda name: None)
    monkeypatch.setattr(commands, "refine", lambda *_, **__: pytest.fail("the model was asked"))
    assert "writing a video file needs the package 'av'" in failure(capsys, 2, "refine", "frames")


def test_pictures_that_cannot_be_written_lose_no_answers(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise FileError("cannot write: the disk is full")

    monkeypatch.setattr(outputs, "save_png", full)
    assert "the disk is full" in failure(capsys, 2, "refine", "photo.png", "--max-evals", "20")
    assert borex.Explanation.load("borex-out/photo.npz").evals == 20


def test_media_is_not_read_to_see_what_is_replaced_where_nothing_is(tmp_path: Path) -> None:
    say_replaced(tmp_path, "photo", tmp_path / "photo.jpg")  # there is no such file
