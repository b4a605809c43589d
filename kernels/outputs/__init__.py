"""One file per output: what a pixel shows, from the hit of its ray, on any number.

Each output is a function (direction, z, normal) -> tuple of channels. `normal` is a function without arguments, so that
outputs that do not look at the normal do not pay for it. To add one, write its file and name it here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from kernels.outputs.depth import depth
from kernels.outputs.distance import distance
from kernels.outputs.mask import mask
from kernels.outputs.normal import normal
from kernels.outputs.shade import shade


@dataclass(frozen=True)
class Output:
    """An output: its name, its function, how many channels it has, and whether it looks at the normal, or at
    nothing.
    """

    name: str
    function: Callable
    channels: int = 1
    uses_normal: bool = False
    has_partials: bool = True


OUTPUTS = (
    Output("distance", distance),
    Output("depth", depth),
    Output("mask", mask, has_partials=False),
    Output("normal", normal, channels=3, uses_normal=True),
    Output("shade", shade, uses_normal=True),
)
