"""Elementary functions as arithmetic: in float32, in units of its last place, against NumPy in float64."""

import model_machine
import numpy as np
import pytest

from diffrt_aot import model as M
from diffrt_aot.model import Item, Model, PerItem, PerItemFree, elementary, graph

FLOAT = np.float32
# {name: (NumPy's function, inputs from, to, allowed units)}
UNARY = {
    "sin": (np.sin, -10_000.0, 10_000.0, 2.0),
    "cos": (np.cos, -10_000.0, 10_000.0, 2.0),
    "tan": (np.tan, -1.57, 1.57, 4.0),
    "asin": (np.arcsin, -1.0, 1.0, 3.0),
    "acos": (np.arccos, -1.0, 1.0, 3.0),
    "atan": (np.arctan, -50.0, 50.0, 3.0),
    "exp": (np.exp, -86.9, 88.7, 2.0),
    "expm1": (np.expm1, -20.0, 88.0, 3.0),
    "log": (np.log, 1e-6, 1000.0, 2.0),
    "log1p": (np.log1p, -1.0, 100.0, 5.0),
    "sinh": (np.sinh, -89.0, 89.0, 5.0),
    "cosh": (np.cosh, -89.0, 89.0, 5.0),
    "tanh": (np.tanh, -20.0, 20.0, 3.0),
}
BINARY = {
    "atan2": (np.arctan2, -10.0, 10.0, 4.0),
    "hypot": (np.hypot, -10.0, 10.0, 2.0),
    "pow": (np.float_power, 0.1, 3.0, 12.0),
}
SPECIAL = np.array([0.0, np.inf, -np.inf, np.nan, -1.0, 1.0, 1e-40, 1e-30, 3e38, -3e38, 1e-45, 0.5, 2.0, -2.0], FLOAT)


def units(got, wanted, floor=0.0):
    """The error in units of the last place; 0 where both are the same special value. Below `floor`, in its units."""
    with np.errstate(all="ignore"):
        nearest = wanted.astype(FLOAT)
        unit = np.spacing(np.maximum(np.abs(nearest), FLOAT(floor))).astype(float)
        error = np.abs(got - wanted) / unit
    same = (got == nearest) | (np.isnan(got) & np.isnan(wanted))
    return np.where(same, 0.0, np.where(np.isfinite(got) & np.isfinite(nearest), error, np.inf))


def oracle(function, *x):
    with np.errstate(all="ignore"):
        return function(*(a.astype(float) for a in x))


@pytest.mark.parametrize("name", UNARY)
def test_function_of_one_number(name):
    function, low, high, allowed = UNARY[name]
    rng = np.random.default_rng(7)
    near_zero = np.exp(rng.uniform(-40.0, 0.0, 20_000)) * rng.choice([-1.0, 1.0], 20_000)
    x = np.concatenate([rng.uniform(low, high, 60_000), np.clip(near_zero, low, high)]).astype(FLOAT)
    ours = model_machine.of_function(getattr(M, name), 1)
    error = units(ours(x), oracle(function, x), floor=0.5 if name in ("sin", "cos") else 0.0)
    assert error.max() <= allowed, x[error.argmax()]


@pytest.mark.parametrize("name", BINARY)
def test_function_of_two_numbers(name):
    function, low, high, allowed = BINARY[name]
    x, y = np.random.default_rng(7).uniform(low, high, (2, 80_000)).astype(FLOAT)
    ours = model_machine.of_function(getattr(M, name), 2)
    error = units(ours(x, y), oracle(function, x, y))
    assert error.max() <= allowed, (x[error.argmax()], y[error.argmax()])


@pytest.mark.parametrize("name", UNARY)
def test_special_values_of_one_number(name):
    # Angles beyond 100,000 have no sine; what is less than 2e-38 is no exponential.
    x = SPECIAL[~(np.isfinite(SPECIAL) & (np.abs(SPECIAL) > 1e5))] if name in ("sin", "cos", "tan") else SPECIAL
    error = units(model_machine.of_function(getattr(M, name), 1)(x), oracle(UNARY[name][0], x))
    assert error.max() <= UNARY[name][3], x[error.argmax()]


@pytest.mark.parametrize("name", BINARY)
def test_special_values_of_two_numbers(name):
    x, y = (v.ravel() for v in np.meshgrid(SPECIAL, SPECIAL))
    wanted = oracle(BINARY[name][0], x, y)
    if name == "hypot":
        wanted = np.where(np.isnan(x) | np.isnan(y), np.nan, wanted)
    if name == "pow":
        # A base below 0 has no powers here; and units grow with the exponent.
        wanted = np.where((x < 0.0) & (y != 0.0) | np.isnan(y) | (x == 1.0) & np.isinf(y), np.nan, wanted)
        with np.errstate(all="ignore"):
            fair = ~(np.abs(y * np.log(np.abs(x.astype(float)))) > 1.0) | ~np.isfinite(x) | ~np.isfinite(y)
        x, y, wanted = x[fair], y[fair], wanted[fair]
    error = units(model_machine.of_function(getattr(M, name), 2)(x, y), wanted)
    assert error.max() <= BINARY[name][3], (x[error.argmax()], y[error.argmax()])


def test_hypot_does_not_overflow_or_vanish():
    x = np.array([3e30, 3e-30, 3e19, 3e-20, 0.0], FLOAT)
    y = np.array([4e30, 4e-30, 4e19, 4e-20, 0.0], FLOAT)
    np.testing.assert_allclose(model_machine.of_function(M.hypot, 2)(x, y), [5e30, 5e-30, 5e19, 5e-20, 0.0], rtol=3e-7)


def program_of(function):
    def f(item, a, b): return function(a, b)  # fmt: skip

    f.__annotations__ = {"item": Item, "a": PerItemFree, "b": PerItem}
    return Model(f).trace("forward")


def operations(function):
    outputs, _, _ = elementary.expand(program_of(function))
    return [n.op for n in graph.ancestors(outputs)]


def test_sine_and_cosine_of_an_angle_share_their_reduction():
    both, one = (len(operations(f)) for f in (lambda a, b: M.sin(a) + M.cos(a), lambda a, b: M.sin(a)))
    assert both < one + 10


def test_what_divides_twice_is_inverted_once():
    ops = operations(lambda a, b: (a + 1.0) / b + (a * a) / b)
    assert ops.count("div") == 1 and ops.count("mul") >= 2
    assert operations(lambda a, b: (a + 1.0) / 3.0).count("div") == 0
    assert operations(lambda a, b: (a + 1.0) / b).count("div") == 1


def test_a_quotient_that_is_cut_or_compared_is_exact():
    # 41 * (1 / 41) is less than 1 in float32.
    assert FLOAT(41) * (FLOAT(1) / FLOAT(41)) < 1
    cut = model_machine.of_function(lambda a: M.floor(a / 41.0), 1)
    assert cut([41.0])[0] == 1.0
    compared = model_machine.of_function(lambda a: M.where(a / 41.0 >= 1.0, 1.0, 0.0), 1)
    assert compared([41.0])[0] == 1.0


def test_only_machine_operations_are_left():
    machine = {"constant", "item", "item_free", "where", "power_of_two", "exponent", "mantissa"}
    machine |= set(model_machine.ARITHMETIC) | set(model_machine.CONDITIONS)
    for name in (*UNARY, *BINARY):
        function = getattr(M, name)
        ops = set(operations(lambda a, b, f=function, two=name in BINARY: f(a, b).value if two else f(a)))
        assert ops <= machine, ops - machine
