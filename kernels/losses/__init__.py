"""Robust losses: (rho, weight) of a squared residual s, on any number; weight = rho'(s), and rho(s) ~ s for small s.

The cost of a residual is 1/2 rho(s); J'J and J'r are weighted alike by rho' (iteratively reweighted least squares).
`scale` is in units of the residual. To add a loss, write its function and name it in LOSSES; its place is its kind.
"""

from kernels.numbers import exp, log, power, sqrt, where


def least_squares(s, scale, alpha):
    """rho(s) = s."""
    return s, s * 0.0 + 1.0


def huber(s, scale, alpha):
    """Quadratic up to |r| = scale, linear beyond (Huber 1964)."""
    square = scale * scale
    magnitude = sqrt(where(s > square, s, square))
    return where(s > square, 2.0 * scale * magnitude - square, s), scale / magnitude


def cauchy(s, scale, alpha):
    """c^2 log(1 + s/c^2)."""
    square = scale * scale
    t = 1.0 + s / square
    return square * log(t), 1.0 / t


def geman_mcclure(s, scale, alpha):
    """c^2 s / (c^2 + s): bounded by c^2 (Geman and McClure 1985)."""
    square = scale * scale
    inverse = 1.0 / (square + s)
    return square * s * inverse, square * square * inverse * inverse


def tukey(s, scale, alpha):
    """c^2/3 (1 - (1 - s/c^2)^3) inside c, constant beyond, where the weight is 0 (Beaton and Tukey 1974)."""
    square = scale * scale
    t = 1.0 - s / square
    t = where(t > 0.0, t, 0.0)
    return (square / 3.0) * (1.0 - t * t * t), t * t


def barron(s, scale, alpha):
    """2 c^2 |a-2|/a ((s/c^2/|a-2| + 1)^(a/2) - 1), Barron 2019, equation 8, for alpha not 2, 0 or -infinity."""
    square = scale * scale
    gap = abs(alpha - 2.0)
    t = s / (square * gap) + 1.0
    root = power(t, 0.5 * alpha)
    return (2.0 * square * gap / alpha) * (root - 1.0), root / t


def barron_zero(s, scale, alpha):
    """Barron's loss in the limit alpha = 0: 2 c^2 log(1 + s/(2 c^2))."""
    square = 2.0 * scale * scale
    t = 1.0 + s / square
    return square * log(t), 1.0 / t


def welsch(s, scale, alpha):
    """Barron's loss in the limit alpha = -infinity: 2 c^2 (1 - exp(-s/(2 c^2)))."""
    square = 2.0 * scale * scale
    weight = exp(-(s / square))
    return square * (1.0 - weight), weight


LOSSES = (least_squares, huber, cauchy, geman_mcclure, tukey, barron, barron_zero, welsch)
