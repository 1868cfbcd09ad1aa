"""What clips cost beside the model's own calls: time for MotionNet, memory for 64 frames of 1080p.

    python benchmarks/clip_cost.py [--part time|memory]

Time: medians, over paired repeats on an idle machine, of (all but the model's calls) / (the model's calls), 400
evaluations. Memory: the peak of a fresh process that explains a clip of 64 frames of 1920 x 1080 under MotionNet, given
as an array and as a file, above one that makes the clip and runs the model. A last line adds writing the film.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import borex
from borex.models import motionnet

MEMORY = """
import resource, sys
import numpy as np, scipy.ndimage, scipy.linalg, scipy.stats, scipy.optimize, av, PIL.Image
import borex
from borex.models import motionnet
kind, path = sys.argv[1:]
model = motionnet()
model.scores(np.zeros((32, 16, 112, 112, 3), np.uint8))
if kind == "array":
    tile = np.random.default_rng(0).integers(0, 255, (64, 108, 192, 3), dtype=np.uint8)
    media = np.repeat(np.repeat(tile, 10, axis=1), 10, axis=2)
if kind == "array":
    found = borex.refine(model, media, max_evals=100, layout="THWC")
    assert found.saliency.shape == (64, 1080, 1920)
elif kind in ("file", "film"):
    found = borex.refine(model, path, max_evals=100)
    assert found.saliency.shape[0] == 64
    if kind == "film":
        found.save(path.replace(".mp4", "_film.mp4"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def share_beside_model(repeats: int) -> tuple[float, float]:
    """Medians of (time beside the model's calls over the model's time, the model's seconds)."""
    spent = 0.0
    model = motionnet()

    def timed(batch: np.ndarray) -> object:
        nonlocal spent
        begun = time.perf_counter()
        answer = model.scores(batch)
        spent += time.perf_counter() - begun
        return answer

    clip = np.random.default_rng(0).integers(0, 255, (16, 112, 112, 3), dtype=np.uint8)
    watched = replace(model, scores=timed)
    rows = []
    for _ in range(repeats):
        spent = 0.0
        begun = time.perf_counter()
        borex.refine(watched, clip, max_evals=400)
        rows.append(((time.perf_counter() - begun - spent) / spent, spent))
    share, own = np.median(rows, axis=0)
    return float(share), float(own)


def peaks() -> dict[str, float]:
    """Peak MiB of a process of each kind above that of the model alone."""
    from borex.media.video import write_clip

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        small = np.random.default_rng(0).integers(0, 255, (64, 27, 48, 3), dtype=np.uint8)
        write_clip(path, np.repeat(np.repeat(small, 40, axis=1), 40, axis=2), 25)
        found = {}
        for kind in ("model", "array", "file", "film"):
            command = [sys.executable, "-c", MEMORY, kind, str(path)]
            found[kind] = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {kind: peak - found["model"] for kind, peak in found.items() if kind != "model"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("time", "memory"))
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    if given.part != "memory":
        share_beside_model(1)  # imports, caches
        share, own = share_beside_model(given.repeats)
        print(f"MotionNet, 400 evaluations: {share:.1%} beside the model's {own:.2f} s")
    if given.part != "time":
        for kind, peak in peaks().items():
            print(f"64 frames of 1920 x 1080, {kind}: {peak:.0f} MiB above the model")


if __name__ == "__main__":
    main()
