"""Numbers inside a Taichi kernel while it is traced: scalars, and packets of 8 or 16 lanes.

A packet is a Taichi vector compiled with `real_matrix_scalarize=False`: one SIMD register, one pixel per lane.
Taichi 1.7.4 has only part of the operations for packets; asking for another aborts the compiler. `Traced` has them all:
minus and absolute value are rewritten over those that work, the transcendental functions go lane by lane.

Every result is materialised (`expr_init`): an expression that is used twice would otherwise be compiled twice, and
compile time would be exponential in the depth of reuse.
"""

import taichi as ti
from taichi.lang import impl

from kernels.numbers.dual import _integer_power

# Taichi's own functions, for scalars.
SCALAR_UNARY = {
    "sqrt": ti.sqrt,
    "exp": ti.exp,
    "log": ti.log,
    "sin": ti.sin,
    "cos": ti.cos,
    "tan": ti.tan,
    "asin": ti.asin,
    "acos": ti.acos,
    "tanh": ti.tanh,
    "floor": ti.floor,
    "ceil": ti.ceil,
    "atan": lambda x: ti.atan2(x, 1.0),
    "sinh": lambda x: 0.5 * (ti.exp(x) - ti.exp(0.0 - x)),
    "cosh": lambda x: 0.5 * (ti.exp(x) + ti.exp(0.0 - x)),
}
WORK_ON_PACKETS = ("sqrt", "floor", "ceil")


def keep(expression):
    """Materialises a Taichi expression: evaluated once, then read."""
    return impl.expr_init(expression)


def element(array, *indices):
    """array[indices], in a traced function, where Python's own brackets do not reach Taichi."""
    return impl.subscript(impl.get_runtime().compiling_callable.ast_builder(), array, *indices)


def packet_type(lanes, dtype=ti.f32):
    """The Taichi type of one number: a scalar for one lane, else a vector."""
    return ti.types.vector(lanes, dtype) if lanes > 1 else dtype


def splat(expression, lanes, dtype=ti.f32):
    """A scalar in every lane."""
    return keep(packet_type(lanes, dtype)([expression] * lanes)) if lanes > 1 else keep(ti.cast(expression, dtype))


@ti.data_oriented
class Traced:
    """A number in the kernel being traced: a Taichi expression and how many lanes it has (1: a scalar)."""

    rank = 1
    __array_ufunc__ = None

    def __init__(self, expression, lanes=1):
        self.expression, self.lanes = keep(expression), lanes

    def _operate(self, function, other, reflected=False):
        lanes = max(self.lanes, getattr(other, "lanes", 1))
        theirs = other.expression if isinstance(other, Traced) else float(other)
        return Traced(function(theirs, self.expression) if reflected else function(self.expression, theirs), lanes)

    def __add__(self, other):
        if getattr(other, "rank", 0) > self.rank:
            return NotImplemented
        return self._operate(lambda a, b: a + b, other)

    __radd__ = __add__

    def __sub__(self, other):
        if getattr(other, "rank", 0) > self.rank:
            return NotImplemented
        return self._operate(lambda a, b: a - b, other)

    def __rsub__(self, other):
        return self._operate(lambda a, b: a - b, other, reflected=True)

    def __mul__(self, other):
        if getattr(other, "rank", 0) > self.rank:
            return NotImplemented
        # A seed's partial is the float 1: multiplying by it must cost nothing. (x * 0.0 is not folded: NaN.)
        if isinstance(other, (int, float)) and other == 1.0:
            return self
        return self._operate(lambda a, b: a * b, other)

    __rmul__ = __mul__

    def __truediv__(self, other):
        if getattr(other, "rank", 0) > self.rank:
            return NotImplemented
        return self._operate(lambda a, b: a / b, other)

    def __rtruediv__(self, other):
        return self._operate(lambda a, b: a / b, other, reflected=True)

    def __pow__(self, exponent):
        return _integer_power(self, exponent) if isinstance(exponent, int) else self.binary("power", exponent, False)

    def __rpow__(self, base):
        return self.binary("power", base, True)

    def __neg__(self):
        return 0.0 - self

    def __abs__(self):
        return self.unary("absolute")

    def __lt__(self, other):
        return self._operate(lambda a, b: a < b, other)

    def __le__(self, other):
        return self._operate(lambda a, b: a <= b, other)

    def __gt__(self, other):
        return self._operate(lambda a, b: a > b, other)

    def __ge__(self, other):
        return self._operate(lambda a, b: a >= b, other)

    def __and__(self, other):
        return Traced(self.expression & other.expression, max(self.lanes, other.lanes))

    def __or__(self, other):
        return Traced(self.expression | other.expression, max(self.lanes, other.lanes))

    def splat(self, lanes):
        """The same scalar in each of `lanes` lanes; a packet is left as it is."""
        return Traced(splat(self.expression, lanes), lanes) if self.lanes == 1 and lanes > 1 else self

    def lane(self, k):
        """One lane of a packet, as a Taichi scalar."""
        return keep(element(self.expression, k)) if self.lanes > 1 else self.expression

    def unary(self, name):
        if name == "absolute":
            return self.binary("maximum", -self, False)
        if name == "sign":
            return Traced.where(self > 0.0, 1.0, Traced.where(self < 0.0, -1.0, 0.0))
        function = SCALAR_UNARY[name]
        if self.lanes == 1 or name in WORK_ON_PACKETS:
            return Traced(function(self.expression), self.lanes)
        lanes = [keep(function(self.lane(k))) for k in range(self.lanes)]
        return Traced(packet_type(self.lanes)(lanes), self.lanes)

    def binary(self, name, other, reflected):
        if not isinstance(other, Traced):
            other = Traced(splat(float(other), self.lanes), self.lanes)
        lanes = max(self.lanes, other.lanes)
        a, b = (other, self) if reflected else (self, other)
        a, b = a.splat(lanes), b.splat(lanes)
        if name in ("minimum", "maximum"):
            return Traced({"minimum": ti.min, "maximum": ti.max}[name](a.expression, b.expression), lanes)
        function = {"atan2": ti.atan2, "power": ti.pow}[name]
        if lanes == 1:
            return Traced(function(a.expression, b.expression))
        return Traced(packet_type(lanes)([keep(function(a.lane(k), b.lane(k))) for k in range(lanes)]), lanes)

    @staticmethod
    def where(condition, a, b):
        lanes = max(getattr(x, "lanes", 1) for x in (condition, a, b))
        if not isinstance(condition, Traced):  # a Python bool: nothing to decide at run time
            return a if condition else b
        a, b = (x.splat(lanes) if isinstance(x, Traced) else Traced(splat(float(x), lanes), lanes) for x in (a, b))
        return Traced(ti.select(condition.expression, a.expression, b.expression), lanes)
