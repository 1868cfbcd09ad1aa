"""Explanations as files: arrays and one JSON text in an `.npz`, no pickle, with a format number."""

from __future__ import annotations

import json
import os
import threading
import zipfile
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from borex.errors import FileError
from borex.explanation import Check, Excerpt, Explanation, Record
from borex.settings import Settings
from borex.targets import Target

# 1 knew one baseline, 2 not what the cells look like, 3 no masks of the caller's between those that were asked.
FORMAT = 4
ARRAYS = ("saliency", "std", "initial", "profile_std", "media")
RECORDED = ("coverage", "scores", "fills", "points", "initial_side", "check_side", "change", "appearance")


def save_npz(path: Path, found: Explanation) -> None:
    """Writes everything that is in an explanation; a target that is a function by its name only."""
    text = {
        "format": FORMAT, "trust": found.trust, "target": asdict(replace(found.target, function=None)),
        "score": found.score, "evals": found.evals, "stop_reason": found.stop_reason, "history": found.history,
        "check": None if found.check is None else asdict(found.check), "labels": found.labels,
        "settings": found.record.settings.to_json(),
        "excerpt": None if found.excerpt is None else asdict(found.excerpt),
    }  # fmt: skip
    arrays = {name: getattr(found, name) for name in ARRAYS} | {name: getattr(found.record, name) for name in RECORDED}
    arrays["record_initial"] = found.record.initial
    present = {name: values for name, values in arrays.items() if values is not None}
    # Under another name first, so that it is there whole or not at all, whatever others save beside it.
    part = path.with_name(f".borex.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with open(part, "wb") as file:
            np.savez_compressed(file, json=np.array(json.dumps(text)), **present)
        part.replace(path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise FileError(f"cannot write {path}: {error.strerror or error}; choose a folder you may write to") from error


def load_npz(path: Any) -> Explanation:
    """Reads what `save_npz` wrote; raises FileError where it is missing or something else."""
    try:
        # NumPy leaves a file that it opened itself open when the archive is damaged, and what is no archive it
        # advises to unpickle.
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise FileError(f"{path} is not an explanation saved by borex, or is damaged; save() writes an .npz")
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        if "json" not in arrays:
            raise FileError(
                f"{path} is not an explanation saved by borex, it holds {', '.join(arrays) or 'nothing'}. A heat "
                "map alone is read with borex.media.read.read_map"
            )
        text = json.loads(str(arrays.pop("json")))
        if text["format"] != FORMAT:
            what = "Update borex" if text["format"] > FORMAT else "It is of an earlier borex: explain the media again"
            raise FileError(f"{path} has format {text['format']}; this version reads {FORMAT}. {what}")
        return _explanation(text, arrays)
    except FileNotFoundError as error:
        raise FileError(f"there is no file {path}") from error
    except FileError:
        raise
    except Exception as error:  # damaged archives fail in zip, zlib and NumPy alike
        raise FileError(f"{path} is not an explanation saved by borex ({type(error).__name__}: {error})") from error


def _explanation(text: dict[str, Any], arrays: dict[str, np.ndarray]) -> Explanation:
    check, excerpt = text["check"], text["excerpt"]
    record = Record(
        Settings.from_json(text["settings"]), arrays["coverage"], arrays["scores"], arrays["fills"], arrays["points"],
        arrays["initial_side"], arrays["check_side"], arrays.get("record_initial"), arrays.get("change"),
        arrays.get("appearance"),
    )  # fmt: skip
    return Explanation(
        saliency=arrays["saliency"], std=arrays["std"], initial=arrays["initial"],
        profile_std=arrays.get("profile_std"), trust=None if text["trust"] is None else tuple(text["trust"]),
        target=Target(**text["target"]), score=text["score"], evals=text["evals"], stop_reason=text["stop_reason"],
        history=tuple(text["history"]),
        check=None if check is None else Check(**{**check, "shares": tuple(check["shares"])}),
        record=record, labels=None if text["labels"] is None else tuple(text["labels"]), media=arrays.get("media"),
        excerpt=None if excerpt is None else Excerpt(**{**excerpt, "seconds": tuple(excerpt["seconds"])}),
    )  # fmt: skip
