"""Forward-mode derivatives of loops over items, as Taichi's tests of its forward mode ask for them: arithmetic,
functions, powers, minimum and maximum, branches, loops; each a compiled model, whose columns are compared with
derivatives written by hand.

    items   x[i], of which there are n; y[i] = f(a, x[i]) or f(a, b, x[i]); columns dy/da, dy/db
    seeds   J v for unit vectors, and for others, several at once
"""

import numpy as np
import pytest

from diffrt_aot import model as M
from diffrt_aot.model import Free, Item, PerItem, loop, model, total, where

pytest.importorskip("llvmlite")

N = 64
# {name: (the model's function of a and x, its derivative by a in NumPy, where a is, where x is)}
OF_ONE = {
    "add": (lambda a, x: a + x, lambda a, x: np.ones_like(x), 1.3, (-2, 2)),
    "subtract": (lambda a, x: x - a, lambda a, x: -np.ones_like(x), 1.3, (-2, 2)),
    "multiply": (lambda a, x: a * x, lambda a, x: x, 1.3, (-2, 2)),
    "square": (lambda a, x: (a * x) * (a * x), lambda a, x: 2 * a * x * x, 1.3, (-2, 2)),
    "divide by x": (lambda a, x: a / x, lambda a, x: 1 / x, 1.3, (0.5, 2)),
    "divide by a": (lambda a, x: x / a, lambda a, x: -x / a**2, 1.3, (-2, 2)),
    "linear": (lambda a, x: 3.0 * a * x - 2.0 * x + 5.0, lambda a, x: 3 * x, 1.3, (-2, 2)),
    "polynomial": (
        lambda a, x: 4.0 * (a * x) ** 3 - 2.0 * (a * x) ** 2 + a * x,
        lambda a, x: 12 * a**2 * x**3 - 4 * a * x**2 + x,
        *(1.3, (-2, 2)),
    ),
    "quotient": (lambda a, x: (a + x) / (a * x + 3.0), lambda a, x: (3 - x * x) / (a * x + 3) ** 2, 1.3, (-2, 2)),
    "negative": (lambda a, x: -(a * x), lambda a, x: -x, 1.3, (-2, 2)),
    "sin": (lambda a, x: M.sin(a * x), lambda a, x: x * np.cos(a * x), 1.3, (-3, 3)),
    "cos": (lambda a, x: M.cos(a * x), lambda a, x: -x * np.sin(a * x), 1.3, (-3, 3)),
    "tan": (lambda a, x: M.tan(a * x), lambda a, x: x / np.cos(a * x) ** 2, 0.8, (-1.5, 1.5)),
    "asin": (lambda a, x: M.asin(a * x), lambda a, x: x / np.sqrt(1 - (a * x) ** 2), 0.8, (-1, 1)),
    "acos": (lambda a, x: M.acos(a * x), lambda a, x: -x / np.sqrt(1 - (a * x) ** 2), 0.8, (-1, 1)),
    "atan": (lambda a, x: M.atan(a * x), lambda a, x: x / (1 + (a * x) ** 2), 1.3, (-3, 3)),
    "sinh": (lambda a, x: M.sinh(a * x), lambda a, x: x * np.cosh(a * x), 1.3, (-2, 2)),
    "cosh": (lambda a, x: M.cosh(a * x), lambda a, x: x * np.sinh(a * x), 1.3, (-2, 2)),
    "tanh": (lambda a, x: M.tanh(a * x), lambda a, x: x / np.cosh(a * x) ** 2, 1.3, (-2, 2)),
    "exp": (lambda a, x: M.exp(a * x), lambda a, x: x * np.exp(a * x), 1.3, (-2, 2)),
    "log": (lambda a, x: M.log(a * x), lambda a, x: np.full_like(x, 1 / a), 1.3, (0.2, 4)),
    "sqrt": (lambda a, x: M.sqrt(a * x), lambda a, x: 0.5 * np.sqrt(x / a), 1.3, (0.2, 4)),
    "reciprocal of sqrt": (lambda a, x: 1.0 / M.sqrt(a * x), lambda a, x: -0.5 * a**-1.5 / np.sqrt(x), 1.3, (0.2, 4)),
    "absolute": (lambda a, x: abs(a * x), lambda a, x: np.abs(x), 1.3, (-2, 2)),
    "floor": (lambda a, x: M.floor(a * x) * a, lambda a, x: np.floor(a * x), 1.3, (-2, 2)),
    "whole power": (lambda a, x: (a * x) ** 5, lambda a, x: 5 * a**4 * x**5, 1.3, (-2, 2)),
    "negative power": (lambda a, x: (a * x) ** -2, lambda a, x: -2 * a**-3 / x**2, 1.3, (0.5, 2)),
    "half power": (lambda a, x: (a * x) ** 0.5, lambda a, x: 0.5 * np.sqrt(x / a), 1.3, (0.2, 4)),
    "minimum with a constant": (
        lambda a, x: M.minimum(a * x, 0.6),
        lambda a, x: np.where(a * x < 0.6, x, 0),
        1.3,
        (-2, 2),
    ),
    "maximum with a constant": (
        lambda a, x: M.maximum(0.6, a * x),
        lambda a, x: np.where(a * x > 0.6, x, 0),
        1.3,
        (-2, 2),
    ),
    "where": (
        lambda a, x: where(x > 0.5, a * a * x, 3.0 * a),
        lambda a, x: np.where(x > 0.5, 2 * a * x, 3),
        *(1.3, (-2, 2)),
    ),
    "where, by a number with a derivative": (
        lambda a, x: where(a * x > 0.5, M.sin(a * x), a),
        lambda a, x: np.where(a * x > 0.5, x * np.cos(a * x), 1),
        *(1.3, (-2, 2)),
    ),
    "where, the other side NaN": (
        lambda a, x: where(x > 0.0, M.sqrt(a * x), a * x),
        lambda a, x: np.where(x > 0, 0.5 * np.sqrt(np.abs(x) / a), x),
        *(1.3, (-2, 2)),
    ),
    "by item's index": (
        lambda a, x, i: where(i % 2.0 == 0.0, a * a, M.exp(a)),
        lambda a, x: np.where(np.arange(N) % 2 == 0, 2 * a, np.exp(a)),
        *(1.3, (-2, 2)),
    ),
    "a sum": (
        lambda a, x: total(5, lambda k: (a * x) * M.number(k) + a),
        lambda a, x: 10 * x + 5,
        *(1.3, (-2, 2)),
    ),
    "a loop that carries": (
        lambda a, x: loop(4, lambda y: y * a + x, 1.0, derivative="carried"),
        lambda a, x: 4 * a**3 + x * (3 * a**2 + 2 * a + 1),
        *(1.3, (-2, 2)),
    ),
    "a loop of two numbers": (
        lambda a, x: loop(5, lambda p, q: (q, p + q), a * x, a, derivative="carried")[1],
        lambda a, x: 5 * x + 8,
        *(1.3, (-2, 2)),
    ),
}
# The same of two parameters: (function, both derivatives, a, b, x).
OF_TWO = {
    "product": (lambda a, b, x: a * b * x, lambda a, b, x: (b * x, a * x), 1.3, 0.7, (-2, 2)),
    "quotient": (lambda a, b, x: a * x / b, lambda a, b, x: (x / b, -a * x / b**2), 1.3, 0.7, (-2, 2)),
    "power": (
        lambda a, b, x: M.pow(a * x, b),
        lambda a, b, x: (b * x * (a * x) ** (b - 1), np.log(a * x) * (a * x) ** b),
        *(1.3, 0.7, (0.3, 2)),
    ),
    "constant to the power": (
        lambda a, b, x: M.pow(2.0, a * x) + b,
        lambda a, b, x: (x * np.log(2) * 2 ** (a * x), np.ones_like(x)),
        *(1.3, 0.7, (-2, 2)),
    ),
    "atan2": (
        lambda a, b, x: M.atan2(a * x, b),
        lambda a, b, x: (x * b / ((a * x) ** 2 + b * b), -a * x / ((a * x) ** 2 + b * b)),
        *(1.3, 0.7, (-2, 2)),
    ),
    "atan2, behind": (
        lambda a, b, x: M.atan2(a * x, b),
        lambda a, b, x: (x * b / ((a * x) ** 2 + b * b), -a * x / ((a * x) ** 2 + b * b)),
        *(1.3, -0.7, (0.2, 2)),
    ),
    "minimum": (
        lambda a, b, x: M.minimum(a * x, b),
        lambda a, b, x: (np.where(a * x < b, x, 0), np.where(a * x < b, 0, 1)),
        *(1.3, 0.7, (-2, 2)),
    ),
    "maximum": (
        lambda a, b, x: M.maximum(a * x, b * b),
        lambda a, b, x: (np.where(a * x > b * b, x, 0), np.where(a * x > b * b, 0, 2 * b)),
        *(1.3, 0.7, (-2, 2)),
    ),
    "modulo": (
        lambda a, b, x: (a * x) % b,
        lambda a, b, x: (x, -np.floor(a * x / b)),
        *(1.3, 0.7, (-2, 2)),
    ),
    "where, nested": (
        lambda a, b, x: where(x > 0.0, where(x > 1.0, a * b, a * x), b * x),
        lambda a, b, x: (np.where(x > 1, b, np.where(x > 0, x, 0)), np.where(x > 1, a, np.where(x > 0, 0, x))),
        *(1.3, 0.7, (-2, 2)),
    ),
    "one of them twice": (
        lambda a, b, x: M.sin(a * x) * M.exp(b * a),
        lambda a, b, x: (np.exp(a * b) * (x * np.cos(a * x) + b * np.sin(a * x)), a * np.sin(a * x) * np.exp(a * b)),
        *(1.3, 0.7, (-2, 2)),
    ),
    "one that does not count": (lambda a, b, x: a * x + 0.0 * b, lambda a, b, x: (x, 0 * x), 1.3, 0.7, (-2, 2)),
}


def all_of_one():
    """All functions of one parameter, as outputs of one model: compiled once."""

    @model
    def of_one(item: Item, a: Free[len(OF_ONE)], x: PerItem[len(OF_ONE)]):
        outputs = []
        for k, (name, (function, *_)) in enumerate(OF_ONE.items()):
            more = (item.index,) if name == "by item's index" else ()
            outputs.append(function(a[k], x[k], *more))
        return tuple(outputs)

    return of_one


def all_of_two():
    @model
    def of_two(item: Item, a: Free[len(OF_TWO)], b: Free[len(OF_TWO)], x: PerItem[len(OF_TWO)]):
        return tuple(function(a[k], b[k], x[k]) for k, (function, *_) in enumerate(OF_TWO.values()))

    return of_two


def inputs(ranges):
    rng = np.random.default_rng(4)
    return np.stack([rng.uniform(*r, N) for r in ranges], 1).astype(np.float32).astype(float)


class Case:
    """One of the models with all that it gives."""

    def __init__(self, author, table, parameters):
        self.names = list(table)
        self.x = inputs([row[-1] for row in table.values()])
        self.parameters = [np.array([row[k] for row in table.values()]) for k in parameters]
        self.bound = author.compile(targets=["x64"]).bind(shape=N, x=self.x)
        self.theta = np.concatenate(self.parameters)
        self.J = self.bound.jacobian(self.theta)[1].dense()

    def columns(self, name):
        """dy/da, and dy/db, of one function: (N, 1 or 2)."""
        k = self.names.index(name)
        return self.J[:, k, k :: len(self.names)]

    def others(self, name):
        k = self.names.index(name)
        return np.delete(self.J[:, k], np.s_[k :: len(self.names)], axis=1)

    def seeded(self, name, seeds):
        """J v of one function, v a row of seeds: by its own parameters."""
        k, n = self.names.index(name), len(self.names)
        v = np.zeros((self.theta.size, len(seeds)))
        v[k::n] = np.transpose(seeds)
        return self.bound.jvp(self.theta, v)[1][:, k]


@pytest.fixture(scope="module")
def of_one():
    return Case(all_of_one(), OF_ONE, [2])


@pytest.fixture(scope="module")
def of_two():
    return Case(all_of_two(), OF_TWO, [2, 3])


def agree(mine, right):
    assert mine.shape == right.shape
    return np.abs(mine - right).max() <= 1e-5 * max(np.abs(right).max(), 1e-3)


@pytest.mark.parametrize("name", OF_ONE)
def test_of_one_parameter(of_one, name):
    _, derivative, a, _ = OF_ONE[name]
    k = of_one.names.index(name)
    right = np.stack([derivative(np.float64(np.float32(a)), of_one.x[:, k])], 1)
    assert agree(of_one.columns(name), right)
    assert not of_one.others(name).any()
    assert agree(of_one.seeded(name, [[1.0], [-2.5]]), right * [1.0, -2.5])


@pytest.mark.parametrize("name", OF_TWO)
def test_of_two_parameters_column_by_column(of_two, name):
    _, derivatives, a, b, _ = OF_TWO[name]
    k = of_two.names.index(name)
    a, b = (np.float64(np.float32(number)) for number in (a, b))
    with np.errstate(all="ignore"):
        right = np.stack([np.broadcast_to(d, N) for d in derivatives(a, b, of_two.x[:, k])], 1)
    assert agree(of_two.columns(name), right)
    assert not of_two.others(name).any()
    seeds = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, -2.0]])
    assert agree(of_two.seeded(name, seeds), right @ seeds.T)


@model
def two_sums(item: Item, a: Free[5], b: Free[5]):
    return 3.0 * b[1] ** 2 + 5.0 * a[3] ** 2, 4.0 * b[2] ** 2 + 6.0 * a[4] ** 2


def test_a_seed_says_which_parameters_move():
    theta = {"a": np.arange(5.0), "b": np.arange(5.0)}
    only_a, only_b = np.eye(2).repeat(5, axis=1)
    products = two_sums.compile(targets=["x64"]).jvp(theta, np.stack([only_a, only_b], 1), shape=1)[1]
    assert np.array_equal(products, [[[30.0, 6.0], [48.0, 16.0]]])
