"""A table reads back as it was written, whatever was cut off."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from borex.errors import FileError
from borex.evaluation.benchmark import Row, read_table
from borex.evaluation.benchmark.table import COLUMNS, SCORES, open_table

ROW = Row(
    "cat", "photo", "lite0", "field", 200, 3, "done", {"deletion": 0.1 + 0.2, "insertion_blur": 1 / 3},
    199, 1.25, 0.5, 282, 0.75, '{"a": "b, \\"c\\""}',
)  # fmt: skip
FAILED = Row("dög, the", "photo", "lite0", "rise", 100, 0, "failed", {}, error='no "way", at all')


def test_rows_read_back_the_same(tmp_path: Path) -> None:
    with open_table(tmp_path / "t.csv") as table:
        table.append(ROW)
        table.append(FAILED)
    assert read_table(tmp_path / "t.csv") == [ROW, FAILED]
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
    assert set(SCORES) < set(COLUMNS)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
@example(0)
def test_wherever_it_breaks_off_it_goes_on(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    with open_table(path) as table:
        table.append(ROW)
        table.append(FAILED)
    data = path.read_bytes()
    cut = data.rindex(b"\xc3") + 1 if cut == 0 else min(cut % len(data) + 1, len(data))  # 0: inside a character
    path.write_bytes(data[:cut])
    whole = [ROW, FAILED][: max(0, data[:cut].count(b"\n") - 1)]
    assert read_table(path) == whole
    with open_table(path) as table:
        table.append(ROW)
    assert read_table(path) == ([ROW, FAILED] if len(whole) == 2 else [ROW])
    assert path.read_bytes().startswith(data[: data[:cut].rfind(b"\n") + 1])


def test_the_last_row_of_a_key_counts_in_the_place_of_the_first(tmp_path: Path) -> None:
    again = Row(*FAILED.key[:1], "photo", "lite0", "rise", 100, 0, "done", {"deletion": 0.5})
    with open_table(tmp_path / "t.csv") as table:
        for row in (FAILED, ROW, again):
            table.append(row)
    assert read_table(tmp_path / "t.csv") == [again, ROW]


def test_another_file_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(FileError, match="other columns than a table of borex benchmark"):
        read_table(path)
    path.write_bytes(b"\xff\n")
    with pytest.raises(FileError, match="is no table of borex benchmark"):
        read_table(path)
    path.write_text(",".join(COLUMNS) + "\n" + ",".join("x" for _ in COLUMNS) + "\n")
    with pytest.raises(FileError, match=r"line 2, is no row of results .*mend or delete it"):
        read_table(path)
    path.write_text(",".join(COLUMNS) + "\n" + "x" * 200_000 + "\n")
    with pytest.raises(FileError, match=r"line 2, is no row of results \(field larger than field limit"):
        read_table(path)
    path.write_text("x" * 200_000 + "\n")
    with pytest.raises(FileError, match="is no row of results"):
        read_table(path)
    with pytest.raises(FileError, match="cannot read the table"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(FileError, match=r"cannot write to .*--out"), open_table(tmp_path / "no" / "t.csv"):
        pass
