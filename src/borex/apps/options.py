"""The options that commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

OUT = Path("borex-out")


class Method(StrEnum):
    field = "field"
    paper = "paper"


def path_of(text: str) -> Path:
    """A path that says something: an empty one, such as an unset variable's, would be the current folder."""
    if not text:
        raise typer.BadParameter("the path is empty")
    return Path(text)


OutFolder = Annotated[
    Path, typer.Option(parser=path_of, help="The folder for what is written; made if need be.", metavar="DIR")
]
Media = Annotated[
    Path,
    typer.Argument(
        parser=path_of,
        help="A picture (JPEG, PNG, WebP, TIFF, …), a video (MP4, WebM, MOV, MKV, AVI, GIF) or a folder of frames.",
        metavar="MEDIA",
        show_default=False,
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="An ONNX file; motionnet, the embedded model of motions; frame-mean, the embedded image model averaged "
        "over frames. [default: EfficientNet-Lite0 for a picture, motionnet for a clip]",
        metavar="FILE.onnx|NAME",
    ),
]
Output = Annotated[
    str,
    typer.Option(help="Of an ONNX file: its scores are probabilities or logits; auto: found.", metavar="KIND"),
]
Mean = Annotated[
    str | None,
    typer.Option(
        help="Of an ONNX file: it is fed (media / 255 - mean) / std; a number, or one a channel with commas between. "
        "[default: what the file says of itself, or media / 255]",
        metavar="NUMBERS",
    ),
]
Std = Annotated[str | None, typer.Option(help="See --mean.", metavar="NUMBERS")]
Start = Annotated[float | None, typer.Option(help="Of a clip: the first second. [default: its beginning]")]
End = Annotated[float | None, typer.Option(help="Of a clip: up to this second. [default: its end]")]
Frames = Annotated[
    int | None, typer.Option(help="Of a clip: read so many frames, evenly spread. [default: all, or 64 of more]")
]
Stride = Annotated[int | None, typer.Option(help="Of a clip: read every so-manieth frame.")]
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
