"""`diffrt-aot compile`: compile the models of Python files into one file, which programs load."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from diffrt_aot._arguments import path_argument
from diffrt_aot.errors import InvalidValueError, ModelError, unknown_name

if TYPE_CHECKING:
    from diffrt_aot.model import Model, Program

NAME = "compile"


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        NAME,
        help="compile models of your own, Python functions, into a file",
        description="Compile every function under @model in Python files. The files are run, as by `import`. What "
        "comes out is loaded by diffrt_aot.load and diffrt::Module::load, without a compiler.",
    )
    add = parser.add_argument
    add("sources", nargs="+", type=Path, metavar="MODELS.py", help="files with models")
    add("-o", "--output", type=Path, metavar="FILE.dra", help="what to write (default: MODELS.dra, here)")
    add(
        "--targets",
        type=lambda text: text.split(","),
        metavar="NAMES",
        help="for what, of x64, cuda and vulkan, separated by commas (default: all)",
    )
    add("--model", action="append", metavar="NAME", help="only this model; several by several --model")
    add("--no-cache", dest="cache", action="store_false", help="compile also what has been compiled before")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compile, write the file, and report what is in it."""
    from diffrt_aot.model import compile as compiling
    from diffrt_aot.model import module_file

    began = time.perf_counter()
    targets = compiling.check_targets(arguments.targets)
    if targets != ("vulkan",):
        compiling.check_llvmlite()
    sources = [path_argument(source) for source in arguments.sources]
    output = path_argument(arguments.output or Path(sources[0].stem + ".dra"))
    _check_output(output)
    programs = _programs(sources, arguments.model)
    data = compiling.compile_programs(programs, targets, cache=arguments.cache)
    _write(output, data)
    for warning in (text for program in programs for text in program.warnings):
        print(f"diffrt-aot: warning: {warning}", file=sys.stderr)
    seconds = time.perf_counter() - began
    print(f"wrote {output}: {_count(len(programs), 'model')}, {len(data):,} bytes, {seconds:.2f} s")
    width = max(len(program.name) for program in programs)
    for program in programs:
        print(f"  {program.name:{width}}  {_summary(program)}")
    for name, size in module_file.sections(data).items():
        print(f"  {name:{width}}  {size:,} bytes")
    return 0


def _programs(sources: Sequence[Path], names: Sequence[str] | None) -> list[Program]:
    """Return the models in files, traced: all, or those named."""
    known, programs = [], []
    for source in sources:
        with _beside(source):
            models = _models(source)
            if not models and len(sources) > 1:
                print(f"diffrt-aot: note: {source}: has no model", file=sys.stderr)
            known += [model.name for model in models]
            programs += [model.trace() for model in models if names is None or model.name in names]
    if not known:
        files = ", ".join(map(str, sources))
        raise InvalidValueError(f"{files}: has no model: write @model, of diffrt_aot.model, above a function")
    for name in names or ():
        if name not in known:
            raise unknown_name("model", name, known, where=f"{', '.join(map(str, sources))}: ")
    return programs


@contextmanager
def _beside(source: Path) -> Iterator[None]:
    """Meanwhile modules beside the file can be imported; the next file may have others of the same names."""
    folder, before = str(source.parent.resolve()), set(sys.modules)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name in set(sys.modules) - before:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(folder + os.sep):
                del sys.modules[name]


def _models(source: Path) -> list[Model]:
    """Run a file, and return the models that it defines, in its order; those that it imports are another file's."""
    from diffrt_aot.model import Model

    try:
        text = source.read_bytes()
    except OSError as error:
        raise InvalidValueError(f"{source}: {error.strerror or error}") from error
    module = ModuleType(f"models_of_{source.stem}")
    module.__file__ = str(source.resolve())
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, str(source), "exec", dont_inherit=True), module.__dict__)
    except ModelError:
        raise
    except (Exception, SystemExit) as error:
        raise InvalidValueError(_at_its_line(source, error)) from error
    found = {id(x): x for x in vars(module).values() if isinstance(x, Model) and x.__module__ == module.__name__}
    return list(found.values())


def _at_its_line(source: Path, error: BaseException) -> str:
    """What went wrong in the user's file, and where in it."""
    if isinstance(error, SyntaxError):
        return f"{error.filename or source}:{error.lineno or 0}: {type(error).__name__}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(source)]
    place = f"{source}:{lines[-1]}" if lines else f"{source}"
    return f"{place}: {type(error).__name__}: {error}"


def _check_output(output: Path) -> None:
    """A mistake must not cost a file that is something else."""
    if output.is_dir():
        raise InvalidValueError(f"--output {output}: is a folder; name a file, {output / 'models.dra'}")
    if not output.parent.is_dir():
        raise InvalidValueError(f"--output {output}: there is no folder {output.parent}")
    if output.is_file():
        from diffrt_aot.model.module_file import MAGIC

        with output.open("rb") as file:
            begin = file.read(len(MAGIC))
        if begin and begin != MAGIC:
            raise InvalidValueError(f"--output {output}: exists and is no file of compiled models; name another")


def _write(output: Path, data: bytes) -> None:
    """In one step: whoever loads the file meanwhile sees the old one or the new one."""
    if output.exists() and not output.is_file():  # /dev/null, say
        output.write_bytes(data)
        return
    handle, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name[:64]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, output)
    except BaseException:
        os.unlink(name)
        raise


def _summary(program: Program) -> str:
    outputs = _count(len(program.outputs), "output")
    columns = len({slot for row in program.rows for slot in row})
    return f"{outputs}, {_count(columns, 'column')}, {program.method} mode, {program.place}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
