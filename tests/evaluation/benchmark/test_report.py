"""The page that a benchmark writes: one file, the numbers of the table in it, and gaps instead of failures."""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from borex.errors import FileError, MissingExtraError
from borex.evaluation.benchmark import map_path, read_config, run
from borex.evaluation.benchmark import report as module
from borex.evaluation.benchmark.charts import OURS, colours_of, curves, shown, turns_of
from borex.evaluation.benchmark.report import report, write_report
from borex.evaluation.benchmark.summary import Mean, comparisons
from tests.evaluation.benchmark.parts import method, write_config, write_inputs

METHODS = method("noise") + method("perfect") + method("opposite", budgets=[1]) + method("broken")


class Page(HTMLParser):
    """Rows of every table as texts, the sources of pictures, what is linked."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.pictures: list[str] = []
        self.elsewhere: list[str] = []
        self._cell: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._cell = []
        elif tag == "img":
            self.pictures.append(given.get("src") or "")
        elif tag in ("script", "link", "iframe"):
            self.elsewhere.append(tag)

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.rows[-1].append(" ".join("".join(self._cell).split()))
            self._cell = None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("report")
    write_inputs(folder, 7)
    write_config(folder, METHODS, ours='"noise"', title='"Less < more & \\"so\\""', text='"What for."')
    run(read_config(folder / "few.toml"), folder / "out")
    yield folder
    shutil.rmtree(folder)


def page_of(folder: Path) -> tuple[str, Page]:
    config = read_config(folder / "few.toml")
    text = report(config, run(config, folder / "out"), folder / "out", "borex benchmark <here>")
    return text, Page(text)


def test_it_is_one_file_and_says_what_was_run(made: Path) -> None:
    text, page = page_of(made)
    assert page.elsewhere == []
    assert re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*", text) == []
    assert "Less &lt; more &amp; &#34;so&#34;" in text
    assert "borex benchmark &lt;here&gt;" in text
    assert "numpy " + np.__version__ in text
    assert "RuntimeError: no luck, none at all" in text
    assert "broken, 14 ×" in text
    assert str(made) not in text


def test_the_means_are_those_of_the_rows_and_the_best_are_marked(made: Path) -> None:
    text, page = page_of(made)
    rows = run(read_config(made / "few.toml"), made / "out")
    for name, budget in (("noise", 10), ("noise", 20), ("perfect", 20), ("opposite", 1)):
        scores = [row.scores for row in rows if (row.method, row.budget, row.status) == (name, budget, "done")]
        assert len(scores) == 7
        line = next(row for row in page.rows if row[:2] == [name, str(budget)])
        assert line[-1] == "7"
        assert line[2] == f"{np.mean([one['insertion_blur_minus_deletion'] for one in scores]):.3f}"
        assert line[5] == f"{np.mean([one['deletion'] for one in scores]):.3f}"
    lines = re.findall(r"<tr[^>]*><td>perfect</td><td>10</td>(.*?)</tr>", text, re.DOTALL)
    assert lines[0].count('class="best"') >= 9


def test_a_mean_over_fewer_inputs_says_so(few: Path) -> None:
    table = few / "labels.csv"
    table.write_text(table.read_text().replace("m1.png", ""))
    config = read_config(write_config(few, method("noise") + method("perfect"), budgets="[5, 6]"))
    text = report(config, run(config, few / "out"), few / "out")
    assert '<td class="best" title="n = 2, 95 %: 1.000 to 1.000">1.000<small>(2)</small></td>' in text
    heads, line = next((rows[i], rows[i + 2]) for rows in [Page(text).rows] for i in range(len(rows)) if rows[i])
    assert [line[heads.index(name)].endswith("(2)") for name in ("deletion", "average precision")] == [False, True]
    assert line[-1] == "3"
    assert text.count("; n = 3<") == 4
    assert text.count("; n = 2<") == 2


def test_the_comparisons_are_those_of_the_library(made: Path) -> None:
    text, page = page_of(made)
    config = read_config(made / "few.toml")
    rows = run(config, made / "out")
    others = [replace(row, **{part: "other"}) for row in rows for part in ("method", "model")]
    assert report(config, rows + others, made / "out", "borex benchmark <here>") == text
    tests = comparisons(run(config, made / "out"), config)
    assert {(one.other, one.other_budget) for one in tests} == {("perfect", 10), ("perfect", 20), ("opposite", 1)}
    for one in tests:
        name = f"noise {one.ours_budget} against {one.other} {one.other_budget}"
        line = next(row for row in page.rows if row and row[0] == name)
        median = f"{one.result.median:+.3f}".replace("-", "−")
        assert any(cell.startswith(median) for cell in line[1:])


def test_maps_are_shown_where_they_are(made: Path) -> None:
    _, page = page_of(made)
    gallery = next(i for i, row in enumerate(page.rows) if row[1:] == ["noise", "perfect", "opposite, 1"])
    assert len(page.rows) - gallery - 1 == 7
    # 7 inputs with 3 maps each, and up to 6 worst cases of three pictures.
    assert len(page.pictures) == 7 * 4 + 6 * 3
    for source in page.pictures:
        with Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/jpeg;base64,")))) as picture:
            assert max(picture.size) <= 168


def test_maps_are_of_each_methods_own_first_seed(few: Path) -> None:
    methods = method("noise", seeds=[1, 2]) + method("perfect")
    config = read_config(write_config(few, methods, budgets="[5]", ours='"noise"'))
    page = Page(report(config, run(config, few / "out"), few / "out"))
    assert len(page.pictures) == 3 * 3 + 3 * 3
    gallery = next(i for i, row in enumerate(page.rows) if row[1:] == ["noise", "perfect"])
    assert all(row[1] for row in page.rows[gallery + 1 :])


def test_a_map_or_input_that_is_gone_leaves_a_gap(made: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(made, moved)
    shutil.rmtree(moved / "out" / "maps")
    config = read_config(moved / "few.toml")
    rows = run(config, moved / "out")
    assert len(Page(report(config, rows, moved / "out")).pictures) == 7 + 6
    (moved / "labels.csv").unlink()
    assert Page(report(config, rows, moved / "out")).pictures == []


def test_a_damaged_map_leaves_a_gap(few: Path) -> None:
    config = read_config(write_config(few, method("noise", seeds=[0]), budgets="[5]"))
    rows = run(config, few / "out")
    whole = map_path(few / "out", rows[0].key).read_bytes()
    np.save(few / "other.npy", np.zeros((3, 4, 5)))
    for damaged in (b"", whole[:50], whole[:-9], b"no map", (few / "other.npy").read_bytes()):
        map_path(few / "out", rows[0].key).write_bytes(damaged)
        assert len(Page(report(config, rows, few / "out")).pictures) == 3 + 2


def test_nothing_done_is_a_page_too(few: Path) -> None:
    config = read_config(write_config(few, method("broken"), ours='"broken"'))
    text = report(config, run(config, few / "out"), few / "out")
    assert "0 rows, 6 failed" in " ".join(text.split())


def test_curves_show_every_method_once_and_say_what_is_good() -> None:
    found = [
        Mean("m", name, budget, "deletion", 5, 0.1 * budget, (0.0, 0.2))
        for name, budget in (("a", 10), ("a", 30), ("b", 10), ("b", 30), ("white", 1))
    ]
    colours = colours_of(["a", "b", "white"], "a")
    drawn = curves(found, "deletion", colours, "a")
    assert drawn.startswith("<svg")
    assert "deletion, low is good" in drawn
    assert drawn.count(OURS) >= 2
    assert all(drawn.count(colour) >= 1 for colour in colours.values())
    assert "stroke-dasharray" in drawn
    assert drawn == curves(found, "deletion", colours, "a")
    # The budget is on the axis; the point, over 2 inputs of 5, is not drawn, so the scale of the scores stays.
    unfinished = curves([*found, Mean("m", "b", 90, "deletion", 2, 77.0, (0.0, 99.0))], "deletion", colours, "a")
    assert ">90<" in unfinished
    assert re.findall(r">(\d\.\d)<", unfinished) == re.findall(r">(\d\.\d)<", drawn) != []


def test_methods_of_one_colour_have_lines_of_their_own() -> None:
    names = [f"m{i}" for i in range(33)]
    colours = colours_of(names, "m0")
    looks = {(colours[name], turn) for name, turn in turns_of(colours).items()}
    assert len(looks) == 1 + 30  # ten colours in three strokes
    found = [Mean("m", name, budget, "deletion", 5, 0.1, None) for name in names[:12] for budget in (10, 30)]
    drawn = curves(found, "deletion", colours, "m0")
    assert drawn.count("stroke-dasharray") == 1


def test_of_a_clip_the_frame_with_the_most_saliency_is_shown() -> None:
    media = np.zeros((4, 12, 20, 3), dtype=np.uint8)
    media[2] = 200
    saliency = np.zeros((4, 12, 20))
    saliency[2, 3, 4] = 5.0

    def brightness(source: str) -> float:
        with Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) as picture:
            assert picture.size[0] > picture.size[1]
            return float(np.asarray(picture).mean())

    assert brightness(shown(media, saliency)) > 100
    assert brightness(shown(media, np.roll(saliency, 1, axis=0))) < 60
    assert brightness(shown(media)) > 100


def test_what_is_missing_is_said_before_anything_is_run(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from borex.apps.cli import main

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"the report needs the package 'jinja2'.*borex\[report\]"):
        module.check_extra()
    assert main(["benchmark", str(write_config(few)), "--out", str(few / "out")]) == 2
    assert not (few / "out").exists()


def test_a_page_that_cannot_be_written_is_said(made: Path) -> None:
    config = read_config(made / "few.toml")
    with pytest.raises(FileError, match=r"cannot write .*Choose another folder with --out"):
        write_report(config, run(config, made / "out"), made / "out", made / "none" / "page.html")
