"""Random small scenes: the renderer against the ray caster, and against itself."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import renderer as oracle
from renderer_cases import CUBE, OCTAHEDRON, OUTPUTS, ball_mesh, everything, pose

import diffrt_aot as dr

pytestmark = pytest.mark.every_device

FEW = settings(max_examples=25, deadline=None, derandomize=True, database=None)

coordinates = st.floats(-4.0, 4.0, width=32)
sizes = st.floats(0.25, 3.0, width=32)
points = st.tuples(coordinates, coordinates, st.floats(-3.0, 12.0, width=32))
rotations = st.tuples(*[st.floats(-3.0, 3.0, width=32)] * 3)
spheres = st.builds(dr.Sphere, points, sizes)
planes = st.builds(
    dr.Plane, points, st.tuples(*[st.floats(-1.0, 1.0, width=32)] * 3).filter(lambda n: np.linalg.norm(n) > 0.1)
)
meshes = st.builds(
    lambda mesh, stretch, rotation, point: dr.Mesh(mesh[0] * np.array(stretch), mesh[1], pose(rotation, point)),
    st.sampled_from([CUBE, OCTAHEDRON, ball_mesh(1)]),
    st.tuples(sizes, sizes, sizes),
    rotations,
    points,
)
cameras = st.builds(
    lambda width, height, fx, fy, cx, cy, rotation, point: dr.PinholeCamera(
        width, height, fx, fy, cx * width, cy * height, pose(np.multiply(rotation, 0.1), np.multiply(point, 0.1))
    ),
    st.integers(1, 50),
    st.integers(1, 40),
    st.floats(5.0, 80.0),
    st.floats(5.0, 80.0),
    st.floats(-0.5, 1.5),
    st.floats(-0.5, 1.5),
    rotations,
    points,
)
shapes = st.lists(st.one_of(spheres, planes, meshes), min_size=1, max_size=5)
scenes = st.builds(lambda camera, listed: dr.Scene(camera, {f"s{k}": x for k, x in enumerate(listed)}), cameras, shapes)


def camera_is_clear_of(scene):
    """Whether the camera keeps off all surfaces: from a point on one there is nothing to agree on."""
    world = oracle.world_at(scene)
    origin = world.T_world_camera[:3, 3]
    gaps = [abs(np.linalg.norm(origin - center) - radius) for center, radius in world.spheres]
    gaps += [abs((origin - point) @ normal) for point, normal in world.planes]
    a = world.triangles[:, 0]
    normals = np.cross(world.triangles[:, 1] - a, world.triangles[:, 2] - a)
    gaps += list(np.abs(np.sum((origin - a) * normals, axis=1)) / np.linalg.norm(normals, axis=1))
    return min(gaps) > 0.02


@FEW
@given(scenes)
def test_images_are_the_ray_casters(scene):
    assume(camera_is_clear_of(scene))
    world = oracle.world_at(scene)
    hits, steady = oracle.trace(world), oracle.steady(world, 1e-3)
    image, J = dr.Renderer(scene, output=OUTPUTS, boundary="none").jacobian()
    assert np.array_equal(J.primitive_ids[steady], hits.ids[steady])
    seen = steady & (hits.ids >= 0) & (hits.cosine > 0.1)
    expected = oracle.image_of(hits, OUTPUTS)[seen]
    # A sphere's normal has the rounding of its center, up to 12 away, over its radius, down to 1/4; times 1 /
    # 0.1.
    assert np.all(np.abs(image[seen] - expected) <= 2e-4 * np.maximum(np.abs(expected), 1.0))


@FEW
@given(scenes, st.integers(0, 2**32 - 1))
def test_derivatives_are_those_of_the_ray_casters_image(scene, seed):
    """One random direction: J v against a central difference."""
    assume(camera_is_clear_of(scene))
    renderer = dr.Renderer(scene, free=everything(scene), output=OUTPUTS, boundary="none")
    theta, v = renderer.theta0, np.random.default_rng(seed).uniform(-1.0, 1.0, len(renderer.theta0))
    _, J = renderer.jacobian()
    h = 1e-6
    here, ahead, behind = (oracle.trace(oracle.world_at(scene, renderer.free, theta + k * h * v)) for k in (0, 1, -1))
    same = (here.ids >= 0) & (ahead.ids == here.ids) & (behind.ids == here.ids) & (here.cosine > 0.3)
    same &= oracle.steady(oracle.world_at(scene), 1e-3)
    difference = (oracle.image_of(ahead, OUTPUTS) - oracle.image_of(behind, OUTPUTS))[same] / (2 * h)
    terms = np.abs(J.dense()[same].astype(float)) @ np.abs(v)
    assert np.all(np.abs((J @ v)[same] - difference) <= 1e-4 * terms + 1e-5)


@FEW
@given(scenes, st.integers(0, 2**32 - 1))
def test_forms_of_the_derivative_agree(scene, seed):
    rng = np.random.default_rng(seed)
    names = everything(scene) + [
        f"{n}.vertices" for n, s in scene.shapes.items() if isinstance(s, dr.Mesh) and len(s.faces) < 20
    ]
    free = [name for name in rng.permutation(names) if rng.uniform() < 0.6]
    outputs = [str(o) for o in rng.permutation(OUTPUTS)[: rng.integers(1, 6)]]
    renderer = dr.Renderer(scene, free=free, output=outputs, boundary="none")
    image, J = renderer.jacobian()
    dense = J.dense().astype(float)
    v, w = rng.normal(size=J.shape[-1]), rng.normal(size=image.shape)
    assert np.array_equal(J.to_scipy().toarray(), J.dense().reshape(-1, J.shape[-1]))
    assert np.all(np.abs(J @ v - dense @ v) <= 1e-6 * (np.abs(dense) @ np.abs(v)) + 1e-30)
    assert abs(np.sum((J @ v) * w) - v @ (J.T @ w)) <= 1e-12 * np.sum(np.abs(w) * (np.abs(dense) @ np.abs(v))) + 1e-30

    observed = np.nan_to_num(image.astype(float), nan=1.0) + rng.normal(size=image.shape)
    equations = renderer.normal_equations(None, observed)
    kept = np.isfinite(image)
    rows, r = dense[kept], image[kept].astype(float) - observed.astype(np.float32)[kept]
    assert equations.count == kept.sum()
    assert abs(equations.cost - 0.5 * r @ r) <= 1e-5 * (r @ r)
    # Entry by entry, relative to the sum of the terms' sizes.
    assert np.all(
        np.abs(equations.g - rows.T @ r)
        <= 1e-5 * (np.abs(rows).T @ np.abs(r)) + 1e-6 * np.linalg.norm(rows) * np.linalg.norm(r)
    )
    assert np.all(
        np.abs(equations.H - rows.T @ rows) <= 1e-5 * (np.abs(rows).T @ np.abs(rows)) + 1e-6 * np.sum(rows**2)
    )


@FEW
@given(scenes, st.integers(0, 15), st.integers(0, 15))
def test_cropping_shifts_the_image(scene, left, top):
    """A camera with its principal point moved by whole pixels sees a window of the same image."""
    camera = scene.camera
    window = camera.replace(
        width=camera.width + left, height=camera.height + top, cx=camera.cx + left, cy=camera.cy + top
    )
    world = oracle.world_at(scene)
    hits, steady = oracle.trace(world), oracle.steady(world, 1e-3)
    image = dr.Renderer(scene, output="depth", boundary="none").render()
    larger = dr.Renderer(scene.replace(camera=window), output="depth", boundary="none").render()[top:, left:]
    assert np.array_equal(np.isnan(larger[steady]), np.isnan(image[steady]))
    seen = steady & (hits.cosine > 0.1)
    assume(camera_is_clear_of(scene))
    np.testing.assert_allclose(larger[seen], image[seen], rtol=1e-5)


@FEW
@given(scenes)
def test_order_of_the_shapes_does_not_matter(scene):
    backwards = dr.Scene(scene.camera, dict(reversed(scene.shapes.items())))
    hits, steady = oracle.trace(oracle.world_at(scene)), oracle.steady(oracle.world_at(scene), 1e-4)
    a, b = (dr.Renderer(s, output=OUTPUTS, boundary="none").render() for s in (scene, backwards))
    seen = steady & (hits.ids >= 0)
    distances = hits.channels["distance"][seen]
    assume(len(np.unique(distances)) == len(distances))
    assert np.array_equal(a[steady], b[steady], equal_nan=True)
