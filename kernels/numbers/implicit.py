"""Derivatives of a root without differentiating the formula, or the iteration, that found it."""

from kernels.numbers.dual import Dual


def implicit_root(root, residual, slope):
    """The root of F(root, theta) = 0 with its partials (the plain root where nothing is seeded), by the implicit function theorem: d root = -dF / (dF / d root).

    Args:
        root: the root's value, a plain number, from wherever it came.
        residual: F at (root, theta) with theta seeded; only its partials are read.
        slope: dF / d root there, a plain number, not zero.
    """
    if not isinstance(residual, Dual):
        return root
    factor = -1.0 / slope
    return Dual(root, {k: e * factor for k, e in residual.partials.items()})
