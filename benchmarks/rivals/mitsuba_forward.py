"""Mitsuba 3 (llvm_ad_rgb), the bottle: primary rays, depth, and its 6 pose columns by forward mode, one
propagation per column.

python -m benchmarks.rivals.mitsuba_forward [data=DIR]
Needs an LLVM shared library (DRJIT_LIBLLVM_PATH names it if it is not found).

Interior derivative only, like boundary="none". The acceleration structure is rebuilt when the pose moves.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks import scenes
from benchmarks.contender import Case, Contender, Skip, main

try:
    import mitsuba as mi

    mi.set_variant("llvm_ad_rgb")
    import drjit as dr
except ImportError as error:
    raise SystemExit(f"mitsuba does not load: {error}") from None


class Depth:
    """Depth (Z) of the posed mesh, differentiable by xi = (rho, phi), T <- T exp(xi)."""

    def __init__(self, frame: scenes.Bottle) -> None:
        mesh = mi.Mesh("bottle", len(frame.vertices), len(frame.faces))
        parameters = mi.traverse(mesh)
        parameters["vertex_positions"] = mi.Float(frame.vertices.ravel().astype(np.float32))
        parameters["faces"] = mi.UInt32(frame.faces.ravel().astype(np.uint32))
        parameters.update()
        self.scene = mi.load_dict({"type": "scene", "bottle": mesh})
        self.parameters = mi.traverse(self.scene)
        self.key = next(key for key in self.parameters.keys() if key.endswith("vertex_positions"))  # noqa: SIM118
        self.body = mi.Point3f(*(mi.Float(c.astype(np.float32)) for c in frame.vertices.T))
        self.T = frame.T_camera_mesh
        j, i = np.mgrid[: frame.height, : frame.width]
        x = mi.Float(((i - frame.cx) / frame.fx).ravel().astype(np.float32))
        y = mi.Float(((j - frame.cy) / frame.fy).ravel().astype(np.float32))
        self.rays = mi.Ray3f(o=mi.Point3f(0), d=mi.Vector3f(x, y, 1))  # not normalised: t is Z
        self.shape = (frame.height, frame.width)
        dr.eval(self.rays, self.body)

    def look(self) -> mi.Float:
        """Z at the pose set last, 0 where it misses."""
        si = self.scene.ray_intersect(self.rays, ray_flags=mi.RayFlags.All, coherent=True)
        return dr.select(si.is_valid(), si.t, 0.0)

    def trace(self, xi: mi.Float | list[float]) -> mi.Float:
        """Z, 0 where it misses. xi: 6 numbers, literal or differentiable (first order in xi, exact at 0)."""
        rho, phi = mi.Vector3f(*xi[:3]), mi.Vector3f(*xi[3:])
        moved = self.body + rho + dr.cross(phi, mi.Vector3f(self.body))
        R, t = self.T[:3, :3], self.T[:3, 3]
        p = [
            float(R[k, 0]) * moved.x + float(R[k, 1]) * moved.y + float(R[k, 2]) * moved.z + float(t[k])
            for k in range(3)
        ]
        self.parameters[self.key] = dr.ravel(mi.Point3f(*p))
        self.parameters.update()
        return self.look()

    def render(self, moved: bool) -> None:
        """One depth image, at a new pose or at the last one."""
        dr.eval(self.trace([mi.Float(0.0)] * 6) if moved else self.look())
        dr.sync_thread()

    def jacobian(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Depth and its 6 columns, (H, W) each."""
        columns = []
        for k in range(6):
            xi = [mi.Float(0.0) for _ in range(6)]
            dr.enable_grad(xi[k])
            depth = self.trace(xi)
            dr.forward(xi[k], dr.ADFlag.ClearEdges)
            column = dr.grad(depth)
            dr.eval(depth, column)
            dr.sync_thread()
            columns.append(column)
        return depth.numpy().reshape(self.shape), [c.numpy().reshape(self.shape) for c in columns]


def central(depth: Depth, k: int, step: float = 1e-4) -> np.ndarray:
    """One column by central differences."""
    ends = []
    for sign in (1, -1):
        xi = [mi.Float(sign * step if m == k else 0.0) for m in range(6)]
        ends.append(depth.trace(xi).numpy().reshape(depth.shape))
    return (ends[0] - ends[1]) / (2 * step)


def build(options: dict[str, str]) -> Contender:
    """Cases `jacobian` (depth + 6 columns) and `render`."""
    frame = scenes.bottle(Path(options.get("data") or scenes.default_data()))
    try:
        depth = Depth(frame)
        value, columns = depth.jacobian()
    except RuntimeError as error:
        raise Skip(f"mitsuba: {error}") from None
    seen = value > 0
    error = max(float(np.median(np.abs(central(depth, k) - columns[k])[seen])) for k in range(6))
    cases = {
        "jacobian": Case(lambda k: depth.jacobian(), note="depth + 6 columns"),
        "render": Case(lambda k: depth.render(True), note="acceleration structure rebuilt"),
        "render, same pose": Case(lambda k: depth.render(False)),
    }
    if error > 1e-2:
        raise RuntimeError(f"columns differ from central differences by {error:.1e}")
    return Contender(cases, {"mitsuba": mi.__version__})


if __name__ == "__main__":
    main(build)
