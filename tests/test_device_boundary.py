"""Exact boundaries as devices compute them, kernel by kernel, without a device: against the reference and the CPU.

The kernels are compiled for this machine and called in the order in which a device runs them (device_boundary/).
"""

import math

import numpy as np
import pytest
from boundary_cases import (
    BACKGROUND,
    CAMERA,
    EVERY_VIEW,
    OUTPUTS,
    VIEWS,
    Rendered,
    View,
    block_sizes,
    crossed_of,
    outputs_of,
)
from boundary_cases import renderer as cpu_renderer
from compiled import levels, missing
from device_boundary import compiled
from device_boundary.chain import Chain, Overflow
from device_boundary.tables import Tables
from renderer_cases import CASES, ball_mesh, pose
from test_boundary_consistency import SHARED
from test_boundary_robustness import AWKWARD, awkward
from test_boundary_scenes import INTERSECTING, RECTANGLES, SCENES, rectangle

import diffrt_aot as dr

BACKGROUNDS = [BACKGROUND[output] for output in OUTPUTS]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    if reason := missing():
        pytest.skip(reason)
    return compiled.build(tmp_path_factory.mktemp("device_kernels"), levels()[-1])


def evaluated(tables, outputs=OUTPUTS, background=BACKGROUNDS, action=Chain.jacobian, **options):
    """(chain, what the action gives), with lists as long as it takes."""
    capacities = options.pop("capacities", None)
    while True:
        chain = Chain(tables, outputs, background, capacities=capacities, **options)
        try:
            return chain, action(chain)
        except Overflow as overflow:
            capacities = [needed + needed // 4 + 16 for needed in overflow.needed]


# Against the reference, in float64.


@EVERY_VIEW
@pytest.mark.parametrize("moved", [0.0, 1.0], ids=["theta0", "moved"])
def test_kernels_are_the_reference(kernels, name, moved):
    shown, outputs = VIEWS[name], outputs_of(name)
    theta = shown.theta0 + moved * shown.direction(3)
    image, J = Rendered("reference", shown, outputs).jacobian(theta)
    tables = Tables(kernels, shown.scene, shown.free, theta)
    _, (other, columns) = evaluated(tables, outputs, [BACKGROUND[output] for output in outputs])
    errors = [np.abs(other - image).max(axis=-1) / 1e-3]
    for channel in range(J.shape[2]):
        tolerance = 2e-3 * block_sizes(shown, J[:, :, channel]) + 1e-5 * np.maximum(np.abs(J).max(axis=(0, 1, 2)), 1.0)
        errors.append((np.abs(columns - J)[:, :, channel] / tolerance).max(axis=-1))
    worst = np.sort(np.max(errors, axis=0).ravel())
    assert worst[-1 - math.ceil(0.01 * crossed_of(name).sum())] <= 1.0, worst[-5:]


# Against the CPU, which finds and links its lists in another way.

EVERYWHERE = {
    **{f"awkward: {name}": (lambda name=name: awkward(name)) for name in AWKWARD},
    **{f"rectangle: {name}": (lambda name=name: rectangle(*RECTANGLES[name])) for name in RECTANGLES},
    **{f"intersecting: {name}": (lambda name=name: INTERSECTING[name]) for name in INTERSECTING},
    **{f"scene: {name}": (lambda name=name: SCENES[name]) for name in SCENES},
    **{f"case: {name}": (lambda name=name: View(CASES[name].scene, CASES[name].free)) for name in CASES},
}
# Two surfaces at the same place: rounding decides which is seen.
UNDECIDED = {"awkward: concentric spheres": 10}


def wrong_pixels(given, expected):
    """How many pixels differ by more than single precision."""
    (image, J), (other, columns) = expected, given
    assert np.array_equal(np.isnan(image), np.isnan(other)) and np.all(np.isfinite(columns))
    image, other = np.nan_to_num(image), np.nan_to_num(other)
    size = np.maximum(
        np.abs(J).max(axis=(0, 1), initial=0.0), 1e-3 * np.abs(J).max(axis=(0, 1, 3), initial=0.0)[:, None]
    )
    wrong = np.any(np.abs(other - image) > 1e-3 * np.maximum(np.abs(image), 1.0), axis=-1)
    wrong |= np.any(np.abs(columns - J) > 2e-3 * size + 1e-5, axis=(-1, -2))
    return int(wrong.sum())


def on_cpu(shown, background, **options):
    image, J = cpu_renderer(shown, OUTPUTS, background, **options).jacobian()
    return image.astype(float), J.dense().astype(float)


@pytest.mark.parametrize("background", [BACKGROUNDS, [None] * len(OUTPUTS)], ids=["valued", "default"])
@pytest.mark.parametrize("name", EVERYWHERE)
def test_kernels_are_the_cpu_everywhere(kernels, name, background):
    shown = EVERYWHERE[name]()
    _, given = evaluated(Tables(kernels, shown.scene, shown.free), background=background)
    assert wrong_pixels(given, on_cpu(shown, background)) <= UNDECIDED.get(name, 2)


@EVERY_VIEW
@pytest.mark.parametrize("rule", ["foreground", "none"])
def test_rules(kernels, name, rule):
    shown = VIEWS[name]
    for shape in shown.scene.shapes:
        rules = {shape: rule}
        _, given = evaluated(Tables(kernels, shown.scene, shown.free, rules=rules))
        assert wrong_pixels(given, on_cpu(shown, BACKGROUNDS, rules=rules)) <= 1


@EVERY_VIEW
def test_values_alone(kernels, name):
    shown = VIEWS[name]
    outputs = outputs_of(name)  # along a plane's horizon depth has no bounds
    background = [BACKGROUND[output] for output in outputs]
    _, (image, _) = evaluated(Tables(kernels, shown.scene, shown.free), outputs, background)
    _, alone = evaluated(Tables(kernels, shown.scene, []), outputs, background, action=Chain.render)
    np.testing.assert_allclose(alone, image, rtol=2e-6, atol=1e-5)


# Normal equations: rows of several primitives in one pixel.


@pytest.mark.parametrize("name", SHARED)
def test_normal_equations_are_those_of_the_rows(kernels, name):
    scene, free = SHARED[name]
    tables = Tables(kernels, scene, list(free))
    _, (image, J) = evaluated(tables)
    rng = np.random.default_rng(1)
    observed = (image + 0.3 * rng.normal(size=image.shape)).astype(np.float32)
    observed[rng.random(image.shape) < 0.1] = np.nan
    chain, (H, g) = evaluated(tables, action=lambda chain: chain.normal_equations(observed))
    assert chain.length(chain.at.list_pairs) > 0 or len(scene.shapes) == 1
    residual = chain.image().astype(float) - observed
    there = np.isfinite(residual)
    expected = J[there].T @ J[there]
    scale = np.sqrt(np.diag(expected))
    assert np.all(np.abs(H - expected) <= 1e-5 * np.outer(scale, scale))
    assert np.all(np.abs(g - J[there].T @ residual[there]) <= 1e-5 * scale * np.linalg.norm(residual[there]))


# What is left out before it is looked at, and what must not be.

BALL = dr.Sphere((0.0, 0.0, 10.0), 4.0)  # fills most of the image
RIM = np.array([(x, y) for x in np.linspace(-1.6, 1.6, 5) for y in np.linspace(-1.2, 1.2, 4)])


def with_spheres_at(depth):
    """Small spheres whose nearest points lie so far before the surface of a large one."""
    shapes = {"ball": BALL}
    for k, (x, y) in enumerate(RIM):
        outward = np.array([x, y, -np.sqrt(BALL.radius**2 - x * x - y * y)]) / BALL.radius
        shapes[f"s{k}"] = dr.Sphere(BALL.center + (BALL.radius + depth - 0.3) * outward, 0.3)
    return View(dr.Scene(CAMERA, shapes), [f"{name}.{what}" for name in shapes for what in ("radius", "center")])


@pytest.mark.parametrize("depth", [-1e-1, -1e-2, -1e-3, -1e-4, 0.0, 1e-4, 1e-3, 1e-2, 1e-1, 4e-1])
def test_spheres_that_look_out_of_another(kernels, depth):
    shown = with_spheres_at(depth)
    _, given = evaluated(Tables(kernels, shown.scene, shown.free), background=BACKGROUNDS)
    assert wrong_pixels(given, on_cpu(shown, BACKGROUNDS)) <= 2


def test_hidden_spheres_take_no_places(kernels):
    several = with_spheres_at(-1.0)
    alone = View(several.scene.replace(shapes={"ball": BALL}), ["ball.radius", "ball.center"])
    chain, (image, J) = evaluated(Tables(kernels, alone.scene, alone.free))
    other, (same, columns) = evaluated(Tables(kernels, several.scene, several.free))
    assert 0 < chain.length(chain.at.list_entries) == other.length(other.at.list_entries)
    assert np.array_equal(same, image) and np.array_equal(columns[..., :4], J) and not columns[..., 4:].any()


def test_more_pieces_in_a_pixel_than_a_number_has_bits(kernels):
    """Specks of many faces: several chains, each of more than 31 pieces, in one pixel."""
    vertices, faces = ball_mesh(3, radius=0.012)
    places = [(-0.067, 0.03, 6.0), (-0.013, 0.03, 6.0)]
    shapes = {f"m{k}": dr.Mesh(vertices, faces, pose(translation=place)) for k, place in enumerate(places)}
    shown = View(dr.Scene(CAMERA, shapes), ["m0.pose", "m1.pose"])
    chain, given = evaluated(Tables(kernels, shown.scene, shown.free), background=BACKGROUNDS)
    assert chain.length(chain.at.list_crossed) == 1 and chain.length(chain.at.list_pieces) > 2 * 31
    assert wrong_pixels(given, on_cpu(shown, BACKGROUNDS)) == 0


# Lists: who comes first, and lists that are too short.

LISTED = ["rigid mesh", "sphere before free vertices", "mesh before a sphere"]


@pytest.mark.parametrize("name", LISTED)
def test_bits_do_not_depend_on_who_comes_first(kernels, name):
    shown = VIEWS[name]
    tables = Tables(kernels, shown.scene, shown.free)
    _, (image, J) = evaluated(tables)
    observed = np.zeros(image.shape, dtype=np.float32)
    _, (H, g) = evaluated(tables, action=lambda chain: chain.normal_equations(observed))
    places = []
    for seed in range(4):
        chain, (other, columns) = evaluated(tables, shuffled=seed)
        assert np.array_equal(other, image) and np.array_equal(columns, J)
        places.append(chain.crossed[: chain.length(chain.at.list_crossed)].tolist())
        _, sums = evaluated(tables, action=lambda chain: chain.normal_equations(observed), shuffled=seed)
        assert np.array_equal(sums[0], H) and np.array_equal(sums[1], g)
    assert len({tuple(place) for place in places}) == 4


@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize("name", LISTED)
def test_lists_that_are_too_short(kernels, name, which):
    """Nothing is written beyond them, and they tell how long they should be."""
    shown = VIEWS[name]
    tables = Tables(kernels, shown.scene, shown.free)
    zeros = np.zeros((shown.scene.camera.height, shown.scene.camera.width, 7), dtype=np.float32)

    def equations(chain):
        return chain.normal_equations(zeros)

    full, expected = evaluated(tables, action=equations)
    names = ("crossed", "entries", "pieces", "pixel_pairs", "pairs")
    lists = [getattr(full.at, f"list_{k}") for k in names]
    needed = [full.length(k) // (full.pair_size if k == full.at.list_pairs else 1) for k in lists]
    if needed[which] < 2:
        pytest.skip("a list that is not in use")
    capacities = [max(n, 1) for n in needed]
    chain, sums = evaluated(tables, action=equations, capacities=capacities)
    assert all(np.array_equal(a, b) for a, b in zip(sums, expected, strict=True))  # exactly enough
    for short in (needed[which] - 1, needed[which] // 2, 1):
        capacities[which] = short
        chain = Chain(tables, OUTPUTS, BACKGROUNDS, capacities=capacities)
        arrays = {
            k: v for k, v in vars(chain).items() if isinstance(v, np.ndarray) and k not in ("lengths", "backgrounds")
        }
        for name_of_array, array in arrays.items():  # room behind each, to see whether it is touched
            longer = np.full(array.size + 4096, -7, dtype=array.dtype)
            longer[: array.size] = array
            setattr(chain, name_of_array, longer[: array.size])
            arrays[name_of_array] = longer
        with pytest.raises(Overflow) as overflow:
            equations(chain)
        assert overflow.value.needed[which] >= min(needed[which], short + 1)
        assert all(np.all(array[-4096:] == -7) for array in arrays.values())
