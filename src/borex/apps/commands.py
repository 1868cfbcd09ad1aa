"""The commands of `borex`: parse, call the library, show. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from borex import __version__, refine
from borex.errors import FileError, InputError
from borex.explanation import Explanation
from borex.heatmaps import NAMES as HEATMAPS
from borex.media.read import read_image, read_map
from borex.media.write import picture, save_png

MAX_SIDE = 2048  # pixels of the overlay: more than a screen shows, and seconds of packing for a large photo
OUT = Path("borex-out")
_NAMES = " or ".join([", ".join(HEATMAPS[:-1]), HEATMAPS[-1]])

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


class Method(StrEnum):
    field = "field"
    paper = "paper"


Photo = Annotated[Path, typer.Argument(help="A picture: JPEG, PNG, WebP, TIFF, …", metavar="PHOTO", show_default=False)]
ModelFile = Annotated[
    Path | None,
    typer.Option("--model", help="An ONNX file. [default: the embedded EfficientNet-Lite0]", metavar="FILE.onnx"),
]
Target = Annotated[
    str | None,
    typer.Option(help="The class to explain: its number or label. [default: the model's top class]", metavar="CLASS"),
]
Against = Annotated[
    str | None,
    typer.Option(help="A second class: why --target rather than this one?", metavar="CLASS"),
]
BatchSize = Annotated[int, typer.Option(help="Inputs in one call of the model; no change to the result.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"borex {__version__}")
        raise typer.Exit


@app.callback(epilog="Example: borex refine photo.jpg")
def borex(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """What in a photo makes a classifier answer as it does: refine its heat map, and score heat maps."""


@app.command("refine", epilog="Example: borex refine photo.jpg --target espresso --max-evals 300 --out pictures")
def refine_command(
    photo: Photo,
    model: ModelFile = None,
    initial: Annotated[
        str | None,
        typer.Option(
            help="The heat map to refine: a file (.npy, .npz or a greyscale .png) of any size, or "
            f"{_NAMES}, made here: from the budget (lime, shap, rise), or inside a PyTorch module (no ONNX file is). "
            "[default: flat]",
            metavar="FILE|NAME",
        ),
    ] = None,
    target: Target = None,
    against: Against = None,
    max_evals: Annotated[int, typer.Option(help="The budget, in model inputs, all included.")] = 200,
    method: Annotated[Method, typer.Option(help="field: ours; paper: BOREx as published.")] = Method.field,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="What is seen where a mask hides: blur, mean, black or a number. [default: field: blur, paper: mean]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same result.")] = 0,
    batch_size: BatchSize = 32,
    out: Annotated[Path, typer.Option(help="The folder for what is written; made if need be.", metavar="DIR")] = OUT,
    as_json: Json = False,
) -> None:
    """Refine the heat map of PHOTO: what in it makes the model answer as it does, and how sure is that?

    Writes to --out: NAME_overlay.png, the heat map over the photo; NAME_panel.png, photo, initial map, refined map and
    standard deviation side by side; NAME.npz, the explanation (borex.Explanation.load reads it).
    """
    media = read_image(photo)
    start = _initial(initial)
    _check_writable(out)
    explanation = refine(
        model,
        media,
        start,
        target=_target(target, against),
        method=method.value,
        max_evals=max_evals,
        batch_size=batch_size,
        baseline=_baseline(baseline),
        layout="HWC",
        seed=seed,
        progress=sys.stderr.isatty(),
    )
    files = _write(explanation, media, out, photo.stem)
    if as_json:
        _print_json({"photo": str(photo), **_facts(explanation), "files": files})
        return
    print(explanation.summary())
    print(f"wrote {', '.join(files.values())}")


@app.command("score", epilog="Example: borex score photo.jpg borex-out/photo.npz")
def score_command(
    photo: Photo,
    heat_map: Annotated[
        Path,
        typer.Argument(
            help="A heat map of any size: .npy, .npz, a greyscale .png, or the .npz that borex refine wrote.",
            metavar="MAP",
            show_default=False,
        ),
    ],
    model: ModelFile = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="The class: its number or label. [default: what MAP explains, else the model's top class]",
            metavar="CLASS",
        ),
    ] = None,
    against: Against = None,
    mask: Annotated[
        Path | None,
        typer.Option(help="Where the object is: white on black, the photo's size. Adds the localisation scores."),
    ] = None,
    baseline: Annotated[str, typer.Option(help="What deletion leaves: blur, mean, black or a number.")] = "mean",
    steps: Annotated[int, typer.Option(help="Points on each curve.")] = 224,
    batch_size: BatchSize = 32,
    as_json: Json = False,
) -> None:
    """Score the heat map MAP of PHOTO: insertion and deletion, and localisation where a mask is given.

    The curves show or hide the pixels in the order of the map and watch the score of the class. A score says little
    alone: compare maps of one photo, one model and one baseline.
    """
    from borex.apps.scoring import score_photo

    saliency = read_map(heat_map)
    wanted = _target(target, against)
    if wanted is None:
        wanted = _explained_by(heat_map)
    object_mask = None if mask is None else read_map(mask)
    found, scores = score_photo(
        model, read_image(photo), saliency, wanted, object_mask, _baseline(baseline), steps, batch_size
    )
    row = scores.as_dict()
    if as_json:
        facts = {"photo": str(photo), "map": str(heat_map), "target": _target_facts(found)}
        _print_json({**facts, "baseline": baseline, "steps": steps, "evals": scores.evals, "scores": row})
        return
    print(f"{found.label}; baseline {baseline}, {scores.evals} evaluations")
    for name, value in row.items():
        print(f"{name:<30}{value:7.3f}   {'low' if name == 'deletion' else 'high'} is good")


@app.command("benchmark", epilog="Example: borex benchmark quick.toml --data photos --out results")
def benchmark_command(
    config: Annotated[
        Path, typer.Argument(help="What is run: see docs/benchmark.md.", metavar="CONFIG.toml", show_default=False)
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="The folder of the tables of inputs. [default: that of CONFIG.toml]", metavar="DIR"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder for the results. [default: borex-out/NAME]", metavar="DIR")
    ] = None,
    processes: Annotated[int, typer.Option(help="Rows made at a time, each on one thread.")] = 1,
    retry: Annotated[bool, typer.Option("--retry", help="Make again the rows that failed.")] = False,
    as_json: Json = False,
) -> None:
    """Compare methods on many inputs at equal numbers of model inputs, as CONFIG.toml says.

    Writes to --out: table.csv, one line a row; the maps; report.html. A run that was stopped goes on where it was.
    """
    from borex.apps.benchmarking import benchmark

    benchmark(config, data, OUT / config.stem if out is None else out, processes, retry, as_json)


# What the user typed


def _target(target: str | None, against: str | None) -> Any:
    if against is None:
        return None if target is None else _class(target)
    if target is None:
        raise InputError("--against was given without --target; say both: --target CLASS --against CLASS")
    return _class(target), _class(against)


def _class(text: str) -> int | str:
    """The class that a text names: a number is an index."""
    try:
        return int(text)
    except ValueError:
        return text


def _baseline(text: str | None) -> str | float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _initial(text: str | None) -> Any:
    """None, the name of a heat map, or the array in a file."""
    if text is None or text in HEATMAPS:
        return text
    if not Path(text).exists() and not Path(text).suffix:
        raise InputError(f"--initial is {text!r}, which is no file; expected a file, or {_NAMES}")
    return read_map(text)


def _explained_by(path: Path) -> Any:
    """The target of a saved explanation; None for any other heat map."""
    if path.suffix != ".npz":
        return None
    with np.load(path, allow_pickle=False) as stored:
        if "json" not in stored.files:
            return None
    found = Explanation.load(path).target
    if found.index is None:
        raise InputError(f"{path} explains the function {found.label!r}; say which class to score: --target CLASS")
    return found.index if found.against is None else (found.index, found.against)


# What goes out


def _check_writable(folder: Path) -> None:
    """Raises FileError where nothing can be written, before any evaluation is spent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FileError(
            f"cannot write to the folder {folder}: {error.strerror}. Choose another one with --out"
        ) from error


def _write(explanation: Explanation, media: np.ndarray, folder: Path, stem: str) -> dict[str, str]:
    files = {
        "overlay": folder / f"{stem}_overlay.png",
        "panel": folder / f"{stem}_panel.png",
        "explanation": folder / f"{stem}.npz",
    }
    save_png(files["overlay"], explanation.overlay(picture(media, MAX_SIDE)))
    save_png(files["panel"], explanation.panel())
    explanation.save(files["explanation"])
    return {name: str(path) for name, path in files.items()}


def _facts(explanation: Explanation) -> dict[str, Any]:
    trust, check, settings = explanation.trust, explanation.check, explanation.record.settings
    return {
        "target": _target_facts(explanation.target),
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
    }


def _target_facts(target: Any) -> dict[str, Any]:
    return {"index": target.index, "label": target.label, "against": target.against}


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
