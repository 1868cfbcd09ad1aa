"""The inputs of a benchmark: rows of a table, and the media and object masks that they name."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from borex.errors import FileError, InputError, MissingExtraError
from borex.evaluation.benchmark.config import InputSet
from borex.layout import is_alike, to_extent
from borex.media.load import Part, is_clip, read_given
from borex.media.object_mask import read_mask
from borex.media.read import checked_path, read_image
from borex.media.video import Clip, read_clip

SCIKIT_IMAGE = "skimage:"  # "skimage:coffee" is a photo that comes with scikit-image


@dataclass(frozen=True)
class Input:
    """One row: `name`, the file's without folder and suffix, with single blanks; `file` and `mask`, relative to
    `folder`; `target`, the class to explain (None: the model's top class); `kind`, such as photo or composite."""

    name: str
    folder: Path
    file: str
    mask: str | None
    target: int | None
    kind: str


def read_inputs(sets: Sequence[InputSet]) -> list[Input]:
    """The inputs of the tables, in their order. Raises FileError or InputError for a table that cannot be used, and for
    two inputs of one name."""
    found = [one for part in sets for one in _chosen(part)]
    names: dict[str, Input] = {}
    for one in found:
        other = names.get(one.name)
        if other is not None and (other.folder / other.file).resolve() == (one.folder / one.file).resolve():
            raise InputError(
                f"the input {one.file} is there twice: two of the [[inputs]] overlap, or a table has it in two rows. "
                "Choose other rows for one of them"
            )
        if other is not None:
            raise InputError(
                f"two inputs are called {one.name!r}: {other.file} and {one.file}. Rename one of the files"
            )
        names[one.name] = one
    return found


def _chosen(part: InputSet) -> list[Input]:
    path = checked_path(part.table)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [_without_blanks(row) for row in csv.DictReader(file, skipinitialspace=True)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"{path} cannot be read as a table: {error}") from error
    columns = set(rows[0]) if rows else set()
    for needed in ("file", *part.where):
        if needed not in columns:
            raise InputError(f"the table {path} has the columns {sorted(map(str, columns))}; expected {needed!r} too")
    rows = [row for row in rows if all(row[key] == value for key, value in part.where.items())]
    if not rows:
        raise InputError(f"no row of {path} has {part.where}")
    start, step = part.rows
    if start >= len(rows):
        raise InputError(f"rows of {path} start at {start}, but only {len(rows)} are left, counted from 0")
    rows = rows[start::step]
    if part.n is not None and part.n < len(rows):
        rows = [rows[i] for i in np.linspace(0, len(rows) - 1, part.n).astype(int)]
    return [_input(path, row) for row in rows]


def _without_blanks(row: dict[Any, Any]) -> dict[str, str]:
    """A row without the blanks around its names and values; a line that ends early has empty values."""
    return {name.strip(): (value or "").strip() for name, value in row.items() if name is not None}


def _input(path: Path, row: dict[str, str]) -> Input:
    if not row["file"]:
        raise InputError(f"{path} has a row without a file: {row}")
    target = row.get("class_index") or None
    if target is not None and not target.isdecimal():
        raise InputError(f"{path}: class_index of {row['file']!r} is {target!r}; expected the number of a class")
    name = row["file"].removeprefix(SCIKIT_IMAGE)
    return Input(
        name=_on_one_line(Path(name).stem),
        folder=path.parent,
        file=row["file"],
        mask=row.get("mask") or row.get("masks") or None,
        target=None if target is None else int(target),
        kind=_on_one_line(row.get("kind") or "") or "input",
    )


def _on_one_line(text: str) -> str:
    """As the table of results keeps it: a row must read back as that of the same input."""
    return " ".join(text.split())


def load_media(one: Input, extent: tuple[int, ...] | None) -> np.ndarray:
    """The media of an input, uint8 `(*extent, 3)`. `extent`: of the model; None: the file's own. A clip is brought to
    as many frames by leaving frames out, so that its masks can be as well. A GIF that moves is a clip, unless the model
    takes images: then its first frame. Raises FileError, and InputError for media of another kind than the model's."""
    media = _given(one, extent)
    frames = media.frames if isinstance(media, Clip) else media
    return frames if extent is None else to_extent(frames, extent)


def load_mask(one: Input, extent: tuple[int, ...]) -> np.ndarray | None:
    """The object mask of an input, bool `(*extent,)`; None where it has none, or one whose object cannot be told at
    this size.

    What `read_mask` reads, as `borex score` does; what is above half of its maximum is object. Raises FileError, and
    InputError for a mask of another shape than the media, and for one in which nothing or everything is object.
    """
    if one.mask is None:
        return None
    path = one.folder / one.mask
    media = _given(one, extent)
    values = read_mask(path, _part(extent), extent, media)
    shape = media.frames.shape[:-1] if isinstance(media, Clip) else media.shape[:-1]
    if not is_alike(values.shape, shape):
        raise InputError(
            f"the mask {path} has shape {values.shape}, {one.file} {shape}; expected the same, or one of another size "
            "and the same shape"
        )
    there = values > values.max() / 2
    if not there.any() or there.all():
        raise InputError(
            f"{'nothing' if not there.any() else 'everything'} in the mask {path} is object; expected an object, white "
            "or above 0, and something around it. Mend the mask, or leave it out of the table"
        )
    found = to_extent(there.astype(np.float32)[..., None], extent)[..., 0] >= 0.5
    return found if found.any() and not found.all() else None


def _given(one: Input, extent: tuple[int, ...] | None) -> np.ndarray | Clip:
    """The picture of an input, or its clip: of a clip, no more frames are kept than the model takes."""
    path = one.folder / one.file
    if one.file.startswith(SCIKIT_IMAGE):
        media: np.ndarray | Clip = _scikit_image(one.file.removeprefix(SCIKIT_IMAGE))
    elif not is_clip(path):
        media = read_image(path)
    elif extent is None:
        media = read_clip(path)
    else:
        return read_given(path, extent, _part(extent))
    if extent is not None and len(extent) != 2:
        raise InputError(f"{one.file} is a picture, but the model takes clips of {extent}")
    return media


def _part(extent: tuple[int, ...]) -> Part:
    return Part(frames=extent[0]) if len(extent) == 3 else Part()


def _scikit_image(name: str) -> np.ndarray:
    try:
        from skimage import data
    except ImportError as error:
        raise MissingExtraError(f"the input {SCIKIT_IMAGE}{name}", "scikit-image", "bench") from error
    if name not in data.__all__:
        raise InputError(f"the input is {SCIKIT_IMAGE}{name}, which scikit-image has not; see skimage.data")
    photo = np.asarray(getattr(data, name)())
    return photo if photo.ndim == 3 else np.repeat(photo[..., None], 3, axis=2)
