"""Bytes on disk of the installed distribution diffrt_aot, by its own list of files."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from benchmarks.context import Context
from benchmarks.measure import Bar, Line, Result, number

LIMIT_MB = 8.0


def run(_: Context) -> Result:
    """All files and the largest ones; numpy is not counted."""
    result = Result("Installed size beside numpy")
    try:
        found = distribution("diffrt_aot")
    except PackageNotFoundError:
        result.skipped["diffrt_aot"] = "diffrt_aot is not installed"
        return result
    paths = {Path(str(found.locate_file(file))).resolve() for file in found.files or []}
    sizes = {path: path.stat().st_size for path in paths if path.is_file()}
    result.lines.append(Line(f"{len(sizes)} files", number([sum(sizes.values()) / 1e6]), "MB", Bar(LIMIT_MB)))
    if found.read_text("direct_url.json") and '"editable": true' in (found.read_text("direct_url.json") or ""):
        result.remarks.append("an editable install: most of its files are not in the list; measure a plain one")
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:3]
    result.remarks.append("largest: " + ", ".join(f"{path.name} {size / 1e6:.2f} MB" for path, size in largest))
    return result
