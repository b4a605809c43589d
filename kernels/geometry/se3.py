"""Rigid motions: the exponential map of SE(3), translation first (Sola, Deray and Atchuthan 2018, D)."""

from math import factorial

from kernels.numbers import Mat3, cos, polynomial, sin, sqrt, where

# sin(t)/t, (1 - cos(t))/t^2 and (t - sin(t))/t^3 as power series of t^2; in float64 exact enough up to t = 1.
SINE, VERSINE, RESIDUE = ([(-1.0) ** k / factorial(2 * k + n) for k in range(9)] for n in (1, 2, 3))


def exp_se3(rho, phi):
    """(R, t) of the twist xi = (rho [scene units], phi [rad]).

    R = I + A [phi] + B [phi]^2,  t = (I + B [phi] + C [phi]^2) rho,
    A = sin(t)/t, B = (1 - cos(t))/t^2, C = (t - sin(t))/t^3, t = |phi|.

    Below 1 rad the series are taken: the formulas cancel there, their derivatives even more so (in float32,
    at 0.01 rad, two digits are left).
    """
    square = phi.dot(phi)
    small = square < 1.0
    safe = where(small, 1.0, square)
    angle = sqrt(safe)
    a = where(small, polynomial(SINE, square), sin(angle) / angle)
    b = where(small, polynomial(VERSINE, square), (1.0 - cos(angle)) / safe)
    c = where(small, polynomial(RESIDUE, square), (angle - sin(angle)) / (safe * angle))
    skew = Mat3.skew(phi)
    skew_squared = skew @ skew
    rotation = Mat3.identity() + skew * a + skew_squared * b
    left = Mat3.identity() + skew * b + skew_squared * c
    return rotation, left @ rho
