"""Numbers inside a Taichi kernel while it is traced: scalars, and packets of 8 or 16 lanes.

A packet is a Taichi vector compiled with `real_matrix_scalarize=False`: one SIMD register, one pixel per
lane. Taichi 1.7.4 has only part of the operations for packets; asking for another aborts the compiler.
`Traced` has them all: minus and absolute value are rewritten over those that work, exp and log are
arithmetic (elementary.py), the other transcendental functions go lane by lane.

Every result is materialised (`expr_init`): an expression that is used twice would otherwise be compiled
twice, and compile time would be exponential in the depth of reuse.
"""

import math
import operator
from numbers import Integral, Real

import numpy as np
import taichi as ti
from taichi._lib import core
from taichi.lang import impl

# Taichi's own functions of a scalar, which call libm's.
SCALAR_UNARY = {
    "sqrt": ti.sqrt,
    "exp": ti.exp,
    "log": ti.log,
    "sin": ti.sin,
    "cos": ti.cos,
    "tan": ti.tan,
    "asin": ti.asin,
    "acos": ti.acos,
    "atan": lambda x: ti.atan2(x, 1.0),
    "tanh": ti.tanh,
    "floor": ti.floor,
    "ceil": ti.ceil,
}
SCALAR_BINARY = {"atan2": ti.atan2, "power": ti.pow}
WORK_ON_PACKETS = ("sqrt", "floor", "ceil")
ARITHMETIC_ON_PACKETS = ("exp", "log")

# Coefficients of x ** 0, 1, 2, ... where the formula would cancel; errors below half a unit of float32.
EXPM1_OVER_X = [1.0 / math.factorial(n) for n in range(1, 9)]  # |x| < 1/2
SINH_OVER_X = [1.0 / math.factorial(n) for n in range(1, 11, 2)]  # of x^2, |x| < 1
ATANH_OVER_X = [1.0 / n for n in range(1, 13, 2)]  # of x^2, |x| < 1/4


def keep(expression):
    """Materialises a Taichi expression: evaluated once, then read."""
    return impl.expr_init(expression)


def element(array, *indices):
    """array[indices], in a traced function, where Python's own brackets do not reach Taichi."""
    return impl.subscript(impl.get_runtime().compiling_callable.ast_builder(), array, *indices)


def on_gpu():
    """Whether the kernel being traced is for a GPU."""
    return impl.current_cfg().arch in (ti.cuda, ti.vulkan)


def elementary():
    """The functions that GPUs get, and packets some of them; they are made of numbers of this file."""
    from kernels.numbers import elementary

    return elementary


def packet_type(lanes, dtype=ti.f32):
    """The Taichi type of one number: a scalar for one lane, else a vector."""
    return ti.types.vector(lanes, dtype) if lanes > 1 else dtype


def splat(expression, lanes, dtype=ti.f32):
    """A scalar in every lane."""
    if lanes == 1:
        return keep(ti.cast(expression, dtype))
    return keep(packet_type(lanes, dtype)([expression] * lanes))


def _operator(function, reflected=False):
    """An operator of two traced numbers, or of one and a constant; a Dual or a vector may know it itself."""

    def operation(self, other):
        if isinstance(other, Traced):
            lanes, theirs = max(self.lanes, other.lanes), other.expression
        elif isinstance(other, Real):
            lanes, theirs = self.lanes, float(other)
        else:
            return NotImplemented
        a, b = (theirs, self.expression) if reflected else (self.expression, theirs)
        return Traced(function(a, b), lanes)

    return operation


@ti.data_oriented
class Traced:
    """A number in the kernel being traced: a Taichi expression and how many lanes it has (1: a scalar).

    A comparison gives a mask: a Traced that `where` and the operators & and | take.
    """

    rank = 1
    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, expression, lanes=1):
        self.expression, self.lanes = keep(expression), lanes

    def __repr__(self):
        return f"Traced(..., lanes={self.lanes})"

    __add__ = __radd__ = _operator(operator.add)
    __sub__ = _operator(operator.sub)
    __rsub__ = _operator(operator.sub, reflected=True)
    _multiply = _operator(operator.mul)
    __truediv__ = _operator(operator.truediv)
    __rtruediv__ = _operator(operator.truediv, reflected=True)

    def __mul__(self, other):
        # A seed's partial is the float 1: multiplying by it must cost nothing. (x * 0.0 is not folded: NaN.)
        return self if isinstance(other, Real) and other == 1.0 else self._multiply(other)

    __rmul__ = __mul__

    def __pow__(self, exponent):
        if isinstance(exponent, Integral):
            return self._integer_power(int(exponent))
        return self.binary("power", exponent, False) if isinstance(exponent, Traced | Real) else NotImplemented

    def __rpow__(self, base):
        return self.binary("power", base, True) if isinstance(base, Real) else NotImplemented

    def _integer_power(self, n):
        """Repeated squaring: packets have no pow."""
        if n == 0:
            return self.constant(1.0)
        if n < 0:
            return 1.0 / self._integer_power(-n)
        half = self if n == 1 else self._integer_power(n // 2)
        result = half if n == 1 else half * half
        return result * self if n % 2 and n > 1 else result

    def __neg__(self):
        return 0.0 - self

    def __pos__(self):
        return self

    def __abs__(self):
        return self.unary("absolute")

    __lt__ = _operator(operator.lt)
    __le__ = _operator(operator.le)
    __gt__ = _operator(operator.gt)
    __ge__ = _operator(operator.ge)
    __eq__ = _operator(operator.eq)
    __ne__ = _operator(lambda a, b: ~(a == b))  # Taichi's own != is false of NaN

    def __and__(self, other):
        if isinstance(other, Traced):
            return Traced(self.expression & other.expression, max(self.lanes, other.lanes))
        # A Python bool is decided here and now.
        return (self if other else False) if isinstance(other, bool | np.bool_) else NotImplemented

    __rand__ = __and__

    def __or__(self, other):
        if isinstance(other, Traced):
            return Traced(self.expression | other.expression, max(self.lanes, other.lanes))
        return (True if other else self) if isinstance(other, bool | np.bool_) else NotImplemented

    __ror__ = __or__

    def __bool__(self):
        raise TypeError(
            "a number in a kernel is not known while the kernel is traced, so `if`, `and`, `or`, `not`, min "
            "and max cannot look at it: choose with where(condition, a, b), combine conditions with & and |, "
            "and take minimum and maximum"
        )

    def __float__(self):
        raise TypeError(
            "a number in a kernel is not known while the kernel is traced: it is no float; "
            "call sqrt, sin, ... of kernels.numbers, not those of math"
        )

    def constant(self, number):
        """A number of the same lanes, equal in each."""
        return Traced(splat(float(number), self.lanes), self.lanes)

    def splat(self, lanes):
        """The same scalar in each of `lanes` lanes; a packet is left as it is."""
        return Traced(splat(self.expression, lanes), lanes) if self.lanes == 1 and lanes > 1 else self

    def lane(self, k):
        """One lane of a packet, as a Taichi scalar."""
        return keep(element(self.expression, k)) if self.lanes > 1 else self.expression

    # --- how functions.py reaches a traced number

    def unary(self, name):
        if name in REWRITTEN:
            return REWRITTEN[name](self)
        if name in elementary().UNARY if on_gpu() else self.lanes > 1 and name in ARITHMETIC_ON_PACKETS:
            return elementary().UNARY[name](self)
        function = SCALAR_UNARY[name]
        if name in WORK_ON_PACKETS:
            return Traced(function(self.expression), self.lanes)
        return self.lane_by_lane(function)

    def lane_by_lane(self, function):
        """A function of Taichi scalars, of each lane."""
        if self.lanes == 1:
            return Traced(function(self.expression))
        return Traced(packet_type(self.lanes)([keep(function(self.lane(k))) for k in range(self.lanes)]), self.lanes)

    def binary(self, name, other, reflected):
        other = other if isinstance(other, Traced) else self.constant(other)
        lanes = max(self.lanes, other.lanes)
        a, b = (other, self) if reflected else (self, other)
        a, b = a.splat(lanes), b.splat(lanes)
        # A comparison and a choice are one instruction, minps; Taichi's min spends more on NaN, and then
        # keeps either.
        if name == "minimum":
            return Traced.where(b < a, b, a)
        if name == "maximum":
            return Traced.where(b > a, b, a)
        if on_gpu() or (lanes > 1 and name == "atan2"):
            return elementary().BINARY[name](a, b)
        function = SCALAR_BINARY[name]
        if lanes == 1:
            return Traced(function(a.expression, b.expression))
        return Traced(packet_type(lanes)([keep(function(a.lane(k), b.lane(k))) for k in range(lanes)]), lanes)

    @staticmethod
    def where(condition, a, b):
        if not isinstance(condition, Traced):  # a Python bool: nothing to decide at run time
            return a if condition else b
        lanes = max(getattr(x, "lanes", 1) for x in (condition, a, b))
        a, b = (x.splat(lanes) if isinstance(x, Traced) else Traced(splat(float(x), lanes), lanes) for x in (a, b))
        return Traced(ti.select(condition.expression, a.expression, b.expression), lanes)

    def anywhere(self):
        """Whether this condition holds in any lane, as a Taichi expression."""
        if self.lanes == 1:
            return self.expression
        found, one, none = 0, splat(1, self.lanes, ti.i32), splat(0, self.lanes, ti.i32)
        bits = keep(ti.select(self.expression, one, none))
        for k in range(self.lanes):
            found = keep(element(bits, k) | found)
        return keep(found != 0)

    def rarely(self, function, otherwise):
        """functions.py: in a kernel, a branch."""
        numbers = [x if isinstance(x, Traced) else Traced(float(x)) for x in otherwise]
        lanes = max(self.lanes, *(x.lanes for x in numbers))
        results = [Traced(x.splat(lanes).expression, lanes) for x in numbers]
        runtime = impl.get_runtime()
        builder = runtime.compiling_callable.ast_builder()
        impl.begin_frontend_if(builder, self.anywhere(), core.DebugInfo(runtime.get_current_src_info()))
        builder.begin_frontend_if_true()
        for result, number in zip(results, function(), strict=True):
            result.expression._assign(Traced.where(self, number, result).expression)
        builder.pop_scope()
        builder.begin_frontend_if_false()
        builder.pop_scope()
        return results


# --- functions made of others, on scalars and packets alike


def horner(x, coefficients):
    """A polynomial, from its coefficients of x ** 0, 1, 2, ..."""
    *rest, result = coefficients
    for c in reversed(rest):
        result = result * x + c
    return result


def _absolute(x):
    minus = -x
    return Traced.where(x > minus, x, minus)


def _sign(x):
    return Traced.where(x > 0.0, 1.0, Traced.where(x < 0.0, -1.0, x))


def _expm1(x):
    return Traced.where(_absolute(x) < 0.5, x * horner(x, EXPM1_OVER_X), x.unary("exp") - 1.0)


def _log1p(x):
    """log(1 + x) = 2 atanh(x / (2 + x)) for small x."""
    ratio = x / (x + 2.0)
    near = (2.0 * ratio) * horner(ratio * ratio, ATANH_OVER_X)
    return Traced.where(_absolute(x) < 0.4, near, (x + 1.0).unary("log"))


def _sinh(x):
    e = x.unary("exp")
    near = x * horner(x * x, SINH_OVER_X)
    return Traced.where(_absolute(x) < 1.0, near, 0.5 * (e - 1.0 / e))


def _cosh(x):
    e = x.unary("exp")
    return 0.5 * (e + 1.0 / e)


REWRITTEN = {
    "absolute": _absolute,
    "sign": _sign,
    "expm1": _expm1,
    "log1p": _log1p,
    "sinh": _sinh,
    "cosh": _cosh,
}
