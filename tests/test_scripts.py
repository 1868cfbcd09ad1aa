"""The scripts under benchmarks/: what they import is there. What they do takes minutes, and is run by hand."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(BENCHMARKS.rglob("*.py"))


def imported(script: Path) -> set[tuple[str, str | None]]:
    """The modules that a script imports, and the names from each."""
    found: set[tuple[str, str | None]] = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, None) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {(node.module, alias.name) for alias in node.names}
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(BENCHMARKS).as_posix())
def test_what_a_script_imports_of_this_project_is_there(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.syspath_prepend(str(BENCHMARKS.parent / "examples"))
    for module, name in imported(script):
        own = module.split(".")[0] == "borex" or (BENCHMARKS / f"{module.replace('.', '/')}.py").exists()
        spec = importlib.util.find_spec(module.split(".")[0])
        if spec is None:
            # Packages of the extra "bench" need not be installed; a module of our own that is gone is an error.
            text = (BENCHMARKS.parent / "pyproject.toml").read_text(encoding="utf-8")
            assert module.split(".")[0].replace("_", "-") in text.replace("_", "-"), module
        elif own and name is not None and name != "*":
            source = importlib.util.find_spec(module)
            assert source is not None, module
            assert source.origin is not None
            is_module = importlib.util.find_spec(f"{module}.{name}") if source.submodule_search_locations else None
            text = Path(source.origin).read_text(encoding="utf-8")
            assert is_module is not None or name in text, f"{module} has no {name}"
