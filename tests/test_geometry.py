"""Shapes, camera, outputs and rigid motions of the kernels, on floats, NumPy arrays and duals, in float64."""

import numpy as np
import pytest
from scipy.linalg import expm

from kernels.cameras.pinhole import pinhole_direction
from kernels.geometry.plane import differentiate_plane, inverse_depth_plane, normal_plane
from kernels.geometry.se3 import exp_se3
from kernels.geometry.sphere import differentiate_sphere, inverse_depth_sphere, normal_sphere
from kernels.geometry.triangle import (
    differentiate_triangle,
    edges_of_triangle,
    move_plane,
    plane_of_triangle,
)
from kernels.numbers import Dual, Mat3, Vec3, partial_of, seed, value_of
from kernels.outputs import OUTPUTS

COUNT = 200
AXES = ("x", "y", "z")


def array(thing):
    """A Vec3 as an array [..., 3], a Mat3 as [..., 3, 3], a number as it is."""
    if isinstance(thing, Mat3):
        return np.stack([array(row) for row in thing], axis=-2)
    if isinstance(thing, Vec3):
        return np.stack(np.broadcast_arrays(*(value_of(c) for c in thing)), axis=-1)
    return value_of(thing)


def vector(values):
    """An array [..., 3] as a Vec3 of arrays."""
    return Vec3(*np.moveaxis(np.asarray(values, dtype=np.float64), -1, 0))


def slope_of(function, parameters, k, h=1e-6):
    """Central difference of a function of an array [P] of parameters."""
    step = np.zeros(len(parameters))
    step[k] = h
    return (function(parameters + step) - function(parameters - step)) / (2.0 * h)


@pytest.fixture
def random():
    return np.random.default_rng(7)


# --- sphere


def spheres(random, inside=False):
    """Spheres in front of the camera, or around it, and rays into the image."""
    center = random.uniform(-1.0, 1.0, (COUNT, 3)) + (0.0 if inside else [0.0, 0.0, 5.0])
    radius = random.uniform(2.0, 4.0, COUNT) if inside else random.uniform(0.2, 1.5, COUNT)
    direction = np.concatenate([random.uniform(-0.5, 0.5, (COUNT, 2)), np.ones((COUNT, 1))], axis=1)
    return direction, center, radius


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_sphere_points_lie_on_it(random, side):
    direction, center, radius = spheres(random, inside=side < 0)
    gap = np.sum(center**2, axis=1) - radius**2
    inverse = inverse_depth_sphere(vector(direction), vector(center), radius, 1.0 / gap, side)
    hit = inverse > 0.0
    # Independently: the distance of the ray's line from the centre.
    along = np.sum(center * direction, axis=1, keepdims=True) / np.sum(direction**2, axis=1, keepdims=True)
    distance = np.linalg.norm(center - along * direction, axis=1)
    np.testing.assert_array_equal(hit, (distance < radius))
    assert hit.any() and (side < 0 or not hit.all())
    z = 1.0 / inverse[hit]
    points = z[:, None] * direction[hit]
    np.testing.assert_allclose(np.linalg.norm(points - center[hit], axis=1), radius[hit], rtol=1e-12)
    nearest = along[hit, 0] if side > 0 else 0.0
    assert np.all(z < nearest) if side > 0 else np.all(z > 0.0)
    np.testing.assert_array_equal(inverse[~hit], 0.0)


def test_sphere_behind_and_missed():
    behind = inverse_depth_sphere(Vec3(0.0, 0.0, 1.0), Vec3(0.0, 0.0, -5.0), 1.0, 1.0 / 24.0, 1.0)
    missed = inverse_depth_sphere(Vec3(1.0, 0.0, 1.0), Vec3(0.0, 0.0, 5.0), 1.0, 1.0 / 24.0, 1.0)
    assert behind < 0.0 and missed == 0.0


def test_small_far_sphere_keeps_its_digits():
    """Radius 1e-3 at 1e4, in float32: hit at the centre of its disc, missed beside it."""
    depth, radius = np.float32(1e4), np.float32(1e-3)
    x = np.array([0.0, 0.9e-7, 1.1e-7], dtype=np.float32)
    inverse = inverse_depth_sphere(
        Vec3(x, np.float32(0.0), np.float32(1.0)),
        Vec3(np.float32(0.0), np.float32(0.0), depth),
        radius,
        np.float32(1.0) / (depth * depth),
        np.float32(1.0),
    )
    assert (inverse > 0.0).tolist() == [True, True, False]


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_sphere_derivatives(random, side):
    """By centre, radius and intrinsics, against central differences of the closed form."""
    direction, center, radius = spheres(random, inside=side < 0)
    # Off the silhouette, where central differences mean something.
    away = np.linalg.norm(np.cross(center, direction), axis=1) / np.linalg.norm(direction, axis=1)
    clear = away < 0.9 * radius
    assert clear.sum() > 15
    direction, center, radius = direction[clear], center[clear], radius[clear]
    u, v = direction[:, 0] * 400.0 + 320.0, direction[:, 1] * 400.0 + 240.0

    def depth(p):
        d = np.stack([(u - p[6]) / p[4], (v - p[7]) / p[5], np.ones(len(u))], axis=-1)
        c = center + p[:3]
        a, b = np.sum(d * d, axis=-1), np.sum(d * c, axis=-1)
        return (b - side * np.sqrt(b * b - a * (np.sum(c * c, axis=-1) - (radius + p[3]) ** 2))) / a

    p0 = np.array([0.0, 0.0, 0.0, 0.0, 400.0, 400.0, 320.0, 240.0])
    z = depth(p0)
    seeds = [seed(p, k) for k, p in enumerate(p0)]
    moving = pinhole_direction(u, v, *seeds[4:])
    dual = differentiate_sphere(z, moving, Vec3(*(center[:, k] + seeds[k] for k in range(3))), seeds[3] + radius)
    np.testing.assert_array_equal(dual.value, z)
    assert set(dual.partials) == set(range(8))
    for k in range(8):
        np.testing.assert_allclose(dual.partials[k], slope_of(depth, p0, k), rtol=1e-6, atol=1e-7)
    # Without seeds, the plain depth; with some, theirs alone.
    assert differentiate_sphere(z, vector(direction), vector(center), radius) is z
    fixed = differentiate_sphere(z, vector(direction), vector(center), seed(radius, "r"))
    assert set(fixed.partials) == {"r"}


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_sphere_normals(random, side):
    direction, center, radius = spheres(random, inside=side < 0)
    gap = np.sum(center**2, axis=1) - radius**2
    inverse = inverse_depth_sphere(vector(direction), vector(center), radius, 1.0 / gap, side)
    hit = inverse > 0.0
    direction, center, radius, z = direction[hit], center[hit], radius[hit], 1.0 / inverse[hit]
    normal = array(normal_sphere(z, vector(direction), vector(center), radius, side))
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1.0, rtol=1e-12)
    assert np.all(np.sum(normal * direction, axis=1) < 0.0)


# --- plane and triangle


def planes(random):
    normal = random.normal(size=(COUNT, 3))
    direction = np.concatenate([random.uniform(-0.5, 0.5, (COUNT, 2)), np.ones((COUNT, 1))], axis=1)
    return direction, normal, random.uniform(0.5, 4.0, COUNT)


def test_plane_points_lie_on_it(random):
    direction, normal, offset = planes(random)
    inverse = inverse_depth_plane(vector(direction), vector(normal), 1.0 / offset)
    hit = inverse > 0.0
    points = direction[hit] / inverse[hit, None]
    np.testing.assert_allclose(np.sum(points * normal[hit], axis=1), offset[hit], rtol=1e-12)
    assert 0 < hit.sum() < COUNT
    assert inverse_depth_plane(Vec3(0.3, 0.0, 1.0), Vec3(0.0, 1.0, 0.0), 0.5) == 0.0  # parallel
    facing = array(normal_plane(vector(direction), vector(normal)))
    np.testing.assert_allclose(np.linalg.norm(facing, axis=1), 1.0, rtol=1e-12)
    assert np.all(np.sum(facing * direction, axis=1) < 0.0)


def test_plane_derivatives(random):
    direction, normal, offset = planes(random)

    def depth(p):
        return (offset + p[3]) / np.sum((normal + p[:3]) * direction, axis=1)

    z = depth(np.zeros(4))
    clear = np.abs(np.sum(normal * direction, axis=1)) > 0.2
    moving = Vec3(*(seed(normal[:, k], k) for k in range(3)))
    dual = differentiate_plane(z, vector(direction), moving, seed(offset, 3))
    for k in range(4):
        np.testing.assert_allclose(dual.partials[k][clear], slope_of(depth, np.zeros(4), k)[clear], rtol=1e-6)

    def unit(p):
        n = normal + p[:3]
        n = n / np.linalg.norm(n, axis=1, keepdims=True)
        return -n * np.sign(np.sum(n * direction, axis=1, keepdims=True))

    facing = normal_plane(vector(direction), moving)
    np.testing.assert_allclose(array(facing), unit(np.zeros(4)), rtol=1e-12)
    for k in range(3):
        mine = array(partial_of(facing, k))
        np.testing.assert_allclose(mine[clear], slope_of(unit, np.zeros(4), k)[clear], rtol=1e-6, atol=1e-8)


def triangles(random):
    """Corners [3, COUNT, 3] in front of the camera, and rays through points of the triangles' planes."""
    corners = random.uniform(-1.0, 1.0, (3, COUNT, 3)) + np.array([0.0, 0.0, 4.0])
    barycentric = random.uniform(-0.5, 1.0, (COUNT, 3))
    barycentric /= barycentric.sum(axis=1, keepdims=True)
    points = np.einsum("ni,inj->nj", barycentric, corners)
    return corners, barycentric, points / points[:, 2:], points[:, 2]


def test_triangle_edges_are_barycentric(random):
    corners, barycentric, direction, depth = triangles(random)
    a, b, c = (vector(corner) for corner in corners)
    d = vector(direction)
    normal, offset = plane_of_triangle(a, b, c)
    along = normal.dot(d)
    usable = (np.abs(along) > 1e-2) & (depth > 0.1)
    np.testing.assert_allclose((offset / along)[usable], depth[usable], rtol=1e-9)
    for k, edge in enumerate(edges_of_triangle(a, b, c)):
        mine = edge.dot(d) / along
        np.testing.assert_allclose(mine[usable], barycentric[usable, k], rtol=1e-7, atol=1e-9)
    determinant = np.linalg.det(np.stack([array(a), array(b), array(c)], axis=-2))
    np.testing.assert_allclose(offset, determinant, rtol=1e-9, atol=1e-12)


def test_neighbours_share_their_edge_exactly(random):
    """In float32 the edge of the triangle on the other side is the negated one, bit for bit: no light leaks."""
    a, b, c, d = (Vec3(*random.normal(size=(3, COUNT)).astype(np.float32)) for _ in range(4))
    (_, _, ab) = edges_of_triangle(a, b, c)
    (_, _, ba) = edges_of_triangle(b, a, d)
    np.testing.assert_array_equal(array(ab), -array(ba))
    assert ab.x.dtype == np.float32


def test_triangle_derivatives_by_vertices(random):
    corners, _, direction, _ = triangles(random)
    d = vector(direction)
    numbers = np.moveaxis(corners, 0, 1).reshape(COUNT, 9)

    def depth(p):
        a, b, c = np.moveaxis((numbers + p).reshape(COUNT, 3, 3), 1, 0)
        normal = np.cross(b - a, c - a)
        return np.sum(normal * a, axis=1) / np.sum(normal * direction, axis=1)

    moving = [Vec3(*(seed(numbers[:, 3 * k + axis], 3 * k + axis) for axis in range(3))) for k in range(3)]
    dual = differentiate_triangle(depth(np.zeros(9)), d, *moving)
    normal, _ = plane_of_triangle(*(vector(corner) for corner in corners))
    clear = (np.abs(normal.normalized().dot(d.normalized())) > 0.2) & (array(normal.norm()) > 0.3)
    assert clear.sum() > 50 and set(dual.partials) == set(range(9))
    for k in range(9):
        expected = slope_of(depth, np.zeros(9), k, 1e-7)[clear]
        np.testing.assert_allclose(dual.partials[k][clear], expected, rtol=1e-5, atol=1e-6)


def test_triangle_derivatives_by_pose(random):
    """move_plane against a rigid motion of the corners about the pivot, by exp_se3."""
    corners, _, direction, _ = triangles(random)
    pivot = np.array([0.1, -0.2, 3.5])
    d = vector(direction)

    def depth(p):
        rotation, shift = (array(part) for part in exp_se3(Vec3(*p[:3]), Vec3(*p[3:])))
        a, b, c = (corners - pivot) @ rotation.T + shift + pivot
        normal = np.cross(b - a, c - a)
        return np.sum(normal * a, axis=1) / np.sum(normal * direction, axis=1)

    normal, offset = plane_of_triangle(*(vector(corner) for corner in corners))
    clear = np.abs(normal.normalized().dot(d.normalized())) > 0.2
    dual = differentiate_plane(depth(np.zeros(6)), d, *move_plane(normal, offset, Vec3(*pivot)))
    assert set(dual.partials) == set(range(6)) and clear.sum() > 50
    for k in range(6):
        expected = slope_of(depth, np.zeros(6), k)[clear]
        np.testing.assert_allclose(dual.partials[k][clear], expected, rtol=1e-6, atol=1e-7)
    moved, moved_offset = move_plane(normal, offset, Vec3(*pivot), first_slot=4)
    assert set(moved.x.partials) == {8, 9} and set(moved_offset.partials) == set(range(4, 10))


# --- rigid motions


def twist_matrix(rho, phi):
    """The generator, 4 x 4, for scipy's expm."""
    x, y, z = phi
    zero = 0.0 * x
    rows = [[zero, -z, y, rho[0]], [z, zero, -x, rho[1]], [-y, x, zero, rho[2]], [zero, zero, zero, zero]]
    return np.array(rows)


ANGLES = [0.0, 1e-300, 1e-12, 1e-8, 1e-5, 1e-4, 1e-3, 0.1, 0.999999, 1.0, 1.000001, 2.0, np.pi, 4.0, 6.28318, 7.0]


@pytest.mark.parametrize("angle", ANGLES)
def test_exponential_map(random, angle):
    """Value and all six derivatives against scipy's expm, and complex steps through it."""
    axis = random.normal(size=3)
    phi, rho = angle * axis / np.linalg.norm(axis), random.normal(size=3)
    expected = expm(twist_matrix(rho, phi))
    rotation, shift = exp_se3(Vec3(*rho.tolist()), Vec3(*phi.tolist()))
    # (scipy squares its matrix where the angle is large, and loses a digit.)
    tolerance = 2e-15 if angle < 1.5 else 1e-13
    np.testing.assert_allclose(array(rotation), expected[:3, :3], rtol=0.0, atol=tolerance)
    np.testing.assert_allclose(array(shift), expected[:3, 3], rtol=0.0, atol=5.0 * tolerance)
    np.testing.assert_allclose(array(rotation @ rotation.transpose()), np.eye(3), atol=3e-15)

    seeds = [seed(p, k) for k, p in enumerate(np.concatenate([rho, phi]))]
    rotation, shift = exp_se3(Vec3(*seeds[:3]), Vec3(*seeds[3:]))
    assert not any(k in element.partials for row in rotation for element in row for k in range(3))
    for k in range(6):
        moved = np.concatenate([rho, phi]).astype(complex)
        moved[k] += 1e-25j
        derivative = np.imag(expm(twist_matrix(moved[:3], moved[3:]))) / 1e-25
        mine = array(partial_of(rotation, k))
        np.testing.assert_allclose(mine, derivative[:3, :3], rtol=0.0, atol=20.0 * tolerance)
        np.testing.assert_allclose(array(partial_of(shift, k)), derivative[:3, 3], rtol=0.0, atol=50.0 * tolerance)


def test_exponential_map_at_rest_is_the_generator():
    zero = Vec3(*(seed(0.0, k) for k in range(3)))
    turn = Vec3(*(seed(0.0, k + 3) for k in range(3)))
    rotation, shift = exp_se3(zero, turn)
    assert np.array_equal(array(rotation), np.eye(3)) and np.array_equal(array(shift), np.zeros(3))
    for k in range(3):
        axis = np.eye(3)[k]
        assert np.array_equal(array(partial_of(shift, k)), axis)
        assert np.array_equal(array(partial_of(rotation, k + 3)), array(Mat3.skew(Vec3(*axis))))


def test_exponential_map_of_many_at_once(random):
    """An array of twists, small and large together: the branch that is not taken leaves no trace."""
    phi = random.normal(size=(COUNT, 3)) * np.logspace(-9, 0.5, COUNT)[:, None]
    phi[0] = 0.0
    rho = random.normal(size=(COUNT, 3))
    turn = Vec3(*(seed(phi[:, k], k) for k in range(3)))
    rotation, shift = exp_se3(vector(rho), turn)
    for i in range(0, COUNT, 20):
        expected = expm(twist_matrix(rho[i], phi[i]))
        np.testing.assert_allclose(array(rotation)[i], expected[:3, :3], atol=1e-14)
        np.testing.assert_allclose(array(shift)[i], expected[:3, 3], atol=1e-14)
    for k in range(3):
        assert np.all(np.isfinite(array(partial_of(rotation, k))))


# --- camera and outputs


def test_pinhole_direction():
    """The inverse of the projection, with its derivative by the intrinsics."""
    direction = pinhole_direction(100.0, 50.0, *(seed(p, k) for k, p in enumerate((400.0, 300.0, 320.0, 240.0))))
    point = 2.5 * array(direction)
    assert 400.0 * point[0] / point[2] + 320.0 == pytest.approx(100.0)
    assert 300.0 * point[1] / point[2] + 240.0 == pytest.approx(50.0)
    assert direction.z == 1.0
    assert direction.x.partials == pytest.approx({0: 220.0 / 400.0**2, 2: -1.0 / 400.0})
    assert direction.y.partials == pytest.approx({1: 190.0 / 300.0**2, 3: -1.0 / 300.0})


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.name)
def test_outputs(output):
    """What each output shows of a plane, and its derivative by the depth and the plane's normal."""

    def show(z, n):
        """Independently, in NumPy: the point, and the unit normal towards the camera."""
        point = z * np.array([0.3, -0.4, 1.0])
        unit = n / np.linalg.norm(n) * (-1.0 if n @ point > 0.0 else 1.0)
        shown = {
            "distance": [np.linalg.norm(point)],
            "depth": [point[2]],
            "mask": [1.0],
            "normal": unit,
            "shade": [-unit @ point / np.linalg.norm(point)],
        }
        return np.array(shown[output.name])

    direction = Vec3(0.3, -0.4, 1.0)
    p0 = np.array([2.0, 0.2, 0.5, 1.5])
    z, *n = (seed(p, k) for k, p in enumerate(p0))
    asked = []

    def normal():
        asked.append(True)
        return normal_plane(direction, Vec3(*n))

    channels = output.function(direction, z, normal)
    assert len(channels) == output.channels and bool(asked) == output.uses_normal
    np.testing.assert_allclose([value_of(c) for c in channels], show(p0[0], p0[1:]), rtol=1e-12)
    assert any(isinstance(c, Dual) and c.partials for c in channels) == output.has_partials
    for k in range(4):
        expected = slope_of(lambda p: show(p[0], p[1:]), p0, k)
        np.testing.assert_allclose([partial_of(c, k) for c in channels], expected, rtol=1e-7, atol=1e-9)
