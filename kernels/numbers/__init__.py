"""The language in which models are written: ordinary arithmetic on any number.

A model is a plain Python function over numbers. The same function runs on

- `float` and `numpy.ndarray` (float64, or complex for a complex step): the reference and the tests;
- `Traced`, inside a kernel: Taichi scalars, or packets of 8 or 16 lanes, compiled ahead of time;
- `Dual` of any of these: forward AD with all seeds at once.

**Derivatives.** Seed what may move, and read the partials of what comes out:

    >>> from kernels.numbers import Dual, Mat3, Vec3, absolute, partial_of, seed, sqrt, value_of, where
    >>> x, y = seed(3.0, "x"), seed(4.0, "y")
    >>> x * y + 2.0
    Dual(14.0, {'x': 4.0, 'y': 3.0})
    >>> sqrt(x * y + 4.0)
    Dual(4.0, {'x': 0.5, 'y': 0.375})

A partial that does not exist is not there, and costs nothing in a kernel. `partial_of` reads it as 0:

    >>> (x * x).partials, partial_of(x * x, "y")
    ({'x': 6.0}, 0.0)

**All pixels at once.** A value may be an array; so a model is checked against NumPy before it is compiled:

    >>> import numpy as np
    >>> (seed(np.array([1.0, 2.0, 3.0]), "x") ** 2).partials["x"]
    array([2., 4., 6.])

**No branches.** A kernel computes many pixels in one register, so nothing can look at one of them: choose
with `where`, and combine conditions with `&` and `|`. Both sides are evaluated, and the one not taken leaves
no trace, be it NaN:

    >>> def distance(x):
    ...     safe = where(x > 0.0, x, 1.0)  # so that NumPy has nothing to warn of
    ...     return where(x > 0.0, sqrt(safe), 0.0)
    >>> distance(seed(4.0, "x")), distance(seed(-4.0, "x"))
    (Dual(2.0, {'x': 0.25}), Dual(0.0, {'x': 0.0}))

What Python would have to decide at once is refused, with the way out:

    >>> x if x else y
    Traceback (most recent call last):
    TypeError: a Dual is neither true nor false: choose with where(x > 0.0, a, b), or compare x.value

Comparisons, `==` among them, look at values: they give a bool, an array of bools, or a mask inside a kernel.

**Vectors.** `Vec3` and `Mat3` hold numbers of any type, also mixed:

    >>> ray = Vec3(x, 0.0, 1.0)
    >>> ray.dot(ray), ray.cross(Vec3(0.0, 1.0, 0.0)).z
    (Dual(10.0, {'x': 6.0}), Dual(3.0, {'x': 1.0}))
    >>> (Mat3.identity() * 2.0) @ Vec3(1.0, 2.0, 3.0)
    Vec3(2.0, 4.0, 6.0)

**Rules of one's own.** `value` and `partials` are there to be read, and `Dual(value, partials)` to be built.
A step whose slope is replaced by that of a ramp:

    >>> def soft_step(x):
    ...     inside = where(absolute(x) < 0.5, 1.0, 0.0)
    ...     return Dual(where(value_of(x) > 0.0, 1.0, 0.0), {k: e * inside for k, e in x.partials.items()})
    >>> soft_step(seed(0.25, "x"))
    Dual(1.0, {'x': 1.0})

`implicit_root` gives the derivative of a root however it was found: of an iteration, an intersection, a fit.

Special values (ties, NaN, zeros) are described in kernels/numbers/functions.py.
"""

from kernels.numbers.dual import Dual as Dual
from kernels.numbers.dual import partial_of as partial_of
from kernels.numbers.dual import seed as seed
from kernels.numbers.dual import value_of as value_of
from kernels.numbers.functions import absolute as absolute
from kernels.numbers.functions import acos as acos
from kernels.numbers.functions import asin as asin
from kernels.numbers.functions import atan as atan
from kernels.numbers.functions import atan2 as atan2
from kernels.numbers.functions import ceil as ceil
from kernels.numbers.functions import clip as clip
from kernels.numbers.functions import cos as cos
from kernels.numbers.functions import cosh as cosh
from kernels.numbers.functions import exp as exp
from kernels.numbers.functions import expm1 as expm1
from kernels.numbers.functions import floor as floor
from kernels.numbers.functions import hypot as hypot
from kernels.numbers.functions import log as log
from kernels.numbers.functions import log1p as log1p
from kernels.numbers.functions import maximum as maximum
from kernels.numbers.functions import minimum as minimum
from kernels.numbers.functions import polynomial as polynomial
from kernels.numbers.functions import power as power
from kernels.numbers.functions import rarely as rarely
from kernels.numbers.functions import sign as sign
from kernels.numbers.functions import sin as sin
from kernels.numbers.functions import sinh as sinh
from kernels.numbers.functions import sqrt as sqrt
from kernels.numbers.functions import square as square
from kernels.numbers.functions import tan as tan
from kernels.numbers.functions import tanh as tanh
from kernels.numbers.functions import where as where
from kernels.numbers.implicit import implicit_root as implicit_root
from kernels.numbers.linear import Mat3 as Mat3
from kernels.numbers.linear import Vec3 as Vec3
