"""Numbers: every operation, on floats, NumPy arrays and duals, against NumPy's own formulas and complex steps."""

import doctest
import math
from pathlib import Path

import number_operations
import numpy as np
import pytest
from number_operations import (
    COUNT,
    GROUPS,
    OPERATIONS,
    Special,
    forms,
    oracle_jacobian,
    outputs,
)

import kernels.numbers
from kernels.numbers import (
    Dual,
    Vec3,
    absolute,
    atan2,
    clip,
    cos,
    exp,
    floor,
    hypot,
    implicit_root,
    maximum,
    minimum,
    partial_of,
    power,
    seed,
    sign,
    sin,
    sqrt,
    value_of,
    where,
)

GENERAL = [o for group in ("unary", "binary", "comparisons", "models") for o in GROUPS[group]]
WITH_FORMS = [(o, form) for group in ("unary", "binary") for o in GROUPS[group] for form in forms(o, group)]
# abs() of a complex number is its modulus; a tie is decided by the imaginary parts.
NOT_COMPLEX = {"abs", "int to the", *(o.name for o in GROUPS["comparisons"])}


def arguments(operation, form, inputs):
    """The arguments of one form: duals seeded by their place, plain numbers, or a float constant."""
    kinds = {
        "d": lambda k: seed(inputs[k], k),
        "p": lambda k: inputs[k],
        "c": lambda k: operation.constants[k],
    }
    return [kinds[kind](k) for k, kind in enumerate(form)]


def check(operation, form, results, inputs, rtol=1e-12):
    """Values and partials of the results against the oracle's; the constants of the form are its inputs, too."""
    inputs = [operation.constants[k] + 0.0 * x if form[k] == "c" else x for k, x in enumerate(inputs)]
    values, partials = oracle_jacobian(operation, inputs)
    slope_rtol = 3e-9 if operation.complex_step else 1e-7
    assert len(results) == len(values)
    for i, result in enumerate(results):
        np.testing.assert_allclose(value_of(result) + 0.0 * inputs[0], values[i], rtol=rtol, atol=1e-14)
        for k, kind in enumerate(form):
            if kind == "d":
                mine = partial_of(result, k) + 0.0 * inputs[0]
                np.testing.assert_allclose(mine, partials[k][i], rtol=slope_rtol, atol=1e-9)
            else:
                assert k not in getattr(result, "partials", {}), "a seed that nothing was given"


# --- every operation, every number type


@pytest.mark.parametrize(("operation", "form"), WITH_FORMS, ids=[f"{o.name}-{form}" for o, form in WITH_FORMS])
def test_operation_on_arrays(operation, form):
    inputs = operation.inputs()
    results = outputs(operation.function(*arguments(operation, form, inputs)))
    check(operation, form, results, inputs)
    assert all(isinstance(result, Dual) == ("d" in form) for result in results)


@pytest.mark.parametrize(("operation", "form"), WITH_FORMS, ids=[f"{o.name}-{form}" for o, form in WITH_FORMS])
def test_operation_on_floats(operation, form):
    inputs = operation.inputs()
    for point in zip(*(x[:6].tolist() for x in inputs), strict=True):
        results = outputs(operation.function(*arguments(operation, form, point)))
        check(operation, form, results, [np.float64(x) for x in point])


@pytest.mark.parametrize("operation", GROUPS["comparisons"] + GROUPS["models"], ids=lambda o: o.name)
def test_functions_of_several_operations(operation):
    form, inputs = "d" * len(operation.domains), operation.inputs()
    results = outputs(operation.function(*arguments(operation, form, inputs)))
    check(operation, form, results, inputs, rtol=1e-10)
    for i, point in enumerate(zip(*(x[:6].tolist() for x in inputs), strict=True)):
        for single, all_of_them in zip(
            outputs(operation.function(*arguments(operation, form, point))), results, strict=True
        ):
            np.testing.assert_allclose(
                value_of(single), (value_of(all_of_them) + 0.0 * inputs[0])[i], rtol=1e-12, atol=1e-15
            )


@pytest.mark.parametrize("operation", [o for o in GENERAL if o.name not in NOT_COMPLEX], ids=lambda o: o.name)
def test_a_complex_step_passes_through(operation):
    inputs = operation.inputs()
    seeded = outputs(operation.function(*(seed(x, k) for k, x in enumerate(inputs))))
    for k in range(len(inputs)):
        moved = [x + 1e-30j if a == k else x for a, x in enumerate(inputs)]
        for dual, stepped in zip(seeded, outputs(operation.function(*moved)), strict=True):
            expected = np.broadcast_to(np.imag(stepped) / 1e-30, COUNT)
            np.testing.assert_allclose(partial_of(dual, k) + np.zeros(COUNT), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda o: o.name)
def test_which_partials_exist_depends_on_the_program_alone(operation):
    """At every point, on floats and on arrays, the same seeds are there: no kernel depends on the data."""
    inputs = operation.inputs()
    with np.errstate(all="ignore"):
        of_arrays = outputs(operation.function(*(seed(x, k) for k, x in enumerate(inputs))))
        keys = [set(getattr(result, "partials", ())) for result in of_arrays]
        for point in zip(*(x[:8] for x in inputs), strict=True):
            of_point = outputs(operation.function(*(seed(x, k) for k, x in enumerate(point))))
            assert [set(getattr(result, "partials", ())) for result in of_point] == keys


@pytest.mark.parametrize("operation", GROUPS["special"], ids=lambda o: o.name)
def test_special_values(operation):
    assert isinstance(operation, Special)
    inputs = operation.inputs()
    with np.errstate(all="ignore"):
        result = operation.function(*(seed(x, k) for k, x in enumerate(inputs)))
        plain = operation.function(*inputs)
    np.testing.assert_allclose(value_of(result) + 0.0, operation.spread(operation.expected), rtol=1e-12)
    np.testing.assert_array_equal(plain, value_of(result))
    for k, slopes in enumerate(operation.slopes):
        mine = partial_of(result, k) + np.zeros(COUNT)
        np.testing.assert_allclose(mine, operation.spread(slopes), rtol=1e-12)


# --- structural zeros


def test_partials_that_do_not_exist_are_absent():
    x, y = seed(2.0, "x"), seed(3.0, "y")
    assert set((x * 2.0 + 1.0).partials) == {"x"}
    assert set((x * y).partials) == {"x", "y"}
    assert set(sqrt(y).partials) == {"y"}
    assert set(where(True, x, 1.0).partials) == {"x"}
    assert set(where(True, x, y).partials) == {"x", "y"}
    assert set(minimum(x, 7.0).partials) == {"x"}
    assert set(atan2(x, 1.0).partials) == set(atan2(1.0, x).partials) == {"x"}
    assert set((2.0 / y).partials) == set((y / 2.0).partials) == {"y"}
    for constant in (sign(x), floor(x), x**0, Dual(1.0, {}) * 2.0, sin(Dual(1.0, {})), Dual(3.0, {}) ** 2):
        assert constant.partials == {}


def test_a_constant_costs_nothing():
    """A number that counts what is done to it: the derivative of a sum with a constant takes no operation."""

    class Counting(float):
        count = 0

        def _counted(self, other):
            Counting.count += 1
            return Counting(1.0)

        __add__ = __radd__ = __mul__ = __rmul__ = __sub__ = __rsub__ = _counted

    x = Dual(Counting(2.0), {"x": Counting(1.0)})
    assert (x + 1.0).partials == {"x": 1.0} and Counting.count == 1
    x - 1.0
    assert Counting.count == 2
    x * 3.0
    assert Counting.count == 4


def test_vectors_of_partials():
    v = Vec3(seed(1.0, "x"), 2.0, seed(3.0, "z"))
    assert list(value_of(v)) == [1.0, 2.0, 3.0]
    assert list(partial_of(v, "z")) == [0.0, 0.0, 1.0]
    assert partial_of(2.0, "x") == 0.0 and value_of(2.0) == 2.0


# --- mixed operands


@pytest.mark.parametrize(
    "other",
    [3, 2.0, np.float64(2.0), np.float32(2.0), np.int64(3), np.arange(1.0, 4.0), np.array([1, 2, 3])],
    ids=lambda other: type(other).__name__,
)
def test_other_numbers_on_both_sides(other):
    value = np.array([0.5, 2.5, 4.0])
    x = seed(value, "x")
    for result, expected, slope in (
        (x + other, value + other, 1.0),
        (other + x, other + value, 1.0),
        (x - other, value - other, 1.0),
        (other - x, other - value, -1.0),
        (x * other, value * other, other),
        (other * x, other * value, other),
        (x / other, value / other, 1.0 / other),
        (other / x, other / value, -other / value**2),
        (other**x, other**value, other**value * np.log(other)),
        (power(x, other), np.float_power(value, other), other * np.float_power(value, other - 1.0)),
        (atan2(other, x), np.arctan2(other, value), -other / (value**2 + other**2)),
        (maximum(other, x), np.maximum(value, other), value > other),
        (minimum(x, other), np.minimum(value, other), value <= other),
    ):
        assert isinstance(result, Dual)
        np.testing.assert_allclose(result.value, expected, rtol=1e-6)
        np.testing.assert_allclose(result.partials["x"] + 0.0 * value, slope + 0.0 * value, rtol=1e-6)
    for mask, expected in ((x < other, value < other), (other < x, other < value), (other == x, other == value)):
        assert isinstance(mask, np.ndarray)
        np.testing.assert_array_equal(mask, expected)


def test_float32_arrays_stay_float32():
    x = seed(np.array([0.5, 2.0], dtype=np.float32), "x")
    assert (sin(x) * 2.0 + sqrt(x)).partials["x"].dtype == np.float32


def test_comparisons_look_at_values():
    x, same, larger = seed(1.0, "x"), seed(1.0, "y"), seed(2.0, "x")
    assert (x == same) is True and (x != same) is False and x < larger and larger >= x and x <= 1 and x < 2.0
    assert (seed(np.array([1.0, 2.0]), "x") == 1.0).tolist() == [True, False]
    assert (x == "one") is False and (x != None) is True  # noqa: E711
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)


def test_numbers_of_any_type_take_part_alike():
    assert hypot(3.0, 4.0) == 5.0 and hypot(3, 4) == 5.0 and power(2, -1) == 0.5 and power(2, 3) == 8.0
    assert clip(5, 0, 2) == 2 and where(True, 1, 2.5) == 1.0
    assert np.ndim(where(2.0 > 1.0, 1.0, 2.0)) == np.ndim(maximum(1.0, 2.0)) == 0
    assert not isinstance(where(True, 1.0, 2.0), np.ndarray)


# --- implicit differentiation


def test_implicit_root():
    """x of exp(x) + theta x - 2 = 0, found by bisection; compared with central differences of it."""

    def solve(theta):
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if math.exp(middle) + theta * middle < 2.0 else (low, middle)
        return low

    theta = seed(1.5, "theta")
    root = solve(1.5)
    x = implicit_root(root, exp(root) + theta * root - 2.0, math.exp(root) + 1.5)
    assert x.value == root
    assert x.partials["theta"] == pytest.approx((solve(1.5 + 1e-6) - solve(1.5 - 1e-6)) / 2e-6, rel=1e-8)
    assert (x * x).partials["theta"] == 2.0 * root * x.partials["theta"]
    assert implicit_root(root, exp(root) - 2.0, 1.0) is root
    assert implicit_root(1.0, Dual(0.0, {}), 2.0).partials == {}


# --- nonsense is refused, with the way out


X = seed(2.0, "x")
NONSENSE = {
    "if": (lambda: 1.0 if X else 2.0, r"choose with where\(x > 0.0, a, b\)"),
    "and": (lambda: X and 2.0, "neither true nor false"),
    "nested value": (lambda: Dual(X, {}), r"duals do not nest; perhaps you meant its .value"),
    "nested partial": (lambda: Dual(1.0, {"x": X}), r"a partial is itself a Dual"),
    "value is a vector": (lambda: Dual(Vec3(1.0, 2.0, 3.0), {}), "the value is a number, got Vec3"),
    "value is None": (lambda: Dual(None, {}), "the value is a number, got NoneType"),
    "partials are no dict": (lambda: Dual(1.0, [1.0]), r"a dict \{seed: number\}, got list"),
    "seeded twice": (lambda: seed(X, "y"), r"a Dual already, with seeds \{'x'\}; seed plain numbers, and each once"),
    "seeded vector": (lambda: seed(Vec3(1.0, 2.0, 3.0), "v"), "give each component a seed of its own"),
    "math": (lambda: math.sqrt(X), "call sqrt, sin, ... of kernels.numbers, not of math"),
    "float": (lambda: float(X), "take its .value"),
    "numpy": (lambda: np.sqrt(X), "__array_ufunc__"),
    "numpy.where": (lambda: np.where(True, X, 0.0), "call where, ... of kernels.numbers, not of numpy"),
    "where a Dual": (lambda: where(X, 1.0, 2.0), r"the condition is a Dual, not a comparison"),
    "where a list": (lambda: where(True, [1.0], X), "where: expects a number, got list"),
    "sqrt of a vector": (lambda: sqrt(Vec3(1.0, 2.0, 3.0)), r"sqrt: expects a number, got Vec3; perhaps .map\(sqrt\)"),
    "sqrt of a string": (lambda: sqrt("4"), "sqrt: expects a number, got str"),
    "maximum of a list": (lambda: maximum(X, [1.0]), "maximum: expects a number, got list"),
    "sum with a string": (lambda: X + "1", "unsupported operand"),
    "difference from a list": (lambda: [1.0] - X, "unsupported operand"),
    "power of a string": (lambda: X ** "1", "unsupported operand"),
    "order of a string": (lambda: X < "1", "not supported between"),
    "sum with a vector": (lambda: X + Vec3(1.0, 2.0, 3.0), "unsupported operand"),
    "root is a Dual": (lambda: implicit_root(X, X, 1.0), "root and slope are plain numbers"),
    "slope is a Dual": (lambda: implicit_root(1.0, X, X), "perhaps you meant their .value"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused(name):
    nonsense, message = NONSENSE[name]
    with pytest.raises(TypeError, match=message):
        nonsense()


def test_repr():
    assert repr(seed(np.float64(2.0), "x") * np.float32(2.0)) == "Dual(4.0, {'x': 2.0})"
    assert repr(absolute(seed(-1.5, 0))) == "Dual(1.5, {0: -1.0})"
    assert repr(seed(np.array([1.0, 2.0]), 0)) == "Dual(array([1., 2.]), {0: 1.0})"
    assert repr(Vec3(1.0, seed(0.0, "y"), 2)) == "Vec3(1.0, Dual(0.0, {'y': 1.0}), 2)"


@pytest.mark.parametrize("module", ["", "dual", "functions", "implicit", "linear"])
def test_the_tutorial_is_true(module):
    tested = getattr(kernels.numbers, module) if module else kernels.numbers
    result = doctest.testmod(tested)
    assert result.failed == 0
    assert result.attempted > 0 or module in ("dual", "functions")


def test_every_public_function_is_in_the_table():
    """So that an operation that is added gets its derivative test, on every machine."""
    text = Path(number_operations.__file__).read_text()
    exported = {name for name in vars(kernels.numbers) if not name.startswith("_")}
    modules = {"dual", "functions", "implicit", "linear", "traced"}
    for name in exported - modules - {"Dual", "seed", "partial_of"}:
        assert f"{name}(" in text or f", {name}," in text, f"{name} is not in number_operations.py"


def test_models_are_plain_functions():
    """A model of a user's own: the same text on a float, an array, a complex step and duals."""

    def model(u, v, k):
        r = hypot(u, v)
        return where(r < 2.0, sin(k * r) / r, cos(r)) ** 2

    u, v = np.linspace(-3.0, 3.0, 50), 0.7
    k = 1.3
    result = model(u, v, seed(k, "k"))
    np.testing.assert_allclose(result.value, [model(float(x), v, k) for x in u], rtol=1e-14)
    np.testing.assert_allclose(result.partials["k"], np.imag(model(u + 0j, v, k + 1e-30j)) / 1e-30, rtol=1e-12)
