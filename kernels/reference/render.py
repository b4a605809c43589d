"""Images, and their derivative by theta."""

import numpy as np

from kernels.cameras.pinhole import pinhole_direction
from kernels.numbers import Dual, value_of
from kernels.outputs import OUTPUTS
from kernels.reference.boundary import View, mix
from kernels.reference.edges import edges_of
from kernels.reference.parameters import Parameters
from kernels.reference.primitives import nearest, primitives_of

# Rays that miss have no distance and no depth; of the other outputs they have 0.
DEFAULT_BACKGROUND = {"distance": np.nan, "depth": np.nan}
BOUNDARIES = ("none", "exact")


def render(scene, outputs=("distance",), background=None, free=(), theta=None, boundary="none", rules=None):
    """The image (H, W), or (H, W, C) for C channels, at theta (default: the scene as it is).

    Args:
        outputs: names, as in `kernels.outputs`; their channels follow one another.
        background: what rays show that miss, one number per output; None for the defaults.
        free: names of the parameters in theta.
        boundary, rules: see `jacobian`.
    """
    return jacobian(scene, outputs, background, free, theta, boundary, rules)[0]


def jacobian(scene, outputs=("distance",), background=None, free=(), theta=None, boundary="none", rules=None):
    """(image, J): J is (H, W, P), or (H, W, C, P).

    Args:
        boundary: "none": a pixel shows what its centre sees, and J is the derivative with each pixel seeing the
            primitive that it sees. "exact": a pixel that a silhouette crosses shows both sides, each as much as there
            is of it, and J says how that changes.
        rules: what pixels show that the silhouettes of a shape cross, by the shape's name: one of
            `kernels.silhouettes.rules` by name, "none" for what their centres see, or a function like those. It may
            also return (value, row), row (P,).
    """
    if boundary not in BOUNDARIES:
        raise ValueError(f"boundary: is {boundary!r}, expected one of {', '.join(BOUNDARIES)}")
    parameters = Parameters(scene, free, theta)
    view, names = view_of(scene, parameters, outputs, background)
    v, u = np.mgrid[0 : scene.camera.height, 0 : scene.camera.width]
    image, J = sample(view, u, v, parameters.count)
    if boundary == "exact":
        mix(scene.camera, view, edges_of(scene, parameters), names, rules, image, J)
    return (image[:, :, 0], J[:, :, 0]) if len(names) == 1 else (image, J)


def view_of(scene, parameters, outputs, background):
    """The View, and for each of its channels the name of the output."""
    chosen = [next(output for output in OUTPUTS if output.name == name) for name in outputs]
    values = [DEFAULT_BACKGROUND.get(name, 0.0) for name in outputs] if background is None else background
    missed = [value for output, value in zip(chosen, values, strict=True) for _ in range(output.channels)]
    intrinsics = (*parameters.numbers("camera.focal"), *parameters.numbers("camera.principal"))
    names = [output.name for output in chosen for _ in range(output.channels)]
    return View(primitives_of(scene, parameters), intrinsics, chosen, missed), names


def sample(view, u, v, count):
    """(values, partials) of all channels at image points u, v of any shape, with two axes more: channels, theta."""
    inverse_depth, ids = nearest(view.primitives, pinhole_direction(u, v, *(value_of(x) for x in view.intrinsics)))
    values = np.full((*ids.shape, len(view.background)), view.background, dtype=np.float64)
    partials = np.zeros((*values.shape, count))
    for k in np.unique(ids[ids >= 0]):
        seen = ids == k
        direction = pinhole_direction(u[seen], v[seen], *view.intrinsics)
        surface = view.primitives[k].surface(1.0 / inverse_depth[seen], direction)
        for c, channel in enumerate(view.channels(surface, direction)):
            values[seen, c] = value_of(channel)
            for place, partial in channel.partials.items() if isinstance(channel, Dual) else ():
                partials[seen, c, place] = partial
    return values, partials
