"""Robust losses of the kernels: the same as the package's own, weights are derivatives, digits kept near zero."""

import math

import numpy as np
import pytest

from diffrt_aot.losses import Barron, Cauchy, GemanMcClure, Huber, Tukey
from kernels.losses import (
    LOSSES,
    barron,
    barron_zero,
    cauchy,
    geman_mcclure,
    huber,
    least_squares,
    tukey,
    welsch,
)
from kernels.numbers import Dual, seed

SCALE = 0.3
# s below, around and above the scale, off the kinks of Huber and Tukey
SQUARES = np.array([0.0, 1e-12, 1e-6, 1e-3, 0.01, 0.05, 0.089, 0.0901, 0.1, 0.5, 3.0, 40.0, 1e6])
# (kernel's function, alpha, the package's loss)
PAIRS = {
    "huber": (huber, 0.0, Huber(SCALE)),
    "cauchy": (cauchy, 0.0, Cauchy(SCALE)),
    "geman-mcclure": (geman_mcclure, 0.0, GemanMcClure(SCALE)),
    "tukey": (tukey, 0.0, Tukey(SCALE)),
    "barron, 1.5": (barron, 1.5, Barron(1.5, SCALE)),
    "barron, 1": (barron, 1.0, Barron(1.0, SCALE)),
    "barron, 1e-3": (barron, 1e-3, Barron(1e-3, SCALE)),
    "barron, -2": (barron, -2.0, Barron(-2.0, SCALE)),
    "barron, -50": (barron, -50.0, Barron(-50.0, SCALE)),
    "barron, 0": (barron_zero, 0.0, Barron(0.0, SCALE)),
    "barron, 2": (least_squares, 2.0, Barron(2.0, SCALE)),
    "welsch": (welsch, 0.0, Barron(-math.inf, SCALE)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_same_as_the_package(name):
    function, alpha, loss = PAIRS[name]
    rho, weight = function(SQUARES, SCALE, alpha)
    np.testing.assert_allclose(rho, loss.rho(SQUARES), rtol=1e-12, atol=0.0)
    np.testing.assert_allclose(weight, loss.weight(SQUARES), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", PAIRS)
def test_weight_is_the_derivative_of_rho(name):
    function, alpha, _ = PAIRS[name]
    _, weight = function(SQUARES, SCALE, alpha)
    stepped, _ = function(SQUARES + 1e-30j, SCALE, alpha)
    np.testing.assert_allclose(weight, np.imag(stepped) / 1e-30, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", PAIRS)
def test_floats_and_duals(name):
    function, alpha, _ = PAIRS[name]
    rhos, weights = function(SQUARES, SCALE, alpha)
    for s, of_rho, of_weight in zip(SQUARES.tolist(), rhos, weights, strict=True):
        assert function(s, SCALE, alpha) == pytest.approx((of_rho, of_weight), rel=1e-13)
        rho, weight = function(seed(s, "s"), SCALE, alpha)
        assert rho.value == pytest.approx(of_rho, rel=1e-13)
        assert rho.partials["s"] == pytest.approx(of_weight, rel=1e-9, abs=1e-15)
        assert isinstance(weight, Dual) and set(weight.partials) == {"s"}


@pytest.mark.parametrize("name", PAIRS)
def test_scale_may_be_a_parameter(name):
    """d rho / d scale against a complex step: losses are models like any other."""
    function, alpha, _ = PAIRS[name]
    s = SQUARES[3:]
    rho, _ = function(s, seed(SCALE, "scale"), alpha)
    stepped, _ = function(s + 0j, SCALE + 1e-30j, alpha)
    mine = rho.partials.get("scale", 0.0) if isinstance(rho, Dual) else 0.0
    np.testing.assert_allclose(mine + 0.0 * s, np.imag(stepped) / 1e-30, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_float32_keeps_its_digits_near_zero(name):
    """Near the solution every residual is small; a cost without digits there would stop a fit early."""
    function, alpha, loss = PAIRS[name]
    s = np.logspace(-14, -1, 60).astype(np.float32)
    rho, weight = function(s, np.float32(SCALE), np.float32(alpha))
    np.testing.assert_allclose(rho, loss.rho(s.astype(np.float64)), rtol=3e-6)
    np.testing.assert_allclose(weight, loss.weight(s.astype(np.float64)), rtol=3e-6, atol=1e-6)


def test_places_are_kinds():
    """A loss of the package is told to the kernels by its kind: its place in LOSSES."""
    for function, _, loss in PAIRS.values():
        if not isinstance(loss, Barron):
            assert LOSSES[loss.kind] is function
    assert LOSSES[Barron.kind] is barron and LOSSES[0] is least_squares
    assert len(set(LOSSES)) == len(LOSSES)
