"""Exact boundaries of the reference: against its Monte Carlo sampler, by Taylor's theorem, and in awkward places."""

import numpy as np
import pytest
from renderer_cases import CUBE, ball_mesh, pose

import diffrt_aot as dr
from kernels import reference
from kernels.numbers import Dual
from kernels.reference.edges import edges_of
from kernels.reference.parameters import Parameters
from kernels.reference.primitives import primitives_of

CAMERA = dr.PinholeCamera(24, 18, 20, 21, 11.3, 8.6)
BALL = dr.Sphere((0.1, 0.2, 6.0), 1.6)
WALL = dr.Plane((0, 0, 9.0), (0.2, 0.1, -1.0))
# Only its front is seen: pixels inside it are sampled at their centres, which is as good as the surface is smooth.
SMALL_CUBE = dr.Mesh(CUBE[0] * 0.6, CUBE[1], pose((0, 0, 0.4), (0.1, 0.1, 4.6)))
OUTPUTS, BACKGROUND = ["mask", "depth", "distance"], [0.0, 12.0, 13.0]
SCENES = {
    "sphere before a plane": (
        dr.Scene(CAMERA, {"ball": BALL, "wall": WALL}),
        ["ball.center", "ball.radius", "camera.pose", "camera.focal"],
    ),
    "cube before a sphere": (
        dr.Scene(CAMERA, {"ball": BALL, "cube": SMALL_CUBE}),
        ["cube.pose", "ball.center", "camera.pose", "camera.principal"],
    ),
}
EVERY = pytest.mark.parametrize("name", SCENES)


def exact(scene, outputs=OUTPUTS, background=BACKGROUND, free=(), **options):
    return reference.jacobian(scene, outputs, background, free, boundary="exact", **options)


def column_norms(J):
    return np.linalg.norm(J.reshape(-1, *J.shape[2:]), axis=0)


@EVERY
def test_it_agrees_with_edge_sampling(name):
    scene, free = SCENES[name]
    image, J = exact(scene, free=free)
    runs = [reference.sampled(scene, OUTPUTS, BACKGROUND, free, edge_samples=4000, seed=k) for k in range(3)]
    images, Js = (np.array(x) for x in zip(*runs, strict=True))
    noise = column_norms(Js.std(axis=0, ddof=1)) / np.sqrt(len(runs))
    size = np.maximum(column_norms(Js.mean(axis=0)), 1e-9)
    error = column_norms(J - Js.mean(axis=0))
    assert np.all(error[0] <= 3.0 * noise[0] + 1e-3 * size[0]), error / size  # the mask: exact
    assert np.all(error <= 3.0 * noise + 0.05 * size), error / size
    # Coverage is exact, so that only the noise is left: a jump of the height of the range over the root of samples.
    assert np.abs(image - images.mean(axis=0)).max(axis=(0, 1)) == pytest.approx(0.0, abs=0.1)
    without = reference.render(scene, OUTPUTS, BACKGROUND)
    assert np.abs(image - images.mean(axis=0)).mean() < 0.05 * np.abs(without - images.mean(axis=0)).mean()


@EVERY
def test_taylor_remainder_is_of_second_order(name):
    scene, free = SCENES[name]
    theta = reference.theta_of(scene, free)
    v = np.random.default_rng(4).uniform(-1.0, 1.0, len(theta)) * 1e-3
    image, J = exact(scene, free=free)
    sizes = 0.5 ** np.arange(5)
    remainders = []
    for h in sizes:
        moved = reference.render(scene, OUTPUTS, BACKGROUND, free, theta + h * v, boundary="exact")
        remainders.append(np.abs(moved - image - h * (J @ v)))
    remainders = np.array(remainders)
    # Pixels that a corner enters or leaves on the way, or that an edge leaves, are only of first order.
    order = np.log2(np.maximum(remainders[0], 1e-15).max(axis=-1) / np.maximum(remainders[1], 1e-15).max(axis=-1))
    crossed = np.abs(image - reference.render(scene, OUTPUTS, BACKGROUND)).max(axis=-1) > 0.0
    counted = crossed & (order > 1.8) & (order < 2.2)
    assert np.sum(counted) > 0.9 * np.sum(crossed)
    total = np.linalg.norm(remainders[:, counted], axis=(1, 2))
    slopes = -np.diff(np.log2(total))
    assert np.all(np.abs(slopes - 2.0) < 0.05), slopes


@EVERY
def test_pixels_that_nothing_crosses_are_as_with_none(name):
    scene, free = SCENES[name]
    image, J = exact(scene, free=free)
    plain, J_plain = reference.jacobian(scene, OUTPUTS, BACKGROUND, free)
    same = np.all(image == plain, axis=-1)
    assert np.array_equal(J[same], J_plain[same])
    assert 0.5 < np.mean(same) < 0.95


def test_against_a_background_without_value_it_is_as_with_none():
    scene = dr.Scene(CAMERA, {"ball": BALL})
    for there, plain in zip(
        reference.jacobian(scene, ["depth"], free=["ball.center"], boundary="exact"),
        reference.jacobian(scene, ["depth"], free=["ball.center"]),
        strict=True,
    ):
        np.testing.assert_array_equal(there, plain)


# --- rules


def test_a_rule_of_ones_own_for_one_object():
    scene = dr.Scene(CAMERA, {"left": dr.Sphere((-1.6, 0, 6.0), 1.0), "right": dr.Sphere((1.6, 0, 6.0), 1.0)})
    free = ["left.center", "right.center"]
    seen = []

    def sharp(boundary):
        seen.append(boundary)
        return (
            boundary.area * boundary.area * boundary.inside + (1.0 - boundary.area * boundary.area) * boundary.outside
        )

    image, J = exact(scene, free=free)
    changed, J_changed = exact(scene, free=free, rules={"left": sharp})
    right = slice(12, None)
    assert np.array_equal(changed[:, right], image[:, right])
    assert np.array_equal(J_changed[:, right], J[:, right])
    mask, expected = changed[:, :12, 0], image[:, :12, 0] ** 2
    np.testing.assert_allclose(mask, expected, atol=1e-12)
    np.testing.assert_allclose(J_changed[:, :12, 0], 2.0 * image[:, :12, 0, None] * J[:, :12, 0], atol=1e-12)
    assert {(b.front, b.behind) for b in seen} == {("left", None)}
    assert {b.output for b in seen} == set(OUTPUTS)
    assert all(0.0 < b.length < 2.0 and 0.0 <= b.area.value <= 1.0 for b in seen)


def test_a_rule_may_return_value_and_row():
    scene, free = SCENES["sphere before a plane"]
    row = np.arange(len(reference.theta_of(scene, free)), dtype=float)
    image, J = exact(scene, ["mask"], [0.0], free, rules={"ball": lambda boundary: (7.0, row)})
    assert np.any(image == 7.0)
    assert np.all(J[image == 7.0] == row)
    image, J = exact(scene, ["mask"], [0.0], free, rules={"ball": lambda boundary: 7.0})
    assert np.any(image == 7.0)
    assert np.all(J[image == 7.0] == 0.0)


def test_rules_by_name():
    scene, free = SCENES["sphere before a plane"]
    image, _ = exact(scene, free=free)
    plain, J_plain = reference.jacobian(scene, OUTPUTS, BACKGROUND, free)
    none, J_none = exact(scene, free=free, rules={"ball": "none"})
    assert np.array_equal(none, plain)
    assert np.array_equal(J_none, J_plain)
    blend, _ = exact(scene, free=free, rules={"ball": "blend"})
    assert np.array_equal(blend, image)
    foreground, _ = exact(scene, free=free, rules={"ball": "foreground"})
    crossed = image[..., 1] != plain[..., 1]
    assert np.all(foreground[crossed][:, 1] <= image[crossed][:, 1])
    assert np.all(foreground[crossed][:, 1] < 6.5)


def test_wrong_names_are_refused():
    scene, _ = SCENES["sphere before a plane"]
    with pytest.raises(ValueError, match="no rule 'front', only blend, foreground, none"):
        exact(scene, rules={"ball": "front"})
    with pytest.raises(ValueError, match="'sharp', expected one of none, exact"):
        reference.render(scene, boundary="sharp")


# --- meshes


def test_seams_are_no_silhouettes():
    """Every face with vertices of its own: nothing changes."""
    vertices, faces = CUBE
    split = dr.Mesh(vertices[faces].reshape(-1, 3) * 0.6, np.arange(faces.size).reshape(-1, 3), SMALL_CUBE.T_world_mesh)
    for cube in (SMALL_CUBE, split):
        assert len(edges_of(dr.Scene(CAMERA, {"cube": cube}), Parameters(dr.Scene(CAMERA, {"cube": cube}), []))) == 18
    free = ["cube.pose"]
    whole, seamed = (exact(dr.Scene(CAMERA, {"cube": cube, "ball": BALL}), free=free) for cube in (SMALL_CUBE, split))
    np.testing.assert_allclose(seamed[0], whole[0], atol=1e-12)
    np.testing.assert_allclose(seamed[1], whole[1], atol=1e-11)


@pytest.mark.parametrize("x", [1.0, 1.0 + 1e-9, 1.0 - 1e-9, 1.0 - 1e-4])
def test_of_a_face_seen_edge_on_one_edge_is_a_silhouette(x):
    """A cube whose left side the camera sees edge-on. Its silhouette is closed, and counted once."""
    scene = dr.Scene(CAMERA, {"cube": dr.Mesh(*CUBE, pose(translation=(x, 0.2, 6.0)))})
    primitives, edges = (f(scene, Parameters(scene, [])) for f in (primitives_of, edges_of))
    ends = [v for edge in edges if edge.side(primitives) for v in edge.vertices]
    assert sorted(set(ends)) * 2 == sorted(ends, key=ends.index) or all(ends.count(v) == 2 for v in ends)
    image, J = exact(scene, ["mask"], [0.0], ["cube.pose"])
    front = 2.0 * 20 / 5.0 * 2.0 * 21 / 5.0
    assert image.sum() == pytest.approx(front, rel=1e-3)
    assert J[..., 1].sum() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    "corners", [(-2, -1, 2, 1, 0.0), (-2.25, -1, 2, 1.25, 0.0), (-2, -1, 2, 1, 1.0), (-1, -1, 1, 1, 0.5)]
)
def test_edges_along_the_borders_of_pixels(corners):
    """Corners, edges and the borders of pixels coincide: nothing is lost, or counted twice."""
    x0, y0, x1, y1, tilt = corners
    vertices = np.array([[x0, y0, 5], [x1, y0 + tilt, 5], [x1 - tilt, y1 + tilt, 5], [x0 - tilt, y1, 5]], dtype=float)
    scene = dr.Scene(
        dr.PinholeCamera(16, 12, 10, 10, 7.5, 5.5), {"sheet": dr.Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]]))}
    )
    image, J = exact(scene, ["mask"], free=["sheet.pose"], background=[0.0])
    x, y = vertices[:, 0], vertices[:, 1]
    area = 2.0 * abs(x @ np.roll(y, -1) - np.roll(x, -1) @ y)  # 4 pixels to the unit squared
    assert image.sum() == pytest.approx(area, abs=1e-9)
    assert J[..., 2].sum() == pytest.approx(-2.0 * area / 5.0, abs=1e-9)
    assert np.abs(J[..., :2].sum(axis=(0, 1))).max() < 1e-9
    assert 0.0 <= image.min() <= image.max() <= 1.0


def test_a_fine_mesh_of_a_sphere_converges_to_the_sphere():
    """Also where its triangles are smaller than a pixel: with its edges halved, the error is a quarter."""
    free, turned = ["ball.pose"], pose((0.1, 0.2, 0.3), (0.1, 0.2, 6.0))
    image, J = exact(dr.Scene(CAMERA, {"ball": BALL}), free=["ball.center"])
    errors = []
    for subdivisions in (1, 2, 3):
        mesh = dr.Mesh(*ball_mesh(subdivisions, BALL.radius), turned)
        meshed, J_meshed = exact(dr.Scene(CAMERA, {"ball": mesh}), free=free)
        J_world = J_meshed[..., :3] @ turned[:3, :3].T
        errors.append(
            [
                np.linalg.norm((meshed - image)[..., 0]),
                np.linalg.norm((J_world - J)[..., 0, :]) / np.linalg.norm(J[..., 0, :]),
            ]
        )
    slopes = -np.diff(np.log2(errors), axis=0)
    assert np.all(slopes[:, 0] > 1.6)
    assert np.all(slopes.mean(axis=0) > 1.4)
    assert errors[-1][1] < 0.12


@pytest.mark.parametrize("width", [0.02, 0.1, 0.3])
def test_a_thin_bar(width):
    """Both of its long sides cross the same pixels: 0.13 to 2 px."""
    vertices = np.array([[-width, -1, 0], [width, -1, 0], [width, 1, 0], [-width, 1, 0]])
    bar = dr.Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]]), pose((0, 0, 0.3), (0.3, 0.2, 6.0)))
    image, J = exact(dr.Scene(CAMERA, {"bar": bar}), ["mask"], [0.0], ["bar.pose"])
    area = 4.0 * width * 20 * 21 / 36
    assert image.sum() == pytest.approx(area, rel=1e-9)
    assert J[..., 2].sum() == pytest.approx(-2.0 * area / 6.0, rel=1e-6)
    assert 0.0 <= image.min() <= image.max() <= 1.0


# --- several silhouettes in a pixel


def test_nested_silhouettes_are_exact():
    """A sheet before a slightly larger one, at depths 5 and 7: the edges of both pass through the same pixels."""
    corners = np.array([[-1.0, -0.8, 0], [1.0, -0.8, 0], [1.0, 0.8, 0], [-1.0, 0.8, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    shapes = {
        "front": dr.Mesh(corners, faces, pose((0, 0, 0.3), (0, 0, 5.0))),
        "back": dr.Mesh(corners * 1.46, faces, pose((0, 0, 0.3), (0, 0, 7.0))),
    }
    area, dx = {}, {}
    for name, shape in shapes.items():
        area[name], J = exact(dr.Scene(CAMERA, {name: shape}), ["mask"], [0.0], [f"{name}.pose"])
        dx[name] = J[..., 0]
    assert np.sum((area["front"] > 0) & (area["front"] < 1) & (area["back"] > 0) & (area["back"] < 1)) > 20
    image, J = exact(dr.Scene(CAMERA, shapes), ["depth"], [10.0], ["front.pose", "back.pose"])
    np.testing.assert_allclose(image, 10.0 - 2.0 * area["front"] - 3.0 * area["back"], atol=1e-9)
    np.testing.assert_allclose(J[..., 0], -2.0 * dx["front"], atol=1e-9)
    np.testing.assert_allclose(J[..., 6], -3.0 * dx["back"], atol=1e-9)


def test_crossing_silhouettes_stay_within_the_range():
    rng = np.random.default_rng(5)
    shapes = {f"ball{k}": dr.Sphere(rng.uniform((-2, -1.5, 5), (2, 1.5, 7)), rng.uniform(0.02, 0.7)) for k in range(12)}
    shapes |= {
        f"cube{k}": dr.Mesh(
            CUBE[0] * rng.uniform(0.02, 0.4), CUBE[1], pose(rng.normal(size=3), rng.uniform((-2, -1.5, 5), (2, 1.5, 7)))
        )
        for k in range(8)
    }
    free = ["ball3.center", "cube2.pose", "camera.pose"]
    image, J = exact(dr.Scene(CAMERA, shapes), ["mask", "depth"], [0.0, 8.0], free)
    assert np.isfinite(J).all()
    assert image[..., 0].min() >= 0.0
    assert image[..., 0].max() <= 1.0 + 1e-12
    assert image[..., 1].min() > 3.5
    assert image[..., 1].max() <= 8.0 + 1e-12


def test_partials_of_a_boundary_are_duals_by_theta():
    scene, free = SCENES["sphere before a plane"]

    def check(boundary):
        assert isinstance(boundary.area, Dual)
        assert set(boundary.area.partials) <= set(range(12))
        assert boundary.area.partials[3] > 0.0  # the radius
        return boundary.inside

    exact(scene, ["depth"], [9.0], free, rules={"ball": check})
