"""Boundary rules: what a pixel shows that a silhouette crosses, and its row of J.

A rule is a function of a `Boundary`, whose numbers are Duals: it returns the pixel's value, and AD gives its row. It
is called for each channel. `Dual(value, partials)` can be built by hand where the row shall be another.

    >>> from kernels.numbers import Dual
    >>> blend(Boundary(inside=Dual(5.0, {"z": 1.0}), outside=0.0, area=Dual(0.25, {"x": 2.0})))
    Dual(1.25, {'x': 10.0, 'z': 0.25})

The compiled kernels know the rules in RULES by name; each is compiled from its function here. `none` is not among
them: it leaves the pixel as its centre sees it.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Boundary:
    """One channel of a pixel that a silhouette crosses.

    Attributes:
        inside: value on the surface in front, over the part that it covers, with partials.
        outside: value of what is behind, over the rest, with partials.
        area: the covered part of the pixel, 0 to 1. Its partials are the normal velocity of the silhouette [px per
            unit of the parameter], outward, integrated over its length in the pixel.
        length: of the silhouette in the pixel [px]; area.partials / length is the mean normal velocity.
        front, behind: names of the shapes on either side; None is the background.
        output: name of the output.
    """

    inside: Any
    outside: Any
    area: Any
    length: Any = None
    front: str | None = None
    behind: str | None = None
    output: str | None = None


def blend(boundary):
    """The integral over the pixel: area f_in + (1 - area) f_out, whose row has the term (f_in - f_out) nu."""
    return boundary.area * boundary.inside + (1.0 - boundary.area) * boundary.outside


def foreground(boundary):
    """What the surface in front shows, with no boundary term: edges as of a camera that prefers what is near."""
    return boundary.inside


RULES = (blend, foreground)
