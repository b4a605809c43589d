"""--device, of the commands that render."""

from __future__ import annotations

import argparse
from typing import Any


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="what does the work: cpu (the default), cuda, cuda:1, vulkan or auto; `diffrt-aot info` lists them",
    )


def device_argument(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the option means to `Renderer`."""
    return {} if arguments.device is None else {"device": arguments.device}
