"""What the outputs mean: which are measured as lengths, their channels, and what a depth camera's image is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from . import _core
from ._arguments import compiled_model, describe
from .errors import InvalidTypeError, InvalidValueError, unknown_name

if TYPE_CHECKING:
    from .compiled_model import CompiledModel

OUTPUTS = ("distance", "depth", "mask", "normal", "shade")
#: What depth cameras measure: not averaged across an edge, above zero, and nothing where they saw nothing.
METRIC_OUTPUTS = ("distance", "depth")
_NORMAL_CHANNELS = 3
_MOST = 100  # more than can be


@dataclass(frozen=True)
class Shown:
    """The outputs of a renderer, one's own among them.

    given: names, and models
    names: of each
    core: as the core takes them
    channels: of each channel of an image, the name of its output
    """

    given: tuple[str | CompiledModel, ...]
    names: tuple[str, ...]
    core: list[str | _core.Model]
    channels: tuple[str, ...]


def shown_outputs(output: Any) -> Shown:
    """Return what the argument `output` of a renderer says: a name or a compiled model, or several of them."""
    alone = isinstance(output, str) or compiled_model("output", output) is not None
    try:
        given: tuple[Any, ...] = (output,) if alone else tuple(islice(output, _MOST))
    except TypeError:
        given = output_names(output)  # which says what is wrong
    models = [compiled_model("output", each) for each in given]
    if all(model is None for model in models):
        names = output_names(given)
        return Shown(names, names, list(names), channel_outputs(names))
    names = tuple(model.name if model else each for each, model in zip(given, models, strict=True))
    channels: list[str] = []
    for name, model in zip(names, models, strict=True):
        if model is None:
            channels += channel_outputs(output_names(name))
        elif name in OUTPUTS:
            raise InvalidValueError(f"output: a model is named {name!r}, as what is built in; give it another name")
        else:
            channels += [name] * math.prod(model.output_shape)
    if len(given) == _MOST:
        raise InvalidValueError(f"output: has {_MOST} entries or more; a renderer shows fewer")
    core = [model or each for each, model in zip(given, models, strict=True)]
    return Shown(given, names, core, tuple(channels))


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
