"""The table of results: a CSV file that only grows, one line a row, each written whole."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from borex.errors import FileError

# Every score that a row may have; empty where it does not apply.
SCORES = (
    "insertion_blur_minus_deletion", "insertion_blur", "insertion_baseline", "deletion", "average_precision", "best_f1",
    "mean_f1", "published_product", "pointing_game", "time_average_precision",
)  # fmt: skip
LOW_IS_GOOD = ("deletion",)

Key = tuple[str, str, str, int, int]


@dataclass(frozen=True)
class Row:
    """One method on one input. `status`: done, failed (`error` says why) or skipped (the model takes the input for
    another class). `evals`: model inputs used, all counted; `seconds`: of the method, `model_seconds` of them in the
    model; `target`: the class; `p_target`: its probability for the untouched input; `facts`: JSON of what the method
    said of its map."""

    input: str
    kind: str
    model: str
    method: str
    budget: int
    seed: int
    status: str
    scores: dict[str, float]
    evals: int | None = None
    seconds: float | None = None
    model_seconds: float | None = None
    target: int | None = None
    p_target: float | None = None
    facts: str = ""
    error: str = ""

    @property
    def key(self) -> Key:
        return self.input, self.model, self.method, self.budget, self.seed

    def cells(self) -> list[str]:
        """The row as the texts of its columns, in the order of `COLUMNS`."""
        return [
            _text(value)
            for one in fields(self)
            for value in (
                [self.scores.get(name) for name in SCORES] if one.name == "scores" else [getattr(self, one.name)]
            )
        ]

    @classmethod
    def of(cls, cells: dict[str, str]) -> Row:
        """The row in the texts of its columns."""
        made = {name: make(cells[name]) for name, make in NUMBERS.items() if cells[name]}
        texts = {name: cells[name] for name in COLUMNS if name not in NUMBERS and name not in SCORES}
        scores = {name: float(cells[name]) for name in SCORES if cells[name]}
        return cls(scores=scores, **texts, **made)  # type: ignore[arg-type]


NUMBERS = {
    "budget": int, "seed": int, "evals": int, "seconds": float, "model_seconds": float, "target": int, "p_target": float
}  # fmt: skip
COLUMNS = tuple(name for one in fields(Row) for name in (SCORES if one.name == "scores" else (one.name,)))


def _text(value: object) -> str:
    """A number so that it reads back the same; a text on one line."""
    if isinstance(value, float):
        return repr(float(value))
    return "" if value is None else " ".join(str(value).split())


def read_table(path: str | os.PathLike[str]) -> list[Row]:
    """The rows of a table, in the order of their first appearance; of several with one key the last counts.

    A last line that was not written to its end is left out. Raises FileError for a file that is no such table.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1].decode()  # the last line may have broken off inside a character
    except OSError as error:
        raise FileError(f"cannot read the table {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is no table of borex benchmark: {error}") from error
    reader = csv.DictReader(io.StringIO(whole))
    rows: dict[Key, Row] = {}
    try:
        if whole and tuple(reader.fieldnames or ()) != COLUMNS:
            raise FileError(
                f"{path} has other columns than a table of borex benchmark; choose another folder with --out"
            )
        for cells in reader:
            row = Row.of(cells)
            rows[row.key] = row
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        line = reader.line_num + isinstance(error, csv.Error)  # which is raised before the line is counted
        raise FileError(f"{path}, line {line}, is no row of results ({error}); mend or delete it") from error
    return list(rows.values())


class Table:
    """Rows appended to a file, each by one write of a whole line that reaches the disk before the next begins."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path, self._handle = path, handle

    def append(self, row: Row) -> None:
        """Writes one row. Raises FileError where it cannot be written whole."""
        self._write(row.cells())

    def _write(self, cells: list[str] | tuple[str, ...]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        data = line.getvalue().encode()
        try:
            written = os.write(self._handle, data)
            os.fsync(self._handle)
        except OSError as error:
            raise FileError(f"cannot write to {self._path}: {error.strerror}") from error
        if written < len(data):
            raise FileError(f"cannot write to {self._path}: the disk is full. What was written before is kept")


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """The table in a file, to append to; a new one gets its header, a line that broke off is removed. Nobody else can
    open it meanwhile. Raises FileError."""
    handle = -1
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
        _lock(handle, path)
        with os.fdopen(os.dup(handle), "rb") as file:
            whole = file.read().rfind(b"\n") + 1
        os.ftruncate(handle, whole)
        table = Table(path, handle)
        if whole == 0:
            table._write(COLUMNS)
        yield table
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"cannot write to {path}: {error.strerror}. Choose another folder with --out") from error
    finally:
        if handle >= 0:
            os.close(handle)


def _lock(handle: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows opens no file twice for writing in this way
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FileError(f"another run is writing {path}; wait for it, or choose another folder with --out") from error
