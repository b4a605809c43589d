"""Results, scenes and renderers as values: compared by content, copied, pickled, taken as dicts and as arrays."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest

import diffrt_aot as dr

H, W = 30, 40
SCENE = dr.Scene(
    dr.PinholeCamera(W, H, 35, 35, 19.5, 14.5),
    {"ball": dr.Sphere((0.1, -0.2, 5), 1), "wall": dr.Plane((0, 0, 9), (0, 0, -1))},
)
ALONE = dr.Scene(SCENE.camera, {"ball": SCENE.shapes["ball"]})
FREE = ["ball.radius", "ball.center"]


@pytest.fixture(scope="module")
def renderer():
    return dr.Renderer(SCENE, FREE, output=["depth", "mask"], rules={"ball": "foreground"}, threads=1)


@pytest.fixture(scope="module")
def result(renderer):
    return dr.fit(renderer, renderer.render([1.05, 0, 0, 5]), max_steps=3)


def copies(value):
    return [copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))]


def test_results_are_compared_by_content(renderer, result):
    equations = renderer.normal_equations(None, renderer.render())
    for value in (result, result.history[0], equations, SCENE, dr.Huber(1.0), result.status):
        assert all(other == value for other in copies(value)), value
        assert value != "x"
    assert dataclasses.replace(result, cost=result.cost + 1) != result
    assert dataclasses.replace(result, theta=result.theta + 1) != result
    assert dataclasses.replace(result, covariance=None) != result
    other = renderer.normal_equations([1.05, 0, 0, 5], renderer.render())
    assert dataclasses.replace(equations, matrix=other.matrix) != equations
    assert dataclasses.replace(result, cost=np.nan) == dataclasses.replace(result, cost=float("nan"))
    with pytest.raises(TypeError, match="unhashable type: 'FitResult'"):
        hash(result)


def test_a_result_is_a_dict_of_its_numbers(result):
    numbers = dataclasses.asdict(result)
    assert numbers["scene"]["shapes"]["ball"]["radius"] == result.scene.shapes["ball"].radius
    assert numbers["history"][0]["step"] == 0
    assert np.array_equal(numbers["theta"], result.theta)


def test_the_shapes_of_a_scene_cannot_be_changed():
    shapes = copy.deepcopy(SCENE).shapes
    changes = [
        lambda: shapes.__setitem__("ball", 1),
        lambda: shapes.__delitem__("ball"),
        lambda: shapes.update(ball=1),
        lambda: shapes.__ior__({"ball": 1}),
        lambda: shapes.pop("ball"),
        lambda: shapes.popitem(),
        lambda: shapes.setdefault("other", 1),
        lambda: shapes.clear(),
    ]
    for change in changes:
        with pytest.raises(TypeError, match=r"read-only.*scene\.replace"):
            change()
    assert shapes == SCENE.shapes


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"free": FREE, "output": "mask", "background": np.nan},
        {"output": ["depth", "normal"], "background": [3.0, None], "threads": 1},
        {"output": "depth", "boundary": "exact", "rules": {"ball": "none"}},
    ],
)
def test_a_renderer_is_copied_and_pickled(options):
    renderer = dr.Renderer(SCENE, **options)
    for other in copies(renderer):
        assert other is not renderer
        assert other.free == renderer.free
        assert other.outputs == renderer.outputs
        assert other.boundary == renderer.boundary
        assert other.scene == SCENE
        assert np.array_equal(other.render(), renderer.render(), equal_nan=True)


@pytest.mark.parametrize("scene", [SCENE, ALONE])
@pytest.mark.parametrize("output", ["depth", ["depth", "mask"]])
def test_a_jacobian_is_an_array(scene, output):
    J = dr.Renderer(scene, FREE, output=output).jacobian()[1]
    dense = J.dense()
    assert np.array_equal(np.asarray(J), dense)
    assert np.asarray(J).dtype == np.float32
    assert np.asarray(J, dtype=np.float64).dtype == np.float64
    assert np.array_equal(np.asarray(J.T), np.moveaxis(dense, -1, 0))
    own = np.array(J)
    own[...] = 7  # and J is as it was
    assert np.array_equal(J.dense(), dense)
    assert not np.array_equal(dense, own)
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        with pytest.raises(dr.InvalidValueError, match="copy"):
            np.asarray(J, copy=False)
    # Products are the operator's: an array from the left is not one of NumPy's.
    with pytest.raises(TypeError):
        np.ones(4) @ J
    with pytest.raises(TypeError):
        2 * J.T


def test_a_jacobian_is_copied_but_not_pickled(renderer):
    J = renderer.jacobian()[1]
    v = np.arange(4.0)
    for other in (copy.copy(J), copy.deepcopy(J)):
        assert np.array_equal(other @ v, J @ v)
    with pytest.raises(dr.InvalidTypeError, match=r"^Jacobian: cannot be pickled; pickle J\.dense\(\)"):
        pickle.dumps(J)


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        (1.0, r"theta: must have shape \(P,\), got \(\); pass \[theta\]"),
        ([[1, 0.1, -0.2, 5]], r"theta: must have shape \(P,\), got \(1, 4\); pass theta.ravel\(\)"),
        (np.ones((2, 2)), r"theta: must have shape \(P,\), got \(2, 2\)"),
        (np.ones((4, 1)), r"theta: must have shape \(P,\), got \(4, 1\)"),
    ],
)
def test_theta_has_one_axis(renderer, theta, message):
    for call in (renderer.render, renderer.jacobian, renderer.scene_at):
        with pytest.raises(dr.InvalidValueError, match=f"^{message}"):
            call(theta)
    image = renderer.render()
    with pytest.raises(dr.InvalidValueError, match=f"^{message}"):
        renderer.normal_equations(theta, image)
    with pytest.raises(dr.InvalidValueError, match="^" + message.replace("theta", "theta0")):
        dr.fit(renderer, image, theta)


def test_weights_that_are_true_and_false_are_one_and_zero(renderer):
    image = renderer.render([1.05, 0, 0, 5])
    chosen = np.arange(H * W).reshape(H, W) % 3 > 0
    assert renderer.cost(None, image, chosen) == renderer.cost(None, image, chosen.astype(np.float32))
    with pytest.raises(dr.InvalidTypeError, match=r"^weights: has dtype int64.*weights\.astype\(np\.float32\)"):
        renderer.cost(None, image, chosen.astype(np.int64))


def test_products_want_finite_numbers(renderer):
    J = renderer.jacobian()[1]
    with pytest.raises(dr.InvalidValueError, match=r"^v: must be finite"):
        J @ [1, np.nan, 0, 0]
    with pytest.raises(dr.InvalidValueError, match=r"^w: must be finite; put 0.*np\.nan_to_num"):
        J.T @ np.full((H, W, 2), np.nan)
    with pytest.raises(dr.InvalidTypeError, match=r"^v: must be real, got complex128; pass v\.real"):
        J @ np.ones(4, complex)
