"""An oracle: images integrated over pixels, and their derivative, by Monte Carlo edge sampling.

After Li, Aittala, Durand and Lehtinen 2018, "Differentiable Monte Carlo ray tracing through edge sampling". Random
points in the pixels give the mean of f and of df/dtheta; random points u on everything at which f may jump,
(f_in - f_out) nu, with nu = (dq/dtheta) / |grad q| at the fixed point u. It shares with boundary="exact" what surfaces
are and the function q, but neither coverage nor which edges are silhouettes nor what they hide: edges within a surface
are sampled like any other.

The result is noisy, by 1 / sqrt(samples), and unbiased but for the curves along which two shapes pass through one
another: depth does not jump there, normals do.
"""

import numpy as np

from kernels.cameras.pinhole import pinhole_direction
from kernels.geometry.plane import conic_of_plane
from kernels.numbers import Dual, value_of
from kernels.reference.edges import edges_of
from kernels.reference.parameters import Parameters
from kernels.reference.primitives import Plane, Sphere
from kernels.reference.render import sample, view_of

# How far beside an edge [px] a ray sees its sides.
BESIDE = 1e-5


def sampled(scene, outputs=("distance",), background=None, free=(), theta=None, samples=16, edge_samples=1000, seed=0):
    """(image, J), as `jacobian`. Pixels have no value where any of their rays has none.

    Args:
        samples: n, for n^2 points in each pixel, one at random in each of n x n squares.
        edge_samples: points on each sphere's silhouette, each edge and each horizon.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    parameters = Parameters(scene, free, theta)
    view, names = view_of(scene, parameters, outputs, background)
    v, u = np.mgrid[0 : scene.camera.height, 0 : scene.camera.width]
    image, J = 0.0, 0.0
    for i, j in np.ndindex(samples, samples):
        du, dv = ((k + rng.uniform(size=u.shape)) / samples - 0.5 for k in (i, j))
        values, partials = sample(view, u + du, v + dv, parameters.count)
        image, J = image + values / samples**2, J + partials / samples**2

    for k, primitive in enumerate(view.primitives):
        if isinstance(primitive, Sphere):
            _add(view, J, _sphere_points(primitive, view, edge_samples, rng), primitive.silhouette, {k})
        elif isinstance(primitive, Plane):
            _add(view, J, _horizon_points(primitive, view, J.shape, edge_samples, rng), primitive.silhouette, {k})
    for edge in edges_of(scene, parameters):
        points = _edge_points(edge, view, J.shape, edge_samples, rng)
        _add(view, J, points, lambda direction, edge=edge: edge.silhouette(direction, 1.0), {k for k, _ in edge.faces})
    J[np.isnan(image)] = np.nan
    return (image[:, :, 0], J[:, :, 0]) if len(names) == 1 else (image, J)


def _add(view, J, points, silhouette, owners):
    """Adds the boundary term of points (u, v, dl), dl being the length [px] that each stands for.

    It counts where one of the owners is seen beside the point, on either side.
    """
    if points is None:
        return
    u, v, length = points
    inside = (u > -0.5) & (v > -0.5) & (u < J.shape[1] - 0.5) & (v < J.shape[0] - 0.5) & (length > 0.0)
    u, v, length = u[inside], v[inside], length[inside]
    plain = [value_of(x) for x in view.intrinsics]
    q = silhouette(pinhole_direction(u, v, *view.intrinsics))
    at = silhouette(pinhole_direction(Dual(u, {"u": 1.0}), Dual(v, {"v": 1.0}), *plain))
    gu, gv = (np.broadcast_to(at.partials[axis], u.shape) for axis in "uv")
    steepness = np.hypot(gu, gv)
    step = np.stack([gu, gv], axis=1) * (BESIDE / steepness)[:, None]
    points = np.stack([u, v], axis=1)
    sides, seen = zip(*(_look(view, points + sign * step, owners, J.shape[-1]) for sign in (1.0, -1.0)), strict=True)
    visible = np.isin(seen[0], list(owners)) | np.isin(seen[1], list(owners))
    weight = np.where(visible, length / steepness, 0.0)[:, None] * (sides[0] - sides[1])
    pixel = (v + 0.5).astype(int), (u + 0.5).astype(int)
    for place, partial in q.partials.items() if isinstance(q, Dual) else ():
        np.add.at(J[..., place], pixel, weight * np.broadcast_to(partial, u.shape)[:, None])


def _look(view, points, owners, count):
    """(channels (N, C), ids) seen at image points.

    A sphere that owns the silhouette has a square root there, which vanishes: it is left out.
    """
    u, v = points.T
    values, _ = sample(view, u, v, count)
    _, ids = view.nearest(points)
    for k in owners:
        seen = ids == k
        if isinstance(view.primitives[k], Sphere) and seen.any():
            direction = pinhole_direction(u[seen], v[seen], *(value_of(x) for x in view.intrinsics))
            for c, channel in enumerate(view.channels(view.primitives[k].extended(direction, 0.0), direction)):
                values[seen, c] = value_of(channel)
    return values, ids


def _sphere_points(sphere, view, count, rng):
    """On the circle in which the cone of rays touches the sphere."""
    center, radius = sphere.center.map(value_of), value_of(sphere.radius)
    c = np.array([*center])
    square = c @ c
    if sphere.gap <= 0.0:
        return None
    sine = radius / np.sqrt(square)
    e1 = np.cross(c, np.eye(3)[np.argmin(np.abs(c))])
    e1 /= np.linalg.norm(e1)
    e2 = np.cross(c, e1) / np.sqrt(square)
    angle = 2.0 * np.pi * (np.arange(count) + rng.uniform(size=count)) / count
    across = radius * np.sqrt(1.0 - sine**2)
    X = c * (1.0 - sine**2) + across * (np.cos(angle)[:, None] * e1 + np.sin(angle)[:, None] * e2)
    dX = across * (np.cos(angle)[:, None] * e2 - np.sin(angle)[:, None] * e1)
    ahead = X[:, 2] > 0.0
    return _project(view, X[ahead], dX[ahead], 2.0 * np.pi / count)


def _project(view, X, dX, step):
    """Image points of X(t), and the lengths that steps of t have there."""
    fx, fy, cx, cy = (value_of(x) for x in view.intrinsics)
    (x, y, z), (dx, dy, dz) = X.T, dX.T
    du, dv = fx * (dx * z - x * dz) / z**2, fy * (dy * z - y * dz) / z**2
    return fx * x / z + cx, fy * y / z + cy, np.hypot(du, dv) * step


def _horizon_points(plane, view, shape, count, rng):
    fx, fy, cx, cy = (value_of(x) for x in view.intrinsics)
    if value_of(plane.offset) == 0.0:
        return None
    conic = conic_of_plane(pinhole_direction(0.0, 0.0, fx, fy, cx, cy), plane.normal.map(value_of), 1.0, fx, fy)
    g = np.array(conic.gradient)
    if not g.any():
        return None
    n, reach = g / np.linalg.norm(g), float(np.hypot(*shape[:2]))
    middle = np.array([shape[1] - 1.0, shape[0] - 1.0]) * 0.5
    foot = middle - n * (conic.value / np.linalg.norm(g) + n @ middle)
    ends = foot + reach * np.array([-n[1], n[0]]), foot - reach * np.array([-n[1], n[0]])
    return _on_segment(*ends, count, rng)


def _edge_points(edge, view, shape, count, rng):
    """On the part of an edge that is in the image."""
    ends = edge.projected(*(value_of(x) for x in view.intrinsics))
    if ends is None:
        return None
    a, b = np.array(ends)
    low, high = 0.0, 1.0
    for axis, size in ((0, shape[1]), (1, shape[0])):
        for sign, limit in ((1.0, -0.5), (-1.0, size - 0.5)):  # where sign (a + t (b - a) - limit) > 0
            at, slope = sign * (a[axis] - limit), sign * (b[axis] - a[axis])
            if slope == 0.0:
                high = high if at > 0.0 else low
            elif slope > 0.0:
                low = max(low, -at / slope)
            else:
                high = min(high, -at / slope)
    if high <= low:
        return None
    return _on_segment(a + low * (b - a), a + high * (b - a), count, rng)


def _on_segment(a, b, count, rng):
    t = (np.arange(count) + rng.uniform(size=count)) / count
    u, v = (a[:, None] + (b - a)[:, None] * t).copy()
    return u, v, np.full(count, np.linalg.norm(b - a) / count)
