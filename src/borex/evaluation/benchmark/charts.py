"""The pictures of a report, as text that stands in a page: curves as SVG, overlays as JPEG in base64."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from borex.evaluation.benchmark.summary import Mean
from borex.evaluation.benchmark.table import LOW_IS_GOOD
from borex.media.write import overlay, picture

OURS = "#b3261e"
OTHERS = ("#1f5a93", "#3b8a5a", "#a86a00", "#6b4aa0", "#00838f", "#8a5a44", "#5f6b73", "#b8588f", "#7a8a00", "#333333")
STROKES = ("solid", "dotted", "dashed")  # one for each turn of the colours, as matplotlib and CSS call them
SIDE = 168  # pixels of a picture in a gallery


def colours_of(methods: Sequence[str], ours: str | None) -> dict[str, str]:
    """A colour for each method, the same in every chart; after ten they begin anew (`turns_of`)."""
    others = [method for method in methods if method != ours]
    found = {method: OTHERS[i % len(OTHERS)] for i, method in enumerate(others)}
    return found if ours is None else {ours: OURS, **found}


def turns_of(colours: dict[str, str]) -> dict[str, int]:
    """Which of `STROKES` tells each method from those before it that have its colour."""
    every = list(colours.values())
    return {method: every[:i].count(colour) % len(STROKES) for i, (method, colour) in enumerate(colours.items())}


def curves(found: Sequence[Mean], score: str, colours: dict[str, str], ours: str | None, legend: bool = False) -> str:
    """SVG of a score against model inputs, one line a method with the 95 % interval of its mean; where a budget has
    fewer than 9 in 10 of a method's inputs, no point; a method with one
    budget below all others' is a dashed line across. `legend`: of the
    methods, where the page around it has none."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": score, "axes.linewidth": 0.6}):
        figure = Figure(figsize=(4.5, 3.1), layout="constrained")
        axes = figure.subplots()
        budgets = sorted({one.budget for one in found})
        lines = {method: _line(found, method) for method in colours}
        least = min((line[0][0] for line in lines.values() if len(line[0]) > 1), default=0)
        turns = turns_of(colours)
        for method, (at, means, low, high) in lines.items():
            if not at:
                continue
            front = method == ours
            look: dict[str, Any] = {"color": colours[method], "zorder": 3 if front else 2}
            if len(at) == 1 and at[0] < least:
                axes.axhline(means[0], ls=(0, (4 * (1 + turns[method]), 3)), lw=1.1, label=method, **look)
                continue
            axes.fill_between(at, low, high, alpha=0.16 if front else 0.07, lw=0, **look)
            look |= {"ls": STROKES[turns[method]], "lw": 2.4 if front else 1.3}
            axes.plot(at, means, marker="o", ms=4 if front else 3, label=method, **look)
        ticks = [budget for budget in budgets if budget >= least]
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{budget}" for budget in ticks])
        axes.minorticks_off()
        axes.set_xlabel(f"model inputs{_over(found)}")
        axes.set_title(f"{spelled(score)}, {'low' if score in LOW_IS_GOOD else 'high'} is good", fontsize=9, loc="left")
        axes.grid(axis="y", lw=0.4, color="#dddddd")
        if legend:
            axes.legend(frameon=False, fontsize=7.5, loc="center left", bbox_to_anchor=(1.0, 0.5))
        axes.spines[["top", "right"]].set_visible(False)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = drawn.getvalue()
    return text[text.index("<svg") :]


def _line(found: Sequence[Mean], method: str) -> tuple[list[int], list[float], list[float], list[float]]:
    points = sorted((one for one in found if one.method == method), key=lambda one: one.budget)
    most = max((one.n for one in points), default=0)
    points = [one for one in points if one.n >= 0.9 * most]  # a line through other inputs' means tells nothing
    bands = [one.interval or (one.mean, one.mean) for one in points]
    return (
        [one.budget for one in points], [one.mean for one in points], [b[0] for b in bands], [b[1] for b in bands]
    )  # fmt: skip


def _over(found: Sequence[Mean]) -> str:
    """Over how many inputs the means are."""
    counts = {one.n for one in found}
    least, most = min(counts, default=0), max(counts, default=0)
    return f"; n = {most}" if least == most else f"; n = {least} to {most}"


def spelled(score: str) -> str:
    """A score as the tables and charts name it."""
    special = {
        "insertion_blur_minus_deletion": "insertion (blur) − deletion",
        "insertion_blur": "insertion (blur)",
        "insertion_baseline": "insertion (baseline)",
        "best_f1": "best F1",
        "mean_f1": "mean F1",
    }
    return special.get(score, score.replace("_", " "))


def shown(media: np.ndarray, saliency: np.ndarray | None = None) -> str:
    """The media, under its heat map where there is one, as a data URL of a small JPEG. Of a clip: the frame with the
    most saliency, or the one in the middle."""
    if media.ndim == 4:
        frame = len(media) // 2 if saliency is None else int(np.argmax(saliency.sum(axis=(1, 2))))
        media = media[frame]
        saliency = None if saliency is None else saliency[frame]
    pixels = picture(media, SIDE) if saliency is None else picture(overlay(media, saliency), SIDE)
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, format="JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()
