"""Dual numbers: a value and its partial derivatives with respect to any number of seeds, all at once.

A dual number is a + sum_k a_k eps_k with eps_k eps_l = 0. Then, for instance,

    (a + a_k eps_k)(b + b_k eps_k) = a b + (a_k b + a b_k) eps_k,

so arithmetic on duals is arithmetic on values with the product rule carried along, and a function written for
plain numbers gives its derivative when called with `seed(x, k)`. (The C++ relative is Ceres' Jet; here the
partials are a dictionary from seed to number.)

The dictionary holds only partials that exist. A constant has none, so a structural zero costs nothing: when a
kernel is traced, no instruction is emitted for it. Which partials exist depends on the program, never on the
data. `Dual` is a plain Python object, resolved while tracing; what remains in the kernel are the numbers it
holds.
"""

import functools
import operator
from collections.abc import Mapping
from numbers import Integral

import numpy as np

from kernels.numbers import functions as f


def _with_number(method):
    """An operator whose other operand is lifted to a Dual; what is no number may know the operator itself."""

    @functools.wraps(method)
    def operation(self, other):
        return method(self, _lift(other)) if f.is_number(other) else NotImplemented

    return operation


def _comparison(compare):
    @_with_number
    def operation(self, other):
        return compare(self.value, other.value)

    return operation


class Dual:
    """A number with its partial derivatives.

    Comparisons, == and != among them, look at values only and give what comparing the values gives: a bool,
    an array of bools, or a mask inside a kernel. A Dual itself is neither true nor false: choose with
    `where`.

    Attributes:
        value: the number itself (float, NumPy array, or Traced).
        partials: dict {seed: d value / d seed}; a seed that is absent has partial 0. Both are there to be
            read, and `Dual(value, partials)` is there to be built: a rule of one's own is ordinary code.
    """

    __slots__ = ("partials", "value")
    __array_ufunc__ = None  # ndarray + Dual is Dual.__radd__, not an array of objects
    __hash__ = None
    rank = 2

    def __init__(self, value, partials):
        if isinstance(value, Dual):
            raise TypeError("Dual: the value is itself a Dual, and duals do not nest; perhaps you meant its .value")
        if not f.is_number(value):
            raise TypeError(f"Dual: the value is a number, got {type(value).__name__}")
        if not isinstance(partials, Mapping):
            raise TypeError(f"Dual: partials are a dict {{seed: number}}, got {type(partials).__name__}")
        if any(isinstance(e, Dual) for e in partials.values()):
            raise TypeError("Dual: a partial is itself a Dual, and duals do not nest; perhaps you meant its .value")
        self.value, self.partials = value, dict(partials)

    def __repr__(self):
        partials = ", ".join(f"{k!r}: {_show(e)}" for k, e in self.partials.items())
        return f"Dual({_show(self.value)}, {{{partials}}})"

    # --- arithmetic

    @_with_number
    def __add__(self, other):
        return Dual(self.value + other.value, _merge(self.partials, other.partials, lambda a: a, lambda b: b))

    __radd__ = __add__

    @_with_number
    def __sub__(self, other):
        partials = dict(self.partials)
        for k, e in other.partials.items():
            partials[k] = partials[k] - e if k in partials else -e
        return Dual(self.value - other.value, partials)

    @_with_number
    def __rsub__(self, other):
        return other - self

    def __neg__(self):
        return Dual(-self.value, {k: -e for k, e in self.partials.items()})

    def __pos__(self):
        return self

    @_with_number
    def __mul__(self, other):
        a, b = self.value, other.value
        return Dual(a * b, _merge(self.partials, other.partials, lambda e: e * b, lambda e: a * e))

    __rmul__ = __mul__

    @_with_number
    def __truediv__(self, other):
        inverse = 1.0 / other.value
        quotient = self.value * inverse
        # d(a / b) = (da - (a / b) db) / b
        partials = {k: e * inverse for k, e in self.partials.items()}
        if other.partials:
            slope = quotient * inverse
            for k, e in other.partials.items():
                partials[k] = partials[k] - slope * e if k in partials else -(slope * e)
        return Dual(quotient, partials)

    @_with_number
    def __rtruediv__(self, other):
        return other / self

    def __pow__(self, exponent):
        if isinstance(exponent, Integral):
            return self._integer_power(int(exponent))
        return f.power(self, exponent) if f.is_number(exponent) else NotImplemented

    def __rpow__(self, base):
        return f.power(base, self) if f.is_number(base) else NotImplemented

    def __abs__(self):
        return f.absolute(self)

    def _integer_power(self, n):
        """Any base, also negative: only products."""
        if n == 0:
            return Dual(self.value**0, {})
        if n < 0:
            return 1.0 / self._integer_power(-n)
        if n == 1:
            return self
        before = self.value ** (n - 1)
        slope = n * before if self.partials else None
        return Dual(before * self.value, {k: e * slope for k, e in self.partials.items()})

    # --- comparisons

    __lt__ = _comparison(operator.lt)
    __le__ = _comparison(operator.le)
    __gt__ = _comparison(operator.gt)
    __ge__ = _comparison(operator.ge)
    __eq__ = _comparison(operator.eq)
    __ne__ = _comparison(operator.ne)

    # --- what a Dual is not

    def __bool__(self):
        raise TypeError("a Dual is neither true nor false: choose with where(x > 0.0, a, b), or compare x.value")

    def __float__(self):
        raise TypeError(
            "a Dual is not a float: take its .value, or call sqrt, sin, ... of kernels.numbers, not of math"
        )

    def __array__(self, *_, **__):
        raise TypeError("a Dual is not an array: take its .value, or call where, ... of kernels.numbers, not of numpy")

    # --- how functions.py reaches a Dual

    def unary(self, name):
        y = f._unary(name, self.value)
        if name in CONSTANT or not self.partials:
            return Dual(y, {})
        slope = SLOPES[name](self.value, y)
        return Dual(y, {k: e * slope for k, e in self.partials.items()})

    def binary(self, name, other, reflected):
        a, b = (_lift(other), self) if reflected else (self, _lift(other))
        if name in BEYOND:
            return Dual.where(BEYOND[name](b.value, a.value), b, a)
        y = f._binary(name, a.value, b.value)
        if name == "atan2":
            inverse = 1.0 / (a.value * a.value + b.value * b.value)
            slope_a, slope_b = b.value * inverse, -(a.value * inverse)
        else:  # power
            slope_a = b.value * f._binary("power", a.value, b.value - 1.0) if a.partials else None
            slope_b = y * f.log(a.value) if b.partials else None
        return Dual(y, _merge(a.partials, b.partials, lambda e: e * slope_a, lambda e: e * slope_b))

    @staticmethod
    def where(condition, a, b):
        a, b = _lift(a), _lift(b)
        keys = list(a.partials) + [k for k in b.partials if k not in a.partials]
        partials = {k: f.where(condition, a.partials.get(k, 0.0), b.partials.get(k, 0.0)) for k in keys}
        return Dual(f.where(condition, a.value, b.value), partials)


def seed(value, name):
    """An independent variable: `value` with partial 1 with respect to `name`, any hashable."""
    if isinstance(value, Dual):
        known = ", ".join(map(repr, value.partials))
        raise TypeError(f"seed: the value is a Dual already, with seeds {{{known}}}; seed plain numbers, and each once")
    if not f.is_number(value):
        raise TypeError(
            f"seed: the value is a number, got {type(value).__name__}; give each component a seed of its own"
        )
    return Dual(value, {name: 1.0})


def value_of(x):
    """The value of a Dual, or the plain number itself; of a vector, the vector of values."""
    if isinstance(x, Dual):
        return x.value
    return x if f.is_number(x) or not hasattr(x, "map") else x.map(value_of)


def partial_of(x, name):
    """The partial of x with respect to a seed, 0.0 where it does not exist; of a vector, those of its parts."""
    if isinstance(x, Dual):
        return x.partials.get(name, 0.0)
    return 0.0 if f.is_number(x) or not hasattr(x, "map") else x.map(lambda component: partial_of(component, name))


# Functions whose derivative is 0 wherever it exists.
CONSTANT = ("sign", "floor", "ceil")

# When the second argument is taken.
BEYOND = {"minimum": operator.lt, "maximum": operator.gt}

# Slope of each function at x, where y is its value there.
SLOPES = {
    "sqrt": lambda x, y: 0.5 / y,
    "exp": lambda x, y: y,
    "expm1": lambda x, y: y + 1.0,
    "log": lambda x, y: 1.0 / x,
    "log1p": lambda x, y: 1.0 / (1.0 + x),
    "sin": lambda x, y: f.cos(x),
    "cos": lambda x, y: -f.sin(x),
    "tan": lambda x, y: 1.0 + y * y,
    "asin": lambda x, y: 1.0 / f.sqrt(1.0 - x * x),
    "acos": lambda x, y: -1.0 / f.sqrt(1.0 - x * x),
    "atan": lambda x, y: 1.0 / (1.0 + x * x),
    "sinh": lambda x, y: f.cosh(x),
    "cosh": lambda x, y: f.sinh(x),
    "tanh": lambda x, y: 1.0 - y * y,
    "absolute": lambda x, y: f.sign(x),
}


def _lift(x):
    return x if isinstance(x, Dual) else Dual(x, {})


def _merge(a, b, from_a, from_b):
    """Sum of two sparse gradients, each mapped first."""
    partials = {k: from_a(e) for k, e in a.items()}
    for k, e in b.items():
        partials[k] = partials[k] + from_b(e) if k in partials else from_b(e)
    return partials


def _show(x):
    return repr(x.item() if isinstance(x, np.generic) else x)
