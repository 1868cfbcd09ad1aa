"""Seconds that `method="paper"` takes beyond the model, for 50 rounds and the map at 224 x 224 (200,704 windows).

    python benchmarks/published.py [--rounds 50] [--size 224] [--repeat 3]

The model is a closed form that answers at once. One line a repeat, then the best: other work on the machine only adds.
"""

from __future__ import annotations

import argparse
from time import perf_counter

import numpy as np

from borex.published import Published


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()

    extent = (options.size, options.size)
    y, x = (np.arange(options.size) - options.size * 0.4, np.arange(options.size) - options.size * 0.55)
    truth = np.exp(-(y[:, None] ** 2 + x**2) / (2 * (options.size / 8) ** 2))
    totals = []
    for repeat in range(options.repeat):
        rng = np.random.default_rng(repeat)
        initial = truth + rng.normal(size=extent)
        seconds = {"ask": 0.0, "tell": 0.0, "map": 0.0}
        start = perf_counter()
        published = Published(extent, initial, rng)
        for _ in range(options.rounds):
            start = perf_counter()
            masks = published.ask()
            seconds["ask"] += perf_counter() - start
            scores = (masks * truth).sum(axis=(1, 2)) / truth.sum()
            start = perf_counter()
            published.tell(scores)
            seconds["tell"] += perf_counter() - start
        start = perf_counter()
        published.posterior()
        seconds["map"] += perf_counter() - start
        totals.append(sum(seconds.values()))
        print(f"{totals[-1]:.2f} s: " + ", ".join(f"{name} {value:.2f}" for name, value in seconds.items()))
    print(f"best of {options.repeat}: {min(totals):.2f} s for {options.rounds} rounds at {extent}")


if __name__ == "__main__":
    main()
