"""Arguments of models: what each kind is to the author and to the reference, and what is said of wrong ones."""

import numpy as np
import pytest

from diffrt_aot import DiffrtError, InvalidValueError, rigid
from diffrt_aot.model import (
    Constant,
    Free,
    FreeTable,
    Image,
    Item,
    PerItem,
    PerItemFree,
    PerItemIndex,
    Pixel,
    Pose,
    Table,
    floor,
    model,
    reference,
    whole,
)

METHODS = ("forward", "reverse", "mixed")
ways = pytest.mark.parametrize("method", METHODS)


def differences(m, theta, shape, step=1e-6, **data):
    theta = np.asarray(theta, float)
    columns = []
    for k in range(theta.size):
        d = step * (np.arange(theta.size) == k)
        columns.append((m.reference(theta + d, shape, **data) - m.reference(theta - d, shape, **data)) / (2 * step))
    return np.stack(columns, -1)


def test_pixels_and_items():
    @model
    def image(pixel: Pixel, r: Free):
        return r + pixel.column + 10.0 * pixel.row

    @model
    def items(item: Item, r: Free):
        return r, item.index

    y, x = np.mgrid[:3, :4]
    np.testing.assert_array_equal(image.reference((0.5,), (3, 4)), 0.5 + x + 10.0 * y)
    np.testing.assert_array_equal(items.reference((0.5,), 4), np.stack([np.full(4, 0.5), np.arange(4)], 1))
    np.testing.assert_array_equal(items.reference((0.5,), (4,)), items.reference({"r": 0.5}, shape=4))
    assert items.reference((0.5,), 0).shape == (0, 2) and image.reference((0.5,), (0, 4)).shape == (0, 4)


def test_shapes_of_arguments_and_outputs():
    @model
    def m(item: Item, A: Free[2, 3], c: Constant[3], x: PerItem[2], s: PerItem):
        return A * s + np.outer(x, c)

    A, c, x, s = np.arange(6.0).reshape(2, 3), np.array([1.0, 2, 3]), np.ones((4, 2)), np.arange(4.0)
    value, J = m.reference_jacobian({"A": A}, 4, c=c, x=x, s=s)
    np.testing.assert_array_equal(value, A * s[:, None, None] + c)
    np.testing.assert_array_equal(J, s[:, None, None, None] * np.eye(6).reshape(2, 3, 6))
    np.testing.assert_array_equal(m.reference(A.ravel(), 4, c=c, x=x, s=s), value)


@ways
def test_rows_of_parameters_are_read_at_indices(method):
    @model
    def m(item: Item, t: FreeTable[2], scale: Free, i: PerItemIndex):
        a, b = t[i], t[i + 1]
        return scale * a[0] * b[1] + t[3][0]

    t, i = np.arange(10.0).reshape(5, 2), np.array([0, 3, 1])
    value, J = m.reference_jacobian({"t": t, "scale": 2.0}, 3, method=method, i=i)
    np.testing.assert_array_equal(value, 2.0 * t[i, 0] * t[i + 1, 1] + t[3, 0])
    np.testing.assert_allclose(J, differences(m, [*t.ravel(), 2.0], 3, i=i), atol=1e-7)


def test_the_same_index_is_the_same_block():
    @model
    def m(item: Item, t: FreeTable, i: PerItemIndex):
        return t[i] + t[i + 1] + t[1 + i] + t[i + 3 - 2]

    assert len(m.trace().blocks) == 2


def test_reading_beyond_a_table_is_nan():
    @model
    def m(item: Item, t: FreeTable[2], u: Table[2], im: Image, x: PerItem, r: Free):
        i = whole(floor(x))
        return t[i][1], u[i][1], im[i, whole(0.0)], im[whole(1.0), i], r

    x = np.array([0.0, 1.0, 2.0, -1.0, 1e9, -1e30, np.nan, np.inf])
    data = {"u": np.ones((2, 2)), "im": np.ones((2, 2)), "x": x}
    value = m.reference({"t": np.ones((2, 2)), "r": 1.0}, 8, **data)
    np.testing.assert_array_equal(np.isnan(value), [[k > 1] * 4 + [False] for k in range(8)])
    _, J = m.reference_jacobian({"t": np.ones((2, 2)), "r": 1.0}, 8, **data)
    assert np.isfinite(J).all()


def test_tables_know_their_size():
    @model
    def m(item: Item, t: FreeTable[2], u: Table[3], im: Image, r: Free):
        return t.rows, u.rows, im.height, im.width, r

    value = m.reference({"t": np.ones((4, 2)), "r": 0.0}, 1, u=np.ones((5, 3)), im=np.ones((6, 7)))
    np.testing.assert_array_equal(value[0], [4, 5, 6, 7, 0])


@ways
def test_images_are_bilinear(method):
    @model
    def m(item: Item, x: Free, y: Free, im: Image, dx: PerItem, dy: PerItem):
        return im.at(x + dx, y + dy)

    rng = np.random.default_rng(0)
    im = rng.normal(size=(4, 5))
    dx, dy = rng.uniform(-2, 6, 200), rng.uniform(-2, 5, 200)
    value, J = m.reference_jacobian((0.1, 0.2), 200, method=method, im=im, dx=dx, dy=dy)

    def at(x, y):
        x, y = np.clip(x, 0, 4), np.clip(y, 0, 3)
        i, j = np.minimum(x.astype(int), 3), np.minimum(y.astype(int), 2)
        u, v = x - i, y - j
        return (1 - v) * ((1 - u) * im[j, i] + u * im[j, i + 1]) + v * ((1 - u) * im[j + 1, i] + u * im[j + 1, i + 1])

    np.testing.assert_allclose(value, at(dx + 0.1, dy + 0.2), rtol=1e-12)
    np.testing.assert_allclose(J, differences(m, (0.1, 0.2), 200, im=im, dx=dx, dy=dy), atol=1e-8)
    outside = (dx + 0.1 < 0) | (dx + 0.1 > 4)
    assert outside.sum() > 20 and (J[outside, 0] == 0.0).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (3, 1), (2, 2)])
def test_small_images(size):
    @model
    def m(pixel: Pixel, x: Free, im: Image):
        return im.at(pixel.column + x, pixel.row)

    im = np.random.default_rng(1).normal(size=size)
    np.testing.assert_allclose(m.reference((0.0,), size, im=im), im, rtol=1e-14)
    np.testing.assert_allclose(m.reference((9.0,), size, im=im), im[:, [-1] * size[1]])


def test_an_image_at_nan_is_nan():
    @model
    def m(item: Item, x: Free, im: Image):
        return im.at(x, 0.0)

    assert np.isnan(m.reference((np.nan,), 1, im=np.ones((1024, 1024)))).all()


# --- poses


@model
def moved(item: Item, T: Pose, s: Free, X: PerItem[3]):
    return s * (T[:3, :3] @ X + T[:3, 3])


@model
def twice(item: Item, T_a_b: Pose, T_b_c: Pose, X: PerItem[3]):
    return (T_a_b @ T_b_c @ np.append(X, 1.0))[:3]


def exponential(xi):
    A = np.zeros((4, 4))
    A[:3, :3] = [[0, -xi[5], xi[4]], [xi[5], 0, -xi[3]], [-xi[4], xi[3], 0]]
    A[:3, 3] = xi[:3]
    half, term = np.eye(4), np.eye(4)
    for n in range(1, 30):
        term = term @ A / (n * 64.0)
        half = half + term
    return np.linalg.matrix_power(half, 64)


@ways
@pytest.mark.parametrize("angle", [0.0, 1e-5, 0.5, 2.0, 3.1])
def test_the_columns_of_a_pose(method, angle):
    rng = np.random.default_rng(5)
    axis = rng.normal(size=3)
    xi = np.array([*rng.normal(size=3), *(angle * axis / np.linalg.norm(axis))])
    X = rng.normal(size=(7, 3))
    theta = [*xi, 1.5]
    value, J = moved.reference_jacobian(theta, 7, method=method, X=X)
    T = exponential(xi)
    np.testing.assert_allclose(value, 1.5 * (X @ T[:3, :3].T + T[:3, 3]), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(J, differences(moved, theta, 7, X=X), atol=1e-7)


@ways
def test_the_slots_of_a_pose_are_increments(method):
    """d of T exp(delta) at delta = 0."""
    rng = np.random.default_rng(6)
    xi, X = rng.normal(size=6), rng.normal(size=(1, 3))
    program = moved.trace(method)
    call = reference.Data(program, [*xi, 1.0], 1, {"X": X})
    T = exponential(xi)
    for k in range(6):
        d = 1e-6 * (np.arange(6) == k)
        ends = [(T @ exponential(s * d) @ np.append(X[0], 1.0))[:3] for s in (1, -1)]
        for output in range(3):
            (found,) = reference.evaluate(program, call, [program.rows[output][k]])
            np.testing.assert_allclose(found[0, 0], (ends[0] - ends[1])[output] / 2e-6, atol=1e-8)


@ways
def test_two_poses(method):
    rng = np.random.default_rng(7)
    theta, X = rng.normal(size=12), rng.normal(size=(3, 3))
    _, J = twice.reference_jacobian(theta, 3, method=method, X=X)
    np.testing.assert_allclose(J, differences(twice, theta, 3, X=X), atol=1e-7)


def test_a_pose_by_name_is_a_matrix():
    rng = np.random.default_rng(8)
    for angle in (0.0, 1.0, 3.0, np.pi - 1e-9):
        axis = rng.normal(size=3)
        xi = np.array([*rng.normal(size=3), *(angle * axis / np.linalg.norm(axis))])
        X = rng.normal(size=(2, 3))
        T = exponential(xi)
        wanted = moved.reference([*xi, 1.0], 2, X=X)
        for given in (T, T[:3], xi):
            value, J = moved.reference_jacobian({"T": given, "s": 1.0}, 2, X=X)
            np.testing.assert_allclose(value, wanted, atol=1e-9)
            np.testing.assert_allclose(J, moved.reference_jacobian([*xi, 1.0], 2, X=X)[1], atol=1e-6)
        np.testing.assert_allclose(exponential(reference.logarithm(T)), T, atol=1e-9)
    with pytest.raises(DiffrtError, match="not a rotation"):
        moved.reference({"T": np.diag([2.0, 2.0, 2.0, 1.0]), "s": 1.0}, 2, X=X)
    np.testing.assert_allclose(moved.reference({"T": rigid(), "s": 1.0}, 2, X=X), X)


# --- wrong ones


@model
def many(
    pixel: Pixel,
    r: Free,
    v: Free[3],
    t: FreeTable[2],
    c: Constant,
    w: Constant[2],
    x: PerItem[2],
    k: PerItemIndex,
    u: Table[2],
    im: Image,
    e: PerItemFree,
):
    return r * c + v[0] + v[1] + v[2] + t[k].sum() + w[0] + x[0] + u[k][0] + im[k, k] + e


THETA = {"r": 1.0, "v": (1.0, 2.0, 3.0), "t": np.ones((4, 2))}
DATA = {
    "c": 1.0,
    "w": (1.0, 2.0),
    "x": np.ones((2, 3, 2)),
    "k": np.zeros((2, 3), int),
    "u": np.ones((5, 2)),
    "im": np.ones((4, 4)),
    "e": np.ones((2, 3)),
}
WRONG = {
    "shape of a range": ({}, {}, 3, "shape: must be (height, width), got 3"),
    "shape of floats": ({}, {}, (2.0, 3), "shape: height: must be a whole number"),
    "shape that is negative": ({}, {}, (-2, 3), "shape: height: must be a whole number >= 0"),
    "parameter that is not there": ({"radius": 1.0}, {}, None, "theta: unknown parameter 'radius'"),
    "parameter that is missing": ({"r": None}, {}, None, "theta: r is missing; there are r, v, t"),
    "parameter of another shape": ({"v": np.ones(4)}, {}, None, "v: must have shape (3,), got (4,)"),
    "parameter that is a column": ({"v": np.ones((3, 1))}, {}, None, "pass v.reshape(3)"),
    "parameter that is an array": ({"r": [1.0]}, {}, None, "r: must have shape (), got (1,); pass its single element"),
    "parameter that is text": ({"r": "1"}, {}, None, "r: must hold numbers"),
    "parameter that is complex": ({"r": 1j}, {}, None, "r: must be real"),
    "table of another shape": ({"t": np.ones(8)}, {}, None, "t: must have shape (rows, 2), got (8,)"),
    "argument that is not there": ({}, {"focal": 1.0}, None, "unknown argument 'focal'"),
    "argument that is near": ({}, {"ww": 1.0}, None, "Perhaps you meant 'w'"),
    "constant that is missing": ({}, {"w": None}, None, "argument w is missing: w=..., an array of shape (2,)"),
    "image that is missing": (
        {},
        {"im": None},
        None,
        "argument im is missing: im=..., an array of shape (height, width)",
    ),
    "table that is missing": ({}, {"u": None}, None, "argument u is missing"),
    "items that are missing": ({}, {"x": None}, None, "argument x is missing: x=..., an array of shape (2, 3, 2)"),
    "items of another shape": ({}, {"x": np.ones((3, 2, 2))}, None, "x: must have shape (2, 3, 2)"),
    "indices of floats": ({}, {"k": np.zeros((2, 3))}, None, "k: must have an integer type"),
    "image in color": ({}, {"im": np.ones((4, 4, 3))}, None, "im: must have shape (height, width), got (4, 4, 3)"),
    "constant that is ragged": ({}, {"w": [[1.0], [1.0, 2.0]]}, None, "w: cannot be made into an array"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name):
    theta, data, shape, words = WRONG[name]

    def merged(a, b):
        return {k: v for k, v in {**a, **b}.items() if v is not None}

    with pytest.raises(DiffrtError) as caught:
        many.reference(merged(THETA, theta), shape or (2, 3), **merged(DATA, data))
    assert words in str(caught.value)


def test_right_arguments():
    value, J = many.reference_jacobian(THETA, (2, 3), **DATA)
    assert value.shape == (2, 3) and J.shape == (2, 3, 12)
    vector = np.concatenate([np.ravel(x) for x in THETA.values()])
    np.testing.assert_array_equal(many.reference(vector, (2, 3), **DATA), value)
    assert (differences(many, vector, (2, 3), **DATA).round(6) == J).all()


def test_theta_of_a_wrong_size():
    with pytest.raises(InvalidValueError, match=r"4 \+ 2 for each row of t numbers \(r 1, v 3, t 2\), got 5"):
        many.reference(np.ones(5), (2, 3), **DATA)

    @model
    def two(item: Item, a: FreeTable, b: FreeTable):
        return a[0] + b[0]

    with pytest.raises(InvalidValueError, match="give theta by name"):
        two.reference(np.ones(5), 1)
    assert two.reference({"a": np.ones(2), "b": np.ones(3)}, 1)[0] == 2.0


def test_places_in_the_machines_arguments():
    program = many.trace()
    assert [(a.name, a.kind, a.shape, a.first) for a in program.arguments] == [
        ("pixel", "pixel", (), 0),
        ("r", "free", (), 0),
        ("v", "free", (3,), 1),
        ("t", "free_table", (2,), 2),
        ("c", "constant", (), 0),
        ("w", "constant", (2,), 1),
        ("x", "per_item", (2,), 0),
        ("k", "per_item_index", (), 0),
        ("u", "table", (2,), 0),
        ("im", "image", (), 1),
        ("e", "per_item_free", (), 2),
    ]
    assert [(program.arguments[s.argument].name, s.component, s.block) for s in program.slots] == [
        ("r", 0, -1),
        ("v", 0, -1),
        ("v", 1, -1),
        ("v", 2, -1),
        ("e", 0, -1),
        ("t", 0, 0),
        ("t", 1, 0),
    ]
