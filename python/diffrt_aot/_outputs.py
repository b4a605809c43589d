"""What the outputs mean: which are measured as lengths, their channels, and what a depth camera's image is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

#: What depth cameras measure: not averaged across an edge, above zero, and nothing where they saw nothing.
METRIC_OUTPUTS = ("distance", "depth")
_NORMAL_CHANNELS = 3


def channel_outputs(outputs: str | Sequence[str]) -> tuple[str, ...]:
    """Return the output that each channel of an image belongs to."""
    names = (outputs,) if isinstance(outputs, str) else tuple(outputs)
    return tuple(name for name in names for _ in range(_NORMAL_CHANNELS if name == "normal" else 1))


def suitable_boundary(outputs: Sequence[str], has_background: bool) -> Literal["exact", "none"]:
    """Return "none" for a depth camera's image, depths or distances and nothing beside the surfaces; else "exact"."""
    return "none" if not has_background and all(output in METRIC_OUTPUTS for output in outputs) else "exact"
