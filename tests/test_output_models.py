"""Outputs of one's own, as models: against what is built in, and differences of NumPy's reference in float64."""

from __future__ import annotations

import pickle
from importlib import import_module

import numpy as np
import pytest
from boundary_cases import VIEWS, renderer

import diffrt_aot as dr
from diffrt_aot.model import Constant, Item, PerItem, PerItemFree, model, sqrt
from diffrt_aot.model.compile import compile_models
from kernels.numbers import sqrt as root
from kernels.outputs import Output


@model
def my_distance(pixel: Item, direction: PerItemFree[3], z: PerItemFree):
    return z * np.sqrt(direction @ direction)


@model
def my_shade(pixel: Item, normal: PerItemFree[3], direction: PerItemFree[3]):
    return -(normal @ direction) / np.sqrt(direction @ direction)


@model
def my_normal(pixel: Item, normal: PerItemFree[3]):
    return normal


@model
def lamp(pixel: Item, light: Constant[3], normal: PerItemFree[3], z: PerItemFree, direction: PerItemFree[3]):
    """A point light beside the camera: how bright it is, and where the point is across."""
    away = light - z * direction
    square = away @ away
    return 9.0 * (normal @ away) / (square * np.sqrt(square)), z * direction[0]


@model
def beyond(pixel: Item, z: PerItemFree):
    return sqrt(z - 5.5)


@model
def depth(pixel: Item, z: PerItemFree):
    return z


@model
def of_four(pixel: Item, normal: PerItemFree[4]):
    return normal[0]


@model
def of_texture(pixel: Item, z: PerItemFree, texture: PerItem):
    return z * texture


@model
def of_five(pixel: Item, z: PerItemFree):
    return z, z, z, z, z


MODELS = [my_distance, my_shade, my_normal, lamp, beyond, depth, of_four, of_texture, of_five]
LIGHT = (1.5, -2.0, -0.5)
FREE_CAMERA = ["sphere, camera rotated", "mesh before a sphere", "sphere before a plane"]


@pytest.fixture(scope="module")
def compiled():
    pytest.importorskip("llvmlite")
    return dr.Module.from_bytes(compile_models(MODELS, ["x64"]))


@pytest.fixture(scope="module")
def lit(compiled):
    return compiled.lamp.with_constants(light=LIGHT)


@pytest.mark.parametrize("boundary", ["none", "exact"])
@pytest.mark.parametrize("name", [name for name in VIEWS if name != "plane"])
def test_what_is_built_in_is_a_model_too(compiled, boundary, name):
    shown = VIEWS[name]
    background = [9.0, 0.1, -1.0, 0.0]
    theirs = renderer(shown, ["distance", "shade", "normal", "mask"], background, boundary)
    outputs = [compiled.my_distance, compiled.my_shade, compiled.my_normal, "mask"]
    ours = renderer(shown, outputs, background, boundary)
    assert ours.outputs == ("my_distance", "my_shade", "my_normal", "mask")
    (image, J), (expected, expected_J) = ((r.jacobian()[0], r.jacobian()[1].dense()) for r in (ours, theirs))
    np.testing.assert_allclose(image, expected, rtol=1e-5, atol=1e-5)
    largest = np.abs(expected_J).max(axis=(0, 1, 2))
    assert np.all(np.abs(J - expected_J) <= 1e-5 * np.maximum(largest, 1e-2))
    observed = expected + np.random.default_rng(0).normal(0, 0.2, expected.shape)
    a, b = (r.normal_equations(None, observed) for r in (ours, theirs))
    np.testing.assert_allclose(a.H, b.H, rtol=0, atol=1e-5 * np.abs(b.H).max())
    np.testing.assert_allclose(a.g, b.g, rtol=0, atol=1e-5 * np.abs(b.g).max())
    np.testing.assert_allclose(ours.render(), image, rtol=2e-5, atol=2e-6)


def lamp_of_reference(direction, z, normal):
    x, y, depth = (light - z * d for light, d in zip(LIGHT, (direction.x, direction.y, direction.z), strict=True))
    n = normal()
    square = x * x + y * y + depth * depth
    return 9.0 * (n.x * x + n.y * y + n.z * depth) / (square * root(square)), z * direction.x


@pytest.mark.parametrize("boundary", ["none", "exact"])
@pytest.mark.parametrize("name", FREE_CAMERA)
def test_an_output_has_the_derivative_of_its_image(lit, monkeypatch, boundary, name):
    """Central differences of the reference's image, in float64, with the output written once more."""
    shown = VIEWS[name]
    reference = import_module("kernels.reference.render")
    outputs = (*reference.OUTPUTS, Output("lamp", lamp_of_reference, channels=2, uses_normal=True))
    monkeypatch.setattr(reference, "OUTPUTS", outputs)

    def render(theta):
        return reference.jacobian(shown.scene, ["lamp"], [0.3], shown.free, theta, boundary)[0]

    image, J = renderer(shown, lit, 0.3, boundary).jacobian()
    J = J.dense()
    np.testing.assert_allclose(image, render(shown.theta0), rtol=0, atol=2e-3)
    assert np.ptp(image[..., 0]) > 0.2
    for seed in range(2):
        move = 1e-5 * shown.direction(seed)
        difference = (render(shown.theta0 + move) - render(shown.theta0 - move)) / 2e-5
        found = J @ shown.direction(seed)
        within = np.abs(difference) < 50  # without boundary terms a pixel jumps where a silhouette passes
        wrong = np.abs(found - difference) > 3e-3 * np.abs(difference[within]).max()
        assert np.count_nonzero(wrong & within) <= 2
        assert np.count_nonzero(~within) <= (4 if boundary == "none" else 0)


def test_threads_and_pickles_change_nothing(compiled, lit):
    shown = VIEWS["mesh before a sphere"]
    outputs = ["mask", lit, compiled.my_shade]
    image, J = renderer(shown, outputs, 0.0, threads=1).jacobian()
    assert image.shape == (30, 40, 4)
    again = renderer(shown, outputs, 0.0, threads=2)
    for other in (again, pickle.loads(pickle.dumps(again))):
        image_there, J_there = other.jacobian()
        np.testing.assert_array_equal(image_there, image)
        np.testing.assert_array_equal(J_there.dense(), J.dense())


def test_rays_that_miss_are_the_background(compiled):
    shown = VIEWS["sphere"]
    missed = renderer(shown, "mask", boundary="none").render() == 0.0
    for background, expected in ((None, 0.0), (7.0, 7.0), (np.nan, np.nan)):
        image = renderer(shown, compiled.my_shade, background, "none").render()
        np.testing.assert_array_equal(image[missed], expected)
        assert np.isfinite(image[~missed]).all()


@pytest.mark.parametrize("boundary", ["none", "exact"])
def test_where_an_output_has_no_value_there_is_no_residual(compiled, boundary):
    shown = VIEWS["sphere before a plane"]
    there = renderer(shown, [compiled.beyond, "mask"], 0.0, boundary)
    image, J = there.jacobian()
    missing = np.isnan(image[..., 0])
    near = renderer(shown, "depth", boundary="none").render() < 5.5
    assert np.count_nonzero(missing) > 50 and np.all(missing[near]) and np.isfinite(J.dense()).all()
    equations = there.normal_equations(None, np.nan_to_num(image) + 0.1)
    assert equations.count == image.size - np.count_nonzero(missing) and np.isfinite(equations.H).all()


def test_a_fit_of_an_output(lit):
    shown = VIEWS["sphere before a plane"]
    there = dr.Renderer(shown.scene, ["ball.center", "ball.radius"], lit, 0.0)
    result = dr.fit(there, there.render(), there.theta0 + np.array([0.1, -0.1, 0.2, 0.1]))
    np.testing.assert_allclose(result.theta, there.theta0, atol=1e-3)
    assert result.warnings == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lamp", "outputs: 'lamp': the constant light of lamp has no value"),
        ("of_four", "the model of_four is not an output: its argument normal must be 3 numbers.*def output"),
        ("of_texture", "its argument texture is of kind per_item"),
        ("of_five", "it returns more than 4 numbers"),
        ("depth", "output: a model is named 'depth', as what is built in; give it another name"),
    ],
)
def test_what_is_no_output(compiled, name, message):
    with pytest.raises(dr.InvalidValueError, match=message):
        renderer(VIEWS["sphere"], compiled[name])


def test_outputs_that_are_neither(compiled):
    with pytest.raises(dr.InvalidTypeError, match=r"output: lamp is not compiled; pass lamp.compile\(\)"):
        renderer(VIEWS["sphere"], [lamp, "mask"])
    with pytest.raises(dr.InvalidTypeError, match="output: must be a name or a list of names, got 3"):
        renderer(VIEWS["sphere"], [compiled.my_shade, 3])
    with pytest.raises(dr.InvalidValueError, match="output: unknown name 'shad'"):
        renderer(VIEWS["sphere"], [compiled.my_shade, "shad"])
    with pytest.raises(dr.InvalidValueError, match="output: has 100 entries or more"):
        renderer(VIEWS["sphere"], [compiled.my_shade] * 200)
    assert renderer(VIEWS["sphere"], compiled.my_shade, device="auto").device == "cpu"
    if any(name.startswith("vulkan") for name in dr.devices()):
        with pytest.raises(dr.DeviceError, match='outputs: models run on the CPU alone; use device="cpu"'):
            renderer(VIEWS["sphere"], compiled.my_shade, device="vulkan")
