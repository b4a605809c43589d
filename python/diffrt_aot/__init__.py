"""diffrt_aot: a renderer that returns Jacobians, for fitting models to images by least squares.

import numpy as np, diffrt_aot as dr

camera = dr.PinholeCamera(width=640, height=480, fx=400, fy=400, cx=320, cy=240)
scene = dr.Scene(camera, {"ball": dr.Sphere(center=(10, 10, 100), radius=10)})
renderer = dr.Renderer(scene, free=["ball.radius", "ball.center"], output="distance")
image, J = renderer.jacobian(renderer.theta0)      # (480, 640); J.dense() is (480, 640, 4)
result = dr.fit(renderer, image)
"""

from ._core import version as _version
from .camera import PinholeCamera as PinholeCamera
from .check import CheckReport as CheckReport
from .check import check as check
from .device_array import DeviceArray as DeviceArray
from .errors import DeviceError as DeviceError
from .errors import DeviceLostError as DeviceLostError
from .errors import DeviceMemoryError as DeviceMemoryError
from .errors import DiffrtError as DiffrtError
from .errors import FitWarning as FitWarning
from .errors import InvalidTypeError as InvalidTypeError
from .errors import InvalidValueError as InvalidValueError
from .errors import ModelFileError as ModelFileError
from .errors import OutOfMemoryError as OutOfMemoryError
from .fit import FitResult as FitResult
from .fit import Status as Status
from .fit import StepRecord as StepRecord
from .fit import fit as fit
from .info import DeviceDetails as DeviceDetails
from .info import cmake_dir as cmake_dir
from .info import device_details as device_details
from .info import devices as devices
from .info import info as info
from .info import missing_devices as missing_devices
from .jacobian import Jacobian as Jacobian
from .losses import Barron as Barron
from .losses import Cauchy as Cauchy
from .losses import GemanMcClure as GemanMcClure
from .losses import Huber as Huber
from .losses import Tukey as Tukey
from .module import Module as Module
from .module import load as load
from .renderer import NormalEquations as NormalEquations
from .renderer import Renderer as Renderer
from .rigid import nearest_rigid as nearest_rigid
from .rigid import rigid as rigid
from .scene import Scene as Scene
from .scene import valid_free_names as valid_free_names
from .scene_file import load_scene_file as load_scene_file
from .scene_file import save_scene_file as save_scene_file
from .shapes import Mesh as Mesh
from .shapes import Plane as Plane
from .shapes import Sphere as Sphere

__version__ = _version()
