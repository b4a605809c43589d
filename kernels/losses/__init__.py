"""Robust losses: (rho, weight) of a squared residual s, on any number; weight = rho'(s), rho(s) ~ s for small s.

The cost of a residual is 1/2 rho(s); J'J and J'r are weighted alike by rho' (iteratively reweighted least
squares). `scale` is in units of the residual. To add a loss, write its function and name it in LOSSES; its place
is its kind. rho must be accurate where s is small: near the solution all residuals are. Where it is far below
scale^2 the quotient of the two underflows, and rho is s itself: see `nearly_square`.
"""

from kernels.numbers import expm1, log1p, minimum, sqrt, where


def nearly_square(s, x, rho):
    """`rho`, or s where x, which is s / scale^2 or the like, is so small that the two are the same."""
    return where(x < 1e-13, s, rho)


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
    x = s / square
    return nearly_square(s, x, square * log1p(x)), 1.0 / (1.0 + x)


def geman_mcclure(s, scale, alpha):
    """c^2 s / (c^2 + s): bounded by c^2 (Geman and McClure 1985)."""
    square = scale * scale
    inverse = 1.0 / (1.0 + s / square)
    return s * inverse, inverse * inverse


def tukey(s, scale, alpha):
    """c^2/3 (1 - (1 - s/c^2)^3) inside c, constant beyond, where the weight is 0 (Beaton and Tukey 1974)."""
    square = scale * scale
    x = minimum(s / square, 1.0)
    t = 1.0 - x
    return nearly_square(s, x, square * x * (1.0 - x + x * x * (1.0 / 3.0))), t * t


def barron(s, scale, alpha):
    """2 c^2 b/a ((s/(b c^2) + 1)^(a/2) - 1), b = |a-2|, Barron 2019, eq. 8; alpha is not 2, 0 or -infinity."""
    square = scale * scale
    gap = abs(alpha - 2.0)
    x = s / (square * gap)
    growth = expm1(0.5 * alpha * log1p(x))  # (1 + x)^(alpha/2) - 1
    return nearly_square(s, x, (2.0 * square * gap / alpha) * growth), (1.0 + growth) / (1.0 + x)


def barron_zero(s, scale, alpha):
    """Barron's loss in the limit alpha = 0: 2 c^2 log(1 + s/(2 c^2))."""
    square = 2.0 * scale * scale
    x = s / square
    return nearly_square(s, x, square * log1p(x)), 1.0 / (1.0 + x)


def welsch(s, scale, alpha):
    """Barron's loss in the limit alpha = -infinity: 2 c^2 (1 - exp(-s/(2 c^2)))."""
    square = 2.0 * scale * scale
    x = s / square
    decay = expm1(-x)
    return nearly_square(s, x, -(square * decay)), 1.0 + decay


LOSSES = (least_squares, huber, cauchy, geman_mcclure, tukey, barron, barron_zero, welsch)
