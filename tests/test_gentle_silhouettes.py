"""A pixel and a gently curved silhouette, against areas and boundary integrals by quadrature over rows of the pixel.

The oracle takes the curve as a graph x = f(y), by the formula for roots, and cuts the range of y where f meets a side.
"""

from itertools import pairwise

import numpy as np
import pytest

from kernels.silhouettes.conic import Conic
from kernels.silhouettes.gentle import cross_gentle

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)
#: q moves by these: the derivative of the area is the integral over the silhouette of p / |grad q|.
MOTIONS = [lambda x, y: np.ones_like(x), lambda x, y: x, lambda x, y: y]
COUNT = 600


def curve(value, gradient, hessian, y):
    """The root x of q(., y) that is near the pixel, and |dq/dx| there; NaN where there is none."""
    (gx, gy), (hxx, hxy, hyy) = gradient, hessian
    a, b, c = 0.5 * hxx, gx + hxy * y, value + gy * y + 0.5 * hyy * y * y
    with np.errstate(invalid="ignore"):
        root = np.sqrt(b * b - 4.0 * a * c)
    return -2.0 * c / (b + np.copysign(root, b)), root


def crossings_of_side(value, gradient, hessian, x):
    (gx, gy), (hxx, hxy, hyy) = gradient, hessian
    polynomial = [0.5 * hyy, gy + hxy * x, value + gx * x + 0.5 * hxx * x * x]
    roots = np.roots(np.trim_zeros(polynomial, "f")) if np.any(polynomial) else []
    return [r.real for r in roots if abs(np.imag(r)) < 1e-12 and abs(r.real) < 0.5]


def oracle(value, gradient, hessian):
    """(area, moments, derivatives of the area by MOTIONS), and how many arcs there are."""
    if abs(gradient[1]) > abs(gradient[0]):
        (gx, gy), (hxx, hxy, hyy) = gradient, hessian
        area, (mx, my), slopes, arcs = oracle(value, (gy, gx), (hyy, hxy, hxx))
        return area, (my, mx), [slopes[0], slopes[2], slopes[1]], arcs
    ends = [-0.5, 0.5]
    for x in (-0.5, 0.5):
        ends += crossings_of_side(value, gradient, hessian, x)
    ends.sort()
    area, moments, slopes, on_arc = 0.0, np.zeros(2), np.zeros(len(MOTIONS)), []
    for low, high in pairwise(ends):
        y, w = 0.5 * (low + high) + 0.5 * (high - low) * NODES, 0.5 * (high - low) * WEIGHTS
        x, root = curve(value, gradient, hessian, y)
        x = np.where(np.isnan(x), np.inf, x)
        on_arc.append(bool(abs(x[12]) < 0.5) and high - low > 1e-9)
        f = np.clip(x, -0.5, 0.5)
        left, right = (-0.5, f) if gradient[0] < 0.0 else (f, 0.5)
        area += w @ (right - left)
        moments += [w @ (0.5 * (right**2 - left**2)), w @ (y * (right - left))]
        if on_arc[-1]:
            slopes += [w @ (p(f, y) / root) for p in MOTIONS]
    arcs = sum(now and not before for before, now in zip([False, *on_arc], on_arc, strict=False))
    return area, tuple(moments), list(slopes), arcs


def ellipse_around(random, radius, ratio, at_extremes):
    """(value, gradient, hessian) of q around pixels at the border of an ellipse, its radius of curvature `radius` [px]
    and more; with `at_extremes` where it is tangent to a side of the pixel, or nearly.
    """
    b = radius / ratio
    a, angle = b / ratio, random.uniform(0.0, np.pi)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation @ np.diag([1.0 / a**2, 1.0 / b**2]) @ rotation.T
    if at_extremes:
        axis = np.eye(2)[random.integers(2)] * random.choice([-1.0, 1.0])
        direction = np.linalg.solve(matrix, axis)
        point = direction / np.sqrt(axis @ direction)
        beyond = random.choice([-0.5, 0.5]) + random.uniform(-0.2, 0.2) / radius
        offset = np.where(axis != 0.0, beyond, random.uniform(-0.5, 0.5, 2))
    else:
        turn = random.uniform(0.0, 2.0 * np.pi)
        point, offset = rotation @ (a * np.cos(turn), b * np.sin(turn)), random.uniform(-0.75, 0.75, 2)
    x = point + offset
    return (
        1.0 - x @ matrix @ x,
        tuple(-2.0 * matrix @ x),
        (-2.0 * matrix[0, 0], -2.0 * matrix[0, 1], -2.0 * matrix[1, 1]),
    )


def cross(cases):
    """The Crossing of all cases at once."""
    values, gradients, hessians = (np.array(part) for part in zip(*cases, strict=True))
    return cross_gentle(Conic(values, tuple(gradients.T), tuple(hessians.T)))


def check(crossing, expected, radius, scale, ratio=1.0):
    """Within what the formulas leave out for arcs of this radius; 1 / |grad q| is `scale` at most.

    The arc of an ellipse is not symmetric, and its moments are of lower order; so are integrals of x and y.
    """
    areas, moments, slopes, _ = zip(*expected, strict=True)
    skew = 0.0 if ratio == 1.0 else 1.0
    np.testing.assert_allclose(crossing.area, areas, rtol=0, atol=6e-3 / radius**3 + 1e-13)
    atol = 6e-4 / radius**3 + skew * 4e-3 / radius**2 + 1e-13
    np.testing.assert_allclose(np.array(crossing.moment).T, moments, rtol=0, atol=atol)
    for k, motion in enumerate(MOTIONS):
        mine = sum(weight * motion(np.asarray(x), y) for x, y, weight in crossing.nodes)
        relative = (9e-3 / radius**3 if k else 1.42 / (120.0 * radius**4)) + 1e-9
        np.testing.assert_allclose(mine, [s[k] for s in slopes], rtol=0, atol=relative * scale)


@pytest.mark.parametrize("ratio", [1.0, 0.6])
@pytest.mark.parametrize("radius", [8.0, 20.0, 300.0])
def test_one_arc(radius, ratio):
    random = np.random.default_rng([1, int(radius)])
    cases = [ellipse_around(random, radius, ratio, False) for _ in range(COUNT)]
    expected = [oracle(*case) for case in cases]
    assert sum(e[3] == 1 for e in expected) > 0.6 * COUNT
    check(cross(cases), expected, radius, 0.5 * radius / ratio**3, ratio)


@pytest.mark.parametrize("ratio", [1.0, 0.6])
@pytest.mark.parametrize("radius", [8.0, 20.0, 300.0])
def test_sides_cut_twice(radius, ratio):
    random = np.random.default_rng([2, int(radius)])
    cases = [ellipse_around(random, radius, ratio, True) for _ in range(COUNT)]
    expected = [oracle(*case) for case in cases]
    assert sum(e[3] == 2 for e in expected) > 0.02 * COUNT  # beyond a side and back
    assert sum(e[3] == 1 and e[0] < 0.3 / radius for e in expected) > 0.02 * COUNT  # slivers
    check(cross(cases), expected, radius, 0.5 * radius / ratio**3, ratio)


def test_straight_lines():
    random = np.random.default_rng(3)
    angles = np.concatenate([random.uniform(0.0, 2.0 * np.pi, COUNT), np.arange(8) * (0.25 * np.pi)])
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    normals[COUNT:][np.abs(normals[COUNT:]) < 1e-12] = 0.0
    cases = [(random.uniform(-0.8, 0.8), tuple(n), (0.0, 0.0, 0.0)) for n in normals]
    expected = [oracle(*case) for case in cases]
    check(cross(cases), expected, 1e9, 1.0)


def test_far_from_the_silhouette():
    """Inside and outside, also where q has no gradient to speak of."""
    random = np.random.default_rng(4)
    places = [*random.uniform(-6.0, 6.0, (COUNT, 2)), (0.0, 0.0), *random.uniform(9.5, 40.0, (COUNT, 2))]
    cases = [(1.0 - (x @ x) / 100.0, tuple(-x / 50.0), (-0.02, 0.0, -0.02)) for x in map(np.array, places)]
    crossing = cross(cases)
    np.testing.assert_array_equal(crossing.area, np.arange(len(places)) <= COUNT)
    np.testing.assert_array_equal(crossing.moment, 0.0)
    assert not np.any(crossing.longest) and not any(np.any(weight) for *_, weight in crossing.nodes)
