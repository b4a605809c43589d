"""A pixel and a gently curved region q > 0: beside a line, or an ellipse of large radius of curvature.

Swapped and mirrored, the pixel is [0, 1]^2 and the region lies on the left of a curve x = f(y), where f is concave,
|f'| is not much above 1, and f falls in the middle of the pixel. The corner (0, 0) lies farthest inside. So the curve
has one arc in the pixel,

    from  (1, t) where the corner (1, 0) lies inside, else (t, 0)
    to    (t, 1) where the corner (0, 1) lies inside, else (0, t),

and covered are a rectangle below the arc, a trapezoid on the left of its chord, and a segment beyond the chord. Seldom,
where f has its peak in the pixel and just beyond one of its sides, the curve cuts that side twice: `cross_conic`, whose
formulas these are, has that case, too.
"""

from dataclasses import dataclass
from typing import Any

from kernels.numbers import absolute, maximum, minimum, rarely, sqrt, where
from kernels.silhouettes.conic import GAUSS, SHORTEST, Conic, cross_conic
from kernels.silhouettes.crossing import Crossing

# Nothing is divided by less.
LEAST = 1e-30


def cross_gentle(conic, with_nodes=True):
    """The Crossing of a pixel and a gently curved region.

    Args:
        conic: the Conic.
        with_nodes: whether the points of the boundary integrals are wanted.
    """
    mirror, q = mirrored(conic)
    (gx, gy), (hxx, hxy, hyy) = q.gradient, q.hessian
    at_right, at_top = q.value + gx + 0.5 * hxx, q.value + gy + 0.5 * hyy
    inside, right, top = q.value > 0.0, at_right > 0.0, at_top > 0.0
    corner = where(inside, q.value, 0.0)
    t = last_root(where(right, at_right, corner), where(right, gy + hxy, gx), where(right, hyy, hxx))
    start = where(right, 1.0, t), where(right, t, 0.0)
    t = last_root(where(top, at_top, corner), where(top, gx + hxy, gy), where(top, hxx, hyy))
    end = where(top, t, 0.0), where(top, 1.0, t)
    single = one_arc(q, start, end, inside, mirror, with_nodes)

    side, slope = where(inside, at_right, q.value), where(inside, gy + hxy, gy)
    twice = (side <= 0.0) & (slope > 0.0) & (slope * slope > 2.0 * side * hyy)
    return Crossing.of(rarely(twice, lambda: cross_conic(conic, with_nodes, 2).numbers, single.numbers))


@dataclass(frozen=True)
class Mirror:
    """Axes along which q falls in the middle of the pixel, along the first at least as much."""

    swapped: Any
    x: Any
    y: Any

    def back(self, x, y):
        """A vector in the axes of the image."""
        return self.x * where(self.swapped, y, x), self.y * where(self.swapped, x, y)


def mirrored(conic):
    """The Mirror of a pixel, and in its axes the Conic around the corner (0, 0)."""
    (gx, gy), (hxx, hxy, hyy) = conic.gradient, conic.hessian
    mirror = Mirror(absolute(gy) > absolute(gx), where(gx > 0.0, -1.0, 1.0), where(gy > 0.0, -1.0, 1.0))
    gx, gy = mirror.x * gx, mirror.y * gy
    gx, gy = minimum(gx, gy), maximum(gx, gy)
    hxx, hyy = where(mirror.swapped, hyy, hxx), where(mirror.swapped, hxx, hyy)
    hxy = mirror.x * mirror.y * hxy
    x, y = gx - 0.5 * (hxx + hxy), gy - 0.5 * (hyy + hxy)
    return mirror, Conic(conic.value - 0.25 * (gx + gy + x + y), (x, y), (hxx, hxy, hyy))


def last_root(c0, c1, bend):
    """The last s in [0, 1] with c0 + c1 s + bend s^2 / 2 >= 0, for c0 >= 0 and bend <= 0, to rounding."""
    w = 0.5 * (absolute(c1) + sqrt(maximum(c1 * c1 - 2.0 * c0 * bend, 0.0)))
    rising = c1 > 0.0
    return minimum(where(rising, w, c0) / maximum(where(rising, -0.5 * bend, w), LEAST), 1.0)


def one_arc(q, start, end, inside, mirror, with_nodes):
    """The Crossing with an arc from start to end, in the axes of the image; without any where not `inside`."""
    (gx, gy), (hxx, hxy, hyy) = q.gradient, q.hessian
    dx, dy = end[0] - start[0], where(inside, end[1] - start[1], 0.0)
    cx, cy = 0.5 * (start[0] + end[0]), 0.5 * (start[1] + end[1])
    square = dx * dx + dy * dy
    there = inside & (square > SHORTEST * SHORTEST)
    square = where(there, square, 0.0)
    # Along the normal n = (dy, -dx), as long as the chord, q is a polynomial of degree 2. Along the chord it is
    # 4 s (1 - s) q(middle): it vanishes at both ends.
    nx, ny = hxx * dy - hxy * dx, hxy * dy - hyy * dx
    bend, turn = nx * dy - ny * dx, nx * dx + ny * dy
    slope = (gx * dy - gy * dx) + (nx * cx + ny * cy)
    middle = 0.125 * (bend - (hxx + hyy) * square)

    falls = there & (slope < 0.0)
    fall = where(falls, slope, -1.0)
    root = sqrt(fall * fall - 2.0 * bend * middle)
    height = where(falls, 2.0 * middle / (root - fall), 0.0)
    segment = (2.0 / 3.0) * square * height
    across, up = height * dy, -(height * dx)
    # A rectangle, a trapezoid and nearly a parabola's segment; moments are those around the pixel's centre.
    low = start[1]
    area = low + dy * cx + segment
    moment_x = (0.5 * dy) * (cx * (cx - 1.0) + dx * dx * (1.0 / 12.0)) + segment * (cx - 0.5 + 0.4 * across)
    moment_y = (
        (0.5 * low) * (low - 1.0) + dy * (cx * (cy - 0.5) + dx * dy * (1.0 / 12.0)) + segment * (cy - 0.5 + 0.4 * up)
    )

    nodes = []
    for g in (-GAUSS, GAUSS) if with_nodes else ():
        fall = where(falls, slope + g * turn, -1.0)
        root = sqrt(fall * fall - (4.0 / 3.0) * bend * middle)
        gap = root - fall
        inverse = 1.0 / (root * gap)
        height = (4.0 / 3.0) * middle * root * inverse
        x, y = mirror.back(cx + g * dx + height * dy - 0.5, cy + g * dy - height * dx - 0.5)
        nodes.append((x, y, (0.5 * square) * gap * inverse))
    if with_nodes:
        nodes += [(0.0, 0.0, 0.0)] * 2
    inverse = 1.0 / sqrt(where(there, square, 1.0))
    return Crossing(
        area,
        mirror.back(moment_x, moment_y),
        nodes,
        mirror.back(cx + across - 0.5, cy + up - 0.5),
        mirror.back(dy * inverse, -(dx * inverse)),
        square,
    )
