"""The models of benchmarks/rows/models.py once more, written out for arrays: for JAX, and in float64 to check by.

`f(xp, theta, data)` gives the outputs, xp being NumPy or jax.numpy. `inputs(name)` has theta and data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.scenes import CX, CY, FOCAL, HEIGHT, WIDTH

Data = dict[str, Any]
VIEWS, CORNERS, POINTS = 200, 88, 543


def grid(dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of each pixel, (HEIGHT, WIDTH)."""
    return np.meshgrid(np.arange(WIDTH, dtype=dtype), np.arange(HEIGHT, dtype=dtype))


def smooth(seed: int) -> np.ndarray:
    """An image without noise."""
    x, y = grid()
    a, b, c = np.random.default_rng(seed).uniform(0.01, 0.04, 3)
    return np.sin(a * x + 0.3) + np.cos(b * y) + np.sin(c * (x + y))


def inputs(name: str) -> tuple[np.ndarray, Data]:
    """theta, (P,), and data."""
    rng = np.random.default_rng(7)
    if name == "cosines":
        return rng.uniform(-2.0, 2.0, 64), {}
    if name == "lattice":
        return rng.normal(size=256), {}
    if name == "chain":
        return rng.normal(size=64), {}
    if name == "photometric":
        data = {"inverse_depth": rng.uniform(0.3, 0.6, (HEIGHT, WIDTH)), "photo": smooth(1), "other": smooth(2)}
        return np.concatenate([0.01 * rng.normal(size=6), [1.1, 0.05]]), data
    if name == "calibration":
        pose = np.concatenate([0.1 * rng.normal(size=(VIEWS, 2)), rng.uniform(0.6, 0.9, (VIEWS, 1))], 1)
        poses = np.concatenate([pose, 0.3 * rng.normal(size=(VIEWS, 3))], 1)
        x, y = np.meshgrid(0.03 * np.arange(11), 0.03 * np.arange(8))
        board = np.tile(np.stack([x.ravel(), y.ravel()], 1), (VIEWS, 1))
        camera = (600.0, 610.0, 320.0, 240.0, -0.1, 0.05, 1e-3, -1e-3, 0.01)
        data = {
            "board": board,
            "seen": rng.uniform(0.0, 600.0, board.shape),
            "view": np.repeat(np.arange(VIEWS), CORNERS),
        }
        return np.concatenate([camera, poses.ravel()]), data
    rest, inverse = (np.array([_rigid(rng) for _ in range(21)]) for _ in range(2))
    skin = rng.uniform(size=(POINTS, 21))
    data = {"vertex": rng.normal(size=(POINTS, 3)), "measured": rng.normal(size=(POINTS, 3)), "rest": rest}
    data |= {"inverse": inverse, "skin": skin / skin.sum(1, keepdims=True)}
    return rng.normal(size=26), data


def _rigid(rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.linalg.det(q)
    return np.concatenate([q, rng.normal(size=(3, 1))], 1)


def cosines(xp: Any, a: Any, data: Data) -> Any:
    """64 cosines, whose wavelengths are the parameters."""
    x, y = (xp.asarray(v) for v in grid(np.asarray(a).dtype if xp is np else np.float32))
    x, y = x / (WIDTH - 1.0), y / (HEIGHT - 1.0)
    return sum(xp.cos(a[k] * (x * (k % 8 + 1.0) + y * (k // 8 + 1.0))) for k in range(64))


def lattice(xp: Any, height: Any, data: Data) -> Any:
    """A height field of 16 x 16 cubic B-splines."""
    x, y = grid(np.float64)
    x, y = x / (WIDTH - 1.0) * 12.999, y / (HEIGHT - 1.0) * 12.999
    i, j = np.floor(x).astype(int), np.floor(y).astype(int)

    def basis(t: Any) -> tuple[Any, ...]:
        s = 1.0 - t
        return s**3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (3 * s**3 - 6 * s**2 + 4) / 6, t**3 / 6

    bx, by = basis(x - i), basis(y - j)
    return sum(bx[p] * by[q] * height[(j + q) * 16 + i + p] for q in range(4) for p in range(4))


def chain(xp: Any, a: Any, data: Data) -> Any:
    """64 numbers, each of which matters to all after it."""
    x, y = grid(np.float64 if xp is np else np.float32)
    u, v = x / (WIDTH - 1.0), y / (HEIGHT - 1.0)
    for k in range(32):
        u, v = u + 0.1 * a[2 * k] * v * (1 - u), v + 0.1 * a[2 * k + 1] * u * (1 - v)
    return u * v


def photometric(xp: Any, theta: Any, data: Data) -> Any:
    """A small motion takes a photo's pixel into another photo."""
    x, y = grid(np.float64 if xp is np else np.float32)
    t, w, gain, bias = theta[:3], theta[3:6], theta[6], theta[7]
    X, Y = (x - CX) / FOCAL, (y - CY) / FOCAL
    depth = data["inverse_depth"]
    p = X + w[1] - w[2] * Y + depth * t[0]
    q = Y + w[2] * X - w[0] + depth * t[1]
    r = 1.0 + w[0] * Y - w[1] * X + depth * t[2]
    u, v = xp.clip(FOCAL * p / r + CX, 0.0, WIDTH - 1.0), xp.clip(FOCAL * q / r + CY, 0.0, HEIGHT - 1.0)
    i, j = xp.minimum(xp.floor(u), WIDTH - 2.0), xp.minimum(xp.floor(v), HEIGHT - 2.0)
    a, b = u - i, v - j
    i, j = i.astype("int32"), j.astype("int32")
    other = data["other"]
    upper = other[j, i] * (1 - a) + other[j, i + 1] * a
    lower = other[j + 1, i] * (1 - a) + other[j + 1, i + 1] * a
    return gain * (upper * (1 - b) + lower * b) + bias - data["photo"]


def _rotate(xp: Any, w: Any, X: Any) -> Any:
    """X (..., 3) turned about w (..., 3) by |w|."""
    angle = xp.sqrt((w * w).sum(-1, keepdims=True) + 1e-20)
    axis, c, s = w / angle, xp.cos(angle), xp.sin(angle)
    return c * X + s * xp.cross(axis, X) + (axis * X).sum(-1, keepdims=True) * (1.0 - c) * axis


def calibration(xp: Any, theta: Any, data: Data) -> Any:
    """Two residuals for each corner of 200 views of a board."""
    fx, fy, cx, cy, k1, k2, p1, p2, k3 = theta[:9]
    pose = theta[9:].reshape(-1, 6)[data["view"]]
    board = xp.concatenate([data["board"], xp.zeros_like(data["board"][:, :1])], 1)
    X = _rotate(xp, pose[:, 3:], board) + pose[:, :3]
    x, y = X[:, 0] / X[:, 2], X[:, 1] / X[:, 2]
    r2 = x * x + y * y
    radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
    xd = x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x)
    yd = y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y
    return xp.stack([fx * xd + cx, fy * yd + cy], 1) - data["seen"]


def _euler(xp: Any, x: Any, y: Any, z: Any) -> Any:
    """Rz Ry Rx."""
    sx, sy, sz, cx, cy, cz = xp.sin(x), xp.sin(y), xp.sin(z), xp.cos(x), xp.cos(y), xp.cos(z)
    rows = (
        (cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz),
        (cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz),
        (-sy, sx * cy, cx * cy),
    )
    return xp.stack([xp.stack(row) for row in rows])


def hand(xp: Any, theta: Any, data: Data) -> Any:
    """Three residuals for each of 543 points that follow 21 bones."""
    zero = theta[0] * 0.0
    compose = lambda P, Q: xp.concatenate([P[:, :3] @ Q[:, :3], (P[:, :3] @ Q[:, 3] + P[:, 3])[:, None]], 1)  # noqa: E731
    bones = [data["rest"][0]]
    for finger in range(5):
        parent, bend = bones[0], theta[6 + 4 * finger : 10 + 4 * finger]
        for bone in range(4):
            T = data["rest"][1 + 4 * finger + bone]
            if bone < 3:
                turn = _euler(xp, bend[0], zero, bend[1]) if bone == 0 else _euler(xp, bend[1 + bone], zero, zero)
                T = xp.concatenate([T[:, :3] @ turn, T[:, 3:]], 1)
            parent = compose(parent, T)
            bones.append(parent)
    M = xp.stack([compose(T, data["inverse"][k]) for k, T in enumerate(bones)])
    X = xp.concatenate([data["vertex"], xp.ones_like(data["vertex"][:, :1])], 1)
    skinned = xp.einsum("nk,kij,nj->ni", data["skin"], M, X)
    return _rotate(xp, theta[None, :3], skinned) + theta[3:6] - data["measured"]


FORMULAS: dict[str, Callable[[Any, Any, Data], Any]] = {
    f.__name__: f for f in (cosines, lattice, chain, photometric, calibration, hand)
}


def check(name: str, value: Any, product: Callable[[np.ndarray], Any], seed: int = 0) -> float:
    """How far a contender's value, and J along a direction, are from float64; relative to the largest.

    J from central differences: where bilinear interpolation has a kink within the step they are left out.
    """
    theta, data = inputs(name)
    f = FORMULAS[name]
    d = np.random.default_rng(seed).normal(size=theta.size) * np.maximum(np.abs(theta), 1e-2)
    right = f(np, theta, data)
    h = 1e-6
    after, before = f(np, theta + h * d, data), f(np, theta - h * d, data)
    slope, kinked = (
        (after - before) / (2 * h),
        np.abs(after + before - 2 * right) > 1e-2 * np.abs(after - before) + 1e-12,
    )
    off = np.abs(np.asarray(product(d), np.float64).reshape(right.shape) - slope)
    worst = float(np.abs(np.asarray(value, np.float64).reshape(right.shape) - right).max() / np.abs(right).max())
    return max(worst, float(off[~kinked].max() / np.abs(slope).max()))
