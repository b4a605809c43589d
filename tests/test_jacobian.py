"""J against differences of the ray caster and against the reference; and its forms and products against each other."""

import numpy as np
import pytest
from renderer_cases import CASES, OUTPUTS, differences, traced

import diffrt_aot as dr
from kernels import reference

pytestmark = pytest.mark.every_device

EVERY = pytest.mark.parametrize("name", CASES)
BOTH = pytest.mark.parametrize("which", [0, 1], ids=["theta0", "moved"])

# Single precision in a column of J, in its norm and pixel by pixel. A partial is a quotient by the cosine
# between ray and normal, so a rounding (1.2e-7) of the surface goes in with one over the cosine squared.
# Columns that are small because large parts cancel (turning a mesh about its own middle) keep the rounding of
# the parts: that is the second number, relative to the largest column of the output.
NORM, NORM_OF_LARGEST = 3e-6, 1e-6
PIXEL, PIXEL_OF_LARGEST = 1e-5, 3e-6


def assert_columns_agree(J, expected, compared, cosine, amplify):
    """J, expected: (H, W, C, P); compared: (H, W, P), where they must agree; cosine: (H, W)."""
    steep = compared & (cosine > 0.2)[..., None]
    norms = np.linalg.norm(np.where(steep[:, :, None], expected, 0.0), axis=(0, 1))
    errors = np.linalg.norm(np.where(steep[:, :, None], J - expected, 0.0), axis=(0, 1))
    largest = norms.max(axis=1, keepdims=True, initial=0.0)
    assert np.all(errors <= amplify * (NORM * norms + NORM_OF_LARGEST * largest))

    sizes = np.abs(np.where(steep[:, :, None], expected, 0.0)).max(axis=(0, 1, 3), initial=0.0)
    tolerance = amplify * (PIXEL * np.abs(expected) + PIXEL_OF_LARGEST * sizes[:, None])
    grazing = np.maximum(cosine, 1e-6)[:, :, None, None]
    assert np.all((np.abs(J - expected) * grazing**2 <= tolerance) | ~compared[:, :, None])


@EVERY
@BOTH
def test_against_differences_of_the_ray_caster(name, which):
    case = CASES[name]
    hits, steady = traced(name, which)
    expected = differences(name, which)
    columns = np.concatenate([expected.columns[output] for output in OUTPUTS], axis=2)
    _, J = dr.Renderer(case.scene, free=case.free, output=OUTPUTS, boundary="none").jacobian(case.thetas()[which])
    assert J.shape == columns.shape
    # Towards a silhouette the differences of a step of 1e-6 are not exact to single precision.
    compared = expected.valid & (steady & (hits.cosine > 0.2))[..., None]
    assert_columns_agree(J.dense(), columns, compared, hits.cosine, case.amplify)
    assert not np.any(J.dense()[steady & (hits.ids < 0)])


@EVERY
@BOTH
def test_against_the_reference(name, which):
    case = CASES[name]
    theta = case.thetas()[which]
    hits, steady = traced(name, which)
    _, expected = reference.jacobian(case.scene, OUTPUTS, free=case.free, theta=theta)
    _, J = dr.Renderer(case.scene, free=case.free, output=OUTPUTS, boundary="none").jacobian(theta)
    compared = np.broadcast_to((steady & (hits.cosine > 0.02))[..., None], J.shape[:2] + J.shape[3:])
    assert_columns_agree(J.dense(), expected, compared, hits.cosine, case.amplify)


@EVERY
def test_each_name_alone_has_its_columns(name):
    """Alone, a name may be stored another way (as dense columns) and asks for other slots; its columns are the same."""
    case = CASES[name]
    theta = case.thetas()[1]
    hits, steady = traced(name, 1)
    together = dr.Renderer(case.scene, free=case.free, output=OUTPUTS, boundary="none")
    columns = together.jacobian(theta)[1].dense()
    moved = together.scene_at(theta)
    for free_name, block in together.blocks.items():
        if free_name.endswith(("pose", "vertices")):  # alone, the others would be back where they were
            continue
        alone = dr.Renderer(moved, free=[free_name], output=OUTPUTS, boundary="none").jacobian()[1].dense()
        compared = np.broadcast_to((steady & (hits.cosine > 0.02))[..., None], alone.shape[:2] + alone.shape[3:])
        assert_columns_agree(alone, columns[..., block].astype(float), compared, hits.cosine, 2 * case.amplify)


@EVERY
def test_order_of_the_names_is_the_order_of_the_columns(name):
    case = CASES[name]
    theta = case.thetas()[1]
    given, reversed_ = (
        dr.Renderer(case.scene, free=free, output=OUTPUTS, boundary="none") for free in (case.free, case.free[::-1])
    )
    other_theta = np.empty_like(theta)
    for free_name, block in given.blocks.items():
        other_theta[reversed_.blocks[free_name]] = theta[block]
    J, other = given.jacobian(theta)[1].dense(), reversed_.jacobian(other_theta)[1].dense()
    for free_name, block in given.blocks.items():
        columns = J[..., block]
        # Where columns are sums over slots, the compiler may add them up in another order.
        rounding = 1e-6 * np.abs(columns).max(initial=0.0)
        np.testing.assert_allclose(other[..., reversed_.blocks[free_name]], columns, rtol=1e-6, atol=rounding)


@EVERY
@pytest.mark.parametrize("outputs", ["distance", "normal", OUTPUTS], ids=["one channel", "three", "all"])
def test_forms_and_products_agree(name, outputs):
    case = CASES[name]
    renderer = dr.Renderer(case.scene, free=case.free, output=outputs, boundary="none")
    image, J = renderer.jacobian(case.thetas()[1])
    dense, P = J.dense(), len(renderer.theta0)
    rng = np.random.default_rng(4)
    assert dense.shape == J.shape == (*image.shape, P) and dense.dtype == np.float32 and np.all(np.isfinite(dense))
    assert not dense.flags.owndata or dense.flags.writeable  # a view of what is stored is not to be written

    sparse = J.to_scipy()
    assert sparse.shape == (image.size, P) and sparse.has_canonical_format
    assert np.array_equal(sparse.toarray(), dense.reshape(-1, P))

    # Column by column, against the same sums rounded to float32 at the end.
    columns = J @ np.eye(P)
    assert columns.shape == dense.shape and columns.dtype == np.float64
    np.testing.assert_allclose(columns, dense, rtol=2**-23, atol=1e-37)
    for k in range(0, P, 5):
        assert np.array_equal(J @ np.eye(P)[k], columns[..., k])

    V = rng.normal(size=(P, 3))
    product = J @ V
    assert product.shape == (*image.shape, 3)
    terms = np.abs(columns) @ np.abs(V)
    assert np.all(np.abs(product - columns @ V) <= 1e-13 * terms)
    assert np.array_equal(J @ np.asfortranarray(V), product) and np.array_equal(J @ V[:, 1], product[..., 1])

    w = rng.normal(size=image.shape)
    left, right = np.sum((J @ V[:, 0]) * w), V[:, 0] @ (J.T @ w)
    size = np.sum(np.abs(w) * (np.abs(columns) @ np.abs(V[:, 0])))
    assert abs(left - right) <= 1e-12 * size
    assert np.array_equal(J.T @ w.ravel(), J.T @ w) and np.array_equal(J.T @ np.asfortranarray(w), J.T @ w)
    np.testing.assert_allclose(
        J.T @ w, w.ravel() @ columns.reshape(-1, P), atol=1e-12 * np.sum(np.abs(columns.reshape(-1, P))), rtol=1e-12
    )
    assert J.T.T is J and J.T.shape == (P, *image.shape)


def test_nothing_free():
    image, J = dr.Renderer(CASES["plane"].scene, output=["depth", "mask"], boundary="none").jacobian()
    assert J.shape == J.dense().shape == (*image.shape, 0)
    assert J.to_scipy().shape == (image.size, 0)
    assert np.array_equal(J @ np.zeros(0), np.zeros(image.shape))
    assert (J @ np.zeros((0, 2))).shape == (*image.shape, 2)
    assert (J.T @ np.ones(image.shape)).shape == (0,)


def assert_changes_nothing(J, v):
    """J v is zero but for rounding: of the terms of the sum, and of J, whose columns may be sums themselves."""
    columns = np.abs(J.dense().astype(float))
    terms = columns @ np.abs(v)
    assert np.all(np.abs(J @ v) <= 1e-6 * terms + 1e-7 * terms.max(axis=(0, 1), initial=0.0))
    assert np.any(terms > 1.0)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if any("normal" in free for free in case.free)])
def test_a_plane_has_directions_that_change_nothing(name):
    """Its point slides along it, its normal grows longer."""
    case = CASES[name]
    planes = [n for n, shape in case.scene.shapes.items() if isinstance(shape, dr.Plane)]
    renderer = dr.Renderer(
        case.scene, free=[f"{n}.{x}" for n in planes for x in ("point", "normal")], output=OUTPUTS, boundary="none"
    )
    _, J = renderer.jacobian()
    v = np.zeros(len(renderer.theta0))
    for n in planes:
        normal = case.scene.shapes[n].normal
        v[renderer.blocks[f"{n}.normal"]] = normal
        v[renderer.blocks[f"{n}.point"]] = np.cross(normal, [0.3, 0.5, 0.7])
    assert_changes_nothing(J, v)


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("nothing to see", "tiny far sphere", "huge sphere")])
def test_moving_camera_and_shapes_alike_changes_nothing(name):
    case = CASES[name]
    places = {dr.Sphere: "center", dr.Plane: "point", dr.Mesh: "pose"}
    free = [f"{n}.{places[type(shape)]}" for n, shape in case.scene.shapes.items()]
    renderer = dr.Renderer(case.scene, free=[*free, "camera.pose"], output=OUTPUTS, boundary="none")
    _, J = renderer.jacobian()
    shift_world = np.array([0.3, -0.5, 0.2])
    v = np.zeros(len(renderer.theta0))
    for free_name, block in renderer.blocks.items():
        owner, field = free_name.split(".")
        v[block][:3] = shift_world
        if field == "pose":
            T = case.scene.camera.T_world_camera if owner == "camera" else case.scene.shapes[owner].T_world_mesh
            v[block][:3] = T[:3, :3].T @ shift_world
    assert_changes_nothing(J, v)
