"""The findings as text: a table on the terminal (rich if it is installed), Markdown, or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.machine import Machine
from benchmarks.measure import Bar, Line, Number, Result

HEADER = ("what", "median", "10% to 90%", "bar", "met", "note")


def digits(value: float) -> str:
    """Three significant digits, no exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def amount(value: float, unit: str) -> str:
    """With its unit; ratios as 1.3x."""
    return f"{digits(value)}x" if unit == "x" else f"{digits(value)} {unit}"


def spread(value: Number) -> str:
    """Empty for a single sample."""
    return f"{digits(value.low)} to {digits(value.high)}" if value.count > 1 else ""


def bar_text(bar: Bar | None, unit: str) -> str:
    """At most or at least."""
    return "" if bar is None else f"{'>=' if bar.at_least else '<='} {amount(bar.limit, unit)}"


def cells(line: Line) -> tuple[str, ...]:
    """One line of the table, in the order of HEADER."""
    met = "" if line.bar is None else "NO" if line.missed else "yes"
    median = amount(line.value.median, line.unit)
    return line.what, median, spread(line.value), bar_text(line.bar, line.unit), met, line.note


def place(machine: Machine) -> str:
    """One paragraph."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions.items()))
    text = f"{machine.processor}, {machine.cores} cores, {machine.isa}; {machine.date}; {versions}"
    return text + (f". The machine was busy (load {machine.load:.1f}): provisional" if machine.busy else "")


def below(result: Result) -> list[str]:
    """What is said under the table."""
    said = result.remarks + [f"not measured: {name} ({reason})" for name, reason in result.skipped.items()]
    return said + ([f"FAILED: {result.failure}"] if result.failure else [])


def markdown(results: Sequence[Result], machine: Machine) -> str:
    """One section per benchmark."""
    parts = [place(machine) + "."]
    for result in results:
        parts.append(f"\n### {result.title}\n")
        if result.lines:
            rows = [HEADER, ("---",) * len(HEADER), *(cells(line) for line in result.lines)]
            parts += ["| " + " | ".join(row) + " |" for row in rows]
        if result.lines and below(result):
            parts.append("")
        parts += [f"- {remark}" for remark in below(result)]
    return "\n".join(parts)


def plain(results: Sequence[Result], machine: Machine) -> str:
    """Columns by spaces."""
    parts = [place(machine)]
    for result in results:
        rows = [HEADER, *(cells(line) for line in result.lines)] if result.lines else []
        widths = [max(len(row[k]) for row in rows) for k in range(len(HEADER))] if rows else []
        parts.append(f"\n{result.title}")
        parts += ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        parts += [f"  {remark}" for remark in below(result)]
    return "\n".join(parts)


def show(results: Sequence[Result], machine: Machine) -> None:
    """To the terminal; plain columns where it is a file or a pipe, or rich is not installed."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        return print(plain(results, machine))
    if not sys.stdout.isatty():
        return print(plain(results, machine))
    console = Console(highlight=False)
    console.print(place(machine), markup=False)
    for result in results:
        table = Table(*HEADER, title=result.title, title_justify="left", title_style="bold")
        for line in result.lines:
            *rest, met, note = cells(line)
            table.add_row(*rest, {"yes": "[green]yes[/]", "NO": "[bold red]NO[/]"}.get(met, ""), note)
        if result.lines:
            console.print(table)
        else:
            console.print(result.title, style="bold", markup=False)
        for remark in below(result):
            console.print(f"  {remark}", markup=False)


def to_json(results: Sequence[Result], machine: Machine) -> str:
    """Everything, for machines."""
    return json.dumps({"machine": asdict(machine), "results": [asdict(r) for r in results]}, indent=2) + "\n"
