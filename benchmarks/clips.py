"""How good refined heat maps of clips are, against RISE in 3-D, the published method and refinement frame by frame.

    python benchmarks/clips.py --data FOLDER/motion --out out/clips
    python benchmarks/clips.py --data FOLDER --out out/clips_images

FOLDER/motion holds a clips.csv (the embedded MotionNet names the motion), FOLDER a videos.csv (the embedded image
classifier averaged over 8 frames names the object); both with columns `file`, `class_index` and `masks`: an .npz with
the truth `masks`, bool (T, H, W). `--part development` takes every second clip from the first on, which settled the
defaults; `confirmation` the others, which settled nothing. Each method's map of each clip is kept in `--out`, one file
each, so a run that was stopped goes on where it was; `--only` limits the methods made.

Scores over space-time: insertion from RISE's blur (frame by frame) and deletion to the mean colour; deletion to
the clip's temporal mean, which takes the motion and leaves the place; average precision, best F1 and the pointing game
(15 pixels of 224) against the truth; average precision over time alone. Statistics: paired one-sided
Wilcoxon, plain and with Holm's correction over the comparisons of one score. A difference is positive where ours is
better. `truth` is the object mask as a heat map: what the scores by insertion and deletion say of the right answer.
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
from borex.evaluation import compare, deletion, score
from borex.evaluation.statistics import holm
from borex.heatmaps.rise import RiseMasks
from borex.layout import resize_media
from borex.media.video import read_clip
from borex.models import as_model, default, frame_mean, motionnet

SCORES = (
    "insertion_blur_minus_deletion",
    "insertion_blur",
    "deletion",
    "deletion_frozen",
    "average_precision",
    "best_f1",
    "pointing_game",
    "time_average_precision",
)
COUNTS = (400, 4000)
RISE = tuple(f"rise_{n}_p{p}" for p in (3, 5) for n in COUNTS)
METHODS = (*RISE, "truth", "paper_400", "frames_400", "images_400", "field_200", "field_400")
LOWER_IS_BETTER = ("deletion", "deletion_frozen")
FRAMES = 8  # of a clip whose frames an image classifier is shown


@lru_cache(maxsize=2)
def model(kind: str) -> Model:
    """The classifier of the clips of one list, on one thread: the processes are the parallelism."""
    return motionnet(threads=1) if kind == "clips" else frame_mean(default(threads=1), frames=FRAMES)


def inputs(data: Path, part: str, n: int | None) -> list[dict[str, Any]]:
    """The rows of clips.csv or videos.csv that have a truth and that the model gets right."""
    kind = "clips" if (data / "clips.csv").exists() else "videos"
    with open(data / f"{kind}.csv", newline="") as file:
        rows = [row | {"kind": kind} for row in csv.DictReader(file) if row["masks"] and row["class_index"]]
    rows = [row for row in rows if row.get("top1", "1") == "1"]
    return (rows if part == "all" else rows[::2] if part == "development" else rows[1::2])[:n]


def read(row: dict[str, Any], data: Path) -> tuple[np.ndarray, np.ndarray]:
    """The clip as the model is shown it, and its truth in the same frames."""
    with np.load(data / row["masks"]) as stored:
        truth = stored["masks"]
    clip = read_clip(data / row["file"], frames=None if row["kind"] == "clips" else FRAMES)
    at = np.rint(clip.seconds * float(row["fps"])).astype(int)
    extent = model(row["kind"]).extent
    assert extent is not None
    assert truth.shape[1:] == extent[1:]
    return resize_media(clip.frames, extent), truth[at]


def rise_maps(box: Model, clip: np.ndarray, target: int, p: float, seed: int) -> dict[int, np.ndarray]:
    """RISE's maps after each of COUNTS masks; the mean colour where a mask hides, as its authors do."""
    asker = Asker(box, clip, baseline_of("mean", clip, box.mean), 16)
    rng = np.random.default_rng([seed, 7])
    total, done, maps = np.zeros(clip.shape[:-1]), 0, {}
    for count in COUNTS:
        while done < count:
            masks = RiseMasks(min(100, count - done), clip.shape[:-1], rng, p=p)[:]
            logits = asker(masks)
            chances = np.exp(logits - logits.max(axis=1, keepdims=True))
            total += np.tensordot(chances[:, target] / chances.sum(axis=1), masks, axes=1)
            done += len(masks)
        maps[count] = total / done
    return maps


def frame_maps(box: Model, clip: np.ndarray, target: int, total: int, seed: int) -> np.ndarray:
    """Each frame refined as an image, by what the model says of the clip with that frame masked and the others whole;
    all frames together cost `total` evaluations."""
    maps = []
    for t, frame in enumerate(clip):

        def scores(images: np.ndarray, t: int = t) -> np.ndarray:
            clips = np.repeat(clip[None], len(images), axis=0)
            clips[:, t] = images
            return np.asarray(box.scores(clips))

        one = as_model(scores, output="logits", mean=box.mean)
        found = borex.refine(one, frame, target=target, max_evals=total // len(clip), batch_size=16, seed=seed)
        maps.append(found.saliency)
    return np.stack(maps)


def image_maps(clip: np.ndarray, target: int, evals: int, seed: int) -> np.ndarray:
    """Each frame refined by the image classifier alone: `evals` images a frame, what so many clips cost."""
    box = default(threads=1)
    return np.stack([borex.refine(box, f, target=target, max_evals=evals, seed=seed).saliency for f in clip])


def maps_of(job: tuple[dict[str, Any], str, Path, Path, int, int]) -> dict[str, np.ndarray]:
    """The heat maps `(T, H, W)` of a method, by name; RISE's first ones come with its last."""
    row, method, data, _, _, seed = job
    box, target = model(row["kind"]), int(row["class_index"])
    clip, truth = read(row, data)
    if method.startswith("rise"):
        p = int(method[-1])
        return {f"rise_{n}_p{p}": found for n, found in rise_maps(box, clip, target, p / 10, seed).items()}
    if method == "truth":
        return {method: truth}
    kind, evals = method.split("_")
    if kind == "frames":
        return {method: frame_maps(box, clip, target, int(evals), seed)}
    if kind == "images":
        return {method: image_maps(clip, target, int(evals), seed)}
    # Eight frames of RGB could be read in more than one way.
    options: dict[str, Any] = {"layout": "THWC", "batch_size": 16, "seed": seed}
    found = borex.refine(box, clip, target=target, method=kind, max_evals=int(evals), **options)
    return {method: found.saliency}


def make(job: tuple[dict[str, Any], str, Path, Path, int, int]) -> None:
    """Makes the map of one method for one clip and its scores, unless they are there."""
    row, method, data, out, steps, _ = job
    stem = Path(row["file"]).stem
    if not (out / f"{stem}.{method}.npy").exists():
        for name, heat_map in maps_of(job).items():
            np.save(out / f"{stem}.{name}.npy", heat_map.astype(np.float32))
    path = out / f"{stem}.{method}.json"
    if not path.exists():
        clip, truth = read(row, data)
        path.write_text(json.dumps(scores_of(row, clip, truth, np.load(out / f"{stem}.{method}.npy"), steps)))


def scores_of(
    row: dict[str, Any], clip: np.ndarray, truth: np.ndarray, heat_map: np.ndarray, steps: int
) -> dict[str, float]:
    """Every score of a heat map; see the top of this file."""
    box, target = model(row["kind"]), int(row["class_index"])
    mean, frozen = (baseline_of(name, clip, box.mean) for name in ("mean", "frozen"))
    tolerance = 15 / 224 * clip.shape[1]
    options: dict[str, Any] = {"steps": steps, "batch_size": 16}
    found = score(box, clip, heat_map, target, baseline=mean, object_mask=truth, tolerance=tolerance, **options)
    row_of_scores = found.as_dict() | {"insertion_blur_minus_deletion": found.insertion_blur_minus_deletion}
    without_motion = deletion(box, clip, heat_map, target, baseline=frozen, **options)
    return row_of_scores | {"deletion_frozen": without_motion.auc}


def tables(rows: list[dict[str, Any]], folder: Path) -> str:
    """The means of every method, and the paired comparisons that the claims rest on, as Markdown."""

    def column(method: str, key: str) -> np.ndarray:
        found = []
        for row in rows:
            path = folder / f"{Path(row['file']).stem}.{method}.json"
            found.append(json.loads(path.read_text()).get(key, np.nan) if path.exists() else np.nan)
        return np.array(found, dtype=float)

    lines = [f"{len(rows)} clips", "", "| | n | " + " | ".join(SCORES) + " |", "|---" * (len(SCORES) + 2) + "|"]
    made = [method for method in METHODS if not np.isnan(column(method, SCORES[0])).all()]
    for method in made:
        columns = [column(method, key) for key in SCORES]
        means = (f"{np.nanmean(values):.3f}" if not np.isnan(values).all() else "" for values in columns)
        lines.append(f"| {method} | {(~np.isnan(columns[0])).sum()} | " + " | ".join(means) + " |")
    ours = "field_400"
    lines += ["", "| ours | against | score | n | mean difference | median | 95 % interval | effect | p | p (Holm) |"]
    lines += ["|---" * 10 + "|"]
    for key in SCORES:
        found = []
        for other in (method for method in made if method not in (ours, "truth")):
            values = {name: column(name, key) for name in (ours, other)}
            both = ~np.isnan(values[ours]) & ~np.isnan(values[other])
            if both.sum() >= 5:
                paired = {name: v[both] for name, v in values.items()}
                sign = -1 if key in LOWER_IS_BETTER else 1
                mean = sign * float((paired[ours] - paired[other]).mean())
                found.append((other, mean, compare(paired, ours, larger_is_better=sign > 0)[other]))
        for (other, mean, c), corrected in zip(found, holm(np.array([c.p for *_, c in found])), strict=True):
            low, high = c.interval
            lines.append(
                f"| {ours} | {other} | {key} | {c.n} | {mean:+.3f} | {c.median:+.3f} | {low:+.3f} .. {high:+.3f} "
                f"| {c.effect:+.2f} | {c.p:.2g} | {corrected:.2g} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/clips"))
    parser.add_argument("--part", choices=("development", "confirmation", "all"), default="confirmation")
    parser.add_argument("--n", type=int, help="number of clips; all where it is left out")
    parser.add_argument("--steps", type=int, default=28, help="steps of an insertion or deletion curve")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="methods to make, of: " + " ".join(METHODS))
    options = parser.parse_args()
    rows = inputs(options.data, options.part, options.n)
    folder = options.out / f"seed{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    methods = METHODS if options.only is None else options.only
    # The longer run of RISE first: the shorter one is its beginning.
    for method in sorted(methods, key=lambda name: name.startswith("rise_4000"), reverse=True):
        if method.startswith("images") and rows[0]["kind"] == "clips":
            continue
        jobs = [(row, method, options.data, folder, options.steps, options.seed) for row in rows]
        jobs = [job for job in jobs if not (folder / f"{Path(job[0]['file']).stem}.{method}.json").exists()]
        with Pool(options.processes) as pool:
            for _ in tqdm(pool.imap_unordered(make, jobs), total=len(jobs), desc=method):
                pass
    print(tables(rows, folder))


if __name__ == "__main__":
    main()
