"""Exact boundaries of awkward scenes: finite, within what there is to mix, repeatable; and J is the derivative."""

import numpy as np
import pytest
from boundary_cases import BACKGROUND, BOX, OUTPUTS, View, renderer
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import renderer as oracle
from renderer_cases import CUBE, OCTAHEDRON, ball_mesh, everything, pose
from test_renderer_properties import camera_is_clear_of, scenes
from test_renderer_repeatable import assert_same_bits, everything_of

import diffrt_aot as dr
from diffrt_aot.scene import free_sizes

pytestmark = pytest.mark.every_device

# A camera whose numbers are exact: borders of pixels at multiples of 1/32 of the tangent, the axis at a centre.
CAMERA = dr.PinholeCamera(24, 18, 32.0, 32.0, 12.0, 9.0)
BORDER = CAMERA.replace(cx=11.5, cy=8.5)
WALL = dr.Plane((0.0, 0.0, 8.0), (0.1, 0.2, -1.0))
FLOOR = dr.Plane((0.0, 1.0, 0.0), (0.0, -1.0, 0.0))
SLOPE = dr.Plane((0.0, 1.0, 5.0), (0.1, -2.0, -0.3))
FRONT = BOX.replace(T_world_mesh=pose(translation=(0.3, -0.2, 6.0)))
TRIANGLE = np.array([[-1.0, -0.8, 6.0], [1.1, -0.5, 6.5], [0.2, 0.9, 5.5]])
SPECKS = np.array([(i % 60, i // 60) for i in range(3000)]) * [0.07, 0.055] - [2.1, 1.4]


def spheres_of(centers, radius):
    return {f"s{k}": dr.Sphere((*center, 6.0), radius) for k, center in enumerate(centers)}


def one_mesh(vertices, faces, T=None):
    return {"m": dr.Mesh(np.array(vertices, dtype=float), faces, np.eye(4) if T is None else T), "wall": WALL}


def box(faces, translation=(0.3, -0.2, 6.0), scale=0.8):
    return one_mesh(CUBE[0] * scale, faces, pose((0.5, 0.7, -0.2), translation))


AWKWARD = {
    # Spheres and the camera.
    "camera inside a sphere": {"ball": dr.Sphere((0.3, -0.2, 0.5), 4.0)},
    "camera at a sphere's centre": {"ball": dr.Sphere((0.0, 0.0, 0.0), 3.0)},
    "sphere across the camera plane": {"ball": dr.Sphere((1.6, 0.3, 0.6), 1.5), "wall": WALL},
    "sphere tangent to the camera plane": {"ball": dr.Sphere((3.0, 0.5, 1.5), 1.5), "wall": WALL},
    "sphere beside the camera": {"ball": dr.Sphere((2.0, 0.0, 0.0), 1.5), "wall": WALL},
    "sphere touching the camera, ahead": {"ball": dr.Sphere((0.0, 0.0, 1.5), 1.5), "wall": WALL},
    "sphere touching the camera, aside": {"ball": dr.Sphere((1.5, 0.0, 0.0), 1.5), "wall": WALL},
    "sphere touching the camera, askew": {"ball": dr.Sphere((0.6, 0.0, 0.8), 1.0), "wall": WALL},
    "sphere all but touching the camera": {"ball": dr.Sphere((0.6, 0.0, 0.8), 1.0 - 1e-6), "wall": WALL},
    "sphere behind the camera": {"ball": dr.Sphere((0.1, 0.2, -5.0), 1.0), "wall": WALL},
    "sphere behind, and touching": {"ball": dr.Sphere((0.0, 0.0, -1.0), 1.0), "wall": WALL},
    "horizon of a huge sphere": {"earth": dr.Sphere((0.0, 2003.0, 30.0), 2000.0)},
    "concentric spheres": {"a": dr.Sphere((0.2, 0.1, 6.0), 1.0), "b": dr.Sphere((0.2, 0.1, 6.0), 1.0 + 1e-7)},
    "the same sphere twice": {"a": dr.Sphere((0.2, 0.1, 6.0), 1.0), "b": dr.Sphere((0.2, 0.1, 6.0), 1.0)},
    "spheres that touch": {"a": dr.Sphere((-0.7, 0.1, 6.0), 0.8), "b": dr.Sphere((0.9, 0.1, 6.0), 0.8)},
    "silhouettes that touch": {"a": dr.Sphere((0.0, 0.0, 6.0), 1.0), "b": dr.Sphere((0.0, 0.0, 12.0), 2.0)},
    "a speck": {"ball": dr.Sphere((0.31, 0.17, 6.0), 1e-3), "wall": WALL},
    "a speck of rounding": {"ball": dr.Sphere((0.31, 0.17, 6.0), 1e-7), "wall": WALL},
    "a speck on a corner of pixels": {"ball": dr.Sphere((0.5 / 32 * 6, 0.5 / 32 * 6, 6.0), 0.03), "wall": WALL},
    "thousands of specks": spheres_of(SPECKS, 0.02),
    "specks in one pixel": spheres_of(np.random.default_rng(0).uniform(-0.09, 0.09, (200, 2)), 0.02),
    # Planes.
    "plane through the camera": {"p": dr.Plane((0.0, 0.0, 0.0), (0.0, -1.0, 0.0))},
    "plane through the camera, askew": {"p": dr.Plane((0.3, 0.0, 0.6), (-0.8, 0.0, 0.4)), "wall": WALL},
    "plane all but through the camera": {"p": dr.Plane((0.0, 1e-6, 0.0), (0.1, -1.0, 0.05))},
    "camera plane": {"p": dr.Plane((0.0, 0.0, 0.0), (0.0, 0.0, -1.0)), "wall": WALL},
    "horizon through pixel centres": {"floor": FLOOR},
    "horizon on pixel borders": {"floor": FLOOR, "border": dr.Sphere((0.0, 0.2, 5.0), 0.5)},
    "two horizons": {"floor": FLOOR, "ceiling": dr.Plane((0.0, -1.3, 0.0), (0.0, 1.0, 0.0))},
    "two horizons that cross": {"a": FLOOR, "b": dr.Plane((0.0, 1.0, 0.0), (1.0, -1.0, 0.1))},
    "plane behind the camera": {"p": dr.Plane((0.0, 0.0, -3.0), (0.1, 0.1, -1.0))},
    "the same plane twice": {"a": SLOPE, "b": SLOPE},
    # Meshes and the camera.
    "camera inside a mesh": box(CUBE[1], (0.1, 0.1, 0.2), 2.0),
    "mesh across the camera plane": box(CUBE[1], (1.1, 0.7, 0.5)),
    "mesh behind the camera": box(CUBE[1], (0.1, 0.2, -5.0)),
    "vertices on the camera plane": one_mesh(CUBE[0] + [1.5, 0.0, 1.0], CUBE[1]),
    "edge through the camera": one_mesh(CUBE[0] + [1.0, 0.5, 1.0], CUBE[1]),
    "vertex at the camera": one_mesh(CUBE[0] + [1.0, 1.0, 1.0], CUBE[1]),
    "face in a plane through the camera": one_mesh(CUBE[0] + [1.0, 0.2, 6.0], CUBE[1]),
    "triangle seen edge-on": one_mesh([[-1, 0, 5], [1, 0, 5], [0, 0, 7]], [[0, 1, 2]]),
    "triangle all but edge-on": one_mesh([[-1, 1e-6, 5], [1, 0, 5], [0, 0, 7]], [[0, 1, 2]]),
    # Meshes in themselves.
    "one triangle": one_mesh(TRIANGLE, [[0, 1, 2]]),
    "one triangle, both ways round": one_mesh(TRIANGLE, [[0, 1, 2], [0, 2, 1]]),
    "a triangle with itself as a neighbour": one_mesh(TRIANGLE, [[0, 1, 2], [0, 1, 2], [1, 2, 0]]),
    "open mesh": box(CUBE[1][:9]),
    "duplicate faces": box(np.vstack([CUBE[1], CUBE[1]])),
    "every other face turned": box(np.where((np.arange(12) % 2 == 0)[:, None], CUBE[1], CUBE[1][:, ::-1])),
    "three faces at an edge": one_mesh(
        [[0, -1, 6], [0, 1, 6], [1, 0, 6.5], [-1, 0.1, 6.5], [0.2, 0, 5]], [[0, 1, 2], [1, 0, 3], [0, 1, 4]]
    ),
    "two tips that touch": one_mesh(
        [[0, 0, 6], [-1, -0.5, 6], [-1, 0.5, 6.2], [1, -0.5, 6], [1, 0.6, 5.7]], [[0, 1, 2], [0, 3, 4]]
    ),
    "random faces": one_mesh(
        np.random.default_rng(3).uniform([-1, -1, 5], [1, 1, 7], (12, 3)),
        np.random.default_rng(4).integers(0, 12, (40, 3)),
    ),
    "degenerate triangles": box(np.vstack([[[0, 0, 1], [2, 2, 2]], CUBE[1], [[3, 5, 3]]])),
    "only degenerate triangles": one_mesh(TRIANGLE, [[0, 0, 1], [2, 2, 2]]),
    "a sliver": one_mesh([[-1, 0.1, 6], [1, 0.2, 6], [0.3, 0.165001, 6]], [[0, 1, 2]]),
    "a triangle within a pixel": one_mesh(TRIANGLE * [0.02, 0.02, 1] + [0.05, 0.03, 0], [[0, 1, 2]]),
    "triangles smaller than pixels": one_mesh(*ball_mesh(4, 0.6), pose((0.3, 0.5, 0.2), (0.2, 0.1, 6.0))),
    "crumbs": one_mesh(
        (TRIANGLE * [0.03, 0.03, 0.1] + np.c_[SPECKS[::10], np.full(300, 5.0)][:, None]).reshape(-1, 3),
        np.arange(900).reshape(-1, 3),
    ),
    "flat as a plane": one_mesh(CUBE[0] * [0.8, 0.8, 1e-8], CUBE[1], pose((0.5, 0.7, -0.2), (0.3, -0.2, 6.0))),
    "in a wall": {"m": FRONT, "wall": dr.Plane((0, 0, 5.2), (0, 0, -1))},
    "the same mesh twice": {"a": BOX, "b": BOX},
    "on pixel borders": one_mesh(
        [[x / 32 * 6, y / 32 * 6, 6] for x, y in [(-5.5, -4.5), (5.5, -4.5), (5.5, 4.5), (-5.5, 4.5)]],
        [[0, 1, 2], [0, 2, 3]],
    ),
    "through pixel centres": one_mesh(
        [[x / 32 * 6, y / 32 * 6, 6] for x, y in [(-5, -4), (5, -4), (5, 4), (-5, 4)]], [[0, 1, 2], [0, 2, 3]]
    ),
    "nothing in view": one_mesh(CUBE[0], CUBE[1], pose(translation=(90, 0, 6))),
}  # fmt: skip
CAMERAS = {
    "horizon on pixel borders": BORDER,
    "camera inside a sphere": CAMERA.replace(T_world_camera=pose((0.3, 0.5, 0.1), (0.2, 0.3, 0.1))),
}
EVERY = pytest.mark.parametrize("name", AWKWARD)


def awkward(name, device="cpu"):
    """The scene, with all free: of those with very many numbers, a few.

    On other devices than the CPU hundreds of specks are enough: a driver that computes on the processor takes minutes
    for thousands.
    """
    shapes = AWKWARD[name]
    if name == "thousands of specks" and device != "cpu":
        shapes = dict(list(shapes.items())[::7])
    scene = dr.Scene(CAMERAS.get(name, CAMERA), shapes)
    free = dr.valid_free_names(scene)
    if sum(free_sizes(scene).values()) > 1000:
        free = [name for name in free if name in ("m.pose", "wall.point", "s7.center", "s406.radius", "camera.pose")]
    return View(scene, free)


def drawn(shown, outputs=OUTPUTS, background=None, **options):
    return renderer(shown, outputs, [BACKGROUND[o] for o in outputs] if background is None else background, **options)


def channels(image):
    """{output: (H, W, channels)}."""
    ends = np.cumsum([oracle.CHANNELS[output] for output in OUTPUTS])[:-1]
    return dict(zip(OUTPUTS, np.split(image, ends, axis=-1), strict=True))


def assert_within(image, scene):
    """Values that shapes or backgrounds may have; a sphere's at its very edge are those of a line drawn there."""
    parts = channels(image)
    assert parts["mask"].min() >= 0.0 and parts["mask"].max() <= 1.0
    assert np.abs(parts["normal"]).max() <= 1.0 + 1e-5
    assert parts["shade"].min() >= -2e-3 and parts["shade"].max() <= 1.0 + 1e-5
    world = oracle.world_at(scene)
    if len(world.planes) == 0:  # they have no end
        eye = world.T_world_camera[:3, 3]
        reaches = [np.linalg.norm(center - eye) + radius for center, radius in world.spheres]
        reaches += list(np.linalg.norm(world.triangles - eye, axis=-1).ravel())
        assert parts["distance"].max() <= max(max(reaches), BACKGROUND["distance"]) * (1 + 1e-4)
        assert np.all(parts["depth"] <= max(reaches) * (1 + 1e-4))
    assert parts["depth"].min() >= -1e-5 and parts["distance"].min() >= -1e-5


@EVERY
def test_finite_and_within_what_is_mixed(name, device):
    shown = awkward(name, device)
    given = drawn(shown)
    image, J = given.jacobian()
    assert np.all(np.isfinite(image)) and np.all(np.isfinite(J.dense()))
    assert_within(image, shown.scene)
    equations = given.normal_equations(None, image + np.float32(0.1))
    assert np.all(np.isfinite(equations.H)) and np.all(np.isfinite(equations.g)) and np.isfinite(equations.cost)


@EVERY
def test_no_value_only_where_there_is_none(name, device):
    """Backgrounds without a value: NaN are the pixels whose centre sees nothing, as without boundaries."""
    shown = awkward(name, device)
    outputs, background = ["distance", "mask", "depth"], [None, 0.0, None]
    image, J = drawn(shown, outputs, background).jacobian()
    plain = drawn(shown, outputs, background, boundary="none").render()
    assert np.array_equal(np.isnan(image), np.isnan(plain)) and np.all(np.isfinite(J.dense()))
    assert not np.any(J.dense()[np.isnan(image)])


@EVERY
def test_same_bits_for_any_number_of_threads(name, device):
    shown = awkward(name, device)
    given = drawn(shown, threads=1)
    expected = everything_of(given, given.theta0)
    for threads in (2, 3):
        given = drawn(shown, threads=threads)
        for _ in range(2):
            assert_same_bits(everything_of(given, given.theta0), expected)
    assert np.allclose(expected["render"], expected["image"], rtol=1e-4, atol=1e-4)


# The same scene in other units of length.


def scaled(scene, unit):
    """The scene with all its lengths `unit` times as large."""
    stretch = np.ones((4, 4))
    stretch[:3, 3] = unit

    def resized(shape):
        if isinstance(shape, dr.Sphere):
            return dr.Sphere(np.multiply(shape.center, unit), shape.radius * unit)
        if isinstance(shape, dr.Plane):
            return dr.Plane(np.multiply(shape.point, unit), shape.normal)
        return dr.Mesh(shape.vertices * unit, shape.faces, shape.T_world_mesh * stretch)

    camera = scene.camera.replace(T_world_camera=scene.camera.T_world_camera * stretch)
    return dr.Scene(camera, {name: resized(shape) for name, shape in scene.shapes.items()})


def lengths_of(scene, free):
    """(P,), which numbers of theta are lengths."""
    kinds = {"pose": [True] * 3 + [False] * 3, "normal": False, "focal": False, "principal": False}
    sizes = free_sizes(scene)
    return np.concatenate([np.ones(sizes[n], bool) & kinds.get(n.split(".")[1], True) for n in free])


UNITS = {
    "mixed": {
        "ball": dr.Sphere((-0.9, 0.4, 4.5), 0.6),
        "box": BOX,
        "gem": dr.Mesh(OCTAHEDRON[0], OCTAHEDRON[1], pose((0.3, -0.4, 0.2), (-0.5, -0.6, 5.8))),
        "floor": dr.Plane((0.5, 1.5, 5.0), (0.2, -2.0, -0.7)),
    },
    "sphere": {"ball": dr.Sphere((0.4, -0.2, 6.0), 1.3)},
    "sphere across the camera plane": AWKWARD["sphere across the camera plane"],
}


@pytest.mark.parametrize("unit", [1e-6, 1e6])
@pytest.mark.parametrize("name", UNITS)
def test_units_of_length_do_not_matter(name, unit):
    scene = dr.Scene(CAMERA.replace(T_world_camera=pose((0.02, 0.05, 0.1), (0.1, -0.2, 0.3))), UNITS[name])
    shown = View(scene, dr.valid_free_names(scene))
    backgrounds = np.array([BACKGROUND[output] for output in OUTPUTS])
    is_length = np.isin(OUTPUTS, ["distance", "depth"])
    image, J = drawn(shown).jacobian()
    other, columns = drawn(
        View(scaled(scene, unit), shown.free), background=list(backgrounds * np.where(is_length, unit, 1.0))
    ).jacobian()
    repeats = [oracle.CHANNELS[output] for output in OUTPUTS]
    values = np.where(np.repeat(is_length, repeats), unit, 1.0)
    steps = np.where(lengths_of(scene, shown.free), unit, 1.0)
    image, other = image.astype(float), other / values
    J, columns = J.dense().astype(float), columns.dense() / values[:, None] * steps
    sizes = np.abs(J).max(axis=(0, 1))
    # Rounding may put a vertex on the other side of a pixel's side: no more than a pixel or two.
    wrong = np.any(np.abs(other - image) > 1e-3 * np.maximum(np.abs(image), 1.0), axis=-1)
    wrong |= np.any(np.abs(columns - J) > 2e-3 * sizes + 1e-5, axis=(-1, -2))
    assert wrong.sum() <= 2
    assert np.mean(drawn(shown, boundary="none").render() != image) > 0.01


# J against differences of what is rendered, in scenes of any kind.


def differences(given, direction):
    """Central difference of render() along a direction, what rounding and bends make of it, and J's answer."""
    image, J = given.jacobian()
    here = image.astype(float)
    ahead, behind = (given.render(given.theta0 + sign * direction).astype(float) for sign in (1, -1))
    slope = np.sum(J.dense() * direction, axis=-1, dtype=float)
    return (ahead - behind) / 2, np.abs(ahead - 2 * here + behind), slope, np.abs(here)


def assert_derivative(given, direction, share):
    """At all pixels but a share of those that move: a vertex, a ridge or another silhouette enters or leaves."""
    difference, bend, slope, size = differences(given, direction)
    error = np.abs(difference - slope)
    tolerance = bend + 0.03 * np.abs(slope) + 2e-4 * np.maximum(size, 1.0)
    wrong = np.any(error > tolerance, axis=-1).sum()
    moving = np.any(np.maximum(np.abs(difference), np.abs(slope)) > 1e-3, axis=-1).sum()
    assert wrong <= 2 + share * moving, (wrong, moving)


SMOOTH = [
    "camera inside a sphere",
    "sphere across the camera plane",
    "sphere tangent to the camera plane",
    "a speck on a corner of pixels",
    "thousands of specks",
    "horizon through pixel centres",
    "two horizons",
    "camera inside a mesh",
    "mesh across the camera plane",
    "one triangle",
    "open mesh",
    "duplicate faces",
    "three faces at an edge",
    "two tips that touch",
    "a triangle within a pixel",
    "triangles smaller than pixels",
    "crumbs",
    "on pixel borders",
]


@pytest.mark.parametrize("name", SMOOTH)
def test_jacobian_is_the_derivative_of_the_awkward(name, device):
    shown = awkward(name, device)
    outputs = ["mask", "normal"]
    given = drawn(shown, outputs, [0.0, -1.0])
    assert_derivative(given, 0.02 * shown.direction(2), 0.05)


FEW = settings(max_examples=40, deadline=None, derandomize=True, database=None)


@FEW
@given(scenes, st.integers(0, 2**32 - 1))
def test_random_scenes(scene, seed):
    rng = np.random.default_rng(seed)
    free = [name for name in dr.valid_free_names(scene) if rng.random() < 0.7]
    rules = {name: str(rng.choice(["blend", "foreground", "none"])) for name in scene.shapes if rng.random() < 0.2}
    shown = View(scene, free)
    given = drawn(shown, rules=rules)
    image, J = given.jacobian()
    assert np.all(np.isfinite(image)) and np.all(np.isfinite(J.dense()))
    assert_within(image, scene)


@FEW
@given(scenes, st.integers(0, 2**32 - 1))
def test_jacobian_is_the_derivative_of_random_scenes(scene, seed):
    assume(camera_is_clear_of(scene))
    # Beside a horizon another plane's distance is steep: it is sampled there, at a point taken to stand still.
    assume(sum(isinstance(shape, dr.Plane) for shape in scene.shapes.values()) <= 1)
    shown = View(scene, everything(scene))
    given = drawn(shown, ["mask", "shade"], [0.0, 0.0])
    assert_derivative(given, 0.02 * shown.direction(seed), 0.05)


# Images that are hardly images, and nothing that is free.


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (16, 16), (17, 17), (33, 15)], ids=str)
def test_images_of_any_size(size):
    """Whatever is left of the same image: tiles and the image's border are nowhere to be seen."""
    scene = dr.Scene(CAMERA.replace(width=40, height=40), {**UNITS["mixed"]})
    free = ["ball.center", "box.pose", "gem.vertices", "floor.normal", "camera.principal"]
    part = dr.Scene(scene.camera.replace(width=size[0], height=size[1]), dict(scene.shapes))
    image, J = drawn(View(part, free)).jacobian()
    whole, columns = drawn(View(scene, free)).jacobian()
    assert np.array_equal(image, whole[: size[1], : size[0]])
    assert np.array_equal(J.dense(), columns.dense()[: size[1], : size[0]])


TILE = 16


@pytest.mark.parametrize("overlap", [0.02, 0.3, 0.49, 0.51, 0.98])
@pytest.mark.parametrize("shape", ["sphere", "mesh", "free vertices"])
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "over a wall"])
def test_what_hardly_enters_a_tile(shape, overlap, alone):
    """A silhouette that covers a little of the first pixels of a tile, and no centre in it."""
    edge = TILE - 0.5 + overlap
    camera = dr.PinholeCamera(2 * TILE, 20, 100.0, 100.0, 8.0, 10.0)
    if shape == "sphere":
        z, radius_px = 100.0, 5.0
        center = ((edge - radius_px - camera.cx) / 100 * z, 0.0, z)
        shapes, free = {"m": dr.Sphere(center, radius_px / 100 * z)}, ["m.center"]
    else:
        corners = [[(x - camera.cx) / 20, y / 20, 5.0] for x in (edge - 10, edge) for y in (-4.3, 4.2)]
        shapes = {"m": dr.Mesh(np.array(corners), [[0, 1, 3], [0, 3, 2]])}
        free = ["m.pose"] if shape == "mesh" else ["m.vertices"]
    if not alone:
        shapes["wall"] = dr.Plane((0, 0, 200.0), (0, 0, -1))
    outputs = ["mask" if alone else "distance"]
    given = drawn(View(dr.Scene(camera, shapes), free), outputs)
    image, J = given.jacobian()
    plain = drawn(View(dr.Scene(camera, shapes), free), outputs, boundary="none").render()
    changed = np.abs(image - plain)[:, TILE]
    assert changed.max() > 1e-4
    if not alone:
        return
    dense = J.dense()
    moved = dense[:, TILE, 0] if shape != "free vertices" else dense[:, TILE, 6] + dense[:, TILE, 9]
    assert moved.max() > 0.2
    if shape != "sphere":
        assert image[:, TILE].max() == pytest.approx(overlap, abs=1e-3)
        assert moved.max() == pytest.approx(20.0, rel=1e-3)
    equations = given.normal_equations(None, np.zeros_like(image))
    H = np.einsum("ijp,ijq->pq", dense, dense, dtype=float)
    np.testing.assert_allclose(equations.H, H, atol=1e-3 * np.abs(H).max())


@pytest.mark.parametrize("name", ["sphere", "mixed"])
def test_nothing_free(name):
    scene = dr.Scene(CAMERA, UNITS[name])
    image, J = drawn(View(scene, [])).jacobian()
    full, _ = drawn(View(scene, dr.valid_free_names(scene))).jacobian()
    np.testing.assert_allclose(image, full, rtol=1e-5, atol=1e-6)
    assert J.dense().shape == (*image.shape, 0)
    assert (J @ np.zeros(0)).shape == image.shape and not (J @ np.zeros(0)).any()
    assert (J.T @ np.ones(image.shape)).shape == (0,)
    equations = drawn(View(scene, [])).normal_equations(None, image + np.float32(1.0))
    assert equations.H.shape == (0, 0) and equations.cost == pytest.approx(0.5 * image.size, rel=1e-4)
