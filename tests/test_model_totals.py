"""Sums whose body is traced once: against the same written out, differentiated in every way; as machines run them."""

import model_examples
import numpy as np
import pytest
from model_machine import Machine

from diffrt_aot.model import (
    Constant,
    Dual,
    Free,
    FreeTable,
    Item,
    ModelError,
    PerItem,
    graph,
    implicit_root,
    loop,
    model,
    number,
    reference,
    sin,
    sqrt,
    total,
    where,
)

METHODS = ("forward", "reverse", "mixed")


def add_up(count, body):
    """What `total` is, written out."""
    terms = [body(k) for k in (range(count) if isinstance(count, int) else count)]
    return sum(terms[1:], terms[0])


def plain(k):
    return float(k) if isinstance(k, int) else number(k)


def pair(body):
    """The model with `total`, and written out."""

    def made(over):
        def f(item: Item, a: Free[6], A: Free[3, 2], s: Free, c: Constant[6], x: PerItem[6]):
            return body(over, item, a, A, s, c, x)

        return model(f)

    return made(total), made(add_up)


BODIES = {
    "own element": lambda over, item, a, A, s, c, x: over(6, lambda k: sin(a[k] * c[k]) * x[k]),
    "what all share": lambda over, item, a, A, s, c, x: over(6, lambda k: s * s * c[k] * item.index + a[0] * plain(k)),
    "both": lambda over, item, a, A, s, c, x: over(6, lambda k: sin(s * a[k]) * plain(k)),
    "chained": lambda over, item, a, A, s, c, x: sin(over(6, lambda k: a[k] * a[k] * x[k]) * s) * a[2] * 2.0,
    "affine": lambda over, item, a, A, s, c, x: over(3, lambda k: a[2 * k + 1] * a[5 - k] * c[k + 2]),
    "range": lambda over, item, a, A, s, c, x: over(range(4, 0, -2), lambda k: a[k] * a[k] * x[k]),
    "matrix": lambda over, item, a, A, s, c, x: over(3, lambda k: (A[k] @ A[k]) * x[k] + A[k, 0] * A[2 - k, 1]),
    "twice": lambda over, item, a, A, s, c, x: over(6, lambda k: a[k] * x[k]) * over(6, lambda k: a[k] * c[k]),
    "one of the other": lambda over, item, a, A, s, c, x: (lambda t: over(6, lambda k: sin(t * a[k]) + t * x[k]))(
        over(6, lambda k: a[k] * c[k])
    ),
    "where": lambda over, item, a, A, s, c, x: over(6, lambda k: where(x[k] > 0.0, sqrt(x[k]) * a[k] * s, a[k] * a[k])),
    "where outside": lambda over, item, a, A, s, c, x: where(
        x[0] > 0.0, over(6, lambda k: a[k] * sqrt(x[0]) * x[k]), over(6, lambda k: s * c[k])
    ),
    "constant": lambda over, item, a, A, s, c, x: over(6, lambda k: s * s) + over(6, lambda k: 1.0),
    "several": lambda over, item, a, A, s, c, x: (
        np.array([1.0, 2.0]) @ over(6, lambda k: np.array([a[k] * x[k], s * c[k]]))
    ),
    "softmax": lambda over, item, a, A, s, c, x: (lambda norm: over(6, lambda k: a[k] * a[k] * x[k] / norm))(
        over(6, lambda k: 1.0 + a[k] * a[k])
    ),
    "root": lambda over, item, a, A, s, c, x: implicit_root(
        loop(40, lambda y: 0.5 * (y + 3.0 / y), 1.0), lambda y: over(6, lambda k: a[k] * y * c[k]) + s * y - 1.0
    ),
    "rule": lambda over, item, a, A, s, c, x: (lambda f: over(6, lambda k: Dual(f.value * c[k], f.partials) * a[k]))(
        s * s
    ),
    "partials": lambda over, item, a, A, s, c, x: over(6, lambda k: a[k] * a[k] * c[k]).partial(a[3]) * s,
}


def data():
    rng = np.random.default_rng(3)
    return rng.normal(size=13), {"c": rng.normal(size=6), "x": rng.normal(size=(7, 6))}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("method", METHODS)
def test_a_total_is_what_is_written_out(name, method):
    ours, written = pair(BODIES[name])
    theta, arrays = data()
    value, J = ours.reference_jacobian(theta, 7, method=method, **arrays)
    wanted, K = written.reference_jacobian(theta, 7, method="forward", **arrays)
    np.testing.assert_allclose(value, wanted, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(J, K, rtol=1e-10, atol=1e-11)


def machine_of(program, call):
    operations = reference.OPERATIONS
    return Machine(
        program,
        lambda n: np.broadcast_to(operations[n.op](n, [], call), call.shape),
        read_at=lambda n, k: operations[n.op](n, [k], call),
    )


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("method", METHODS)
def test_machines_run_totals_as_loops(name, method):
    program = pair(BODIES[name])[0].trace(method)
    theta, arrays = data()
    call = reference.Data(program, theta, 7, arrays)
    machine = machine_of(program, call)
    planes = [(o, s) for o, row in enumerate(program.rows) for s in row]
    roots = [*machine.outputs, *(machine.rows[o][s] for o, s in planes)]
    inner = {a.id for n in graph.ancestors(roots) for a in n.args}
    for n in graph.ancestors(roots):
        assert n.op != "total"
        assert n.op != "at_turn" or n.id not in inner, "only a root"
    wanted = reference.evaluate(program, call, [*program.outputs, *(program.rows[o][s] for o, s in planes)])
    for got, want in zip(machine.run(roots), wanted, strict=True):
        np.testing.assert_allclose(np.broadcast_to(got, want.shape), want, rtol=2e-4, atol=2e-4)


def test_the_example_is_the_one_written_out():
    written = model_examples.load("cosines")
    ours = __import__("cosines").cosines_in_turn
    theta, shape, arrays = model_examples.case("cosines")
    value, J = ours.reference_jacobian(theta, shape, **arrays)
    wanted, K = written.reference_jacobian(theta, shape, **arrays)
    np.testing.assert_allclose(value, wanted, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(J, K, rtol=1e-10, atol=1e-12)
    program = ours.trace()
    call = reference.Data(program, theta, shape, arrays)
    machine = machine_of(program, call)
    partials = list(machine.rows[0].values())
    assert len(partials) == 64 and all(e.op == "at_turn" for e in partials)
    assert len({e.args[0].id for e in partials}) == 1
    assert [e.data[1] for e in partials] == list(range(64))
    assert len(graph.ancestors([*machine.outputs, *partials])) < 250, "once, and not for each of 64"
    # One pass: the sum, and what is stored beside.
    (place,) = {e.data[0] for e in partials}
    assert {n.data[0] for n in graph.ancestors(machine.outputs) if n.op == "loop"} == {place}


MISTAKES = {
    "in a total": (lambda a, t, i: total(3, lambda k: total(2, lambda j: a[j] * a[k])), "within a total"),
    "in a loop": (lambda a, t, i: loop(3, lambda x: total(2, lambda j: a[j] * x), a[0]), "within a loop"),
    "a loop in it": (lambda a, t, i: total(2, lambda j: loop(3, lambda x: x * a[j], 1.0)), "within a total"),
    "of a float": (lambda a, t, i: total(2.5, lambda k: a[k]), "a whole number of terms"),
    "of less than nothing": (lambda a, t, i: total(-1, lambda k: a[k]), "a whole number of terms"),
    "beyond": (lambda a, t, i: total(4, lambda k: a[k + 1]), "is read at 4, and has 4 there"),
    "before": (lambda a, t, i: total(4, lambda k: a[k - 1]), "is read at -1, and has 4 there"),
    "of what is made": (lambda a, t, i: total(4, lambda k: (2.0 * a)[k]), "read from a Table"),
    "of a part": (lambda a, t, i: total(3, lambda k: a[1:][k]), "read from a Table"),
    "of a copy": (lambda a, t, i: total(3, lambda k: a.copy()[k]), "only an argument as it was given"),
    "slice": (lambda a, t, i: total(3, lambda k: a[k, :]), "is read at whole numbers"),
    "that leaks": (lambda a, t, i: leak(a), "used outside of it"),
    "row": (lambda a, t, i: total(3, lambda k: t[k] * a[k]), "differs from turn to turn"),
    "partials": (lambda a, t, i: total(3, lambda k: (a[k] * a[k]).partials[0]), "read them of the sum"),
    "nothing": (lambda a, t, i: total(3, lambda k: None), "did you forget a `return`"),
}


def leak(a):
    seen = []
    total(3, lambda k: (seen.append(a[k]), a[k])[1])
    return seen[0]


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name):
    body, words = MISTAKES[name]

    def f(item: Item, a: Free[4], t: FreeTable):
        return body(a, t, item)

    with pytest.raises(ModelError) as caught:
        model(f).trace()
    assert words in str(caught.value)
    assert str(caught.value).startswith(__file__)


def test_an_argument_that_was_changed_is_not_read():
    @model
    def m(item: Item, a: Free[4]):
        a *= 2.0
        return total(4, lambda k: a[k])

    with pytest.raises(ModelError, match="a has been changed"):
        m.trace()


def test_nothing_to_add_up():
    @model
    def m(item: Item, a: Free[4]):
        return a[0] + total(0, lambda k: a[1])

    assert m.reference((1.0, 2.0, 3.0, 4.0), 1)[0] == 1.0
