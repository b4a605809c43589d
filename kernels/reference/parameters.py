"""Free parameters: from theta to the numbers of the scene, seeded with their places in theta."""

from itertools import islice

import numpy as np

from kernels.geometry.se3 import exp_se3
from kernels.numbers import Mat3, Vec3, seed

# A pose has no numbers of its own in theta: its block is an increment, zero to begin with.
POSE_SIZE = 6


def theta_of(scene, free):
    """(P,), theta0: the free parameters' values in the scene, zeros for poses."""
    blocks = [_given(scene, name) for name in free]
    return np.concatenate([np.zeros(0), *blocks])


class Parameters:
    """The numbers of a scene at theta. What is free carries partials by its places in theta, the rest is plain."""

    def __init__(self, scene, free, theta=None):
        theta0 = theta_of(scene, free)
        theta = theta0 if theta is None else np.asarray(theta, dtype=np.float64)
        if theta.shape != theta0.shape:
            raise ValueError(f"theta: has shape {theta.shape}, expected {theta0.shape}")
        seeded = iter([seed(float(x), place) for place, x in enumerate(theta)])
        self._scene, self.count = scene, len(theta)
        self._blocks = {name: list(islice(seeded, len(_given(scene, name)))) for name in free}

    def numbers(self, name):
        """The numbers called `name`, from theta where it is free, else from the scene."""
        return self._blocks.get(name) or [float(x) for x in _given(self._scene, name)]

    def vectors(self, name):
        """The same, three by three."""
        numbers = self.numbers(name)
        return [Vec3(*numbers[k : k + 3]) for k in range(0, len(numbers), 3)]

    def pose(self, name, T):
        """(R, t) of T exp(xi), with xi = (rho, phi) from theta where the pose is free."""
        rotation, translation = Mat3(*np.asarray(T)[:3, :3].tolist()), Vec3(*np.asarray(T)[:3, 3].tolist())
        if name not in self._blocks:
            return rotation, translation
        rho, phi = self.vectors(name)
        turn, shift = exp_se3(rho, phi)
        return rotation @ turn, rotation @ shift + translation


def _given(scene, name):
    """The numbers that a name has in the scene, as a flat array."""
    owner, _, field = name.partition(".")
    value = scene.camera if owner == "camera" else scene.shapes[owner]
    if field == "pose":
        return np.zeros(POSE_SIZE)
    if field == "focal":
        return np.array([value.fx, value.fy])
    if field == "principal":
        return np.array([value.cx, value.cy])
    return np.ravel(np.asarray(getattr(value, field), dtype=np.float64))
