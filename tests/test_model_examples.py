"""The example models: Jacobians against differences, all ways of differentiating, float32, and formulas written out."""

import model_examples
import numpy as np
import pytest
from model_machine import Machine

from diffrt_aot.model import reference

WITHOUT_THETA = ("mix_inverse_depths",)
WITH_THETA = [name for name in model_examples.NAMES if name not in WITHOUT_THETA]


def packed(theta):
    return np.concatenate([np.ravel(np.asarray(x, float)) for x in theta.values()])


def unpacked(vector, theta):
    result, at = {}, 0
    for name, x in theta.items():
        shape = np.shape(x)
        n = int(np.prod(shape))
        result[name] = vector[at : at + n].reshape(shape)
        at += n
    return result


def differences(model, theta, shape, data, direction, step=1e-6):
    ends = [model.reference(unpacked(packed(theta) + s * direction, theta), shape, **data) for s in (step, -step)]
    return (ends[0] - ends[1]) / (2.0 * step)


@pytest.mark.parametrize("name", WITH_THETA)
@pytest.mark.parametrize("method", ["forward", "reverse", "mixed"])
def test_the_jacobian_is_what_differences_give(name, method):
    if (name, method) == ("dense_chain", "forward"):
        pytest.skip("long, and compared with the others below")
    model, (theta, shape, data) = model_examples.load(name), model_examples.case(name)
    value, J = model.reference_jacobian(theta, shape, method=method, **data)
    np.testing.assert_array_equal(value, model.reference(theta, shape, **data))
    if name == "sphere_with_rule":
        return  # its derivative is not that of its value: see below
    rng = np.random.default_rng(3)
    direction = rng.normal(size=J.shape[-1])
    found, wanted = J @ direction, differences(model, theta, shape, data, direction)
    scale = np.abs(wanted).max()
    error = np.abs(found - wanted) / scale
    # At the edges of spheres, and where a photo's pixels change, there is a kink between the two ends.
    limit = {"sphere": 0.97, "blob": 0.9, "deform": 0.97, "photometric": 0.97}.get(name, 1.0)
    assert np.quantile(error, limit) < (1e-4 if name == "blob" else 2e-7)
    assert np.isfinite(J).all()


@pytest.mark.parametrize("name", model_examples.NAMES)
def test_forward_reverse_and_mixed_agree(name):
    model, (theta, shape, data) = model_examples.load(name), model_examples.case(name)
    planes = []
    for method in ("forward", "reverse", "mixed"):
        program = model.trace(method)
        call = reference.Data(program, theta, shape, data)
        order = [(o, s) for o, row in enumerate(program.rows) for s in sorted(row)]
        planes.append((order, reference.evaluate(program, call, [program.rows[o][s] for o, s in order])))
    for order, values in planes[1:]:
        assert order == planes[0][0]
        for a, b in zip(values, planes[0][1], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * max(np.abs(b).max(), 1e-3))


def single(name):
    """Value and partials in float32 beside float64: [(got, wanted)], the value first."""
    model, (theta, shape, data) = model_examples.load(name), model_examples.case(name)
    program = model.trace()
    round32 = {
        k: np.asarray(x) if np.asarray(x).dtype.kind == "i" else np.float32(x).astype(float) for k, x in data.items()
    }
    call = reference.Data(program, {k: np.float32(x).astype(float) for k, x in theta.items()}, shape, round32)
    count = max(call.tables, default=-1) + 1
    machine = Machine(
        program,
        lambda n: np.broadcast_to(reference.OPERATIONS[n.op](n, [], call), call.shape),
        [call.tables.get(k, np.zeros(0)) for k in range(count)],
    )
    planes = [(o, s) for o, row in enumerate(program.rows) for s in sorted(row)]
    got = machine.run([*machine.outputs, *(machine.rows[o][s] for o, s in planes)])
    wanted = reference.evaluate(program, call, [*program.outputs, *(program.rows[o][s] for o, s in planes)])
    got = [np.broadcast_to(x, call.shape) for x in got]
    count = len(program.outputs)
    return [(np.stack(g), np.stack(w)) for g, w in ((got[:count], wanted[:count]), (got[count:], wanted[count:]))]


# Of the largest number there is. Where it is more than 1e-5: a pixel's bilinear weights are differences of two large
# coordinates; and near a sphere's edge, where the derivative is infinite, a difference of two large squares decides.
WITHIN = {"sphere": (1e-5, 2e-2), "sphere_with_rule": (1e-5, 2e-2), "blob": (2e-5, 1e-2), "deform": (1e-5, 1e-1)}
WITHIN |= {"photometric": (1e-5, 1e-2), "dense_chain": (1e-5, 2e-5)}


@pytest.mark.parametrize("name", model_examples.NAMES)
def test_float32_is_near_float64(name):
    for (got, wanted), within in zip(single(name), WITHIN.get(name, (1e-5, 1e-5)), strict=True):
        assert got.dtype == np.float32
        error = np.abs(got - wanted) / np.abs(wanted).max()
        assert np.median(error) < 3e-7
        assert error.max() < within


def test_all_parameters_matter():
    for name in model_examples.NAMES:
        assert model_examples.load(name).trace().warnings == []


def test_many_parameters_are_differentiated_in_reverse():
    assert model_examples.load("dense_chain").trace().method != "forward"
    assert model_examples.load("hand").trace().method == "forward"


# --- formulas written out


def test_the_sphere_at_the_middle_and_beside():
    model, (theta, shape, data) = model_examples.load("sphere"), model_examples.case("sphere")
    value, J = model.reference_jacobian(theta | {"center": (0.0, 0.0, 8.0)}, shape, **data)
    assert value[12, 16] == 6.0 and value[0, 0] == 0.0
    np.testing.assert_allclose(J[12, 16], [-1.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(J[0, 0], 0.0)


def test_the_rule_adds_the_speed_of_the_edge():
    plain, ruled = (model_examples.load(name) for name in ("sphere", "sphere_with_rule"))
    theta, shape, data = model_examples.case("sphere")
    value, J = plain.reference_jacobian(theta, shape, **data)
    same, K = ruled.reference_jacobian(theta, shape, **data)
    np.testing.assert_array_equal(value, same)
    # Written out: d edge / d radius = focal / b.
    y, x = np.mgrid[:24, :32]
    d = np.stack([(x - 16.0) / 40.0, (y - 12.0) / 40.0, np.ones(shape)], -1)
    d /= np.linalg.norm(d, axis=-1, keepdims=True)
    center = np.array(theta["center"])
    b = d @ center
    away = np.linalg.norm(center - b[..., None] * d, axis=-1)
    near = np.abs(2.0 - away) * 40.0 / b < 0.5
    assert near.sum() > 20
    np.testing.assert_allclose((K - J)[..., 0], np.where(near, 40.0, 0.0), atol=1e-12)


def euler(a, b, c):
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return z @ y @ x


def rodrigues(w):
    """By the series of the exponential."""
    K = np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
    term, total = np.eye(3), np.eye(3)
    for n in range(1, 40):
        term = term @ K / n
        total = total + term
    return total


def test_the_hand_is_what_numpy_skins():
    model, (theta, count, data) = model_examples.load("hand"), model_examples.case("hand")
    square = [np.vstack([T, [0, 0, 0, 1]]) for T in data["rest"]]
    bones = [square[0]]
    for finger in range(5):
        parent = bones[0]
        for bone in range(4):
            turn = np.eye(4)
            bend = theta["fingers"][finger]
            if bone < 3:
                turn[:3, :3] = euler(bend[0], 0, bend[1]) if bone == 0 else euler(bend[1 + bone], 0, 0)
            parent = parent @ square[1 + 4 * finger + bone] @ turn
            bones.append(parent)
    out = np.zeros((count, 3))
    for i in range(count):
        X = np.append(data["vertex"][i], 1.0)
        for k in range(21):
            M = bones[k] @ np.vstack([data["inverse"][k], [0, 0, 0, 1]])
            out[i] += data["skin"][i, k] * (M @ X)[:3]
    wrist = theta["wrist"]
    wanted = out @ rodrigues(wrist[:3]).T + wrist[3:] - data["measured"]
    np.testing.assert_allclose(model.reference(theta, count, **data), wanted, rtol=1e-10, atol=1e-10)


def test_the_boundary_rule_is_the_mean_of_depths():
    model, (_, count, data) = model_examples.load("mix_inverse_depths"), model_examples.case("mix_inverse_depths")
    a, i, o = data["area"], data["inside"], data["outside"]
    shown = 1.0 / (a / i + (1.0 - a) / o)
    np.testing.assert_allclose(model.reference({}, count, **data), shown, rtol=1e-13)
    program = model.trace()
    call = reference.Data(program, {}, count, data)
    found = reference.evaluate(program, call, [program.rows[0][k] for k in range(3)])
    wanted = [-(shown**2) * (1 / i - 1 / o), shown**2 * a / i**2, shown**2 * (1 - a) / o**2]
    for f, w in zip(found, wanted, strict=True):
        np.testing.assert_allclose(f[0], w, rtol=1e-12)
