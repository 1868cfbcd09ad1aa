"""What a benchmark compares: a method is a function from a `Task` to a heat map."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from borex.baselines import Baseline, baseline_of
from borex.blackbox import Asker, Model
from borex.errors import BudgetError, InputError
from borex.evaluation.benchmark.modules import find_function
from borex.layout import resize
from borex.targets import Target

NOISE_CELLS = 14  # noise has features of this share of a side, as heat maps have


@dataclass
class Meter:
    """What a method has used: model inputs and seconds in the model."""

    budget: int
    evals: int = 0
    seconds: float = 0.0

    def metered(self, model: Model) -> Model:
        """The model, counted; it raises BudgetError instead of answering beyond the budget."""

        def scores(batch: np.ndarray) -> Any:
            if self.evals + len(batch) > self.budget:
                raise BudgetError(
                    f"asked for {self.evals + len(batch)} evaluations; the budget is {self.budget}. A method is told "
                    "its budget and keeps to it"
                )
            self.evals += len(batch)
            start = perf_counter()
            try:
                return model.scores(batch)
            finally:
                self.seconds += perf_counter() - start

        return replace(model, scores=scores)


@dataclass(frozen=True)
class Task:
    """What a method is given: a model that counts, the media at the model's extent, the class to explain, the budget in
    model inputs, a seed. `model_name`: for what reaches inside a model (white-box methods)."""

    model: Model
    model_name: str
    media: np.ndarray
    target: int
    budget: int
    seed: int

    @property
    def extent(self) -> tuple[int, ...]:
        return self.media.shape[:-1]

    @property
    def layout(self) -> str:
        """Of the media, as `borex.refine` names it: "HWC" or "THWC"."""
        return "HWC" if len(self.extent) == 2 else "THWC"

    def rng(self) -> np.random.Generator:
        """A fresh generator of the task's seed."""
        return np.random.default_rng(self.seed)

    def baseline(self, baseline: Baseline) -> np.ndarray:
        """A baseline by its name, for this media and model."""
        return baseline_of(baseline, self.media, self.model.mean)

    def scores(self, masks: Any, baseline: Baseline = "mean", batch_size: int = 32) -> np.ndarray:
        """Probabilities `(n,)` of the target with the media seen through masks `(n, *extent)`, 1 = kept."""
        answers = Asker(self.model, self.media, self.baseline(baseline), batch_size)(masks)
        return Target(self.target, "").value(answers, self.model.output)


@dataclass(frozen=True)
class Found:
    """A heat map `(*extent,)` and what the method says of it, for the table's column of facts (numbers and texts)."""

    saliency: np.ndarray
    facts: dict[str, Any] = field(default_factory=dict)


Method = Callable[..., "np.ndarray | Found"]


def find_method(run: str, folder: Path) -> Method:
    """A method by its name, one of `METHODS`, or "module:function", the module looked for in `folder` first.

    The function takes a `Task` and options, and returns the heat map `(*extent,)`, or a `Found`.
    """
    if run in METHODS:
        return METHODS[run]
    if ":" not in run:
        raise InputError(f"the method is {run!r}; expected one of {', '.join(METHODS)}, or 'module:function'")
    return find_function(run, folder)


def run_method(run: str, task: Task, folder: Path, options: dict[str, Any], noise: float = 0.0) -> Found:
    """The heat map of a method, float64 `(*extent,)`, with noise laid on it; raises what the method raises, and
    InputError where it returns no finite map of the right shape."""
    given = find_method(run, folder)(task, **_with_folder(options, folder))
    found = given if isinstance(given, Found) else Found(given)
    saliency = np.asarray(found.saliency, dtype=np.float64)
    if saliency.shape != task.extent or not np.isfinite(saliency).all():
        state = f"shape {saliency.shape}" if saliency.shape != task.extent else "NaN or Inf in it"
        raise InputError(f"the method {run!r} returned a map with {state}; expected finite values {task.extent}")
    return replace(found, saliency=degraded(saliency, noise, np.random.default_rng([task.seed, 1])))


def _with_folder(options: dict[str, Any], folder: Path) -> dict[str, Any]:
    """An initial map that is a method of its own needs to know where methods are looked for."""
    initial = options.get("initial")
    return {**options, "initial": {**initial, "folder": folder}} if isinstance(initial, dict) else options


def degraded(heat_map: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """The map with smooth noise in place of a part of it: `sqrt(1 - level^2)` times the standardised map plus `level`
    times standardised noise. 0 leaves it as it is, 1 leaves nothing of it."""
    if level == 0:
        return heat_map
    cells = tuple(min(NOISE_CELLS, size) for size in heat_map.shape)
    noise = resize(rng.standard_normal(cells), heat_map.shape)
    clean = (heat_map - heat_map.mean()) / (heat_map.std() or 1.0)
    return np.asarray(np.sqrt(1 - level**2) * clean + level * (noise - noise.mean()) / noise.std())


# --- the methods of the library


def refined(task: Task, *, method: str, initial: Any = None, **options: Any) -> Found:
    """What `borex.refine` returns. `initial`: None, a name that `refine` knows, or a table: the method that makes the
    map (`run`), its `budget` (spent from the task's), `noise`, and its own options."""
    from borex import refine

    if isinstance(options.get("baseline"), list):  # several in turn: TOML has no tuples
        options["baseline"] = tuple(options["baseline"])
    used = 0
    if isinstance(initial, dict):
        rest = dict(initial)
        run, folder = rest.pop("run"), rest.pop("folder", Path())
        used, noise = int(rest.pop("budget")), float(rest.pop("noise", 0.0))
        initial = run_method(run, replace(task, budget=used), folder, rest, noise).saliency
    found = refine(
        task.model, task.media, initial, target=task.target, method=method, max_evals=task.budget - used,
        layout=task.layout, seed=task.seed, **options,
    )  # fmt: skip
    facts: dict[str, Any] = {"stop_reason": found.stop_reason}
    if found.trust is not None:
        facts |= {"trust": found.trust[0], "trust_std": found.trust[1]}
    if found.check is not None:
        facts |= {"chosen": found.check.chosen, "gain": found.check.gain}
    return Found(found.saliency, facts)


def rise(task: Task, *, p: float = 0.5, baseline: Baseline = "mean") -> np.ndarray:
    """RISE (Petsiuk et al. 2018) with as many masks as the budget has; its authors hide with the mean colour."""
    from borex.heatmaps.rise import RiseMasks

    masks = RiseMasks(task.budget, task.extent, task.rng(), p=p)
    return masks.heat_map(task.scores(masks, baseline))


def random_map(task: Task) -> np.ndarray:
    """Smooth noise: what chance scores."""
    return degraded(np.zeros(task.extent), 1.0, task.rng())


METHODS: dict[str, Method] = {
    "field": partial(refined, method="field"),
    "paper": partial(refined, method="paper"),
    "rise": rise,
    "random": random_map,
}


def seed_of(seed: int, name: str) -> int:
    """The seed of one input: inputs share no random masks, and their order and number do not matter."""
    return int(np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)[0])
