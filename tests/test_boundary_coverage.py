"""Coverage of pixels and its derivative: against areas that are integrated exactly, and what follows from them."""

from functools import cache

import numpy as np
import pytest
from boundary_cases import (
    BALL,
    BALL_NAMES,
    BOTH,
    BOX,
    CAMERA,
    CAMERA_NAMES,
    COLUMN,
    COVERAGE,
    GEM,
    ROTATED,
    Rendered,
    block_sizes,
    view,
)
from oracles import coverage, supersampled
from renderer_cases import OCTAHEDRON, ball_mesh, pose

import diffrt_aot as dr

pytestmark = pytest.mark.every_device

GEM_NAMES = ["gem.vertices", "gem.pose", *CAMERA_NAMES]


def pixel_ball(u, v, radius, z=6.0):
    """A sphere `radius` px in radius with its centre near pixel (u, v)."""
    x, y = (u - CAMERA.cx) / CAMERA.fx * z, (v - CAMERA.cy) / CAMERA.fy * z
    return dr.Sphere((x, y, z), radius * z / CAMERA.fx)


SPHERES = {
    "in view": view({"ball": BALL}, [*BALL_NAMES, *CAMERA_NAMES]),
    "camera rotated": view({"ball": BALL}, [*BALL_NAMES, *CAMERA_NAMES], ROTATED),
    "cut by two sides of the image": view({"ball": pixel_ball(3.0, 2.0, 6.3)}, [*BALL_NAMES, *CAMERA_NAMES]),
    "larger than the image": view({"ball": pixel_ball(21.0, 16.0, 22.4)}, [*BALL_NAMES, *CAMERA_NAMES]),
    "wide angle": view(
        {"ball": dr.Sphere((2.1, 1.2, 2.2), 0.9)}, [*BALL_NAMES, *CAMERA_NAMES], CAMERA.replace(fx=14.0, fy=15.0)
    ),
    "within one pixel": view({"ball": pixel_ball(20.1, 13.05, 0.31)}, BALL_NAMES),
    "small, on a side": view({"ball": pixel_ball(20.48, 13.1, 0.31)}, BALL_NAMES),
    "small, on a corner": view({"ball": pixel_ball(20.52, 13.47, 0.31)}, BALL_NAMES),
    "a pixel and its neighbours": view({"ball": pixel_ball(20.1, 13.05, 0.73)}, BALL_NAMES),
}
MESHES = {
    "box": view({"box": BOX}, ["box.pose", *CAMERA_NAMES]),
    "box, camera rotated": view({"box": BOX}, ["box.pose", *CAMERA_NAMES], ROTATED),
    "free vertices": view({"gem": GEM}, GEM_NAMES),
    "free vertices, camera rotated": view({"gem": GEM}, GEM_NAMES, ROTATED),
    "cut by the image": view(
        {"gem": GEM.replace(T_world_mesh=pose((0.3, -0.4, 0.2), (2.3, 1.5, 6.0)))}, ["gem.vertices", "gem.pose"]
    ),
    "smaller than a pixel": view(
        {"gem": dr.Mesh(OCTAHEDRON[0] * 0.05, OCTAHEDRON[1], pose((0.3, -0.4, 0.2), (0.43, -0.2, 6.0)))},
        ["gem.vertices", "gem.pose"],
    ),
    "one triangle": view(
        {"sail": dr.Mesh([[-0.9, -0.8, 5.8], [1.0, -0.3, 6.3], [0.2, 1.1, 5.5]], [[0, 1, 2]])},
        ["sail.vertices", "sail.pose", "camera.pose"],
    ),
    "pebble": view(
        {"pebble": dr.Mesh(*ball_mesh(2, 1.3), pose((0.1, 0.2, 0.3), (0.4, -0.2, 6.0)))},
        ["pebble.pose", "camera.focal"],
    ),
}
SHOWN = {**{f"sphere, {n}": v for n, v in SPHERES.items()}, **{f"mesh, {n}": v for n, v in MESHES.items()}}
EVERY = pytest.mark.parametrize("name", SHOWN)


def integrated(world):
    """(H, W), the coverage of the one sphere or the one convex mesh of a world, exactly."""
    if world.spheres:
        return coverage.sphere_coverage(world)
    return coverage.polygon_coverage(coverage.hull_of_mesh(world), world.size)


def area(world):
    """The area [px^2] of its silhouette, in closed form."""
    if world.spheres:
        return coverage.sphere_area(*coverage.in_camera(world), world.K[0, 0], world.K[1, 1])
    return coverage.polygon_area(coverage.hull_of_mesh(world))


def differences(shown, image):
    """Central differences with steps that move edges by 1e-5 px: exact to 1e-8."""
    return coverage.differences(shown.scene, shown.free, shown.theta0, 1e-5 * shown.pixel_steps(), image)


def wholly_seen(world):
    around = integrated(world)
    return not (around[0].any() or around[-1].any() or around[:, 0].any() or around[:, -1].any())


# The oracles themselves.


@pytest.mark.every_device(False)
@pytest.mark.parametrize("name", [name for name in SHOWN if "pebble" not in name])
def test_integrated_coverage_is_the_mean_of_many_rays(name):
    world = SHOWN[name].world()
    expected = supersampled.image(world, ["mask"], [0.0], supersampled.grid(10))[..., 0]
    assert np.abs(integrated(world) - expected).max() < 0.06
    assert abs(integrated(world).sum() - expected.sum()) < 2e-3 * max(expected.sum(), 20.0)
    if wholly_seen(world):
        assert integrated(world).sum() == pytest.approx(area(world), rel=1e-11)


@pytest.mark.every_device(False)
@pytest.mark.parametrize("output", ["distance", "depth", "shade"])
def test_integrated_images_are_means_of_many_rays(output):
    world = SPHERES["in view"].world()
    expected = supersampled.image(world, [output], [9.0], supersampled.grid(16))[..., 0]
    error = coverage.sphere_image(world, output, 9.0) - expected
    assert np.abs(error).max() < 0.03 * 9.0 and abs(error.sum()) < 1e-3 * expected.sum()


@cache
def integrated_columns(name):
    """(H, W, P)."""
    return differences(SHOWN[name], integrated)


# Closed forms.


@BOTH
@EVERY
def test_mask_is_the_integrated_coverage(name, by):
    shown = SHOWN[name]
    mask = Rendered(by, shown, ["mask"]).render()[..., 0]
    assert np.abs(mask - integrated(shown.world())).max() <= COVERAGE[by]


@BOTH
@EVERY
def test_columns_are_those_of_the_integrated_coverage(name, by):
    """Entry by entry, relative to the largest entry of the column's block."""
    shown = SHOWN[name]
    expected = integrated_columns(name)
    _, J = Rendered(by, shown, ["mask"]).jacobian()
    error = np.abs(J[:, :, 0] - expected).max(axis=(0, 1))
    sizes = block_sizes(shown, expected)
    assert np.all(error <= COLUMN[by] * sizes), error / sizes


@BOTH
@pytest.mark.parametrize("name", [name for name, shown in SHOWN.items() if wholly_seen(shown.world())])
def test_sum_of_a_column_is_the_derivative_of_the_area(name, by):
    shown = SHOWN[name]
    expected = differences(shown, lambda world: np.array(area(world)))
    _, J = Rendered(by, shown, ["mask"]).jacobian()
    # Columns that move the silhouette as a whole sum to nothing: what rounding leaves is relative to all they add up.
    terms = block_sizes(shown, np.abs(J).sum(axis=(0, 1, 2))[None])
    assert np.all(np.abs(J.sum(axis=(0, 1, 2)) - expected) <= 1e-4 * np.maximum(np.abs(expected), terms))


@pytest.mark.every_device(False)
def test_area_of_a_sphere_by_complex_steps():
    """The closed form that the sums are compared with, against its own complex step."""
    shown = SPHERES["in view"]
    expected = differences(shown, lambda world: np.array(area(world)))[:4]
    center, radius = coverage.in_camera(shown.world())
    step = 1e-30j
    moved = [coverage.sphere_area(center + step * axis, radius, CAMERA.fx, CAMERA.fy) for axis in np.eye(3)]
    moved.append(coverage.sphere_area(center, radius + step, CAMERA.fx, CAMERA.fy))
    np.testing.assert_allclose(expected, [m.imag / 1e-30 for m in moved], rtol=1e-7, atol=1e-7 * abs(expected).max())


# What a mask cannot see.


def scaling(shown):
    """The direction in theta that scales the one shape about the camera's centre."""
    camera = shown.scene.camera
    direction = np.zeros(len(shown.theta0))
    (shape,) = shown.scene.shapes.values()
    if isinstance(shape, dr.Sphere):
        assert shown.free[:2] == BALL_NAMES
        direction[:4] = [*(shape.center - camera.T_world_camera[:3, 3]), shape.radius]
    else:
        origin_mesh = np.linalg.solve(shape.T_world_mesh, camera.T_world_camera[:, 3])[:3]
        assert shown.free[0].endswith(".vertices")
        direction[: shape.vertices.size] = np.ravel(shape.vertices - origin_mesh)
    return direction


@BOTH
@pytest.mark.parametrize("name", [n for n, shown in SHOWN.items() if shown.free[0] != "box.pose" and "pebble" not in n])
def test_scaling_about_the_camera_changes_nothing(name, by):
    shown = SHOWN[name]
    direction = scaling(shown)
    _, J = Rendered(by, shown, ["mask"]).jacobian()
    norms = np.linalg.norm(J.reshape(-1, J.shape[-1]), axis=0) * np.abs(direction)
    assert norms.max() > 0.1
    assert np.linalg.norm(J @ direction) <= (1e-9 if by == "reference" else 1e-4) * norms.max()


# A sphere of many triangles is a sphere.

SUBDIVISIONS = [2, 3, 4, 5]


@pytest.fixture(scope="module")
def tessellated(device):
    """Columns by the three translations: of the sphere, and of ever finer meshes with their vertices on it."""

    def columns(shape, name):
        shown = view({"ball": shape}, [name])
        return Rendered("device", shown, ["mask", "distance"]).jacobian()[1][..., :3]

    sphere = columns(BALL, "ball.center")
    # Turned, so that no plane of symmetry of the mesh contains the camera: there silhouettes would be exact polygons.
    T, R = pose((0.3, 0.5, 0.2), BALL.center), pose((0.3, 0.5, 0.2))[:3, :3]
    # A pose's translations are along the axes of the mesh.
    meshes = [columns(dr.Mesh(*ball_mesh(n, BALL.radius), T), "ball.pose") @ R.T for n in SUBDIVISIONS]
    return sphere, meshes


@pytest.mark.parametrize("channel", [0, 1], ids=["mask", "distance"])
def test_columns_converge_to_those_of_the_sphere(tessellated, channel):
    """Facets are off by the square of their size, their normals and edges by their size: so are single pixels."""
    sphere, meshes = tessellated
    expected = sphere[:, :, channel]
    errors = [np.linalg.norm(mesh[:, :, channel] - expected) / np.linalg.norm(expected) for mesh in meshes]
    assert np.all(np.diff(np.log2(errors)) < -0.6), errors
    assert errors[-1] < (0.02 if channel == 0 else 0.1), errors


def test_sums_over_the_mask_converge_at_second_order(tessellated):
    """In sums over the silhouette errors of the edges' directions cancel: four times less with each subdivision."""
    sphere, meshes = tessellated
    v, u = np.mgrid[0 : CAMERA.height, 0 : CAMERA.width] / 20.0
    weights = np.stack([u, v, u * v, u**2, v**2, np.sin(u + v)])
    sums = [np.einsum("wij,ijk->wk", weights, columns[:, :, 0]) for columns in (sphere, *meshes)]
    errors = np.array([np.linalg.norm(s - sums[0]) / np.linalg.norm(sums[0]) for s in sums[1:]])
    slopes = -np.diff(np.log2(errors))
    assert np.all(np.abs(slopes - 2.0) < 0.6) and abs(slopes.mean() - 2.0) < 0.25, slopes
