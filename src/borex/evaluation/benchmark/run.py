"""Runs a benchmark: every row that the table does not have yet."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, replace
from errno import ENAMETOOLONG
from functools import lru_cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from borex.baselines import baseline_of
from borex.blackbox import Model
from borex.errors import BorexError, FileError, InputError, ModelError
from borex.evaluation.benchmark.config import Config, MethodSpec, ModelSpec
from borex.evaluation.benchmark.inputs import Input, load_mask, load_media, read_inputs
from borex.evaluation.benchmark.methods import Found, Meter, Task, find_method, run_method, seed_of
from borex.evaluation.benchmark.models import check_model, make_model
from borex.evaluation.benchmark.processes import single_threaded, start
from borex.evaluation.benchmark.protocol import check_protocol
from borex.evaluation.benchmark.table import SCORES, Key, Row, open_table, read_table
from borex.evaluation.metrics import score
from borex.scores import checked_scores, find_output, probabilities

TABLE, PROTOCOL, MAPS = "table.csv", "protocol.json", "maps"
MOST_FACTS = 10_000  # characters; the csv module reads no field of more than 131072


@dataclass(frozen=True)
class Job:
    """One row to make."""

    input: Input
    model: ModelSpec
    method: MethodSpec
    budget: int
    seed: int

    @property
    def key(self) -> Key:
        return self.input.name, self.model.name, self.method.name, self.budget, self.seed


def jobs_of(config: Config, inputs: list[Input]) -> list[Job]:
    """Every row of the benchmark. Budgets change slowest but for seeds and models, so that a run that is stopped has
    all methods on the same inputs."""
    return [
        Job(one, model, method, budget, seed)
        for seed in _seeds(config)
        for model in config.models
        for budget in _budgets(config)
        for one in inputs
        for method in config.methods
        if budget in (method.budgets or config.budgets) and seed in (method.seeds or config.seeds)
    ]


def _seeds(config: Config) -> list[int]:
    own = [seed for method in config.methods for seed in method.seeds or ()]
    return list(dict.fromkeys([*config.seeds, *sorted(own)]))


def _budgets(config: Config) -> list[int]:
    own = [budget for method in config.methods for budget in method.budgets or ()]
    return list(dict.fromkeys([*config.budgets, *sorted(own)]))


def run(
    config: Config,
    out: str | os.PathLike[str],
    *,
    processes: int = 1,
    retry: bool = False,
    progress: bool = False,
) -> list[Row]:
    """Makes the rows that the table in the folder `out` lacks and returns all rows of the benchmark.

    A method that fails gives a failed row, not an error; `retry`: rows that failed before are made again. `processes`:
    how many work at a time, each with its models on one thread. A run that is killed loses no row but those being made.
    Beside the table lie the maps (`map_path`) and the protocol, which a later run into the same folder must share.

    Raises InputError and FileError before anything is run where that is possible.
    """
    if isinstance(processes, bool) or not isinstance(processes, int) or processes < 1:
        raise InputError(f"processes is {processes!r}; expected a whole number, at least 1")
    _model.cache_clear()  # what lies under a name may have changed since an earlier run in this process
    _last.clear()
    inputs = read_inputs(config.inputs)
    jobs = jobs_of(config, inputs)
    for method in config.methods:
        find_method(method.run, config.folder)
    for model in config.models:
        check_model(model)
    out = Path(out)
    try:
        (out / MAPS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot make the folder {out}: {error.strerror}. Choose another one with --out") from error
    with open_table(out / TABLE) as table:
        rows = {row.key: row for row in read_table(out / TABLE)}
        check_protocol(out / PROTOCOL, config, inputs, list(rows.values()))
        done = {key for key, row in rows.items() if not (retry and row.status == "failed")}
        left = [job for job in jobs if job.key not in done]
        _check_maps(out, list(rows), left)
        with (
            _bar(progress, len(jobs), len(jobs) - len(left)) as bar,
            closing(_made(config, left, out, processes)) as made,
        ):
            for row in made:
                table.append(row)
                rows[row.key] = row
                bar.set_postfix_str(f"{row.method}@{row.budget} {row.input}"[:40], refresh=False)
                bar.update()
    return [rows[job.key] for job in jobs]


def map_path(out: str | os.PathLike[str], key: Key) -> Path:
    """Where the map of a row is kept: an .npy, float32 `(*extent,)` of the model."""
    return Path(out) / MAPS / ("__".join(re.sub(r"[^\w.+@=-]", "_", str(part)) for part in key) + ".npy")


def _check_maps(out: Path, there: list[Key], left: list[Job]) -> None:
    """Raises InputError where one row's map would take the place of another's, for a file name holds fewer characters,
    and where its name is longer than a file's may be."""
    places = {map_path(out, key): key for key in there}
    for job in left:
        other = places.setdefault(map_path(out, job.key), job.key)
        if other != job.key:
            names = " and ".join(sorted(repr(key[0]) for key in (other, job.key)))
            raise InputError(
                f"the inputs {names} would have their maps in one file, {map_path(out, job.key).name}. Rename one of "
                "them, or choose another folder with --out"
            )
        if _is_too_long(map_path(out, job.key)):
            raise InputError(
                f"the map of the input {job.input.name!r} would be called {map_path(out, job.key).name}, which is too "
                f"long a name for a file. Rename {job.input.file}"
            )


def _is_too_long(path: Path) -> bool:
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno == ENAMETOOLONG
    return False


def _made(config: Config, jobs: list[Job], out: Path, processes: int) -> Generator[Row, None, None]:
    """The rows of the jobs, as they are done."""
    if processes == 1:
        for job in jobs:
            with single_threaded():
                row = make_row(config, job, out)
            yield row
        return
    waiting = iter(jobs)
    # Not forked: onnxruntime and torch have threads, which a fork would leave behind with their locks held.
    with ProcessPoolExecutor(min(processes, max(1, len(jobs))), get_context("spawn"), start) as pool:
        running: set[Future[Row]] = set()
        try:
            while True:
                for ready in islice(waiting, 2 * processes - len(running)):
                    running.add(pool.submit(make_row, config, ready, out))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            raise ModelError(
                "a process of the benchmark died, for lack of memory or inside a library; what was done before is "
                "kept. Run it again with fewer processes, or with one to see where it dies"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def make_row(config: Config, job: Job, out: Path) -> Row:
    """Runs one method on one input, scores its map and keeps it. A failure becomes the row's `error`."""
    name, model_name, method, budget, job_seed = job.key
    blank = Row(name, job.input.kind, model_name, method, budget, job_seed, "failed", {})
    try:
        given = _prepared(config, job.model, job.input)
        blank = replace(blank, target=given.target, p_target=given.p_target)
        if given.is_skipped:
            return replace(blank, status="skipped")
        meter = Meter(job.budget)
        seed = seed_of(job.seed, job.input.name)
        task = Task(meter.metered(given.model), job.model.name, given.media, given.target, job.budget, seed)
        began = perf_counter()
        found = run_method(job.method.run, task, config.folder, job.method.options, job.method.noise)
        seconds = perf_counter() - began
        facts = _facts(job.method.run, found)
        with np.errstate(over="ignore"):  # it becomes Inf, which is said
            saliency = found.saliency.astype(np.float32)  # what is scored is what is kept
        scores = score(
            given.model, given.media, saliency, given.target, baseline=given.baseline, object_mask=given.object_mask,
            steps=config.steps,
        )  # fmt: skip
        _keep(map_path(out, job.key), saliency)
    except Exception as error:  # noqa: BLE001  a failed row is a row: what fails is a method's own code
        named = "" if isinstance(error, BorexError) else f"{type(error).__name__}: "
        return replace(blank, error=" ".join(f"{named}{error}".split())[:500])
    return replace(
        blank, status="done", scores={name: value for name, value in scores.as_dict().items() if name in SCORES},
        evals=meter.evals, seconds=round(seconds, 6), model_seconds=round(meter.seconds, 6), facts=facts,
    )  # fmt: skip


@lru_cache(maxsize=2)
def _model(make: str, options: str, folder: Path, name: str) -> Model:
    return make_model(ModelSpec(name, make, json.loads(options)), folder)


@dataclass(frozen=True)
class _Prepared:
    """An input under a model: the model, the media at its extent, the class to explain and its probability; and, unless
    the row is skipped, what maps are scored with."""

    model: Model
    media: np.ndarray
    target: int
    p_target: float
    is_skipped: bool
    baseline: np.ndarray | float = 0.0
    object_mask: np.ndarray | None = None


_last: dict[Any, _Prepared] = {}  # of the input at hand, which many methods see one after the other


def _prepared(config: Config, spec: ModelSpec, one: Input) -> _Prepared:
    """What a row begins with: whatever is wrong with the input is found before a method costs anything."""
    model = _model(spec.make, json.dumps(spec.options), config.folder, spec.name)
    key = (config.folder, spec.name, spec.make, str(spec.options), one)
    if key not in _last:
        media = load_media(one, model.extent)
        scores = checked_scores(model(media[None]), 1)
        if model.output == "auto":
            model = replace(model, output=find_output(scores))
        chances = probabilities(scores, model.output)[0]
        top = int(np.argmax(chances))
        target = top if one.target is None else one.target
        if target >= len(chances):
            raise InputError(f"the class of {one.file} is {target}; the model {spec.name!r} has {len(chances)} classes")
        found = _Prepared(model, media, target, float(chances[target]), config.correct_only and top != target)
        if not found.is_skipped:
            baseline = baseline_of(config.baseline, media, model.mean)
            found = replace(found, baseline=baseline, object_mask=load_mask(one, media.shape[:-1]))
        _last.clear()
        _last[key] = found
    return _last[key]


def _facts(run: str, found: Found) -> str:
    """What a method says of its map, as JSON; InputError where that is no JSON, or too much for a table."""
    try:
        facts = json.dumps(found.facts, default=float) if found.facts else ""
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the facts of the method {run!r} make no JSON ({error}); expected numbers and texts"
        ) from error
    if len(facts) > MOST_FACTS:
        raise InputError(
            f"the facts of the method {run!r} are {len(facts)} characters of JSON; expected at most {MOST_FACTS}. Keep "
            "what is long in a file"
        )
    return facts


def _keep(path: Path, saliency: np.ndarray) -> None:
    """Writes a map so that it is there whole or not at all."""
    part = path.with_name(f"{os.getpid()}.part")  # a name that is never too long where that of the map is not
    with part.open("wb") as file:
        np.save(file, saliency)
        file.flush()
        os.fsync(file.fileno())  # the row that follows reaches the disk, too
    part.replace(path)


def _bar(progress: bool, total: int, done: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, initial=done, unit="row", disable=not progress, smoothing=0.05)
