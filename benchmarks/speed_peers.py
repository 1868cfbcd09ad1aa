"""What the rivals cost on the same model and photo, and how long RISE takes to what `field` finds: for `speed.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import borex
from borex.blackbox import Model
from borex.evaluation import deletion, insertion
from borex.evaluation.benchmark import Task
from borex.evaluation.benchmark.methods import rise as rise_map
from borex.layout import to_extent
from timing import How, Timed

BUDGET, RISE_BUDGET, OURS, STEPS = 200, 8000, (100, 200, 300, 500), 112


def field(task: Task) -> np.ndarray:
    return borex.refine(task.model, task.media, target=task.target, max_evals=task.budget, layout="HWC").saliency


def kernelshap(task: Task) -> np.ndarray:
    from rivals import superpixels

    return superpixels.kernelshap(task)


def captum_lime(task: Task) -> np.ndarray:
    from rivals import superpixels

    return superpixels.lime(task)


def partition(task: Task) -> np.ndarray:
    from rivals.partition import partition as made

    return made(task)


def lime_package(task: Task) -> np.ndarray:
    from lime.lime_image import LimeImageExplainer

    found = LimeImageExplainer(random_state=task.seed).explain_instance(
        task.media, lambda batch: task.model(np.asarray(batch)), labels=(task.target,), top_labels=None,
        num_samples=task.budget, batch_size=32,
    )  # fmt: skip
    weights = dict(found.local_exp[task.target])
    return np.vectorize(weights.get)(found.segments)


METHODS = {
    "field": field, "KernelShap (Captum)": kernelshap, "Lime (Captum)": captum_lime, "lime": lime_package,
    "Partition (shap)": partition,
}  # fmt: skip


def costs_of(how: How, name: str) -> dict[str, Any]:
    """Seconds that a method takes at 200 evaluations, and those of the model's calls in it."""
    model, media, found = how.model("Lite0", 0), _photos(224, 224)[0], []
    for _ in range(how.repeats + 1):
        timed = Timed(model, how.clock)
        # Rivals compose their own copies; the model is given arrays, as they call it.
        box = replace(model, scores=timed if name == "field" else timed.__call__)
        start = how.clock()
        METHODS[name](Task(box, "lite0", media, _target(model, media), BUDGET, 0))
        total = how.clock() - start
        found.append([total, timed.model, total / timed.model - 1, timed.evals])
    total, own, beside, evals = np.median(found[1:], axis=0)  # the first makes what is made once
    return {
        "part": f"peers, EfficientNet-Lite0, {BUDGET} evaluations", "point": name, "total": float(total),
        "model": float(own), "everything else": float(total - own), "beside": float(beside), "evals": float(evals),
    }  # fmt: skip


def rise(how: How) -> Iterator[dict[str, Any]]:
    """RISE's time at its authors' budget over that of `field`, and the quality of both, means over photos."""
    model, photos = how.model("Lite0", 0), _photos(*how.model("Lite0", 0).extent)
    photos = photos[:1] if how.quick else photos
    budgets = {("RISE", RISE_BUDGET if not how.quick else 1000): rise_map, **{("field", n): field for n in OURS}}
    found: dict[tuple[str, int], list[tuple[float, float]]] = {key: [] for key in budgets}
    for media in photos:
        target = _target(model, media)
        field(Task(model, "lite0", media, target, 40, 0))
        for key, method in budgets.items():
            start = how.clock()
            saliency = method(Task(model, "lite0", media, target, key[1], 0))
            spent = how.clock() - start
            found[key].append((spent, _quality(model, media, saliency, target)))
    base = np.array(found[next(iter(budgets))])
    for (name, n), values in found.items():
        own = np.array(values)
        yield {
            "part": f"quality of RISE and its time, EfficientNet-Lite0, {len(photos)} photos", "point": f"{name}, {n}",
            "seconds": float(own[:, 0].mean()), "RISE's time over it": float((base[:, 0] / own[:, 0]).mean()),
            "insertion - deletion": float(own[:, 1].mean()),
            "photos on which it is at least RISE's": f"{int((own[:, 1] >= base[:, 1]).sum())}",
        }  # fmt: skip


def _quality(model: Model, media: np.ndarray, saliency: np.ndarray, target: int) -> float:
    """Area under insertion (from a blur) less that under deletion (to the mean colour)."""
    colour = np.rint(media.mean(axis=(0, 1)))
    inserted = insertion(model, media, saliency, target, steps=STEPS)
    return inserted.auc - deletion(model, media, saliency, target, baseline=colour, steps=STEPS).auc


def _target(model: Model, media: np.ndarray) -> int:
    return int(np.argmax(np.asarray(model(media[None]))[0]))


def _photos(height: int, width: int) -> list[np.ndarray]:
    """Photos that scikit-image has with it, at the model's extent."""
    from skimage import data

    return [to_extent(photo(), (height, width)) for photo in (data.chelsea, data.coffee, data.astronaut, data.rocket)]
