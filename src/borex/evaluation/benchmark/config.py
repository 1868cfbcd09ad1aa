"""What a benchmark runs, read from a TOML file: inputs x models x methods x budgets x seeds."""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from borex.baselines import baseline_of
from borex.errors import FileError, InputError
from borex.media.read import checked_path

NAME = re.compile(r"[\w.+@=-]+")  # what may stand in a file name and in a table


@dataclass(frozen=True)
class InputSet:
    """Rows of a table of inputs: `table`, a CSV file with a column `file` and, where they apply, `class_index`, `mask`
    (or `masks`) and `kind`; `where`: only rows whose columns have these values; `rows`: of those, counted from 0, the
    `start` and every `step`-th after it; `n`: so many of what is left, evenly spread.
    """

    table: Path
    where: dict[str, str] = field(default_factory=dict)
    rows: tuple[int, int] = (0, 1)
    n: int | None = None


@dataclass(frozen=True)
class ModelSpec:
    """A model: what it is called, what makes it (see `make_model`), and the options that this takes."""

    name: str
    make: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MethodSpec:
    """A method: what it is called, what runs it (see `find_method`), its options, the level of noise laid on its map
    (0 none .. 1 nothing else), and the budgets and the seeds it runs with; None: those of the benchmark."""

    name: str
    run: str
    options: dict[str, Any] = field(default_factory=dict)
    noise: float = 0.0
    budgets: tuple[int, ...] | None = None
    seeds: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Config:
    """A benchmark. `folder`: where the file lies; modules named in it are looked for there first.

    `steps`, `baseline`: of insertion and deletion. `correct_only`: an input that a model takes for another class is
    skipped. `ours`: the method that the others are compared with; `pairs`: further comparisons, each `(a, b)` of
    "method@budget".
    """

    name: str
    folder: Path
    inputs: tuple[InputSet, ...]
    models: tuple[ModelSpec, ...]
    methods: tuple[MethodSpec, ...]
    budgets: tuple[int, ...]
    seeds: tuple[int, ...] = (0,)
    steps: int = 56
    baseline: str | float = "mean"
    correct_only: bool = False
    ours: str | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    title: str = ""
    text: str = ""


def read_config(path: str | os.PathLike[str], data: str | os.PathLike[str] | None = None) -> Config:
    """The benchmark in a TOML file. `data`: the folder that tables of inputs are relative to; None: the file's own.

    Raises FileError for a file that is missing or no TOML, InputError for anything in it that is unknown or does not
    fit, with the place.
    """
    path = checked_path(path)
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"{path} is no TOML file: {error}") from error
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}. Check its permissions") from error
    try:
        return _config(given, path, path.parent if data is None else Path(data))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _config(given: dict[str, Any], path: Path, data: Path) -> Config:
    known = [one.name for one in dataclasses.fields(Config) if one.name != "folder"]
    _check_keys("", given, known, ("inputs", "models", "methods", "budgets"))
    sets = []
    for i, one in enumerate(_tables(given, "inputs")):
        _check_keys(f"inputs[{i}].", one, ("table", "where", "rows", "n"), ("table",))
        where = one.get("where", {})
        if not isinstance(where, dict):
            raise InputError(f"inputs[{i}].where is {where!r}; expected columns and their values: {{top1 = 1}}")
        n = None if "n" not in one else _count(f"inputs[{i}].n", one["n"])
        rows = one.get("rows", [0, 1])
        if not isinstance(rows, list) or len(rows) != 2:
            raise InputError(
                f"inputs[{i}].rows is {rows!r}; expected [start, step], such as [1, 2]: the rows 1, 3, 5 …"
            )
        start, step = _count(f"inputs[{i}].rows[0]", rows[0], least=0), _count(f"inputs[{i}].rows[1]", rows[1])
        table = _typed(f"inputs[{i}].table", one["table"], (str,))
        sets.append(InputSet(data / table, {k: str(v) for k, v in where.items()}, (start, step), n))
    budgets = _counts("budgets", given["budgets"])
    methods = tuple(_method(i, one) for i, one in enumerate(_tables(given, "methods")))
    models = []
    for i, one in enumerate(_tables(given, "models")):
        _check_keys(f"models[{i}].", one, None, ("name",))
        rest = {key: value for key, value in one.items() if key not in ("name", "make")}
        models.append(ModelSpec(_name(f"models[{i}].name", one["name"]), str(one.get("make", one["name"])), rest))
    for what, names in (("models", [m.name for m in models]), ("methods", [m.name for m in methods])):
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise InputError(f"{what} has two of the name {twice[0]!r}; give each a name of its own")
    ours = given.get("ours")
    if ours is not None and ours not in [method.name for method in methods]:
        raise InputError(f"ours is {ours!r}; expected one of the methods {', '.join(m.name for m in methods)}")
    return Config(
        name=_name("name", given.get("name", path.stem)),
        folder=path.parent,
        inputs=tuple(sets),
        models=tuple(models),
        methods=methods,
        budgets=budgets,
        seeds=_counts("seeds", given.get("seeds", [0]), least=0),
        steps=_count("steps", given.get("steps", 56)),
        baseline=_baseline(given.get("baseline", "mean")),
        correct_only=_typed("correct_only", given.get("correct_only", False), (bool,)),
        ours=ours,
        pairs=_pairs(given.get("pairs", []), methods, budgets),
        title=_typed("title", given.get("title", ""), (str,)),
        text=_typed("text", given.get("text", ""), (str,)),
    )


def _baseline(given: Any) -> str | float:
    found: str | float = _typed("baseline", given, (str, int, float))
    baseline_of(found, np.array([0, 255], np.uint8).reshape(1, 1, 2, 1))  # as photos and clips are; raises InputError
    return found


def _method(i: int, one: dict[str, Any]) -> MethodSpec:
    where = f"methods[{i}]."
    _check_keys(where, one, None, ("name",))
    noise = one.get("noise", 0.0)
    if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not 0 <= noise <= 1:
        raise InputError(f"{where}noise is {noise!r}; expected a level from 0 (none) to 1 (nothing else)")
    rest = {key: value for key, value in one.items() if key not in ("name", "run", "noise", "budgets", "seeds")}
    if isinstance(rest.get("initial"), dict):
        _check_keys(f"{where}initial.", rest["initial"], None, ("run", "budget"))
        _count(f"{where}initial.budget", rest["initial"]["budget"])
    budgets = None if "budgets" not in one else _counts(f"{where}budgets", one["budgets"])
    seeds = None if "seeds" not in one else _counts(f"{where}seeds", one["seeds"], least=0)
    name = _name(f"{where}name", one["name"])
    return MethodSpec(name, str(one.get("run", name)), rest, float(noise), budgets, seeds)


def _pairs(given: Any, methods: tuple[MethodSpec, ...], budgets: tuple[int, ...]) -> tuple[tuple[str, str], ...]:
    known = {f"{method.name}@{budget}" for method in methods for budget in method.budgets or budgets}
    pairs = []
    for i, pair in enumerate(_typed("pairs", given, (list,))):
        if not isinstance(pair, list) or len(pair) != 2:
            raise InputError(f'pairs[{i}] is {pair!r}; expected two methods with budgets: ["field@500", "rise@8000"]')
        for one in pair:
            if one not in known:
                raise InputError(f"pairs[{i}] names {one!r}, which is not run; expected one of {sorted(known)}")
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)


def _check_keys(where: str, given: dict[str, Any], known: Any, needed: tuple[str, ...]) -> None:
    unknown = [] if known is None else [key for key in given if key not in known]
    if unknown:
        raise InputError(f"{where}{unknown[0]} is not known here; expected {', '.join(known)}")
    for key in needed:
        if key not in given:
            raise InputError(f"{where}{key} is missing")


def _tables(given: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = given[key]
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise InputError(f"{key} is {found!r:.60}; expected at least one [[{key}]]")
    return found


def _name(where: str, given: Any) -> str:
    if not isinstance(given, str) or not NAME.fullmatch(given):
        raise InputError(f"{where} is {given!r}; expected letters, digits and any of . + @ = - _")
    return given


def _typed(where: str, given: Any, types: tuple[type, ...]) -> Any:
    if not isinstance(given, types) or (isinstance(given, bool) and bool not in types):
        raise InputError(f"{where} is {given!r}; expected {' or '.join(one.__name__ for one in types)}")
    return given


def _count(where: str, given: Any, least: int = 1) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < least:
        raise InputError(f"{where} is {given!r}; expected a whole number, at least {least}")
    return given


def _counts(where: str, given: Any, least: int = 1) -> tuple[int, ...]:
    if not isinstance(given, list) or not given:
        raise InputError(f"{where} is {given!r}; expected a list of whole numbers")
    found = tuple(_count(f"{where}[{i}]", one, least) for i, one in enumerate(given))
    if len(set(found)) < len(found):
        raise InputError(f"{where} is {given!r}; expected each number once")
    return found
