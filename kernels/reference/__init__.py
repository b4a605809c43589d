"""The reference: images, derivatives and normal equations in float64 NumPy, from the same functions as the kernels.

theta -> primitives in the camera frame -> nearest primitive of each pixel -> value and partials by theta -> sums

With boundary="exact", pixels that silhouettes cross are mixed afterwards:

edges -> crossings: how much of a pixel is covered -> boundary: the values on both sides, a rule, several silhouettes

`sampled` is an oracle for that, by Monte Carlo.

It is the executable specification: what a pixel shows, and what J means, is read here. It is written for reading, not
for speed: every primitive meets every pixel, and the partials are by theta itself, carried from the world through the
poses. (The compiled kernels differentiate by the few slots of the primitive that a pixel sees and bring in the world
afterwards, so the two agree only if both chains are right.)

A scene is anything with the attributes of `diffrt_aot.Scene`: `camera`, and `shapes`, a dict of shapes by name.
Nothing here imports Taichi or the package.

    >>> from types import SimpleNamespace as Object
    >>> import numpy as np
    >>> camera = Object(width=3, height=1, fx=2.0, fy=2.0, cx=1.0, cy=0.0, T_world_camera=np.eye(4))
    >>> scene = Object(camera=camera, shapes={"ball": Object(center=(0.0, 0.0, 5.0), radius=1.0)})
    >>> image, J = jacobian(scene, ["distance"], free=["ball.radius"])
    >>> image.tolist(), J[:, :, 0].tolist()
    ([[nan, 4.0, nan]], [[0.0, -1.0, 0.0]])
"""

from kernels.reference.normal_equations import NormalEquations as NormalEquations
from kernels.reference.normal_equations import normal_equations as normal_equations
from kernels.reference.parameters import theta_of as theta_of
from kernels.reference.render import jacobian as jacobian
from kernels.reference.render import render as render
from kernels.reference.sampled import sampled as sampled
