"""What is rendered: the three scenes as plain numbers, and their answers in float64 NumPy, for every
contender alike.

Camera: OpenCV, pixel (column i, row j) has its centre at the integers, u = f x / z + c. Distance is along the
unit ray, 0 where it misses. Parameters of a sphere, in this order: radius, centre x, y, z.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEIGHT, FOCAL, CX, CY = 640, 480, 400.0, 320.0, 240.0
ISSUE_SPHERE = np.array([10.0, 10.0, 10.0, 100.0])
HUNDRED = 100


def hundred_spheres(count: int = HUNDRED, seed: int = 20) -> np.ndarray:
    """(count, 4) radius and centre, at random all over the image; they overlap and cover about 2/3 of it."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(60.0, 140.0, count)
    u, v = rng.uniform(0, WIDTH, count), rng.uniform(0, HEIGHT, count)
    radius = rng.uniform(5.0, 12.0, count)
    return np.stack([radius, (u - CX) / FOCAL * depth, (v - CY) / FOCAL * depth, depth], axis=1)


def rays() -> tuple[np.ndarray, np.ndarray]:
    """The rays' slopes (x, y) at z = 1, each (HEIGHT, WIDTH) float64."""
    x = (np.arange(WIDTH) - CX) / FOCAL
    y = (np.arange(HEIGHT) - CY) / FOCAL
    return np.broadcast_to(x, (HEIGHT, WIDTH)), np.broadcast_to(y[:, None], (HEIGHT, WIDTH))


@dataclass(frozen=True)
class Reference:
    """The answer: value (H, W), the sphere seen (H, W; -1: none) and its 4 partials (4, H, W)."""

    value: np.ndarray
    seen: np.ndarray
    partials: np.ndarray
    compare: np.ndarray  # not within rounding of a silhouette, where float32 may decide otherwise


def reference(spheres: np.ndarray) -> Reference:
    """Distance to the nearest of the spheres (n, 4), its derivative by radius and centre: closed form."""
    x, y = rays()
    norm = np.sqrt(x * x + y * y + 1.0)
    direction = np.stack([x / norm, y / norm, 1.0 / norm])
    value = np.full(x.shape, np.inf)
    seen = np.full(x.shape, -1)
    partials = np.zeros((4, *x.shape))
    compare = np.ones(x.shape, bool)
    for k, (radius, *centre) in enumerate(np.atleast_2d(spheres)):
        c = np.array(centre)[:, None, None]
        b = (direction * c).sum(0)
        off = c - b * direction
        squared = radius**2 - (off * off).sum(0)
        compare &= np.abs(squared) > 2e-2 * radius**2
        s = np.sqrt(np.maximum(squared, 1e-30))
        nearer = (squared > 0) & (b - s < value)
        value[nearer] = (b - s)[nearer]
        seen[nearer] = k
        rows = np.concatenate([np.full((1, *x.shape), -radius) / s, off / s + direction])
        partials[:, nearer] = rows[:, nearer]
    value[seen < 0] = 0.0
    return Reference(value, seen, partials, compare)


def deviation(found: np.ndarray, right: np.ndarray, compare: np.ndarray) -> float:
    """Largest |found - right| / max(1, |right|) over the pixels compared; images are the last two axes."""
    error = np.abs(np.asarray(found, np.float64) - right) / np.maximum(1.0, np.abs(right))
    return float(error[..., compare].max())


@dataclass(frozen=True)
class Sums:
    """The normal equations of a distance image beside what was observed: half the sum of squares, and by sphere J'r
    (n, 4) and its block of J'J (n, 4, 4); `scale` (n, 4) is what J'r would be if all residuals had one sign."""

    cost: float
    gradient: np.ndarray
    H: np.ndarray
    scale: np.ndarray
    compare: np.ndarray  # (n,), spheres none of whose rays is so near to grazing that float32 leaves no digits of 1 / s


def noisy(value: np.ndarray) -> np.ndarray:
    """What is observed: the image, float32, with a noise of 0.1, far above float32's."""
    return (value + np.random.default_rng(1).normal(0, 0.1, value.shape)).astype(np.float32)


def sums(spheres: np.ndarray, observed: np.ndarray) -> Sums:
    """By the reference, of spheres (n, 4)."""
    right = reference(spheres)
    residual = right.value - observed
    count = len(spheres)
    found = Sums(
        float((residual**2).sum() / 2), np.zeros((count, 4)), np.zeros((count, 4, 4)), np.zeros((count, 4)),
        np.zeros(count, bool),
    )  # fmt: skip
    for k in range(count):
        J, r = right.partials[:, right.seen == k], residual[right.seen == k]
        found.gradient[k], found.H[k], found.scale[k] = J @ r, J @ J.T, np.abs(J) @ np.abs(r)
        found.compare[k] = J.size > 0 and np.abs(J[0]).max() < 100.0
    return found


def sums_deviation(cost: float, gradient: np.ndarray, H: np.ndarray, right: Sums) -> float:
    """Largest difference over the spheres compared, in units of the block's largest entry, of `scale`, of the cost."""
    by_H = np.abs(H - right.H)[right.compare] / np.abs(right.H).max(axis=(1, 2), keepdims=True)[right.compare]
    by_gradient = np.abs(gradient - right.gradient)[right.compare] / right.scale[right.compare]
    return float(max(by_H.max(), by_gradient.max(), abs(cost - right.cost) / right.cost))


@dataclass(frozen=True)
class Bottle:
    """The real frame: depth in metres (NaN where nothing was measured), the mesh, and the start pose."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    depth: np.ndarray
    vertices: np.ndarray
    faces: np.ndarray
    T_camera_mesh: np.ndarray


def default_data() -> Path:
    """Where the real frame lies beside a checkout of the project."""
    return Path(__file__).resolve().parents[2] / "shared" / "data" / "m3t"


def bottle(data: Path) -> Bottle:
    """Reads the frame; FileNotFoundError or ImportError say what is missing."""
    if not (data / "schauma.obj").is_file():
        raise FileNotFoundError(f"no bottle data (schauma.obj) in {data}; name its folder with --data DIR")
    import trimesh
    from PIL import Image

    intrinsics: dict[str, Any] = {}
    for line in (data / "depth_camera.yaml").read_text().splitlines():
        key, colon, text = line.partition(":")
        key = key.strip()
        if colon and key in {"f_u", "f_v", "pp_x", "pp_y", "width", "height", "depth_scale"}:
            intrinsics[key] = float(text)
    depth = np.asarray(Image.open(data / "depth_camera_image_200.png")).astype(np.float32)
    depth *= np.float32(intrinsics["depth_scale"])
    depth[depth == 0] = np.nan
    mesh = trimesh.load(data / "schauma.obj", process=False, force="mesh")
    return Bottle(
        width=int(intrinsics["width"]), height=int(intrinsics["height"]),
        fx=intrinsics["f_u"], fy=intrinsics["f_v"], cx=intrinsics["pp_x"], cy=intrinsics["pp_y"],
        depth=depth, vertices=np.array(mesh.vertices, np.float64), faces=np.array(mesh.faces, np.int32),
        T_camera_mesh=np.loadtxt(data / "bottle_start_pose.txt"),
    )  # fmt: skip


@dataclass(frozen=True)
class BottleReference:
    """Depth (H, W; NaN where the bottle is not) and its partials by the pose (6, H, W): T exp(xi) at xi = 0."""

    depth: np.ndarray
    partials: np.ndarray
    compare: np.ndarray  # neither at an outline nor, by which partials jump, on the edge of a face


def bottle_reference(frame: Bottle, T_camera_mesh: np.ndarray) -> BottleReference:
    """Every face on every pixel centre within its bounds, in float64."""
    R, t = T_camera_mesh[:3, :3], T_camera_mesh[:3, 3]
    corners = (frame.vertices @ R.T + t)[frame.faces]  # (F, 3, 3)
    u = frame.fx * corners[..., 0] / corners[..., 2] + frame.cx
    v = frame.fy * corners[..., 1] / corners[..., 2] + frame.cy
    left, top = np.ceil(u.min(1)).astype(int), np.ceil(v.min(1)).astype(int)
    columns, lines = (np.maximum(np.floor(a.max(1)).astype(int) - b + 1, 0) for a, b in ((u, left), (v, top)))
    face = np.repeat(np.arange(len(corners)), columns * lines)
    place = np.arange(len(face)) - np.repeat(np.cumsum(columns * lines) - columns * lines, columns * lines)
    i, j = left[face] + place % columns[face], top[face] + place // columns[face]
    q = np.stack([(i - frame.cx) / frame.fx, (j - frame.cy) / frame.fy, np.ones(len(face))], axis=1)
    edges = [(q * np.cross(corners[:, k], corners[:, (k + 1) % 3])[face]).sum(1) for k in range(3)]
    low, high = np.min(edges, 0), np.max(edges, 0)
    inside = (low >= 0) | (high <= 0)
    face, i, j, q = face[inside], i[inside], j[inside], q[inside]
    distance = np.abs(edges).min(0)[inside] / np.abs(np.sum(edges, 0))[inside]  # from the nearest edge, of the whole
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    z = (normal * corners[:, 0]).sum(1)[face] / (normal[face] * q).sum(1)
    order = np.argsort(-z)  # the nearest is written last
    face, i, j, q, z, distance = (a[order] for a in (face, i, j, q, z, distance))
    depth, partials = np.full(frame.depth.shape, np.nan), np.zeros((6, *frame.depth.shape))
    margin = np.zeros(frame.depth.shape)
    depth[j, i], margin[j, i] = z, distance
    body, n = (z[:, None] * q - t) @ R, normal[face] @ R
    rows = np.concatenate([n, np.cross(body, n)], axis=1) / (normal[face] * q).sum(1)[:, None]
    partials[:, j, i] = rows.T
    around = np.lib.stride_tricks.sliding_window_view(np.pad(depth, 1, constant_values=np.nan), (3, 3))
    smooth = around.max(axis=(2, 3)) - around.min(axis=(2, 3)) < 0.01  # [m]; NaN where one of them is beside it
    return BottleReference(depth, partials, smooth & (margin > 1e-2))
