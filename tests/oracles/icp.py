"""Point-to-plane ICP of a mesh to a depth image: an oracle for pose fits that never renders.

Every measured pixel becomes a point with a normal, and is paired with the nearest sample of the part of the
surface that faces the camera. A rigid increment then minimises the distances along the surface's normals
(Chen and Medioni, "Object modelling by registration of multiple range images", 1992). Tukey's biweight of the
pairs' distances keeps other objects out; its scale shrinks from centimetres, which draws in a distant start,
to millimetres, where a table a few centimetres away has no weight at all.

It sees no outlines, so motions that slide the surface along itself rest on few pixels. For a bottle these are
the turn about its long axis and the shift along it: smooth depth errors of millimetres, as stereo makes them,
move the answer by degrees and millimetres there.

Frames: T_a_b takes points of frame b to frame a. Cameras are OpenCV's: x right, y down, z forward, pixel
centres at integers. Lengths are metres.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]

TUKEY_REACH = 3.0  # pairs further apart than this many scales have no weight
SCALES_M = np.geomspace(0.030, 0.004, 15)
STEPS_PER_SCALE = 3
FINAL_STEPS = 40
CONVERGED_ROTATION, CONVERGED_TRANSLATION_M = 1e-4, 1e-5  # the size of the noise of the sampling
NORMALS_AGREE = 0.7  # least cosine between a pixel's normal and its sample's
NOT_GRAZING = 0.2  # least cosine between a sample's normal and the direction to the camera


class OrientedPoints(NamedTuple):
    """Points on a surface [m] and its unit normals there, both [n, 3]."""

    points: Array
    normals: Array

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> OrientedPoints:
        return OrientedPoints(self.points[chosen], self.normals[chosen])

    def moved(self, T: Array) -> OrientedPoints:
        return OrientedPoints(self.points @ T[:3, :3].T + T[:3, 3], self.normals @ T[:3, :3].T)


def sample_mesh(vertices: Array, faces: NDArray[np.integer], count: int, seed: int = 0) -> OrientedPoints:
    """Points spread evenly over the mesh's area, each with its face's outward normal.

    Outward is the side from which the face's corners run counter-clockwise.
    """
    corner = vertices[faces]
    cross = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    twice_area = np.linalg.norm(cross, axis=1)
    upto = np.cumsum(twice_area)
    face = np.searchsorted(upto, (np.arange(count) + 0.5) / count * upto[-1])

    # Uniform in a triangle: uniform in the parallelogram, whose far half is folded back
    st = np.random.default_rng(seed).random((count, 2))
    st = np.where(st.sum(axis=1, keepdims=True) > 1, 1 - st, st)
    weights = np.column_stack([1 - st.sum(axis=1), st])
    return OrientedPoints(np.einsum("nk,nkx->nx", weights, corner[face]), cross[face] / twice_area[face, None])


def points_of_depth(depth_m: Array, K: Array, half_window: int = 3, jump_m: float = 0.01) -> OrientedPoints:
    """Points of a depth image and their normals, towards the camera. 0 or NaN: nothing measured.

    Pixels beside a hole or a jump in depth are left out: there stereo mixes surfaces. A plane n . X = d has
    1/z = n . (x, y, 1) / d, affine in the pixel's ray (x, y, 1). So the least-squares affine fit of 1/z over
    a window gives the normal; in stereo, the error of 1/z is the same at every depth.
    """
    measured = np.isfinite(depth_m) & (depth_m > 0)
    rows, cols = np.indices(depth_m.shape)
    x, y = (cols - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1]
    z = np.where(measured, depth_m, 1.0)
    filled = uniform_filter(measured.astype(float), 2 * half_window + 1, mode="constant")

    near = minimum_filter(np.where(measured, depth_m, -np.inf), 3)  # -inf beside a hole
    far = maximum_filter(np.where(measured, depth_m, np.inf), 3)
    keep = measured & (filled > 0.6) & (far - near < jump_m)

    def window_mean(q: Array) -> Array:
        total = uniform_filter(q * measured, 2 * half_window + 1, mode="constant")
        return np.asarray(total[keep] / filled[keep])

    inverse = 1 / z
    x0, y0, inverse0 = window_mean(x), window_mean(y), window_mean(inverse)
    xx, yy = window_mean(x * x) - x0 * x0, window_mean(y * y) - y0 * y0
    xy = window_mean(x * y) - x0 * y0
    xi, yi = window_mean(x * inverse) - x0 * inverse0, window_mean(y * inverse) - y0 * inverse0
    det = xx * yy - xy * xy
    slope_x, slope_y = (yy * xi - xy * yi) / det, (xx * yi - xy * xi) / det
    normal = -np.column_stack([slope_x, slope_y, inverse0 - slope_x * x0 - slope_y * y0])
    return OrientedPoints(
        np.column_stack([(x * z)[keep], (y * z)[keep], z[keep]]),
        normal / np.linalg.norm(normal, axis=1, keepdims=True),
    )


def fit_pose_icp(
    vertices: Array,
    faces: NDArray[np.integer],
    depth_m: Array,
    K: Array,
    T_camera_mesh_start: Array,
    *,
    samples: int = 30_000,
) -> Array:
    """The pose T_camera_mesh [4, 4] of a closed mesh (vertices [n, 3], faces [m, 3]) in a depth image [h, w].

    K is the camera's 3 x 3 matrix. The start may be some 30 degrees and a few centimetres off. Raises
    ValueError where fewer than 100 pixels pair with the mesh.
    """
    surface = sample_mesh(vertices, faces, samples)
    centre_mesh = surface.points.mean(axis=0)
    radius = np.linalg.norm(surface.points - centre_mesh, axis=1).max()
    T = np.array(T_camera_mesh_start, dtype=np.float64)
    T[:3, :3] = Rotation.from_matrix(T[:3, :3]).as_matrix()  # a start in few decimals is not quite orthogonal

    observed = points_of_depth(depth_m, K)
    from_centre = np.linalg.norm(observed.points - (T[:3, :3] @ centre_mesh + T[:3, 3]), axis=1)
    observed = observed.where(from_centre < radius + TUKEY_REACH * SCALES_M[0])

    for scale in np.concatenate([np.repeat(SCALES_M, STEPS_PER_SCALE), np.full(FINAL_STEPS, SCALES_M[-1])]):
        centre = T[:3, :3] @ centre_mesh + T[:3, 3]
        rotation, translation = _step(surface.moved(T), observed, centre, TUKEY_REACH * float(scale))
        increment = np.eye(4)
        increment[:3, :3] = Rotation.from_rotvec(rotation).as_matrix()
        increment[:3, 3] = centre + translation - increment[:3, :3] @ centre
        T = increment @ T
        turned, shifted = np.linalg.norm(rotation), np.linalg.norm(translation)
        if scale == SCALES_M[-1] and turned < CONVERGED_ROTATION and shifted < CONVERGED_TRANSLATION_M:
            break
    return T


def _step(surface: OrientedPoints, observed: OrientedPoints, centre: Array, reach_m: float) -> tuple[Array, Array]:
    """A Gauss-Newton step of the surface to the pixels: a rotation vector about `centre`, a translation."""
    to_camera = -surface.points / np.linalg.norm(surface.points, axis=1, keepdims=True)
    seen = surface.where(np.einsum("nx,nx->n", surface.normals, to_camera) > NOT_GRAZING)
    distance, nearest = cKDTree(seen.points).query(observed.points, distance_upper_bound=reach_m)
    found = np.isfinite(distance)
    pixel, model, distance = observed.where(found), seen.where(nearest[found]), distance[found]

    agree = np.einsum("nx,nx->n", pixel.normals, model.normals) > NORMALS_AGREE
    if agree.sum() < 100:
        raise ValueError(f"only {agree.sum()} pixels pair with the mesh; is the start pose within a few centimetres?")
    weight = agree * (1 - (distance / reach_m) ** 2) ** 2

    # A surface point p moves by rotation x (p - centre) + translation; its part along the normal counts
    residual = np.einsum("nx,nx->n", pixel.points - model.points, model.normals)
    jacobian = np.hstack([np.cross(model.points - centre, model.normals), model.normals])
    weighted = jacobian * weight[:, None]
    step = np.linalg.solve(weighted.T @ jacobian, weighted.T @ residual)
    return step[:3], step[3:]
