"""Does the map change when the model's weights are randomised (Adebayo et al. 2018)?

    python benchmarks/sanity.py [--evals 200] [--photos coffee chelsea ...] [--data FOLDER --n 10]

For photos of scikit-image, and every photo and `n` composites of a folder with a labels.csv: Spearman's rank
correlation between the map of a method under EfficientNet-Lite0 and, as a measure, the map of another seed; and the map
under the same network with every layer's weights in random order, of its own top class. The methods: `field`; `field`
that is not told what the baselines change and what cells look like; RISE. A map that explains the model agrees with
itself and not with the randomised one. The last lines are means, with how often the first correlation is the larger.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

import ablation
import zoo
from borex.blackbox import Model
from borex.evaluation.benchmark import Task
from borex.evaluation.benchmark.inputs import Input, load_media
from borex.evaluation.benchmark.methods import METHODS, Found, Method, seed_of
from borex.layout import resize
from borex.models import default
from borex.scores import probabilities
from calibration import inputs_of

PHOTOS = ("coffee", "astronaut", "chelsea")
BLIND = {"prior.CHANGE_POWER": 0.0, "prior.ALIKE": 1e9}  # every cell is alike, and nothing looks like anything
RUN: dict[str, Method] = {
    "field": METHODS["field"],
    "field, not told of the input": partial(ablation.field, constants=BLIND),
    "rise": METHODS["rise"],
}


def heat_map(run: Method, model: Model, media: np.ndarray, evals: int, seed: int) -> np.ndarray:
    """The map of the model's top class, on 14 x 14 cells."""
    scores = probabilities(np.asarray(model(media[None])), model.output)[0]
    found = run(Task(model, "lite0", media, int(scores.argmax()), evals, seed))
    return resize(np.asarray(found.saliency if isinstance(found, Found) else found), (14, 14)).ravel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evals", type=int, default=200)
    parser.add_argument("--photos", nargs="*", default=PHOTOS)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--n", type=int, default=10, help="composites of the folder, beside every photo")
    options = parser.parse_args()
    inputs = [Input(name, zoo.CACHE, f"skimage:{name}", None, None, "photo") for name in options.photos]
    if options.data is not None:
        inputs += inputs_of(options.data, options.n)
    trained, shuffled = default(threads=1), zoo.randomised("lite0")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in RUN}
    print("| input | method | another seed | randomised weights |\n|---|---|---|---|")
    for one in inputs:
        media = load_media(one, trained.extent)
        seeds = seed_of(0, one.name), seed_of(1, one.name)
        for name, run in RUN.items():
            first, second = (heat_map(run, trained, media, options.evals, seed) for seed in seeds)
            other = heat_map(run, shuffled, media, options.evals, seeds[1])  # no random masks in common
            same, random = (float(spearmanr(first, heat).statistic) for heat in (second, other))
            found[name].append((same, random))
            print(f"| {one.name} | {name} | {same:.2f} | {random:.2f} |", flush=True)
    for name, pairs in found.items():
        same, random = np.mean(pairs, axis=0)
        above = sum(one > other for one, other in pairs)
        print(f"| **mean of {len(pairs)}** | {name} | {same:.2f} | {random:.2f} ({above} of {len(pairs)}) |")


if __name__ == "__main__":
    main()
