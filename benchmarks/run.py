"""All benchmarks in one go: python benchmarks/run.py [--only NAME] [--markdown] [--json out.json]

Ends with status 1 if a bar was missed or a benchmark broke.

Rivals that are not installed are left out, with the reason. Those in another environment are reached by
--peer-python.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report
from benchmarks.context import Context
from benchmarks.machine import machine
from benchmarks.measure import Result
from benchmarks.rows import ROWS
from benchmarks.scenes import default_data


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", choices=ROWS, metavar="NAME", help=f"one of {', '.join(ROWS)}; repeatable"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    parser.add_argument("--markdown", action="store_true", help="print Markdown instead of a table")
    parser.add_argument("--data", type=Path, default=default_data(), metavar="DIR", help="folder of the bottle's frame")
    parser.add_argument(
        "--peer-python", action="append", default=[], metavar="PYTHON", help="an interpreter that has rivals"
    )
    parser.add_argument("--cpp-bench", type=Path, metavar="PROGRAM", help="the C++ launch benchmark")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender (default 9)")
    return parser.parse_args()


def progress(names: list[str]) -> tuple[Callable[[str], None], Callable[[], None], Callable[[], None]]:
    """(say what is going on, one benchmark done, close), on stderr: a bar with tqdm, lines without."""
    try:
        from tqdm import tqdm
    except ImportError:
        return lambda text: print(text, file=sys.stderr), lambda: None, lambda: None
    bar = tqdm(total=len(names), unit="benchmark", bar_format="{n_fmt}/{total_fmt} [{elapsed}] {desc}", leave=False)
    return bar.set_description_str, lambda: (bar.update(), None)[1], bar.close


def main() -> int:
    """Status 0; 1 if a benchmark broke or missed a bar; 130 after Ctrl-C, with those reported that were complete."""
    options = arguments()
    names = options.only or list(ROWS)
    here = machine()
    results: list[Result] = []
    say, done, close = progress(names)
    interrupted = False
    try:
        for name in names:
            context = Context(
                data=options.data,
                peers=options.peer_python,
                cpp_bench=options.cpp_bench,
                rounds=options.rounds,
                say=lambda text, name=name: say(f"{name}: {text}"),
            )
            try:
                results.append(ROWS[name](context))
            except Exception as error:  # one that breaks must not cost the others
                results.append(Result(name, failure=f"{type(error).__name__}: {error}"))
            here.versions |= results[-1].versions
            done()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        close()
    if options.markdown:
        print(report.markdown(results, here))
    else:
        report.show(results, here)
    if options.json:
        options.json.write_text(report.to_json(results, here))
    if interrupted:
        print(f"interrupted: {len(results)} of {len(names)} benchmarks are complete", file=sys.stderr)
    for result in results:
        for line in result.lines:
            if line.missed:
                print(f"missed: {result.title}: {line.what}", file=sys.stderr)
    return 130 if interrupted else int(any(result.failed for result in results))


if __name__ == "__main__":
    sys.exit(main())
