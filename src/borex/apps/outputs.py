"""What the commands write and print."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from borex.apps.saved import is_same, saved_media
from borex.errors import BorexError, FileError, MissingExtraError
from borex.explanation import Explanation
from borex.layout import channels_last
from borex.media.load import read_media
from borex.media.show import limits
from borex.media.video import Clip
from borex.media.write import overlay, picture, save_png

OF_PICTURE, OF_CLIP = ("overlay.png", "panel.png"), ("overlay.mp4", "strip.png")
MAX_SIDE = 2048  # pixels of the overlay: more than a screen shows, and seconds of packing for a large photo


def check_writable(folder: Path) -> None:
    """Raises FileError where nothing can be written, before any evaluation is spent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FileError(
            f"cannot write to the folder {folder}: {error.strerror}. Choose another one with --out"
        ) from error


def check_film(given: Any) -> None:
    """Raises MissingExtraError where a clip was read, of a folder of pictures, but no film can be written."""
    if hasattr(given, "seconds") and find_spec("av") is None:
        raise MissingExtraError("writing a video file", "av", "video")


def check_apart(media: Path, initial: str | None, out: Path) -> None:
    """Raises FileError where what is written would become a frame of the media, or take the initial map's place."""
    if media.is_dir() and out.is_dir() and out.samefile(media):
        raise FileError(
            f"--out is {out}, the folder of the frames: the pictures that are written would be frames next time. "
            "Choose another folder with --out"
        )
    written = out / f"{name_of(media)}.npz"
    if initial is not None and written.exists() and Path(initial).exists() and written.samefile(initial):
        raise FileError(
            f"the initial map is {initial}, where the explanation would be written; choose another folder with --out"
        )


def say_replaced(folder: Path, stem: str, given: Any) -> None:
    """Says on stderr where what will be written replaces the explanation of other media than `given`, a path or a Clip,
    which is read for that alone; and what stays of it."""
    path = folder / f"{stem}.npz"
    if not os.path.exists(path):
        return
    saved, media = saved_media(path), read_media(given)[0]
    if saved is not None and is_same(saved, media):
        return
    said = "does not say what it explains"
    if saved is not None and saved.ndim == media.ndim:
        said = f"explains another input{', or other frames of this one' if media.ndim == 4 else ''}"
    elif saved is not None:
        kind, ends = ("clip", OF_CLIP) if saved.ndim == 4 else ("picture", OF_PICTURE)
        stays = [str(one) for one in (folder / f"{stem}_{end}" for end in ends) if one.exists()]
        said = f"explains a {kind}" + (f"; left of it: {', '.join(stays)}" if stays else "")
    print(f"borex: replaces {path}, which {said}", file=sys.stderr)


def name_of(media: Path) -> str:
    """What the files about a picture, a video or a folder of frames are named after."""
    path = Path(os.path.abspath(media))  # "." and ".." have no name of their own
    return path.name if path.is_dir() else path.stem


def write(explanation: Explanation, folder: Path, stem: str) -> dict[str, str]:
    """Writes the pictures and the explanation; the paths by what they are."""
    is_clip = explanation.saliency.ndim == 3
    ends = OF_CLIP if is_clip else OF_PICTURE
    files = {Path(end).stem: folder / f"{stem}_{end}" for end in ends} | {"explanation": folder / f"{stem}.npz"}
    try:
        if is_clip:
            explanation.save(files["overlay"])
            explanation.save(files["strip"])
        else:
            assert explanation.media is not None
            small = picture(explanation.media, MAX_SIDE)
            save_png(
                files["overlay"], overlay(small, explanation.smooth(explanation.saliency), limits=limits(explanation))
            )
            save_png(files["panel"], explanation.panel())
    except BaseException:  # pictures can be made anew, answers cannot
        explanation.save(files["explanation"])
        raise
    explanation.save(files["explanation"])  # last: what is there is there whole
    return {name: str(path) for name, path in files.items()}


def keep_answered(error: BaseException, media: np.ndarray | Clip, folder: Path, stem: str) -> Path | None:
    """Writes what was answered before a run failed or was interrupted; the path, None where nothing was answered, or it
    cannot be written: what led here is the error to report."""
    refiner = getattr(error, "refiner", None)
    if refiner is None or not refiner.evals:
        return None
    shown, excerpt = read_media(media)
    try:
        found = refiner.result().at(shown, None, excerpt, layout=channels_last(shown.ndim))
        return found.save(folder / f"{stem}_unfinished.npz")
    except BorexError:
        return None


def facts(explanation: Explanation) -> dict[str, Any]:
    """What `--json` says of a refinement."""
    trust, check, settings = explanation.trust, explanation.check, explanation.record.settings
    excerpt = explanation.excerpt
    return {
        "target": target_facts(explanation.target),
        "score": explanation.score,
        "evals": explanation.evals,
        "stop_reason": explanation.stop_reason,
        "trust": None if trust is None else {"mean": trust[0], "std": trust[1]},
        "check": None
        if check is None
        else {"initial": check.initial, "refined": check.refined, "chosen": check.chosen},
        "method": settings.method,
        "max_evals": settings.max_evals,
        "seed": settings.seed,
        "clip": None
        if excerpt is None
        else {"seconds": excerpt.seconds, "fps": excerpt.fps, "shown_frames": explanation.shown_frames().tolist()},
    }


def target_facts(target: Any) -> dict[str, Any]:
    """What `--json` says of a target."""
    return {"index": target.index, "label": target.label, "against": target.against}


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
