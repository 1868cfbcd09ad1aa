"""One HTML file that says what a benchmark found: tables, curves, pictures, worst cases, what was run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import borex
from borex.errors import BorexError, FileError, MissingExtraError
from borex.evaluation.benchmark import charts
from borex.evaluation.benchmark.config import Config
from borex.evaluation.benchmark.inputs import Input, load_media, read_inputs
from borex.evaluation.benchmark.models import make_model
from borex.evaluation.benchmark.run import map_path
from borex.evaluation.benchmark.summary import (
    Compared,
    Mean,
    best,
    comparisons,
    means,
    of_first_seeds,
    scores_in,
    worst,
)
from borex.evaluation.benchmark.table import Row

GALLERY = 8  # inputs shown
DRAWN = (
    "insertion_blur_minus_deletion",
    "insertion_blur",
    "insertion_baseline",
    "deletion",
    "average_precision",
    "best_f1",
)
PACKAGES = ("numpy", "scipy", "onnxruntime", "torch", "captum", "shap", "zennit", "grad-cam", "scikit-image")


def write_report(
    config: Config, rows: Sequence[Row], out: str | os.PathLike[str], path: str | os.PathLike[str], command: str = ""
) -> Path:
    """Writes the report of the rows to the file `path` and returns it; rows of methods or models that are not the
    benchmark's are left out.

    `out`: the folder with the maps; a map or an input that is not there, or is damaged, leaves a gap in the galleries,
    no more. `command`: what was called, for the record. Raises MissingExtraError without jinja2 or matplotlib,
    FileError where the file cannot be written.
    """
    path = Path(path)
    text = report(config, rows, Path(out), command)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror}. Choose another folder with --out") from error
    return path


def check_extra() -> None:
    """Raises MissingExtraError where a report cannot be made, before what it is about has cost anything."""
    for package in ("jinja2", "matplotlib"):
        if find_spec(package) is None:
            raise MissingExtraError("the report", package, "report")


def report(config: Config, rows: Sequence[Row], out: Path, command: str = "") -> str:
    """The page as text; see `write_report`."""
    check_extra()
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    page = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page.filters["spelled"] = charts.spelled
    page.filters["signed"] = lambda value: f"{value:+.3f}".replace("-", "−")
    page.filters["p"] = lambda value: f"{value:.3f}" if value >= 0.001 else f"{value:.0e}".replace("e-0", "e-")
    methods, models = ({one.name for one in part} for part in (config.methods, config.models))
    rows = [row for row in rows if row.method in methods and row.model in models]
    found, tests = means(rows), comparisons(rows, config)
    done = [row for row in rows if row.status == "done"]
    colours = charts.colours_of([method.name for method in config.methods], config.ours)
    text: str = page.get_template("report.html").render(
        config=config,
        seeds=seeds(config),
        title=config.title or config.name,
        inputs=Counter(row.kind for row in {row.input: row for row in done}.values()),
        counts=Counter(row.status for row in rows),
        colours=colours,
        strokes={method: charts.STROKES[turn] for method, turn in charts.turns_of(colours).items()},
        sections=[
            section(config, rows, found, tests, model.name, out)
            for model in config.models
            if any(row.model == model.name for row in done)
        ],
        failures=Counter((row.method, row.error) for row in rows if row.status == "failed").most_common(12),
        seconds=sum(row.seconds or 0 for row in done),
        evals=sum(row.evals or 0 for row in done),
        versions=versions(),
        command=command,
    )
    return text


@dataclass(frozen=True)
class Line:
    """A line of the table of means: a method at a budget, for each score its mean (None: not there) and whether it is
    the best of its budget."""

    method: str
    budget: int
    n: int
    cells: list[tuple[Mean | None, bool]]


@dataclass(frozen=True)
class Section:
    """What a page says of one model. `tests`: for each pair of methods with budgets, each score's comparison."""

    model: str
    scores: list[str]
    lines: list[Line]
    tests: dict[tuple[str, int, str, int], list[Compared | None]]
    curves: list[str]
    at: int
    methods: list[str]
    heads: list[str]
    gallery: list[dict[str, Any]]
    worst: list[dict[str, Any]]


def section(
    config: Config, rows: Sequence[Row], found: list[Mean], tests: list[Compared], model: str, out: Path
) -> Section:
    """The part of a page about one model."""
    mine = [one for one in found if one.model == model]
    of_model = [row for row in rows if row.model == model and row.status == "done"]
    scores = scores_in(of_model)
    names = [method.name for method in config.methods]
    drawn = [score for score in DRAWN if score in scores]
    colours = charts.colours_of(names, config.ours)
    at = _middle(config, of_model)
    shown = sorted({row.method for row in of_model if row.budget == at or _is_alone(of_model, row)}, key=names.index)
    pictures = _Pictures(config, model, out)
    several = len({one.budget for one in mine}) > 1
    return Section(
        model=model,
        scores=scores,
        lines=_lines(mine, scores, names),
        tests=_by_pair([one for one in tests if one.model == model], scores),
        curves=[
            charts.curves([one for one in mine if one.score == score], score, colours, config.ours) for score in drawn
        ] if several else [],
        at=at,
        methods=shown,
        heads=[_head(of_model, method, at) for method in shown],
        gallery=_gallery(of_model, at, shown, pictures, drawn[0]),
        worst=_worst(of_model, config.ours, at, pictures, drawn[0]),
    )  # fmt: skip


def _lines(mine: list[Mean], scores: list[str], names: list[str]) -> list[Line]:
    at = {(one.method, one.budget, one.score): one for one in mine}
    lines = []
    for budget in sorted({one.budget for one in mine}):
        for method in sorted({one.method for one in mine if one.budget == budget}, key=names.index):
            cells = []
            for score in scores:
                one = at.get((method, budget, score))
                cells.append((one, one is not None and one.mean == best(mine, one.model, score, budget)))
            lines.append(Line(method, budget, max(one.n for one, _ in cells if one), cells))
    return lines


def _by_pair(tests: list[Compared], scores: list[str]) -> dict[tuple[str, int, str, int], list[Compared | None]]:
    keys = dict.fromkeys((one.ours, one.ours_budget, one.other, one.other_budget) for one in tests)
    at = {(one.ours, one.ours_budget, one.other, one.other_budget, one.score): one for one in tests}
    return {key: [at.get((*key, score)) for score in scores] for key in keys}


def _middle(config: Config, rows: list[Row]) -> int:
    """The budget at which maps are shown: that with the most rows of `ours`, the smallest of several."""
    of_ours = [row for row in rows if config.ours in (None, row.method)]
    counts = Counter(row.budget for row in of_ours or rows)
    return min(counts, key=lambda budget: (-counts[budget], budget))


def _head(rows: list[Row], method: str, at: int) -> str:
    """A method's name, with its budget where that is another one than that of the page."""
    budgets = {row.budget for row in rows if row.method == method}
    return method if at in budgets else f"{method}, {min(budgets)}"


def _is_alone(rows: list[Row], row: Row) -> bool:
    return {one.budget for one in rows if one.method == row.method} == {row.budget}


class _Pictures:
    """The media of inputs and the maps of rows, as data URLs; None where something is not there any more."""

    def __init__(self, config: Config, model: str, out: Path) -> None:
        self._out = out
        self._spec = next(one for one in config.models if one.name == model)
        self._folder = config.folder
        try:
            self._inputs = {one.name: one for one in read_inputs(config.inputs)}
        except BorexError:  # a report is worth having without the data, too
            self._inputs = {}
        self._media: dict[str, np.ndarray] = {}
        self._extent: Any = self

    def _load(self, one: Input) -> np.ndarray:
        if self._extent is self:
            self._extent = make_model(self._spec, self._folder).extent
        if one.name not in self._media:
            self._media[one.name] = load_media(one, self._extent)
        return self._media[one.name]

    def of(self, name: str, row: Row | None = None) -> str | None:
        """The input alone, or under the map of a row."""
        try:
            media = self._load(self._inputs[name])
            saliency = None if row is None else np.load(map_path(self._out, row.key)).astype(np.float64)
            return charts.shown(media, saliency)
        except (KeyError, BorexError, OSError, EOFError, ValueError):  # gone, or damaged
            return None


def _gallery(rows: list[Row], at: int, methods: list[str], pictures: _Pictures, score: str) -> list[dict[str, Any]]:
    """Inputs spread evenly over those that have the most methods, each with the map of every method."""
    by_name: dict[str, dict[str, Row]] = {}
    for row in of_first_seeds(rows):
        if row.budget == at or _is_alone(rows, row):
            by_name.setdefault(row.input, {})[row.method] = row
    full = max(len(found) for found in by_name.values())
    whole = [name for name, found in by_name.items() if len(found) == full]
    names = [whole[i] for i in np.unique(np.linspace(0, len(whole) - 1, min(GALLERY, len(whole))).astype(int))]
    lines = []
    for name in names:
        maps = {method: (method, pictures.of(name, row), row.scores[score]) for method, row in by_name[name].items()}
        p = next(iter(by_name[name].values())).p_target
        lines.append({"name": name, "media": pictures.of(name), "p": p, "maps": [maps.get(one) for one in methods]})
    return lines


def _worst(rows: list[Row], ours: str | None, at: int, pictures: _Pictures, score: str) -> list[dict[str, Any]]:
    if ours is None:
        return []
    return [
        {
            "name": mine.input, "media": pictures.of(mine.input), "ours": pictures.of(mine.input, mine),
            "theirs": pictures.of(mine.input, other), "method": other.method, "by": by,
            "mine": mine.scores[score], "other": other.scores[score],
        }
        for mine, other, by in worst(rows, ours, at, score)
        if by > 0
    ]  # fmt: skip


def seeds(config: Config) -> str:
    """Which seeds were run, and which methods had others: "0; field 0, 1, 2"."""
    own = [f"{method.name} {', '.join(map(str, method.seeds))}" for method in config.methods if method.seeds]
    return "; ".join([", ".join(map(str, config.seeds)), *own])


def versions() -> dict[str, str]:
    """The versions of Python, of borex and of the packages that decide results, of those that are installed."""
    found = {"borex": borex.__version__, "Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
