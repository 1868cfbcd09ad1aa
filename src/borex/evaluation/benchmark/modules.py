"""Functions of the user's own, by the name of their module: "module:function"."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any
from zlib import crc32

from borex.errors import InputError

_folders: set[Path] = set()  # in which modules were looked for


def find_function(spelled: str, folder: Path) -> Callable[..., Any]:
    """The function that "module:function" names, the module looked for in `folder` first.

    A module that lies there is taken, whatever of its name is installed or was loaded from another folder. Raises
    InputError where there is none, and for whatever its import raises.
    """
    name, _, function = spelled.partition(":")
    try:
        module = _module(name, folder.resolve())
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise InputError(f"{spelled!r}: there is no module {name!r}, neither in {folder} nor installed") from error
        raise InputError(f"{spelled!r} needs the package {error.name!r}, which is not installed") from error
    except (Exception, SystemExit) as error:
        raise InputError(f"{spelled!r} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, function):
        raise InputError(f"{spelled!r}: the module {name!r} has no {function!r}")
    found: Any = getattr(module, function)
    if not callable(found):
        raise InputError(f"{spelled!r} is no function")
    return found


def _module(name: str, folder: Path) -> ModuleType:
    sys.path[:] = [str(folder), *(one for one in sys.path if one != str(folder))]
    importlib.invalidate_caches()
    _folders.add(folder)
    for top in {one.partition(".")[0] for one in sys.modules}:
        # Of another benchmark: a module here may import one of the same name, too.
        if (_is_there(top, folder) or (folder / top).is_dir()) and any(
            _is_of(top, other) for other in _folders - {folder}
        ):
            for one in [one for one in sys.modules if one.partition(".")[0] == top]:
                del sys.modules[one]
    top = name.partition(".")[0]
    is_taken = top in sys.stdlib_module_names or top in sys.modules
    return _apart(name, folder) if is_taken and _is_there(name, folder) and not _is_of(top, folder) else (
        importlib.import_module(name)
    )  # fmt: skip


def _is_there(name: str, folder: Path) -> bool:
    path = folder.joinpath(*name.split("."))
    return path.with_name(f"{path.name}.py").is_file() or (path / "__init__.py").is_file()


def _is_of(top: str, folder: Path) -> bool:
    """Whether the module or package that is loaded under a name came from a folder."""
    module = sys.modules.get(top)
    file, places = getattr(module, "__file__", None), getattr(module, "__path__", ())
    return str(folder / top) in places or (file is not None and Path(file).resolve() == folder / f"{top}.py")


def _apart(name: str, folder: Path) -> ModuleType:
    """A module beside one of the same name that others go on using, such as the standard library's."""
    top, dot, rest = name.partition(".")
    own = f"_{crc32(str(folder).encode()):08x}_{top}"
    if own not in sys.modules:
        file = folder / top / "__init__.py" if (folder / top / "__init__.py").is_file() else folder / f"{top}.py"
        spec = spec_from_file_location(own, file) if file.is_file() else ModuleSpec(own, None, is_package=True)
        assert spec is not None
        if not file.is_file():  # a folder without a file of its own
            spec.submodule_search_locations = [str(folder / top)]
        sys.modules[own] = module_from_spec(spec)
        try:
            if spec.loader is not None:
                spec.loader.exec_module(sys.modules[own])
        except BaseException:
            del sys.modules[own]
            raise
    return importlib.import_module(own + dot + rest)
