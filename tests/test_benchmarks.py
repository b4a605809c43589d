"""The benchmarks' machinery: rows are there and listed, bars are reported, and a missed one is a status of 1."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import run as command
from benchmarks.measure import Bar, Line, Result, number
from benchmarks.rows import ROWS

README = Path(__file__).resolve().parents[1] / "benchmarks" / "README.md"


def test_every_row_is_listed() -> None:
    listed = next(line for line in README.read_text().splitlines() if "# some:" in line).split("# some:")[1].split()
    assert listed == list(ROWS)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([Line("quick", number([1.2]), "x", Bar(1.3)), Line("no bar", number([9.0]), "x")], 0),
        ([Line("quick", number([1.2]), "x", Bar(1.3)), Line("slow", number([1.4]), "x", Bar(1.3))], 1),
        ([Line("too little", number([14.0]), "x", Bar(15.0, at_least=True))], 1),
        ([Line("no step was taken", number([float("nan")]), "ms", Bar(5.0))], 1),
    ],
    ids=["met", "over", "under", "nan"],
)
def test_a_missed_bar_is_a_status(
    lines: list[Line], status: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(ROWS, "fake", lambda _: Result("A row", lines))
    monkeypatch.setattr(sys, "argv", ["run.py", "--only", "fake"])
    assert command.main() == status
    printed = capfd.readouterr()
    assert (" NO" in printed.out) == bool(status)
    assert ("missed: A row: " + lines[-1].what in printed.err) == bool(status)


def test_a_row_that_breaks_is_a_status(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def broken(_: object) -> Result:
        raise ValueError("it broke")

    monkeypatch.setitem(ROWS, "fake", broken)
    monkeypatch.setattr(sys, "argv", ["run.py", "--only", "fake"])
    assert command.main() == 1
    assert "FAILED: ValueError: it broke" in capfd.readouterr().out
