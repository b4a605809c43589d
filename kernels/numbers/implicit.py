"""Derivatives of a root without differentiating the formula, or the iteration, that found it."""

from kernels.numbers.dual import Dual


def implicit_root(root, residual, slope):
    """The root of F(root, theta) = 0 with its partials, by the implicit function theorem: d root = -dF / (dF/d root).

    Where nothing is seeded it is the plain root.

        >>> from kernels.numbers import seed
        >>> theta = seed(9.0, "theta")
        >>> implicit_root(3.0, 3.0 * 3.0 - theta, slope=2.0 * 3.0).partials == {"theta": 1.0 / 6.0}
        True

    Args:
        root: the root's value, a plain number, from wherever it came.
        residual: F at (root, theta) with theta seeded; only its partials are read.
        slope: dF / d root there, a plain number, not zero.
    """
    if isinstance(root, Dual) or isinstance(slope, Dual):
        raise TypeError("implicit_root: root and slope are plain numbers; perhaps you meant their .value")
    if not isinstance(residual, Dual):
        return root
    factor = -1.0 / slope
    return Dual(root, {k: e * factor for k, e in residual.partials.items()})
