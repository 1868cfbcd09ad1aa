"""The inputs of a benchmark: rows of a table, and the media and object masks that they name."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from borex.errors import FileError, InputError, MissingExtraError
from borex.evaluation.benchmark.config import InputSet
from borex.layout import is_alike, resize, resize_media
from borex.media.load import Part, is_clip, read_given, read_media
from borex.media.read import checked_path, read_image

SCIKIT_IMAGE = "skimage:"  # "skimage:coffee" is a photo that comes with scikit-image
PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


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
        if one.name in names:
            raise InputError(
                f"two inputs are called {one.name!r}: {names[one.name].file} and {one.file}. Rename one of the files"
            )
        names[one.name] = one
    return found


def _chosen(part: InputSet) -> list[Input]:
    path = checked_path(part.table)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
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
    takes images: then its first frame."""
    path = one.folder / one.file
    if one.file.startswith(SCIKIT_IMAGE):
        media = _scikit_image(one.file.removeprefix(SCIKIT_IMAGE))
    elif path.suffix.lower() in PICTURES and not (is_clip(path) and (extent is None or len(extent) == 3)):
        media = read_image(path)
    else:
        from borex.media.video import read_clip

        if extent is not None and len(extent) == 3:  # no more frames are kept than the model takes
            media = read_media(read_given(path, extent, Part(frames=extent[0])))[0]
        else:
            media = read_clip(path).frames
    if extent is None:
        return media
    if len(extent) != media.ndim - 1:
        kind = {2: "images", 3: "clips"}.get(len(extent), f"{len(extent)} axes")
        raise InputError(f"{one.file} has shape {media.shape}, but the model takes {kind}, {extent}")
    return resize_media(_frames(media, extent), extent)


def load_mask(one: Input, extent: tuple[int, ...]) -> np.ndarray | None:
    """The object mask of an input, bool `(*extent,)`; None where it has none, or one that tells nothing at this size.

    A picture, white on black, or an array in an .npz or .npy; what is above half of its maximum is object.
    """
    if one.mask is None:
        return None
    path = checked_path(one.folder / one.mask)
    if path.suffix.lower() in PICTURES:
        values: Any = read_image(path).mean(axis=-1)
    else:
        with path.open("rb") as file:
            stored: Any = np.load(file, allow_pickle=False)
            values = stored if isinstance(stored, np.ndarray) else stored[_mask_key(path, stored.files)]
    if values.ndim != len(extent):
        raise InputError(f"{path} has shape {values.shape}; expected a mask of {len(extent)} axes")
    size = _size(one)
    if size is not None and not is_alike(values.shape, size):
        raise InputError(f"the mask {path} has shape {values.shape}, {one.file} {size}; expected the same shape")
    inside = np.asarray(values, dtype=np.float32)
    inside = (inside > inside.max() / 2).astype(np.float32)
    found = resize(_frames(inside[..., None], extent)[..., 0], extent) >= 0.5
    return found if found.any() and not found.all() else None


@lru_cache(maxsize=1)  # many rows of one input come after each other
def _size(one: Input) -> tuple[int, int] | None:
    """`(H, W)` of a picture; None for what is none, or is wrong in a way that its reader says."""
    if one.file.startswith(SCIKIT_IMAGE):
        return None
    path = one.folder / one.file
    return read_image(path).shape[:2] if path.suffix.lower() in PICTURES and not is_clip(path) else None


def _mask_key(path: Path, names: list[str]) -> str:
    if "masks" in names or len(names) == 1:
        return "masks" if "masks" in names else names[0]
    raise FileError(f"{path} holds the arrays {', '.join(names)}; expected one, or one named 'masks'")


def _frames(media: np.ndarray, extent: tuple[int, ...]) -> np.ndarray:
    """A clip's frames, those in the middle of as many equal parts as the model takes; an image as it is."""
    if media.ndim != 4 or len(media) <= extent[0]:
        return media
    return media[((np.arange(extent[0]) + 0.5) * len(media) / extent[0]).astype(int)]


def _scikit_image(name: str) -> np.ndarray:
    try:
        from skimage import data
    except ImportError as error:
        raise MissingExtraError(f"the input {SCIKIT_IMAGE}{name}", "scikit-image", "bench") from error
    if name not in data.__all__:
        raise InputError(f"the input is {SCIKIT_IMAGE}{name}, which scikit-image has not; see skimage.data")
    photo = np.asarray(getattr(data, name)())
    return photo if photo.ndim == 3 else np.repeat(photo[..., None], 3, axis=2)
