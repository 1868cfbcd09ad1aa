"""Figures of a refinement, with matplotlib (extra "plot")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from borex.errors import InputError, MissingExtraError
from borex.layout import resize
from borex.media.write import display_limits, overlay, picture, scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_SIDE = 800  # pixels: more than a panel of the figure can show


def figure(
    media: np.ndarray,
    initial: np.ndarray | None,
    saliency: np.ndarray,
    std: np.ndarray | None,
    title: str,
    history: np.ndarray | None = None,
    history_label: str = "score",
) -> Figure:
    """A matplotlib Figure: the picture, its initial map, the refined map over it, and how sure it is.

    `media` `(*extent, channels)`, any range; `initial`, `saliency`, `std`: maps of any resolution with the extent's
    axes, in raw values, each with its own colour bar; None leaves a panel out. Of a clip, the frame with the most
    saliency is shown. `history`: values `(n,)` after each evaluation, or `(n, 2)`: evaluations so far and the value;
    a curve below the pictures, named `history_label`. The figure belongs to no window and to no pyplot state:
    `figure.savefig(path)`, or the last line of a notebook cell, shows it.

    Raises MissingExtraError without matplotlib, InputError where the axes do not agree.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plotting", "matplotlib", "plot") from error

    maps = {"initial map": initial, "refined map": saliency, "standard deviation": std}
    present = {name: np.asarray(values) for name, values in maps.items() if values is not None}
    shown, present, frame = _frame(np.asarray(media), present)
    curve = _curve(history)

    height, width = shown.shape[:2]
    wide = 3.4 * float(np.clip(width / height, 0.6, 1.8))
    columns = ["picture", *present]
    rows = [columns] if curve is None else [columns, ["history"] * len(columns)]
    drawn = Figure(figsize=(wide * len(columns), 4.1 + 2.2 * (len(rows) - 1)), layout="constrained")
    FigureCanvasAgg(drawn)
    drawn.suptitle(title)
    axes: dict[str, Any] = drawn.subplot_mosaic(rows, height_ratios=[3.4, 1.8][: len(rows)])
    _show(axes["picture"], shown, "picture" + frame)
    for name, values in present.items():
        _show_map(drawn, axes[name], shown, values, name)
    if curve is not None:
        axis = axes["history"]
        axis.plot(curve[:, 0], curve[:, 1], color=scale(False)[110] / 255)
        axis.set_xlabel("evaluations")
        axis.set_title(history_label, fontsize="medium", loc="left")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    return drawn


def _show(axis: Any, pixels: np.ndarray, title: str) -> None:
    axis.imshow(pixels, interpolation="nearest")
    axis.set_title(title, fontsize="medium")
    axis.set_axis_off()


def _show_map(drawn: Any, axis: Any, shown: np.ndarray, values: np.ndarray, name: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.ticker import MaxNLocator

    low, high = display_limits(values)
    bar = ScalarMappable(Normalize(low, high), ListedColormap(scale(low < 0 < high) / 255, name=name))
    if name == "refined map":
        _show(axis, overlay(shown, values, limits=(low, high) if high > low else None), name)
    else:
        axis.imshow(values, cmap=bar.cmap, norm=bar.norm, interpolation="nearest", extent=_extent(shown))
        axis.set_title(name, fontsize="medium")
        axis.set_axis_off()
    drawn.colorbar(bar, ax=axis, orientation="horizontal", shrink=0.8, pad=0.03, ticks=MaxNLocator(4))


def _extent(shown: np.ndarray) -> tuple[float, float, float, float]:
    """Where a map of another resolution lies on the picture: matplotlib's (left, right, bottom, top)."""
    return -0.5, shown.shape[1] - 0.5, shown.shape[0] - 0.5, -0.5


def _frame(media: np.ndarray, maps: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray], str]:
    """The picture uint8 `(H, W, 3)` and maps `(h, w)` to show, and what to add to the picture's title."""
    axes = media.ndim - 1
    for name, values in maps.items():
        if values.ndim != axes:
            raise InputError(
                f"the {name} has shape {values.shape}, the media {media.shape}; expected a map of {axes} axes, for the "
                "media is (*extent, channels)"
            )
    if axes not in (2, 3):
        raise InputError(f"media of shape {media.shape} cannot be plotted; expected (H, W, C) or (T, H, W, C)")
    text = ""
    if axes == 3:
        n = len(media)
        per_frame = {name: resize(values, (n, *values.shape[1:])) for name, values in maps.items()}
        at = int(np.argmax(per_frame["refined map"].mean(axis=(1, 2))))
        maps = {name: values[at] for name, values in per_frame.items()}
        media, text = media[at], f", frame {at} of {n}"
    shown = picture(media, MAX_SIDE)
    small = {
        name: resize(values, tuple(np.minimum(values.shape, shown.shape[:2]).tolist())) for name, values in maps.items()
    }
    return shown, small, text


def _curve(history: np.ndarray | None) -> np.ndarray | None:
    """`(n, 2)`: evaluations so far, value."""
    if history is None or np.size(history) == 0:
        return None
    values = np.asarray(history, dtype=np.float64)
    if values.ndim == 1:
        return np.column_stack([np.arange(1, len(values) + 1), values])
    if values.ndim != 2 or values.shape[1] != 2:
        raise InputError(f"the history has shape {values.shape}; expected (n,), or (n, 2) of evaluations and values")
    return values
