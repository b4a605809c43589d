"""The language in which models are written: ordinary arithmetic on any number.

A model is a plain Python function over numbers. The same function runs on

- `float` and `numpy.ndarray` (float64, or complex for a complex step): the reference and the tests;
- `kernels.numbers.traced.Traced`: Taichi scalars, or packets of 8 or 16 lanes, while a kernel is being traced;
- `Dual` of any of these: forward AD with all seeds at once.

    >>> from kernels.numbers import seed, sqrt
    >>> x, y = seed(3.0, "x"), seed(4.0, "y")
    >>> length = sqrt(x * x + y * y)
    >>> float(length.value), {k: round(float(e), 12) for k, e in length.partials.items()}
    (5.0, {'x': 0.6, 'y': 0.8})

Functions do not branch on numbers: they choose with `where`.
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
from kernels.numbers.functions import floor as floor
from kernels.numbers.functions import hypot as hypot
from kernels.numbers.functions import log as log
from kernels.numbers.functions import maximum as maximum
from kernels.numbers.functions import minimum as minimum
from kernels.numbers.functions import power as power
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
