"""A model of one's own: a Python function on numbers, of which one gets value, Jacobian, products and fits.

    from diffrt_aot.model import model, Pixel, Free, Constant, where
    import numpy as np

    @model
    def sphere(pixel: Pixel, radius: Free, center: Free[3], focal: Constant, principal: Constant[2]):
        q = np.array([(pixel.column - principal[0]) / focal, (pixel.row - principal[1]) / focal, 1.0])
        d = q / np.sqrt(q @ q)
        b = d @ center
        m = center - b * d
        s2 = radius * radius - m @ m
        return where(s2 > 0.0, b - np.sqrt(s2), 0.0)

    theta = {"radius": 10.0, "center": (0.0, 0.0, 50.0)}
    depth = sphere.reference(theta, shape=(480, 640), focal=400.0, principal=(320, 240))

The function is called once, with numbers that are not known yet: what it does to them is the model.
"""

from diffrt_aot.errors import ModelError as ModelError

from .arguments import Constant as Constant
from .arguments import Free as Free
from .arguments import FreeTable as FreeTable
from .arguments import Image as Image
from .arguments import Item as Item
from .arguments import PerItem as PerItem
from .arguments import PerItemFree as PerItemFree
from .arguments import PerItemIndex as PerItemIndex
from .arguments import Pixel as Pixel
from .arguments import Pose as Pose
from .arguments import Table as Table
from .functions import Dual as Dual
from .functions import absolute as absolute
from .functions import acos as acos
from .functions import asin as asin
from .functions import atan as atan
from .functions import atan2 as atan2
from .functions import ceil as ceil
from .functions import clip as clip
from .functions import cos as cos
from .functions import cosh as cosh
from .functions import exp as exp
from .functions import expm1 as expm1
from .functions import floor as floor
from .functions import hypot as hypot
from .functions import implicit_root as implicit_root
from .functions import log as log
from .functions import log1p as log1p
from .functions import loop as loop
from .functions import maximum as maximum
from .functions import minimum as minimum
from .functions import number as number
from .functions import pow as pow
from .functions import sign as sign
from .functions import sin as sin
from .functions import sinh as sinh
from .functions import sqrt as sqrt
from .functions import tan as tan
from .functions import tanh as tanh
from .functions import where as where
from .functions import whole as whole
from .functions import with_slopes as with_slopes
from .trace import Model as Model
from .trace import Program as Program
from .trace import model as model
