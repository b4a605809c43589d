"""The command line: `diffrt-aot demo | sample | fit | compile | info`.

Results go to standard output; progress, notes, warnings and errors to standard error. Exit codes: 0 done; 1 the fit
has no answer, or its lengths are in different units (the report says why); 2 an error, told in one line, without a
traceback unless --traceback asks for it; 130 interrupted, and what was fitted so far is written.

To add a command: a module here with `add_parser(subparsers)`, which sets `run` to a function from the parsed
arguments to an exit code, and its name in `_COMMANDS`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from diffrt_aot.errors import DeviceError

from . import compile, demo, fit, info, sample

_COMMANDS = (demo, sample, fit, compile, info)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (the process's own by default) and return its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("diffrt-aot: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, head for instance, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if arguments.traceback:
            raise
        print(f"diffrt-aot: error: {_one_line(error)}", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """Errors in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"diffrt-aot: error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="diffrt-aot",
        description="Fit scenes to images, by a renderer that returns Jacobians; compile models of your own.",
        epilog="diffrt-aot COMMAND --help tells more about a command.",
    )
    parser.add_argument("--version", action=_Version, help="print the version and leave")
    parser.add_argument("--traceback", action="store_true", help="show where in the program an error arose")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=_Parser)
    for module in _COMMANDS:
        module.add_parser(subparsers)
    return parser


class _Version(argparse.Action):
    """Prints the version; looks it up only when asked."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from diffrt_aot import __version__

        print(f"diffrt-aot {__version__}")
        parser.exit()


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    expected = isinstance(error, (ValueError, TypeError, OSError, ImportError, DeviceError))
    return text if expected and text else f"{type(error).__name__}: {text} (--traceback shows where)"
