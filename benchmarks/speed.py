"""What refinement costs beside the model, as evaluations, pixels, frames and inputs grow; and what the rivals cost.

    python benchmarks/speed.py --out docs/speed.csv            # everything, about a quarter of an hour
    python benchmarks/speed.py evaluations peers               # parts

Time is CPU time, of a model that runs on one thread: it does not depend on what else the machine does, and the shares
are those of the time on a machine of which nobody else wants a core. A model on two threads takes half the time at best
while the regression stays on one, which at most doubles the share beside it: the column "beside, 2 threads at most".
Memory is the peak of a fresh process above one that only runs the model.
"""

from __future__ import annotations

import argparse
import csv
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import borex
from borex.blackbox import Model
from borex.models import default, motionnet
from borex.refine import prepared

PARTS = ("evaluations", "pixels", "frames", "inputs", "peers", "import", "memory")
SETTINGS: dict[str, Any] = {
    "target": None, "method": "field", "batch_size": 32, "baseline": None, "layout": "auto", "output": "auto",
    "seed": 0,
}  # fmt: skip


class Timed:
    """A model's scores in two steps, as `borex.blackbox.Device`, with the CPU seconds of each."""

    def __init__(self, scores: Any) -> None:
        self.scores, self.model, self.masks, self.evals = scores, 0.0, 0.0, 0

    def __call__(self, batch: np.ndarray) -> Any:
        return self._of_model(self.scores, batch, len(batch))

    def load(self, media: np.ndarray, baselines: np.ndarray) -> Callable[..., Any]:
        start = time.process_time()
        compose = self.scores.load(media, baselines)
        self.masks += time.process_time() - start

        def timed(*masks: Any) -> Any:
            start = time.process_time()
            copies = compose(*masks)
            self.masks += time.process_time() - start
            return copies

        return timed

    def run(self, parts: Sequence[Any]) -> Any:
        return self._of_model(self.scores.run, parts, sum(map(len, parts)))

    def _of_model(self, call: Any, given: Any, n: int) -> Any:
        start = time.process_time()
        answer = call(given)
        self.model += time.process_time() - start
        self.evals += n
        return answer


def costs(model: Model, media: np.ndarray, max_evals: int, layout: str) -> dict[str, float]:
    """CPU seconds of one refinement: the model's, of making masked copies, of the regression, of the rest."""
    timed = Timed(model.scores)
    start = time.process_time()
    settings = {**SETTINGS, "layout": layout, "max_evals": max_evals}
    job = prepared(replace(model, scores=timed), media, **settings)
    regression = 0.0

    def regress(what: Callable[..., Any], *given: Any) -> Any:
        nonlocal regression
        begun = time.process_time()
        answer = what(*given)
        regression += time.process_time() - begun
        return answer

    while len(masks := regress(job.refiner.ask)):
        regress(job.refiner.tell, masks, job.asker(masks))
    regress(job.refiner.result)
    job.result()
    total = time.process_time() - start
    assert timed.evals == job.refiner.evals
    rest = total - timed.model - timed.masks - regression
    return {"total": total, "model": timed.model, "masks": timed.masks, "regression": regression, "rest": rest}


def row(part: str, point: str, repeats: int, once: Callable[[], dict[str, float]]) -> dict[str, Any]:
    found = [once() for _ in range(repeats)]
    medians = {name: float(np.median([one[name] for one in found])) for name in found[0]}
    beside = float(np.median([one["total"] / one["model"] - 1 for one in found]))
    return {"part": part, "point": point, **medians, "beside": beside, "beside, 2 threads at most": 2 * beside}


def photo(height: int = 224, width: int = 224) -> np.ndarray:
    """Something with shapes, of any size."""
    coarse = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return coarse[np.arange(height) * 8 // height][:, np.arange(width) * 8 // width]


def evaluations(repeats: int) -> Iterator[dict[str, Any]]:
    model, clip_model = default(threads=1), motionnet(threads=1)
    costs(model, photo(), 40, "HWC")
    for n in (100, 200, 500, 1000, 2000, 5000):
        times = repeats if n <= 1000 else 1
        yield row("evaluations, image 224 x 224", str(n), times, lambda n=n: costs(model, photo(), n, "HWC"))
    clip = np.stack([np.roll(photo(112, 112), 3 * t, axis=1) for t in range(16)])
    costs(clip_model, clip, 40, "THWC")
    for n in (100, 400):
        yield row("evaluations, MotionNet", str(n), 1, lambda n=n: costs(clip_model, clip, n, "THWC"))


def pixels(repeats: int) -> Iterator[dict[str, Any]]:
    model = default(threads=1)
    for height, width in ((112, 112), (224, 224), (448, 448), (1080, 1920), (3000, 4000)):
        media, point = photo(height, width), f"{width} x {height}"
        yield row("pixels, 200 evaluations", point, repeats, lambda media=media: costs(model, media, 200, "HWC"))


def frames(repeats: int) -> Iterator[dict[str, Any]]:
    """Clips of MotionNet's size; what is longer than its 16 frames is brought to them."""
    model = motionnet(threads=1)
    for n in (8, 16, 32, 64):
        clip = np.stack([np.roll(photo(112, 112), 3 * t, axis=1) for t in range(n)])
        yield row("frames, 100 evaluations", str(n), 1, lambda clip=clip: costs(model, clip, 100, "THWC"))


def inputs(repeats: int, counts: Sequence[int] = (1, 8, 64)) -> Iterator[dict[str, Any]]:
    """`refine_many` at 40 evaluations each against the bare model on as many inputs at the best of four batch sizes."""
    model = default(threads=1)
    batch = {n: np.repeat(photo()[None], n, axis=0) for n in (8, 16, 32, 64)}
    for n in counts:
        best, timed = np.inf, Timed(model.scores)
        for size, copies in batch.items():
            start = time.process_time()
            for _ in range(max(1, 128 // size)):
                model.scores(copies)
            best = min(best, (time.process_time() - start) / (size * max(1, 128 // size)))
        start = time.process_time()
        media = (np.roll(photo(), i, axis=1) for i in range(n))
        done = list(borex.refine_many(replace(model, scores=timed), media, max_evals=40, layout="HWC"))
        total = time.process_time() - start
        assert all(one.error is None for one in done)
        yield {
            "part": "inputs, 40 evaluations each", "point": str(n), "total": total, "model": timed.model,
            "masks": timed.masks, "beside": total / timed.model - 1,
            "throughput / best of the model": best * timed.evals / total,
        }  # fmt: skip


def peers(repeats: int) -> Iterator[dict[str, Any]]:
    """Everything a method does beside the model's calls, at 200 evaluations of the same model and photo."""
    sys.path.insert(0, str(Path(__file__).parent))
    from borex.evaluation.benchmark import Task
    from rivals.partition import partition
    from rivals.superpixels import kernelshap, lime

    def field(task: Task) -> np.ndarray:
        return borex.refine(task.model, task.media, target=task.target, max_evals=task.budget, layout="HWC").saliency

    model = default(threads=1)
    methods = {"field": field, "KernelShap (captum)": kernelshap, "Lime (captum)": lime, "Partition (shap)": partition}
    for name, method in methods.items():

        def once(method: Any = method) -> dict[str, float]:
            timed = Timed(model.scores)
            # Rivals compose their own copies; the model is given arrays, as they call it.
            box = replace(model, scores=timed if method is field else timed.__call__)
            start, wall = time.process_time(), time.perf_counter()
            method(Task(box, "lite0", photo(), 504, 200, 0))
            total = time.process_time() - start
            return {"total": total, "model": timed.model, "wall": time.perf_counter() - wall, "evals": timed.evals}

        once()
        yield row("peers, 200 evaluations", name, repeats, once)


def import_time(repeats: int) -> Iterator[dict[str, Any]]:
    code = "import time, numpy; a = time.process_time(); import borex; print(time.process_time() - a)"
    whole = "import time; a = time.process_time(); import borex; print(time.process_time() - a)"
    for name, program in (("import borex", whole), ("without NumPy's share", code)):
        command = [sys.executable, "-c", program]
        ran = [float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(max(5, repeats))]
        yield {"part": "import", "point": name, "total": float(np.median(ran))}


PEAK = """
import resource, sys
import numpy as np
from borex.models import default
kind, height, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
photo = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
model = default(threads=1)
if kind == "model":
    model.scores(np.zeros((32, 224, 224, 3), np.uint8))
else:
    import borex
    # The answers of the embedded model's size, without its time.
    from dataclasses import replace
    rng = np.random.default_rng(0)
    class Scores:
        def __call__(self, batch): return self.run([batch])
        def load(self, media, baselines): return model.scores.load(media, baselines)
        def run(self, parts):
            return np.stack([np.r_[copy[..., ::9, ::9].mean(), rng.random(999)] for part in parts for copy in part])
    model.scores(np.zeros((32, 224, 224, 3), np.uint8))
    borex.refine(replace(model, scores=Scores()), photo, max_evals=int(kind), output="logits", layout="HWC", target=0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def memory(repeats: int) -> Iterator[dict[str, Any]]:
    def peak(*what: Any) -> float:
        program = [sys.executable, "-c", PEAK, *map(str, what)]
        return float(subprocess.run(program, check=True, capture_output=True).stdout)

    for height, width, budgets in ((224, 224, (100, 200, 1000, 5000)), (3000, 4000, (200, 1000))):
        base = peak("model", height, width)
        for n in budgets:
            yield {"part": f"memory, {width} x {height}", "point": str(n), "MiB": peak(n, height, width) - base}


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown, one table a part."""
    for part in dict.fromkeys(one["part"] for one in rows):
        own = [one for one in rows if one["part"] == part]
        names = [name for name in own[0] if name != "part"]
        yield f"\n**{part}**\n"
        yield "| " + " | ".join(names) + " |"
        yield "|---" * len(names) + "|"
        for one in own:
            yield "| " + " | ".join(_shown(name, one[name]) for name in names) + " |"


def _shown(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name.startswith("beside"):
        return f"{value:.1%}"
    return f"{value:.0f}" if name in ("MiB", "evals") else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all where none is named")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a table, CSV")
    options = parser.parse_args()
    measured = dict(zip(PARTS, (evaluations, pixels, frames, inputs, peers, import_time, memory), strict=True))
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    import onnxruntime
    import scipy

    versions = f"numpy {np.__version__}, scipy {scipy.__version__}, onnxruntime {onnxruntime.__version__}"
    print(f"{platform.machine()}, Python {platform.python_version()}, {versions}; CPU seconds, model on one thread")
    rows: list[dict[str, Any]] = []
    for part in options.parts or PARTS:
        found = []
        for one in measured[part](options.repeats):
            found.append(one)
            print(
                ", ".join(f"{name} {_shown(name, value)}" for name, value in one.items()), file=sys.stderr, flush=True
            )
        print("\n".join(table(found)), flush=True)
        rows.extend(found)
    if options.out:
        with options.out.open("w", newline="") as file:
            names = list(dict.fromkeys(name for one in rows for name in one))
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
