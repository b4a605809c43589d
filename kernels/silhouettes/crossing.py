"""What all silhouettes have in common: the result, and the sides of a pixel."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Crossing:
    """The part of a pixel that the surface in front covers. Any numbers; where nothing crosses, area is 0 or 1.

    Attributes:
        area: coverage, 0 to 1.
        moment: (x, y) integrated over the part [px].
        nodes: list of (x, y, weight) on the silhouette; see the package's docstring.
        edge_point: a point (x, y) of the silhouette, in the middle of its longest piece in the pixel.
        outward: unit normal (x, y) there, out of the part.
        longest: a measure of that piece's length; 0 where nothing crosses.
    """

    area: Any
    moment: tuple
    nodes: list
    edge_point: tuple
    outward: tuple
    longest: Any

    @property
    def numbers(self):
        """All of it, one after the other."""
        nodes = [number for node in self.nodes for number in node]
        return [self.area, *self.moment, *self.edge_point, *self.outward, self.longest, *nodes]

    @classmethod
    def of(cls, numbers):
        """The inverse of `numbers`."""
        area, mx, my, x, y, nx, ny, longest, *rest = numbers
        nodes = [tuple(rest[k : k + 3]) for k in range(0, len(rest), 3)]
        return cls(area, (mx, my), nodes, (x, y), (nx, ny), longest)


# The sides of a pixel as one walks around it, its inside on the left: middle, and direction.
SIDES = (((0.0, -0.5), (1.0, 0.0)), ((0.5, 0.0), (0.0, 1.0)), ((0.0, 0.5), (-1.0, 0.0)), ((-0.5, 0.0), (0.0, -1.0)))
