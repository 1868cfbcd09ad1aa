"""What the rows of a folder were made with: a later run into the same folder must share it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zlib import crc32

from borex.errors import BorexError, FileError, InputError
from borex.evaluation.benchmark.config import Config, ModelSpec
from borex.evaluation.benchmark.inputs import SCIKIT_IMAGE, Input
from borex.evaluation.benchmark.table import Row
from borex.media.folder import checksum_of

NOT_COMPARED = ("budgets", "seeds")  # of a method: which rows there are, not what they are


def check_protocol(path: Path, config: Config, inputs: list[Input], rows: list[Row]) -> None:
    """Says in the file `path` what is run now, beside what was run before.

    `rows`: those of the folder. Raises InputError where they are of another protocol, or were made of an input, a model
    or a method that has changed since (a row that failed shows nothing of it); FileError where the file cannot be read.
    """
    now: dict[str, Any] = {
        "steps": config.steps,
        "baseline": config.baseline,
        "correct_only": config.correct_only,
        "models": {one.name: _model_facts(one, config.folder) for one in config.models},
        "methods": {one.name: _compared(asdict(one)) for one in config.methods},
        "inputs": {one.name: _facts(one) for one in inputs},
    }
    now = json.loads(json.dumps(now))
    before: dict[str, Any] = {}
    if path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileError(f"{path} cannot be read: {error}. Choose another folder with --out") from error
        shown = [row for row in rows if row.status != "failed"]
        names = {part: {getattr(row, part[:-1]) for row in shown} for part in ("models", "methods", "inputs")}
        told = {
            part: {name: facts for name, facts in before.get(part, {}).items() if name in names[part]} for part in names
        }
        known = told["inputs"]
        for name, was, now_is in _differences({**before, **told} if shown else told, now):
            raise InputError(
                f"{path.parent} holds rows in which {name} is {was!r}; now it is {now_is!r}. Choose another folder "
                "with --out, or another name for what has changed"
            )
        for name in known.keys() & now["inputs"]:  # a file that is away now is still known
            now["inputs"][name] = {**known[name], **now["inputs"][name]}
    for part in ("models", "methods", "inputs"):
        now[part] = {**before.get(part, {}), **now[part]}
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(now, indent=1), encoding="utf-8")
    temporary.replace(path)


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """What is said before and now, and not the same; what only one of them says is not known to differ."""
    for name, value in now.items():
        if name in ("models", "methods"):
            for one, spec in value.items():
                was = _compared(before.get(name, {}).get(one, {}))
                if any(spec[key] != was[key] for key in spec.keys() & was.keys()):
                    yield f"{name} {one!r}", was, spec
        elif name == "inputs":
            for one, facts in value.items():
                known = before[name].get(one, {})
                for fact, now_is in facts.items():
                    if fact in known and known[fact] != now_is:
                        yield f"the {fact} of input {one!r}", known[fact], now_is
        elif name in before and before[name] != value:
            yield name, before[name], value


def _compared(spec: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key not in NOT_COMPARED}


def _model_facts(one: ModelSpec, folder: Path) -> dict[str, Any]:
    """What a model is; with a checksum where it is a file that can be read."""
    facts = asdict(one)
    found = _checksum(folder, one.make) if one.make.endswith(".onnx") else None
    return facts if found is None else {**facts, "crc32": found}


def _facts(one: Input) -> dict[str, Any]:
    """What an input is; checksums only of files that can be read."""
    facts: dict[str, Any] = {"target": one.target, "mask": one.mask}
    for part, file in (("file_crc32", one.file), ("mask_crc32", one.mask)):
        found = None if file is None else _checksum(one.folder, file)
        if found is not None:
            facts[part] = found
    return facts


def _checksum(folder: Path, file: str) -> int | None:
    if file.startswith(SCIKIT_IMAGE):
        return crc32(file.encode())  # a photo of scikit-image is what its name says
    try:
        return checksum_of(folder / file)
    except (OSError, BorexError):  # the row says what is wrong with it
        return None
