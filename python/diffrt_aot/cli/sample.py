"""`diffrt-aot sample`: copy out a scene, a mesh and a depth image to begin with."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from diffrt_aot.errors import InvalidValueError

NAME = "sample"
FOLDER = Path(__file__).resolve().parents[1] / "sample"


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        NAME,
        help="copy out a scene, a mesh and a depth image to try `fit` on",
        description="Copy out a scene file, the mesh of a toy truck and a depth image of it, to try `fit` on.",
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("sample"), metavar="DIR", help="where to (default: sample)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Copy the files, and say what to do with them."""
    folder: Path = arguments.folder
    sources = sorted(FOLDER.iterdir())
    for source in sources:
        target = folder / source.name
        if target.exists() and target.read_bytes() != source.read_bytes():
            raise InvalidValueError(
                f"{target} exists and is another file; choose another folder, diffrt-aot sample DIR"
            )
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        shutil.copyfile(source, folder / source.name)
        print(f"wrote {folder / source.name}")
    print(f"\nnow: diffrt-aot fit {folder / 'truck.toml'} --observed {folder / 'depth.png'}")
    return 0
