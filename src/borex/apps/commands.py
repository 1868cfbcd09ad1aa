"""The commands of `borex`: parse, call the library, show. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from borex import __version__, refine
from borex.apps.inputs import (
    HEATMAP_NAMES,
    baseline_value,
    initial_map,
    opened,
    said_on_stderr,
    stated,
    wanted_target,
)
from borex.apps.options import (
    OUT,
    Against,
    BatchSize,
    End,
    Frames,
    Json,
    Mean,
    Media,
    Method,
    ModelName,
    OutFolder,
    Output,
    Start,
    Std,
    Stride,
    Target,
    path_of,
)
from borex.apps.outputs import (
    check_apart,
    check_film,
    check_writable,
    facts,
    keep_answered,
    name_of,
    print_json,
    say_replaced,
    target_facts,
    write,
)
from borex.apps.saved import check_same_media, explained_by
from borex.media.load import Part, read_media
from borex.media.read import read_map

# Scores that are means over how much of the map is looked at.
MEANS = ("mean_f1", "published_product")

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


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
    """What in a photo or clip makes a classifier answer as it does: refine its heat map, and score heat maps."""


@app.command("refine", epilog="Example: borex refine photo.jpg --target espresso --max-evals 300 --out pictures")
def refine_command(
    media: Media,
    model: ModelName = None,
    output: Output = "auto",
    mean: Mean = None,
    std: Std = None,
    initial: Annotated[
        str | None,
        typer.Option(
            help="The heat map to refine: a file (.npy, .npz or a greyscale .png) of any size, or "
            f"{HEATMAP_NAMES}, made here: from the budget (lime, shap, rise), or inside a PyTorch module (no ONNX file "
            "is). [default: flat]",
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
            help="What is seen where a mask hides: blur, soft, mean, black, frozen (a clip's mean in time), a number; "
            "with commas between, several in turn, but numbers alone (0,128,255) are one colour. [default: field: "
            "blur,soft,mean, blur a little more often; of clips frozen,mean; paper: mean]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same result.")] = 0,
    batch_size: BatchSize = 32,
    start: Start = None,
    end: End = None,
    frames: Frames = None,
    stride: Stride = None,
    out: OutFolder = OUT,
    as_json: Json = False,
) -> None:
    """Refine the heat map of MEDIA: what in it makes the model answer as it does, and how sure is that?

    Writes to --out, of a picture: NAME_overlay.png, the heat map over it; NAME_panel.png, picture, initial map, refined
    map and standard deviation side by side; of a clip: NAME_overlay.mp4, the clip, its heat map and the time profile;
    NAME_strip.png, frames of it. Of both NAME.npz, the explanation (borex.Explanation.load reads it). What was answered
    before an interrupt or a failure is kept as NAME_unfinished.npz.
    """
    box, given = opened(model, media, Part(start, end, frames, stride), stated(model, output, mean, std))
    begin = initial_map(initial)
    check_writable(out)
    check_apart(media, initial, out)
    check_film(given)
    say_replaced(out, name_of(media), given)
    try:
        explanation = refine(
            box,
            given,
            begin,
            target=wanted_target(target, against),
            method=method.value,
            max_evals=max_evals,
            batch_size=batch_size,
            baseline=baseline_value(baseline),
            layout="auto" if hasattr(given, "seconds") else "HWC",
            seed=seed,
            progress=sys.stderr.isatty(),
        )
    except BaseException as error:
        if (kept := keep_answered(error, given, out, name_of(media))) is not None:
            print(f"borex: what was answered is in {kept}, the explanation so far", file=sys.stderr)
        raise
    files = write(explanation, out, name_of(media))
    if as_json:
        print_json({"media": str(media), **facts(explanation), "files": files})
        return
    print(explanation.summary())
    print(f"wrote {', '.join(files.values())}")


@app.command("refine-each", epilog="Example: borex refine-each photos --max-evals 300 --out pictures")
def refine_each_command(
    folder: Annotated[
        Path,
        typer.Argument(parser=path_of, help="A folder of pictures or videos.", metavar="FOLDER", show_default=False),
    ],
    model: ModelName = None,
    output: Output = "auto",
    mean: Mean = None,
    std: Std = None,
    target: Target = None,
    against: Against = None,
    max_evals: Annotated[int, typer.Option(help="The budget of each, in model inputs.")] = 200,
    seed: Annotated[int, typer.Option(help="Same seed, same result.")] = 0,
    batch_size: BatchSize = 32,
    out: OutFolder = OUT,
) -> None:
    """Refine the heat map of every picture or video in FOLDER, in batches that they share.

    Writes of each what `borex refine` writes, as soon as it is done, and a line of summary.csv. What is in --out
    already is left out, so a run that was stopped goes on; with other options, or for other files of the same names,
    choose another --out. A file that cannot be used is reported and stops no other.
    """
    from borex.apps.each import refine_each

    with said_on_stderr():
        code = refine_each(
            folder, out, model, stated(model, output, mean, std), target=wanted_target(target, against),
            max_evals=max_evals, batch_size=batch_size, seed=seed, progress=sys.stderr.isatty(),
        )  # fmt: skip
    raise typer.Exit(code)


@app.command("score", epilog="Example: borex score photo.jpg borex-out/photo.npz")
def score_command(
    media: Media,
    heat_map: Annotated[
        Path,
        typer.Argument(
            parser=path_of,
            help="A heat map of any size: .npy, .npz, a greyscale .png, or the .npz that borex refine wrote.",
            metavar="MAP",
            show_default=False,
        ),
    ],
    model: ModelName = None,
    output: Output = "auto",
    mean: Mean = None,
    std: Std = None,
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
        typer.Option(
            parser=path_of,
            metavar="PATH",
            help="Where the object is, a picture of the media's shape, white on black; for a clip an .npz of the "
            "frames that are read, a video like the clip, or a folder with a picture for each frame. Adds the "
            "localisation scores.",
        ),
    ] = None,
    baseline: Annotated[
        str, typer.Option(help="What deletion leaves, and insertion starts from: one of those of refine.")
    ] = "mean",
    steps: Annotated[int, typer.Option(help="Points on each curve.")] = 224,
    batch_size: BatchSize = 32,
    start: Start = None,
    end: End = None,
    frames: Frames = None,
    stride: Stride = None,
    as_json: Json = False,
) -> None:
    """Score the heat map MAP of MEDIA: insertion and deletion, and localisation where a mask is given.

    The curves show or hide the pixels in the order of the map and watch the score of the class. A score says little
    alone: compare maps of one photo or clip, one model and one baseline. What borex refine wrote is scored on what it
    explains: that picture, or those frames of that clip.
    """
    from borex.apps.scoring import score_media
    from borex.media.object_mask import read_mask

    part = Part(start, end, frames, stride)
    saliency = read_map(heat_map)
    wanted = wanted_target(target, against)
    box, given = opened(model, media, part, stated(model, output, mean, std))
    shown, excerpt = read_media(given)
    check_same_media(heat_map, media, shown, excerpt)
    if wanted is None:
        wanted = explained_by(heat_map, box.labels)
    object_mask = None if mask is None else read_mask(mask, part, box.extent, given)
    found, scores = score_media(box, shown, saliency, wanted, object_mask, baseline_value(baseline), steps, batch_size)
    row = scores.as_dict()
    if as_json:
        said = {"media": str(media), "map": str(heat_map), "target": target_facts(found)}
        print_json({**said, "baseline": baseline, "steps": steps, "evals": scores.evals, "scores": row})
        return
    print(f"{found.label}; baseline {baseline}, {scores.evals} evaluations")
    for name, value in row.items():
        best = "; of a small object far below 1 at best" if name in MEANS else ""
        print(f"{name:<30}{value:7.3f}   {'low' if name == 'deletion' else 'high'} is good{best}")


@app.command("benchmark", epilog="Example: borex benchmark quick.toml --data photos --out results")
def benchmark_command(
    config: Annotated[
        Path,
        typer.Argument(
            parser=path_of, help="What is run: see docs/benchmark.md.", metavar="CONFIG.toml", show_default=False
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            parser=path_of, help="The folder of the tables of inputs. [default: that of CONFIG.toml]", metavar="DIR"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=path_of, help="The folder for the results. [default: borex-out/NAME]", metavar="DIR"),
    ] = None,
    processes: Annotated[int, typer.Option(help="Rows made at a time, each on one thread.")] = 1,
    retry: Annotated[bool, typer.Option("--retry", help="Make again the rows that failed.")] = False,
    as_json: Json = False,
) -> None:
    """Compare methods on many inputs at equal numbers of model inputs, as CONFIG.toml says.

    Writes to --out: table.csv, one line a row; the maps; report.html. A run that was stopped goes on where it was.
    """
    from borex.apps.benchmarking import benchmark

    code = benchmark(config, data, OUT / config.stem if out is None else out, processes, retry, as_json)
    raise typer.Exit(code)
