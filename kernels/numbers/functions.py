"""Elementary functions that take any number: float, NumPy array (real or complex), Traced, or Dual of these.

A number type other than NumPy's has a `rank` (Traced 1, Dual 2; the higher leads) and takes part by
`unary(name)`, `binary(name, other, reflected)` and `where(condition, a, b)`.

Order-dependent functions compare real parts, so that a complex step (Squire and Trapp 1998) passes through
them. Special values are those of IEEE arithmetic, on every machine alike, with these exceptions:

- `minimum` and `maximum` give their first argument where the two are equal, and where either is NaN: what
  comes first is kept unless the second is beyond it. So clip(NaN, low, high) is NaN.
- The sign of a zero is not kept in compiled kernels: do not rely on atan2(-0.0, -1.0).
- x == x, of one and the same number, is true in compiled kernels even where x is NaN: Taichi folds it. Ask
  x * x >= 0.0, which is false there.
- A Python float divides as Python does: 1.0 / 0.0 raises, where np.float64 and kernels give infinity.
"""

import numpy as np

PLAIN = (int, float, complex, np.ndarray, np.generic)


def is_number(x):
    """Whether x is a number of any type, and not a vector, a list or a string."""
    return isinstance(x, PLAIN) or hasattr(type(x), "rank")


def _numpy_absolute(x):
    return np.where(np.real(x) < 0.0, -x, x)[()] if np.iscomplexobj(x) else np.abs(x)


NUMPY_UNARY = {
    "sqrt": np.sqrt,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
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
    "minimum": lambda a, b: np.where(np.real(b) < np.real(a), b, a)[()],
    "maximum": lambda a, b: np.where(np.real(b) > np.real(a), b, a)[()],
    "atan2": _numpy_atan2,
    "power": np.float_power,  # np.power refuses whole numbers to negative powers
}


def _rank(x):
    return getattr(type(x), "rank", 0)


def _check(name, x):
    if not is_number(x):
        advice = f"; perhaps .map({name})" if hasattr(x, "map") else ""
        raise TypeError(f"{name}: expects a number, got {type(x).__name__}{advice}")


def _unary(name, x):
    _check(name, x)
    return x.unary(name) if _rank(x) else NUMPY_UNARY[name](x)


def _binary(name, a, b):
    _check(name, a)
    _check(name, b)
    # A Dual leads, then a traced number: `Dual.binary` takes a traced operand, not the other way round.
    if _rank(a) == _rank(b) == 0:
        return NUMPY_BINARY[name](a, b)
    return a.binary(name, b, False) if _rank(a) >= _rank(b) else b.binary(name, a, True)


def sqrt(x):
    """Square root; its derivative at 0 is infinite."""
    return _unary("sqrt", x)


def exp(x):
    """e to the x."""
    return _unary("exp", x)


def expm1(x):
    """exp(x) - 1, accurate where x is small."""
    return _unary("expm1", x)


def log(x):
    """Natural logarithm."""
    return _unary("log", x)


def log1p(x):
    """log(1 + x), accurate where x is small."""
    return _unary("log1p", x)


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
    """|x|; its derivative at 0 is taken as 0. (Python's own abs of a complex number is its modulus.)"""
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
    """The smaller of two numbers, with its derivative; the first where they are equal or either is NaN."""
    return _binary("minimum", a, b)


def maximum(a, b):
    """The larger of two numbers, with its derivative; the first where they are equal or either is NaN."""
    return _binary("maximum", a, b)


def atan2(y, x):
    """Angle of the point (x, y) [rad], in [-pi, pi]."""
    return _binary("atan2", y, x)


def power(base, exponent):
    """base to the exponent, for base > 0. For a whole exponent write `base ** n`, which multiplies."""
    return _binary("power", base, exponent)


def where(condition, a, b):
    """a where the condition holds, else b; lane by lane, or element by element.

    Both are evaluated, and what is not chosen leaves no trace, NaN or infinite as it may be, in value or
    partials. Vectors are chosen as a whole.

    Args:
        condition: a comparison of numbers, or several combined with & and |.
        a: a number, or a vector.
        b: the same.
    """
    if not is_number(a) and type(a) is type(b) and hasattr(a, "where"):  # Vec3, Mat3
        return type(a).where(condition, a, b)
    _check("where", a)
    _check("where", b)
    if _rank(condition) == 2:
        raise TypeError("where: the condition is a Dual, not a comparison; perhaps where(x > 0.0, a, b)")
    leader = max((condition, a, b), key=_rank)
    return type(leader).where(condition, a, b) if _rank(leader) else np.where(condition, a, b)[()]


def rarely(condition, function, otherwise):
    """The plain numbers of `function()` where the condition holds, else those of `otherwise`, lane by lane as `where`.

    The function is evaluated only if the condition holds in one of the lanes: for what is long, and seldom needed.
    """
    if _rank(condition):
        return condition.rarely(function, otherwise)
    if not np.any(condition):
        return list(otherwise)
    return [where(condition, a, b) for a, b in zip(function(), otherwise, strict=True)]


def clip(x, low, high):
    """x kept within [low, high]; outside, the derivative is that of the bound."""
    return minimum(maximum(x, low), high)


def polynomial(coefficients, x):
    """From the coefficients of x ** 0, 1, 2, ..."""
    *rest, result = coefficients
    for c in reversed(rest):
        result = result * x + c
    return result


def square(x):
    """x times x."""
    return x * x


def hypot(a, b):
    """Length of the vector (a, b), without protection against overflow; at (0, 0) its derivative is NaN."""
    return sqrt(a * a + b * b)
