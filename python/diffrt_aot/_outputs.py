"""What the outputs mean: which are measured as lengths, their channels, and what a depth camera's image is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Literal

from ._arguments import describe
from .errors import InvalidTypeError, InvalidValueError, unknown_name

OUTPUTS = ("distance", "depth", "mask", "normal", "shade")
#: What depth cameras measure: not averaged across an edge, above zero, and nothing where they saw nothing.
METRIC_OUTPUTS = ("distance", "depth")
_NORMAL_CHANNELS = 3
_MOST = 2 * len(OUTPUTS)  # more than can be: each at most once


def output_names(output: str | Sequence[str]) -> tuple[str, ...]:
    """Return the argument `output`, a name or several, as a tuple of valid names."""
    try:
        names: tuple[Any, ...] = (output,) if isinstance(output, str) else tuple(islice(output, _MOST))
    except TypeError:
        names = (output,)
    if not all(isinstance(name, str) for name in names):
        raise InvalidTypeError(f"output: must be a name or a list of names, got {describe(output)}")
    if not names:
        raise InvalidValueError(f"output: is empty; name at least one of {', '.join(OUTPUTS)}")
    for name in names:
        if name not in OUTPUTS:
            raise unknown_name("name", name, OUTPUTS, where="output: ")
    return names


def channel_outputs(outputs: str | Sequence[str]) -> tuple[str, ...]:
    """Return the output that each channel of an image belongs to."""
    names = (outputs,) if isinstance(outputs, str) else tuple(outputs)
    return tuple(name for name in names for _ in range(_NORMAL_CHANNELS if name == "normal" else 1))


def suitable_boundary(outputs: Sequence[str], has_background: bool) -> Literal["exact", "none"]:
    """Return "none" for a depth camera's image, depths or distances and nothing beside the surfaces; else "exact"."""
    return "none" if not has_background and all(output in METRIC_OUTPUTS for output in outputs) else "exact"
