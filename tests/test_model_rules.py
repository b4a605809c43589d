"""Rules of one's own, roots and loops: in every way of differentiating."""

import math

import numpy as np
import pytest

from diffrt_aot.model import (
    Constant,
    Dual,
    Free,
    FreeTable,
    Item,
    ModelError,
    absolute,
    cos,
    exp,
    implicit_root,
    loop,
    model,
    sin,
    sqrt,
    where,
    whole,
    with_slopes,
)

METHODS = ("forward", "reverse", "mixed")
ways = pytest.mark.parametrize("method", METHODS)


def jacobian(m, theta, n=5, method="best", **data):
    return m.reference_jacobian(theta, n, method=method, **data)


@ways
def test_a_dual_is_what_its_author_says(method):
    @model
    def m(item: Item, a: Free, b: Free):
        f = sin(a * b) * item.index
        return Dual(f.value, {k: 2.0 * e for k, e in f.partials.items()}) * b

    value, J = jacobian(m, (0.3, 0.7), method=method)
    i = np.arange(5.0)
    np.testing.assert_allclose(value, np.sin(0.21) * i * 0.7)
    by_a = 2.0 * np.cos(0.21) * 0.7 * i * 0.7
    by_b = 2.0 * np.cos(0.21) * 0.3 * i * 0.7 + np.sin(0.21) * i
    np.testing.assert_allclose(J, np.stack([by_a, by_b], 1))


@ways
def test_partials_are_read(method):
    @model
    def m(item: Item, a: Free, b: Free[2]):
        f = a * a * b[1]
        return f.partial(a), f.partial(b[0]), f.partial(b[1]), f.partials[0] * a

    value, J = jacobian(m, (3.0, 0.0, 2.0), 1, method)
    np.testing.assert_array_equal(value[0], [12.0, 0.0, 9.0, 36.0])
    np.testing.assert_array_equal(J[0], [[0, 0, 0], [0, 0, 0], [0, 0, 0], [12.0, 0, 0]])


@ways
def test_a_value_has_no_derivative(method):
    @model
    def m(item: Item, a: Free):
        return a.value * a

    value, J = jacobian(m, (3.0,), 1, method)
    assert value[0] == 9.0 and J[0, 0] == 3.0


@ways
def test_with_slopes_replaces_a_derivative(method):
    step = with_slopes(lambda x: where(x > 0.0, 1.0, 0.0), lambda x, y, dy: exp(-x * x))

    @model
    def m(item: Item, a: Free):
        return 3.0 * step(a * a - 0.25)

    value, J = jacobian(m, (0.4,), 1, method)
    assert value[0] == 0.0
    np.testing.assert_allclose(J[0, 0], 3.0 * np.exp(-(0.09**2)) * 0.8)


@ways
def test_with_slopes_is_told_value_and_slopes(method):
    seen = []

    def rule(x, y, value, slopes):
        seen.append((x.op, len(slopes)))
        return 2.0 * slopes[0], value * 0.0 + slopes[1]

    @model
    def m(item: Item, a: Free, b: Free, c: Free):
        # The function has c from outside, which keeps its derivative.
        return with_slopes(lambda x, y: x * x * y + c * x, rule)(a, sin(b))

    a, b, c = 1.3, 0.4, 0.7
    _, J = jacobian(m, (a, b, c), 1, method)
    np.testing.assert_allclose(J[0], [2.0 * (2.0 * a * np.sin(b) + c), a * a * np.cos(b), a])
    assert seen and seen[0][1] == 2


@ways
def test_the_derivative_of_a_root(method):
    @model
    def m(item: Item, a: Free):
        # Newton's square root of a + index.
        y = a + item.index
        x = loop(30, lambda x: 0.5 * (x + y / x), 1.0)
        return implicit_root(x, lambda x: x * x - y)

    value, J = jacobian(m, (2.0,), method=method)
    np.testing.assert_allclose(value, np.sqrt(2.0 + np.arange(5)))
    np.testing.assert_allclose(J[:, 0], 0.5 / value)


@ways
def test_a_loop_ends_for_each_item_by_itself(method):
    @model
    def m(item: Item, a: Free):
        x, turns = loop(10, lambda x, n: (x * a, n + 1.0), 1.0, 0.0, until=lambda x, n: n >= item.index)
        return x + a * 0.0, turns + a - a.value

    value, _ = jacobian(m, (2.0,), method=method)
    np.testing.assert_array_equal(value[:, 0], 2.0 ** np.arange(5))
    np.testing.assert_array_equal(value[:, 1], np.arange(5))


@ways
def test_a_loop_carries_derivatives(method):
    @model
    def m(item: Item, a: Free, b: Free):
        x, y = loop(
            *(7, lambda x, y: (x * a + 0.1 * y, sin(x) + b * y), a, item.index),
            until=lambda x, y: x > 4.0,
            derivative="carried",
        )
        return x * y

    theta = np.array([1.1, 0.4])
    value, J = jacobian(m, theta, method=method)

    def plain(a, b, i):
        x, y = a, i
        for _ in range(7):
            if np.real(x) > 4.0:
                break
            x, y = x * a + 0.1 * y, np.sin(x) + b * y
        return x * y

    np.testing.assert_allclose(value, [plain(*theta, i) for i in range(5)])
    for k in range(2):
        moved = theta + 1e-30j * (np.arange(2) == k)
        np.testing.assert_allclose(J[:, k], [plain(*moved, i).imag / 1e-30 for i in range(5)])


def test_loops_within_loops():
    @model
    def m(item: Item, a: Free):
        def outer(x):
            return loop(3, lambda y: y * a + x, x) + 1.0

        return loop(2, outer, item.index) + a

    value, _ = jacobian(m, (0.5,))

    def plain(x):
        for _ in range(2):
            y = x
            for _ in range(3):
                y = y * 0.5 + x
            x = y + 1.0
        return x + 0.5

    np.testing.assert_allclose(value, [plain(float(i)) for i in range(5)])


def test_rows_of_tables_within_a_loop_are_values():
    @model
    def m(item: Item, t: FreeTable, a: Free):
        x, _ = loop(4, lambda x, k: (x + t[whole(k)], k + 1.0), 0.0, item.index)
        return x * a

    t = np.arange(10.0) ** 2
    value, J = jacobian(m, {"t": t, "a": 2.0})
    np.testing.assert_array_equal(value, [2.0 * t[i : i + 4].sum() for i in range(5)])
    np.testing.assert_array_equal(J[:, :10], 0.0)
    program = m.trace()
    assert program.blocks == [] and len(program.slots) == 1
    assert [w for w in program.warnings if "depends on t" in w]


def test_a_row_that_changes_from_turn_to_turn_has_no_columns():
    @model
    def m(item: Item, t: FreeTable):
        return loop(4, lambda x, k: (x + t[whole(k)], k + 1.0), 0.0, item.index, derivative="carried")[0]

    with pytest.raises(ModelError, match="differs from turn to turn"):
        m.trace()


@ways
def test_a_marched_surface(method):
    """A ray against a sphere by marching: its derivative is that of the formula, but for what marching leaves."""

    @model
    def marched(item: Item, r: Free, z: Free, tilt: Constant):
        def along(t):
            s, c = math.sin(0.01), math.cos(0.01)
            x, depth = t * s * tilt, t * c
            return sqrt(x * x + (depth - z) * (depth - z)) - r

        t = loop(100, lambda t: t + along(t), 0.0, until=lambda t: absolute(along(t)) < 1e-13)
        return implicit_root(t, along)

    @model
    def formula(item: Item, r: Free, z: Free, tilt: Constant):
        s, c = math.sin(0.01) * tilt, math.cos(0.01)
        a, b = s * s + c * c, c * z
        return (b - sqrt(b * b - a * (z * z - r * r))) / a

    ours, theirs = (jacobian(m, (1.0, 4.0), 1, method, tilt=1.5) for m in (marched, formula))
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-12)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-9)


def test_a_rule_within_a_root():
    @model
    def m(item: Item, a: Free):
        twice = with_slopes(lambda x: 2.0 * x, lambda x, y, d: 2.0 * d)
        return implicit_root(a / 2.0, lambda x: twice(x) - cos(0.0 * x) * a)

    _, J = jacobian(m, (3.0,), 1)
    assert J[0, 0] == 0.25
