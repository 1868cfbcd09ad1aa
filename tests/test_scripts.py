"""The scripts under benchmarks/: what they import is there. What they do takes minutes, and is run by hand."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS, EXAMPLES = ROOT / "benchmarks", ROOT / "examples"
OWN = {"borex", *(path.stem for folder in (BENCHMARKS, EXAMPLES) for path in folder.glob("*.py")), "rivals"}


def imported(script: Path) -> set[tuple[str, str | None]]:
    """The modules that a script imports, and the names from each."""
    found: set[tuple[str, str | None]] = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, None) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {(node.module, alias.name) for alias in node.names}
    return found


def declared() -> set[str]:
    """The packages of every extra, as modules are spelled: some need not be installed."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    return {re.split(r"[^\w-]", package)[0].replace("-", "_") for extra in extras.values() for package in extra}


@pytest.mark.parametrize("script", sorted(BENCHMARKS.rglob("*.py")), ids=lambda path: path.name)
def test_what_a_script_imports_is_there(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for module, name in imported(script):
        package = module.split(".")[0]
        if package in OWN:
            found = importlib.import_module(module)
            assert name is None or hasattr(found, name) or find_spec(f"{module}.{name}"), f"{module} has no {name}"
        else:
            assert find_spec(package) or package in declared(), f"{module} is nowhere"
