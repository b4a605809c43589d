"""A pixel and the convex region q > 0, q = c + gx x + gy y + (hxx x^2 + 2 hxy x y + hyy y^2) / 2.

The part of the pixel that lies in the region is convex. Its border alternates between pieces of the pixel's sides and
arcs of the conic, at most four of each. Over each arc's chord the arc is the graph of a function h, nearly a parabola,
and area, moments and boundary integrals are integrals over the chord. For an arc of a circle of radius R [px] the area
is right to 6e-3 / R^3 across the whole pixel, and to the fifth power of the chord's length within it; boundary
integrals (two Gauss points) to a part of 1 / (120 R^4). Ellipses of a radius of curvature below `SMALL_RADIUS` go to
ellipse.py, larger ones and lines to gentle.py: here they are where they cut a side of the pixel twice.
"""

from dataclasses import dataclass
from typing import Any

from kernels.numbers import maximum, minimum, sqrt, where
from kernels.silhouettes.crossing import SIDES, Crossing

# Radius of curvature [px] above which an arc inside one pixel is nearly a parabola.
SMALL_RADIUS = 8.0
GAUSS = 0.5 / 3.0**0.5  # of the interval [-1/2, 1/2]
# A chord this short [px] is a corner that the region ends in.
SHORTEST = 1e-6
FAR = 1e6


@dataclass(frozen=True)
class Conic:
    """q around a pixel's centre: value, gradient (x, y) [1/px], and second derivatives (xx, xy, yy) [1/px^2].

    `branch` is None where q > 0 is convex as it stands. Else it is (b, bx, by), a linear function that is positive on
    the wanted one of the two branches of a hyperbola.
    """

    value: Any
    gradient: tuple
    hessian: tuple
    branch: tuple | None = None

    def at(self, x, y):
        """q at (x, y)."""
        gx, gy = self.slope(x, y)
        return self.value + 0.5 * ((self.gradient[0] + gx) * x + (self.gradient[1] + gy) * y)

    def slope(self, x, y):
        """Gradient of q at (x, y)."""
        (gx, gy), (hxx, hxy, hyy) = self.gradient, self.hessian
        return gx + hxx * x + hxy * y, gy + hxy * x + hyy * y


def sides_inside(conic):
    """For each side of the pixel, (start, end, inside): the points between which it lies in the region, if it does."""
    # Written out for sides along the axes: a number times 0 is not nothing to a compiler that minds NaN.
    (gx, gy), (hxx, hxy, hyy) = conic.gradient, conic.hessian
    result = []
    for (mx, my), (tx, ty) in SIDES:
        flat = ty == 0.0
        fixed, sign = (my, tx) if flat else (mx, ty)
        along, across, c2, bend = (gx, gy, hxx, hyy) if flat else (gy, gx, hyy, hxx)
        c0 = conic.value + fixed * across + (0.5 * fixed * fixed) * bend
        c1 = sign * (along + fixed * hxy)
        low, high = interval_inside(c0, c1, 0.5 * c2, conic.branch, (mx, my), (tx, ty))
        low, high = maximum(low, -0.5), minimum(high, 0.5)
        ends = [(sign * end, fixed) if flat else (fixed, sign * end) for end in (low, high)]
        result.append((*ends, high > low))
    return result


def interval_inside(c0, c1, c2, branch, middle, direction):
    """Where c0 + c1 s + c2 s^2 > 0, as (low, high); empty where low >= high."""
    discriminant = c1 * c1 - 4.0 * c0 * c2
    real = discriminant > 0.0
    root = sqrt(where(real, discriminant, 0.0))
    # Both roots without cancellation (Press et al., 5.6); without curvature one of them is far away.
    w = -0.5 * where(c1 >= 0.0, c1 + root, c1 - root)
    curved = abs(c2) > 1e-30
    # The reciprocal is the same for sides that face each other.
    first = where(curved, w * (1.0 / where(curved, c2, 1.0)), w * -FAR)
    second = where(w == 0.0, first, c0 / where(w == 0.0, 1.0, w))
    low, high = minimum(first, second), maximum(first, second)
    if branch is not None:
        b, bx, by = branch
        at_middle = b + bx * middle[0] + by * middle[1]
        rising = bx * direction[0] + by * direction[1]
        outer = c2 > 0.0  # positive outside the roots, once on each branch
        low, high = (
            where(outer, where(rising > 0.0, high, -FAR), low),
            where(outer, where(rising > 0.0, FAR, low), high),
        )
        s = minimum(maximum(0.5 * (low + high), -FAR), FAR)
        s = where(outer, where(rising > 0.0, low + 1.0, high - 1.0), s)
        high = where(real & (at_middle + rising * s <= 0.0), low, high)
        everywhere = (c0 > 0.0) & (at_middle > 0.0)
    else:
        everywhere = c0 > 0.0
    low = where(real, low, where(everywhere, -FAR, FAR))
    return low, where(real, high, where(everywhere, FAR, -FAR))


def arcs(sides):
    """For each side, the arc that ends where the side begins: (start, end, there)."""
    result = []
    for i, (start, end, inside) in enumerate(sides):
        before = end  # a single side: the arc runs from its end to its start
        for back in (3, 2, 1):  # the nearest comes last, and is taken
            _, candidate, present = sides[(i - back) % 4]
            before = tuple(where(present, c, b) for c, b in zip(candidate, before, strict=True))
        result.append((before, start, inside))
    return result


def cross_conic(conic, with_nodes=True, most_arcs=4):
    """The Crossing of a pixel and a conic that is gently curved.

    Args:
        conic: the Conic.
        with_nodes: whether the points of the boundary integrals are wanted.
        most_arcs: how many arcs there may be; an ellipse larger than a pixel has two at most.
    """
    sides = sides_inside(conic)
    sums = (0.0, 0.0, 0.0)
    for start, end, inside in sides:
        sums = _add(sums, triangle_moments(start, end), inside)
    found = [(start, end, present & (_square(start, end) > SHORTEST * SHORTEST)) for start, end, present in arcs(sides)]
    nodes, longest, edge_point, outward = [], 0.0, (0.0, 0.0), (1.0, 0.0)
    for start, end, present in found if most_arcs == 4 else _first_and_last(found):
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = sqrt(where(present, _square(start, end), 1.0))
        inverse = 1.0 / length
        nx, ny = dy * inverse, -(dx * inverse)
        length = where(present, length, 0.0)
        sums = _add(sums, triangle_moments(start, end), present)
        cx, cy = 0.5 * (start[0] + end[0]), 0.5 * (start[1] + end[1])
        hxx, hxy, hyy = conic.hessian
        curvature = hxx * nx * nx + 2.0 * hxy * nx * ny + hyy * ny * ny
        # Along the chord q = 4 s (1 - s) q(middle): it vanishes at both ends, and so does h.
        q = conic.at(cx, cy)
        height, root = _height(q, conic, cx, cy, nx, ny, curvature, present)
        bulge = length * height * (2.0 / 3.0)
        rise = height * 0.4  # of the centroid of a parabola's segment
        sums = _add(sums, (bulge, bulge * (cx + rise * nx), bulge * (cy + rise * ny)), None)
        for g in (-GAUSS, GAUSS) if with_nodes else ():
            h, root = _height((2.0 / 3.0) * q, conic, cx + g * dx, cy + g * dy, nx, ny, curvature, present)
            nodes.append((cx + g * dx + h * nx, cy + g * dy + h * ny, 0.5 * length / root))
        longer = length > longest
        longest = where(longer, length, longest)
        edge_point = (where(longer, cx + height * nx, edge_point[0]), where(longer, cy + height * ny, edge_point[1]))
        outward = (where(longer, nx, outward[0]), where(longer, ny, outward[1]))
    return Crossing(sums[0], sums[1:], nodes, edge_point, outward, longest)


def _square(a, b):
    return (b[0] - a[0]) * (b[0] - a[0]) + (b[1] - a[1]) * (b[1] - a[1])


def _add(sums, terms, condition):
    """Adds area and moments where the condition holds; None: everywhere."""
    return tuple(
        total + (term if condition is None else where(condition, term, 0.0))
        for total, term in zip(sums, terms, strict=True)
    )


def _first_and_last(found):
    """Of arcs of which at most two are there, these two."""
    (start, end, first), *rest = found
    last, second = ((0.0, 0.0), (0.0, 0.0)), None
    for s, e, present in rest:
        another = present & first
        second = another if second is None else second | another
        last = tuple(
            tuple(where(another, x, y) for x, y in zip(p, q, strict=True)) for p, q in zip((s, e), last, strict=True)
        )
        new = where(first, 0.0, where(present, 1.0, 0.0)) > 0.5
        start, end = (tuple(where(new, x, y) for x, y in zip(p, q, strict=True)) for p, q in ((s, start), (e, end)))
        first = first | present
    return ((start, end, first), (*last, second))


def _height(q, conic, x, y, nx, ny, curvature, present):
    """Distance of the arc from (x, y), where q has this value, along the outward normal n; and |dq/dn| there."""
    gx, gy = conic.slope(x, y)
    slope = gx * nx + gy * ny
    discriminant = slope * slope - 2.0 * curvature * q
    root = sqrt(where(present & (discriminant > 0.0), discriminant, 1.0))
    outward = present & (root > slope)
    return where(outward, 2.0 * q / where(outward, root - slope, 1.0), 0.0), root


def triangle_moments(a, b):
    """Area and first moments of the triangle (0, a, b)."""
    area = 0.5 * (a[0] * b[1] - a[1] * b[0])
    return area, area * (a[0] + b[0]) * (1.0 / 3.0), area * (a[1] + b[1]) * (1.0 / 3.0)
