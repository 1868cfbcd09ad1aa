"""Draws the claim of the paper as a curve: what refinement makes of a map, by how much of the map is noise.

    python benchmarks/low_quality.py docs/evidence/low_quality.csv docs/evidence/low_quality.svg

Reads a table of `low_quality.toml` (or of `low_quality_clips.toml`): the rows "rise-N", the map alone with N % noise,
"paper-rise-N" and "field-rise-N", that map refined, at every budget there is for all N. Points are means over inputs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from borex.evaluation.benchmark import read_table
from borex.evaluation.benchmark.charts import spelled
from borex.evaluation.benchmark.summary import means
from borex.media.write import scale

SCORES = ("insertion_blur_minus_deletion", "deletion", "average_precision")
NOISE = (0, 50, 80, 100)  # %
STYLES = {"rise": ("o", ":"), "paper-rise": ("s", "--"), "field-rise": ("D", "-")}
NAMES = {"rise": "the map alone", "paper-rise": "paper", "field-rise": "field"}


def lines(table: Path) -> dict[tuple[str, int, str], list[float]]:
    """For each method, budget and score the means at each level of noise, of those that have all."""
    found = {(one.method, one.budget, one.score): one.mean for one in means(read_table(table))}
    budgets = sorted({budget for _, budget, _ in found})
    every = {
        (kind, budget, score): [found.get((f"{kind}-{noise}", budget, score)) for noise in NOISE]
        for kind in STYLES for budget in budgets for score in SCORES
    }  # fmt: skip
    there = {key: [value for value in values if value is not None] for key, values in every.items()}
    return {key: values for key, values in there.items() if len(values) == len(NOISE)}


def figure(table: Path) -> Figure:
    """One panel a score: noise to the right, a line for each method and budget."""
    drawn = Figure(figsize=(11, 3.6), layout="constrained")
    axes = drawn.subplots(1, len(SCORES))
    found = lines(table)
    budgets = sorted({budget for kind, budget, _ in found if kind != "rise"})
    shades = [tuple(scale(False)[at] / 255) for at in (190, 150, 110, 70)]
    for axis, score in zip(axes, SCORES, strict=True):
        for (kind, budget, of), values in found.items():
            if of == score:
                colour = "0.5" if kind == "rise" else shades[budgets.index(budget) % len(shades)]
                marker, style = STYLES[kind]
                label = f"{NAMES[kind]}, {budget}"
                axis.plot(range(len(NOISE)), values, marker=marker, ls=style, color=colour, label=label, markersize=4)
        axis.set_xticks(range(len(NOISE)), [f"{noise} %" for noise in NOISE])
        axis.set_xlabel("noise in the initial map")
        axis.set_title(spelled(score) + (" (low is good)" if score == "deletion" else ""), fontsize="medium")
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside right center", frameon=False, fontsize="small", title="model inputs")
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    mpl.rcParams["svg.hashsalt"] = "borex"  # the same table gives the same file
    figure(options.table).savefig(options.picture, metadata={"Date": None} if options.picture.suffix == ".svg" else {})
    print(options.picture)


if __name__ == "__main__":
    main()
