"""What Taichi's tests of its forward mode ask of a derivative, asked of models, column by column.

Re-expressed from taichi-dev/taichi, tests/python/test_ad_{basics,math_func,if,for}_fwd.py (1.7): there a launch for
each column, here all columns of one call. What is right is written by hand.
"""

import numpy as np
import pytest

from diffrt_aot import model as m
from diffrt_aot.model import (
    Free,
    FreeTable,
    Item,
    Model,
    PerItem,
    PerItemFree,
    PerItemIndex,
    loop,
    model,
    number,
    where,
)

pytest.importorskip("llvmlite")

X = np.linspace(0.15, 0.9, 16)
Y = np.linspace(1.7, 0.3, 16)

UNARY = {
    "2 x": (lambda x: 2.0 * x, lambda x: 0 * x + 2),
    "x x": (lambda x: x * x, lambda x: 2 * x),
    "x^3": (lambda x: x**3, lambda x: 3 * x**2),
    "x^-2": (lambda x: x**-2, lambda x: -2 * x**-3),
    "x^1.5": (lambda x: x**1.5, lambda x: 1.5 * x**0.5),
    "1 / x": (lambda x: 1.0 / x, lambda x: -1 / x**2),
    "-x": (lambda x: -x, lambda x: 0 * x - 1),
    "abs": (lambda x: m.absolute(x - 0.5), lambda x: np.sign(x - 0.5)),
    "sqrt": (m.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "1 / sqrt": (lambda x: 1.0 / m.sqrt(x), lambda x: -0.5 * x**-1.5),
    "sin": (m.sin, np.cos),
    "cos": (m.cos, lambda x: -np.sin(x)),
    "tan": (m.tan, lambda x: 1 / np.cos(x) ** 2),
    "tanh": (m.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "asin": (m.asin, lambda x: 1 / np.sqrt(1 - x**2)),
    "acos": (m.acos, lambda x: -1 / np.sqrt(1 - x**2)),
    "exp": (m.exp, np.exp),
    "log": (m.log, lambda x: 1 / x),
    "floor": (lambda x: m.floor(4.0 * x) + x, lambda x: 0 * x + 1),
    "2^x": (lambda x: 2.0**x, lambda x: np.log(2) * 2**x),
}
BINARY = {
    "x y": (lambda x, y: x * y, lambda x, y: (y, x)),
    "x / y": (lambda x, y: x / y, lambda x, y: (1 / y, -x / y**2)),
    "x - y": (lambda x, y: x - y, lambda x, y: (0 * x + 1, 0 * y - 1)),
    "x^y": (lambda x, y: x**y, lambda x, y: (y * x ** (y - 1), x**y * np.log(x))),
    "atan2": (m.atan2, lambda x, y: (y / (x**2 + y**2), -x / (x**2 + y**2))),
    "min": (m.minimum, lambda x, y: (1.0 * (x <= y), 1.0 * (x > y))),
    "max": (m.maximum, lambda x, y: (1.0 * (x >= y), 1.0 * (x < y))),
    "mod": (lambda x, y: x % (0.31 * y), lambda x, y: (0 * x + 1, -0.31 * np.floor(x / (0.31 * y)))),
}


def columns(function, count):
    """d f / d x and d f / d y at each place, from one model with a parameter for each number."""

    def f(item: Item, tables: FreeTable[count], k: PerItemIndex):
        return function(*(tables[k][i] for i in range(count))) if count > 1 else function(tables[k][0])

    f.__annotations__ = {"item": Item, "tables": FreeTable[count], "k": PerItemIndex}
    theta = np.stack([X, Y][:count], 1)
    _, J = Model(f).compile(targets=["x64"]).jacobian({"tables": theta}, shape=len(X), k=np.arange(len(X)))
    dense = J.dense()
    own = dense.reshape(len(X), len(X), count)
    off = own[~np.eye(len(X), dtype=bool)]
    assert not off.any()  # nothing depends on another place's parameters
    return own[np.arange(len(X)), np.arange(len(X))].T


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_number(name):
    function, derivative = UNARY[name]
    (found,) = columns(function, 1)
    np.testing.assert_allclose(found, derivative(X), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_numbers(name):
    function, derivative = BINARY[name]
    np.testing.assert_allclose(columns(function, 2), derivative(X, Y), rtol=2e-5, atol=2e-6)


@model
def sums_of_squares(item: Item, a: Free[5], b: Free[5]):
    return 3.0 * b[1] ** 2 + 5.0 * a[3] ** 2, 4.0 * b[2] ** 2 + 6.0 * a[4] ** 2


def test_two_losses_and_two_fields():
    """There four launches, each with a seed for a field."""
    theta = {"a": np.arange(5.0), "b": np.arange(5.0)}
    compiled = sums_of_squares.compile(targets=["x64"])
    value, product = compiled.jvp(theta, np.kron(np.eye(2), np.ones((5, 1))), shape=1)
    assert np.array_equal(product[0], [[30.0, 6.0], [48.0, 16.0]])
    assert np.array_equal(value[0], [3 + 45, 16 + 96])


@model
def branches(item: Item, z: Free, x: PerItem):
    """Nested, as where is: each side is computed, and the one that is not taken leaves no trace."""
    below = where(x == 0.0, 0.0, z / where(x == 0.0, 0.0, 1.0))
    return where(x < 2.0, below, where(x == 2.0, 2.0 * z, 3.0 * z)), where(x > 0.0, m.log(x) * z, 2.0 * z)


def test_nested_branches():
    x = np.arange(20.0) % 4
    value, J = branches.compile(targets=["x64"]).jacobian({"z": 1.0}, shape=20, x=x)
    assert np.array_equal(value[:, 0], x) and np.array_equal(J.dense()[:, 0, 0], x)
    right = np.where(x > 0, np.log(np.maximum(x, 1e-30)), 2.0)
    np.testing.assert_allclose(J.dense()[:, 1, 0], right, rtol=1e-6)


def powers_of(a, b):
    """a^b and 1 + a b, by as many turns as b says."""
    turns = number(b)

    def step(k, product, total):
        more = k < turns
        return k + 1.0, where(more, product * a, product), where(more, total + a, total)

    return tuple(loop(9, step, 0.0, 1.0, 1.0, derivative="carried")[1:])


@model
def powers(item: Item, a: PerItemFree, b: PerItemIndex):
    """Of each item's own number, whose partial comes out of the rows."""
    return powers_of(a, b)


@model
def powers_of_one(item: Item, a: Free, b: PerItemIndex):
    return powers_of(a, b)


def test_loops_of_different_lengths():
    b = np.arange(10)
    value, J = powers_of_one.compile(targets=["x64"]).jacobian({"a": 3.0}, shape=10, b=b)
    np.testing.assert_allclose(value, np.stack([3.0**b, 1 + 3.0 * b], 1), rtol=1e-6)
    np.testing.assert_allclose(J.dense()[..., 0], np.stack([b * 3.0 ** (b - 1), b], 1), rtol=1e-6)
    assert np.allclose(powers.reference({}, shape=10, a=np.full(10, 3.0), b=b), value, rtol=1e-6)


@model
def fibonacci(item: Item, first: Free, second: Free, c: PerItemIndex):
    turns = number(c)

    def step(k, p, q):
        more = k < turns
        return k + 1.0, where(more, q, p), where(more, p + q, q)

    return loop(14, step, 0.0, first, second, derivative="carried")[2]


def test_fibonacci():
    value, J = fibonacci.compile(targets=["x64"]).jacobian([0.0, 1.0], shape=15, c=np.arange(15))
    numbers = [1.0, 1.0]
    while len(numbers) < 16:
        numbers.append(numbers[-1] + numbers[-2])
    assert np.array_equal(value, numbers[:15])
    assert np.array_equal(J.dense()[:, 1], value)
    assert np.array_equal(J.dense()[:, 0], [0.0, *numbers[:14]])
