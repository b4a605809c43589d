"""The models of examples/models, each with parameters and data to evaluate it at."""

import importlib
import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "models"
CAMERA = {"focal": 40.0, "principal": (16.0, 12.0)}
IMAGE = (24, 32)
MODULES = {"sphere_with_rule": "sphere", "deform": "lattice", "mix_inverse_depths": "boundary_rule"}
NAMES = (
    *("sphere", "sphere_with_rule", "photometric", "cosines", "lattice", "deform", "calibration", "hand", "blob"),
    *("network", "dense_chain", "bundle", "gmm", "mix_inverse_depths"),
)


def load(name):
    """The model of that name."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return getattr(importlib.import_module(MODULES.get(name, name)), name)


def smooth(rng, height, width):
    """An image without noise."""
    y, x = np.mgrid[:height, :width]
    a, b, c = rng.uniform(0.05, 0.2, 3)
    return np.sin(a * x + 0.3) + np.cos(b * y) + np.sin(c * (x + y))


def rigid(rng, far=1.0):
    """A rotation and a translation, (3, 4)."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.linalg.det(q)
    return np.concatenate([q, far * rng.normal(size=(3, 1))], 1)


def case(name):
    """(theta by name, shape, data)."""
    rng = np.random.default_rng(sum(map(ord, name)))
    size = {"size": (IMAGE[1] - 1.0, IMAGE[0] - 1.0)}
    if name.startswith("sphere"):
        return {"radius": 2.0, "center": (0.3, -0.2, 8.0)}, IMAGE, CAMERA
    if name == "photometric":
        theta = {"motion": 0.02 * rng.normal(size=6), "gain": 1.1, "bias": 0.05}
        images = {"photo": smooth(rng, *IMAGE), "other": smooth(rng, *IMAGE)}
        return theta, IMAGE, {**CAMERA, **images, "inverse_depth": rng.uniform(0.3, 0.6, IMAGE)}
    if name == "cosines":
        return {"amplitude": rng.uniform(-2.0, 2.0, 64)}, IMAGE, size
    if name == "lattice":
        return {"height": rng.normal(size=256)}, IMAGE, size
    if name == "deform":
        return {"shift": 2.0 * rng.normal(size=(256, 2))}, IMAGE, {**size, "photo": smooth(rng, *IMAGE)}
    if name == "calibration":
        poses = np.concatenate([0.1 * rng.normal(size=(5, 2)), rng.uniform(3, 4, (5, 1)), rng.normal(size=(5, 3))], 1)
        theta = {"camera": (600.0, 610.0, 320.0, 240.0, 0.1, -0.05, 1e-3, -2e-3, 0.02), "poses": poses}
        data = {"board": rng.uniform(-1, 1, (60, 2)), "seen": rng.uniform(0, 600, (60, 2)), "view": np.arange(60) % 5}
        return theta, 60, data
    if name == "hand":
        rest, inverse = (np.array([rigid(rng) for _ in range(21)]) for _ in range(2))
        skin = rng.uniform(size=(37, 21))
        data = {"vertex": rng.normal(size=(37, 3)), "measured": rng.normal(size=(37, 3)), "rest": rest}
        data |= {"inverse": inverse, "skin": skin / skin.sum(1, keepdims=True)}
        return {"wrist": rng.normal(size=6), "fingers": rng.normal(size=(5, 4))}, 37, data
    if name == "blob":
        return {"radii": (1.0, 0.8), "first": (-0.5, 0.1, 5.0), "second": (0.7, -0.2, 5.3)}, IMAGE, CAMERA
    if name == "network":
        return {"hidden": rng.normal(size=(8, 9)), "last": rng.normal(size=9)}, IMAGE, size
    if name == "dense_chain":
        return {"a": rng.normal(size=64)}, IMAGE, size
    if name == "bundle":
        cameras = np.concatenate([0.1 * rng.normal(size=(2, 6)), [[500.0, 1.0, 2.0, 0.1, 0.02]] * 2], 1)
        points = np.add(rng.normal(size=(9, 3)), (0.0, 0.0, 6.0))
        theta = {"cameras": cameras, "points": points, "confidence": rng.uniform(0.5, 1, 20)}
        data = {"camera": np.arange(20) % 2, "point": np.arange(20) % 9, "seen": 50.0 * rng.normal(size=(20, 2))}
        return theta, 20, data
    if name == "gmm":
        theta = {"alphas": rng.normal(size=3), "means": rng.normal(size=(3, 2)), "icf": 0.5 * rng.normal(size=(3, 3))}
        return theta, 50, {"x": rng.normal(size=(50, 2))}
    areas = {"area": rng.uniform(0, 1, 50), "inside": rng.uniform(1, 3, 50), "outside": rng.uniform(3, 6, 50)}
    return {}, 50, areas
