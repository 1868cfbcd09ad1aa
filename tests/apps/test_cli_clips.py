"""The command `borex` on clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import borex
from borex.apps.cli import main
from borex.media.video import read_clip, write_clip
from tests.models.test_clips import moving

pytest.importorskip("av")
pytest.importorskip("onnxruntime")

FEW = ["--max-evals", "20"]


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a clip of a square that goes to the right, and masks of where it goes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("borex.media.film.FILM_SIDE", (60, 90))
    inside = np.zeros((16, 112, 112), dtype=bool)
    inside[4:12, 38:74, 26:86] = True
    np.savez_compressed("masks.npz", masks=inside)
    (tmp_path / "masks").mkdir()
    for i, mask in enumerate(inside):
        Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "masks" / f"{i}.png")
    return write_clip(tmp_path / "square.mp4", moving("right"), 8)


def test_a_clip_is_refined_and_scored(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refine", "square.mp4", *FEW]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "right: score 0.9" in said.out
    assert "the model was shown all 16 frames of square.mp4, from 0.00 s to 1.88 s" in said.out
    out = Path("borex-out")
    assert sorted(p.name for p in out.iterdir()) == ["square.npz", "square_overlay.mp4", "square_strip.png"]
    assert len(read_clip(out / "square_overlay.mp4").frames) == 16
    for mask in ("masks.npz", "masks"):
        command = ["score", "square.mp4", "borex-out/square.npz", "--mask", mask, "--steps", "3", "--json"]
        assert main(command) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["target"]["label"] == "right"
        scores = document["scores"]
        assert {"insertion_blur", "average_precision", "time_average_precision", "time_pointing_game"} <= set(scores)
        inside = np.load("masks.npz")["masks"]
        found = borex.Explanation.load(out / "square.npz")
        expected = borex.evaluation.average_precision(found.saliency, inside)
        assert scores["average_precision"] == pytest.approx(expected, abs=0.02)


def test_a_part_of_a_clip_is_read_and_said(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["refine", "square.mp4", *FEW, "--start", "0.5", "--end", "1.5", "--json", "--model", "motionnet"]
    assert main(command) == 0
    clip = json.loads(capsys.readouterr().out)["clip"]
    np.testing.assert_allclose(clip["seconds"], np.arange(4, 12) / 8)
    assert clip["shown_frames"] == np.repeat(np.arange(8), 2).tolist()
    assert main(["score", "square.mp4", "borex-out/square.npz", "--steps", "2"]) == 2
    said = capsys.readouterr().err
    assert (
        "explains 8 frames from 0.50 s to 1.38 s, but 16 frames from 0.00 s to 1.88 s were read; give the same" in said
    )
    part = ["--start", "0.5", "--end", "1.5"]
    assert main(["score", "square.mp4", "borex-out/square.npz", "--steps", "2", *part]) == 0
    capsys.readouterr()
    inside = np.load("masks.npz")["masks"][4:12]
    np.savez("read.npz", masks=inside)
    Path("few").mkdir()
    for i, mask in enumerate(inside):
        Image.fromarray(mask.astype(np.uint8) * 255).save(f"few/{i}.png")
    scored = []
    for mask in ("read.npz", "masks.npz", "masks", "few"):
        command = ["score", "square.mp4", "borex-out/square.npz", "--mask", mask, "--steps", "2", *part, "--json"]
        assert main(command) == 0
        scored.append(json.loads(capsys.readouterr().out)["scores"]["average_precision"])
    assert scored == pytest.approx([scored[0]] * 4, abs=1e-6)
    Path("few/7.png").unlink()
    assert main(["score", "square.mp4", "borex-out/square.npz", "--mask", "few", *part]) == 2
    said = capsys.readouterr().err
    assert "few holds 7 masks, but square.mp4 has 16 frames, of which 8 are read" in said


def test_another_clip_with_the_same_times_is_not_what_was_explained(
    film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(film.parent / "other.mp4", moving("left"), 8)
    assert main(["refine", "square.mp4", *FEW]) == 0
    capsys.readouterr()
    assert main(["score", "other.mp4", "borex-out/square.npz", "--steps", "2"]) == 2
    assert (
        "borex-out/square.npz explains another clip than other.mp4: square.mp4. Give that one"
        in capsys.readouterr().err
    )
    borex.refine("motionnet", read_clip(film, size=(60, 60)), max_evals=20).save("small.npz")
    assert main(["score", "square.mp4", "small.npz", "--steps", "2"]) == 0


def test_a_picture_in_the_place_of_a_clip_is_said_with_what_stays(
    film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(read_clip(film).frames[0]).save("square.png")
    assert main(["refine", "square.mp4", *FEW, "--out", "."]) == 0
    assert main(["refine", "square.mp4", *FEW, "--out", ".", "--stride", "2"]) == 0
    frames = "borex: replaces square.npz, which explains another input, or other frames of this one\n"
    assert capsys.readouterr().err == frames
    assert main(["refine", "square.png", *FEW, "--out", "."]) == 0
    stays = "left of it: square_overlay.mp4, square_strip.png"
    assert capsys.readouterr().err == f"borex: replaces square.npz, which explains a clip; {stays}\n"
    Path("square_panel.png").unlink()
    assert main(["refine", "square.mp4", *FEW, "--out", "."]) == 0
    stays = "left of it: square_overlay.png"
    assert capsys.readouterr().err == f"borex: replaces square.npz, which explains a picture; {stays}\n"


def test_an_image_model_is_averaged_over_as_many_frames_as_asked(
    film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["refine", "square.mp4", *FEW, "--model", "frame-mean", "--frames", "2", "--json"]
    assert main(command) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["clip"]["seconds"]) == 2
    assert borex.Explanation.load(document["files"]["explanation"]).record.settings.extent == (2, 224, 224)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["refine", "gone.mp4"], "there is no file gone.mp4"),
        (["refine", "square.mp4", "--start", "9"], "start is 9 s, but square.mp4 lasts 2 s"),
        (["refine", "square.mp4", "--frames", "0"], "frames is 0; expected a whole number"),
        (["refine", "square.mp4", "--baseline", "ice"], "one of 'blur', 'soft', 'mean', 'black', 'frozen'"),
        (["refine", "masks/0.png", "--frames", "3"], "masks/0.png is a picture; frames choose frames of a clip"),
        (["refine", "masks/0.png", "--baseline", "frozen"], "is the mean over time, but the media has shape"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_one_line(
    film: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        *(["refine", ""], ["refine-each", ""], ["score", "", "map.npy"], ["benchmark", ""]),
        *([name, "square.mp4", "--out", ""] for name in ("refine", "refine-each", "benchmark")),
        *(["score", "square.mp4", "map.npy", "--mask", ""], ["benchmark", "square.toml", "--data", ""]),
    ],
    ids=" ".join,
)
def test_an_empty_path_is_not_the_folder_that_one_is_in(
    command: list[str], film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    assert "the path is empty" in capsys.readouterr().err


def test_memory_that_is_short_is_one_line(
    film: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def short(*_: object) -> None:
        raise MemoryError("Unable to allocate 35 GiB")

    monkeypatch.setattr("borex.apps.cli._run", short)
    assert main(["refine", str(film)]) == 2
    assert "out of memory: Unable to allocate 35 GiB. Take smaller media" in capsys.readouterr().err


def test_a_damaged_file_is_said_on_stderr_and_explained(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = film.read_bytes()
    Path("short.mp4").write_bytes(data[: len(data) * 4 // 5])
    assert main(["refine", "short.mp4", *FEW]) == 0
    err = capsys.readouterr().err
    assert err.startswith("borex: short.mp4 is damaged:")
    assert err.count("\n") == 1


def test_a_folder_of_frames_gives_its_name(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = film.parent / "out"
    Path("masks").rename("my.frames.v2")
    assert main(["refine", "my.frames.v2", *FEW, "--out", str(out)]) == 0
    names = ["my.frames.v2.npz", "my.frames.v2_overlay.mp4", "my.frames.v2_strip.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    monkeypatch.chdir("my.frames.v2")
    for name in names:
        (out / name).unlink()
    assert main(["refine", ".", *FEW, "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == names


def test_a_folder_of_frames_is_no_place_for_what_is_written(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = film.parent / "frames"
    frames.mkdir()
    for i in range(3):
        Image.new("RGB", (40, 30), (i * 90, 90, 0)).save(frames / f"{i}.png")
    before = sorted(path.name for path in frames.iterdir())
    assert main(["refine", "frames", "--out", "frames", *FEW]) == 2
    assert "the folder of the frames: the pictures that are written would be frames" in capsys.readouterr().err
    assert sorted(path.name for path in frames.iterdir()) == before


def test_an_initial_map_is_not_written_over(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refine", film.name, *FEW, "--out", "."]) == 0
    capsys.readouterr()
    made = film.with_suffix(".npz")
    before = made.read_bytes()
    assert main(["refine", film.name, *FEW, "--initial", made.name, "--out", "."]) == 2
    assert "where the explanation would be written; choose another folder" in capsys.readouterr().err
    assert made.read_bytes() == before


def test_the_mask_of_a_large_clip_may_be_a_film_like_it(
    film: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("borex.media.load.MAX_PIXELS", 16 * 20 * 30)  # so that the clip is shrunk
    inside = np.zeros((*read_clip(film).frames.shape[:3], 3), np.uint8)
    inside[:, : inside.shape[1] // 2] = 255
    write_clip(film.parent / "mask.mp4", inside, 8)
    np.savez(film.parent / "mask.npz", masks=inside[..., 0] > 0)
    np.save(film.parent / "map.npy", inside[..., 0].astype(float))
    found = []
    for mask in ("mask.mp4", "mask.npz"):
        assert main(["score", film.name, "map.npy", "--mask", mask, "--steps", "4", "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)["scores"])
    assert found[0]["average_precision"] > 0.95
    assert found[0] == found[1]
