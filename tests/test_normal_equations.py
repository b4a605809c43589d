"""H, g, cost and count against sums over the dense J, the image and a loss written out here."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from renderer_cases import CASES, OUTPUTS

import diffrt_aot as dr

pytestmark = pytest.mark.every_device

EVERY = pytest.mark.parametrize("name", CASES)

# Terms are single precision, and so are sums over a tile; the sum over tiles is double. What is lost is a few
# roundings of the largest term, 1e-7 each.
TOLERANCE = 1e-5


def barron(x, alpha):
    if alpha == 2.0:
        return x, np.ones_like(x)
    if alpha == 0.0:
        return 2 * np.log1p(x / 2), 1 / (1 + x / 2)
    if alpha == -np.inf:
        return -2 * np.expm1(-x / 2), np.exp(-x / 2)
    b = abs(alpha - 2.0)
    return 2 * b / alpha * np.expm1(alpha / 2 * np.log1p(x / b)), (x / b + 1) ** (alpha / 2 - 1)


# (rho / c^2, rho') as functions of x = (r / c)^2.
SHAPES = {
    "huber": lambda x: (np.where(x <= 1, x, 2 * np.sqrt(x) - 1), np.where(x <= 1, 1, 1 / np.sqrt(np.maximum(x, 1)))),
    "cauchy": lambda x: (np.log1p(x), 1 / (1 + x)),
    "geman-mcclure": lambda x: (x / (1 + x), 1 / (1 + x) ** 2),
    "tukey": lambda x: (np.where(x < 1, x - x**2 + x**3 / 3, 1 / 3), np.where(x < 1, (1 - x) ** 2, 0)),
}
LOSSES = {
    "least squares": (lambda c: None, lambda x: (x, np.ones_like(x))),
    "huber": (dr.Huber, SHAPES["huber"]),
    "cauchy": (dr.Cauchy, SHAPES["cauchy"]),
    "geman-mcclure": (dr.GemanMcClure, SHAPES["geman-mcclure"]),
    "tukey": (dr.Tukey, SHAPES["tukey"]),
    **{
        f"barron {alpha}": (lambda c, alpha=alpha: dr.Barron(alpha, c), lambda x, alpha=alpha: barron(x, alpha))
        for alpha in (2.0, 1.99, 1.0, 0.1, 1e-3, 1e-6, 0.0, -1e-3, -0.5, -2.0, -100.0, -3e4, -np.inf)
    },
}


def sums(image, J, observed, weights, shape, c):
    """(H, g, cost, count), in float64, of the image and the J that the renderer gave."""
    weights = np.ones(image.shape) if weights is None else weights.astype(np.float32).astype(float)
    if weights.ndim < image.ndim:
        weights = weights[..., None] * np.ones(image.shape)
    observed = observed.astype(np.float32).astype(float)
    kept = np.isfinite(image) & np.isfinite(observed) & (weights > 0)
    r, w, rows = image[kept].astype(float) - observed[kept], weights[kept], J.dense()[kept].astype(float)
    rho, slope = shape((r / c) ** 2)
    weighted = (w * slope)[:, None] * rows
    return weighted.T @ rows, weighted.T @ r, 0.5 * c**2 * np.sum(w * rho), int(kept.sum())


def assert_agree(renderer, equations, expected, tolerance=TOLERANCE):
    """Entries of H relative to sqrt(H_ii H_jj), of g relative to sqrt(H_ii 2 cost): what Cauchy-Schwarz allows them.

    A column may be small because large parts cancel (turning a mesh about its middle): H_ii counts as no smaller than a
    hundredth of the largest in its block.
    """
    H, g, cost, count = expected
    assert equations.H.shape == H.shape and equations.H.dtype == np.float64 and equations.g.shape == g.shape
    assert np.array_equal(equations.H, equations.H.T)
    squares = np.diag(H).copy()
    for block in renderer.blocks.values():
        squares[block] = np.maximum(squares[block], 1e-2 * squares[block].max(initial=0.0))
    size = np.sqrt(squares)
    assert np.all(np.abs(equations.H - H) <= tolerance * np.outer(size, size))
    weighted_squares = 2 * cost  # sum w rho' r^2 is at most sum w rho, for all of these losses
    assert np.all(np.abs(equations.g - g) <= tolerance * size * np.sqrt(weighted_squares))
    assert abs(equations.cost - cost) <= tolerance * cost
    assert equations.count == count


def observation(image, scale, seed=5, holes=True):
    """An image to compare with: the rendered one and noise, finite where that is not, with holes."""
    rng = np.random.default_rng(seed)
    observed = np.nan_to_num(image.astype(float), nan=3.0) + scale * rng.normal(size=image.shape)
    if holes:
        flat = observed.reshape(-1)
        for k, hole in enumerate((np.nan, np.inf, -np.inf)):
            flat[rng.integers(0, flat.size, 1 + flat.size // 50) if flat.size > 3 else [0][: k == 0]] = hole
    return observed


@EVERY
@pytest.mark.parametrize("outputs", ["distance", OUTPUTS], ids=["one channel", "all"])
def test_every_scene(name, outputs):
    case = CASES[name]
    renderer = dr.Renderer(case.scene, free=case.free, output=outputs, boundary="none")
    theta = case.thetas()[1]
    image, J = renderer.jacobian(theta)
    for holes in (False, True):
        observed = observation(image, 0.1, holes=holes)
        equations = renderer.normal_equations(theta, observed)
        assert_agree(renderer, equations, sums(image, J, observed, None, LOSSES["least squares"][1], 1.0))
        cost, count = renderer.cost(theta, observed)
        assert (cost, count) == (equations.cost, equations.count)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("ratio", [30.0, 1.0, 0.1, 1e-2, 1e-3], ids=lambda ratio: f"residuals of {ratio} c")
def test_every_loss(loss, ratio):
    """From residuals far beyond the scale to far below it, where the cost is the difference of nearly equal numbers."""
    case = CASES["overlapping shapes"]
    make, shape = LOSSES[loss]
    renderer = dr.Renderer(case.scene, free=case.free, output=["depth", "normal"], boundary="none")
    image, J = renderer.jacobian()
    observed, c = observation(image, 0.1), 0.1 / ratio
    rng = np.random.default_rng(6)
    weights = rng.uniform(0.0, 3.0, image.shape)
    weights[rng.uniform(size=image.shape) < 0.1] = 0.0
    weights[rng.uniform(size=image.shape) < 0.1] = np.nan
    equations = renderer.normal_equations(None, observed, weights, make(c))
    assert_agree(renderer, equations, sums(image, J, observed, weights, shape, c))


WEIGHTS = {
    "none": lambda rng, shape: None,
    "one per pixel": lambda rng, shape: rng.uniform(0.5, 2.0, shape[:2]),
    "one per pixel and channel": lambda rng, shape: rng.uniform(0.5, 2.0, shape),
    "zeros": lambda rng, shape: np.where(rng.uniform(size=shape[:2]) < 0.5, 0.0, 1.5),
    "not a number": lambda rng, shape: np.where(rng.uniform(size=shape) < 0.5, np.nan, 1.5),
    "float32, columns first": lambda rng, shape: np.asfortranarray(rng.uniform(0.5, 2.0, shape).astype(np.float32)),
    "broadcast": lambda rng, shape: np.broadcast_to(np.float64(0.7), shape),
    "all zero": lambda rng, shape: np.zeros(shape),
}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("outputs", ["depth", ["depth", "shade"]], ids=["one channel", "two"])
def test_weights(weights, outputs):
    case = CASES["overlapping shapes"]
    renderer = dr.Renderer(case.scene, free=case.free, output=outputs, boundary="none")
    image, J = renderer.jacobian()
    observed = observation(image, 0.1)
    given = WEIGHTS[weights](np.random.default_rng(7), image.shape)
    equations = renderer.normal_equations(None, observed, given)
    assert_agree(renderer, equations, sums(image, J, observed, given, LOSSES["least squares"][1], 1.0))
    assert (equations.count == 0) == (weights == "all zero")


def layouts(observed):
    """The same image in every layout in which arrays come."""
    wide = np.full((observed.shape[0] + 3, 2 * observed.shape[1], *observed.shape[2:]), -7.0)
    wide[1:-2, ::2] = observed
    yield "every other column of a larger one", wide[1:-2, ::2]
    yield "columns first", np.asfortranarray(observed)
    yield "upside down", observed[::-1].copy()[::-1]
    yield "mirrored", observed[:, ::-1].copy()[:, ::-1]
    yield "read-only", np.frombuffer(observed.tobytes()).reshape(observed.shape)
    yield "bytes in the other order", observed.astype(">f8")
    unaligned = np.frombuffer(b"." + observed.tobytes(), dtype=np.uint8)[1:].view(np.float64)
    yield "not aligned", unaligned.reshape(observed.shape)
    yield "nested lists", observed.tolist()
    yield "longer doubles", observed.astype(np.longdouble)


@pytest.mark.parametrize("outputs", ["depth", OUTPUTS], ids=["one channel", "all"])
@pytest.mark.parametrize("name", ["overlapping shapes", "48 x 16 image"])
def test_layout_of_the_observed_image_does_not_matter(name, outputs):
    case = CASES[name]
    renderer = dr.Renderer(case.scene, free=case.free, output=outputs, boundary="none")
    observed = observation(renderer.render(), 0.1)
    expected = renderer.normal_equations(None, observed)
    assert expected.count > 0
    single = renderer.normal_equations(None, observed.astype(np.float32))
    for equations in (single, *(renderer.normal_equations(None, other) for _, other in layouts(observed))):
        assert np.array_equal(equations.H, expected.H) and np.array_equal(equations.g, expected.g)
        assert (equations.cost, equations.count) == (expected.cost, expected.count)


def test_arguments_are_left_as_they_are():
    case = CASES["sphere"]
    renderer = dr.Renderer(case.scene, free=case.free, boundary="none")
    theta = case.thetas()[1]
    arguments = [theta, observation(renderer.render(), 0.1), np.ones(case.scene.camera.image_shape)]
    copies = [argument.copy() for argument in arguments]
    renderer.normal_equations(*arguments)
    for argument, copy in zip(arguments, copies, strict=True):
        assert np.array_equal(argument, copy, equal_nan=True)


def test_rays_that_miss_count_only_with_a_background():
    case = CASES["sphere"]
    hit = np.isfinite(dr.Renderer(case.scene, boundary="none").render())
    observed = np.full(hit.shape, 2.0)
    none, zero = (dr.Renderer(case.scene, free=case.free, background=value, boundary="none") for value in (None, 0.0))
    assert none.normal_equations(None, observed).count == hit.sum()
    with_background = zero.normal_equations(None, observed)
    assert with_background.count == hit.size
    image, J = zero.jacobian()
    assert_agree(zero, with_background, sums(image, J, observed, None, LOSSES["least squares"][1], 1.0))
    # They weigh in the cost, and not in H and g.
    assert np.array_equal(with_background.H, none.normal_equations(None, observed).H)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("boundary", ["none", "exact"])
def test_parts_of_the_image_that_see_nothing(loss, boundary):
    """Most of it: with and without a value there, weights, holes, numbers of which the square is none."""
    camera = dr.PinholeCamera(width=150, height=90, fx=100.0, fy=100.0, cx=20.0, cy=20.0)
    scene = dr.Scene(camera, {"ball": dr.Sphere(center=[0.0, 0.0, 5.0], radius=0.3)})
    outputs, background = ["depth", "mask", "distance"], [4.0, 0.0, None]
    renderer = dr.Renderer(
        scene, free=["ball.center", "ball.radius"], output=outputs, background=background, boundary=boundary
    )
    image, J = renderer.jacobian()
    assert np.isnan(image[:, 32:, 2]).all() and (image[:, 32:, 0] == 4.0).all()
    make, shape = LOSSES[loss]
    observed, c = observation(image, 0.1), 0.05
    weights = np.random.default_rng(7).uniform(0.0, 2.0, observed.shape)
    weights[weights < 0.2] = 0.0
    for given in (None, weights):
        equations = renderer.normal_equations(None, observed, given, make(c))
        assert_agree(renderer, equations, sums(image, J, observed, given, shape, c))
        assert renderer.cost(None, observed, given, make(c)) == (pytest.approx(equations.cost, 1e-6), equations.count)
        single = renderer.normal_equations(None, observed.astype(np.float32)[:, ::-1][:, ::-1], given, make(c))
        assert (single.cost, single.count) == (equations.cost, equations.count)
        assert np.array_equal(single.H, equations.H)
    observed[60, 100, 0] = -3e38
    assert renderer.normal_equations(None, observed, None, make(c)).count == np.isfinite(image - observed).sum()
    observed[60, 100, 0] = 1e9
    expected = sums(image, J, observed, None, shape, c)
    assert renderer.normal_equations(None, observed, None, make(c)).cost == pytest.approx(expected[2], rel=TOLERANCE)


@pytest.mark.parametrize("loss", LOSSES)
def test_one_channel_without_weights(loss):
    """What is observed is then read where it lies: as it is with weights of 1, whole tiles, parts of them or lone
    pixels of which are no numbers or beyond measure, beside tiles that are whole again."""
    camera = dr.PinholeCamera(width=320, height=64, fx=100.0, fy=100.0, cx=80.0, cy=32.0)
    scene = dr.Scene(camera, {"ball": dr.Sphere(center=[0.0, 0.0, 5.0], radius=1.4)})
    renderer = dr.Renderer(scene, ["ball.center"], output="depth", background=6.0, boundary="none")
    image, J = renderer.jacobian()
    make, shape = LOSSES[loss]
    c = 0.05
    whole = observation(image, 0.1, holes=False).astype(np.float32)
    for beyond in ([], [3e38, -1e25, 2e18]):
        observed = whole.copy()
        observed[:32, 20:70], observed[16:48, 200:250], observed[::9, 300] = np.nan, np.inf, -np.inf
        observed[[20, 30, 40][: len(beyond)], [70, 90, 180][: len(beyond)]] = beyond
        equations = renderer.normal_equations(None, observed, loss=make(c))
        other = renderer.normal_equations(None, observed, np.ones(image.shape), make(c))
        assert equations.count == other.count == np.isfinite(observed).sum()
        assert equations.cost == pytest.approx(other.cost, rel=1e-6)
        for mine, theirs in ((equations.g, other.g), (equations.H, other.H)):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=TOLERANCE * np.abs(theirs).max())
        assert renderer.cost(None, observed, loss=make(c)) == (equations.cost, equations.count)
        if not beyond:
            assert_agree(renderer, equations, sums(image, J, observed, None, shape, c))


def test_the_rendered_image_itself_costs_nothing():
    for case in CASES.values():
        renderer = dr.Renderer(case.scene, free=case.free, output=OUTPUTS, boundary="none")
        image = renderer.render()
        equations = renderer.normal_equations(None, image)
        assert equations.cost == 0.0 and not equations.g.any() and equations.count == np.isfinite(image).sum()


def test_nothing_free():
    renderer = dr.Renderer(CASES["plane"].scene, boundary="none")
    equations = renderer.normal_equations(None, np.zeros((23, 37)))
    assert equations.H.shape == (0, 0) and equations.g.shape == (0,)
    assert equations.cost == pytest.approx(0.5 * np.nansum(renderer.render().astype(float) ** 2), rel=1e-6)


@pytest.mark.parametrize("name", ["sphere", "overlapping shapes"])
def test_sums_over_parts_of_the_image_add_up(name):
    """Each pixel goes into the sums once: two halves of the pixels add up to the whole, in any split."""
    case = CASES[name]
    renderer = dr.Renderer(case.scene, free=case.free, output="depth", boundary="none")
    observed = observation(renderer.render(), 0.1)
    whole = renderer.normal_equations(None, observed)
    chosen = np.random.default_rng(8).uniform(size=observed.shape) < 0.3
    one, other = (renderer.normal_equations(None, np.where(mask, observed, np.nan)) for mask in (chosen, ~chosen))
    added = (one.H + other.H, one.g + other.g, one.cost + other.cost, one.count + other.count)
    assert_agree(renderer, whole, added, 1e-6)


def test_results_stay_as_they_are():
    """Their memory is used again when nobody holds it any more, not before; in threads; after the renderer is gone."""
    case = CASES["overlapping shapes"]
    renderer = dr.Renderer(case.scene, free=case.free, output="depth", boundary="none")
    observed = renderer.render() + np.float32(0.01)
    thetas = [renderer.theta0 + 1e-3 * k for k in range(4)]
    expected = [renderer.normal_equations(theta, observed).H.copy() for theta in thetas]

    def in_turns(renderer, seed):
        held = {}
        for k in np.random.default_rng(seed).integers(len(thetas), size=30):
            held[k] = renderer.normal_equations(thetas[k], observed)
            assert all(np.array_equal(result.H, expected[i]) for i, result in held.items())
            if len(held) == 3:
                held.pop(next(iter(held)))
        return held

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(in_turns, [renderer] * 3, range(3)))
    del renderer
    for held in results:
        assert all(np.array_equal(result.H, expected[i]) and result.H.flags.writeable for i, result in held.items())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("width", [16, 128, 200, 401])
def test_spheres_alone_are_summed_as_beside_others(width, weighted):
    """Alone they are summed by strips of several tiles; a mesh that nobody sees makes it tile by tile."""
    rng = np.random.default_rng(width)
    camera = dr.PinholeCamera(width=width, height=40, fx=60.0, fy=60.0, cx=width / 2, cy=20.0)
    places = rng.uniform([-width / 12, -2, 8], [width / 24, 2, 12], (12, 3))
    spheres = {f"s{k}": dr.Sphere(center, 0.8) for k, center in enumerate(places)}
    unseen = {"unseen": dr.Mesh([(0, 0, -5), (1, 0, -5), (0, 1, -5)], [(0, 1, 2)])}
    free = [f"{name}.center" for name in spheres]
    alone, beside = (
        dr.Renderer(dr.Scene(camera, shapes), free, output="distance", background=2.0, boundary="none")
        for shapes in (spheres, spheres | unseen)
    )
    observed = alone.render() + 0.1 * rng.normal(size=(40, width)).astype(np.float32)
    weights = rng.uniform(0.0, 2.0, observed.shape) if weighted else None
    one, other = (r.normal_equations(r.theta0 + 0.01, observed, weights=weights) for r in (alone, beside))
    assert one.count == other.count == (observed.size if not weighted else np.count_nonzero(weights))
    assert one.cost == pytest.approx(other.cost, rel=1e-12)  # a residual costs the same whichever kernel finds it
    for mine, theirs in ((one.g, other.g), (one.H, other.H)):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=TOLERANCE * np.abs(theirs).max())
    assert alone.cost(alone.theta0 + 0.01, observed, weights=weights) == (one.cost, one.count)
