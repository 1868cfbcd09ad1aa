"""What refinement costs beside the model's own calls: time and memory, in one run.

    python benchmarks/overhead.py

Time: (everything) / (the model's calls) - 1 for the embedded model at 224 x 224, medians over repeats, on an idle
machine. Memory: the peak of a fresh process that explains a 12-megapixel photo, above one that only runs the model.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np

import borex
from borex.models import default

MEMORY = """
import resource, sys
import numpy as np
from borex.models import default
kind = sys.argv[1]
photo = np.random.default_rng(0).integers(0, 255, (3000, 4000, 3), dtype=np.uint8)
model = default()
model.scores(np.zeros((32, 224, 224, 3), np.uint8))
if kind != "model":
    import borex
    borex.refine(model, photo, max_evals=int(kind))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


class Timed:
    """A model's scores in two steps, as `borex.blackbox.Device`, with the seconds of the model's calls alone."""

    def __init__(self, scores: Any) -> None:
        self.scores, self.load, self.spent = scores, scores.load, 0.0

    def __call__(self, batch: np.ndarray) -> Any:
        return self._timed(self.scores, batch)

    def run(self, parts: Any) -> Any:
        return self._timed(self.scores.run, parts)

    def _timed(self, call: Any, given: Any) -> Any:
        start = time.perf_counter()
        scores = call(given)
        self.spent += time.perf_counter() - start
        return scores


def share_beside_model(max_evals: int, method: str, repeats: int) -> tuple[float, float, float]:
    """Medians of (time beside the model's calls over the model's time, model's seconds, other seconds)."""
    timed = Timed(default().scores)
    photo = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8).repeat(28, 0).repeat(28, 1)
    box, rows = replace(default(), scores=timed), []
    borex.refine(box, photo, method=method, max_evals=40)
    for _ in range(repeats):
        timed.spent, start = 0.0, time.perf_counter()
        borex.refine(box, photo, method=method, max_evals=max_evals)
        total = time.perf_counter() - start
        rows.append((total / timed.spent - 1, timed.spent, total - timed.spent))
    share, own, other = np.median(np.array(rows), axis=0)
    return float(share), float(own), float(other)


def peak(kind: str) -> float:
    """Peak memory of a fresh process, MiB."""
    return float(subprocess.run([sys.executable, "-c", MEMORY, kind], check=True, capture_output=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    print("| method | evaluations | model, s | everything else, s | share |\n|---|---|---|---|---|")
    for method, max_evals in (("field", 200), ("field", 1000), ("paper", 102)):
        share, own, other = share_beside_model(max_evals, method, options.repeats)
        print(f"| {method} | {max_evals} | {own:.2f} | {other:.3f} | {share:.1%} |", flush=True)
    base = peak("model")
    for kind in ("200", "1000"):
        print(f"peak memory, 12-megapixel photo, {kind} evaluations: {peak(kind) - base:.0f} MiB above the model's")


if __name__ == "__main__":
    main()
