"""What `borex refine-each` does: every picture and video of a folder by itself, in batches that they share."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path
from typing import Any

from borex import refine_many
from borex.apps.outputs import check_writable, write
from borex.apps.saved import is_same, saved_media
from borex.errors import BorexError, FileError, ModelError
from borex.explanation import Explanation
from borex.media.folder import PICTURES, checksum_of
from borex.media.load import VIDEOS, is_clip
from borex.media.read import checksum, read_image, unreadable
from borex.models import as_model

SUMMARY = "summary.csv"
COLUMNS = ("input", "target", "score", "evals", "stop_reason", "error", "crc32", "settings")


def refine_each(folder: Path, out: Path, model: str | None, of_model: dict[str, Any], **options: Any) -> int:
    """Writes what `borex refine` writes of every input that has no NAME.npz in `out` yet, and a line of summary.csv as
    each is done. Returns 0, 1 where a model failed on one, 2 where one could not be used, which is said on stderr.

    `model`: as `refine_many` takes it; `of_model`: what is said of it, as `as_model` takes it.
    Raises FileError where there is nothing to explain, two inputs would have the same name, `out` is the folder itself,
    or what is in `out` under an input's name was made with other settings, or of another input.
    """
    inputs = media_in(folder)
    check_writable(out)
    if out.samefile(folder):
        raise FileError(
            f"--out is {out}, the folder of the inputs: what is written could replace them, and would be explained "
            "next time. Choose another folder with --out"
        )
    settings, before = _settings(model, of_model, options), _read_summary(out / SUMMARY)
    done = [path for path in inputs if os.path.exists(out / f"{path.stem}.npz")]
    missing = sorted(set(inputs) - set(done))
    if done:
        unknown = _unknown(out, before, done, settings)
        said = f"; {SUMMARY} does not say with which settings {unknown} of them were made" if unknown else ""
        print(f"borex: {len(done)} of {len(inputs)} are in {out} already{said}", file=sys.stderr)
    code = 0
    _forget_failures(out / SUMMARY, before, {path.name for path in missing})
    # A file's name need not be UTF-8.
    with (out / SUMMARY).open("a", newline="", encoding="utf-8", errors="surrogateescape") as file:
        table = csv.writer(file)
        if not file.tell():
            table.writerow(COLUMNS)
            file.flush()  # a table without it would be taken for somebody else's
        for one in refine_many(as_model(model, **of_model) if of_model else model, missing, **options):
            path, error = missing[one.index], one.error
            if one.explanation is not None:
                try:
                    write(one.explanation, out, path.stem)
                except BorexError as failed:
                    error = failed
            if error is not None:
                code = max(code, 1 if isinstance(error, ModelError) else 2)
                text = " ".join(str(error).split())
                print(f"borex: {path}: {text}", file=sys.stderr)
                table.writerow((path.name, "", "", 0, "", text, "", settings))
            elif one.explanation is not None:
                table.writerow((path.name, *_facts(one.explanation), "", _checksum(path), settings))
                print(f"{path}: {one.explanation.title()}")
            file.flush()
    return code


def media_in(folder: Path) -> list[Path]:
    """The pictures and videos of a folder, by name."""
    try:
        every = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileError(
            f"{folder} is no folder; expected one with pictures or videos. borex refine takes a file"
        ) from error
    except OSError as error:
        raise unreadable(folder, error) from error
    known = (*PICTURES, *VIDEOS)
    found = [one for one in every if one.suffix.lower() in known and not one.name.startswith(".")]
    if not found:
        raise FileError(
            f"the folder {folder} holds no picture and no video; expected files that end in {', '.join(known)}"
        )
    stems: dict[str, Path] = {}
    for path in found:
        other = stems.setdefault(path.stem, path)
        if other != path:
            raise FileError(
                f"{other} and {path} would both be written as {path.stem}.npz; rename one, or give each a folder"
            )
    return found


def _read_summary(path: Path) -> list[dict[str, str]]:
    """The lines of a summary.csv; none where there is none, or a run was stopped before it wrote any. Raises FileError
    for one that is not ours: lines of ours would spoil it."""
    if not path.exists() or not path.stat().st_size:
        return []
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.DictReader(file, restval="")
        header = reader.fieldnames or []
        if list(header) != list(COLUMNS):
            raise FileError(
                f"{path} has the columns {', '.join(header)[:80] or 'none'}, so borex did not write it; choose another "
                "folder with --out"
            )
        return [{name: row[name] for name in COLUMNS} for row in reader]


def _forget_failures(path: Path, said: list[dict[str, str]], names: set[str]) -> None:
    """Takes the lines of failures out of a summary.csv whose inputs are tried again: each has one line."""
    kept = [row for row in said if not (row["error"] and row["input"] in names)]
    if len(kept) == len(said):
        return
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(kept)
    part.replace(path)


def _settings(model: str | None, of_model: dict[str, Any], options: dict[str, Any]) -> str:
    """What decides the results, as it was typed."""
    if model is not None and os.path.isfile(model):
        model = f"{model} (crc32 {checksum([Path(model)]):08x})"
    said = {"model": model, **of_model, **{name: options.get(name) for name in ("target", "max_evals", "seed")}}
    return ", ".join(f"{name} {value}" for name, value in said.items() if value is not None)


def _unknown(out: Path, said: list[dict[str, str]], done: list[Path], settings: str) -> int:
    """Of how many of the inputs that are `done` the summary does not say with which settings. Raises FileError where it
    says other ones of any, and where what is in `out` under its name is of another input."""
    made = {Path(row["input"]).stem: row for row in said if not row["error"]}
    for path in done:
        row, result = made.get(path.stem), f"{out / path.stem}.npz"
        if row is not None and row["settings"] not in ("", settings):
            raise FileError(
                f"{result} was made with other settings ({row['settings']}) than those of this run ({settings}). "
                "Choose another folder with --out"
            )
        if _is_other(path, row, Path(result)):
            raise FileError(
                f"{result} explains another input than {path}. Choose another folder with --out; where {path.name} has "
                "changed since, remove the result"
            )
    return sum(path.stem not in made or not made[path.stem]["settings"] for path in done)


def _is_other(path: Path, row: dict[str, str] | None, result: Path) -> bool:
    """Whether a result is seen to be of another input, by its line of the summary. Where there is none pictures are
    compared with the one in it; clips are not, for which frames were read is the model's choice."""
    if row is not None:
        found = _checksum(path)
        return bool(row["crc32"] and found) and row["crc32"] != found
    saved = saved_media(result)
    if saved is None or saved.ndim == 4 or is_clip(path):
        return saved is not None and (saved.ndim == 4) != is_clip(path)
    try:
        return not is_same(saved, read_image(path))
    except FileError:
        return False


def _checksum(path: Path) -> str:
    """As the summary has it; empty where the input cannot be read."""
    try:
        return f"{checksum_of(path):08x}"
    except OSError:
        return ""


def _facts(explanation: Explanation) -> tuple[str, float, int, str]:
    return explanation.target.label, round(explanation.score, 6), explanation.evals, explanation.stop_reason
