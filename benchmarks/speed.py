"""What refinement costs beside the model as evaluations, pixels, frames and inputs grow, and what the rivals cost.

    python benchmarks/speed.py --write            # everything, into docs/speed.md and docs/speed.csv: about 20 minutes
    python benchmarks/speed.py evaluations peers  # parts, printed
    python benchmarks/speed.py --quick            # everything, smaller and once: five minutes
    python benchmarks/speed.py --busy PARTS       # CPU seconds of one thread, on a machine that does other things

Every point runs in a fresh process, with the model on all cores: wall time, medians over repeats, of the model's calls,
of the making of masked copies, of the regression (asking, telling, the result) and of the rest. "beside" is everything
but the model's calls over those calls. Memory is the peak of a run without those calls, above that of a short run.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import borex
import speed_peers
from borex.blackbox import Model
from timing import How, Timed, fresh, media_of, peak, point

DOCS = Path(__file__).parents[1] / "docs"


def evaluations(how: How) -> Iterator[dict[str, Any]]:
    part = "evaluations, EfficientNet-Lite0, 224 x 224"
    for n in (100, 200, 500, 1000) if how.quick else (100, 200, 500, 1000, 2000, 5000):
        yield fresh(point, how, part, str(n), "Lite0", (224, 224), n, repeats=None if n <= 1000 else 1)
    yield fresh(point, how, part, 'method="paper", 102', "Lite0", (224, 224), 102, "paper")
    for n in (100, 400) if how.quick else (100, 400, 1000):
        part = "evaluations, MotionNet, 16 x 112 x 112"
        yield fresh(point, how, part, str(n), "MotionNet", (16, 112, 112), n, repeats=None if n <= 400 else 1)


def pixels(how: How) -> Iterator[dict[str, Any]]:
    n = 100 if how.quick else 200
    for height, width in ((112, 112), (224, 224), (448, 448), (1080, 1920), (3000, 4000)):
        part = f"pixels, EfficientNet-Lite0, {n} evaluations"
        yield fresh(point, how, part, f"{width} x {height}", "Lite0", (height, width), n)


def frames(how: How) -> Iterator[dict[str, Any]]:
    """The mean of Lite0 over frames, which takes any number of them."""
    n = 40 if how.quick else 100
    for count in (8, 16) if how.quick else (8, 16, 32, 64):
        part = f"frames of 224 x 224, mean of EfficientNet-Lite0, {n} evaluations"
        yield fresh(point, how, part, str(count), "Lite0", (count, 224, 224), n, repeats=1)


def best_of_model(model: Model, clock: Callable[[], float]) -> float:
    """Seconds an input of the bare model takes at the best of some batch sizes, medians over calls."""
    best = np.inf
    for size in (8, 16, 32, 64):
        copies, spent = np.repeat(media_of(224, 224)[None], size, axis=0), []
        for _ in range(max(3, 160 // size)):
            start = clock()
            model.scores(copies)
            spent.append((clock() - start) / size)
        best = min(best, float(np.median(spent)))
    return best


def many(how: How, n: int, max_evals: int) -> dict[str, Any]:
    model = how.model("Lite0", 0)
    list(borex.refine_many(model, [media_of(224, 224)], max_evals=40, layout="HWC"))  # pays for what is made once
    best = [best_of_model(model, how.clock)]
    before, timed = peak(), Timed(model, how.clock)
    start = how.clock()
    media = (np.roll(media_of(224, 224), i, axis=1) for i in range(n))
    boxed = replace(model, scores=timed)
    for one in borex.refine_many(boxed, media, max_evals=max_evals, layout="HWC"):
        assert one.error is None
    total, memory = how.clock() - start, peak() - before
    best.append(best_of_model(model, how.clock))
    return {
        "part": f"inputs, EfficientNet-Lite0, {max_evals} evaluations each", "point": str(n), "total": total,
        "model": timed.model, "masks": timed.masks, "beside": total / timed.model - 1,
        "throughput / best of the model": float(np.mean(best)) * timed.evals / total, "MiB": memory,
    }  # fmt: skip


def inputs(how: How) -> Iterator[dict[str, Any]]:
    """`refine_many` against the bare model on as many inputs at the best of four batch sizes, before and after."""
    for n in (1, 8, 16) if how.quick else (1, 8, 64, 1000):
        yield fresh(many, how, n, 40)
    yield fresh(many, how, 4 if how.quick else 64, 200)


def import_time(how: How) -> Iterator[dict[str, Any]]:
    for name, first in (("import borex", ""), ("without NumPy's share", "import numpy; ")):
        clock = "time.process_time()" if how.busy else "time.perf_counter()"
        program = f"import time; {first}a = {clock}; import borex; print({clock} - a)"
        command = [sys.executable, "-c", program]
        ran = [float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(7)]
        yield {"part": "import", "point": name, "total": float(np.median(ran))}


def peers(how: How) -> Iterator[dict[str, Any]]:
    for name in speed_peers.METHODS:
        yield fresh(speed_peers.costs_of, how, name)


def rise(how: How) -> Iterator[dict[str, Any]]:
    yield from speed_peers.rise(how)


PARTS = {
    "evaluations": evaluations, "pixels": pixels, "frames": frames, "inputs": inputs, "peers": peers, "rise": rise,
    "import": import_time,
}  # fmt: skip


def tables(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown, one table a part."""
    for part in dict.fromkeys(one["part"] for one in rows):
        own = [one for one in rows if one["part"] == part]
        names = [name for name in own[0] if name != "part"]
        yield f"\n**{part[0].upper()}{part[1:]}**\n"
        yield "| " + " | ".join("" if name == "point" else name for name in names) + " |"
        yield "|---" * len(names) + "|"
        for one in own:
            yield "| " + " | ".join(spelled(name, one[name]) for name in names) + " |"


def spelled(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name == "beside":
        return f"{value:.1%}"
    return f"{value:.0f}" if name in ("MiB", "evals") else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all where none is named")
    parser.add_argument("--repeats", type=int, default=5)
    for name in ("quick", "busy", "write"):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    how = How(1 if options.quick else options.repeats, options.quick, options.busy)
    rows: list[dict[str, Any]] = []
    for name in options.parts or PARTS:
        for one in PARTS[name](how):
            rows.append(one)
            print(", ".join(f"{key} {spelled(key, value)}" for key, value in one.items()), file=sys.stderr, flush=True)
    page = "\n".join([said(how), *tables(rows)])
    print(page)
    if options.write:
        write(page, rows)


def said(how: How) -> str:
    import onnxruntime
    import scipy

    versions = f"NumPy {np.__version__}, SciPy {scipy.__version__}, onnxruntime {onnxruntime.__version__}"
    clock = "CPU seconds, the model on one thread" if how.busy else "wall seconds, the model on all cores"
    cores = f"{multiprocessing.cpu_count()} cores of {processor()}"
    return f"{cores}, Python {platform.python_version()}, {versions}; {clock}; medians of {how.repeats}."


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def write(page: str, rows: list[dict[str, Any]]) -> None:
    """Into docs: the tables between the two marks of speed.md, and all rows as CSV."""
    begin, end = "<!-- measured: benchmarks/speed.py -->\n", "\n<!-- end of what was measured -->"
    document = (DOCS / "speed.md").read_text()
    before, rest = document.split(begin)
    (DOCS / "speed.md").write_text(before + begin + page + end + rest.split(end)[1])
    with (DOCS / "speed.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for one in rows for name in one)))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
