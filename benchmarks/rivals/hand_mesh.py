"""The bottle by a hand-written rasteriser in C++: depth, and normal equations by its pose with Huber's loss.

python -m benchmarks.rivals.hand_mesh [data=DIR]
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from benchmarks import scenes
from benchmarks.contender import Case, Contender, main
from benchmarks.rivals.hand_built import aligned, bind, load, version

HUBER = 0.01
TOLERANCE = 1e-3


def expected(right: scenes.BottleReference, observed: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Cost, J'r, J'J by the reference, and what J'r would be if all residuals had one sign."""
    residual = right.depth - observed
    counts = np.isfinite(residual)
    J, r = right.partials[:, counts], residual[counts]
    size = np.abs(r)
    weight = np.minimum(1.0, HUBER / np.maximum(size, 1e-30))
    cost = np.where(size > HUBER, HUBER * (size - HUBER / 2), r * r / 2).sum()
    return float(cost), J @ (weight * r), (J * weight) @ J.T, np.abs(J) @ (weight * size)


def sums_deviation(out: np.ndarray, right: scenes.BottleReference, observed: np.ndarray) -> float:
    """Of the 28 sums, each beside what it may be at most."""
    cost, gradient, H, scale = expected(right, observed)
    lower = np.tril_indices(6)
    most = np.sqrt(np.outer(np.diag(H), np.diag(H)))[lower]
    return float(
        max(
            abs(out[0] - cost) / cost,
            (np.abs(out[1:7] - gradient) / scale).max(),
            (np.abs(out[7:] - H[lower]) / most).max(),
        )
    )


def build(options: dict[str, str]) -> Contender:
    """Cases `render` and `normal_equations`."""
    frame = scenes.bottle(Path(options.get("data") or scenes.default_data()))
    poses = [frame.T_camera_mesh + np.eye(4)[:, 3:] * 1e-5 * k for k in range(2)]
    T = [np.ascontiguousarray(pose[:3], np.float32) for pose in poses]
    vertices = np.ascontiguousarray(frame.vertices.T, np.float32)
    faces = np.ascontiguousarray(frame.faces.T, np.int32)
    camera = (frame.width, frame.height, float(frame.fx), float(frame.fy), float(frame.cx), float(frame.cy))
    observed, image, out = aligned(frame.depth.shape), aligned(frame.depth.shape), np.zeros(28)
    observed[:] = frame.depth
    library = load("hand_mesh")
    new = library.hand_mesh_new
    new.restype = ctypes.c_void_p
    pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (vertices, faces)]
    mesh = ctypes.c_void_p(new(pointers[0], vertices.shape[1], pointers[1], faces.shape[1]))
    renders = [bind(library, "hand_mesh_depth", (mesh, pose, *camera, image)) for pose in T]
    sums = [bind(library, "hand_mesh_sums", (mesh, pose, *camera, observed, HUBER, out)) for pose in T]
    renders[0]()
    sums[0]()
    right = scenes.bottle_reference(frame, np.vstack([T[0].astype(np.float64), [0, 0, 0, 1]]))
    deviations = {
        "render": scenes.deviation(image, right.depth, right.compare),
        "normal_equations": sums_deviation(out, right, observed),
    }
    if not max(deviations.values()) <= TOLERANCE:
        raise RuntimeError(f"the rasteriser is wrong by {deviations}")
    cases = {
        "render": Case(lambda k: renders[k % 2]()),
        "normal_equations": Case(lambda k: sums[k % 2](), note="all faces, either side"),
    }
    return Contender(cases, version(), deviations)


if __name__ == "__main__":
    main(build)
