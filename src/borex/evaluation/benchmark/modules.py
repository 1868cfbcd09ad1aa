"""Functions of the user's own, by the name of their module: "module:function"."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from borex.errors import InputError

_folders: set[Path] = set()  # in which modules were looked for


def find_function(spelled: str, folder: Path) -> Callable[..., Any]:
    """The function that "module:function" names, the module looked for in `folder` first.

    A module that lies there is taken, whatever of its name was loaded from the folder of another benchmark. Raises
    InputError where there is none, where it has the name of one of Python's or of a loaded package, and for whatever
    its import raises.
    """
    name, _, function = spelled.partition(":")
    try:
        module = _module(name, folder.resolve())
    except InputError:
        raise
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
    others = _folders - {folder}
    _folders.add(folder)
    for top in {one.partition(".")[0] for one in sys.modules} if others else ():
        # Of another benchmark: a module here may import one of the same name, too.
        if (_is_there(top, folder) or (folder / top).is_dir()) and any(_is_of(top, other) for other in others):
            for one in [one for one in sys.modules if one.partition(".")[0] == top]:
                del sys.modules[one]
    top = name.partition(".")[0]
    is_taken = top in sys.stdlib_module_names or top in sys.modules
    if is_taken and _is_there(name, folder) and not _is_of(top, folder):
        raise InputError(f"the module {name!r} in {folder} has the name of another one, {top!r}. Rename it")
    return importlib.import_module(name)


def _is_there(name: str, folder: Path) -> bool:
    path = folder.joinpath(*name.split("."))
    return path.with_name(f"{path.name}.py").is_file() or (path / "__init__.py").is_file()


def _is_of(top: str, folder: Path) -> bool:
    """Whether the module or package that is loaded under a name came from a folder."""
    module = sys.modules.get(top)
    file, places = getattr(module, "__file__", None), getattr(module, "__path__", ())
    return str(folder / top) in places or (file is not None and Path(file).resolve() == folder / f"{top}.py")
