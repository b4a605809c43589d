"""`diffrt-aot info`: the version, and what the library found on this machine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

import diffrt_aot as dr

NAME = "info"


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        NAME,
        help="the version, and what was found on this machine",
        description="Print the version, the instruction set in use, the devices, and the build's versions.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print `diffrt_aot.info()`."""
    facts = dr.info()
    if arguments.json:
        print(json.dumps(facts, indent=2, default=str))
    else:
        print("\n".join(_lines(facts)))
    return 0


def _lines(facts: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        label = name.replace("_", " ")
        if isinstance(value, Mapping):
            yield f"{indent}{label}"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{label:{width}}  {_text(value)}"


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value)
