"""Make the sample that `diffrt-aot sample` copies out: a toy truck, a noisy depth image of it, and the scene file.

    python tools/make_sample.py        # writes python/diffrt_aot/sample/

The image is what a small stereo camera would see: depth in millimetres, in steps of a sixteenth of a pixel of
disparity; noise that grows with the distance and comes in blobs; nothing (0) beyond its range, in the shadow of the
second camera, in some holes and along most edges, where the rest are mixed of before and behind.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import diffrt_aot as dr
from diffrt_aot.image_io import save_depth

FOLDER = Path(__file__).resolve().parents[1] / "python" / "diffrt_aot" / "sample"
CAMERA = dr.PinholeCamera(width=320, height=240, fx=290, fy=290, cx=159.5, cy=119.5)
BASELINE, RANGE = 0.05, (0.25, 1.1)  # [m]
PITCH = np.radians(35)  # of the camera, downwards


def pose(axis: np.ndarray, turn: float, origin: np.ndarray) -> np.ndarray:
    """T_world_truck of a truck whose own z axis is `axis`, turned about it by `turn`."""
    x = np.cross([0.0, 0.0, 1.0], axis)
    x /= np.linalg.norm(x)
    R = np.stack([x, np.cross(axis, x), axis], axis=1) @ rotation([0, 0, turn])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, origin
    return T


def rotation(vector: list[float]) -> np.ndarray:
    """The rotation by a vector of angles [rad]: Rodrigues."""
    angle = np.linalg.norm(vector)
    x, y, z = np.array(vector) / max(angle, 1e-300)
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K @ K


UP = np.array([0.0, -np.cos(PITCH), -np.sin(PITCH)])
TRUTH = pose(UP, np.radians(-35), np.array([0.0, 0.030, 0.36]))
START = TRUTH.copy()
START[:3, :3] = START[:3, :3] @ rotation([0.09, -0.07, 0.12])
START[:3, 3] += [0.012, -0.008, 0.014]
START = START.round(9)


def extruded(polygon: list[tuple[float, float]], y: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a convex polygon (x, z) drawn out from y[0] to y[1]."""
    n = len(polygon)
    vertices = [[x, side, z] for side in y for x, z in polygon]
    ends = [[0, k, k + 1] for k in range(1, n - 1)]
    faces = [face[::-1] for face in ends] + [[n + k for k in face] for face in ends]
    for k in range(n):
        following = (k + 1) % n
        faces += [[k, following, n + following], [k, n + following, n + k]]
    return np.array(vertices), np.array(faces)


def box(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    return extruded([(x[0], z[0]), (x[0], z[1]), (x[1], z[1]), (x[1], z[0])], y)


def wheel(x: float, y: tuple[float, float], radius: float = 0.014, sides: int = 32) -> tuple[np.ndarray, np.ndarray]:
    turn = 2 * np.pi * np.arange(sides) / sides
    return extruded([(x + radius * np.sin(t), radius + radius * np.cos(t)) for t in turn], y)


def truck() -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a toy truck that stands at its origin, upwards along z and forwards along x [m]."""
    cab = [(0.018, 0.018), (0.018, 0.072), (0.042, 0.072), (0.052, 0.048), (0.068, 0.044), (0.070, 0.018)]
    parts = [
        box((-0.070, 0.068), (-0.020, 0.020), (0.010, 0.020)),  # the chassis
        extruded(cab, (-0.026, 0.026)),
        box((-0.072, 0.014), (-0.028, 0.028), (0.020, 0.025)),  # the bed, and its walls
        box((-0.072, 0.014), (-0.028, -0.025), (0.024, 0.045)),
        box((-0.072, 0.014), (0.025, 0.028), (0.024, 0.045)),
        box((-0.072, -0.069), (-0.026, 0.026), (0.024, 0.045)),
        box((0.011, 0.014), (-0.026, 0.026), (0.024, 0.045)),
        *(wheel(x, y) for x in (-0.045, 0.044) for y in ((-0.030, -0.018), (0.018, 0.030))),
    ]
    vertices, faces, count = [], [], 0
    for part_vertices, part_faces in parts:
        vertices.append(part_vertices)
        faces.append(part_faces + count)
        count += len(part_vertices)
    return np.concatenate(vertices).round(5), np.concatenate(faces)


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """`image` filtered by a Gaussian."""
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / sigma) ** 2)
    for axis in (0, 1):
        image = np.apply_along_axis(np.convolve, axis, image, kernel / kernel.sum(), mode="same")
    return image


def in_shadow(disparity: np.ndarray) -> np.ndarray:
    """Where something nearer hides from the second camera, BASELINE to the right, what the first sees."""
    shadow = np.zeros(disparity.shape, bool)
    columns = np.arange(disparity.shape[1])
    for row, hidden in zip(disparity, shadow, strict=True):
        place = columns - row  # where the second camera sees it
        nearest = np.minimum.accumulate(place[::-1])[::-1]  # of what is further right
        hidden[:-1] = nearest[1:] <= place[:-1]
    return shadow


def measured(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What the camera makes of a true depth image [m]: NaN where it measures nothing."""
    around = np.lib.stride_tricks.sliding_window_view(np.pad(depth, 1, mode="edge"), (3, 3)).reshape(*depth.shape, 9)
    edge = CAMERA.fx * BASELINE * (1 / around.min(axis=2) - 1 / around.max(axis=2)) > 0.8  # [px]
    mix = rng.random(depth.shape)
    mixed = mix * around.min(axis=2) + (1 - mix) * around.max(axis=2)
    seen = np.where(edge, mixed, depth)
    noise = 0.05 * rng.normal(size=depth.shape) + 0.9 * blurred(rng.normal(size=depth.shape), 1.2)
    disparity = CAMERA.fx * BASELINE / seen + 0.6 * noise
    seen = CAMERA.fx * BASELINE / (np.rint(16 * disparity) / 16)
    nothing = (seen < RANGE[0]) | (seen > RANGE[1]) | (depth > RANGE[1]) | in_shadow(CAMERA.fx * BASELINE / depth)
    nothing |= edge & (rng.random(depth.shape) < 0.7)
    nothing |= blurred(rng.normal(size=depth.shape), 2.0) > 0.36  # some holes
    return np.where(nothing, np.nan, seen)


def frame(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The depth image: the truck on a table, a ball before it and another behind."""
    ground = TRUTH[:3, 3]
    side = np.array([1.0, 0.0, 0.0])
    away = np.cross(UP, side)

    def ball(x: float, y: float, radius: float) -> dr.Sphere:
        return dr.Sphere(ground + x * side + y * away + radius * UP, radius)

    scene = dr.Scene(
        CAMERA,
        {
            "truck": dr.Mesh(vertices, faces, TRUTH),
            "table": dr.Plane(ground, UP),
            "near": ball(0.035, -0.085, 0.016),
            "far": ball(-0.11, 0.10, 0.035),
        },
    )
    return measured(
        dr.Renderer(scene, output="depth", boundary="none").render().astype(float), np.random.default_rng(7)
    )


SCENE = """\
# A toy truck in the depth image of a small stereo camera. Made by tools/make_sample.py.
#
#   diffrt-aot fit truck.toml --observed depth.png --output-dir out
#
# The world is the camera's frame: x to the right, y down, z forward. Lengths are metres.

[camera]
width = {camera.width}
height = {camera.height}
fx = {camera.fx}
fy = {camera.fy}
cx = {camera.cx}
cy = {camera.cy}

[shapes.truck]
type = "mesh"
file = "truck.obj"
# Where the search starts, 10 degrees and 2 cm off. The picture was made with
#{truth}
T_world_mesh = [
{start}
]

[fit]
free = ["truck.pose"]                   # six numbers: rotation and translation
output = "depth"
depth_scale = 0.001                     # the image is in millimetres; 0 in it says that nothing was measured
loss = {{ type = "cauchy", c = 0.003 }}   # what is off by more than 3 mm (edges, the table) counts for ever less
"""


def text_of(T: np.ndarray, before: str) -> str:
    return "\n".join(f"{before}[{', '.join(f'{x:.9g}' for x in row)}]," for row in T)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    vertices, faces = truck()
    lines = ["# A toy truck, in metres: it stands at the origin, z up, x forward. Made by tools/make_sample.py."]
    lines += [f"v {x:g} {y:g} {z:g}" for x, y, z in vertices]
    lines += [f"f {a} {b} {c}" for a, b, c in faces + 1]
    (FOLDER / "truck.obj").write_text("\n".join(lines) + "\n")
    save_depth(FOLDER / "depth.png", frame(vertices, faces))
    truth = "\n#".join(text_of(TRUTH, "     ").split("\n"))
    (FOLDER / "truck.toml").write_text(SCENE.format(camera=CAMERA, truth=truth, start=text_of(START, "    ")))
    for path in sorted(FOLDER.iterdir()):
        print(f"{path.stat().st_size:7d} bytes  {path}")


if __name__ == "__main__":
    main()
