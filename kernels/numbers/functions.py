"""Elementary functions that take any number: float, NumPy array (real or complex), Traced, or Dual of these.

A number type other than NumPy's takes part by two methods: `unary(name)` and `binary(name, other, reflected)`.
Order-dependent functions compare real parts, so that a complex step (Squire and Trapp 1998) passes through them.
"""

import numpy as np


def _numpy_absolute(x):
    return np.where(np.real(x) < 0.0, -x, x) if np.iscomplexobj(x) else np.abs(x)


NUMPY_UNARY = {
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "absolute": _numpy_absolute,
    "sign": lambda x: np.sign(np.real(x)),
    "floor": lambda x: np.floor(np.real(x)),
    "ceil": lambda x: np.ceil(np.real(x)),
}


def _numpy_atan2(y, x):
    if not (np.iscomplexobj(x) or np.iscomplexobj(y)):
        return np.arctan2(y, x)
    # First order around the real point is all that a complex step needs.
    yr, xr = np.real(y), np.real(x)
    slope = (xr * np.imag(y) - yr * np.imag(x)) / (xr * xr + yr * yr)
    return np.arctan2(yr, xr) + 1j * slope


NUMPY_BINARY = {
    "minimum": lambda a, b: np.where(np.real(a) <= np.real(b), a, b),
    "maximum": lambda a, b: np.where(np.real(a) >= np.real(b), a, b),
    "atan2": _numpy_atan2,
    "power": np.power,
}


def _unary(name, x):
    method = getattr(x, "unary", None)
    return NUMPY_UNARY[name](x) if method is None else method(name)


def _binary(name, a, b):
    # A Dual leads, then a traced number: `Dual.binary` takes a traced operand, not the other way round.
    ranks = [getattr(x, "rank", 0) for x in (a, b)]
    if max(ranks) == 0:
        return NUMPY_BINARY[name](a, b)
    return a.binary(name, b, False) if ranks[0] >= ranks[1] else b.binary(name, a, True)


def sqrt(x):
    """Square root; its derivative at 0 is infinite."""
    return _unary("sqrt", x)


def exp(x):
    """e to the x."""
    return _unary("exp", x)


def log(x):
    """Natural logarithm."""
    return _unary("log", x)


def sin(x):
    """Sine of an angle [rad]."""
    return _unary("sin", x)


def cos(x):
    """Cosine of an angle [rad]."""
    return _unary("cos", x)


def tan(x):
    """Tangent of an angle [rad]."""
    return _unary("tan", x)


def asin(x):
    """Inverse sine [rad], in [-pi/2, pi/2]."""
    return _unary("asin", x)


def acos(x):
    """Inverse cosine [rad], in [0, pi]."""
    return _unary("acos", x)


def atan(x):
    """Inverse tangent [rad], in (-pi/2, pi/2)."""
    return _unary("atan", x)


def sinh(x):
    """Hyperbolic sine."""
    return _unary("sinh", x)


def cosh(x):
    """Hyperbolic cosine."""
    return _unary("cosh", x)


def tanh(x):
    """Hyperbolic tangent."""
    return _unary("tanh", x)


def absolute(x):
    """|x|; its derivative at 0 is taken as 0."""
    return _unary("absolute", x)


def sign(x):
    """-1, 0 or 1; its derivative is 0."""
    return _unary("sign", x)


def floor(x):
    """Largest integer not above x; its derivative is 0."""
    return _unary("floor", x)


def ceil(x):
    """Smallest integer not below x; its derivative is 0."""
    return _unary("ceil", x)


def minimum(a, b):
    """The smaller of two numbers, with its derivative; of equal numbers the first."""
    return _binary("minimum", a, b)


def maximum(a, b):
    """The larger of two numbers, with its derivative; of equal numbers the first."""
    return _binary("maximum", a, b)


def atan2(y, x):
    """Angle of the point (x, y) [rad], in [-pi, pi]."""
    return _binary("atan2", y, x)


def power(base, exponent):
    """base to the exponent, for base > 0. For a small integer exponent write `base ** n`, which multiplies."""
    return _binary("power", base, exponent)


def where(condition, a, b):
    """a where the condition holds, else b; lane by lane, or element by element."""
    leader = max((condition, a, b), key=lambda x: getattr(x, "rank", 0))
    if getattr(leader, "rank", 0) == 0:
        return np.where(condition, a, b)
    return type(leader).where(condition, a, b)


def clip(x, low, high):
    """x kept within [low, high]; outside, the derivative is that of the bound."""
    return minimum(maximum(x, low), high)


def square(x):
    """x times x."""
    return x * x


def hypot(a, b):
    """Length of the vector (a, b), without protection against overflow."""
    return sqrt(a * a + b * b)
