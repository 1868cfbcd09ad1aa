"""What one refinement costs, and what of it is the model's: for `speed.py`."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from borex.blackbox import Device, Model, load, run
from borex.layout import channels_last
from borex.models import default, frame_mean, motionnet
from borex.refine import prepared
from borex.refiner import Refiner

SETTINGS: dict[str, Any] = {"target": None, "batch_size": 32, "baseline": None, "output": "auto", "seed": 0}
BATCH = 32


@dataclass(frozen=True)
class How:
    """How everything is measured: `repeats`, `quick`, and `busy` (CPU time of one thread)."""

    repeats: int
    quick: bool
    busy: bool

    def clock(self) -> float:
        return time.process_time() if self.busy else time.perf_counter()

    def model(self, name: str, frames: int) -> Model:
        threads = 1 if self.busy else None
        if name == "MotionNet":
            return motionnet(threads=threads)
        return default(threads=threads) if not frames else frame_mean(default(threads=threads), frames=frames)


class Timed(Device):
    """A model's scores in two steps, as `borex.blackbox.Device`, with the seconds of each."""

    def __init__(self, model: Model, clock: Callable[[], float]) -> None:
        self.of, self.clock, self.model, self.masks, self.evals = model, clock, 0.0, 0.0, 0

    def __call__(self, batch: np.ndarray) -> Any:
        start = self.clock()
        answer = self.of.scores(batch)
        self.model += self.clock() - start
        self.evals += len(batch)
        return answer

    def load(self, media: np.ndarray, baselines: np.ndarray) -> Callable[..., Any]:
        start = self.clock()
        compose = load(self.of, media, baselines)
        self.masks += self.clock() - start

        def timed(*masks: Any) -> Any:
            start = self.clock()
            copies = compose(*masks)
            self.masks += self.clock() - start
            return copies

        return timed

    def run(self, parts: Sequence[Any]) -> Any:
        start = self.clock()
        answer = run(self.of, parts)
        self.model += self.clock() - start
        self.evals += sum(map(len, parts))
        return answer


class Mute(Timed):
    """Masked copies as the model has them, and answers without it: memory is measured with that, for a model's own
    grows with every new size of a batch."""

    def __init__(self, model: Model, clock: Callable[[], float], classes: int) -> None:
        super().__init__(model, clock)
        self.classes, self.rng = classes, np.random.default_rng(0)

    def run(self, parts: Sequence[Any]) -> Any:
        return self.rng.standard_normal((sum(map(len, parts)), self.classes))


def costs(model: Model, media: np.ndarray, max_evals: int, method: str, clock: Callable[[], float]) -> dict[str, float]:
    """Seconds of one refinement, on to its budget: the model's, of masked copies, of the regression, of the rest."""
    timed, regression = Timed(model, clock), 0.0
    start = clock()
    layout = channels_last(media.ndim)
    job = prepared(replace(model, scores=timed), media, method=method, layout=layout, max_evals=max_evals, **SETTINGS)
    job.refiner = Refiner(job.refiner.extent, tolerance=0.0, **{"method": method, **job.options})

    def regress(what: Callable[..., Any], *given: Any) -> Any:
        nonlocal regression
        begun = clock()
        answer = what(*given)
        regression += clock() - begun
        return answer

    while len(masks := regress(job.refiner.ask)):
        fills = job.refiner.fills
        regress(job.refiner.tell, masks, job.asker(masks, fills), fills)
    found = regress(job.refiner.result)
    found.at(job.shown, job.given, job.excerpt, layout=layout)
    total = clock() - start
    assert found.evals == timed.evals == max_evals
    rest = total - timed.model - timed.masks - regression
    return {"total": total, "model": timed.model, "masks": timed.masks, "regression": regression, "rest": rest}


def peak() -> float:
    """Peak memory of this process so far, MiB. (What `resource` says counts the parent's in.)"""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


def media_of(*extent: int) -> np.ndarray:
    """Something with shapes, of any size; in a clip it moves."""
    *frames, height, width = extent
    coarse = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    image = np.ascontiguousarray(coarse[np.arange(height) * 8 // height][:, np.arange(width) * 8 // width])
    return np.stack([np.roll(image, 3 * t, axis=1) for t in range(frames[0])]) if frames else image


def point(
    how: How,
    part: str,
    name: str,
    model_name: str,
    extent: tuple[int, ...],
    max_evals: int,
    method: str = "field",
    repeats: int | None = None,
) -> dict[str, Any]:
    """One line of a table; runs in a process of its own."""
    frames = extent[0] if len(extent) == 3 and model_name != "MotionNet" else 0
    model, media = how.model(model_name, frames), media_of(*extent)
    shown = np.zeros((BATCH, *(model.extent or extent), 3), np.uint8)
    mute = replace(model, scores=Mute(model, how.clock, np.asarray(model(shown)).shape[1]), output="logits")
    costs(model, media, 40, method, how.clock)  # pays for what is made once
    before = peak()
    costs(mute, media, max_evals, method, how.clock)
    memory = peak() - before
    repeats = how.repeats if repeats is None else min(repeats, how.repeats)
    found = [costs(model, media, max_evals, method, how.clock) for _ in range(repeats)]
    medians = {key: float(np.median([one[key] for one in found])) for key in found[0]}
    beside = float(np.median([one["total"] / one["model"] - 1 for one in found]))
    return {"part": part, "point": name, **medians, "beside": beside, "MiB": memory}


def fresh(*given: Any, **named: Any) -> Any:
    """`point`, or what comes first, in a process of its own."""
    what, *rest = given
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(what, *rest, **named).result()
