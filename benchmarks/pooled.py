"""All inputs of several benchmarks together: `field` against each rival, every input once.

    python benchmarks/pooled.py docs/evidence/{rivals,images,photos,breadth}.csv

An input's difference is its mean over seeds, and then over the networks that both methods explained: the same input
under another network is no further input, and an input that several tables have counts once. Prints n, the mean
difference in favour of `field`, and p of the one-sided Wilcoxon signed-rank test, plain.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from borex.evaluation.benchmark import read_table
from borex.evaluation.benchmark.charts import spelled
from borex.evaluation.benchmark.summary import by_input
from borex.evaluation.benchmark.table import LOW_IS_GOOD
from borex.evaluation.statistics import signed_rank_p

OURS = "field"
SCORES = ("insertion_blur_minus_deletion", "insertion_blur", "insertion_baseline", "deletion", "average_precision")


def differences(tables: list[Path], score: str, budget: int) -> dict[str, np.ndarray]:
    """For each rival the differences in favour of `field` `(n,)`, one for each input."""
    sign = -1.0 if score in LOW_IS_GOOD else 1.0
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for table in tables:
        scored = by_input(read_table(table), score)
        for (model, method, at), theirs in scored.items():
            if method.startswith(OURS) or at != budget or (model, OURS, budget) not in scored:
                continue
            ours = scored[model, OURS, budget]
            for name in sorted(ours.keys() & theirs.keys()):
                found[method][name][model] = sign * (ours[name] - theirs[name])
    return {method: np.array([np.mean([*of.values()]) for of in every.values()]) for method, every in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--budget", type=int, default=200)
    options = parser.parse_args()
    for score in SCORES:
        print(f"\n{spelled(score)}")
        for method, found in sorted(differences(options.tables, score, options.budget).items()):
            print(f"  {method:16s} n {len(found):3d}  {found.mean():+.3f}  p {signed_rank_p(found):.2g}")


if __name__ == "__main__":
    main()
