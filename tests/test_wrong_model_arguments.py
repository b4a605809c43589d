"""Every argument of a compiled model's calls, given every kind of wrong value, as test_wrong_arguments.py does with the
renderer's: it works, or raises a DiffrtError of one line that names the argument; and the model is as it was.
"""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from test_wrong_arguments import fault, wrong_values

import diffrt_aot as dr
from diffrt_aot.bound_model import BoundModel
from diffrt_aot.compiled_model import CompiledModel
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
    model,
)

pytest.importorskip("llvmlite")

H, W = 5, 7


@model
def everything(
    pixel: Pixel,
    radius: Free,
    center: Free[3],
    T_world_body: Pose,
    offsets: FreeTable[2],
    focal: Constant,
    principal: Constant[2],
    seen: PerItem[2],
    moved: PerItemFree,
    which: PerItemIndex,
    points: Table[3],
    photo: Image,
):
    p = T_world_body[:3, :3] @ points[which] + T_world_body[:3, 3] + center
    x = focal * p[0] / (p[2] + 9.0) + principal[0] + offsets[which][0] * radius
    y = focal * p[1] / (p[2] + 9.0) + principal[1] + offsets[which][1]
    return x - seen[0] + photo.at(pixel.column * 0.5, pixel.row * 0.5), y - seen[1] + moved


@model
def gathered(item: Item, table: FreeTable, data: Table, which: PerItemIndex):
    return table[which] + data[which]


RNG = np.random.default_rng(3)
THETA = {
    "radius": 1.5,
    "center": (0.1, 0.2, 0.3),
    "T_world_body": (0.1, 0.0, -0.1, 0.2, -0.1, 0.3),
    "offsets": RNG.normal(size=(4, 2)),
}
DATA = {
    "focal": 4.0,
    "principal": (3.0, 2.0),
    "seen": RNG.normal(size=(H, W, 2)),
    "moved": RNG.normal(size=(H, W)),
    "which": RNG.integers(0, 4, (H, W)),
    "points": RNG.normal(size=(4, 3)),
    "photo": RNG.normal(size=(6, 8)),
}
SHAPE = {"shape": (H, W)}
OBSERVED = np.zeros((H, W, 2))


@pytest.fixture(scope="module")
def compiled():
    return everything.compile(targets=["x64"])


@pytest.fixture(scope="module")
def bound(compiled):
    return compiled.bind(**SHAPE, offsets=4, **DATA)


@pytest.fixture(scope="module")
def gather():
    return gathered.compile(targets=["x64"])


def calls():
    """What is called -> (the word that its errors have, a function of the model, compiled and bound, and a value)."""
    found = {
        "theta": ("theta|parameter", lambda m, b, x: b(x)),
        "theta of one not bound": ("theta|offsets|parameter", lambda m, b, x: m(x, **SHAPE, **DATA)),
        "jacobian(theta)": ("theta|parameter", lambda m, b, x: b.jacobian(x)),
        "jvp(theta)": ("theta|parameter", lambda m, b, x: b.jvp(x, np.ones(18))),
        "vjp(theta)": ("theta|parameter", lambda m, b, x: b.vjp(x, OBSERVED)),
        "normal_equations(theta)": ("theta|parameter", lambda m, b, x: b.normal_equations(x, OBSERVED)),
        "cost(theta)": ("theta|parameter", lambda m, b, x: b.cost(x, OBSERVED)),
        "by_name": ("theta|parameter", lambda m, b, x: b.by_name(x)),
        "jvp(seeds)": ("seeds", lambda m, b, x: b.jvp(THETA, x)),
        "vjp(w)": ("w", lambda m, b, x: b.vjp(THETA, x)),
        "shape": ("shape", lambda m, b, x: m.bind(shape=x, offsets=4, **DATA)),
        "rows": ("offsets", lambda m, b, x: m.bind(**SHAPE, offsets=x, **DATA)),
        "with_constants": ("focal", lambda m, b, x: m.with_constants(focal=x)),
        "fit(theta0)": ("theta0?|parameter", lambda m, b, x: dr.fit(b, OBSERVED, x, max_steps=1)),
        "fit(theta0) of one not bound": (
            "theta0?|offsets|parameter",
            lambda m, b, x: dr.fit(m, OBSERVED, x, **SHAPE, **DATA),
        ),
        "fit(shape)": ("shape", lambda m, b, x: dr.fit(m, OBSERVED, THETA, shape=x, **DATA)),
    }
    found |= {
        "check(target)": ("check", lambda m, b, x: dr.check(x, THETA)),
        "check(theta)": ("theta|parameter", lambda m, b, x: dr.check(b, x)),
        "check(author)": ("author|check", lambda m, b, x: dr.check(m, THETA, author=x)),
        "check(shape)": ("shape", lambda m, b, x: dr.check(m, THETA, shape=x, **DATA)),
        "reference(theta)": ("theta|offsets|parameter", lambda m, b, x: everything.reference(x, **SHAPE, **DATA)),
        "reference(shape)": ("shape", lambda m, b, x: everything.reference(THETA, shape=x, **DATA)),
        "compile(targets)": ("targets?", lambda m, b, x: everything.compile(targets=x)),
        "BoundModel(core)": ("BoundModel", lambda m, b, x: BoundModel(x, "a", [], ())),
        "CompiledModel(module)": ("CompiledModel", lambda m, b, x: CompiledModel(x, "a", "b")),
        "Module(core)": ("Module", lambda m, b, x: dr.Module(x, "a")),
        "module[name]": ("models?", lambda m, b, x: module_of(m)[x]),
        "Module.from_bytes(data)": ("data|bytes", lambda m, b, x: dr.Module.from_bytes(x)),
        "Module.from_bytes(name)": ("name", lambda m, b, x: dr.Module.from_bytes(m._module.bytes(), x)),
    }
    for name in ("observed", "weights", "loss"):
        for method in ("normal_equations", "cost"):
            found[f"{method}({name})"] = (
                name,
                lambda m, b, x, n=name, k=method: getattr(b, k)(THETA, **{"observed": OBSERVED, n: x}),
            )
    for name in ("observed", "weights", "loss", "priors", "bounds", "levels"):
        found[f"fit({name})"] = (
            name,
            lambda m, b, x, n=name: dr.fit(b, **{"observed": OBSERVED, "theta0": THETA, "max_steps": 1, n: x}),
        )
    for name in ("device", "threads", "dense_limit"):
        found[f"bind({name})"] = (name, lambda m, b, x, n=name: m.bind(**SHAPE, offsets=4, **DATA, **{n: x}))
    for name in DATA:
        found[f"reference({name})"] = (
            name,
            lambda m, b, x, n=name: everything.reference(THETA, **SHAPE, **{**DATA, n: x}),
        )
        found[f"bind({name})"] = (name, lambda m, b, x, n=name: m.bind(**SHAPE, offsets=4, **{**DATA, n: x}))
    for name in THETA:
        found[f"parameters({name})"] = (name, lambda m, b, x, n=name: b.parameters(**{**THETA, n: x}))
        found[f"theta[{name!r}]"] = (name, lambda m, b, x, n=name: b({**THETA, n: x}))
    return found


def module_of(compiled):
    return dr.Module.from_bytes(compiled._module.bytes())


CALLS = calls()


@pytest.mark.filterwarnings("ignore")  # of fits to nonsense
@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_value_is_refused_in_one_line(compiled, bound, name):
    word, call = CALLS[name]
    before = bound(THETA)
    found = {label: fault(f"({word})", call, compiled, bound, value) for label, value in wrong_values().items()}
    assert not any(found.values()), "\n".join(f"{label}: {text}" for label, text in found.items() if text)
    assert np.array_equal(bound(THETA), before)


def test_what_is_missing_or_unknown_is_named(compiled, bound):
    rest = {name: value for name, value in DATA.items() if name != "photo"}
    misspelt = {**rest, "foto": DATA["photo"]}
    for call, text in {
        (lambda: compiled(THETA, **SHAPE, **rest)): "argument photo is missing: an array of shape",
        (lambda: compiled(THETA, **SHAPE, **misspelt)): "'foto'. Perhaps you meant 'photo'",
        (lambda: compiled(THETA, **SHAPE, **DATA, radius=1.0)): "'radius'",
        (lambda: compiled(THETA, **SHAPE, **DATA, offsets=4)): "offsets: is a parameter, and comes with theta",
        (lambda: compiled.bind(**SHAPE, **DATA)): "argument offsets is missing: offsets=..., how many rows it has",
        (lambda: bound({**THETA, "offsets": np.zeros((3, 2))})): "theta: has 16 numbers, expected 18: radius",
        (lambda: bound.parameters(**{k: v for k, v in THETA.items() if k != "center"})): "parameter center is missing",
    }.items():
        with pytest.raises(dr.DiffrtError) as found:
            call()
        assert text in str(found.value), str(found.value)
    with pytest.raises(TypeError, match="shape"):
        compiled(THETA, **DATA)


def test_what_is_to_be_compiled_or_given_first_is_said(compiled, bound, gather):
    for call, text in {
        (lambda: dr.fit(everything, OBSERVED, THETA, **SHAPE, **DATA)): "renderer: everything is not compiled; pass",
        (lambda: dr.fit(compiled, OBSERVED, THETA, **DATA)): "shape: must be given with everything",
        (lambda: dr.fit(compiled, OBSERVED, **SHAPE, **DATA)): "theta0: must be given",
        (lambda: dr.fit(bound, OBSERVED, THETA, **SHAPE)): "unexpected argument 'shape'",
        (lambda: dr.fit(bound, OBSERVED, THETA, levels=2)): "levels: are of images that a renderer makes",
        (lambda: dr.check(compiled, THETA, **DATA)): "shape must be given",
        (lambda: dr.check(bound, THETA, **SHAPE)): "unexpected argument 'shape': the data are bound already",
        (lambda: dr.check(bound, THETA, author=everything)): "author: needs the data, too",
        (lambda: dr.check(gather, THETA, author=everything, shape=3, data=[1.0], which=[0] * 3)): "unknown parameter",
        (lambda: pickle.dumps(bound)): "everything: a bound model cannot be pickled; pickle the compiled one",
    }.items():
        with pytest.raises(dr.DiffrtError) as found:
            call()
        assert text in str(found.value), str(found.value)
    again = pickle.loads(pickle.dumps(compiled))
    assert np.array_equal(again(THETA, **SHAPE, **DATA), bound(THETA))


def test_a_theta_that_is_not_finite_is_refused_with_its_entry(bound):
    theta = bound.parameters(**THETA)
    for number in (np.nan, np.inf):
        theta[12] = number
        for call in (bound, bound.jacobian, bound.normal_equations, lambda x: dr.fit(bound, OBSERVED, x)):
            with pytest.raises(dr.InvalidValueError, match=r"theta0?: entry 12 \(offsets\[2\]\) is not finite"):
                call(theta)


def ways_to_store(x):
    """The same numbers, in memory in other ways."""
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    return {
        "strided": wide[..., ::2],
        "backwards": x[::-1].copy()[::-1],
        "by columns": np.asfortranarray(x),
        "big-endian": x.astype(x.dtype.newbyteorder(">")),
        "read-only": read_only,
        "a list": x.tolist(),
        "masked, but nowhere": np.ma.masked_array(x, mask=False),
        "a subclass": x.view(np.matrix) if x.ndim == 2 else x,
    }


@pytest.mark.parametrize("name", [name for name, value in DATA.items() if np.ndim(value) > 1])
def test_data_are_taken_however_they_are_stored(compiled, bound, name):
    right = bound(THETA)
    for way, stored in ways_to_store(DATA[name]).items():
        assert np.array_equal(compiled(THETA, **SHAPE, **{**DATA, name: stored}), right), way
    types = (np.int32, np.uint8, np.uint64) if name == "which" else (np.float32, np.longdouble)
    for kind in types:
        same = compiled(THETA, **SHAPE, **{**DATA, name: DATA[name].astype(kind)})
        assert np.array_equal(same, right) or kind is np.float32


def test_what_is_bound_is_a_copy(compiled):
    mine = {name: np.array(value) for name, value in DATA.items()}
    bound = compiled.bind(**SHAPE, offsets=4, **mine)
    before = bound(THETA)
    for value in mine.values():
        value[...] = 0
    assert np.array_equal(bound(THETA), before)


def test_a_pose_is_a_matrix_or_six_numbers(bound):
    from diffrt_aot.model.reference import exponential

    T = exponential(np.array(THETA["T_world_body"]))
    right = bound(THETA)
    for pose in (T, T[:3], T.tolist(), np.array(THETA["T_world_body"])):
        assert np.abs(bound({**THETA, "T_world_body": pose}) - right).max() < 1e-6
    mirrored = T @ np.diag([1.0, 1.0, -1.0, 1.0])
    for pose in (mirrored, 2 * T, T.T, np.eye(3), T.ravel(), np.full((4, 4), np.nan), np.full(6, np.nan)):
        with pytest.raises(dr.InvalidValueError, match="T_world_body"):
            bound({**THETA, "T_world_body": pose})


@pytest.mark.parametrize("shape", [(0, W), (H, 0), (0, 0)])
def test_an_image_of_nothing(compiled, shape):
    names = ("seen", "moved", "which")
    data = {
        name: np.zeros((*shape, *x.shape[2:]), x.dtype) if (x := np.array(DATA[name])).ndim else x for name in names
    }
    bound = compiled.bind(shape=shape, offsets=4, **{**DATA, **data})
    nothing = bound(THETA)
    assert nothing.shape == (*shape, 2) == bound.shape and bound.jacobian(THETA)[1].dense().shape == (*shape, 2, 18)
    assert bound.jvp(THETA, np.ones((18, 3)))[1].shape == (*shape, 2, 3)
    assert np.array_equal(bound.vjp(THETA, nothing)[1], np.zeros(18))
    equations = bound.normal_equations(THETA, nothing)
    assert equations.cost == equations.count == 0 and not equations.H.any() and equations.H.shape == (18, 18)
    result = dr.fit(bound, nothing, THETA)
    assert result.status is dr.Status.NO_RESIDUALS and np.array_equal(result.theta, bound.parameters(**THETA))


def test_a_table_of_no_rows(compiled, gather):
    no_rows = {**THETA, "offsets": np.zeros((0, 2))}
    value, J = compiled.jacobian(no_rows, **SHAPE, **DATA)
    assert np.isnan(value).all() and J.dense().shape == (H, W, 2, 10)
    assert compiled.normal_equations(no_rows, OBSERVED, **SHAPE, **DATA).count == 0
    empty = gather.bind(shape=3, table=0, data=[], which=[0, 1, -1])
    assert np.isnan(empty([])).all() and empty.normal_equations([]).H.shape == (0, 0)
    assert empty.jacobian([])[1].dense().shape == (3, 0) and empty.vjp([], np.ones(3))[1].shape == (0,)
    with pytest.raises(dr.InvalidValueError, match="has no parameters"):
        dr.fit(empty, None, [])


def test_reference_and_check_of_nothing():
    nothing = {"shape": 3, "data": [1.0], "which": [0, 1, 2]}
    for theta in ({"table": []}, []):
        assert np.isnan(gathered.reference(theta, **nothing)).all()
        report = dr.check(gathered, theta, **nothing)
        assert report.ok and "3 entries" in str(report)
    report = dr.check(gathered, {"table": [1.0, 2.0]}, shape=0, data=[1.0], which=np.zeros(0, int))
    assert report.ok and " 0 entries" in str(report)


def test_no_observation_that_counts(bound):
    for observed, weights in (
        (np.full_like(OBSERVED, np.nan), None),
        (np.ma.masked_all(OBSERVED.shape), None),
        (OBSERVED, np.zeros((H, W))),
        (OBSERVED, np.zeros((H, W, 2), bool)),
    ):
        equations = bound.normal_equations(THETA, observed, weights)
        assert equations.count == 0 and equations.cost == 0 and not equations.H.any()
        result = dr.fit(bound, observed, THETA, weights=weights)
        assert result.status is dr.Status.NO_RESIDUALS and np.array_equal(result.theta, bound.parameters(**THETA))


def test_what_is_masked_does_not_count(bound):
    mask = np.arange(OBSERVED.size).reshape(OBSERVED.shape) % 3 == 0
    masked = bound.normal_equations(THETA, np.ma.masked_array(OBSERVED, mask))
    as_nan = bound.normal_equations(THETA, np.where(mask, np.nan, OBSERVED))
    assert masked.cost == as_nan.cost and masked.count == as_nan.count == (~mask).sum()
    assert np.array_equal(masked.H, as_nan.H)


def test_indices_beyond_a_table_read_nothing(gather):
    count = 2**22 + 5
    far = [0, 4, 5, -1, 2**22, count - 1, count, 2**30 - 1, 2**30, 2**31, 2**32, 2**32 + 1, 2**62, -(2**63), 2**63 - 1]
    which = np.array([*far, 3])
    data = np.arange(count, dtype=np.float32)
    bound = gather.bind(shape=which.size, table=count, data=data, which=which)
    value, J = bound.jacobian(np.full(count, 0.5))
    right = np.where((which >= 0) & (which < count), which + 0.5, np.nan).astype(np.float32)
    assert np.array_equal(value, right, equal_nan=True)
    rows = J.to_scipy()
    assert rows[4, 2**22] == 1 and rows[5, count - 1] == 1
    assert bound.cost(np.full(count, 0.5))[1] == 6
    small = gather(np.zeros(5), shape=which.size, data=data[:5], which=which)
    assert np.array_equal(small, np.where((which >= 0) & (which < 5), which, np.nan).astype(np.float32), equal_nan=True)


def test_sizes_beyond_memory_are_refused(compiled, gather):
    line = {"data": np.zeros(3), "which": [0]}
    for call, word in {
        (lambda: gather.bind(shape=2**30 + 1, table=2, **line)): "shape",
        (lambda: gather.bind(shape=2**40, table=2, **line)): "shape",
        (lambda: gather.bind(shape=1, table=2**30, **line)): "table",
        (lambda: gather.bind(shape=2**29, table=2, **line)): "which",
        (lambda: compiled.bind(shape=(2**20, 2**20), offsets=4, **DATA)): "shape",
        (lambda: compiled.bind(shape=(2**29, 0), offsets=4, **DATA)): "seen",
    }.items():
        with pytest.raises((dr.InvalidValueError, dr.OutOfMemoryError), match=word):
            call()


@model
def scaled(item: Item, x: PerItemFree, factor: Constant):
    return factor * x


def test_a_model_without_parameters():
    data = {"shape": 5, "x": np.arange(5.0), "factor": 2.0}
    bound = scaled.compile(targets=["x64"]).bind(**data)
    assert bound.blocks == {} and bound.labels == [] and bound.parameters().shape == (0,)
    for theta in ([], {}):
        assert np.array_equal(bound(theta), 2 * data["x"])
        assert bound.jacobian(theta)[1].dense().shape == bound.jacobian(theta)[1].to_scipy().shape == (5, 0)
        assert not bound.jvp(theta, np.zeros((0, 2)))[1].any() and bound.vjp(theta, np.ones(5))[1].shape == (0,)
        assert bound.cost(theta) == (60.0, 5) and bound.normal_equations(theta).H.shape == (0, 0)
    assert dr.check(scaled, [], **data).ok
    with pytest.raises(dr.InvalidValueError, match=r"theta: has 1 numbers, expected 0"):
        bound([1.0])


def test_threads_take_turns_with_a_bound_model(bound):
    thetas = [bound.parameters(**{**THETA, "radius": radius}) for radius in (0.5, 1.0, 2.0, 4.0)]
    right = [bound.normal_equations(theta).H for theta in thetas]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda theta: bound.normal_equations(theta).H, 50 * thetas))
    assert all(np.array_equal(H, right[k % 4]) for k, H in enumerate(found))
