"""A pixel and a small ellipse q > 0: arcs of any angle, up to the whole ellipse inside the pixel.

In the frame p = U (u - centre), where the ellipse is the unit circle, an arc is an interval of angles. The area
between an arc and its chord is |A| (angle - sin angle) / 2, A = U^-1, and dl / |grad q| is |A| / (2 q(centre)) d
angle: the boundary integrals are integrals of trigonometric polynomials, which eight Gauss points do (to 1e-9 for half
an ellipse).
"""

from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np

from kernels.numbers import atan2, polynomial, rarely, sqrt, where
from kernels.silhouettes.conic import SHORTEST, arcs, sides_inside, triangle_moments
from kernels.silhouettes.crossing import Crossing

POINTS = 8
# Those in (0, 1); as many lie on the other side of the middle.
GAUSS_POINTS, GAUSS_WEIGHTS = (x[POINTS // 2 :].tolist() for x in np.polynomial.legendre.leggauss(POINTS))
TURN, QUARTER = 2.0 * np.pi, 0.5 * np.pi
# Power series of t^2, to 1e-13: sin(t) / t and cos(t) up to a quarter turn, (t - sin(t)) / t^3 up to t = 1.
SINE = [(-1.0) ** n / factorial(2 * n + 1) for n in range(9)]
COSINE = [(-1.0) ** n / factorial(2 * n) for n in range(10)]
RESIDUE = [(-1.0) ** n / factorial(2 * n + 3) for n in range(7)]


def cross_ellipse(conic, with_nodes=True):
    """The Crossing of a pixel and an ellipse: conic.hessian must be negative definite.

    Args:
        conic: the Conic.
        with_nodes: whether the points of the boundary integrals are wanted.
    """
    (gx, gy), (hxx, hxy, hyy) = conic.gradient, conic.hessian
    determinant = hxx * hyy - hxy * hxy
    x0, y0 = (hxy * gy - hyy * gx) / determinant, (hxy * gx - hxx * gy) / determinant
    peak = conic.value + 0.5 * (gx * x0 + gy * y0)
    # -H / (2 peak) = U'U
    exists = peak > 0.0
    scale = -0.5 / where(exists, peak, 1.0)
    u11 = sqrt(hxx * scale)
    u12 = hxy * scale / u11
    stretch = 1.0 / (sqrt(determinant) * abs(scale))  # |A| = 1 / |U|
    u22 = 1.0 / (u11 * stretch)
    ellipse = Ellipse(x0, y0, u11, u12, u22, stretch, stretch * 0.5 / where(exists, peak, 1.0))

    sides = sides_inside(conic)
    area, moment_x, moment_y, touched = 0.0, 0.0, 0.0, None
    for start, end, inside in sides:
        a, mx, my = triangle_moments(start, end)
        area = area + where(inside, a, 0.0)
        moment_x, moment_y = moment_x + where(inside, mx, 0.0), moment_y + where(inside, my, 0.0)
        touched = inside if touched is None else touched | inside
    centred = (abs(x0) <= 0.5) & (abs(y0) <= 0.5)
    whole = where(touched, 0.0, where(centred & exists, 1.0, 0.0)) > 0.5

    found = [(start, end, present & _apart(start, end)) for start, end, present in arcs(sides)]
    first, last, *others = ends_and_others(found)
    result = Crossing(area, (moment_x, moment_y), [], (0.0, 0.0), (1.0, 0.0), 0.0)
    result = add_arc(result, ellipse, first, whole, with_nodes)
    result = add_arc(result, ellipse, last, None, with_nodes)

    def with_others():
        more = result
        for arc in others:
            more = add_arc(more, ellipse, arc, None, with_nodes)
        return more.numbers

    nowhere = [0.0] * (2 * POINTS * 3 if with_nodes else 0)
    return Crossing.of(rarely(others[0][2] | others[1][2], with_others, result.numbers + nowhere))


@dataclass(frozen=True)
class Ellipse:
    """Centre, the map U to the unit circle, |U^-1|, and dl / |grad q| by d angle."""

    x: Any
    y: Any
    u11: Any
    u12: Any
    u22: Any
    stretch: Any
    weight: Any

    def to_circle(self, point):
        """A point of the image in the frame of the unit circle."""
        x, y = point[0] - self.x, point[1] - self.y
        return self.u11 * x + self.u12 * y, self.u22 * y

    def from_circle(self, x, y):
        """A vector in the image's frame."""
        return (x - self.u12 / self.u22 * y) / self.u11, y / self.u22


def _apart(a, b):
    return (b[0] - a[0]) * (b[0] - a[0]) + (b[1] - a[1]) * (b[1] - a[1]) > SHORTEST * SHORTEST


def ends_and_others(found):
    """Of four arcs, the first and the last that are there, and the other two: few pixels have more than two."""
    first, last = found[0], found[3]
    for arc in found[1:]:
        first = _prefer(first, arc)
    for arc in found[2::-1]:
        last = _prefer(last, arc)
    (_, _, a), (_, _, b), (_, _, c), (_, _, d) = found
    several = (a & (b | c | d)) | (b & (c | d)) | (c & d)
    others = [(*found[1][:2], a & b & (c | d)), (*found[2][:2], (a | b) & c & d)]
    return [first, (*last[:2], several), *others]


def _prefer(arc, other):
    """The arc where it is there, else the other one."""
    start, end = (tuple(where(arc[2], x, y) for x, y in zip(arc[k], other[k], strict=True)) for k in (0, 1))
    return start, end, arc[2] | other[2]


def sine_and_cosine(angle):
    """Of an angle in [0, pi]: arithmetic alone, so that a packet of them is as quick as one."""
    t = angle - QUARTER
    square = t * t
    return polynomial(COSINE, square), -t * polynomial(SINE, square)


def add_arc(crossing, ellipse, arc, whole, with_nodes):
    """The Crossing with one arc more; the whole ellipse where `whole` holds."""
    start, end, present = arc
    (px, py), (qx, qy) = ellipse.to_circle(start), ellipse.to_circle(end)
    angle = atan2(px * qy - py * qx, px * qx + py * qy)
    angle = where(angle < 0.0, angle + TURN, angle)
    if whole is not None:
        present = present | whole
        px, py, angle = where(whole, 1.0, px), where(whole, 0.0, py), where(whole, TURN, angle)
        start = tuple(where(whole, 0.0, s) for s in start)
        end = tuple(where(whole, 0.0, e) for e in end)
    angle = where(present, angle, 0.0)
    half = 0.5 * angle
    size = sqrt(px * px + py * py)
    inverse = 1.0 / where(size > 0.0, size, 1.0)
    sine, cosine = sine_and_cosine(half)
    square = angle * angle
    segment = where(angle < 1.0, angle * square * polynomial(RESIDUE, square), angle - 2.0 * sine * cosine)
    chord, _, _ = triangle_moments(start, end)
    area = crossing.area + where(present, chord, 0.0) + 0.5 * ellipse.stretch * segment

    # From the centre to the arc: at its middle m, at an angle d from there m cos d + n sin d.
    ex, ey = (cosine * px - sine * py) * inverse, (sine * px + cosine * py) * inverse
    (mx, my), (nx, ny) = ellipse.from_circle(ex, ey), ellipse.from_circle(-ey, ex)
    (moment_x, moment_y), nodes = crossing.moment, list(crossing.nodes)
    for point, weight in zip(GAUSS_POINTS, GAUSS_WEIGHTS, strict=True):
        away, c = sine_and_cosine(point * half)
        weighed = weight * half
        for s in (-away, away):
            x, y = ellipse.x + (mx * c + nx * s), ellipse.y + (my * c + ny * s)
            swept = (x * (ny * c - my * s) - y * (nx * c - mx * s)) * weighed * (1.0 / 3.0)
            moment_x, moment_y = moment_x + swept * x, moment_y + swept * y
            if with_nodes:
                nodes.append((x, y, weighed * ellipse.weight))
    speed = sqrt(nx * nx + ny * ny)
    longer = angle > crossing.longest
    return Crossing(
        area,
        (moment_x, moment_y),
        nodes,
        (where(longer, ellipse.x + mx, crossing.edge_point[0]), where(longer, ellipse.y + my, crossing.edge_point[1])),
        (where(longer, ny / speed, crossing.outward[0]), where(longer, -nx / speed, crossing.outward[1])),
        where(longer, angle, crossing.longest),
    )
