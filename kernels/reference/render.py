"""Images at pixel centres, and their derivative by theta."""

import numpy as np

from kernels.cameras.pinhole import pinhole_direction
from kernels.numbers import Dual, value_of
from kernels.outputs import OUTPUTS
from kernels.reference.parameters import Parameters
from kernels.reference.primitives import primitives_of

# Rays that miss have no distance and no depth; of the other outputs they have 0.
DEFAULT_BACKGROUND = {"distance": np.nan, "depth": np.nan}


def render(scene, outputs=("distance",), background=None, free=(), theta=None):
    """The image (H, W), or (H, W, C) for C channels, at theta (default: the scene as it is).

    Args:
        outputs: names, as in `kernels.outputs`; their channels follow one another.
        background: what rays show that miss, one number per output; None for the defaults.
        free: names of the parameters in theta.
    """
    return jacobian(scene, outputs, background, free, theta)[0]


def jacobian(scene, outputs=("distance",), background=None, free=(), theta=None):
    """(image, J): J is (H, W, P), or (H, W, C, P), the derivative with each pixel seeing the primitive that it sees."""
    parameters = Parameters(scene, free, theta)
    intrinsics = (*parameters.numbers("camera.focal"), *parameters.numbers("camera.principal"))
    primitives = primitives_of(scene, parameters)
    inverse_depth, ids = visible(scene.camera, [value_of(x) for x in intrinsics], primitives)

    chosen = [next(output for output in OUTPUTS if output.name == name) for name in outputs]
    values = [DEFAULT_BACKGROUND.get(name, 0.0) for name in outputs] if background is None else background
    missed = [value for output, value in zip(chosen, values, strict=True) for _ in range(output.channels)]
    image = np.full((*ids.shape, len(missed)), missed, dtype=np.float64)
    J = np.zeros((*image.shape, parameters.count))
    for k in np.unique(ids[ids >= 0]):
        v, u = np.nonzero(ids == k)
        direction = pinhole_direction(u, v, *intrinsics)
        z, normal = primitives[k].surface(1.0 / inverse_depth[v, u], direction)
        channels = [channel for output in chosen for channel in output.function(direction, z, normal)]
        for c, channel in enumerate(channels):
            image[v, u, c] = value_of(channel)
            for place, partial in channel.partials.items() if isinstance(channel, Dual) else ():
                J[v, u, c, place] = partial
    return (image[:, :, 0], J[:, :, 0]) if len(missed) == 1 else (image, J)


def visible(camera, intrinsics, primitives):
    """(H, W) inverse depth of the nearest primitive, 0 where there is none, and its id, -1 where there is none.

    Of equals, the one that comes first.
    """
    v, u = np.mgrid[0 : camera.height, 0 : camera.width]
    direction = pinhole_direction(u, v, *intrinsics)
    nearest, ids = np.zeros(u.shape), np.full(u.shape, -1)
    for k, primitive in enumerate(primitives):
        inverse = primitive.inverse_depth(direction)
        nearer = inverse > nearest
        nearest, ids = np.where(nearer, inverse, nearest), np.where(nearer, k, ids)
    return nearest, ids
