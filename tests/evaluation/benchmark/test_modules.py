"""Modules are looked for beside the file first, and what is wrong with them is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from borex.errors import InputError
from borex.evaluation.benchmark import modules
from borex.evaluation.benchmark.modules import find_function


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """What a test loads is not loaded for the next one."""
    path, loaded, folders = list(sys.path), dict(sys.modules), set(modules._folders)
    yield
    sys.path[:] = path
    sys.modules.clear()
    sys.modules.update(loaded)
    modules._folders.clear()
    modules._folders.update(folders)


def folders(tmp_path: Path, file: str, text: str) -> list[Path]:
    """Two folders with a file each, in which NAME is "a" or "b"."""
    for name in ("a", "b"):
        path = tmp_path / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("NAME", repr(name)))
    return [tmp_path / "a", tmp_path / "b"]


@pytest.mark.parametrize(("file", "module"), [("mine.py", "mine"), ("pack/mine.py", "pack.mine")])
@pytest.mark.parametrize("is_package", [False, True])
def test_each_folder_has_its_own_module(tmp_path: Path, file: str, module: str, is_package: bool) -> None:
    both = folders(tmp_path, file, "import helper_of_mine\ndef who():\n    return helper_of_mine.WHO + NAME\n")
    folders(tmp_path, "helper_of_mine.py", "WHO = NAME\n")
    if is_package:
        folders(tmp_path, "pack/__init__.py", "")
    for folder in (*both, *both):
        assert find_function(f"{module}:who", folder)() == 2 * folder.name


def test_a_module_is_loaded_once(tmp_path: Path) -> None:
    first, _ = folders(tmp_path, "mine.py", "def who():\n    return NAME\n")
    assert find_function("mine:who", first) is find_function("mine:who", first)


@pytest.mark.parametrize("file", ["random.py", "math.py", "statistics.py", "pytest.py", "json/mine.py"])
def test_a_module_with_the_name_of_another_is_refused(tmp_path: Path, file: str) -> None:
    first, _ = folders(tmp_path, file, "def who():\n    return NAME\n")
    name = file.removesuffix(".py").replace("/", ".")
    before = dict(sys.modules)
    with pytest.raises(InputError, match=f"the module '{name}' in .* has the name of another one, .* Rename it"):
        find_function(f"{name}:who", first)
    assert sys.modules == before
    assert find_function("json:dumps", tmp_path)({}) == "{}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import need", "'needy:f' needs the package 'need', which is not installed"),
        ("import numpy\nnumpy.nothing_such", "'needy:f' cannot be imported: AttributeError: .*nothing_such"),
        ("from numpy import nothing_such", "'needy:f' cannot be imported: ImportError: .*nothing_such"),
        ("def f(:", "'needy:f' cannot be imported: SyntaxError: .*needy.py, line 1"),
        ("raise SystemExit('bye')", "'needy:f' cannot be imported: SystemExit: bye"),
        ("def __getattr__(name):\n    raise AttributeError(name)", "the module 'needy' has no 'f'"),
        ("f = 3", "'needy:f' is no function"),
    ],
)
def test_what_is_wrong_with_a_module_is_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "needy.py").write_text(text + "\n")
    with pytest.raises(InputError, match=said):
        find_function("needy:f", tmp_path)


@pytest.mark.parametrize("name", ["absent_module", "absent_module.part", "borex.absent_module"])
def test_only_a_module_that_is_not_there_is_said_not_to_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"there is no module '{name}', neither in .* nor installed"):
        find_function(f"{name}:f", tmp_path)
