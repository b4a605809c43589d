"""A pixel and a piece of a straight silhouette edge.

The silhouette of a mesh in a pixel is one or more chains of such pieces, each entering and leaving the pixel at its
border, or closed. By Green's theorem the area on the left of them all is the sum, over the pieces from p to q, of (p x
q) / 2, plus the pixel's border from each exit around to the next entry, which is b/4 for a piece of length b. So with
the border coordinate b in [0, 4) the area is, modulo 1,

    sum of (p x q)/2 + b(p)/4 - b(q)/4,    a border term only where the piece begins or ends at the border,

a sum over pieces that need not know one another. First moments likewise, and they need no modulus.
"""

from dataclasses import dataclass
from typing import Any

from kernels.numbers import absolute, maximum, minimum, sqrt, where
from kernels.silhouettes.conic import GAUSS, triangle_moments

# An end [px] as near as this to the pixel's border lies on it: all edges at a vertex agree on that, whatever is
# rounded.
ON_BORDER = 1e-5
# Of an edge that ends about as near as this to a pixel's border, outside, what is left within the pixel [px] may be
# rounding; and so may be a chain of edges that is as short as this.
NICK = 1e-4
# A direction this near to one of the axes is along it.
PARALLEL = 1e-6


@dataclass(frozen=True)
class Piece:
    """A piece of an edge inside a pixel; all terms are 0 where the edge misses it.

    Attributes:
        area: its term in the area, to be summed modulo 1.
        moment: (x, y), its terms in the first moments.
        nodes: two (x, y, weight), as in Crossing.
        length: of the piece [px].
        middle: (x, y).
        outward: unit normal (x, y), out of the covered side.
        cut: whether (start, end) lie on the pixel's border; else they are ends of the edge, inside it.
    """

    area: Any
    moment: tuple
    nodes: list
    length: Any
    middle: tuple
    outward: tuple
    cut: tuple


def cross_edge(value, gradient, a, b):
    """The piece in a pixel of the edge between the image points a and b, which lie on the line q = 0.

    q = value + gradient . (x, y) is positive on the covered side. The line is taken from q, the ends from a and b: so
    an end may lie far away, or be known to few digits.
    """
    gx, gy = gradient
    steepness = sqrt(gx * gx + gy * gy)
    inverse = 1.0 / where(steepness > 0.0, steepness, 1.0)
    nx, ny = gx * inverse, gy * inverse  # into the covered side, which is on the left of t
    tx, ty = ny, -nx
    offset = value * inverse
    x0, y0 = -offset * nx, -offset * ny  # the line's point nearest to the pixel's centre
    first, last = a[0] * tx + a[1] * ty, b[0] * tx + b[1] * ty
    reach_a, reach_b = maximum(absolute(a[0]), absolute(a[1])), maximum(absolute(b[0]), absolute(b[1]))
    swapped = first > last
    cut_start = where(swapped, reach_b, reach_a) > 0.5 - ON_BORDER
    cut_end = where(swapped, reach_a, reach_b) > 0.5 - ON_BORDER
    first, last = minimum(first, last), maximum(first, last)
    low_x, high_x = _between(x0, tx, a[0])
    low_y, high_y = _between(y0, ty, a[1])
    low, high = maximum(low_x, low_y), minimum(high_x, high_y)
    start, end = maximum(low, first), minimum(high, last)
    # Such a nick has no area, and its line, which goes on, would say that the pixel's centre is covered.
    ends_on_border = cut_start & cut_end & (minimum(reach_a, reach_b) < 0.5 + NICK)
    there = (end - start > where(ends_on_border, NICK, 0.0)) & (steepness > 0.0)
    start, end = where(there, start, 0.0), where(there, end, 0.0)
    p, q = (x0 + start * tx, y0 + start * ty), (x0 + end * tx, y0 + end * ty)
    area, moment_x, moment_y = triangle_moments(p, q)
    for point, on_border, sign in ((p, cut_start & there, 1.0), (q, cut_end & there, -1.0)):
        border = _border(*point)
        area, moment_x, moment_y = (
            total + where(on_border, sign * term, 0.0)
            for total, term in zip((area, moment_x, moment_y), border, strict=True)
        )
    area, moment_x, moment_y = (where(there, x, 0.0) for x in (area, moment_x, moment_y))
    length = end - start
    weight = 0.5 * length * inverse
    middle = (0.5 * (p[0] + q[0]), 0.5 * (p[1] + q[1]))
    nodes = [(middle[0] + g * length * tx, middle[1] + g * length * ty, weight) for g in (-GAUSS, GAUSS)]
    return Piece(area, (moment_x, moment_y), nodes, length, middle, (-nx, -ny), (cut_start & there, cut_end & there))


def _between(x0, t, end):
    """(low, high) of s with -1/2 <= x0 + s t < 1/2.

    A line along the border belongs to the pixel on its right. That is read from one of its ends: of x0 the pixels on
    both sides have different roundings.
    """
    along = absolute(t) < PARALLEL
    inverse = 1.0 / where(along, 1.0, t)
    at_low, at_high = (-0.5 - x0) * inverse, (0.5 - x0) * inverse
    outside = where((end >= -0.5) & (end < 0.5), 0.0, 1.0)
    far = 1e6 - 2e6 * outside
    return where(along, -far, minimum(at_low, at_high)), where(along, far, maximum(at_low, at_high))


def _border(x, y):
    """(b / 4, and the antiderivatives of both first moments) at a point of the border; b runs from (-1/2, -1/2) on."""
    flat = absolute(y) >= absolute(x)
    bottom, right = flat & (y < 0.0), x > 0.0
    length = where(bottom, x + 0.5, where(flat, 2.5 - x, where(right, 1.5 + y, 3.5 - y)))
    moment_x = where(
        flat,
        where(bottom, 0.5 * (x * x - 0.25), 0.5 + 0.5 * (0.25 - x * x)),
        where(right, 0.5 * (y + 0.5), 0.5 - 0.5 * (0.5 - y)),
    )
    moment_y = where(
        flat,
        where(bottom, -0.5 * (x + 0.5), -0.5 + 0.5 * (0.5 - x)),
        where(right, -0.5 + 0.5 * (y * y - 0.25), 0.5 * (0.25 - y * y)),
    )
    return 0.25 * length, moment_x * (1.0 / 6.0), moment_y * (1.0 / 6.0)
