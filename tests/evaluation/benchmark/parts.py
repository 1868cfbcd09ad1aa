"""A model, methods and inputs whose answers are known, for benchmarks in tests."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from borex.evaluation.benchmark import Found, Task, read_config, run

EXTENT = (30, 40)
HERE = "tests.evaluation.benchmark.parts"


def model(classes: int = 2) -> Any:
    """As sure of class 1 as the number of bright pixels it sees; 96 of them are an object."""

    def probabilities(batch: np.ndarray) -> np.ndarray:
        p = np.minimum(1.0, 0.02 + 0.96 * (batch[..., 0] > 200).reshape(len(batch), -1).sum(axis=1) / 96)
        return np.stack([1 - p, p, *[np.zeros(len(p))] * (classes - 2)], axis=1)

    return probabilities


def perfect(task: Task, pause: float = 0.0, log: str = "") -> np.ndarray:
    """The object itself, after a look at the whole."""
    time.sleep(pause)
    if log:
        with Path(log).open("a") as file:
            file.write("x")
    assert task.scores(np.ones((1, *task.extent), dtype=bool))[0] == 0.98
    return (task.media[..., 0] > 200).astype(float)


def opposite(task: Task) -> Found:
    return Found(-perfect(task), {"note": 'so "it" says', "level": np.float64(0.25)})


def threads(task: Task) -> Found:
    """How many the BLAS libraries have, and torch where it is loaded."""
    from threadpoolctl import threadpool_info

    torch = sys.modules.get("torch")
    most = max(one["num_threads"] for one in threadpool_info())
    told = [os.environ.get(name, "") for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")]
    return Found(noise(task), {"blas": most, "torch": torch.get_num_threads() if torch else 1, "told": told})


def talkative(task: Task) -> Found:
    return Found(noise(task), {"log": "x " * 100_000})


def unclear(task: Task) -> Found:
    return Found(noise(task), {"weights": np.arange(3.0)})


def noise(task: Task) -> np.ndarray:
    return task.rng().random(task.extent)


def close(task: Task) -> np.ndarray:
    """Values that float32 cannot all tell apart."""
    return 1000 + noise(task) * 1e-3


def huge(task: Task) -> np.ndarray:
    return 1e300 * noise(task)


def greedy(task: Task) -> np.ndarray:
    task.scores(np.ones((task.budget, *task.extent), dtype=bool))
    task.scores(np.ones((1, *task.extent), dtype=bool))
    return np.zeros(task.extent)


def broken(task: Task) -> np.ndarray:
    raise RuntimeError("no luck,\nnone at all")


def misshapen(task: Task) -> np.ndarray:
    return np.zeros(task.extent[::-1])


def write_inputs(folder: Path, n: int = 3) -> None:
    """`n` pictures with a bright object of 8 x 12 pixels, their masks, and labels.csv."""
    rng = np.random.default_rng(0)
    lines = ["file,class_index,mask,kind,top1"]
    for i in range(n):
        picture = rng.integers(20, 90, (*EXTENT, 3)).astype(np.uint8)
        y, x = rng.integers(0, EXTENT[0] - 8), rng.integers(0, EXTENT[1] - 12)
        picture[y : y + 8, x : x + 12] = 255
        Image.fromarray(picture).save(folder / f"p{i}.png")
        Image.fromarray((picture[..., 0] > 200).astype(np.uint8) * 255).save(folder / f"m{i}.png")
        lines.append(f"p{i}.png,1,m{i}.png,{'odd' if i % 2 else 'even'},{int(i != 1)}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def write_config(folder: Path, methods: str = "", **changes: Any) -> Path:
    """A benchmark over these inputs: `methods`, TOML; `changes`: values of keys at the top."""
    top = {"budgets": "[10, 20]", "steps": 10, "baseline": 0, **changes}
    text = "\n".join(f"{key} = {value}" for key, value in top.items() if value is not None)
    text += f'\n[[inputs]]\ntable = "labels.csv"\n[[models]]\nname = "bright"\nmake = "{HERE}:model"\n'
    text += methods or "".join(f'[[methods]]\nname = "{m}"\nrun = "{HERE}:{m}"\n' for m in ("perfect", "noise"))
    path = folder / "few.toml"
    path.write_text(text)
    return path


def method(name: str, **options: Any) -> str:
    lines = "".join(f"{key} = {value!r}\n" for key, value in options.items())
    return f'[[methods]]\nname = "{name}"\nrun = "{HERE}:{name}"\n{lines}'


def run_in(folder: Path, methods: str = "", changes: dict[str, Any] | None = None, **options: Any) -> Any:
    return run(read_config(write_config(folder, methods, **(changes or {}))), folder / "out", **options)
