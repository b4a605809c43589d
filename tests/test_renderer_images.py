"""Images against the ray caster: every scene of renderer_cases, every output, at theta0 and away from it."""

import numpy as np
import pytest
from oracles import renderer as oracle
from renderer_cases import CAMERA, CASES, CUBE, INTRINSICS, OUTPUTS, pose, traced

import diffrt_aot as dr

pytestmark = pytest.mark.every_device

EVERY = pytest.mark.parametrize("name", CASES)
BOTH = pytest.mark.parametrize("which", [0, 1], ids=["theta0", "moved"])

# Roundings (of 2^-23) in a value, relative to it or to 1, times the cosine between ray and normal: a shift of
# the surface by one rounding moves the hit by one over the cosine, and turns a sphere's normal by that times
# distance over radius, which is 4 in most of the scenes and up to 12.
ROUNDING = float(np.finfo(np.float32).eps)
ROUNDINGS = {"distance": 4, "depth": 4, "mask": 0, "normal": 32, "shade": 32}
PER_CHANNEL = np.repeat([ROUNDINGS[name] for name in OUTPUTS], [oracle.CHANNELS[name] for name in OUTPUTS])


@EVERY
@BOTH
def test_image_is_the_ray_casters(name, which):
    case = CASES[name]
    hits, steady = traced(name, which)
    expected = oracle.image_of(hits, OUTPUTS)
    image = dr.Renderer(case.scene, free=case.free, output=OUTPUTS, boundary="none").render(case.thetas()[which])
    assert image.shape == expected.shape and image.dtype == np.float32

    assert np.array_equal(np.isnan(image[steady]), np.isnan(expected[steady]))
    seen = steady & (hits.ids >= 0)
    size = np.maximum(np.abs(expected[seen]), 1.0)
    error = np.abs(image[seen] - expected[seen]) * hits.cosine[seen][:, None] / size
    assert np.all(error <= ROUNDING * PER_CHANNEL * case.amplify), error.max(axis=0) / ROUNDING
    assert np.array_equal(image[steady & (hits.ids < 0)][:, 2:], np.zeros((np.sum(steady & (hits.ids < 0)), 5)))


def test_few_pixels_are_excused():
    """The comparison above leaves out pixels whose centre is at an edge. They are few, or it would prove nothing."""
    for name in CASES:
        for which in (0, 1):
            steady = traced(name, which)[1]
            assert np.sum(~steady) <= 0.01 * steady.size


@EVERY
@BOTH
def test_primitive_ids_are_the_ray_casters(name, which):
    case = CASES[name]
    hits, steady = traced(name, which)
    _, J = dr.Renderer(case.scene, free=case.free, boundary="none").jacobian(case.thetas()[which])
    assert J.primitive_ids.dtype == np.int32
    assert np.array_equal(J.primitive_ids[steady], hits.ids[steady])


@EVERY
def test_outputs_alone_are_those_of_the_list(name):
    case = CASES[name]
    theta = case.thetas()[1]
    together = dr.Renderer(case.scene, free=case.free, output=OUTPUTS, boundary="none").render(theta)
    for output, channels in zip(OUTPUTS, np.split(together, [1, 2, 3, 6], axis=2), strict=True):
        alone = dr.Renderer(case.scene, free=case.free, output=output, boundary="none").render(theta)
        assert alone.shape == (channels.shape if output == "normal" else channels.shape[:2])
        assert np.array_equal(alone, channels.reshape(alone.shape), equal_nan=True)
    some = dr.Renderer(case.scene, free=case.free, output=["shade", "normal", "depth"], boundary="none").render(theta)
    assert np.array_equal(some, together[:, :, [6, 3, 4, 5, 1]], equal_nan=True)


@pytest.mark.parametrize(
    ("outputs", "background", "missed"),
    [
        ("distance", None, [np.nan]),
        ("depth", 0.0, [0.0]),
        ("depth", -3, [-3.0]),
        ("depth", np.nan, [np.nan]),
        ("mask", None, [0.0]),
        ("normal", 0.5, [0.5] * 3),
        (["depth", "mask", "normal"], None, [np.nan, 0.0, 0.0, 0.0, 0.0]),
        (["depth", "mask", "normal"], 7.0, [7.0] * 5),
        (["depth", "mask", "normal"], [9.0, None, np.nan], [9.0, 0.0, np.nan, np.nan, np.nan]),
        (["depth", "mask", "normal"], np.array([1, 2, 3]), [1.0, 2.0, 3.0, 3.0, 3.0]),
    ],
)
@pytest.mark.parametrize("name", ["sphere", "rigid mesh", "nothing to see"])
def test_background(name, outputs, background, missed):
    case = CASES[name]
    image = dr.Renderer(case.scene, output=outputs, background=background, boundary="none").render()
    plain = dr.Renderer(case.scene, output=outputs, boundary="none").render()
    hits, steady = traced(name, 0)
    away = steady & (hits.ids < 0)
    channels = len(missed)
    expected = np.broadcast_to(np.array(missed, np.float32), (away.sum(), channels))
    assert away.any() and np.array_equal(image[away].reshape(-1, channels), expected, equal_nan=True)
    assert np.array_equal(image[hits.ids >= 0], plain[hits.ids >= 0])


@EVERY
def test_the_jacobian_comes_with_the_same_image(name):
    case = CASES[name]
    renderer = dr.Renderer(case.scene, free=case.free, output=OUTPUTS, boundary="none")
    for theta in case.thetas():
        assert np.array_equal(renderer.jacobian(theta)[0], renderer.render(theta), equal_nan=True)


@EVERY
def test_scene_at_theta_is_what_is_rendered(name):
    """A scene that was moved once and for all looks like the scene that is moved by theta."""
    case = CASES[name]
    theta = case.thetas()[1]
    moved = dr.Renderer(case.scene, free=case.free, boundary="none").scene_at(theta)
    hits, steady = traced(name, 1)
    at_rest = oracle.trace(oracle.world_at(moved))
    assert np.array_equal(at_rest.ids[steady], hits.ids[steady])
    seen = steady & (hits.ids >= 0) & (hits.cosine > 0.1)
    for output in OUTPUTS:  # scene_at works in float64
        there, here = at_rest.channels[output][seen], hits.channels[output][seen]
        assert np.all(np.abs(there - here) <= 1e-11 * case.amplify * np.maximum(np.abs(here), 1.0))


@pytest.mark.parametrize("gap", [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-6])
@pytest.mark.parametrize("side", [-1, 1], ids=["inside", "outside"])
@pytest.mark.parametrize("toward", [(0, 0, 1), (0, 1, 0), (0.6, 0.48, 0.64), (0, 0, -1)], ids=str)
def test_camera_near_the_surface_of_a_sphere(gap, side, toward):
    """Neither root may cancel: the far side of a sphere is as exact from just inside as from its centre."""
    camera = dr.PinholeCamera(21, 17, 9, 9, 10.2, 8.1)
    scene = dr.Scene(camera, {"ball": dr.Sphere((10 + side * gap) * np.array(toward), 10.0)})
    world = oracle.world_at(scene)
    hits, steady = oracle.trace(world), oracle.steady(world, 1e-3)
    image = dr.Renderer(scene, boundary="none").render()
    seen = steady & (hits.ids >= 0)
    assert np.array_equal(np.isfinite(image[steady]), hits.ids[steady] >= 0)
    # The center, 10 away, is rounded, and with it the distance to a surface that is only `gap` away.
    distance = hits.channels["distance"][seen][:, 0]
    tolerance = 4 * ROUNDING * np.maximum(distance, 10.0) / hits.cosine[seen]
    assert np.all(np.abs(image[seen] - distance) <= tolerance)


def test_camera_on_the_surface_of_a_sphere_is_inside():
    scene = dr.Scene(CAMERA, {"ball": dr.Sphere((0, 0, 10), 10.0)})
    image = dr.Renderer(scene, output="depth", boundary="none").render()
    v, u = np.mgrid[0 : CAMERA.height, 0 : CAMERA.width]
    square = ((u - CAMERA.cx) / CAMERA.fx) ** 2 + ((v - CAMERA.cy) / CAMERA.fy) ** 2 + 1
    np.testing.assert_allclose(image, 20.0 / square, rtol=1e-5)


@pytest.mark.parametrize("normal", [(1, 0, 1), (2, 1, -2), (0, 1, 0), (0, 1, 1e-7), (1, -1, 1e-9)], ids=str)
def test_plane_whose_horizon_runs_through_pixel_centres(normal):
    """Pixels on the horizon see the plane very far away or not at all, but never turn J or a sum into NaN."""
    plane = dr.Plane(np.multiply(normal, 2.8), normal)
    for focal in range(5, 45):
        scene = dr.Scene(dr.PinholeCamera(48, 9, focal, focal + 3, 47, 4), {"floor": plane})
        free = ["floor.point", "floor.normal", "camera.pose", *INTRINSICS]
        renderer = dr.Renderer(scene, free=free, output=["distance", "shade", "normal"], boundary="none")
        image, J = renderer.jacobian()
        assert np.all(np.isfinite(J.dense()))
        equations = renderer.normal_equations(None, np.ones_like(image))
        assert np.all(np.isfinite(equations.H)) and np.all(np.isfinite(equations.g)) and np.isfinite(equations.cost)


def test_degenerate_triangles_are_skipped_and_counted():
    case = CASES["degenerate triangles"]
    renderer = dr.Renderer(case.scene, free=case.free, boundary="none")
    assert renderer.warnings == ["3 of 15 triangles have no area and are skipped"]
    clean = dr.Scene(case.scene.camera, {"cube": dr.Mesh(*CUBE, case.scene.shapes["cube"].T_world_mesh)})
    assert np.array_equal(renderer.render(), dr.Renderer(clean, boundary="none").render(), equal_nan=True)
    assert dr.Renderer(clean, boundary="none").warnings == []


def test_triangle_that_theta_opens_is_seen():
    """A triangle that has no area in the scene has one at another theta, if its vertices are free."""
    flat = dr.Mesh([[0, 0, 5], [1, 0, 5], [0.5, 0, 5.0]], [[0, 1, 2]])
    renderer = dr.Renderer(dr.Scene(CAMERA, {"sail": flat}), free=["sail.vertices"], output="depth", boundary="none")
    theta = renderer.theta0.copy()
    theta[7] = 1.0
    opened = dr.Renderer(renderer.scene_at(theta), output="depth", boundary="none").render()
    assert np.isfinite(opened).any() and not np.isfinite(renderer.render()).any()
    assert np.array_equal(renderer.render(theta), opened, equal_nan=True)


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1e3, 1e6], ids=str)
def test_units_do_not_matter(unit):
    """A scene in micrometres looks like the same scene in metres."""
    case = CASES["overlapping shapes"]
    scaled = {}
    for name, shape in case.scene.shapes.items():
        if isinstance(shape, dr.Sphere):
            scaled[name] = dr.Sphere(shape.center * unit, shape.radius * unit)
        elif isinstance(shape, dr.Plane):
            scaled[name] = dr.Plane(shape.point * unit, shape.normal)
        else:
            T = shape.T_world_mesh @ np.diag([1.0, 1, 1, 1])
            T[:3, 3] *= unit
            scaled[name] = dr.Mesh(shape.vertices * unit, shape.faces, T)
    image = dr.Renderer(dr.Scene(case.scene.camera, scaled), output=OUTPUTS, boundary="none").render()
    hits, steady = traced("overlapping shapes", 0)
    expected = oracle.image_of(hits, OUTPUTS) * np.array([unit, unit, 1, 1, 1, 1, 1])
    seen = steady & (hits.ids >= 0)
    size = np.maximum(np.abs(expected[seen]), np.array([unit, unit, 1, 1, 1, 1, 1]))
    error = np.abs(image[seen] - expected[seen]) * hits.cosine[seen][:, None] / size
    assert np.all(error <= ROUNDING * PER_CHANNEL)


def test_of_coincident_surfaces_the_first_is_seen():
    wall = dr.Plane((0, 0, 5), (0, 0, 1))
    square = dr.Mesh(
        [[-9, -9, 0], [9, -9, 0], [9, 9, 0], [-9, 9, 0]], [[0, 1, 2], [0, 2, 3]], pose(translation=(0, 0, 5))
    )
    _, J = dr.Renderer(dr.Scene(CAMERA, {"square": square, "other": wall, "wall": wall}), boundary="none").jacobian()
    assert np.all(J.primitive_ids == 0)
