"""Rigid motions: the exponential map of SE(3), translation first (Sola, Deray and Atchuthan 2018, section D)."""

from kernels.numbers import Mat3, cos, sin, sqrt, where


def exp_se3(rho, phi):
    """(R, t) of the twist xi = (rho [scene units], phi [rad]); series where the angle is below 1e-4.

    R = I + A [phi] + B [phi]^2,  t = (I + B [phi] + C [phi]^2) rho,
    A = sin(t)/t, B = (1 - cos(t))/t^2, C = (t - sin(t))/t^3, t = |phi|.
    """
    square = phi.dot(phi)
    small = square < 1e-8
    safe = where(small, 1.0, square)
    angle = sqrt(safe)
    a = where(small, 1.0 - square / 6.0, sin(angle) / angle)
    b = where(small, 0.5 - square / 24.0, (1.0 - cos(angle)) / safe)
    c = where(small, 1.0 / 6.0 - square / 120.0, (angle - sin(angle)) / (safe * angle))
    skew = Mat3.skew(phi)
    skew_squared = skew @ skew
    rotation = Mat3.identity() + skew * a + skew_squared * b
    left = Mat3.identity() + skew * b + skew_squared * c
    return rotation, left @ rho
