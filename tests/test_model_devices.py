"""Models on GPUs: what they compute is what the CPU does, and what cannot be says why."""

import pickle

import model_examples
import numpy as np
import pytest
from test_model_evaluation import TOLERANCE, rows_of, worst
from test_normal_equations import assert_agree, observation
from test_renderer_devices import GPUS, on_gpus

import diffrt_aot as dr
from diffrt_aot.model import Free, FreeTable, Image, Item, PerItem, PerItemIndex, Table, model, number, total

pytest.importorskip("llvmlite")


@pytest.fixture(scope="module")
def everything():
    """A file of all examples, for all targets."""
    from diffrt_aot.model.compile import compile_models

    return dr.Module.from_bytes(compile_models([model_examples.load(name) for name in model_examples.NAMES]))


@on_gpus
@pytest.mark.parametrize("name", model_examples.NAMES)
def test_examples_as_in_float64(everything, gpu, name):
    theta, shape, data = model_examples.case(name)
    author, bound = model_examples.load(name), everything[name].bind(shape=shape, device=gpu, **data, **rows_of(theta))
    assert bound.device == gpu
    right, right_J = author.reference_jacobian(theta, shape=shape, **data)
    value, J = bound.jacobian(theta)
    tolerance = TOLERANCE.get(name, 2e-5)
    assert worst(value, right) < tolerance and np.array_equal(value, bound(theta))
    if not theta:
        return
    dense = J.dense()
    assert worst(dense, right_J) < tolerance
    rng = np.random.default_rng(0)
    v, w = rng.normal(size=(dense.shape[-1], 2)), rng.normal(size=value.shape)
    assert worst(bound.jvp(theta, v)[1], dense @ v) < 1e-5
    assert worst(bound.vjp(theta, w)[1], np.tensordot(w, dense, w.ndim)) < 1e-5


@pytest.fixture(params=["host", "device"])
def sums_on(request, monkeypatch):
    """Where sums of rows are made, if the model allows: on a driver that computes on the processor by the host."""
    monkeypatch.setenv("DIFFRT_MODEL_SUMS", request.param)


@on_gpus
@pytest.mark.parametrize("name", ["photometric", "calibration", "lattice", "hand", "sphere"])
def test_sums_are_those_of_the_cpu(everything, gpu, name, sums_on):
    theta, shape, data = model_examples.case(name)
    rows = rows_of(theta)
    cpu, other = (everything[name].bind(shape=shape, device=d, **data, **rows) for d in ("cpu", gpu))
    start = cpu.parameters(**theta)
    value = cpu(theta)
    scale = 0.05 * float(np.abs(value).max())  # far above what float32 rounds away
    observed, loss = observation(value, 2.0 * scale), dr.Huber(scale)
    right, found = (m.normal_equations(theta, observed, loss=loss) for m in (cpu, other))
    assert_agree(other, found, (right.H, right.g, right.cost, right.count), 1e-4)
    assert other.cost(theta, observed, loss=loss) == pytest.approx((right.cost, right.count), rel=1e-5)
    weights = np.random.default_rng(4).uniform(0, 2, value.shape)
    weights[weights < 0.2] = 0
    right, found = (m.normal_equations(theta, observed, weights, loss=loss) for m in (cpu, other))
    assert_agree(other, found, (right.H, right.g, right.cost, right.count), 1e-4)
    again = other.normal_equations(theta, observed, weights, loss=loss)
    assert np.array_equal(again.H, found.H) and np.array_equal(again.g, found.g) and again.cost == found.cost
    with pytest.raises(dr.InvalidValueError, match="weights"):
        other.normal_equations(theta, observed, -weights, loss=loss)
    results = [dr.fit(m, cpu(theta), start + 1e-3, max_steps=20) for m in (cpu, other)]
    assert all(r.status.converged for r in results)
    assert results[1].cost == pytest.approx(results[0].cost, abs=1e-6 * cpu.cost(start + 1e-3, cpu(theta))[0])
    results = [dr.fit(m, observed, start + 1e-3, weights=weights, loss=loss, max_steps=30) for m in (cpu, other)]
    assert results[1].cost == pytest.approx(results[0].cost, rel=1e-4)
    one, two = (r.covariance_sandwich for r in results)
    if name != "calibration":  # whose scale is free
        assert np.allclose(one, two, rtol=1e-2, atol=1e-3 * np.abs(one).max())


@model
def reads(item: Item, a: Free[7], rows: FreeTable[2], t: Table[3], im: Image, x: PerItem[2], k: PerItemIndex):
    """All that is read, also beyond its end."""
    row, datum = rows[k], t[k + 1]
    turning = total(7, lambda i: a[i] * x[0] * number(i))
    return row[0] * datum[2] + turning, row[1] * im[k, 1] + im.at(x[0], x[1]) * a[0]


@on_gpus
def test_reads_within_and_beyond(gpu):
    rng = np.random.default_rng(1)
    theta = {"a": rng.normal(size=7), "rows": rng.normal(size=(5, 2))}
    data = {"t": rng.normal(size=(4, 3)), "im": rng.normal(size=(3, 4)), "x": rng.uniform(-1, 4, (70, 2))}
    data["k"] = np.arange(70) % 9 - 2
    compiled = reads.compile()
    (right, right_J), (value, J) = (compiled.jacobian(theta, shape=70, device=d, **data) for d in ("cpu", gpu))
    assert np.isnan(right).any() and np.array_equal(np.isnan(value), np.isnan(right))
    assert np.allclose(value, right, rtol=1e-5, atol=1e-5, equal_nan=True)
    assert np.allclose(J.dense(), right_J.dense(), rtol=1e-5, atol=1e-5, equal_nan=True)


@model
def wide(item: Item, a: Free[300], x: PerItem):
    return total(300, lambda i: a[i] * a[i] * x)


@on_gpus
def test_a_domain_in_pieces(gpu):
    """The planes of all items at once are more than are computed at a time."""
    n = 200_000
    x = np.random.default_rng(2).uniform(-1, 1, n).astype(np.float32)
    a = np.linspace(0.1, 0.3, 300)
    cpu, other = (wide.compile().bind(shape=n, x=x, device=d) for d in ("cpu", gpu))
    right, found = (m.normal_equations(a, np.zeros(n)) for m in (cpu, other))
    assert_agree(other, found, (right.H, right.g, right.cost, right.count), 1e-4)
    assert np.allclose(other.vjp(a, x)[1], cpu.vjp(a, x)[1], rtol=1e-5)
    assert np.allclose(other(a), cpu(a), rtol=1e-5)


@on_gpus
def test_empty_domains_and_single_items(gpu):
    compiled = wide.compile()
    a = np.ones(300)
    for n in (0, 1):
        value, J = compiled.jacobian(a, shape=n, x=np.ones(n), device=gpu)
        assert value.shape == (n,) and J.dense().shape == (n, 300)
        assert compiled.normal_equations(a, None, shape=n, x=np.ones(n), device=gpu).count == n


@on_gpus
def test_a_file_for_gpus_alone(gpu):
    """prepare() runs on the device, where the file has nothing for the processor."""
    from diffrt_aot.model.compile import compile_models

    name = "photometric"
    theta, shape, data = model_examples.case(name)
    module = dr.Module.from_bytes(compile_models([model_examples.load(name)], gpu.split(":")[0]))
    assert module.target == ""
    value, _ = module[name].jacobian(theta, shape=shape, device=gpu, **data)
    assert worst(value, model_examples.load(name).reference(theta, shape=shape, **data)) < 2e-5
    with pytest.raises(dr.DeviceError, match="compile the models with --targets x64"):
        module[name](theta, shape=shape, **data)


@on_gpus
def test_modules_come_and_go(gpu):
    """A module's kernels are forgotten with it: others may get their addresses."""
    from diffrt_aot.model.compile import compile_models

    data = pickle.dumps(dr.Module.from_bytes(compile_models([model_examples.load(n) for n in ("sphere", "network")])))
    for name in ("sphere", "network") * 3:
        theta, shape, case = model_examples.case(name)
        module = pickle.loads(data)
        right = model_examples.load(name).reference(theta, shape=shape, **case)
        assert worst(module[name](theta, shape=shape, device=gpu, **case), right) < 1e-4


def test_what_is_not_there_is_named():
    from diffrt_aot.model.compile import compile_models

    x64 = dr.Module.from_bytes(compile_models([wide], ["x64"]), "wide.dra")
    arguments = {"shape": 2, "x": np.ones(2)}
    for gpu in GPUS:
        with pytest.raises(dr.DeviceError, match=r"wide.dra: has code for x64_v2, x64_v3, x64_v4, none for .*"):
            x64.wide.bind(device=gpu, **arguments)
    with pytest.raises(dr.DeviceError, match="is not a device"):
        x64.wide.bind(device="gpu", **arguments)
    with pytest.raises(dr.InvalidTypeError, match="device: must be a name"):
        x64.wide.bind(device=0, **arguments)
