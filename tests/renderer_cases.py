"""Scenes that the renderer's tests share: every shape, from every awkward side, and the thetas they are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import trimesh
from oracles import renderer as oracle
from scipy.spatial.transform import Rotation

import diffrt_aot as dr
from diffrt_aot.scene import free_sizes

OUTPUTS = list(oracle.OUTPUTS)
TURN = 0.2


@dataclass(frozen=True)
class Case:
    """A scene, its free names, and what its numbers are like.

    scale   how far a number of length moves in a step: the size of what is seen [scene units]
    turn    how far an angle moves between the thetas [rad]
    reach   how near an edge [px] single precision may put a pixel on the wrong side
    amplify how much more than usual the geometry makes of the rounding of a parameter. (Usual is a center a few radii
            away, or a radius a few distances long.)
    """

    scene: dr.Scene
    free: list[str]
    scale: float = 1.0
    turn: float = TURN
    reach: float = 1e-4
    amplify: float = 1.0

    def thetas(self) -> list[np.ndarray]:
        """theta0, where poses are zero, and a theta where nothing is where it was."""
        theta0 = oracle.theta_of(self.scene, self.free)
        rng = np.random.default_rng(1)
        return [theta0, theta0 + np.concatenate([[], *(self._motion(name, rng) for name in self.free)])]

    def _motion(self, name: str, rng: np.random.Generator) -> np.ndarray:
        size = free_sizes(self.scene)[name]
        noise = rng.uniform(-1.0, 1.0, size)
        field = name.split(".")[1]
        if field == "pose":
            return noise * np.repeat([0.1 * self.scale, self.turn], 3)
        if field == "normal":
            return noise * 0.2
        return noise * {"focal": 1.0, "principal": 1.0}.get(field, 0.05 * self.scale)

    def steps(self) -> np.ndarray:
        """Steps for central differences of an image in float64: 1e-6 of what a number is measured in.

        What is cut off is 1e-12 times the third derivative, and rounding adds 1e-16 / 1e-6.
        """
        turn = self.turn / TURN
        units = {"pose": np.repeat([self.scale, turn], 3), "focal": 10.0, "principal": 10.0, "normal": 1.0}
        sizes = free_sizes(self.scene)
        steps = [np.full(sizes[n], 1e-6) * units.get(n.split(".")[1], self.scale) for n in self.free]
        return np.concatenate([[], *steps])


def pose(rotation_vector=(0, 0, 0), translation=(0, 0, 0)) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_rotvec(rotation_vector).as_matrix()
    T[:3, 3] = translation
    return T


def looking_at(target, origin) -> np.ndarray:
    """T_world_camera of a camera at `origin`, with `target` on its axis; rolled a little."""
    z = np.subtract(target, origin) / np.linalg.norm(np.subtract(target, origin))
    x = np.cross([0.3, 1.0, 0.2], z)
    x /= np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    T[:3, 3] = origin
    return T


def ball_mesh(subdivisions: int, radius: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return np.array(mesh.vertices), np.array(mesh.faces)


CUBE = (
    np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float),
    np.array(
        [
            [0, 1, 3],
            [0, 3, 2],
            [4, 6, 7],
            [4, 7, 5],
            [0, 4, 5],
            [0, 5, 1],
            [2, 3, 7],
            [2, 7, 6],
            [0, 2, 6],
            [0, 6, 4],
            [1, 5, 7],
            [1, 7, 3],
        ]
    ),
)
OCTAHEDRON = (
    np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=float),
    np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]),
)
CAMERA = dr.PinholeCamera(37, 23, 40, 42, 18.3, 11.2)
ROTATED = CAMERA.replace(T_world_camera=looking_at((0.4, -0.2, 6.0), (7.0, -3.0, 0.5)))
INTRINSICS = ["camera.focal", "camera.principal"]


def sheet(cells: int, half: float) -> tuple[np.ndarray, np.ndarray]:
    """A square of cells x cells squares, from -half to half in x and y."""
    x = np.linspace(-half, half, cells + 1)
    vertices = np.array([(u, v, 0.0) for v in x for u in x])
    corners = [i * (cells + 1) + j for i in range(cells) for j in range(cells)]
    faces = [(a, a + 1, a + cells + 1) for a in corners]
    return vertices, np.array(faces + [(a + 1, a + cells + 2, a + cells + 1) for a in corners])


def many_meshes() -> list[dr.Mesh]:
    """Nine that overlap in the image, of three kinds."""
    kinds = [(CUBE[0] * 0.35, CUBE[1]), (OCTAHEDRON[0] * 0.6, OCTAHEDRON[1]), ball_mesh(1, 0.5)]
    places = [(0.9 * (k % 3 - 1), 0.7 * (k // 3 - 1), 4.5 + 0.3 * (k % 4)) for k in range(9)]
    return [dr.Mesh(*kinds[k % 3], pose((0.3 * k, 0.7, -0.2 * k), place)) for k, place in enumerate(places)]


def everything(scene: dr.Scene) -> list[str]:
    """Every free name, but no vertices: there are many, and they turn a rigid mesh into a free one."""
    return [name for name in dr.valid_free_names(scene) if not name.endswith(".vertices")]


def _cases() -> dict[str, Case]:
    ball = dr.Sphere((0.4, -0.2, 6.0), 1.7)
    floor = dr.Plane((0.5, 1.5, 5.0), (0.2, -2.0, -0.7))
    cube = dr.Mesh(*CUBE, pose((0.5, 0.7, -0.2), (0.3, -0.2, 6.0)))
    gem = dr.Mesh(OCTAHEDRON[0] * [1.5, 1.8, 2.1], OCTAHEDRON[1], pose((0.3, -0.4, 0.2), (0.4, -0.2, 6.0)))
    pebble = dr.Mesh(*ball_mesh(1, 1.8), pose((0.1, 0.2, 0.3), (0.4, -0.2, 6.0)))
    gem_free = ["gem.vertices", "gem.pose", "camera.pose", *INTRINSICS]
    crowd = {
        "near": dr.Sphere((-1.0, 0.4, 4.5), 0.8),
        "wall": dr.Plane((0, 0, 8.5), (0.3, 0.2, -1)),
        "cube": dr.Mesh(CUBE[0] * 0.8, CUBE[1], pose((0.5, 0.7, -0.2), (0.9, 0.5, 5.5))),
        "gem": dr.Mesh(OCTAHEDRON[0], OCTAHEDRON[1], pose((0.3, -0.4, 0.2), (0.1, -0.9, 5.8))),
        "far": dr.Sphere((-0.2, 0.1, 6.0), 1.2),
        "floor": floor,
    }

    def case(camera: dr.PinholeCamera, shapes: dict, free: list[str] | None = None, **options) -> Case:
        scene = dr.Scene(camera, shapes)
        return Case(scene, everything(scene) if free is None else free, **options)

    return {
        "sphere": case(CAMERA, {"ball": ball}),
        "sphere, camera rotated": case(ROTATED, {"ball": ball}),
        "sphere, few parameters": case(CAMERA, {"ball": ball}, ["ball.radius", "ball.center"]),
        "camera inside a sphere": case(ROTATED, {"ball": dr.Sphere((6.0, -2.0, 1.0), 4.0)}),
        "sphere across the camera plane": case(CAMERA, {"ball": dr.Sphere((1.6, 0.3, 0.6), 1.5)}),
        "plane": case(CAMERA, {"floor": floor}),
        "plane, camera rotated": case(ROTATED, {"floor": floor}),
        "rigid mesh": case(CAMERA, {"cube": cube}),
        "rigid mesh, camera rotated": case(ROTATED, {"pebble": pebble}),
        "rigid mesh far from its origin": case(
            ROTATED,
            {
                "pebble": dr.Mesh(
                    pebble.vertices + np.array([9, -7, 5]),
                    pebble.faces,
                    pebble.T_world_mesh @ pose((0, 0, 0), (-9, 7, -5)),
                )
            },
        ),
        "free vertices": case(CAMERA, {"gem": gem}, gem_free),
        "free vertices, camera rotated": case(ROTATED, {"gem": gem}, gem_free),
        "mesh across the camera plane": case(
            CAMERA,
            {"gem": dr.Mesh(gem.vertices * [1, 1, 2], gem.faces, pose((0.3, 0.2, 0.1), (1.2, 1.0, 1.0)))},
            ["gem.pose", "camera.pose", *INTRINSICS],
        ),
        "free vertices across the camera plane": case(
            CAMERA,
            {"gem": dr.Mesh(gem.vertices * [1, 1, 2], gem.faces, pose((0.3, 0.2, 0.1), (1.2, 1.0, 1.0)))},
            gem_free,
        ),
        "camera inside a mesh": case(CAMERA, {"cube": dr.Mesh(*CUBE, pose((0.5, 0.7, -0.2), (0.3, -0.2, 0.1)))}),
        "camera inside a fine mesh, near its wall": case(
            CAMERA, {"pebble": dr.Mesh(*ball_mesh(2), pose((0.5, 0.7, -0.2), (0.2, -0.85, 0.05)))}
        ),
        "sheet through the camera plane": case(
            CAMERA,
            {"sheet": dr.Mesh(*sheet(8, 8.0), pose((1.75, 0.2, 0.3), (0.3, 0.7, 0.0)))},
            ["sheet.pose", "camera.pose", *INTRINSICS],
        ),
        "many meshes": case(
            CAMERA,
            {f"b{k}": body for k, body in enumerate(many_meshes())} | {"ball": dr.Sphere((-1.0, 0.4, 4.5), 0.8)},
            ["b0.pose", "b3.vertices", "b3.pose", "b4.pose", "b7.pose", "ball.center", "camera.pose"],
        ),
        "overlapping shapes": case(CAMERA, crowd),
        "overlapping shapes, camera rotated, free vertices": case(
            ROTATED.replace(width=48, height=32, cx=23.0),
            crowd,
            [
                "gem.vertices",
                "camera.pose",
                "near.radius",
                "cube.pose",
                "camera.principal",
                "wall.normal",
                "far.center",
                "gem.pose",
            ],
        ),
        "partly outside the image": case(
            CAMERA,
            {
                "ball": dr.Sphere((-2.9, -1.8, 6.0), 1.7),
                "cube": dr.Mesh(*CUBE, pose((0.5, 0.7, -0.2), (2.9, 1.6, 6.0))),
            },
        ),
        "behind the camera": case(
            CAMERA,
            {
                "ball": dr.Sphere((0, 0, -5), 1),
                "cube": dr.Mesh(*CUBE, pose((0.5, 0.7, -0.2), (0.3, -0.2, -6.0))),
                "target": ball,
            },
        ),
        "nothing to see": case(
            CAMERA, {"ball": dr.Sphere((0, 0, -5), 1), "gem": dr.Mesh(*CUBE, pose(translation=(90, 0, 6)))}
        ),
        # One pixel wide, 400 radii away: the center is known to 400 roundings of the radius.
        "tiny far sphere": case(
            dr.PinholeCamera(37, 23, 400, 420, 18.3, 11.2),
            {"ball": dr.Sphere((1.0, -1.0, 600.0), 1.5)},
            turn=2e-4,
            reach=1e-3,
            amplify=100.0,
        ),
        # The camera stands 3 above it. Rounding a center 20,000 away moves its horizon by thousandths of a
        # pixel.
        "huge sphere": case(
            CAMERA, {"earth": dr.Sphere((0, 20003.0, 300.0), 20000.0)}, scale=20.0, turn=1e-2, reach=1e-2, amplify=20.0
        ),
        "1 x 1 image": case(dr.PinholeCamera(1, 1, 2, 2, 0.1, -0.2), {"ball": ball}),
        "1 x 40 image": case(dr.PinholeCamera(1, 40, 42, 40, 0.1, 19.8), {"ball": ball, "cube": cube}),
        "48 x 16 image": case(dr.PinholeCamera(48, 16, 40, 40, 24, 8), {"ball": ball, "floor": floor}),
        "principal point off the image": case(
            CAMERA.replace(cx=-25.0, cy=60.0),
            {"ball": dr.Sphere((6.0, -7.0, 6.0), 1.7), "floor": dr.Plane((0, 0, 9), (0.2, 0.5, -1))},
        ),
        "degenerate triangles": case(
            CAMERA,
            {"cube": dr.Mesh(CUBE[0], np.vstack([[[0, 0, 1], [2, 2, 2]], CUBE[1], [[3, 5, 3]]]), cube.T_world_mesh)},
        ),
    }


CASES = _cases()

# Large enough for its tiles and triangles to be shared out among threads.
BIG = Case(
    dr.Scene(
        dr.PinholeCamera(317, 203, 200, 200, 158, 101),
        {
            **{f"ball{k}": dr.Sphere((k % 5 - 2, k // 5 - 2, 6 + 0.1 * k), 0.4 + 0.01 * k) for k in range(25)},
            "stone": dr.Mesh(*ball_mesh(4), pose((0.1, 0.2, 0.3), (0.5, 0.2, 5.5))),
            "gem": dr.Mesh(*OCTAHEDRON, pose((0.3, -0.4, 0.2), (-0.8, -0.3, 5.0))),
            "floor": dr.Plane((0.5, 1.5, 5.0), (0.2, -2.0, -0.7)),
        },
    ),
    ["stone.pose", "ball3.center", "ball12.radius", "gem.vertices", "floor.normal", "camera.pose", "camera.focal"],
)


@cache
def world(name: str, which: int) -> oracle.World:
    """The oracle's world of a case at its theta number `which`."""
    case = CASES[name]
    return oracle.world_at(case.scene, case.free, case.thetas()[which])


@cache
def traced(name: str, which: int) -> tuple[oracle.Hits, np.ndarray]:
    """The oracle's hits of a case, and the pixels that are not at an edge."""
    return oracle.trace(world(name, which)), oracle.steady(world(name, which), CASES[name].reach)


@cache
def differences(name: str, which: int) -> oracle.Differences:
    """The oracle's derivative of a case by theta."""
    case = CASES[name]
    return oracle.differences(case.scene, case.free, case.thetas()[which], case.steps())
