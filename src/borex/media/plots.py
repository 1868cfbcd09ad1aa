"""Figures of a refinement, of an image and of a clip, with matplotlib (extra "plot")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from borex.errors import InputError, MissingExtraError
from borex.layout import resize
from borex.media.film import at_frames, tiles
from borex.media.write import Limits, ends, overlay, picture, scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFINED = "refined map"
MAX_SIDE = 800  # pixels: more than a panel of the figure can show


def figure(
    media: np.ndarray,
    initial: np.ndarray | None,
    saliency: np.ndarray,
    std: np.ndarray | None,
    title: str,
    history: np.ndarray | None = None,
    history_label: str = "score",
    returned: str = REFINED,
    limits: Limits | None = None,
) -> Figure:
    """A matplotlib Figure: the picture, its initial map, the refined map over it, and how sure it is.

    `media` `(H, W, channels)`, any range; `initial`, `saliency`, `std`: maps of any resolution, in raw values, each
    with its own colour bar; None leaves a panel out. For a clip see `clip_figure`. `history`: values `(n,)` after each
    evaluation, or `(n, 2)`: evaluations so far and the value; a curve below the pictures, named `history_label`.
    `returned`: what to call `saliency`; `limits`: its values at the ends of the colours. The figure belongs to no
    window and to no pyplot state: `figure.savefig(path)`, or the last line of a notebook cell, shows it.

    Raises MissingExtraError without matplotlib, InputError where the axes do not agree.
    """
    new, media = _figures(), np.asarray(media)
    maps = {"initial map": initial, returned: saliency, "standard deviation": std}
    present = {name: np.asarray(values) for name, values in maps.items() if values is not None}
    check_axes(media, present, 2)
    shown = picture(media, MAX_SIDE)
    present = {
        name: resize(values, tuple(np.minimum(values.shape, shown.shape[:2]).tolist()))
        for name, values in present.items()
    }
    curve = _curve(history)

    height, width = shown.shape[:2]
    wide = 3.4 * float(np.clip(width / height, 0.6, 1.8))
    columns = ["picture", *present]
    rows = [columns] if curve is None else [columns, ["history"] * len(columns)]
    high = min(4.1, 1.5 + wide * height / width)  # no more than a wide picture, its title and its colour bar take
    drawn = new((wide * len(columns), high + 2.2 * (len(rows) - 1)), title)
    axes: dict[str, Any] = drawn.subplot_mosaic(rows, height_ratios=[high - 0.7, 1.8][: len(rows)])
    _show(axes["picture"], shown, "picture")
    for name, values in present.items():
        is_over = name == returned
        _show_map(drawn, axes[name], shown, values, name, is_over, limits if is_over else None)
    if curve is not None:
        _draw_curve(axes["history"], curve, history_label)
    return drawn


def _figures() -> Callable[[tuple[float, float], str], Figure]:
    """What makes an empty figure of some inches with a title above; raises MissingExtraError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plotting", "matplotlib", "plot") from error

    def new(inches: tuple[float, float], title: str) -> Figure:
        drawn = Figure(figsize=inches, layout="constrained")
        FigureCanvasAgg(drawn)
        drawn.suptitle(title)
        return drawn

    return new


def _show(axis: Any, pixels: np.ndarray, title: str) -> None:
    axis.imshow(pixels, interpolation="nearest")
    axis.set_title(title, fontsize="medium")
    axis.set_axis_off()
    axis.set_anchor("N")  # the picture has no colour bar below it, so that middles would not lie side by side


def _show_map(
    drawn: Any, axis: Any, shown: np.ndarray, values: np.ndarray, name: str, is_over: bool, limits: Limits | None
) -> None:
    """A map with its colour bar, over the picture or alone."""
    from matplotlib.ticker import MaxNLocator

    bar = _bar(values, limits, name)
    if is_over:
        _show(axis, overlay(shown, values, limits=limits), name)
    else:
        axis.imshow(values, cmap=bar.cmap, norm=bar.norm, interpolation="nearest", extent=_extent(shown))
        axis.set_title(name, fontsize="medium")
        axis.set_axis_off()
    ticks = MaxNLocator(4 if shown.shape[1] >= shown.shape[0] else 2)
    drawn.colorbar(bar, ax=axis, orientation="horizontal", shrink=0.8, pad=0.03, ticks=ticks, format=_numbers())
    axis.set_anchor("N")  # a colour bar moves its axis down


def _bar(values: np.ndarray, limits: Limits | None, name: str) -> Any:
    """The colours of a map and the values that they stand for, as matplotlib has them."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    low, high = ends(values, limits)
    return ScalarMappable(Normalize(low, high), ListedColormap(scale(low < 0 < high) / 255, name=name))


def _numbers() -> Any:
    """How the numbers of a colour bar are written: what is small with a common power of ten."""
    from matplotlib.ticker import ScalarFormatter

    written = ScalarFormatter(useMathText=True)
    written.set_powerlimits((-2, 4))
    return written


def _extent(shown: np.ndarray) -> tuple[float, float, float, float]:
    """Where a map of another resolution lies on the picture: matplotlib's (left, right, bottom, top)."""
    return -0.5, shown.shape[1] - 0.5, shown.shape[0] - 0.5, -0.5


def check_axes(media: np.ndarray, maps: dict[str, np.ndarray], axes: int) -> None:
    """Raises InputError unless the media has so many axes besides channels, and each map as many."""
    if media.ndim != axes + 1:
        kinds = {2: "(H, W, C); a clip is shown by clip_figure", 3: "(T, H, W, C)"}
        raise InputError(f"media of shape {media.shape} cannot be plotted here; expected {kinds[axes]}")
    for name, values in maps.items():
        if values.ndim != axes:
            raise InputError(
                f"the {name} has shape {values.shape}, the media {media.shape}; expected a map of {axes} axes, for the "
                "media is (*extent, channels)"
            )


def _draw_curve(axis: Any, curve: np.ndarray, label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.plot(curve[:, 0], curve[:, 1], color=scale(False)[110] / 255)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("evaluations")
    axis.set_title(label, fontsize="medium", loc="left")
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)


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


def clip_figure(
    media: np.ndarray,
    initial: np.ndarray | None,
    saliency: np.ndarray,
    std: np.ndarray | None,
    title: str,
    profile: tuple[np.ndarray, np.ndarray],
    seconds: Sequence[float] | None = None,
    history: np.ndarray | None = None,
    history_label: str = "score",
    returned: str = REFINED,
    limits: Limits | None = None,
) -> Figure:
    """A matplotlib Figure of a clip: a film strip of it and one of each map, the profile over time, the history.

    `media` `(T, H, W, channels)`; maps of three axes; `profile`: mean and std `(T,)`; `seconds` `(T,)`: when each frame
    is seen, else frames are numbered. All else, and the errors, as in `figure`.
    """
    new, media = _figures(), np.asarray(media)
    maps = {"initial map": initial, returned: saliency, "standard deviation": std}
    present = {name: np.asarray(values) for name, values in maps.items() if values is not None}
    check_axes(media, present, 3)
    at, curve = tiles(len(media)), _curve(history)
    shown = picture(media[at], MAX_SIDE // 4)
    rows = ["picture", *present]
    mosaic = [[f"{row} {i}" for i in range(len(at))] for row in rows] + [["profile"] * len(at)]
    mosaic += [["history"] * len(at)] if curve is not None else []
    tall = shown.shape[1] / shown.shape[2] * 1.5
    heights = [tall] * len(rows) + [1.4] * (len(mosaic) - len(rows))
    drawn = new((1.6 * max(len(at), 4), sum(heights) + 1.2), title)
    axes: dict[str, Any] = drawn.subplot_mosaic(mosaic, height_ratios=heights)
    for i, frame in enumerate(at.tolist()):
        _show(axes[f"picture {i}"], shown[i], f"frame {frame}" if seconds is None else f"{seconds[frame]:.2f} s")
    for name, values in present.items():
        row, tiled = [axes[f"{name} {i}"] for i in range(len(at))], at_frames(values, len(media))[at]
        is_over = name == returned
        _show_tiles(drawn, row, shown, tiled, name, is_over, limits if is_over else None)
    _draw_profile(axes["profile"], *profile, seconds)
    if curve is not None:
        _draw_curve(axes["history"], curve, history_label)
    return drawn


def _show_tiles(
    drawn: Any, axes: list[Any], shown: np.ndarray, values: np.ndarray, name: str, is_over: bool, limits: Limits | None
) -> None:
    """A map `(n, h, w)` in a row of axes, one frame each, with one colour bar."""
    bar = _bar(values, limits, name)
    laid = overlay(shown, values, limits=limits) if is_over else None
    for i, axis in enumerate(axes):
        if laid is not None:
            axis.imshow(laid[i], interpolation="nearest")
        else:
            axis.imshow(values[i], cmap=bar.cmap, norm=bar.norm, interpolation="nearest", extent=_extent(shown[i]))
        axis.set_axis_off()
    axes[0].set_title(name, fontsize="medium", loc="left")
    drawn.colorbar(bar, ax=axes, aspect=12, pad=0.01, panchor=False, format=_numbers())


def _draw_profile(axis: Any, mean: np.ndarray, std: np.ndarray, seconds: Sequence[float] | None) -> None:
    from matplotlib.ticker import MaxNLocator

    at = np.arange(len(mean)) if seconds is None else np.asarray(seconds)
    colour = scale(False)[110] / 255
    if len(mean) == 1:
        axis.errorbar(at, mean, std, fmt="o", color=colour, capsize=4)
        axis.set_xticks(at)
    else:
        axis.fill_between(at, mean - std, mean + std, color=colour, alpha=0.25, linewidth=0)
        axis.plot(at, mean, color=colour)
    axis.axhline(0, color="0.8", linewidth=1, zorder=0)
    if seconds is None and len(mean) > 1:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("frame" if seconds is None else "seconds")
    axis.set_title("mean saliency of each frame ± std", fontsize="medium", loc="left")
    axis.margins(x=0.5 / max(len(mean), 1))
    axis.spines[["top", "right"]].set_visible(False)
