"""Bad input to a renderer and a fit: an error that names the argument and the likely fix, and nothing is changed by
it.
"""

import numpy as np
import pytest

import diffrt_aot as dr

pytestmark = pytest.mark.every_device

CAMERA = dr.PinholeCamera(40, 30, 35, 35, 19.5, 14.5)
BALL = dr.Sphere((0.1, -0.2, 5), 1)
SCENE = dr.Scene(CAMERA, {"ball": BALL})
FREE = ["ball.center", "ball.radius"]


@pytest.fixture
def renderer(device):
    return dr.Renderer(SCENE, free=FREE)


def refused(match, function, *arguments, error=ValueError, **options):
    with pytest.raises(error, match=match) as caught:
        function(*arguments, **options)
    assert isinstance(caught.value, dr.DiffrtError)


@pytest.mark.parametrize(
    ("options", "match", "error"),
    [
        ({"free": ["ball.centre"]}, "ball.center", ValueError),
        ({"free": ["ball.radius", "ball.radius"]}, "twice|repeat|more than once", ValueError),
        ({"free": "ball.radius"}, "free", TypeError),
        ({"output": "deep"}, "depth", ValueError),
        ({"output": []}, "output", ValueError),
        ({"output": ["depth", "depth"]}, "twice", ValueError),
        ({"output": 3}, "output", TypeError),
        ({"background": "black"}, "background", TypeError),
        ({"background": float("inf")}, "background", ValueError),
        ({"background": [0, 0], "output": "depth"}, "background", ValueError),
        ({"boundary": "sharp"}, "boundary.*exact", ValueError),
        ({"boundary": None}, "boundary", ValueError),
        ({"boundary": True}, "boundary", ValueError),
        ({"rules": {"bal": "none"}}, "rules: unknown shape 'bal'.*ball", ValueError),
        ({"rules": {"ball.center": "none"}}, "rules.*'ball.center'", ValueError),
        ({"rules": {0: "none"}}, "rules.*Valid: ball", ValueError),
        ({"rules": {"ball": "sharp"}}, "rules: ball.*blend, foreground, none.*'sharp'", ValueError),
        ({"rules": {"ball": None}}, "rules: ball.*None", ValueError),
        ({"rules": {"ball": max}}, "rules: ball", ValueError),
        ({"rules": {"ball": ["none"]}}, "rules: ball", ValueError),
        ({"rules": "none"}, "rules.*map names of shapes.*'none'", TypeError),
        ({"rules": [("ball", "none")]}, "rules.*map names of shapes", TypeError),
        ({"rules": {"ball": "none"}, "boundary": "none"}, 'rules.*boundary="exact"', ValueError),
        ({"device": "gpu"}, "Valid: cpu, cuda", RuntimeError),
        ({"device": "cuda:4711"}, "device: .*cuda:4711", RuntimeError),
        ({"device": 0}, "device", TypeError),
        ({"threads": 0}, "threads", ValueError),
        ({"threads": 2.5}, "threads", ValueError),
    ],
)
def test_renderer_arguments(options, match, error):
    refused(match, dr.Renderer, SCENE, **{"free": FREE, **options}, error=error)


@pytest.mark.parametrize("rules", [None, {}, {"ball": "blend"}, {"ball": "foreground"}, {"ball": "none"}])
def test_rules_that_are_accepted(rules):
    given = dict(rules) if rules is not None else None
    assert np.isfinite(dr.Renderer(SCENE, output="mask", rules=given).render()).all()
    assert given == rules
    if not rules:
        dr.Renderer(SCENE, boundary="none", rules=given)


def test_renderer_needs_a_scene():
    refused("scene", dr.Renderer, {"ball": BALL}, error=TypeError)


@pytest.mark.parametrize(
    ("theta", "match", "error"),
    [
        ([0, 0, 5], "expected 4.*ball.center", ValueError),
        ([0, 0, 5, 1, 1], "expected 4", ValueError),
        ([], "expected 4", ValueError),
        ([0, np.nan, 5, 1], r"ball.center\[1\].*not finite", ValueError),
        ([0, np.inf, 5, 1], "not finite", ValueError),
        ([0, 0, 5, 0], "ball.radius must be positive", ValueError),
        ([0, 0, 5, -1], "ball.radius must be positive", ValueError),
        (["a", "b", "c", "d"], "theta", ValueError),
        ([1j, 0, 0, 0], "theta", ValueError),
        (None, "", None),
    ],
)
def test_theta(renderer, theta, match, error):
    before = renderer.render()
    if error is None:
        assert np.array_equal(renderer.render(theta), before, equal_nan=True)
        return
    refused(match, renderer.render, theta)
    refused(match, renderer.jacobian, theta)
    refused(match, renderer.normal_equations, theta, before)
    refused(match, dr.fit, renderer, before, theta)
    assert np.array_equal(renderer.render(), before, equal_nan=True)


def test_theta_of_other_types_is_converted(renderer):
    image = renderer.render([0, 0, 5, 1])
    for theta in (
        (0, 0, 5, 1),
        np.array([0, 0, 5, 1]),
        np.array([0, 0, 5, 1], dtype=np.float32),
        np.array([[0.0, 0, 5, 1]] * 2).T[:, 0],
    ):
        assert np.array_equal(renderer.render(theta), image, equal_nan=True)


@pytest.mark.parametrize(
    ("observed", "match", "error"),
    [
        (np.zeros((40, 30)), "transposed", ValueError),
        (np.zeros((30, 41)), r"expected \(30, 40\)", ValueError),
        (np.zeros(1200), "shape", ValueError),
        (np.zeros((30, 40, 3)), "shape", ValueError),
        (np.zeros((30, 40), dtype=np.uint16), "np.where", TypeError),
        (np.zeros((30, 40), dtype=bool), "bool", TypeError),
        (np.zeros((30, 40), dtype=complex), "complex", TypeError),
        (np.full((30, 40), "x"), "observed", TypeError),
        (np.zeros((0, 0)), "shape", ValueError),
        (None, "observed", TypeError),
    ],
)
def test_observed(renderer, observed, match, error):
    refused(match, renderer.normal_equations, renderer.theta0, observed, error=error)
    refused(match, dr.fit, renderer, observed, error=error)


def test_weights(renderer):
    image = renderer.render()
    refused("weights.*shape", renderer.normal_equations, None, image, np.ones((3, 3)))
    refused("negative", renderer.normal_equations, None, image, -np.ones_like(image))
    for value, kind in ((-1.0, "negative"), (np.inf, "infinite"), (1e300, "infinite in single precision")):
        weights = np.ones(image.shape)
        weights[14, 20] = value
        for call in (renderer.normal_equations, renderer.cost):
            refused(rf"weights: some are {kind}.*index \(14, 20\)", call, None, image, weights)
        refused(rf"weights: some are {kind}.*index \(14, 20\)", dr.fit, renderer, image, weights=weights, levels=2)
    refused("weights", renderer.normal_equations, None, image, np.ones((30, 40), dtype=int), error=TypeError)


def test_loss(renderer):
    refused("loss", renderer.normal_equations, None, renderer.render(), None, "huber", error=TypeError)


@pytest.mark.parametrize(
    "layout", ["float32", "float64", "fortran", "strided", "reversed", "big-endian", "float16", "read-only", "list"]
)
def test_layouts_of_observed_are_equal(renderer, layout):
    rng = np.random.default_rng(0)
    image = (renderer.render() + rng.normal(size=(30, 40)) * 0.01).astype(np.float16).astype(np.float32)
    image[3, 4] = np.nan
    theta = renderer.theta0 + 0.01
    expected = renderer.normal_equations(theta, image)
    wide = np.zeros((60, 120), dtype=np.float32)
    wide[::2, ::3] = image
    given = {
        "float32": image,
        "float64": image.astype(np.float64),
        "fortran": np.asfortranarray(image),
        "strided": wide[::2, ::3],
        "reversed": image[::-1, ::-1].copy()[::-1, ::-1],
        "big-endian": image.astype(">f4"),
        "float16": image.astype(np.float16),
        "read-only": image,
        "list": image.tolist(),
    }[layout]
    if layout == "read-only":
        given.flags.writeable = False
    got = renderer.normal_equations(theta, given)
    assert np.array_equal(got.H, expected.H) and np.array_equal(got.g, expected.g) and got.cost == expected.cost


@pytest.mark.parametrize(
    ("options", "match", "error"),
    [
        ({"method": "newton"}, "method", ValueError),
        ({"max_steps": -1}, "max_steps", ValueError),
        ({"max_steps": 2.5}, "max_steps", ValueError),
        ({"callback": 3}, "callback", TypeError),
        ({"bounds": {"ball.centre": (0, 1)}}, "ball.center", ValueError),
        ({"bounds": {"ball.radius": 3}}, "pair", TypeError),
        ({"bounds": {"ball.radius": (2, 1)}}, "lower|upper|bound", ValueError),
        ({"bounds": {"ball.radius": (2, 3)}}, "lower|upper|bound", ValueError),
        ({"bounds": {"ball.center": ([0, 1], 3)}}, "ball.center", ValueError),
        ({"priors": {"ball.radius": (1, 0)}}, "sigma", ValueError),
        ({"priors": {"ball.radius": (1, -1)}}, "sigma", ValueError),
        ({"priors": {"ball.radius": (np.nan, 1)}}, "mean|prior", ValueError),
        ({"priors": {"radius": (1, 1)}}, "ball.radius", ValueError),
        ({"step_tolerance": -1.0}, "step_tolerance", ValueError),
    ],
)
def test_fit_arguments(renderer, options, match, error):
    refused(match, dr.fit, renderer, renderer.render(), **options, error=error)


def test_fit_without_overlap_says_so(renderer):
    result = dr.fit(renderer, np.full((30, 40), np.nan))
    assert result.status is dr.Status.NO_RESIDUALS
    assert np.array_equal(result.theta, renderer.theta0)
    assert result.count == 0


def test_nothing_free():
    renderer = dr.Renderer(SCENE, free=[])
    image, J = renderer.jacobian()
    assert J.shape == (30, 40, 0)
    assert J.dense().shape == (30, 40, 0)
    assert np.isfinite(image).any()
    assert renderer.normal_equations(None, image).H.shape == (0, 0)


def test_degenerate_triangles_are_skipped_and_counted():
    vertices = np.array([[-1, -1, 4], [1, -1, 4], [0, 1, 4], [0, 0, 3], [0.5, 0.5, 3]], dtype=float)
    good, line, point = [0, 1, 2], [3, 4, 3], [3, 3, 3]
    collinear = np.array([[0, 0, 2], [0.1, 0, 2], [0.2, 0, 2]])
    alone = dr.Renderer(dr.Scene(CAMERA, {"m": dr.Mesh(vertices, [good])}), output="depth")
    mixed = dr.Renderer(
        dr.Scene(CAMERA, {"m": dr.Mesh(np.vstack([vertices, collinear]), [line, good, point, [5, 6, 7]])}),
        output="depth",
    )
    assert alone.warnings == []
    (warning,) = mixed.warnings
    assert warning.startswith("3 of 4 triangles")
    assert np.array_equal(mixed.render(), alone.render(), equal_nan=True)


def test_a_jacobian_outlives_its_renderer_and_keeps_its_numbers():
    renderer = dr.Renderer(SCENE, free=FREE)
    image, J = renderer.jacobian()
    dense = J.dense()
    copy = dense.copy()
    for theta in ([0, 0, 4, 1], [1, 1, 6, 0.5]):
        renderer.jacobian(theta)
    del renderer, image, J
    assert np.array_equal(dense, copy)
    with pytest.raises(ValueError, match="read-only"):
        dense[0, 0, 0] = 1


def test_products_refuse_wrong_shapes(renderer):
    _, J = renderer.jacobian()
    refused("expected", lambda: J @ np.zeros(3))
    refused("expected", lambda: J.T @ np.zeros((3, 3)))
    refused("v", lambda: J @ np.zeros(4, dtype=complex), error=TypeError)
