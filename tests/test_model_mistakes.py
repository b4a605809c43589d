"""What a model's author is told, and at which line."""

import copy
import math
import pickle
import threading

import numpy as np
import pytest

from diffrt_aot import DiffrtError
from diffrt_aot import model as M
from diffrt_aot.model import (
    Constant,
    Dual,
    Free,
    FreeTable,
    Image,
    Item,
    Model,
    ModelError,
    PerItemIndex,
    Pixel,
    Pose,
    Table,
    floor,
    loop,
    model,
    number,
    where,
    whole,
)


def counted(r):
    x = 0.0
    while x < r:
        x = x + 1.0
    return x


def filled(v):
    a = np.zeros(3)
    a[0] = v[0]
    return a


def added_to(v):
    a = np.ones(3)
    a += v
    return a


def leaked(r):
    seen = []
    loop(3, lambda x: (seen.append(x), x * r)[1], r)
    return seen[0] * r


# Of (r: a number, v: three, c: a constant, t: a table of three, f: a table of parameters, im: an image, k: an index).
MISTAKES = {
    "if": (lambda r, **_: r if r > 0.0 else 0.0, "choose with where"),
    "while": (lambda r, **_: counted(r), "choose with where"),
    "and": (lambda r, **_: where(r > 0 and r < 1, r, 0.0), "combine conditions by & |"),
    "not": (lambda r, **_: where(not r > 0, r, 0.0), "combine conditions by & | ~"),
    "chained": (lambda r, **_: where(0 < r < 1, r, 0.0), "combine conditions by &"),
    "min": (lambda r, **_: min(r, 2.0), "take minimum"),
    "max of an array": (lambda v, **_: max(v), "take minimum, maximum"),
    "sorted": (lambda v, **_: sorted(v), "not known while it is traced"),
    "in": (lambda r, **_: r in [1.0, 2.0], "not known while it is traced"),
    "any": (lambda v, **_: np.any(v > 0.0), "not known while it is traced"),
    "np.where": (lambda r, **_: np.where(r > 0.0, r, 0.0), "np.where cannot look at it"),
    "np.maximum of an array": (lambda v, **_: np.maximum(v, 0.0), "take minimum, maximum"),
    "np.clip": (lambda v, **_: np.clip(v, 0.0, 1.0), "clip"),
    "math.sin": (lambda r, **_: math.sin(r), "call sqrt, sin, ... of diffrt_aot.model"),
    "float": (lambda r, **_: float(r), "is no float"),
    "int": (lambda r, **_: int(r), "not known while it is traced"),
    "round": (lambda r, **_: round(r), "floor(x + 0.5)"),
    "range": (lambda r, c, **_: sum(r for _ in range(c)), "repeat with loop"),
    "list": (lambda k, **_: [1.0, 2.0][k], "read a Table"),
    "array": (lambda v, k, **_: v[k], "read from a Table"),
    "print": (lambda r, **_: f"{r:.3f}", "cannot be printed"),
    "text with a number": (lambda r, **_: f"{r}" + r, "expected a number, got str"),
    "number + text": (lambda r, **_: r + "a", "expected a number, got str 'a'"),
    "text + number": (lambda r, **_: "a" + r, "expected a number, got str 'a'"),
    "None": (lambda r, **_: r + None, "did you forget a `return`"),
    "complex": (lambda r, **_: r * 1j, "expected a number, got complex"),
    "bool": (lambda r, **_: r * True, "expected a number, got bool"),
    "huge": (lambda r, **_: r + 10**400, "beyond any float"),
    "condition * number": (lambda r, **_: (r > 0.0) * r, "choose by it, with where"),
    "condition + condition": (lambda r, **_: (r > 0.0) + (r > 1.0), "choose by it, with where"),
    "number & number": (lambda r, **_: r & r, "expected a condition, got a number"),
    "where of a number": (lambda r, **_: where(r, 1.0, 2.0), "compare it, x > 0.0"),
    "where of unlike things": (lambda r, **_: where(r > 0.0, (r, r), (r,)), "must be alike"),
    "where of indices": (lambda t, r, k, **_: t[where(r > 0.0, k, k + 1)][0], "whole(where("),
    "index that is a number": (lambda t, r, **_: t[floor(r)], "take whole(floor(x))"),
    "index that is a float": (lambda t, **_: t[1.0], "expected a whole number, got float"),
    "index that is a slice": (lambda t, **_: t[0:2], "is read at one whole number"),
    "index from the end": (lambda t, **_: t[-1], "rows count from 0"),
    "index * number": (lambda r, k, **_: k * r, "expected a whole number, got a number"),
    "index / number": (lambda k, **_: k / 2, "whole numbers of a model are added"),
    "index * index": (lambda t, k, **_: t[k * k], "multiplied by those that are known"),
    "index beyond": (lambda t, **_: t[10**12], "beyond any index"),
    "whole of NaN": (lambda t, **_: t[whole(math.nan)], "beyond any index"),
    "rows of a table": (lambda t, **_: list(t), "how many rows there are is not known"),
    "len of a table": (lambda t, **_: len(t), "take t.rows"),
    "rows of a free table": (lambda f, **_: list(f), "how many rows there are is not known"),
    "image at one index": (lambda im, **_: im[0], "im[row, column]"),
    "image at numbers": (lambda im, r, **_: im[r, r], "take whole(floor(x))"),
    "image at a condition": (lambda im, r, **_: im.at(r > 0.0, r), "at: x: expected a number"),
    "np function that is not there": (lambda r, **_: np.exp2(r), "np.exp2 is no function that a model can take"),
    "np function of an array": (lambda v, **_: np.cbrt(v), "no function that a model can take"),
    "np function of floats and numbers": (
        lambda r, **_: np.sin(np.array([r, 1.0])),
        "of diffrt_aot.model, which take both",
    ),
    "np function with out": (lambda r, **_: np.sqrt(r, out=np.zeros(())), "takes no out"),
    "np.linalg.inv": (lambda v, **_: np.linalg.inv(np.outer(v, v)), "Cannot cast"),
    "np.interp": (lambda r, **_: np.interp(r, [0, 1], [0, 1]), "is no float"),
    "array of floats": (lambda v, **_: filled(v), "np.zeros(n, object)"),
    "in place": (lambda v, **_: added_to(v), "Cannot cast"),
    "astype": (lambda v, **_: v.astype(float), "is no float"),
    "unlike shapes": (lambda v, **_: v + np.ones(4), "could not be broadcast"),
    "unlike shapes in a function": (lambda v, **_: M.atan2(v, np.ones(4)), "could not be broadcast"),
    "@ of a number": (lambda r, v, **_: r @ v, "no array: write *"),
    "call": (lambda r, **_: r(1.0), "a Node is a number of the model"),
    "subscript": (lambda r, **_: r[0], "a Node is a number of the model"),
    "attribute": (lambda r, **_: r.foo, "has no 'foo'"),
    "division by 0": (lambda r, **_: r / 0.0, "division by 0"),
    "division by x * 0": (lambda r, **_: 1.0 / (r * 0.0), "division by 0"),
    "sin of nothing": (lambda r, **_: M.sin(), "takes 1 argument, got 0"),
    "Dual of names": (lambda r, **_: Dual(r, {"r": 1.0}), "slots, as x.partials gives them"),
    "Dual of a list": (lambda r, **_: Dual(r, [1.0]), "partials are a dict"),
    "partial by a constant": (lambda r, c, **_: r.partial(c), "Free, FreeTable or PerItemFree"),
    "loop of a float": (lambda r, **_: loop(2.5, lambda x: x, r), "a whole number, known now"),
    "loop of a number": (lambda r, c, **_: loop(c, lambda x: x, r), "a whole number, known now"),
    "loop without a state": (lambda r, **_: loop(2, lambda: None), "no state to start from"),
    "loop that loses its state": (lambda r, **_: loop(2, lambda x, y: x, r, r), "returns 1 numbers, the state has 2"),
    "loop until a number": (lambda r, **_: loop(2, lambda x: x, r, until=lambda x: x), "expected a condition"),
    "loop whose number leaks": (lambda r, **_: leaked(r), "used outside of it"),
    "root of a constant": (lambda r, **_: M.implicit_root(r, lambda x: r), "does not depend on its argument"),
    "rule of two slopes": (
        lambda r, **_: M.with_slopes(lambda x: x, lambda x, y, d: (d, d))(r),
        "returns 2 slopes, the function takes 1",
    ),
    "saved": (lambda r, **_: pickle.dumps(r), "it cannot be saved"),
    "annotation": (lambda r, **_: r * Free, "expected a number, got Declared"),
    "annotation called": (lambda r, **_: Free(r), "is an annotation, and not called"),
}
ANNOTATIONS = {"r": Free, "v": Free[3], "c": Constant, "t": Table[3], "f": FreeTable, "im": Image, "k": PerItemIndex}


def model_of(body):
    def f(pixel, r, v, c, t, f, im, k):
        return body(pixel=pixel, r=r, v=v, c=c, t=t, f=f, im=im, k=k)

    f.__annotations__ = {"pixel": Pixel, **ANNOTATIONS}
    return Model(f)


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name):
    body, words = MISTAKES[name]
    with pytest.raises(ModelError) as caught:
        model_of(body).trace()
    assert words in str(caught.value)
    assert isinstance(caught.value, DiffrtError) and isinstance(caught.value, ValueError)
    # At a line of this file, where the mistake is made.
    file, line = str(caught.value).split(": ")[0].rsplit(":", 1)
    assert file == __file__
    made_here = {
        c.co_firstlineno for c in (body.__code__, counted.__code__, filled.__code__, added_to.__code__, leaked.__code__)
    }
    assert any(0 <= int(line) - first <= 4 for first in made_here)


# --- what is returned

RETURNS = {
    "nothing": (lambda r: None, "returns nothing"),
    "a condition": (lambda r: r > 0.0, "where(condition, 1.0, 0.0)"),
    "an index": (lambda r: whole(floor(r)), "return number(i)"),
    "nested": (lambda r: [r, [r]], "join them"),
    "arrays": (lambda r: (np.array([r, r]), r), "stack them"),
    "a dict": (lambda r: {"r": r}, "returns a dict"),
    "a set": (lambda r: {r}, "returns a set"),
    "a generator": (lambda r: (r for _ in range(3)), "returns a generator"),
    "a text": (lambda r: "r", "expected a number"),
    "a bool": (lambda r: True, "expected a number"),
    "texts": (lambda r: (r, "r"), "output 1 is str 'r'"),
    "no numbers": (lambda r: (), "returns no numbers"),
    "an empty array": (lambda r: np.zeros(0), "returns no numbers"),
    "three axes": (lambda r: np.array([[[r]]]), "at most two axes"),
    "a slot that is not there": (lambda r: Dual(r, {99: 1.0}), "there are 1 slots"),
}


@pytest.mark.parametrize("name", RETURNS)
def test_what_is_returned(name):
    body, words = RETURNS[name]

    def f(item: Item, r: Free):
        return body(r)

    with pytest.raises(ModelError) as caught:
        Model(f).trace()
    assert words in str(caught.value)
    assert f"{__file__}:{f.__code__.co_firstlineno}: f: " in str(caught.value)


def test_declared_outputs_are_checked():
    @model(outputs=1)
    def one(item: Item, r: Free):
        return r, r

    with pytest.raises(ModelError, match=r"returns outputs of shape \(2,\), declared \(1,\)"):
        one.trace()

    @model(outputs=(2, 2))
    def four(item: Item, r: Free):
        return np.eye(2) * r

    assert four.trace().output_shape == (2, 2)


# --- how it is declared


def declared_badly():
    def no_annotation(item: Item, r): ...
    def an_int(item: Item, r: int): ...
    def an_array(item: Item, r: np.ndarray): ...
    def text(item: Item, r: "Fre"): ...  # noqa: F821
    def default(item: Item, r: Free = 1.0): ...
    def star(item: Item, *r: Free): ...
    def stars(item: Item, **r: Free): ...
    def positional(item: Item, r: Free, /): ...
    def no_domain(r: Free): ...
    def two_domains(pixel: Pixel, item: Item, r: Free): ...
    def nothing_free(item: Item, c: Constant): ...
    def taken(item: Item, shape: Free): ...
    def generator(item: Item, r: Free):
        yield r

    async def later(item: Item, r: Free): ...

    return {
        no_annotation: "argument r has no annotation",
        an_int: "argument r is annotated int",
        an_array: "argument r is annotated ndarray",
        text: "annotations cannot be read: NameError",
        default: "argument r: has a default",
        star: "argument *r",
        stars: "argument **r",
        positional: "no *, ** or /",
        no_domain: "there is none",
        two_domains: "there are more",
        nothing_free: "nothing to differentiate by",
        taken: "argument shape: what a model is asked with has that name",
        generator: "is async or a generator",
        later: "is async or a generator",
    }


@pytest.mark.parametrize(
    ("function", "words"), [pytest.param(f, w, id=f.__name__) for f, w in declared_badly().items()]
)
def test_declaration(function, words):
    with pytest.raises(ModelError) as caught:
        model(function)
    assert words in str(caught.value)
    assert f"{__file__}:{function.__code__.co_firstlineno}: {function.__name__}: " in str(caught.value)


@pytest.mark.parametrize("thing", [lambda r: r, 3, "text", print, Model])
def test_what_is_no_function(thing):
    with pytest.raises(ModelError):
        model(thing)


@pytest.mark.parametrize("shape", [0, -1, "a", 2.0, True, None, (), (2, 0), (2, "b"), slice(2), [3], 10**9])
def test_a_shape_is_of_whole_numbers(shape):
    with pytest.raises(ModelError, match=r"Free\["):
        Free[shape]


@pytest.mark.parametrize("annotation", [Pixel, Item, Pose, Image, Free[2]])
def test_some_take_no_shape(annotation):
    with pytest.raises(ModelError, match=annotation.name):
        annotation[2]


def test_a_long_row_is_refused():
    with pytest.raises(ModelError, match="too many numbers"):
        Table[512]


# --- numbers at large


def test_a_number_of_another_model():
    saved = []

    def first(item: Item, r: Free):
        saved.append(r)
        return r

    def second(item: Item, r: Free):
        return r + saved[0]

    def third(item: Item, r: Free):
        return saved[0]

    Model(first).trace()
    for function in (second, third):
        with pytest.raises(ModelError, match="a number of another model"):
            Model(function).trace()
    with pytest.raises(ModelError, match="only while the model is traced"):
        saved[0] + 1.0


def test_a_model_is_not_called():
    @model
    def m(item: Item, r: Free):
        return r

    with pytest.raises(ModelError, match=r"m\.compile\(\)"):
        m(1.0)


def test_numbers_are_copied_as_they_are():
    @model
    def m(item: Item, v: Free[2]):
        return copy.deepcopy(v)[0] * copy.copy(v[1])

    assert m.reference((2.0, 3.0), 1)[0] == 6.0


def test_nothing_depends_on_it():
    @model
    def m(item: Item, r: Free, s: Free[2], T: Pose, t: FreeTable[2], k: PerItemIndex):
        return r * s[1] * T[0, 3] + t[k][0]

    warnings = m.trace().warnings
    assert [w.split("nothing depends on ")[1] for w in warnings] == [
        "s[0]",
        "T's x rotation, T's y rotation, T's z rotation",
        "t[...][1]",
    ]
    assert all(w.startswith(f"{__file__}:") for w in warnings)


def test_what_is_not_a_mistake():
    @model
    def m(item: Item, r: Free, k: PerItemIndex):
        a = where((r > 0.0) ^ (r > 1.0), r, 0.0)
        b = where(~(r == 0.5), number(k), r) + number(k + 1) - number(2 * k)
        return a + b + math.floor(r) + np.float64(2.0) * r + r % 1.0 + r // 1.0

    value = m.reference((0.5,), 3, k=np.arange(3))
    np.testing.assert_allclose(value, 0.5 + 0.5 + np.arange(1, 4) - 2.0 * np.arange(3) + 0.0 + 1.0 + 0.5 + 0.0)


def test_two_threads_trace_at_once():
    both = threading.Barrier(2, timeout=20)
    failures = []

    def f(item: Item, r: Free):
        x = r
        for _ in range(20):
            both.wait()
            x = M.sin(x) * r
        return x

    def run():
        try:
            Model(f).trace()
        except Exception as error:
            failures.append(error)
            both.abort()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []
