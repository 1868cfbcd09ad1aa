"""Does the posterior standard deviation mean what it says: coverage of the scores of masks that were held back.

    python benchmarks/calibration.py --data FOLDER --out out/calibration.csv [--budgets 100 200 500] [--n 20]

FOLDER holds a labels.csv (`file`, `class_index`, `kind`, `top1`). For each image `field` is run with its defaults;
then the model is asked about fresh masks, which the field is not told: boxes, top shares of smooth noise and top
shares of samples of the posterior (Thompson masks), each kept and hidden. For every kind of mask one line: the share
of log-odds inside the central 50, 80 and 95 % interval of the field's prediction, and the standard deviation of
(log-odds - mean) / std, 1 if it is right. What is in the file already is not run again. The last lines are means.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm
from tqdm import tqdm

import borex
from borex.baselines import baselines_of, usual
from borex.blackbox import Asker, Model
from borex.evaluation.benchmark import InputSet
from borex.evaluation.benchmark.inputs import Input, load_media, read_inputs
from borex.evaluation.benchmark.methods import seed_of
from borex.layout import resize
from borex.masks import spread
from borex.models import default
from borex.queries import SobolBoxes, spread_shares, top_share
from borex.replay import replay

LEVELS = (0.5, 0.8, 0.95)
COLUMNS = ("input", "budget", "masks", "kept", "n", *(f"inside_{int(100 * level)}" for level in LEVELS), "spread")


def held_back(field: Any, extent: tuple[int, ...], n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Fresh masks of each kind, bool `(n, *grid)`."""
    grid = field.grid
    noise = np.stack([resize(rng.standard_normal(tuple(max(2, cells // 2) for cells in grid)), grid) for _ in range(n)])
    return {
        "boxes": SobolBoxes(grid, extent, rng).draw(n),
        "noise": top_share(noise, spread_shares(n, rng)),
        "thompson": top_share(field.samples(n, rng), spread_shares(n, rng)),
    }


def coverage(answers: np.ndarray, mean: np.ndarray, std: np.ndarray) -> list[float]:
    """The share of answers `(n,)` inside each central interval of a normal distribution, and the spread of z."""
    z = (answers - mean) / std
    return [*(float((np.abs(z) <= norm.ppf(0.5 + level / 2)).mean()) for level in LEVELS), float(z.std())]


def rows_of(model: Model, one: Input, budget: int, n: int) -> list[dict[str, Any]]:
    """The lines of one image at one budget."""
    media = load_media(one, model.extent)
    seed = seed_of(0, one.name)
    found = borex.refine(model, media, target=one.target, max_evals=budget, seed=seed, layout="HWC")
    field = replay(found.record, found.target, found.target)._strategy._fitted()
    hiding, turn = baselines_of(usual("field", media), media, model.mean)
    asker = Asker(model, media, hiding)
    fills = np.resize(np.array(turn), n)
    rng, lines = np.random.default_rng([seed, 11]), []
    for kind, cells in held_back(field, media.shape[:-1], n, rng).items():
        for kept in (True, False):
            masks = cells if kept else ~cells
            answers = found.target.link(asker(spread(masks, media.shape[:-1]), fills), model.output)
            values = coverage(answers, *field.predict(masks.astype(np.float64), fills))
            lines.append(dict(zip(COLUMNS, (one.name, budget, kind, kept, n, *values), strict=True)))
    return lines


def inputs_of(folder: Path, n: int) -> list[Input]:
    """Every photo and `n` composites of a folder with a labels.csv, which the model takes for what they are."""
    table, photos, composites = folder / "labels.csv", {"kind": "photo"}, {"kind": "composite"}
    right = {"top1": "1"}
    return read_inputs([InputSet(table, right | photos), InputSet(table, right | composites, n=n)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/calibration.csv"))
    parser.add_argument("--budgets", type=int, nargs="*", default=[100, 200, 500])
    parser.add_argument("--n", type=int, default=20, help="composites, beside every photo")
    parser.add_argument("--masks", type=int, default=20, help="of each kind, each kept and hidden")
    options = parser.parse_args()
    inputs = inputs_of(options.data, options.n)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if not options.out.exists():
        options.out.write_text(",".join(COLUMNS) + "\n")
    with options.out.open(newline="") as file:
        done = {(row["input"], int(row["budget"])) for row in csv.DictReader(file)}
    model = default(threads=1)
    jobs = [(one, budget) for budget in options.budgets for one in inputs if (one.name, budget) not in done]
    for one, budget in tqdm(jobs):
        lines = rows_of(model, one, budget, options.masks)
        with options.out.open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerows(lines)
    print(summary(options.out))


def summary(path: Path) -> str:
    """Means over images, for every budget and kind of mask, as Markdown."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = ["| evaluations | masks | images | 50 % | 80 % | 95 % | spread of z |", "|---" * 7 + "|"]
    for budget in sorted({int(row["budget"]) for row in rows}):
        at = [row for row in rows if int(row["budget"]) == budget]
        for kind in (*dict.fromkeys(row["masks"] for row in at), "all"):
            mine = [row for row in at if kind in ("all", row["masks"])]
            values = [np.mean([float(row[name]) for row in mine]) for name in COLUMNS[5:]]
            numbers = " | ".join([*(f"{value:.1%}" for value in values[:-1]), f"{values[-1]:.2f}"])
            lines.append(f"| {budget} | {kind} | {len({row['input'] for row in mine})} | {numbers} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
