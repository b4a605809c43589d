"""Dual numbers: a value and its partial derivatives with respect to any number of seeds, all at once.

A dual number is a + sum_k a_k eps_k with eps_k eps_l = 0. Then, for instance,

    (a + a_k eps_k)(b + b_k eps_k) = a b + (a_k b + a b_k) eps_k,

so arithmetic on duals is arithmetic on values with the product rule carried along, and a function written for plain
numbers gives its derivative when called with `seed(x, k)`. (The C++ relative is Ceres' Jet; here the partials are a
dictionary from seed to number.)

The dictionary holds only partials that exist. A constant has none, so a structural zero costs nothing: when a kernel
is traced, no instruction is emitted for it. `Dual` is a plain Python object, resolved while tracing; what remains in
the kernel are the numbers it holds.
"""

from kernels.numbers import functions as f


class Dual:
    """A number with its partial derivatives.

    Attributes:
        value: the number itself (float, NumPy array, or Traced).
        partials: dict {seed: d value / d seed}; a seed that is absent has partial 0. Both are there to be read, and
            `Dual(value, partials)` is there to be built: a rule of one's own is ordinary code.
    """

    __slots__ = ("partials", "value")
    __array_ufunc__ = None  # ndarray + Dual is Dual.__radd__, not an array of objects
    rank = 2

    def __init__(self, value, partials):
        if isinstance(value, Dual):
            raise TypeError("Dual(value, partials): value is itself a Dual; nested duals are not supported. Perhaps `value.value`?")
        self.value, self.partials = value, dict(partials)

    def __repr__(self):
        return f"Dual({self.value!r}, {self.partials!r})"

    # --- arithmetic

    def __add__(self, other):
        other = _lift(other)
        return Dual(self.value + other.value, _merge(self.partials, other.partials, lambda a: a, lambda b: b))

    __radd__ = __add__

    def __sub__(self, other):
        other = _lift(other)
        partials = dict(self.partials)
        for k, e in other.partials.items():
            partials[k] = partials[k] - e if k in partials else -e
        return Dual(self.value - other.value, partials)

    def __rsub__(self, other):
        return _lift(other) - self

    def __neg__(self):
        return Dual(-self.value, {k: -e for k, e in self.partials.items()})

    def __pos__(self):
        return self

    def __mul__(self, other):
        other = _lift(other)
        a, b = self.value, other.value
        return Dual(a * b, _merge(self.partials, other.partials, lambda e: e * b, lambda e: a * e))

    __rmul__ = __mul__

    def __truediv__(self, other):
        other = _lift(other)
        inverse = 1.0 / other.value
        quotient = self.value * inverse
        # d(a / b) = (da - (a / b) db) / b
        partials = {k: e * inverse for k, e in self.partials.items()}
        if other.partials:
            slope = quotient * inverse
            for k, e in other.partials.items():
                partials[k] = partials[k] - slope * e if k in partials else -(slope * e)
        return Dual(quotient, partials)

    def __rtruediv__(self, other):
        return _lift(other) / self

    def __pow__(self, exponent):
        if isinstance(exponent, int):
            return _integer_power(self, exponent)
        return f.power(self, exponent)

    def __rpow__(self, base):
        return f.power(base, self)

    def __abs__(self):
        return f.absolute(self)

    # --- comparisons look at values only

    def __lt__(self, other):
        return self.value < value_of(other)

    def __le__(self, other):
        return self.value <= value_of(other)

    def __gt__(self, other):
        return self.value > value_of(other)

    def __ge__(self, other):
        return self.value >= value_of(other)

    # --- how functions.py reaches a Dual

    def unary(self, name):
        y = f._unary(name, self.value)
        if name in ("sign", "floor", "ceil") or not self.partials:
            return Dual(y, {})
        slope = SLOPES[name](self.value, y)
        return Dual(y, {k: e * slope for k, e in self.partials.items()})

    def binary(self, name, other, reflected):
        a, b = (_lift(other), self) if reflected else (self, _lift(other))
        y = f._binary(name, a.value, b.value)
        if name in ("minimum", "maximum"):
            first = a.value <= b.value if name == "minimum" else a.value >= b.value
            return Dual(y, _select(first, a.partials, b.partials))
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
        return Dual(f.where(condition, a.value, b.value), _select(condition, a.partials, b.partials))


def seed(value, name):
    """An independent variable: `value` with partial 1 with respect to `name` (any hashable, usually an int)."""
    return Dual(value, {name: 1.0})


def value_of(x):
    """The value of a Dual, or the plain number itself."""
    return x.value if isinstance(x, Dual) else x


def partial_of(x, name):
    """The partial of x with respect to a seed, or the float 0.0 where it is structurally zero."""
    return x.partials.get(name, 0.0) if isinstance(x, Dual) else 0.0


# Slope of each function at x, where y is its value there.
SLOPES = {
    "sqrt": lambda x, y: 0.5 / y,
    "exp": lambda x, y: y,
    "log": lambda x, y: 1.0 / x,
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


def _select(condition, a, b):
    keys = list(a) + [k for k in b if k not in a]
    return {k: f.where(condition, a.get(k, 0.0), b.get(k, 0.0)) for k in keys}


def _integer_power(x, n):
    """x ** n by repeated squaring: packets have no pow, and a product is exact for small n."""
    if n < 0:
        return 1.0 / _integer_power(x, -n)
    result, base = None, x
    while n:
        if n & 1:
            result = base if result is None else result * base
        n >>= 1
        base = base * base if n else base
    return x * 0.0 + 1.0 if result is None else result
