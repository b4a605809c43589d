"""The models of examples/models, and data for each: numbers that float32 has, at the size asked for."""

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "models"
IMAGE, RANGE = (37, 53), (61,)


@dataclass
class Case:
    model: object
    shape: tuple[int, ...]
    theta: dict
    data: dict


def case(name, shape=None):
    """A model by its name, with data. The same ones each time."""
    module, make, image = _CASES[name]
    shape = shape or (IMAGE if image else RANGE)
    theta, data = make(np.random.default_rng(15), *shape)
    rounded = [{k: _rounded(x) for k, x in some.items()} for some in (theta, data)]
    return Case(getattr(_module(module), name), shape, *rounded)


def _rounded(x):
    x = np.asarray(x)
    return x if x.dtype.kind == "i" else x.astype(np.float32).astype(np.float64)


def _module(name):
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))


def _camera(h, w):
    return {"focal": 0.6 * w, "principal": (w / 2.0, h / 2.0)}


def _size(h, w):
    return {"size": (w, h)}


def _picture(h, w):
    y, x = np.mgrid[:h, :w]
    return np.sin(x / 7.0) * np.cos(y / 5.0) + 0.1 * np.sin(x * y / 90.0)


def _sphere(rng, h, w):
    return {"radius": 10.0, "center": (1.0, -2.0, 50.0)}, _camera(h, w)


def _photometric(rng, h, w):
    theta = {"motion": (0.01, -0.02, 0.03, 0.002, 0.001, -0.003), "gain": 1.1, "bias": 0.05}
    photos = {"photo": _picture(h, w) + 0.01, "other": _picture(h, w)}
    return theta, {"inverse_depth": rng.uniform(0.2, 1.0, (h, w)), **photos, **_camera(h, w)}


def _lattice(rng, h, w):
    return {"height": rng.normal(size=256)}, _size(h, w)


def _deform(rng, h, w):
    return {"shift": rng.normal(size=(256, 2))}, {"photo": _picture(h, w), **_size(h, w)}


def _calibration(rng, n):
    views = 9
    poses = np.concatenate([0.2 * rng.normal(size=(views, 3)) + (0, 0, 3), 0.3 * rng.normal(size=(views, 3))], 1)
    camera = (600.0, 610.0, 320.0, 240.0, 0.1, -0.05, 0.001, -0.002, 0.01)
    data = {"board": rng.uniform(-1, 1, (n, 2)), "seen": rng.uniform(0, 640, (n, 2))}
    return {"camera": camera, "poses": poses}, {**data, "view": (np.arange(n) * views // n).astype(np.int32)}


def _hand(rng, n):
    rest, inverse = (np.tile(np.eye(4)[:3], (21, 1, 1)) for _ in range(2))
    rest[:, :, 3], inverse[:, :, 3] = 0.3 * rng.normal(size=(2, 21, 3))
    skin = rng.uniform(size=(n, 21))
    data = {"rest": rest, "inverse": inverse, "skin": skin / skin.sum(1, keepdims=True)}
    data |= {"vertex": rng.normal(size=(n, 3)), "measured": rng.normal(size=(n, 3))}
    return {"wrist": 0.3 * rng.normal(size=6), "fingers": 0.4 * rng.normal(size=(5, 4))}, data


def _blob(rng, h, w):
    return {"radii": (1.0, 0.7), "first": (0.2, 0.0, 5.0), "second": (-0.9, 0.4, 5.5)}, _camera(h, w)


def _network(rng, h, w):
    return {"hidden": rng.normal(size=(8, 9)), "last": rng.normal(size=9)}, _size(h, w)


def _dense_chain(rng, h, w):
    return {"a": rng.normal(size=64)}, _size(h, w)


def _cosines(rng, h, w):
    return {"amplitude": 2.0 * rng.normal(size=64)}, _size(h, w)


def _rule(rng, n):
    near = rng.uniform(0.1, 1.0, (2, n))
    return {}, {"area": rng.uniform(0.01, 0.99, n), "inside": near[0], "outside": near[1]}


# Of each: its file, its data from the size, whether its domain is an image.
_CASES = {
    "sphere": ("sphere", _sphere, True),
    "sphere_with_rule": ("sphere", _sphere, True),
    "photometric": ("photometric", _photometric, True),
    "cosines": ("cosines", _cosines, True),
    "lattice": ("lattice", _lattice, True),
    "deform": ("lattice", _deform, True),
    "calibration": ("calibration", _calibration, False),
    "hand": ("hand", _hand, False),
    "blob": ("blob", _blob, True),
    "network": ("network", _network, True),
    "dense_chain": ("dense_chain", _dense_chain, True),
    "mix_inverse_depths": ("boundary_rule", _rule, False),
}
NAMES = tuple(_CASES)
