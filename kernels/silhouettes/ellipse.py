"""A pixel and a small ellipse q > 0: arcs of any angle, up to the whole ellipse inside the pixel.

In the frame p = U (u - centre), where the ellipse is the unit circle, an arc is an interval of angles. The area
between an arc and its chord is |A| (angle - sin angle) / 2, A = U^-1, and dl / |grad q| is |A| / (2 q(centre)) d
angle: the boundary integrals are integrals of trigonometric polynomials, which eight Gauss points do (to 1e-9 for half
an ellipse).
"""

import numpy as np

from kernels.numbers import atan2, cos, sin, sqrt, where
from kernels.silhouettes.conic import SHORTEST, arcs, sides_inside, triangle_moments
from kernels.silhouettes.crossing import Crossing

GAUSS_POINTS, GAUSS_WEIGHTS = (tuple(x.tolist()) for x in np.polynomial.legendre.leggauss(8))
TURN = 2.0 * np.pi


def cross_ellipse(conic):
    """The Crossing of a pixel and an ellipse: conic.hessian must be negative definite."""
    (gx, gy), (hxx, hxy, hyy) = conic.gradient, conic.hessian
    determinant = hxx * hyy - hxy * hxy
    x0, y0 = (hxy * gy - hyy * gx) / determinant, (hxy * gx - hxx * gy) / determinant
    peak = conic.value + 0.5 * (gx * x0 + gy * y0)
    # -H / (2 peak) = U'U
    exists = peak > 0.0
    scale = -0.5 / where(exists, peak, 1.0)
    u11 = sqrt(hxx * scale)
    u12 = hxy * scale / u11
    stretch = 0.5 / (sqrt(determinant) * abs(scale)) * 2.0  # |A| = 1 / |U|
    u22 = 1.0 / (u11 * stretch)

    sides = sides_inside(conic)
    area, moment_x, moment_y, touched = 0.0, 0.0, 0.0, None
    for start, end, inside in sides:
        a, mx, my = triangle_moments(start, end)
        area = area + where(inside, a, 0.0)
        moment_x, moment_y = moment_x + where(inside, mx, 0.0), moment_y + where(inside, my, 0.0)
        touched = inside if touched is None else touched | inside
    centred = (abs(x0) <= 0.5) & (abs(y0) <= 0.5)
    whole = where(touched, 0.0, where(centred & exists, 1.0, 0.0)) > 0.5

    nodes, longest, edge_point, outward = [], 0.0, (0.0, 0.0), (1.0, 0.0)
    for k, (start, end, present) in enumerate(arcs(sides)):
        dx, dy = end[0] - start[0], end[1] - start[1]
        present = present & (dx * dx + dy * dy > SHORTEST * SHORTEST)
        px, py = u11 * (start[0] - x0) + u12 * (start[1] - y0), u22 * (start[1] - y0)
        qx, qy = u11 * (end[0] - x0) + u12 * (end[1] - y0), u22 * (end[1] - y0)
        angle = atan2(px * qy - py * qx, px * qx + py * qy)
        angle = where(angle < 0.0, angle + TURN, angle)
        if k == 0:
            present = present | whole
            px, py, angle = where(whole, 1.0, px), where(whole, 0.0, py), where(whole, TURN, angle)
            start = tuple(where(whole, 0.0, s) for s in start)
            end = tuple(where(whole, 0.0, e) for e in end)
        angle = where(present, angle, 0.0)
        size = sqrt(px * px + py * py)
        px, py = px / where(size > 0.0, size, 1.0), py / where(size > 0.0, size, 1.0)
        chord, _, _ = triangle_moments(start, end)
        area = area + where(present, chord, 0.0) + 0.5 * stretch * (angle - sin(angle))

        def on_arc(fraction, px=px, py=py, angle=angle):
            """(offset from the centre, derivative by the angle), at a fraction of the arc."""
            c, s = cos(fraction * angle), sin(fraction * angle)
            ex, ey = c * px - s * py, s * px + c * py
            vx, vy = (ex - u12 / u22 * ey) / u11, ey / u22
            tx, ty = (-ey - u12 / u22 * ex) / u11, ex / u22
            return (vx, vy), (tx, ty)

        for point, weight in zip(GAUSS_POINTS, GAUSS_WEIGHTS, strict=True):
            (vx, vy), (tx, ty) = on_arc(0.5 + 0.5 * point)
            x, y = x0 + vx, y0 + vy
            swept = (x * ty - y * tx) * (0.5 * weight) * angle * (1.0 / 3.0)
            moment_x, moment_y = moment_x + swept * x, moment_y + swept * y
            nodes.append((x, y, (0.5 * weight) * angle * stretch * 0.5 / where(exists, peak, 1.0)))
        (vx, vy), (tx, ty) = on_arc(0.5)
        speed = sqrt(tx * tx + ty * ty)
        longer = angle > longest
        longest = where(longer, angle, longest)
        edge_point = (where(longer, x0 + vx, edge_point[0]), where(longer, y0 + vy, edge_point[1]))
        outward = (where(longer, ty / speed, outward[0]), where(longer, -tx / speed, outward[1]))
    return Crossing(area, (moment_x, moment_y), nodes, edge_point, outward, longest)
