"""How good refined heat maps are, at equal total evaluations, against RISE and the published method.

    python benchmarks/quality.py --data FOLDER --out out/quality

FOLDER holds a labels.csv with columns `file`, `class_index` and, where there is one, `mask` (paths relative to it).
Each method's map of each image is kept in `--out`, so a run that was stopped goes on where it was; `--only` limits the
methods made. Scores: insertion from RISE's blur and from the mean colour, deletion to the mean colour, average
precision against the object mask. Statistics: paired one-sided Wilcoxon, plain and with
Holm's correction over the comparisons of one score. A difference is positive where ours is better.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import csv
import json
from functools import lru_cache
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import borex
from borex.baselines import baseline_of
from borex.blackbox import Asker, Model
from borex.evaluation import compare, score
from borex.evaluation.statistics import holm
from borex.heatmaps.rise import RiseMasks
from borex.layout import resize, resize_media
from borex.media.read import read_image
from borex.models import default

SCORES = ("insertion_blur_minus_deletion", "insertion_blur", "insertion_baseline", "deletion", "average_precision")
RISE = ("rise_30", "rise_100", "rise_200", "rise_500", "rise_1000")
METHODS = (
    *RISE,
    "rise_8000",
    "noisy_rise_30",
    *(f"{method}_{n}" for method in ("field", "paper") for n in (200, 500)),
    "field_1000",
    *(f"field_200_from_{start}" for start in ("noisy_rise_30", "rise_100")),
)


@lru_cache(maxsize=1)
def model() -> Model:
    """The embedded model on one thread: the processes are the parallelism."""
    return default(threads=1)


def inputs(data: Path, n: int) -> list[dict[str, Any]]:
    """`n` rows of labels.csv: every photo, then composites spread evenly over the file."""
    with open(data / "labels.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("top1", "1") == "1"]
    photos = [row for row in rows if row.get("kind", "photo") == "photo"][:n]
    others = [row for row in rows if row.get("kind", "photo") != "photo"]
    picks = np.unique(np.linspace(0, len(others) - 1, n - len(photos)).astype(int)) if others else []
    return photos + [others[i] for i in picks]


def rise_maps(media: np.ndarray, target: int, seed: int, counts: list[int]) -> dict[str, np.ndarray]:
    """RISE's maps after each of `counts` masks; the mean colour where a mask hides, as its authors do."""
    box = model()
    asker = Asker(box, media, baseline_of("mean", media, box.mean), 32)
    rng = np.random.default_rng([seed, 7])
    total, done, maps = np.zeros(media.shape[:-1]), 0, {}
    for count in sorted(counts):
        while done < count:
            masks = RiseMasks(min(100, count - done), media.shape[:-1], rng)[:]
            total += np.tensordot(asker(masks)[:, target], masks, axes=1)
            done += len(masks)
        maps[f"rise_{count}"] = total / done
    return maps


def noisy(heat_map: np.ndarray, seed: int) -> np.ndarray:
    """The map plus smooth noise of its own standard deviation."""
    noise = resize(np.random.default_rng([seed, 9]).standard_normal((14, 14)), heat_map.shape)
    return heat_map + noise / noise.std() * heat_map.std()


def make(job: tuple[dict[str, Any], str, Path, Path, int, int]) -> None:
    """Makes the map of one method for one image and its scores, unless they are there."""
    row, method, data, out, steps, seed = job
    media = resize_media(read_image(data / row["file"]), (224, 224))
    target, stem = int(row["class_index"]), Path(row["file"]).stem
    folder = out / f"seed{seed}"

    def stored(name: str) -> np.ndarray:
        return np.load(folder / "maps" / f"{stem}.{name}.npy").astype(np.float64)

    if method in ("rise", "rise_8000"):
        names = RISE if method == "rise" else (method,)
        missing = [name for name in names if not (folder / "maps" / f"{stem}.{name}.npy").exists()]
        maps = rise_maps(media, target, seed, [int(m.split("_")[1]) for m in names]) if missing else {}
    elif method == "noisy_rise_30":
        maps = {method: noisy(stored("rise_30"), seed)}
    else:
        kind, budget, *rest = method.split("_", 2)
        start = stored(rest[0].removeprefix("from_")) if rest else None
        found = borex.refine(model(), media, start, target=target, method=kind, max_evals=int(budget), seed=seed)
        maps = {method: found.saliency}
    for name, heat_map in maps.items():
        np.save(folder / "maps" / f"{stem}.{name}.npy", heat_map.astype(np.float32))
    object_mask = None
    if row.get("mask"):
        from PIL import Image

        with Image.open(data / row["mask"]) as picture:
            object_mask = np.asarray(picture.convert("L").resize((224, 224), Image.Resampling.NEAREST)) > 127
    for name in RISE if method == "rise" else (method,):
        path = folder / "scores" / f"{stem}.{name}.json"
        if not path.exists():
            heat_map = stored(name)
            baseline = baseline_of("mean", media, model().mean)
            scores = score(model(), media, heat_map, target, baseline=baseline, object_mask=object_mask, steps=steps)
            found_scores = scores.as_dict() | {"insertion_blur_minus_deletion": scores.insertion_blur_minus_deletion}
            path.write_text(json.dumps(found_scores))


def tables(rows: list[dict[str, Any]], folder: Path) -> str:
    """The means of every method, and the paired comparisons that the claims rest on, as Markdown."""

    def column(method: str, key: str) -> np.ndarray:
        found = []
        for row in rows:
            path = folder / "scores" / f"{Path(row['file']).stem}.{method}.json"
            found.append(json.loads(path.read_text()).get(key, np.nan) if path.exists() else np.nan)
        return np.array(found, dtype=float)

    lines = [f"n = {len(rows)} images", "", "| | " + " | ".join(SCORES) + " |", "|---" * (len(SCORES) + 1) + "|"]
    for method in METHODS:
        means = [column(method, key) for key in SCORES]
        if not np.isnan(means[0]).all():
            lines.append(f"| {method} | " + " | ".join(f"{np.nanmean(values):.3f}" for values in means) + " |")
    pairs = [
        *((f"field_{n}", other) for n in (200, 500) for other in (f"rise_{n}", f"paper_{n}")),
        ("field_1000", "rise_1000"),
        ("field_1000", "rise_8000"),
        ("field_200_from_noisy_rise_30", "noisy_rise_30"),
        ("field_200_from_rise_100", "rise_100"),
    ]
    lines += [
        "",
        "| ours | against | score | n | median difference | 95 % interval | effect | p (Holm) |",
        "|---" * 8 + "|",
    ]
    for key in SCORES:
        found = []
        for ours, other in pairs:
            values = {name: column(name, key) for name in (ours, other)}
            both = ~np.isnan(values[ours]) & ~np.isnan(values[other])
            if both.sum() >= 5:
                paired = {name: v[both] for name, v in values.items()}
                found.append((ours, other, compare(paired, ours, larger_is_better=key != "deletion")[other]))
        for (ours, other, c), corrected in zip(found, holm(np.array([c.p for *_, c in found])), strict=True):
            low, high = c.interval
            lines.append(
                f"| {ours} | {other} | {key} | {c.n} | {c.median:+.3f} | {low:+.3f} .. {high:+.3f} | {c.effect:+.2f} "
                f"| {c.p:.2g} | {corrected:.2g} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/quality"))
    parser.add_argument("--n", type=int, default=40, help="number of images")
    parser.add_argument("--steps", type=int, default=56, help="steps of an insertion or deletion curve")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="methods to make, of: rise " + " ".join(METHODS[len(RISE) :]))
    options = parser.parse_args()
    rows = inputs(options.data, options.n)
    folder = options.out / f"seed{options.seed}"
    for part in ("maps", "scores"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for method in options.only if options.only is not None else ("rise", *METHODS[len(RISE) :]):
        names = RISE if method == "rise" else (method,)
        jobs = [
            (row, method, options.data, options.out, options.steps, options.seed)
            for row in rows
            if any(not (folder / "scores" / f"{Path(row['file']).stem}.{name}.json").exists() for name in names)
        ]
        with Pool(options.processes) as pool:
            for _ in tqdm(pool.imap_unordered(make, jobs), total=len(jobs), desc=method):
                pass
    print(tables(rows, folder))


if __name__ == "__main__":
    main()
