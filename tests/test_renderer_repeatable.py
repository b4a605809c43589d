"""The same numbers, bit for bit: from call to call, for any number of threads, whatever was computed in between."""

import gc

import numpy as np
import pytest
from renderer_cases import BIG, CASES, OUTPUTS

import diffrt_aot as dr

pytestmark = pytest.mark.every_device

EVERY = pytest.mark.parametrize("name", CASES)


def everything_of(renderer, theta):
    """All that a renderer computes at theta, as arrays."""
    image, J = renderer.jacobian(theta)
    observed = np.nan_to_num(image, nan=3.0) + np.float32(0.25)
    equations = renderer.normal_equations(theta, observed, np.full(image.shape, 0.3), dr.Cauchy(0.1))
    sparse = J.to_scipy()
    return {
        "image": image,
        "render": renderer.render(theta),
        "ids": J.primitive_ids,
        "dense": J.dense(),
        "sparse": np.concatenate([sparse.data, sparse.indices, sparse.indptr]),
        "product": J @ np.arange(J.shape[-1], dtype=float),
        "transposed": J.T @ observed,
        "H": equations.H,
        "g": equations.g,
        "cost": np.array([equations.cost, equations.count]),
    }


def assert_same_bits(results, expected):
    for key, array in expected.items():
        assert results[key].dtype == array.dtype and results[key].tobytes() == array.tobytes(), key


@pytest.mark.parametrize("name", ["large", "overlapping shapes", "free vertices", "1 x 1 image"])
def test_any_number_of_threads(name):
    case = BIG if name == "large" else CASES[name]
    theta = case.thetas()[1]
    expected = everything_of(dr.Renderer(case.scene, free=case.free, output=OUTPUTS, threads=1, boundary="none"), theta)
    for threads in (1, 2, 3, 5):
        renderer = dr.Renderer(case.scene, free=case.free, output=OUTPUTS, threads=threads, boundary="none")
        for _ in range(2):
            assert_same_bits(everything_of(renderer, theta), expected)


def crowd(planes: bool) -> dr.Scene:
    """Spheres behind and beside each other, more in a tile than are tried for what they hide."""
    rng = np.random.default_rng(5)
    shapes: dict = {}
    for i in range(60):
        z = rng.uniform(3, 12)
        centre = (*(z * rng.uniform((-0.7, -0.5), (0.7, 0.5))), z)
        shapes[f"b{i}"] = dr.Sphere(centre, z * rng.uniform(0.004, 0.15))
    for i in range(24):
        shapes[f"c{i}"] = dr.Sphere((0.3, 0.2, 4 + 0.4 * i), 0.5 + 0.06 * i)
    if planes:
        shapes |= {"floor": dr.Plane((0, 2, 0), (0.05, -1, 0.02)), "wall": dr.Plane((0, 0, 11), (0.2, 0.1, -1))}
    return dr.Scene(dr.PinholeCamera(96, 90, 70, 68, 45, 47), shapes)


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("outputs", ["distance", ["depth", "mask"]])
def test_any_number_of_threads_with_silhouettes(planes, outputs):
    """Tiles are taken together; how many depends on the threads."""
    scene = crowd(planes)
    free = [name for name in dr.valid_free_names(scene) if name.startswith(("b", "camera.focal"))]
    renderers = [
        dr.Renderer(scene, free=free, output=outputs, background=20.0, threads=threads) for threads in (1, 2, 3, 5)
    ]
    expected = everything_of(renderers[0], renderers[0].theta0)
    for renderer in renderers:
        for _ in range(2):
            assert_same_bits(everything_of(renderer, renderer.theta0), expected)


@EVERY
@pytest.mark.parametrize("outputs", ["depth", OUTPUTS], ids=["one channel", "all"])
def test_whatever_was_computed_in_between(name, outputs):
    """Storage is used again: what another theta wrote there must not show, and results that live stay."""
    case = CASES[name]
    here, there = case.thetas()
    away = [there, here + 0.9 * (there - here), 2 * there - here]
    renderer = dr.Renderer(case.scene, free=case.free, output=outputs, boundary="none")
    expected = {k: np.array(v) for k, v in everything_of(renderer, here).items()}
    held_image, held = renderer.jacobian(here)
    held_dense = held.dense()
    for theta in away:
        try:
            kept = renderer.jacobian(theta)
        except ValueError:  # a radius or a focal length below zero is no place to go to
            continue
        kept_dense = kept[1].dense().copy()
        assert_same_bits(everything_of(renderer, here), expected)
        assert np.array_equal(kept[1].dense(), kept_dense)
        del kept
        gc.collect()
        assert_same_bits(everything_of(renderer, here), expected)
    assert held_image.tobytes() == expected["image"].tobytes()
    for dense in (held_dense, held.dense()):
        assert dense.tobytes() == expected["dense"].tobytes()
    assert held.primitive_ids.tobytes() == expected["ids"].tobytes()


@EVERY
def test_a_fresh_renderer_agrees(name):
    case = CASES[name]
    used = dr.Renderer(case.scene, free=case.free, output=OUTPUTS, boundary="none")
    for theta in case.thetas():
        everything_of(used, theta)
    for theta in case.thetas():
        fresh = dr.Renderer(case.scene, free=case.free, output=OUTPUTS, boundary="none")
        assert_same_bits(everything_of(used, theta), everything_of(fresh, theta))


def test_results_outlive_the_renderer():
    case = CASES["free vertices"]
    renderer = dr.Renderer(case.scene, free=case.free, output=OUTPUTS, boundary="none")
    image, J = renderer.jacobian()
    dense, ids = J.dense().copy(), J.primitive_ids.copy()
    view, ids_view = J.dense(), J.primitive_ids
    del renderer
    gc.collect()
    dr.Renderer(CASES["sphere"].scene, free=["ball.center"], output=OUTPUTS, boundary="none").jacobian()
    assert np.array_equal(J.dense(), dense)
    assert np.array_equal((J @ np.eye(J.shape[-1])[0]).astype(np.float32), dense[..., 0])
    del J
    gc.collect()
    assert np.array_equal(view, dense) and np.array_equal(ids_view, ids) and image.shape == dense.shape[:-1]


def test_two_renderers_do_not_share_storage():
    case = CASES["sphere, few parameters"]
    one, two = (dr.Renderer(case.scene, free=case.free, boundary="none") for _ in range(2))
    here, there = case.thetas()
    a = one.jacobian(here)[1]
    before = a.dense().copy()
    b = two.jacobian(there)[1]
    assert np.array_equal(a.dense(), before) and not np.array_equal(b.dense(), before)
