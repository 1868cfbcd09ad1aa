"""Does the map change when the model's weights are randomised (Adebayo et al. 2018)?

    python benchmarks/sanity.py [--evals 100] [--photos coffee chelsea rocket ...]

For photos of scikit-image: Spearman's rank correlation between the map of `field` under EfficientNet-Lite0 and, as a
measure, the map of another seed; the map under the same network with every layer's weights in random order, of its
own top class; and the same two for RISE. A map that explains the model agrees with itself and not with the randomised
one.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import spearmanr

import zoo
from borex.blackbox import Model, probabilities
from borex.evaluation.benchmark import Task
from borex.evaluation.benchmark.inputs import Input, load_media
from borex.evaluation.benchmark.methods import METHODS, Found, seed_of
from borex.layout import resize
from borex.models import default

PHOTOS = ("coffee", "chelsea", "rocket", "astronaut")


def heat_map(method: str, model: Model, media: np.ndarray, evals: int, seed: int) -> np.ndarray:
    """The map of the model's top class, on 14 x 14 cells."""
    scores = probabilities(np.asarray(model(media[None])), model.output)[0]
    found = METHODS[method](Task(model, "lite0", media, int(scores.argmax()), evals, seed))
    return resize(np.asarray(found.saliency if isinstance(found, Found) else found), (14, 14)).ravel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evals", type=int, default=100)
    parser.add_argument("--photos", nargs="*", default=PHOTOS)
    options = parser.parse_args()
    trained, shuffled = default(threads=1), zoo.randomised("lite0")
    print("| photo | method | evaluations | another seed | randomised weights |\n|---|---|---|---|---|")
    for name in options.photos:
        media = load_media(Input(name, zoo.CACHE, f"skimage:{name}", None, None, "photo"), trained.extent)
        for method in ("field", "rise"):
            seeds = seed_of(0, name), seed_of(1, name)
            first, second = (heat_map(method, trained, media, options.evals, seed) for seed in seeds)
            other = heat_map(method, shuffled, media, options.evals, seeds[1])  # no random masks in common
            same, random = (float(spearmanr(first, one).statistic) for one in (second, other))
            print(f"| {name} | {method} | {options.evals} | {same:.2f} | {random:.2f} |", flush=True)


if __name__ == "__main__":
    main()
