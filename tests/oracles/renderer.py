"""A ray caster in float64 that shares no code with the product: an oracle for images and their derivatives.

It does everything another way than the product does. Rays are unit vectors in the world; spheres are quadratics in the
distance along the ray, triangles are met by Moeller and Trumbore's test ("Fast, minimum storage ray/triangle
intersection", 1997), every one of them by every ray; poses move by SciPy's matrix exponential of the twist as a 4 x 4
matrix; derivatives are central differences of the image, which count at pixels that see the same primitive throughout.

A scene is anything with the attributes of `diffrt_aot.Scene`. Frames: T_a_b takes points of frame b to frame a.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

Array = NDArray[np.float64]

OUTPUTS = ("distance", "depth", "mask", "normal", "shade")
CHANNELS = {"distance": 1, "depth": 1, "mask": 1, "normal": 3, "shade": 1}


class World(NamedTuple):
    """A scene at a theta, in world coordinates."""

    size: tuple[int, int]  # width, height
    K: Array
    T_world_camera: Array
    spheres: list[tuple[Array, float]]  # center, radius
    planes: list[tuple[Array, Array]]  # point, normal
    triangles: Array  # [F, 3, 3]: faces, corners, axes


class Hits(NamedTuple):
    """What the rays of an image see: ids are spheres, then planes, then faces, in the scene's order; -1 is nothing."""

    ids: NDArray[np.intp]
    channels: dict[str, Array]  # of each output, (H, W, C); NaN where nothing is seen
    cosine: Array  # between the ray back and the normal, 0 at a silhouette


def sizes_of(scene: Any) -> dict[str, int]:
    """Every free name of a scene and how many numbers it has."""
    sizes = {}
    for name, shape in scene.shapes.items():
        if hasattr(shape, "radius"):
            sizes |= {f"{name}.center": 3, f"{name}.radius": 1}
        elif hasattr(shape, "normal"):
            sizes |= {f"{name}.point": 3, f"{name}.normal": 3}
        else:
            sizes |= {f"{name}.pose": 6, f"{name}.vertices": np.size(shape.vertices)}
    return sizes | {"camera.pose": 6, "camera.focal": 2, "camera.principal": 2}


def theta_of(scene: Any, free: list[str]) -> Array:
    """(P,), the values of the free names in the scene; zeros for poses."""
    camera = scene.camera
    blocks: list[Any] = [np.zeros(0)]
    for name in free:
        owner, field = name.split(".")
        if field == "pose":
            blocks.append(np.zeros(6))
        elif owner == "camera":
            blocks.append([camera.fx, camera.fy] if field == "focal" else [camera.cx, camera.cy])
        else:
            blocks.append(np.ravel(getattr(scene.shapes[owner], field)))
    return np.concatenate(blocks)


def world_at(scene: Any, free: list[str] = (), theta: Array | None = None) -> World:  # type: ignore[assignment]
    """The scene with the numbers of theta in their places."""
    theta = theta_of(scene, free) if theta is None else theta
    sizes = sizes_of(scene)
    ends = np.cumsum([sizes[name] for name in free], dtype=int)
    blocks = dict(zip(free, np.split(theta, ends[:-1]), strict=False)) if len(free) else {}
    camera = scene.camera
    fx, fy = blocks.get("camera.focal", (camera.fx, camera.fy))
    cx, cy = blocks.get("camera.principal", (camera.cx, camera.cy))

    def moved(T: Array, name: str) -> Array:
        return T @ expm(twist_matrix(blocks[name])) if name in blocks else T

    spheres, planes, triangles = [], [], [np.zeros((0, 3, 3))]
    for name, shape in scene.shapes.items():
        if hasattr(shape, "radius"):
            radius = blocks.get(f"{name}.radius", [shape.radius])[0]
            spheres.append((blocks.get(f"{name}.center", shape.center), radius))
        elif hasattr(shape, "normal"):
            planes.append((blocks.get(f"{name}.point", shape.point), blocks.get(f"{name}.normal", shape.normal)))
        else:
            T = moved(shape.T_world_mesh, f"{name}.pose")
            vertices = np.reshape(blocks.get(f"{name}.vertices", shape.vertices), (-1, 3))
            homogeneous = np.hstack([vertices, np.ones((len(vertices), 1))])
            triangles.append((homogeneous @ T.T)[:, :3][shape.faces])
    return World(
        (camera.width, camera.height),
        np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]),
        moved(camera.T_world_camera, "camera.pose"),
        spheres,
        planes,
        np.concatenate(triangles),
    )


def twist_matrix(xi: Array) -> Array:
    """The 4 x 4 matrix whose exponential is the motion xi = (rho, phi)."""
    x, y, z = xi[3:]
    return np.array([[0, -z, y, xi[0]], [z, 0, -x, xi[1]], [-y, x, 0, xi[2]], [0, 0, 0, 0]])


def trace(world: World, shift: tuple[float, float] = (0.0, 0.0)) -> Hits:
    """Cast the ray of every pixel, through the point `shift` [px] away from its centre."""
    width, height = world.size
    return trace_points(world, *np.meshgrid(np.arange(width) + shift[0], np.arange(height) + shift[1]))


@np.errstate(divide="ignore", invalid="ignore")  # rays that miss have infinite distances, faces may have no area
def trace_points(world: World, u: Array, v: Array) -> Hits:
    """Cast rays through points (u, v) [px] of the image plane, arrays (H, W)."""
    pixels = np.stack([u, v, np.ones_like(u)], axis=-1).reshape(-1, 3)
    in_camera = np.linalg.solve(world.K, pixels.T).T
    in_camera /= np.linalg.norm(in_camera, axis=1, keepdims=True)
    R, origin = world.T_world_camera[:3, :3], world.T_world_camera[:3, 3]
    rays = in_camera @ R.T

    distances, normals = [], []
    for center, radius in world.spheres:
        t = _sphere(rays, origin - center, radius)
        distances.append(t)
        normals.append(origin + t[:, None] * rays - center)
    for point, normal in world.planes:
        t = ((point - origin) @ normal) / (rays @ normal)
        distances.append(np.where((t > 0) & np.isfinite(t), t, np.inf))
        normals.append(np.broadcast_to(normal, rays.shape))
    if len(world.triangles):
        t, cross = _triangles(rays, origin, world.triangles)
        distances += list(t.T)
        normals += [np.broadcast_to(n, rays.shape) for n in cross]

    stacked = np.stack(distances, axis=1)
    ids = np.argmin(stacked, axis=1)
    distance = stacked[np.arange(len(rays)), ids]
    missed = ~np.isfinite(distance)
    distance[missed], ids[missed] = np.nan, -1
    normal = np.stack(normals)[ids, np.arange(len(rays))]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    toward = np.sum(normal * rays, axis=1)
    normal = normal * np.where(toward > 0, -1.0, 1.0)[:, None]
    normal[missed] = np.nan
    flat = {
        "distance": distance[:, None],
        "depth": (distance * in_camera[:, 2])[:, None],
        "mask": np.where(missed, np.nan, 1.0)[:, None],
        "normal": normal @ R,
        "shade": np.where(missed, np.nan, np.abs(toward))[:, None],
    }
    return Hits(
        ids.reshape(u.shape),
        {name: channels.reshape(*u.shape, -1) for name, channels in flat.items()},
        np.where(missed, 0.0, np.abs(toward)).reshape(u.shape),
    )


def _sphere(rays: Array, from_center: Array, radius: float) -> Array:
    """Distance to the first point in front: t^2 + 2 b t + c = 0, whose roots are q and c / q (Press et al., 5.6)."""
    b, c = rays @ from_center, from_center @ from_center - radius * radius
    # Two subtractions of |origin - center|^2 less: the discriminant is r^2 less the ray's squared distance to
    # the center.
    discriminant = radius * radius - np.sum(np.cross(rays, from_center) ** 2, axis=1)
    root = np.sqrt(np.maximum(discriminant, 0.0))
    q = -(b + np.where(b > 0, root, -root))
    roots = np.sort(np.stack([q, c / q]), axis=0)
    first = np.where(roots[0] > 0, roots[0], roots[1])
    return np.where((discriminant > 0) & (first > 0), first, np.inf)


def _triangles(rays: Array, origin: Array, triangles: Array) -> tuple[Array, Array]:
    """Distances (rays, faces) and normals (faces, 3), not unit."""
    a = triangles[:, 0]
    ab, ac = triangles[:, 1] - a, triangles[:, 2] - a
    p = np.cross(rays[:, None], ac)
    inverse = 1.0 / np.einsum("fk,nfk->nf", ab, p)
    s = origin - a
    b1 = np.einsum("fk,nfk->nf", s, p) * inverse
    q = np.cross(s, ab)
    b2 = rays @ q.T * inverse
    t = np.sum(ac * q, axis=1) * inverse
    hit = (b1 >= 0) & (b2 >= 0) & (b1 + b2 <= 1) & (t > 0) & np.isfinite(t)
    return np.where(hit, t, np.inf), np.cross(ab, ac)


def image_of(hits: Hits, outputs: list[str], background: list[float] | None = None) -> Array:
    """(H, W, C), what is seen and, where nothing is, the background of each output."""
    if background is None:
        background = [np.nan if name in ("distance", "depth") else 0.0 for name in outputs]
    missed = hits.ids[..., None] < 0
    planes = zip(outputs, background, strict=True)
    return np.concatenate([np.where(missed, value, hits.channels[name]) for name, value in planes], axis=-1)


def steady(world: World, reach: float) -> NDArray[np.bool_]:
    """(H, W), whether a pixel sees the same primitive from all points within about `reach` [px] of its centre."""
    ids = trace(world).ids
    around = [(x * reach, y * reach) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y]
    return np.logical_and.reduce([trace(world, shift).ids == ids for shift in around])


class Differences(NamedTuple):
    """Central differences: of each output (H, W, C, P), and where they hold, (H, W, P)."""

    columns: dict[str, Array]
    valid: NDArray[np.bool_]


def differences(scene: Any, free: list[str], theta: Array, steps: Array) -> Differences:
    """d image / d theta by (f(theta + h) - f(theta - h)) / 2h, h = steps[k] for parameter k.

    Rows are 0 where nothing is seen. They hold at pixels that see the same primitive, or nothing, in all three images.
    """
    here = trace(world_at(scene, free, theta))
    columns: dict[str, list[Array]] = {name: [] for name in OUTPUTS}
    valid = []
    for k, step in enumerate(steps):
        h = np.zeros(len(theta))
        h[k] = step
        ahead, behind = trace(world_at(scene, free, theta + h)), trace(world_at(scene, free, theta - h))
        same = (ahead.ids == here.ids) & (behind.ids == here.ids)
        valid.append(same)
        for name in OUTPUTS:
            slope = (ahead.channels[name] - behind.channels[name]) / (2 * step)
            columns[name].append(np.where((same & (here.ids >= 0))[..., None], slope, 0.0))
    if not len(steps):
        return Differences(
            {name: np.zeros((*here.ids.shape, CHANNELS[name], 0)) for name in OUTPUTS},
            np.ones((*here.ids.shape, 0), bool),
        )
    return Differences({name: np.stack(c, axis=-1) for name, c in columns.items()}, np.stack(valid, axis=-1))
