"""`check`: it agrees with what is right, and finds what is not, with the author's line."""

import dataclasses
from pathlib import Path

import model_examples
import numpy as np
import pytest

import diffrt_aot as dr
from diffrt_aot.model import (
    Constant,
    Dual,
    Free,
    Item,
    PerItem,
    Pixel,
    Pose,
    absolute,
    exp,
    model,
    sin,
    where,
    with_slopes,
)

pytest.importorskip("llvmlite")

CAMERA = dr.PinholeCamera(width=40, height=30, fx=30, fy=30, cx=20, cy=15)
SCENE = dr.Scene(CAMERA, {"ball": dr.Sphere((0.1, 0.2, 5), 1.0), "wall": dr.Plane((0, 0, 8), (0.1, 0, -1))})
ITEMS = {"shape": 20, "x": np.linspace(-1.0, 1.0, 20)}


def failures(report):
    return [finding for finding in report.findings if not finding.ok]


# One has a rule, one no parameters, and the blob's root is found to 1e-5 only, which shows where rays graze.
OTHERS = ("sphere_with_rule", "mix_inverse_depths", "blob")


@pytest.mark.parametrize("name", [name for name in model_examples.NAMES if name not in OTHERS])
def test_examples_agree(name):
    theta, shape, data = model_examples.case(name)
    report = dr.check(model_examples.load(name), theta, shape=shape, **data)
    assert report.ok, str(report)
    assert str(report).startswith(f"{name}: all agrees\n") and len(report.findings) == 7
    derivatives = next(f for f in report.findings if "differences" in f.what)
    assert derivatives.worst < 1e-3 and "left out" not in derivatives.text.split(";")[0]


def test_a_rule_that_is_not_the_derivative_is_told_with_its_line():
    theta, shape, data = model_examples.case("sphere_with_rule")
    report = dr.check(model_examples.load("sphere_with_rule"), theta, shape=shape, **data)
    (found,) = failures(report)
    source = (model_examples.FOLDER / "sphere.py").read_text().splitlines()
    line = next(k for k, text in enumerate(source, 1) if "return Dual(" in text)
    assert f"sphere.py:{line})" in found.text and "J says" in found.text and "pixel (" in found.text
    assert str(report).startswith("sphere_with_rule: NOT all agrees")


@model
def wrong_slope(item: Item, a: Free, T: Pose, x: PerItem):
    moved = T[0, 3] * x
    right = sin(a * x)
    ruled = with_slopes(lambda y: exp(y), lambda y, value, slope: 1.01 * slope)(right)  # here
    return ruled + moved


@model
def wrong_partial(item: Item, a: Free, b: Free[2], x: PerItem):
    y = a * b[0] * x
    z = Dual(y.value, {k: -e for k, e in y.partials.items()})  # here
    return z * z + b[1]


@pytest.mark.parametrize("wrong", [wrong_slope, wrong_partial], ids=lambda m: m.name)
def test_planted_mistakes_are_found_at_their_lines(wrong):
    theta = {"a": 0.7, "T": np.eye(4)} if wrong is wrong_slope else {"a": 0.7, "b": (0.3, 0.2)}
    (found,) = failures(dr.check(wrong, theta, **ITEMS))
    text = Path(__file__).read_text().splitlines()
    lines = [k for k, line in enumerate(text, 1) if line.endswith("# here")]
    assert f"test_check.py:{lines[wrong is wrong_partial]})" in found.text
    assert found.what == "J, with differences of the values" and " by a" in found.text


@model
def kinked(pixel: Pixel, a: Free):
    return absolute(a * pixel.column - 3.0) + where(a * pixel.row > 2.0, 1.0, 0.0)


def test_kinks_and_jumps_are_no_mistakes():
    report = dr.check(kinked, {"a": 1.0}, shape=(4, 6))
    assert report.ok and "left out" in str(report), str(report)


@model
def twice(item: Item, a: Free, x: PerItem):
    return 2.0 * a * x


@model
def thrice(item: Item, a: Free, x: PerItem):
    return 3.0 * a * x


def test_a_file_and_the_function_it_comes_from(tmp_path):
    from diffrt_aot.model.compile import compile_models

    (tmp_path / "m.dra").write_bytes(compile_models([twice], ["x64"]))
    loaded = dr.load(tmp_path / "m.dra").twice
    assert dr.check(loaded, [0.5], author=twice, **ITEMS).ok
    report = dr.check(loaded, [0.5], author=thrice, **ITEMS)
    assert [f.what for f in failures(report)] == ["values, with float64", "J, with float64"]
    assert "item 0, output 0: -1, and -1.5 in float64" in str(report)
    alone = dr.check(loaded, [0.5], **ITEMS)
    assert alone.ok and alone.findings[0].what == "J, with differences of the values"
    assert dr.check(loaded.bind(**ITEMS), [0.5]).ok
    with pytest.raises(dataclasses.FrozenInstanceError):
        alone.name = "other"


@pytest.mark.parametrize("boundary", ["exact", "none"])
@pytest.mark.parametrize("output", ["depth", ["mask", "normal"]])
def test_renderers_agree(boundary, output):
    free = ["ball.radius", "ball.center", "camera.pose", "camera.focal"]
    report = dr.check(dr.Renderer(SCENE, free, output=output, background=0.0, boundary=boundary))
    assert report.ok and len(report.findings) == 3, str(report)


def test_many_parameters_and_items_are_sampled():
    theta, _, data = model_examples.case("cosines")
    report = dr.check(model_examples.load("cosines"), theta, shape=(200, 300), **data)
    assert report.ok and "of 60,000 items" in str(report)


@model
def scaled(item: Item, a: Free, by: Constant[2], x: PerItem):
    return (by[0] * a + by[1]) * x


def test_constants_that_were_given_before():
    compiled = scaled.compile().with_constants(by=(2.0, 0.5))
    assert dr.check(compiled, [0.5], **ITEMS).ok and np.array_equal(compiled.constants["by"], [2.0, 0.5])


def test_what_is_wrong_with_a_call():
    with pytest.raises(dr.InvalidTypeError, match="shape must be given"):
        dr.check(twice, [0.5])
    with pytest.raises(dr.InvalidTypeError, match="takes a model or a Renderer"):
        dr.check(3.0)
    with pytest.raises(dr.InvalidTypeError, match="unexpected argument 'x'"):
        dr.check(twice.compile().bind(**ITEMS), [0.5], x=3)
    with pytest.raises(dr.InvalidValueError, match="x is missing"):
        dr.check(twice, [0.5], shape=3)
