"""Losses: weights are the derivatives of rho, known limits hold, bad scales are refused."""

import math

import numpy as np
import pytest

from diffrt_aot.errors import DiffrtError
from diffrt_aot.losses import (
    LOSSES,
    Barron,
    Cauchy,
    GemanMcClure,
    Huber,
    Tukey,
    check_loss,
    loss_name,
    parse_loss,
)

C = 0.3
ALPHAS = [2.0, 1.9999999, 1.0, 1e-9, 0.0, -1e-9, -0.5, -2.0, -100.0, -math.inf]
ALL = [Huber(C), Cauchy(C), GemanMcClure(C), Tukey(C), *(Barron(alpha, C) for alpha in ALPHAS)]

# s on both sides of c^2 = 0.09, and off the kinks of Huber and Tukey
SQUARES = np.array([1e-6, 1e-3, 0.01, 0.05, 0.089, 0.0901, 0.1, 0.5, 3.0, 40.0])


@pytest.mark.parametrize("loss", ALL, ids=str)
def test_weight_is_the_derivative_of_rho(loss):
    h = 1e-4 * SQUARES
    slope = (loss.rho(SQUARES + h) - loss.rho(SQUARES - h)) / (2 * h)
    np.testing.assert_allclose(loss.weight(SQUARES), slope, rtol=2e-7, atol=1e-8)


@pytest.mark.parametrize("loss", [Cauchy(C), GemanMcClure(C), Barron(1.0, C), Barron(-2.0, C)], ids=str)
def test_weight_is_the_complex_step_derivative(loss):
    formulas = {
        "Cauchy": lambda s: C**2 * np.log(1 + s / C**2),
        "GemanMcClure": lambda s: C**2 * s / (C**2 + s),
        "Barron": lambda s: (
            2 * C**2 * abs(loss.alpha - 2) / loss.alpha
            * ((s / C**2 / abs(loss.alpha - 2) + 1) ** (loss.alpha / 2) - 1)
        ),
    }  # fmt: skip
    rho = formulas[type(loss).__name__]
    np.testing.assert_allclose(loss.rho(SQUARES), rho(SQUARES), rtol=1e-9)
    np.testing.assert_allclose(loss.weight(SQUARES), rho(SQUARES + 1e-30j).imag / 1e-30, rtol=1e-12)


@pytest.mark.parametrize("loss", ALL, ids=str)
def test_small_residuals_are_squared(loss):
    tiny = 1e-12 * np.arange(1, 4)
    np.testing.assert_allclose(loss.rho(tiny), tiny, rtol=1e-9)
    np.testing.assert_array_equal(loss.rho(0.0), 0.0)
    np.testing.assert_array_equal(loss.weight(0.0), 1.0)


@pytest.mark.parametrize("loss", ALL, ids=str)
def test_shapes_and_missing_values_pass_through(loss):
    values = np.array([[0.1, np.nan], [2.0, 0.0]])
    for result in (loss.rho(values), loss.weight(values)):
        assert result.shape == values.shape and result.dtype == np.float64
        assert np.isnan(result[0, 1]) and np.isfinite(result[1]).all()
    assert np.ndim(loss.rho(0.25)) == 0


def test_values_by_hand():
    # r = 2 c, s = 4 c^2
    s, c2 = 4 * C**2, C**2
    assert Huber(C).rho(s) == pytest.approx(3 * c2) and Huber(C).weight(s) == pytest.approx(0.5)
    assert Cauchy(C).rho(s) == pytest.approx(c2 * math.log(5)) and Cauchy(C).weight(s) == pytest.approx(0.2)
    assert GemanMcClure(C).rho(s) == pytest.approx(0.8 * c2) and GemanMcClure(C).weight(s) == pytest.approx(0.04)
    assert Tukey(C).rho(s) == pytest.approx(c2 / 3) and Tukey(C).weight(s) == 0.0
    assert Tukey(C).rho(c2 / 2) == pytest.approx(c2 / 3 * (1 - 0.5**3))


def test_barron_contains_the_others():
    np.testing.assert_array_equal(Barron(2.0, C).rho(SQUARES), SQUARES)
    np.testing.assert_array_equal(Barron(2.0, C).weight(SQUARES), 1.0)
    pairs = [
        (Barron(0.0, C), Cauchy(math.sqrt(2) * C)),
        (Barron(-2.0, C), GemanMcClure(2 * C)),
    ]
    for general, special in pairs:
        np.testing.assert_allclose(general.rho(SQUARES), special.rho(SQUARES), rtol=1e-13)
        np.testing.assert_allclose(general.weight(SQUARES), special.weight(SQUARES), rtol=1e-13)
    welsch = 2 * C**2 * -np.expm1(-SQUARES / (2 * C**2))
    np.testing.assert_allclose(Barron(-math.inf, C).rho(SQUARES), welsch, rtol=1e-14)


@pytest.mark.parametrize(
    ("limit", "near", "rtol"),
    [(2.0, 2.0 - 1e-10, 1e-8), (0.0, 1e-10, 1e-8), (0.0, -1e-10, 1e-8), (-math.inf, -1e9, 1e-5)],
)
def test_barron_is_continuous_at_its_limits(limit, near, rtol):
    squares = SQUARES[SQUARES < 1.0]
    np.testing.assert_allclose(Barron(near, C).rho(squares), Barron(limit, C).rho(squares), rtol=rtol)
    np.testing.assert_allclose(Barron(near, C).weight(squares), Barron(limit, C).weight(squares), rtol=rtol)


def test_what_the_core_is_told():
    assert [kind(*([1.0] if kind is Barron else []), C).kind for kind in LOSSES.values()] == [1, 2, 3, 4, 5]
    assert Huber(C).parameters == Tukey(C).parameters == (C, 0.0)
    assert Barron(-2, C).parameters == (C, -2.0)
    assert Huber(0.5).scale == 0.5 and Barron(1, 0.25).scale == 0.25


def test_losses_are_values():
    assert Huber(1) == Huber(1.0) and hash(Huber(1)) == hash(Huber(1.0)) and Huber(1) != Cauchy(1)
    assert repr(Barron(-2, 0.01)) == "Barron(alpha=-2.0, c=0.01)"
    with pytest.raises(AttributeError):
        Huber(1).delta = 2


@pytest.mark.parametrize("kind", [Huber, Cauchy, GemanMcClure, Tukey, lambda c: Barron(1.0, c)])
@pytest.mark.parametrize(
    ("scale", "error"),
    [(0, ValueError), (-1, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("1", TypeError)],
)
def test_bad_scales(kind, scale, error):
    with pytest.raises(error, match=r"^(delta|c): must be ") as caught:
        kind(scale)
    assert isinstance(caught.value, DiffrtError)


def test_bad_alpha():
    with pytest.raises(ValueError, match=r"alpha: must be at most 2, got 2.5"):
        Barron(2.5, 1)
    with pytest.raises(ValueError, match="alpha: must be finite, got nan"):
        Barron(np.nan, 1)
    with pytest.raises(ValueError, match="alpha"):
        Barron(np.inf, 1)


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        ("none", None),
        ("tukey:0.01", Tukey(0.01)),
        ("huber:1e-2", Huber(0.01)),
        ("geman-mcclure:2", GemanMcClure(2)),
        ("barron:-2,0.01", Barron(-2, 0.01)),
        ("barron:-inf,0.01", Barron(-math.inf, 0.01)),
    ],
)
def test_parse(text, loss):
    assert parse_loss(text) == loss


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tuckey:0.01", "unknown loss 'tuckey'. Perhaps you meant 'tukey'"),
        ("tukey", "loss 'tukey': write it as tukey:C, with numbers"),
        ("tukey:a", "write it as tukey:C"),
        ("barron:0.01", "write it as barron:ALPHA,C"),
        ("tukey:-1", "loss 'tukey:-1': c: must be above zero"),
        ("none:1", "unknown loss|none"),
    ],
)
def test_parse_errors(text, message):
    with pytest.raises(ValueError, match=message):
        parse_loss(text)


def test_check_loss():
    assert check_loss(None) is None and check_loss(Tukey(1)) == Tukey(1)
    with pytest.raises(TypeError, match=r"loss: must be None or one of Huber, Cauchy.*call it with its scale"):
        check_loss(Huber)
    with pytest.raises(TypeError, match="got 'huber'"):
        check_loss("huber")
    assert [loss_name(loss) for loss in (Huber(1), GemanMcClure(1))] == ["huber", "geman-mcclure"]
