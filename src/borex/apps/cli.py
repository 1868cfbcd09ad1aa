"""The command `borex`: one line for every error, an exit code for every kind of it.

    0    done
    1    the model failed, or nobody reads the result
    2    a value or a file given by the user cannot be used, a result cannot be written, or an extra is missing
    130  interrupted by Ctrl-C

The commands themselves are in `commands.py`, which needs typer (extra "cli").
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from borex import __version__
from borex.errors import BorexError, MissingExtraError, ModelError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; `arguments`: those after the program's name, None: the process's."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for name in ("stdout", "stderr"):  # of a closed one the next open file has the number, and gets what C code prints
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  it stays open
    if arguments == ["--version"]:  # the one answer that needs no typer
        print(f"borex {__version__}")
        return 0
    for stream in (sys.stdout, sys.stderr):  # the names of files need not be UTF-8
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(arguments or ["--help"])
        sys.stdout.flush()
    except ModelError as error:
        return _failed(error, 1)
    except BorexError as error:
        return _failed(error, 2)
    except MemoryError as error:
        said = f": {error}" if str(error) else ""
        return _failed(f"out of memory{said}. Take smaller media, or fewer frames", 2)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        _let_go()
        return 1
    except OSError as error:  # what no command foresaw, such as a full disk behind stdout
        _let_go()
        place = "" if error.filename is None else f" {error.filename}"
        return _failed(f"cannot read or write{place}: {error.strerror or error}. Choose another path", 2)
    return _failed("interrupted", code) if code == INTERRUPTED else code


def _run(arguments: list[str]) -> int:
    try:
        import typer
    except ImportError as error:
        raise MissingExtraError("the command line", "typer", "cli") from error
    from borex.apps.commands import app

    usage_error: Any = typer.BadParameter.__bases__[0]  # typer exports no name for it
    try:
        code = app(args=arguments, prog_name="borex", standalone_mode=False)
    except typer.Abort as error:  # Ctrl-C, in some versions
        raise KeyboardInterrupt from error
    except usage_error as error:
        command = error.ctx.command_path if error.ctx else "borex"
        return _failed(f"{error.format_message().rstrip('.')}; see {command} --help", 2)
    return code if isinstance(code, int) else 0


def _let_go() -> None:
    """Drops output that cannot be written: Python would try, and complain, once more at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(what: object, code: int) -> int:
    print("borex:", " ".join(str(what).split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
