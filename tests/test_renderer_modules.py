"""Boundary rules and losses of one's own, as models: against NumPy's reference, differences, and what is built in."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from boundary_cases import VIEWS, Rendered, renderer

import diffrt_aot as dr
from diffrt_aot.model import (
    Constant,
    Dual,
    Free,
    Item,
    PerItem,
    PerItemFree,
    Pixel,
    expm1,
    log1p,
    minimum,
    model,
    sqrt,
    where,
    with_slopes,
)
from diffrt_aot.model.compile import compile_models
from kernels.numbers import Dual as ReferenceDual
from kernels.numbers import value_of
from kernels.silhouettes import rules

# --- rules


@model
def blend(pixel: Item, area: PerItemFree, inside: PerItemFree, outside: PerItemFree):
    return rules.blend(rules.Boundary(inside=inside, outside=outside, area=area))


@model
def foreground(pixel: Item, inside: PerItemFree):
    return rules.foreground(rules.Boundary(inside=inside, outside=None, area=None))


@model
def power_mean(pixel: Item, outside: PerItemFree, sharpness: Constant, area: PerItemFree, inside: PerItemFree):
    """Arguments in an order of its own; between what is inside and, the sharper the sooner, outside."""
    a = area * area * (3.0 - 2.0 * area)
    return outside + (inside - outside) * (sharpness * a + (1.0 - sharpness) * area * area)


@model
def sharp(pixel: Item, area: PerItemFree, inside: PerItemFree, outside: PerItemFree):
    """A hard edge, moved by the row of a soft one."""
    soft = area * inside + (1.0 - area) * outside
    return Dual(where(area > 0.5, inside.value, outside.value), soft.partials)


@model
def doubled(pixel: Item, area: PerItemFree, inside: PerItemFree, outside: PerItemFree):
    """The boundary's motion counts twice."""
    covered = with_slopes(lambda a: a, lambda a, value, slope: 2.0 * slope)(area)
    return outside + covered * (inside - outside)


@model
def undefined(pixel: Item, area: PerItemFree, inside: PerItemFree, outside: PerItemFree):
    return where(area > 0.7, sqrt(area - 2.0), inside)


@model
def of_three(pixel: Item, area: PerItemFree[3]):
    return area[0]


@model
def of_width(pixel: Item, area: PerItemFree, width: PerItemFree):
    return area * width


@model
def of_pixel(pixel: Pixel, radius: Free):
    return pixel.column * radius


@model
def of_two(pixel: Item, area: PerItemFree):
    return area, 2.0 * area


# --- losses


@model
def cauchy(pixel: Item, squared: PerItemFree, c: Constant):
    return c * c * log1p(squared / (c * c))


@model
def tukey(pixel: Item, squared: PerItemFree, c: Constant):
    x = minimum(squared / (c * c), 1.0)
    return c * c * x * (1.0 - x + x * x / 3.0)


@model
def welsch(pixel: Item, c: Constant, squared: PerItemFree):
    return -c * c * expm1(-squared / (c * c))


@model
def parabola(pixel: Item, squared: PerItemFree):
    return where(squared < 1.0, squared - 0.5 * squared * squared, 0.5)


@model
def absolute(pixel: Item, squared: PerItemFree):
    return sqrt(squared)


@model
def falling(pixel: Item, squared: PerItemFree):
    return squared / (1.0 + squared * squared)


@model
def line(pixel: Item, slope: Free, x: PerItem):
    return slope * x, x * x


MODELS = [
    *(blend, foreground, power_mean, sharp, doubled, undefined, of_three, of_width, of_pixel, of_two),
    *(cauchy, tukey, welsch, parabola, absolute, falling, line),
]


@pytest.fixture(scope="module")
def compiled():
    pytest.importorskip("llvmlite")
    return dr.Module.from_bytes(compile_models(MODELS, ["x64", "vulkan"]))


def everything(shown, outputs, shape, rule, **options):
    return Rendered("device", shown, outputs, rules={shape: rule}, **options).jacobian()


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("rule", ["blend", "foreground"])
def test_built_in_rules_are_models_too(compiled, name, rule):
    shown = VIEWS[name]
    shape = next(iter(shown.scene.shapes))
    outputs = ["mask", "normal"] if name == "plane" else ["depth", "mask", "normal"]
    for ours, theirs in zip(
        everything(shown, outputs, shape, compiled[rule]), everything(shown, outputs, shape, rule), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


REFERENCE = {
    "power_mean": lambda b: (
        b.outside
        + (b.inside - b.outside) * (0.75 * b.area * b.area * (3.0 - 2.0 * b.area) + (1.0 - 0.75) * b.area * b.area)
    ),
    "sharp": lambda b: ReferenceDual(
        value_of(b.inside if value_of(b.area) > 0.5 else b.outside), rules.blend(b).partials
    ),
    "doubled": lambda b: rules.blend(
        rules.Boundary(
            inside=b.inside,
            outside=b.outside,
            area=ReferenceDual(b.area.value, {k: 2.0 * e for k, e in b.area.partials.items()}),
        )
    ),
}


def rule_of(compiled, name):
    return compiled[name].with_constants(sharpness=0.75) if name == "power_mean" else compiled[name]


@pytest.mark.parametrize("name", ["sphere", "sphere before a plane", "mesh before a sphere", "rigid mesh"])
@pytest.mark.parametrize("rule", REFERENCE)
def test_rules_are_the_reference(compiled, name, rule):
    shown = VIEWS[name]
    shape = "box" if "box" in shown.scene.shapes else next(iter(shown.scene.shapes))
    outputs = ["distance", "normal", "shade"]
    image, J = everything(shown, outputs, shape, rule_of(compiled, rule))
    expected, expected_J = Rendered("reference", shown, outputs, rules={shape: REFERENCE[rule]}).jacobian()
    # Single precision may put an area on the other side of one half.
    clear = np.abs(image - expected) < 0.1
    assert np.count_nonzero(~clear) <= 2 * (rule == "sharp")
    np.testing.assert_allclose(image[clear], expected[clear], rtol=0, atol=2e-3)
    largest = np.abs(expected_J).max(axis=(0, 1, 2))
    assert np.abs((J - expected_J) / np.maximum(largest, 1e-3))[clear].max() < 2e-3
    blended = Rendered("reference", shown, outputs).jacobian()
    assert any(np.abs(a - b).max() > 0.1 for a, b in zip((expected, expected_J), blended, strict=True))


def test_a_rule_has_the_derivative_of_its_image(compiled):
    """Central differences of the reference's image, in float64: no derivative is shared."""
    shown = VIEWS["sphere before a plane"]
    _, J = everything(shown, ["depth"], "ball", rule_of(compiled, "power_mean"))
    reference = Rendered("reference", shown, ["depth"], rules={"ball": REFERENCE["power_mean"]})
    for seed in range(4):
        move = 1e-5 * shown.direction(seed)
        difference = (reference.render(shown.theta0 + move) - reference.render(shown.theta0 - move)) / 2e-5
        # A pixel that a silhouette enters, or leaves, between the two has no difference there.
        wrong = np.abs(J @ shown.direction(seed) - difference) > 3e-3 * np.abs(difference).max()
        assert np.count_nonzero(wrong) <= 2


def test_rules_are_of_one_shape_each(compiled):
    shown = VIEWS["mesh before a sphere"]
    rules_given = {"ball": rule_of(compiled, "power_mean"), "box": compiled.foreground}
    ours = Rendered("device", shown, ["depth"], rules=rules_given).jacobian()
    named = Rendered("device", shown, ["depth"], rules={**rules_given, "box": "foreground"}).jacobian()
    for a, b in zip(ours, named, strict=True):
        np.testing.assert_array_equal(a, b)
    alone = Rendered("device", shown, ["depth"], rules={"ball": rules_given["ball"]}).jacobian()
    assert np.abs(ours[0] - alone[0]).max() > 0.1


def test_threads_and_pickles_change_nothing(compiled):
    shown = VIEWS["mesh before a sphere"]
    rules_given = {"ball": rule_of(compiled, "power_mean"), "box": compiled.doubled}
    image, J = renderer(shown, "depth", 9.0, rules=rules_given, threads=1).jacobian()
    again = renderer(shown, "depth", 9.0, rules=rules_given, threads=2)
    for other in (again, pickle.loads(pickle.dumps(again))):
        image_there, J_there = other.jacobian()
        np.testing.assert_array_equal(image_there, image)
        np.testing.assert_array_equal(J_there.dense(), J.dense())


def test_a_rule_without_a_value_gives_no_residual(compiled):
    shown = VIEWS["sphere before a plane"]
    there = renderer(shown, "depth", rules={"ball": compiled.undefined})
    image, J = there.jacobian()
    blended = renderer(shown, "depth").render()
    missing = np.isnan(image)
    assert 10 < np.count_nonzero(missing) < 60 and np.isfinite(J.dense()).all()
    equations = there.normal_equations(None, blended + 0.1)
    assert equations.count == np.count_nonzero(~missing) and np.isfinite(equations.H).all()


def test_a_fit_with_a_rule(compiled):
    shown = VIEWS["sphere"]
    there = renderer(shown, "mask", rules={"ball": rule_of(compiled, "power_mean")})
    free = [*range(there.blocks["ball.center"].start, there.blocks["ball.center"].start + 2)]
    theta = there.theta0.copy()
    theta[free] += (0.3, -0.2)
    only = dr.Renderer(shown.scene, ["ball.center"], "mask", rules={"ball": rule_of(compiled, "power_mean")})
    result = dr.fit(only, there.render(), theta[there.blocks["ball.center"]])
    np.testing.assert_allclose(result.theta[:2], there.theta0[free], atol=1e-4)


def test_constants_of_a_model(compiled):
    soft = compiled.power_mean.with_constants(sharpness=0.75)
    assert "sharpness=0.75" in repr(soft) and "sharpness=" not in repr(compiled.power_mean)
    data = {name: np.linspace(0.1, 0.9, 20) for name in ("area", "inside", "outside")}
    expected = compiled.power_mean([], shape=20, sharpness=0.75, **data)
    for other in (
        soft,
        pickle.loads(pickle.dumps(soft)),
        soft.with_constants(sharpness=0.5).with_constants(sharpness=0.75),
    ):
        np.testing.assert_array_equal(other([], shape=20, **data), expected)
    np.testing.assert_array_equal(
        soft([], shape=20, sharpness=0.5, **data), compiled.power_mean([], shape=20, sharpness=0.5, **data)
    )
    with pytest.raises(dr.InvalidValueError, match=r"power_mean: unknown constant 'sharpnes'.*sharpness"):
        soft.with_constants(sharpnes=1.0)
    with pytest.raises(dr.InvalidValueError, match=r"sharpness: must have shape \(\), got \(2,\)"):
        soft.with_constants(sharpness=[1.0, 2.0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "of_pixel",
            "rules: 'ball': the model of_pixel is not a boundary rule: its argument pixel is of kind pixel.*def rule",
        ),
        ("of_three", "its argument area must be one number"),
        ("of_width", "nothing that its argument width could be given"),
        ("of_two", "it returns an array"),
        ("power_mean", "the constant sharpness of power_mean has no value; give it one by with_constants"),
        ("cauchy", "nothing that its argument squared could be given"),
    ],
)
def test_what_is_no_rule(compiled, name, message):
    with pytest.raises(dr.InvalidValueError, match=message):
        renderer(VIEWS["sphere"], "depth", rules={"ball": compiled[name]})


def test_a_model_that_is_not_compiled():
    with pytest.raises(dr.InvalidTypeError, match=r"rules: ball: blend is not compiled; pass blend.compile\(\)"):
        renderer(VIEWS["sphere"], "depth", rules={"ball": blend})
    with pytest.raises(dr.InvalidTypeError, match=r"loss: cauchy is not compiled; pass cauchy.compile\(\)"):
        renderer(VIEWS["sphere"], "depth").cost(None, np.zeros((30, 40)), loss=cauchy)


@pytest.fixture(scope="module")
def gpu():
    """A device that modules have code for here."""
    names = [name for name in dr.devices() if name.startswith("vulkan")]
    if not names:
        pytest.skip("there is no Vulkan")
    return names[0]


GPU_RULES = {
    "one": ("sphere before a plane", "ball", None),
    "one of two": ("mesh before a sphere", "box", "foreground"),
    "two": ("mesh before a sphere", "box", "doubled"),
    "edges": ("sphere before free vertices", "gem", None),
}


@pytest.mark.parametrize("case", GPU_RULES)
def test_rules_on_a_gpu(compiled, gpu, case):
    name, shape, other = GPU_RULES[case]
    rules_given = {shape: rule_of(compiled, "power_mean")}
    if other is not None:
        rules_given["ball"] = compiled[other]
    shown = VIEWS[name]
    (image, J), (expected, expected_J) = (
        (r.jacobian()[0], r.jacobian()[1].dense())
        for r in (renderer(shown, ["depth", "normal"], 9.0, rules=rules_given, device=d) for d in (gpu, "cpu"))
    )
    np.testing.assert_allclose(image, expected, rtol=0, atol=1e-4)
    assert np.abs(J - expected_J).max() < 1e-4 * np.abs(expected_J).max()


def test_a_rule_without_a_value_on_a_gpu(compiled, gpu):
    shown = VIEWS["mesh before a sphere"]
    rules_given = {"ball": compiled.undefined, "box": compiled.undefined}
    there, here = (renderer(shown, "depth", 9.0, rules=rules_given, device=d) for d in (gpu, "cpu"))
    image, expected = there.render(), here.render()
    np.testing.assert_array_equal(np.isnan(image), np.isnan(expected))
    assert np.count_nonzero(np.isnan(image)) > 10
    found, wanted = (r.normal_equations(None, np.nan_to_num(expected) + 0.1) for r in (there, here))
    assert found.count == wanted.count
    np.testing.assert_allclose(found.H, wanted.H, rtol=0, atol=1e-4 * np.abs(wanted.H).max())


def test_a_file_without_code_for_the_gpu(gpu):
    module = dr.Module.from_bytes(compile_models([blend, parabola], ["x64"]))
    with pytest.raises(dr.DeviceError, match=r"has code for x64.*compile the models with --targets x64,vulkan"):
        renderer(VIEWS["sphere"], "mask", device=gpu, rules={"ball": module.blend})
    there = renderer(VIEWS["sphere"], "mask", device=gpu)
    observed = there.render()
    with pytest.raises(dr.DeviceError, match=r"has code for x64.*compile the models with --targets x64,vulkan"):
        there.cost(None, observed, loss=module.parabola)
    assert there.cost(None, observed)[0] < 1e-6


# --- losses

C = 0.3
PAIRS = {"cauchy": dr.Cauchy(C), "tukey": dr.Tukey(C), "welsch": dr.Barron(-np.inf, C / np.sqrt(2.0))}
# by strips; single outputs; a background that counts; several channels
KINDS = {
    "strips": ("sphere", "distance", None, "none"),
    "background": ("sphere before a plane", "depth", 9.0, "exact"),
    "nothing around": ("mesh before a sphere", "depth", None, "exact"),
    "channels": ("sphere", ["depth", "normal"], [9.0, 0.0], "exact"),
}


def observed_by(there):
    rng = np.random.default_rng(4)
    image = there.render()
    observed = image + rng.normal(0, 0.4, image.shape)
    observed[rng.random(image.shape) < 0.1] = np.nan
    return observed, rng.uniform(0, 2, image.shape[:2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_losses_are_those_of_the_library(compiled, kind, weighted, name):
    view, outputs, background, boundary = KINDS[kind]
    there = renderer(VIEWS[view], outputs, background, boundary)
    observed, weights = observed_by(there)
    weights = weights if weighted else None
    loss = compiled[name].with_constants(c=C)
    ours, theirs = (there.normal_equations(None, observed, weights, x) for x in (loss, PAIRS[name]))
    assert ours.count == theirs.count
    np.testing.assert_allclose(ours.cost, theirs.cost, rtol=1e-5)
    np.testing.assert_allclose(ours.H, theirs.H, rtol=0, atol=1e-5 * np.abs(theirs.H).max())
    np.testing.assert_allclose(ours.g, theirs.g, rtol=0, atol=1e-5 * np.abs(theirs.g).max())
    cost, count = there.cost(None, observed, weights, loss)
    assert count == ours.count
    np.testing.assert_allclose(cost, ours.cost, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_of_ones_own(compiled, kind):
    """From the image and J, by its formula in NumPy; where it is flat nothing pulls."""
    view, outputs, background, boundary = KINDS[kind]
    there = renderer(VIEWS[view], outputs, background, boundary)
    observed, weights = observed_by(there)
    found = there.normal_equations(None, observed, weights, compiled.parabola)
    image, J = there.jacobian()
    r = (image - observed).ravel()
    w = np.repeat(weights.ravel(), image.size // weights.size)
    J = J.dense().astype(float).reshape(r.size, -1)
    counts = np.isfinite(r) & (w > 0)
    r, w, J = r[counts], w[counts], J[counts]
    s = r**2
    rho, slope = np.where(s < 1, s - s**2 / 2, 0.5), np.maximum(1 - s, 0.0)
    assert found.count == r.size and np.count_nonzero(slope == 0) > 3
    np.testing.assert_allclose(found.cost, 0.5 * np.sum(w * rho), rtol=1e-4)
    H, g = J.T @ (J * (w * slope)[:, None]), J.T @ (w * slope * r)
    np.testing.assert_allclose(found.H, H, rtol=0, atol=1e-4 * np.abs(H).max())
    np.testing.assert_allclose(found.g, g, rtol=0, atol=1e-4 * np.abs(g).max())


def test_a_loss_of_ones_own_for_models(compiled):
    x = np.linspace(-1.0, 2.0, 600)
    rng = np.random.default_rng(3)
    observed = np.stack([1.5 * x, x * x], 1) + rng.normal(0, 0.4, (600, 2))
    observed[::9] += 5.0
    weights = rng.uniform(0.0, 2.0, (600, 2))
    bound = compiled.line.bind(shape=600, x=x)
    for name, theirs in PAIRS.items():
        loss = compiled[name].with_constants(c=C)
        ours, built_in = (bound.normal_equations([1.4], observed, weights, each) for each in (loss, theirs))
        np.testing.assert_allclose(ours.cost, built_in.cost, rtol=1e-5)
        np.testing.assert_allclose(ours.H, built_in.H, rtol=1e-5)
        np.testing.assert_allclose(ours.g, built_in.g, rtol=1e-5)
        assert ours.count == built_in.count
        assert bound.cost([1.4], observed, weights, loss) == (ours.cost, ours.count)
        # Without weights, where each residual exists.
        ours, built_in = (bound.normal_equations([1.4], observed, None, each).g for each in (loss, theirs))
        np.testing.assert_allclose(ours, built_in, rtol=1e-5)
    result = dr.fit(bound, observed, [1.0], loss=compiled.cauchy.with_constants(c=0.2))
    expected = dr.fit(bound, observed, [1.0], loss=dr.Cauchy(0.2))
    np.testing.assert_allclose(result.theta, expected.theta, rtol=1e-4)
    np.testing.assert_allclose(result.covariance, expected.covariance, rtol=1e-3)


def test_a_fit_with_a_loss_of_ones_own(compiled):
    shown = VIEWS["sphere before a plane"]
    there = renderer(shown, "depth", 9.0)
    free = dr.Renderer(shown.scene, ["ball.center", "ball.radius"], "depth", 9.0)
    observed = there.render().copy()
    observed[::7, ::3] -= 2.0
    start = free.theta0 + np.array([0.1, -0.1, 0.2, 0.1])
    result, expected = (
        dr.fit(free, observed, start, loss=loss, levels=2)
        for loss in (compiled.cauchy.with_constants(c=0.05), dr.Cauchy(0.05))
    )
    np.testing.assert_allclose(result.theta, expected.theta, atol=1e-4)
    np.testing.assert_allclose(result.theta, free.theta0, atol=2e-3)
    assert result.warnings == expected.warnings == []


@pytest.mark.parametrize("kind", KINDS)
def test_losses_on_a_gpu(compiled, gpu, kind):
    view, outputs, background, boundary = KINDS[kind]
    there, here = (renderer(VIEWS[view], outputs, background, boundary, device=d) for d in (gpu, "cpu"))
    observed, weights = observed_by(here)
    # One after another, and the first again: each is a recording of its own.
    losses = [compiled.cauchy.with_constants(c=c) for c in (C, 0.5, C)]
    for loss in (*losses, dr.Cauchy(C), compiled.parabola):
        found, expected = (r.normal_equations(None, observed, weights, loss) for r in (there, here))
        assert found.count == expected.count
        np.testing.assert_allclose(found.cost, expected.cost, rtol=1e-5)
        np.testing.assert_allclose(found.H, expected.H, rtol=0, atol=2e-4 * np.abs(expected.H).max())
        np.testing.assert_allclose(found.g, expected.g, rtol=0, atol=2e-4 * np.abs(expected.g).max())
        np.testing.assert_allclose(there.cost(None, observed, weights, loss)[0], found.cost, rtol=1e-6)


def test_a_fit_on_a_gpu(compiled, gpu):
    shown = VIEWS["sphere before a plane"]
    there = dr.Renderer(shown.scene, ["ball.center", "ball.radius"], "depth", 9.0, device=gpu)
    observed = there.render().copy()
    observed[::7, ::3] -= 2.0
    start = there.theta0 + np.array([0.1, -0.1, 0.2, 0.1])
    result = dr.fit(there, observed, start, loss=compiled.cauchy.with_constants(c=0.05))
    np.testing.assert_allclose(result.theta, there.theta0, atol=2e-3)
    bound = compiled.line.bind(shape=20, x=np.arange(20.0), device=gpu)
    values = np.stack([2.0 * np.arange(20.0), np.arange(20.0) ** 2], 1)
    values[3] += 30.0
    found, expected = (bound.cost([1.9], values, loss=x) for x in (compiled.cauchy.with_constants(c=C), dr.Cauchy(C)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_fit_of_outliers_alone_warns(compiled):
    there = dr.Renderer(VIEWS["sphere"].scene, ["ball.radius"], "depth")
    observed = there.render() + np.linspace(3.0, 4.0, 40)
    loss = compiled.cauchy.with_constants(c=1e-3)
    with pytest.warns(dr.FitWarning, match="loss: none of the residuals weigh more than half of what one of 0 does"):
        dr.fit(there, observed, max_steps=1, loss=loss)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absolute", r"loss: absolute is 0, with the derivative inf, where squared is 0; .* write sqrt\(squared \+ c"),
        ("falling", r"loss: falling is 0\.\d+, with the derivative -0\.\d+, where squared is 10"),
        (
            "blend",
            "loss: the model blend is not a loss: there is nothing that its argument area could be given. A loss is",
        ),
        ("cauchy", "loss: the constant c of cauchy has no value"),
    ],
)
def test_what_is_no_loss(compiled, name, message):
    for target in (renderer(VIEWS["sphere"], "depth"), compiled.line.bind(shape=3, x=np.ones(3))):
        observed, theta = (np.ones((30, 40)), None) if isinstance(target, dr.Renderer) else (np.ones((3, 2)), [1.0])
        with pytest.raises(dr.InvalidValueError, match=message):
            target.cost(theta, observed, loss=compiled[name])
