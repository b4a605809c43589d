"""Exact boundaries in scenes: images against means of many rays; awkward geometry; rules; and the issue's own scene."""

from functools import cache

import numpy as np
import pytest
from boundary_cases import (
    BACKGROUND,
    BALL,
    BOTH,
    BOX,
    CAMERA,
    COLUMN,
    COVERAGE,
    FLOOR,
    GEM,
    ROTATED,
    WALL,
    Rendered,
    block_sizes,
    crossed,
    objects_seen,
    renderer,
    sampled,
    view,
)
from oracles import coverage, supersampled
from oracles import renderer as oracle
from renderer_cases import CUBE, ball_mesh, pose

import diffrt_aot as dr

pytestmark = pytest.mark.every_device

OUTPUTS = ["mask", "distance", "depth", "shade"]

# Images against the mean of many rays. What is mixed is taken at the centroids of the parts: exact for the mask, and
# second order for what varies over the pixel.

NEAR_BALL = dr.Sphere((0.9, 0.3, 4.5), 0.6)
PAIR = {"near": dr.Sphere((-0.2, 0.3, 5.0), 0.9), "far": dr.Sphere((0.9, -0.3, 7.0), 1.3)}
BAR = dr.Mesh(CUBE[0] * [0.25, 2.0, 0.2], CUBE[1], pose((0.1, 0.2, 0.4), (0.5, -0.1, 5.0)))
OUTSIDE = {
    "ball": dr.Sphere((-2.4, -1.4, 6.0), 1.0),
    "box": BOX.replace(T_world_mesh=pose((0.5, 0.7, -0.2), (2.5, 1.7, 6.0))),
}
SCENES = {
    "sphere": view({"ball": BALL}, []),
    "two overlapping spheres": view(PAIR, []),
    "sphere over a plane": view({"ball": dr.Sphere((0.4, 0.1, 6.0), 1.0), "floor": FLOOR}, []),
    "box": view({"box": BOX}, []),
    "box over a plane": view({"box": BOX, "floor": dr.Plane((0.5, 1.7, 5.0), (0.2, -2.0, -0.3))}, []),
    "box before a wall, rotated": view({"box": BOX, "wall": dr.Plane((-2.0, 2.0, 9.5), (0.5, -0.3, 0.8))}, [], ROTATED),
    "occluder": view({"ball": dr.Sphere((0.4, -0.2, 8.0), 1.8), "wall": WALL, "bar": BAR}, []),
    "sphere before a gem": view({"gem": GEM, "ball": NEAR_BALL}, []),
    "cut by the image": view(OUTSIDE, []),
}


@cache
def means(name):
    """What rays see in the pixels of a scene that are crossed, and the shapes there."""
    seen = objects_seen(SCENES[name])
    pixels = np.any(seen != seen[..., :1], axis=-1)
    return pixels, seen[pixels], sampled(SCENES[name], OUTPUTS, pixels)


@BOTH
@pytest.mark.parametrize("name", SCENES)
def test_image_is_the_mean_of_many_rays(name, by):
    drawn = SCENES[name]
    image = Rendered(by, drawn, OUTPUTS).render()
    pixels, seen, found = means(name)
    shown, span = image[pixels], found.high - found.low
    # Within what is there to be mixed; rays do not reach quite to the ends of it. A plane up to its horizon has no mean
    # distance.
    slack = 0.05 * span + 2e-2
    horizon = np.isin(seen, [-1, plane_of(drawn)]).all(axis=1)[:, None] & np.array([False, True, True, False])
    assert np.all(((shown >= found.low - slack) & (shown <= found.high + slack)) | horizon)

    # Exact is the mean of two faces. Where three are seen, silhouettes meet or a ridge ends at one.
    error = np.where(horizon, 0.0, np.abs(shown - found.mean) / np.maximum(span, 0.1))
    two_shapes = np.array([len(np.unique(row)) == 2 for row in seen])
    two_faces = two_shapes & np.array([len(np.unique(row)) == 2 for row in found.ids])
    assert two_faces.sum() > 30 and np.mean(~two_shapes) <= 0.15 and np.mean(~two_faces) <= 0.5
    assert np.all(error[two_shapes][:, 0] <= 0.012)  # what counting rays is off by at worst
    assert np.all(error[two_faces] <= 0.05) and np.all(np.sqrt(np.mean(error[two_faces] ** 2, axis=0)) <= 0.015)
    assert np.all(error[~two_faces][:, :3] <= 0.3)


def plane_of(drawn):
    """The number of its plane among the shapes, as rays number them; spheres come first."""
    shapes = drawn.scene.shapes.values()
    planes = sum(isinstance(shape, dr.Plane) for shape in shapes)
    return sum(isinstance(shape, dr.Sphere) for shape in shapes) if planes else -1


@BOTH
@pytest.mark.parametrize("name", ["sphere over a plane", "occluder", "cut by the image"])
def test_other_pixels_are_as_without(name, by):
    """What no silhouette comes near is the value at the centre."""
    drawn = SCENES[name]
    near = crossed(drawn, reach=1.2)
    exact = Rendered(by, drawn, OUTPUTS).render()
    plain = Rendered(by, drawn, OUTPUTS, boundary="none").render()
    assert (~near).sum() > 500
    assert np.array_equal(exact[~near], plain[~near])


@BOTH
@pytest.mark.parametrize("output", ["distance", "depth", "shade"])
def test_a_sphere_is_the_integral_over_its_silhouette(output, by):
    """Its image ends in a root: pixels at the edge against the exact integral, relative to the jump."""
    drawn = view({"ball": BALL}, [])
    expected = coverage.sphere_image(drawn.world(), output, BACKGROUND[output])
    pixels = crossed(drawn)
    error = (Rendered(by, drawn, [output]).render()[..., 0] - expected)[pixels]
    scale = 1.0 if output == "shade" else abs(BACKGROUND[output] - BALL.center[2])
    assert np.abs(error).max() <= 1e-2 * scale and np.sqrt(np.mean(error**2)) <= 5e-3 * scale


# A sphere and its background have columns that can be integrated exactly, too.


@BOTH
def test_distance_columns_sum_to_those_of_the_integral(by):
    """Over the whole image: interior pixels are sampled at their centres, hence not exactly."""
    drawn = view({"ball": BALL}, ["ball.center", "ball.radius"])
    _, J = Rendered(by, drawn, ["distance"]).jacobian()
    expected = coverage.differences(
        drawn.scene, drawn.free, drawn.theta0, 1e-4 * np.ones(4), lambda w: coverage.sphere_image(w, "distance", 9.0)
    )
    sums = expected.sum(axis=(0, 1))
    np.testing.assert_allclose(J.sum(axis=(0, 1, 2)), sums, atol=1e-2 * np.abs(expected).sum(axis=(0, 1)).max())
    pixels = crossed(drawn)
    error = np.linalg.norm((J[:, :, 0] - expected)[pixels], axis=0) / np.linalg.norm(expected[pixels], axis=0)
    assert np.all(error <= 0.05)


COUPLED = {
    "two overlapping spheres": view(PAIR, ["near.center", "far.center"]),
    "sphere before a gem": view({"gem": GEM, "ball": NEAR_BALL}, ["ball.center"]),
    "sphere before a wall": view({"ball": BALL, "wall": WALL}, ["ball.center", "ball.radius", "wall.point"]),
}


@cache
def sampled_columns(name):
    """(N, C, P), of the pixels that are crossed: mask and depth."""
    drawn = COUPLED[name]
    background = [BACKGROUND[output] for output in ("mask", "depth")]
    return supersampled.differences(
        drawn.scene,
        drawn.free,
        drawn.theta0,
        0.05 * drawn.pixel_steps(),
        ["mask", "depth"],
        background,
        np.argwhere(crossed(drawn)),
        supersampled.lattice(17),
    )


@BOTH
@pytest.mark.parametrize("name", COUPLED)
def test_columns_are_differences_of_means_of_many_rays(name, by):
    """Entries are counted to some 5 % of the largest of the block; means over all pixels, better."""
    drawn = COUPLED[name]
    pixels = crossed(drawn)
    expected = sampled_columns(name)
    _, J = Rendered(by, drawn, ["mask", "depth"]).jacobian()
    for channel in range(2):
        sizes = block_sizes(drawn, expected[:, channel])
        error = (J[pixels][:, channel] - expected[:, channel]) / np.maximum(sizes, 1e-3)
        assert np.all(np.sqrt(np.mean(error**2, axis=0)) <= 0.07)
        assert np.all(np.abs(error.mean(axis=0)) <= 0.01)


# Awkward meshes.

RECTANGLES = {  # left, right, top, bottom [px]
    "on pixel borders": (9.5, 24.5, 6.5, 20.5),
    "through pixel centres": (9.0, 24.0, 6.0, 20.0),
    "anywhere": (9.27, 24.81, 6.64, 20.13),
    "on the image's border": (-0.5, 39.5, -0.5, 29.5),
    "beyond the image": (-7.5, 50.5, -0.5, 12.0),
    "within one pixel": (9.7, 10.2, 6.6, 7.3),
    "a thin bar": (3.2, 33.4, 12.1, 12.4),
    "a thin bar on a border": (3.2, 33.4, 12.2, 12.5),
}


def rectangle(left, right, top, bottom, z=5.0):
    camera = CAMERA.replace(fx=40.0, fy=40.0, cx=19.5, cy=14.5)
    pixels = np.array([[left, top], [right, top], [left, bottom], [right, bottom]])
    corners = np.column_stack([(pixels - [camera.cx, camera.cy]) / 40.0 * z, np.full(4, z)])
    return view({"sheet": dr.Mesh(corners, [[0, 1, 3], [0, 3, 2]])}, ["sheet.pose", "sheet.vertices"], camera)


@BOTH
@pytest.mark.parametrize("name", RECTANGLES)
def test_rectangles(name, by):
    left, right, top, bottom = RECTANGLES[name]
    drawn = rectangle(left, right, top, bottom)
    image, J = Rendered(by, drawn, ["mask"]).jacobian()
    polygon = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    expected = coverage.polygon_coverage(polygon, (40, 30))
    assert np.abs(image[..., 0] - expected).max() <= COVERAGE[by]
    assert np.all(np.isfinite(J))
    if left > 0 and right < 39 and top > 0 and bottom < 29:
        # An edge between two pixels belongs to one of them: which one is open, that it is there is not. Along z, the
        # area goes like 1 / z^2.
        width, height, per_unit = right - left, bottom - top, 40.0 / 5.0
        sums = J[:, :, 0, :3].sum(axis=(0, 1))
        tolerance = 2e-3 * max(1.0, 2 * width * height / 5.0)
        np.testing.assert_allclose(sums, [0, 0, -2 * width * height / 5.0], atol=tolerance)
        # The right edge alone: two vertices to the right.
        moved = J[:, :, 0, 6 + 3 * 1] + J[:, :, 0, 6 + 3 * 3]
        assert moved.sum() == pytest.approx(per_unit * height, rel=2e-3)
        if width > 1.0 and height > 1.0:
            assert np.abs(J[:, :, 0, :2]).sum() == pytest.approx(2 * per_unit * (width + height), rel=2e-2)


def split(mesh):
    """The same with three vertices of its own for each face, as along seams of a texture."""
    return mesh.replace(
        vertices=mesh.vertices[mesh.faces].reshape(-1, 3), faces=np.arange(mesh.faces.size).reshape(-1, 3)
    )


@BOTH
@pytest.mark.parametrize("mesh", [BOX, GEM], ids=["box", "gem"])
def test_seams_are_no_silhouettes(mesh, by):
    welded, seamed = (view({"m": m, "wall": WALL}, ["m.pose", "wall.point"]) for m in (mesh, split(mesh)))
    image, J = Rendered(by, welded, OUTPUTS).jacobian()
    other, columns = Rendered(by, seamed, OUTPUTS).jacobian()
    assert np.array_equal(other, image) and np.array_equal(columns, J)


@BOTH
@pytest.mark.parametrize("sideways", [0.8, -0.8], ids=["left face", "right face"])
@pytest.mark.parametrize("cx", [19.3, 19.0, 19.5], ids=["anywhere", "through centres", "on a border"])
def test_face_seen_edge_on(sideways, cx, by):
    """The camera is exactly in the plane of a face: two edges of it lie on one line of the image, and both will do."""
    box = BOX.replace(T_world_mesh=pose(translation=(sideways, 0.1, 6.0)))
    drawn = view({"box": box}, ["box.pose"], CAMERA.replace(cx=cx))
    image, J = Rendered(by, drawn, ["mask", "depth"]).jacobian()
    assert np.all(np.isfinite(image)) and np.all(np.isfinite(J))
    world = drawn.world()
    expected = coverage.polygon_coverage(coverage.hull_of_mesh(world), world.size)
    assert np.abs(image[..., 0] - expected).max() <= COVERAGE[by]
    sides = []  # one-sided differences, of the whole area: what moves in the end is between them
    area = coverage.polygon_area(coverage.hull_of_mesh(world))
    for k in range(6):
        for h in (1e-6, -1e-6):
            there = coverage.polygon_area(coverage.hull_of_mesh(drawn.world(h * np.eye(6)[k])))
            sides.append((there - area) / h)
    sides = np.sort(np.reshape(sides, (6, 2)), axis=1)
    slack = 2e-3 * np.abs(sides).max()
    sums = J[:, :, 0].sum(axis=(0, 1))
    assert np.all((sums >= sides[:, 0] - slack) & (sums <= sides[:, 1] + slack)), (sums, sides)


@BOTH
@pytest.mark.parametrize(
    ("focal", "center", "smooth"),
    [(45.0, (19.3, 14.6), True), (40.0, (20.0, 15.0), True), (40.0, (19.5, 14.5), False)],
    ids=["anywhere", "edges through centres", "edges on borders"],
)
def test_cube_facing_the_camera(focal, center, smooth, by):
    """Its sides are hidden behind its front: the edges of that alone are the silhouette."""
    cube = dr.Mesh(*CUBE, pose(translation=(0.0, 0.0, 5.0)))
    camera = CAMERA.replace(fx=focal, fy=focal, cx=center[0], cy=center[1])
    drawn = view({"cube": cube}, ["cube.pose"], camera)
    image, J = Rendered(by, drawn, ["mask", "depth"]).jacobian()
    world = drawn.world()
    expected = coverage.polygon_coverage(coverage.hull_of_mesh(world), world.size)
    assert np.abs(image[..., 0] - expected).max() <= COVERAGE[by]
    assert np.abs(image[..., 1] - 4.0 * expected).max() <= 4.0 * COVERAGE[by]
    assert np.all(np.isfinite(J))
    if smooth:  # on a border between two pixels the derivative depends on the side from which one comes
        columns = coverage.differences(
            drawn.scene,
            drawn.free,
            drawn.theta0,
            1e-5 * drawn.pixel_steps(),
            lambda there: coverage.polygon_coverage(coverage.hull_of_mesh(there), there.size),
        )
        assert np.all(np.abs(J[:, :, 0] - columns).max(axis=(0, 1)) <= COLUMN[by] * block_sizes(drawn, columns))


TWICE = dr.Mesh(
    np.vstack([BOX.vertices, BOX.vertices + np.array([0.4, 0.3, 0.2])]),
    np.vstack([BOX.faces, BOX.faces + 8]),
    BOX.T_world_mesh,
)
INTERSECTING = {
    "two cubes": view(
        {"a": BOX, "b": BOX.replace(T_world_mesh=pose((-0.3, 0.2, 0.9), (0.9, 0.2, 6.3)))},
        ["a.pose", "b.pose"],
    ),
    "sphere through a cube": view(
        {"ball": dr.Sphere((0.7, 0.1, 5.7), 0.9), "box": BOX}, ["ball.center", "ball.radius", "box.pose"]
    ),
    "sphere through a plane": view(
        {"ball": dr.Sphere((0.4, 0.1, 6.5), 1.3), "wall": dr.Plane((0.0, 0.0, 6.5), (0.2, 0.1, -1.0))},
        ["ball.center", "ball.radius", "wall.point"],
    ),
    "mesh through itself": view(
        {"m": TWICE},
        ["m.pose"],
    ),
}


@BOTH
@pytest.mark.parametrize("name", INTERSECTING)
def test_intersecting_shapes(name, by):
    """Where they go through each other only sense is promised; where one alone is at its silhouette it is exact."""
    drawn = INTERSECTING[name]
    image, J = Rendered(by, drawn, OUTPUTS).jacobian()
    assert np.all(np.isfinite(image)) and np.all(np.isfinite(J))
    everywhere = np.ones(image.shape[:2], bool)
    found = sampled(drawn, OUTPUTS, everywhere, order=12)
    shown, span = image.reshape(-1, len(OUTPUTS)), found.high - found.low
    slack = 0.1 * span + 0.08  # of 9: parts that fall between 144 rays
    assert np.all((shown >= found.low - slack) & (shown <= found.high + slack))
    assert np.abs(J).max() < 1e3

    seen = objects_seen(drawn)
    kinds = np.array([len(np.unique(row)) for row in seen.reshape(-1, seen.shape[-1])])
    if name == "mesh through itself":
        return
    simple = (kinds == 2) & np.any(seen.reshape(-1, seen.shape[-1]) < 0, axis=1)
    if simple.any():
        finer = sampled(drawn, ["mask"], simple.reshape(image.shape[:2]))
        assert np.abs(shown[simple][:, :1] - finer.mean).max() <= 0.012


@pytest.mark.parametrize("radius", [3.0, 0.8])
def test_triangles_much_smaller_than_a_pixel(radius):
    """20,480 of them in 28 pixels."""
    z = 6.0
    place = np.array([(12.3 - 10.0) / 40.0 * z, (9.1 - 8.0) / 40.0 * z, z])
    mesh = dr.Mesh(*ball_mesh(5, radius * z / 40.0), pose((0.3, 0.5, 0.2), place))
    drawn = view({"ball": mesh}, ["ball.pose"], dr.PinholeCamera(21, 17, 40, 40, 10.0, 8.0))
    rendered = Rendered("device", drawn, ["mask", "depth"])
    image, J = rendered.jacobian()
    world = drawn.world()

    def integrated(theta):
        there = drawn.world(theta)
        return coverage.polygon_coverage(coverage.hull_of_mesh(there), there.size)

    assert np.abs(image[..., 0] - integrated(np.zeros(6))).max() <= 1e-3
    depths = np.linalg.norm(world.triangles - place, axis=2).max()
    assert np.all((image[..., 1] >= -1e-3) & (image[..., 1] <= z + depths)) and np.all(np.isfinite(J))
    for k in range(3):
        h = 1e-5 * np.eye(6)[k]
        expected = (integrated(h) - integrated(-h)) / 2e-5
        assert np.abs(J[:, :, 0, k] - expected).max() <= 2e-2 * np.abs(expected).max()


# Backgrounds without a value, and several outputs at once.


@BOTH
def test_without_a_background_depth_is_as_without_boundaries(by):
    """Nothing to mix with: depth is that of the centre, derivative and all; the mask beside it is mixed."""
    drawn = view({"ball": BALL}, ["ball.center", "ball.radius"])
    image, J = Rendered(by, drawn, ["mask", "depth"], [0.0, np.nan]).jacobian()
    plain, interior = Rendered(by, drawn, ["mask", "depth"], [0.0, np.nan], boundary="none").jacobian()
    assert np.array_equal(image[..., 1], plain[..., 1], equal_nan=True)
    assert np.array_equal(J[:, :, 1], interior[:, :, 1])
    alone, columns = Rendered(by, drawn, ["mask"]).jacobian()
    assert np.array_equal(image[..., 0], alone[..., 0]) and np.abs(J[:, :, 0] - columns[:, :, 0]).max() < 1e-5
    assert np.any((alone > 0.01) & (alone < 0.99))


@BOTH
def test_without_a_background_objects_still_mix_with_each_other(by):
    drawn = view(PAIR, ["near.center", "far.center"])
    without = Rendered(by, drawn, ["depth"], [np.nan])
    numbered, plain = Rendered(by, drawn, ["depth"], [0.0]), Rendered(by, drawn, ["depth"], [np.nan], boundary="none")
    seen = objects_seen(drawn)
    nothing = np.any(seen < 0, axis=-1)
    both = crossed(drawn) & ~nothing
    assert both.sum() > 5
    (image, J), (expected, columns), (interior, rows) = (r.jacobian() for r in (without, numbered, plain))
    assert np.array_equal(image[both], expected[both]) and np.array_equal(J[both], columns[both])
    alone = nothing & np.isin(seen, [-1, 1]).all(axis=-1)
    assert np.array_equal(image[alone], interior[alone], equal_nan=True) and np.array_equal(J[alone], rows[alone])


# A hand on the rule.

RULED = view(
    {"ball": dr.Sphere((-0.9, -0.2, 6.0), 1.0), "other": dr.Sphere((1.0, 0.2, 6.0), 0.9)},
    ["ball.center", "other.center"],
)


def by_object(drawn):
    """Pixels (H, W) that the first alone crosses, and those that the second alone crosses."""
    seen = objects_seen(drawn)
    edge = crossed(drawn)
    return tuple(edge & np.isin(seen, [-1, k]).all(axis=-1) for k in (0, 1))


@BOTH
def test_rule_none(by):
    """That object's silhouette is not there: the others' are."""
    image, J = Rendered(by, RULED, OUTPUTS, rules={"ball": "none"}).jacobian()
    plain, interior = Rendered(by, RULED, OUTPUTS, boundary="none").jacobian()
    exact, columns = Rendered(by, RULED, OUTPUTS).jacobian()
    ball, other = by_object(RULED)
    assert ball.sum() > 20 and other.sum() > 20
    assert np.array_equal(image[ball], plain[ball]) and np.array_equal(J[ball], interior[ball])
    assert np.array_equal(image[other], exact[other]) and np.array_equal(J[other], columns[other])
    assert not np.array_equal(image[ball], exact[ball])


@BOTH
def test_rule_foreground(by):
    """What is in front is all that there is: nothing of the background, and none of the motion of the edge."""
    image, J = Rendered(by, RULED, ["mask", "depth"], rules={"ball": "foreground"}).jacobian()
    exact, columns = Rendered(by, RULED, ["mask", "depth"]).jacobian()
    ball, other = by_object(RULED)
    assert np.array_equal(image[other], exact[other]) and np.array_equal(J[other], columns[other])
    assert np.all(image[ball][:, 0] == 1.0) and not J[ball][:, 0].any()
    near, limb = 5.0, 6.0  # the ball's, and a little beyond where its silhouette is
    assert np.all((image[ball][:, 1] > near) & (image[ball][:, 1] < limb + 0.05))
    assert np.all(np.isfinite(J))


@BOTH
def test_rule_blend_is_the_default(by):
    default, named = (Rendered(by, RULED, OUTPUTS, rules=rules).jacobian() for rules in (None, {"ball": "blend"}))
    assert np.array_equal(default[0], named[0]) and np.array_equal(default[1], named[1])


# The issue's scene, by plain Gauss-Newton.

ISSUE_CAMERA = dr.PinholeCamera(width=640, height=480, fx=400, fy=400, cx=320, cy=240)
TRUTH, START = np.array([10.0, 10.0, 10.0, 100.0]), np.array([10.1, 10.1, 10.1, 100.1])


def gauss_newton(start, observed, steps):
    """(P,), where plain Gauss-Newton is after some steps, and the distance to it from each step before."""
    shown = view({"ball": dr.Sphere(START[1:], START[0])}, ["ball.radius", "ball.center"], ISSUE_CAMERA)
    given = renderer(shown, "distance", 0.0)
    thetas = [np.array(start)]
    for _ in range(steps):
        equations = given.normal_equations(thetas[-1], observed)
        thetas.append(thetas[-1] - np.linalg.solve(equations.H, equations.g))
    return thetas


def test_the_issues_scene_by_gauss_newton():
    """All four parameters start 0.1 off, and arrive; with the interior's derivative alone they never do."""
    truth = view({"ball": dr.Sphere(TRUTH[1:], TRUTH[0])}, [], ISSUE_CAMERA)
    observed = renderer(truth, "distance", 0.0).render()
    errors = np.array([np.abs(theta - TRUTH).max() for theta in gauss_newton(START, observed, 8)])
    assert np.any(errors < 1e-3) and errors[-1] < 1e-3


def test_the_issues_scene_observed_by_an_ideal_camera():
    """The observed image is the integral over every pixel, exactly.

    The rendered one is sampled at the centres inside and mixed of two values at the silhouette: the two differ by some
    1e-2 in the pixels beside the silhouette, out of 95, and the answer by some 1e-3.
    """
    world = view({"ball": dr.Sphere(TRUTH[1:], TRUTH[0])}, [], ISSUE_CAMERA).world()
    observed = coverage.sphere_image(world, "distance", 0.0)
    errors = np.array([np.abs(theta - TRUTH).max() for theta in gauss_newton(START, observed, 8)])
    assert errors[-1] < 5e-3
    assert oracle.trace(world).ids.max() == 0 and np.ptp(errors[-3:]) < 1e-3
