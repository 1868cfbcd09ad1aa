"""Rows of one folder were made alike: what has changed since is refused, what is only added is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from borex.errors import InputError
from borex.evaluation.benchmark import Row, read_config, read_table
from borex.evaluation.benchmark.config import ModelSpec
from borex.evaluation.benchmark.protocol import check_protocol
from tests.evaluation.benchmark.parts import method, run_in, write_config


@pytest.mark.parametrize(
    ("methods", "changes", "text"),
    [
        (method("noise"), {"steps": 11}, "in which steps is 10; now it is 11"),
        (method("noise"), {"baseline": '"mean"'}, "in which baseline is 0; now it is 'mean'"),
        (method("noise", noise=0.5), {}, "in which methods 'noise' is .*now it is.*Choose another folder with --out"),
    ],
)
def test_another_protocol_needs_another_folder(few: Path, methods: str, changes: dict[str, Any], text: str) -> None:
    run_in(few, method("noise"), {"budgets": "[5]"})
    before = (few / "out" / "table.csv").read_bytes()
    with pytest.raises(InputError, match=text):
        run_in(few, methods, {"budgets": "[5]", **changes})
    assert (few / "out" / "table.csv").read_bytes() == before


def test_another_method_may_join(few: Path) -> None:
    run_in(few, method("noise"), {"budgets": "[5]"})
    run_in(few, method("perfect"), {"budgets": "[5]"})
    assert len(read_table(few / "out" / "table.csv")) == 6
    with pytest.raises(InputError, match="methods 'noise'"):  # what was run first is still known
        run_in(few, method("noise", noise=0.5), {"budgets": "[5]"})


def test_an_input_that_has_changed_needs_another_folder(few: Path) -> None:
    """Rows are known by names: those of another class, picture or mask would stay and pass for current."""

    def resumed() -> None:
        run_in(few, method("noise"), {"budgets": "[5]"})

    resumed()
    table, picture, mask = few / "labels.csv", few / "p0.png", few / "m0.png"
    labels = table.read_text()
    for changed, text in (
        (labels.replace("p1.png,1", "p1.png,0"), "in which the target of input 'p1' is 1; now it is 0. Choose another"),
        (labels.replace("m1.png", "m2.png"), "the mask of input 'p1' is 'm1.png'; now it is 'm2.png'"),
    ):
        table.write_text(changed)
        with pytest.raises(InputError, match=text):
            resumed()
    table.write_text(labels)
    for path, part in ((picture, "file_crc32"), (mask, "mask_crc32")):
        before = path.read_bytes()
        path.write_bytes((few / "p1.png").read_bytes())
        with pytest.raises(InputError, match=f"the {part} of input 'p0' is [0-9]+; now it is [0-9]+. Choose another"):
            resumed()
        path.write_bytes(before)
    table.write_text("file,class_index,mask\np2.png,1,m2.png\n")  # the others are still known
    away = picture.rename(few / "away.png")
    resumed()
    table.write_text(labels)
    resumed()
    picture.write_bytes((few / "p1.png").read_bytes())
    with pytest.raises(InputError, match="the file_crc32 of input 'p0'"):
        resumed()
    away.replace(picture)
    table.write_text(labels.replace("p1.png,1", "p1.png,0"))
    with pytest.raises(InputError, match="the target of input 'p1'"):
        resumed()


def test_a_folder_of_frames_and_a_photo_of_scikit_image_are_known_too(few: Path) -> None:
    frames = few / "frames"
    frames.mkdir()
    for i in range(3):
        (few / f"p{i}.png").rename(frames / f"{i}.png")
    (few / "labels.csv").write_text("file,class_index\nframes,1\nskimage:rocket,1\n")
    rows = run_in(few, method("noise"), {"budgets": "[5]"})
    assert [(row.input, row.status) for row in rows] == [("frames", "done"), ("rocket", "done")]
    (frames / "notes.txt").write_text("no frame")
    run_in(few, method("noise"), {"budgets": "[5]"})
    (frames / "1.png").write_bytes((frames / "2.png").read_bytes())
    with pytest.raises(InputError, match="the file_crc32 of input 'frames'"):
        run_in(few, method("noise"), {"budgets": "[5]"})
    (few / "labels.csv").write_text("file,class_index\nframes/rocket.png,1\n")
    (frames / "0.png").rename(frames / "rocket.png")
    with pytest.raises(InputError, match="the file_crc32 of input 'rocket'"):
        run_in(few, method("noise"), {"budgets": "[5]"})


def test_an_input_that_was_mended_is_made_again_on_request(few: Path) -> None:
    table, picture = few / "labels.csv", few / "p0.png"
    labels, whole = table.read_text(), picture.read_bytes()
    table.write_text(labels.replace("p1.png,1", "p1.png,7"))
    picture.write_bytes(whole[:100])
    (few / "p2.png").rename(few / "away.png")
    rows = run_in(few, method("noise"), {"budgets": "[5]"})
    assert [row.status for row in rows] == ["failed"] * 3
    table.write_text(labels)
    picture.write_bytes(whole)
    (few / "away.png").rename(few / "p2.png")
    rows = run_in(few, method("noise"), {"budgets": "[5]"})
    assert [row.status for row in rows] == ["failed"] * 3
    rows = run_in(few, method("noise"), {"budgets": "[5]"}, retry=True)
    assert [row.status for row in rows] == ["done"] * 3
    table.write_text(labels.replace("p1.png,1", "p1.png,0"))
    with pytest.raises(InputError, match="the target of input 'p1' is 1"):  # and is known as it was mended
        run_in(few, method("noise"), {"budgets": "[5]"})


def test_a_protocol_that_does_not_know_the_inputs_or_seeds_goes_on(few: Path) -> None:
    noise = method("noise")
    run_in(few, noise, {"budgets": "[5]"})
    path = few / "out" / "protocol.json"
    protocol = json.loads(path.read_text())
    protocol.pop("inputs", None)
    protocol["methods"]["noise"].pop("seeds", None)
    path.write_text(json.dumps(protocol))
    before = (few / "out" / "table.csv").read_bytes()
    run_in(few, noise, {"budgets": "[5]"})
    assert (few / "out" / "table.csv").read_bytes() == before
    assert set(json.loads(path.read_text())["inputs"]) == {"p0", "p1", "p2"}


def test_a_method_may_get_other_seeds_and_budgets(few: Path) -> None:
    run_in(few, method("noise"), {"budgets": "[5]"})
    path = few / "out" / "protocol.json"
    protocol = json.loads(path.read_text())
    protocol["methods"]["noise"]["seeds"] = None  # as it was written once
    path.write_text(json.dumps(protocol))
    assert len(run_in(few, method("noise", seeds=[0, 1], budgets=[5, 6]), {"budgets": "[5]"})) == 12
    assert len(run_in(few, method("noise"), {"budgets": "[5]"})) == 3


def test_what_only_ever_failed_may_be_corrected(few: Path) -> None:
    run_in(few, method("broken") + method("noise"), {"budgets": "[5]"})
    corrected = method("perfect").replace('name = "perfect"', 'name = "broken"') + method("noise")
    assert {row.status for row in run_in(few, corrected, {"budgets": "[5]"}, retry=True)} == {"done"}
    with pytest.raises(InputError, match="methods 'broken'"):  # now there are rows of it
        run_in(few, method("broken"), {"budgets": "[5]"})


def test_a_folder_without_a_row_that_is_done_takes_another_protocol(few: Path) -> None:
    run_in(few, method("broken"), {"budgets": "[5]"})
    rows = run_in(few, method("noise"), {"budgets": "[5]", "steps": 11, "baseline": '"mean"'})
    assert {row.status for row in rows} == {"done"}
    with pytest.raises(InputError, match="in which steps is 11; now it is 10"):
        run_in(few, method("noise"), {"budgets": "[5]", "steps": 10, "baseline": '"mean"'})


def test_other_weights_in_the_file_of_a_model_are_another_model(few: Path) -> None:
    def facts(path: Path) -> dict[str, Any]:
        return json.loads(path.read_text())["models"]  # type: ignore[no-any-return]

    (few / "net.onnx").write_bytes(b"some weights")
    base = replace(read_config(write_config(few, method("noise"))), models=(ModelSpec("net", "net.onnx", {}),))
    rows = [Row("p0", "", "net", "noise", 5, 0, "done", {})]
    check_protocol(few / "protocol.json", base, [], rows)
    check_protocol(few / "protocol.json", base, [], rows)
    assert facts(few / "protocol.json")["net"]["crc32"] == crc32(b"some weights")
    (few / "net.onnx").write_bytes(b"other weights")
    with pytest.raises(InputError, match=r"in which models 'net' is .*crc32.*; now it is"):
        check_protocol(few / "protocol.json", base, [], rows)
