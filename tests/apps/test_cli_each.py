"""`borex refine-each`: many inputs, one folder of results."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from zlib import crc32

import pytest
from PIL import Image

import borex
from borex.apps.cli import main
from tests.media.films import encoded, noise
from tests.models.test_clips import moving

FEW = ["--max-evals", "20"]


def table(path: Path, errors: str = "strict") -> list[dict[str, str]]:
    with path.open(newline="", errors=errors) as file:
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
    assert [row["input"] for row in table(out / "summary.csv")] == ["b.png", "a.png"]
    assert [row["error"] for row in table(out / "summary.csv")] == ["", ""]


def test_what_is_no_folder_of_media_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    for given, said in (("photo.png", "is no folder"), ("nowhere", "is no folder"), ("empty", "holds no picture")):
        assert main(["refine-each", given, *FEW]) == 2
        assert said in capsys.readouterr().err
    shutil.copy("photo.png", folder / "photo.jpg")
    assert main(["refine-each", ".", *FEW]) == 2
    assert "would both be written as photo.npz; rename one" in capsys.readouterr().err


def test_the_folder_of_the_inputs_is_no_place_for_what_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "photos").mkdir()
    shutil.copy("photo.png", folder / "photos" / "a_panel.png")
    shutil.copy("photo.png", folder / "photos" / "a.png")
    (folder / "link").symlink_to("photos", target_is_directory=True)
    for out in ("photos", "link", "photos/../photos"):
        assert main(["refine-each", "photos", "--out", out, *FEW]) == 2
        assert "the folder of the inputs" in capsys.readouterr().err
    assert sorted(path.name for path in (folder / "photos").iterdir()) == ["a.png", "a_panel.png"]
    assert (folder / "photos" / "a_panel.png").read_bytes() == (folder / "photo.png").read_bytes()


def test_what_was_made_with_other_settings_is_not_taken_for_done(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "photos").mkdir()
    shutil.copy("photo.png", folder / "photos")
    command = ["refine-each", "photos", "--out", "o"]
    assert main([*command, *FEW]) == 0
    made = (folder / "o" / "photo.npz").read_bytes()
    for other in (["--max-evals", "22"], [*FEW, "--target", "cup"], [*FEW, "--seed", "1"], [*FEW, "--model", "m.onnx"]):
        capsys.readouterr()
        assert main([*command, *other]) == 2
        err = capsys.readouterr().err
        assert "photo.npz was made with other settings (max_evals 20, seed 0) than those of this run" in err
        assert "Choose another folder with --out" in err
    assert (folder / "o" / "photo.npz").read_bytes() == made
    assert main(["refine", "photo.png", "--out", "alone", *FEW]) == 0
    capsys.readouterr()
    assert main(["refine-each", "photos", "--out", "alone", "--max-evals", "22"]) == 0
    said = "1 of 1 are in alone already; summary.csv does not say with which settings 1 of them were made"
    assert said in capsys.readouterr().err


def test_another_input_of_the_same_name_is_not_taken_for_done(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, angle in (("pa", 0), ("pb", 180)):
        (folder / name).mkdir()
        Image.open("photo.png").rotate(angle).save(folder / name / "x.png")
    assert main(["refine-each", "pa", *FEW]) == 0
    assert main(["refine", "pa/x.png", "--out", "alone", *FEW]) == 0
    capsys.readouterr()
    with monkeypatch.context() as patched:
        patched.setattr("borex.apps.each.refine_many", lambda *_, **__: pytest.fail("the model was asked"))
        for out in ("borex-out", "alone"):
            assert main(["refine-each", "pb", "--out", out, *FEW]) == 2
            err = capsys.readouterr().err
            assert f"{out}/x.npz explains another input than pb/x.png. Choose another folder with --out" in err
            assert err.count("\n") == 1
    assert main(["refine-each", "pa", *FEW]) == 0
    assert "1 of 1 are in borex-out already" in capsys.readouterr().err
    (row,) = table(folder / "borex-out" / "summary.csv")
    assert row["crc32"] == f"{crc32((folder / 'pa' / 'x.png').read_bytes()):08x}"


def test_another_clip_of_the_same_name_is_not_taken_for_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av")
    for name, way in (("a", "right"), ("b", "left")):
        frames = folder / name / "x.png"  # a folder of frames with a name like a picture's
        frames.mkdir(parents=True)
        for i, frame in enumerate(moving(way)):
            Image.fromarray(frame).save(frames / f"{i}.png")
    for name, code in (("a", 0), ("a", 0), ("b", 2)):
        assert main(["refine-each", name, "--out", "out", *FEW]) == code
    assert "out/x.npz explains another input than b/x.png" in capsys.readouterr().err
    assert main(["refine", "photo.png", "--out", "other", *FEW]) == 0
    (folder / "a" / "x.png").rename(folder / "a" / "photo.png")
    assert main(["refine-each", "a", "--out", "other", *FEW]) == 2
    assert "other/photo.npz explains another input than a/photo.png" in capsys.readouterr().err


def test_a_run_that_was_stopped_before_its_first_result_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "photos").mkdir()
    shutil.copy("photo.png", "photos")
    summary = folder / "out" / "summary.csv"

    def killed(*_: object, **__: object) -> None:
        assert summary.read_text().startswith("input,")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("borex.apps.each.refine_many", killed)
        assert main(["refine-each", "photos", "--out", "out", *FEW]) == 130
    summary.write_bytes(b"")
    assert main(["refine-each", "photos", "--out", "out", *FEW]) == 0
    assert [row["input"] for row in table(summary)] == ["photo.png"]


def test_clips_are_explained_as_clips(folder: Path) -> None:
    pytest.importorskip("av")
    (folder / "mixed").mkdir()
    frames = [Image.fromarray(frame) for frame in moving("right")]
    frames[0].save("mixed/moves.gif", save_all=True, append_images=frames[1:], duration=100)
    shutil.copy("photo.png", "mixed")
    assert main(["refine-each", "mixed", "--out", "out", *FEW]) == 0
    rows = {row["input"]: row["target"] for row in table(folder / "out" / "summary.csv")}
    assert rows == {"moves.gif": "right", "photo.png": "espresso"}
    assert (folder / "out" / "moves_overlay.mp4").exists()


def test_a_name_need_not_be_utf_8(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = folder / "photos"
    photos.mkdir()
    shutil.copy("photo.png", os.fsencode(photos) + b"/caf\xe9.png")
    shutil.copy("photo.png", photos / "b.png")
    for _ in range(2):  # the second run finds what the first one made
        assert main(["refine-each", "photos", "--out", "out", *FEW]) == 0
    assert "2 of 2 are in out already\n" in capsys.readouterr().err
    assert len(table(folder / "out" / "summary.csv", errors="surrogateescape")) == 2


def test_another_model_in_the_same_file_is_another_setting(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, model = folder / "photos", folder / "net.onnx"
    photos.mkdir()
    shutil.copy("photo.png", photos / "b.png")
    shutil.copy(next((Path(borex.__file__).parent / "models" / "efficientnet_lite0").glob("*.onnx")), model)
    arguments = ["refine-each", "photos", "--out", "out", "--model", "net.onnx", *FEW]
    assert main(arguments) == 0
    model.write_bytes(model.read_bytes() + b"\x00")
    assert main(arguments) == 2
    assert "was made with other settings (model net.onnx (crc32 " in capsys.readouterr().err


def test_a_summary_that_is_not_ours_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, out = folder / "photos", folder / "out"
    photos.mkdir()
    out.mkdir()
    shutil.copy("photo.png", photos / "b.png")
    (out / "summary.csv").write_text("name,value\na,1\n")
    assert main(["refine-each", "photos", "--out", "out", *FEW]) == 2
    assert "has the columns name, value, so borex did not write it" in capsys.readouterr().err
    assert (out / "summary.csv").read_text() == "name,value\na,1\n"


def test_a_damaged_film_is_said_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = folder / "films"
    films.mkdir()
    path = encoded(films / "a.mkv", noise(24))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    assert main(["refine-each", "films", "--out", "out", *FEW]) == 0
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "damaged" in line]
    assert said.startswith("borex: films/a.mkv is damaged")


def test_a_result_that_cannot_be_written_stops_no_other(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, long = folder / "photos", "a" * 245
    photos.mkdir()
    shutil.copy("photo.png", photos / f"{long}.png")
    shutil.copy("photo.png", photos / "b.png")
    assert main(["refine-each", "photos", "--out", "out", *FEW]) == 2
    assert f"{long}_overlay.png: File name too long" in capsys.readouterr().err
    assert (folder / "out" / "b.npz").exists()
    rows = {row["input"]: row for row in table(folder / "out" / "summary.csv")}
    assert "too long" in rows[f"{long}.png"]["error"]
    assert rows["b.png"]["evals"] == "20"


def test_a_picture_as_high_as_there_are_channels_stops_no_other(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = folder / "photos"
    photos.mkdir()
    for name in "ac":
        shutil.copy("photo.png", photos / f"{name}.png")
    Image.open("photo.png").resize((600, 3)).save(photos / "b.png")
    assert main(["refine-each", "photos", "--out", "out", *FEW]) == 0
    assert capsys.readouterr().err == ""
    assert {path.name for path in Path("out").glob("*.png")} == {
        f"{name}_{kind}.png" for name in "abc" for kind in ("overlay", "panel")
    }
    assert main(["refine", "photos/b.png", *FEW]) == 0


def test_a_link_that_leads_nowhere_to_be_read_stops_no_other(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = folder / "photos"
    photos.mkdir()
    shutil.copy("photo.png", photos / "b.png")
    (photos / "a.gif").symlink_to("a" * 300)
    assert main(["refine-each", "photos", "--out", "out", *FEW]) == 2
    assert "borex: photos/a.gif: cannot read photos/a.gif: File name too long" in capsys.readouterr().err
    rows = {row["input"]: row["evals"] for row in table(folder / "out" / "summary.csv")}
    assert rows == {"a.gif": "0", "b.png": "20"}
