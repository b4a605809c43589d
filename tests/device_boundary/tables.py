"""A scene as the kernels of devices take it: tables, prepared meshes, tile lists, and S, from slots to theta.

What C++ prepares, once more in NumPy, and the reference's Duals for S.
"""

from dataclasses import dataclass, field

import numpy as np

from kernels.numbers import Dual, value_of
from kernels.reference.edges import _degenerate, weld
from kernels.reference.parameters import Parameters
from kernels.reference.primitives import _camera, primitives_of

REACH = 0.56  # px beyond its centre that a pixel may depend on a primitive
NOWHERE = 1e6
SLOTS = {"sphere": 4, "plane": 4, "triangle": 6, "free_triangle": 9}


def f32(values):
    return np.ascontiguousarray(values, dtype=np.float32)


def i32(values):
    return np.ascontiguousarray(values, dtype=np.int32)


def padded(count):
    return (max(count, 1) + 15) // 16 * 16


def rows(table, length):
    """Rows of `length` numbers, of which the first are those of a table."""
    table = np.array(table)
    return f32(np.pad(table, ((0, 0), (0, length - table.shape[1]))))


NO_NUMBERS, NO_INDICES = f32([0.0]), i32([0])


@dataclass
class Group:
    """Primitives drawn by the same kernels; the arguments of those that fetch a surface."""

    surface: str
    first_id: int
    count: int
    table: np.ndarray
    stride: int = 0
    vertex_stride: int = 0
    faces: np.ndarray = field(default_factory=lambda: NO_INDICES)
    vertices_camera: np.ndarray = field(default_factory=lambda: NO_NUMBERS)
    pivot: tuple = (0.0, 0.0, 0.0)
    bounds: np.ndarray = None
    wide_bounds: np.ndarray = None
    offsets: np.ndarray = field(default_factory=lambda: i32([0, 0]))
    candidates: np.ndarray = field(default_factory=lambda: NO_INDICES)
    edges: dict = None

    @property
    def slots(self):
        return SLOTS[self.surface]

    @property
    def tables(self):
        arguments = {"table": self.table, "faces": self.faces, "vertices_camera": self.vertices_camera}
        arguments |= {"stride": self.stride, "vertex_stride": self.vertex_stride}
        return arguments | {"first_id": self.first_id, "count": self.count}

    @property
    def pivots(self):
        return dict(zip(("pivot_x", "pivot_y", "pivot_z"), self.pivot, strict=True))


class Tables:
    """Everything about a scene at theta. `groups` in the order of their ids: spheres, planes, meshes."""

    def __init__(self, kernels, scene, free, theta=None, rules=None):
        self.kernels, self.at, self.scene, self.free = kernels, kernels.at, scene, list(free)
        self.rules = rules or {}
        self.parameters = Parameters(scene, free, theta)
        camera = scene.camera
        self.width, self.height = camera.width, camera.height
        self.across, self.down = -(-self.width // self.at.tile), -(-self.height // self.at.tile)
        self.tiles = self.across * self.down
        intrinsics = (*self.parameters.numbers("camera.focal"), *self.parameters.numbers("camera.principal"))
        self.camera_slots = 4 if any(isinstance(x, Dual) for x in intrinsics) else 0
        self.intrinsics = intrinsics
        fx, fy, cx, cy = (float(value_of(x)) for x in intrinsics)
        self.camera = {"fx": fx, "fy": fy, "cx": cx, "cy": cy}
        self.rays = {"cx": cx, "cy": cy, "inverse_fx": 1 / fx, "inverse_fy": 1 / fy}
        self.moving_camera = any(name.startswith("camera.") for name in free)
        self.primitives = primitives_of(scene, self.parameters)
        self.groups, self.meshes = [], []
        self.spheres = [p for p in self.primitives if hasattr(p, "center")]
        self.planes = [p for p in self.primitives if hasattr(p, "offset")]
        self.kinds = np.full(max(len(self.spheres) + len(self.planes), 1), -1, dtype=np.int32)
        self._add_spheres()
        self._add_planes()
        for name, shape in scene.shapes.items():
            if hasattr(shape, "faces"):
                self._add_mesh(name, shape)
        self.smooth = i32(
            [[self.rule_number(self.rule(p.name)), self.moves(p.name)] for p in self.spheres + self.planes] or [[0, 0]]
        )
        self.mesh_table = i32([mesh["numbers"] for mesh in self.meshes] or [[0] * self.at.mesh_numbers])
        self._join_edges()
        self.slots = max(group.slots for group in self.groups) + self.camera_slots

    def rule(self, name):
        return self.rules.get(name, "blend")

    def rule_number(self, rule):
        return getattr(self.at, f"rule_{rule}", 0)

    def moves(self, name):
        return int(self.moving_camera or any(f.startswith(f"{name}.") for f in self.free))

    # --- spheres and planes

    def _add_spheres(self):
        count = len(self.spheres)
        if count == 0:
            return
        stride = padded(count)
        bounds = np.full((4, stride), -1.0)
        bounds[:2] = NOWHERE
        table = []
        for k, sphere in enumerate(self.spheres):
            c, r = np.array([value_of(x) for x in sphere.center]), value_of(sphere.radius)
            gap = sphere.gap
            table.append([*c, r, 1 / gap, 1.0 if gap > 0 else -1.0])
            box = self._box(c, r, gap > 0)
            if box is not None:
                bounds[:, k] = box
                if gap > 0 and self.rule(sphere.name) != "none":
                    self.kinds[k] = self._kind(c, r)
        group = Group("sphere", 0, count, rows(table, self.at.sphere_components), stride=stride, bounds=f32(bounds))
        self._bin(group, group.bounds, count, stride)
        self.groups.append(group)

    def _box(self, c, r, outside):
        last = self.width - 1.0, self.height - 1.0
        if outside and c[2] <= -r:
            return None
        low, high = [0.0, 0.0], list(last)
        if outside and c[2] > r * (1 + 1e-6):
            f, m = (self.camera["fx"], self.camera["fy"]), (self.camera["cx"], self.camera["cy"])
            for axis in range(2):
                x, z = c[axis], c[2]
                reach = np.sqrt(x * x + z * z - r * r)
                ends = [f[axis] * (x * reach - s * z * r) / (z * reach + s * x * r) + m[axis] for s in (1, -1)]
                low[axis] = np.ceil(max(ends[0] - REACH, 0.0))
                high[axis] = np.floor(min(ends[1] + REACH, last[axis]))
        return (*low, *high) if low[0] <= high[0] and low[1] <= high[1] else None

    def _kind(self, c, r):
        if c[2] <= r * (1 + 1e-4):
            return self.at.kind_open
        fx, fy = self.camera["fx"], self.camera["fy"]
        gap = c @ c - r * r
        peak = gap * r * r / (c[2] ** 2 - r * r)
        xx, yy = (gap - c[0] ** 2) / (fx * fx * peak), (gap - c[1] ** 2) / (fy * fy * peak)
        xy = -c[0] * c[1] / (fx * fy * peak)
        middle, spread = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
        radius = np.sqrt(max(middle - spread, 0.0)) / (middle + spread)
        return self.at.kind_gentle if radius > 8 else self.at.kind_small

    def _add_planes(self):
        if not self.planes:
            return
        first, table = len(self.spheres), []
        for k, plane in enumerate(self.planes):
            n, offset = np.array([value_of(x) for x in plane.normal]), value_of(plane.offset)
            inverse = 1 / offset if abs(offset) > 1e-30 else 0.0
            table.append([*n, offset, inverse])
            corners = [
                n @ [(u - self.camera["cx"]) / self.camera["fx"], (v - self.camera["cy"]) / self.camera["fy"], 1.0]
                for u in (-0.6, self.width - 0.4)
                for v in (-0.6, self.height - 0.4)
            ]
            if inverse != 0 and self.rule(plane.name) != "none" and 0 < sum(x > 0 for x in corners) < 4:
                self.kinds[first + k] = self.at.kind_gentle
        self.groups.append(Group("plane", first, len(self.planes), rows(table, self.at.plane_components)))

    # --- meshes

    def _add_mesh(self, name, shape):
        free = f"{name}.vertices" in self.free
        first_id = self.groups[-1].first_id + self.groups[-1].count if self.groups else 0
        count, stride = len(shape.faces), padded(len(shape.faces))
        given = np.asarray(shape.vertices, dtype=np.float64)
        faces = np.zeros((3, stride), dtype=np.int32)
        for f, face in enumerate(shape.faces):
            collapsed = not free and _degenerate(*given[face])
            faces[:, f] = face[0] if collapsed else face
        vertex_stride = padded(len(given))
        group = Group(
            "free_triangle" if free else "triangle",
            first_id,
            count,
            np.zeros(self.at.triangle_components * stride, "f4"),
        )
        group.stride, group.vertex_stride = stride, vertex_stride
        group.faces = i32(faces)
        group.vertices_camera, group.pivot = self._prepare_vertices(name, shape, vertex_stride)
        group.bounds, group.wide_bounds = (np.zeros((4, stride), dtype=np.float32) for _ in range(2))
        self.kernels.launch(
            "prepare_triangles",
            0,
            stride,
            stride=stride,
            vertex_stride=vertex_stride,
            width=float(self.width),
            height=float(self.height),
            margin=REACH,
            **self.camera,
            faces=group.faces,
            vertices_camera=group.vertices_camera,
            triangles=group.table,
            bounds=group.bounds,
            wide_bounds=group.wide_bounds,
        )
        self._bin(group, group.wide_bounds, count, stride)
        rule = self.rule(name)
        numbers = [0] * self.at.mesh_numbers
        numbers[self.at.mesh_first_id], numbers[self.at.mesh_count], numbers[self.at.mesh_rigid] = (
            first_id,
            count,
            int(not free),
        )
        numbers[self.at.mesh_rule], numbers[self.at.mesh_moves] = self.rule_number(rule), self.moves(name)
        self.groups.append(group)
        self.meshes.append(
            {"group": group, "numbers": numbers, "edges": edges_of(shape) if rule != "none" else edges_of(None)}
        )

    def _prepare_vertices(self, name, shape, stride):
        """Vertices in the camera frame, made from those relative to the mesh's middle; and where that is."""
        given = np.asarray(shape.vertices, dtype=np.float64)
        middle = 0.5 * given.min(axis=0) + 0.5 * given.max(axis=0)
        moved = np.array([[value_of(x) for x in v] for v in self.parameters.vectors(f"{name}.vertices")])
        R_camera_world, t_world_camera = _camera(self.scene, self.parameters)
        R_world_mesh, t_world_mesh = self.parameters.pose(f"{name}.pose", shape.T_world_mesh)
        R = np.array([value_of(x) for row in (R_camera_world @ R_world_mesh).rows for x in row]).reshape(3, 3)
        t = np.array([value_of(x) for x in R_camera_world @ (t_world_mesh - t_world_camera)])
        pivot = R @ middle + t
        positions = np.empty((3, stride))
        positions[:] = (moved[-1] - middle)[:, None]
        positions[:, : len(moved)] = (moved - middle).T
        result = np.zeros(3 * stride, dtype=np.float32)
        self.kernels.launch(
            "prepare_vertices",
            0,
            stride,
            stride=stride,
            first=0,
            camera_stride=stride,
            T_camera_mesh=f32(np.column_stack([R, pivot])),
            vertices=f32(positions),
            vertices_camera=result,
        )
        return result, tuple(pivot)

    def _join_edges(self):
        """The edges of all meshes, one after another."""
        total = sum(mesh["edges"]["count"] for mesh in self.meshes)
        self.edge_count, self.edge_stride = total, padded(total)
        numbers = np.zeros((self.at.edge_numbers, self.edge_stride), dtype=np.int32)
        first = vertices = 0
        for m, mesh in enumerate(self.meshes):
            edges, mesh["first_edge"] = mesh["edges"], first
            part = slice(first, first + edges["count"])
            numbers[self.at.edge_half_edge, part] = edges["half_edges"][edges["starts"][:-1]]
            numbers[self.at.edge_ends : self.at.edge_ends + 2, part] = edges["ends"].T + vertices
            numbers[self.at.edge_mesh, part] = m
            first += edges["count"]
            vertices += mesh["group"].vertex_stride
        self.edge_numbers = i32(numbers)
        self.components = np.zeros(self.at.edge_components * self.edge_stride, dtype=np.float32)

    def _bin(self, group, bounds, count, stride):
        x0, y0, x1, y1 = (np.asarray(bounds).reshape(4, stride)[:, :count].astype(int)) // 16
        tile = np.arange(self.tiles)[:, None]
        column, row = tile % self.across, tile // self.across
        touches = (x0 <= column) & (column <= x1) & (y0 <= row) & (row <= y1)
        group.offsets = i32(np.concatenate([[0], np.cumsum(touches.sum(axis=1))]))
        group.candidates = i32(np.append(np.nonzero(touches)[1], 0))

    # --- S

    def block(self, i):
        """(slots, P), of primitive i: how its slots move with theta."""
        primitive, P = self.primitives[i], self.parameters.count
        group = next(g for g in self.groups if g.first_id <= i < g.first_id + g.count)

        def gradient(x):
            row = np.zeros(P)
            for k, e in (x.partials if isinstance(x, Dual) else {}).items():
                row[k] = e
            return row

        if group.surface == "sphere":
            return np.array([gradient(x) for x in (*primitive.center, primitive.radius)])
        if group.surface == "plane":
            return np.array([gradient(x) for x in (*primitive.normal, primitive.offset)])
        if group.surface == "free_triangle":
            return np.array([gradient(x) for corner in primitive.corners for x in corner])
        rows, columns = [], []
        for other in self.primitives[group.first_id : group.first_id + group.count]:
            for corner in other.corners:
                x, y, z = np.array([value_of(v) for v in corner]) - group.pivot
                rows += [[1, 0, 0, 0, z, -y], [0, 1, 0, -z, 0, x], [0, 0, 1, y, -x, 0]]
                columns += [gradient(v) for v in corner]
        return np.linalg.lstsq(np.array(rows, dtype=float), np.array(columns), rcond=None)[0]

    def camera_block(self):
        """(camera slots, P)."""
        rows = np.zeros((self.camera_slots, self.parameters.count))
        for k in range(self.camera_slots):
            for column, e in (self.intrinsics[k].partials if isinstance(self.intrinsics[k], Dual) else {}).items():
                rows[k, column] = e
        return rows


def edges_of(mesh):
    """Edges as cpp/src/scene/mesh_edges.hpp has them; of no mesh, none."""
    found = {}
    if mesh is not None:
        vertices = np.asarray(mesh.vertices, dtype=np.float64)
        welded = weld(vertices)
        for f, face in enumerate(mesh.faces):
            if _degenerate(*vertices[face]):
                continue
            for corner in range(3):
                start, end = welded[face[(corner + 1) % 3]], welded[face[(corner + 2) % 3]]
                key = (start, end) if (end, start) not in found else (end, start)
                found.setdefault(key, []).append((3 * f + corner, 1 if key == (start, end) else -1))
    halves = list(found.values())
    pairs = [len(edge) == 2 and edge[1][1] < 0 for edge in halves]
    return {
        "count": len(found),
        "starts": i32(np.concatenate([[0], np.cumsum([len(edge) for edge in halves])])),
        "half_edges": i32([h for edge in halves for h, _ in edge] or [0]),
        "along": i32([a for edge in halves for _, a in edge] or [0]),
        "ends": i32(list(found) or np.zeros((0, 2))),
        "first_faces": i32([edge[0][0] // 3 for edge in halves] or [0]),
        "second_faces": i32([edge[1][0] // 3 if pair else -1 for edge, pair in zip(halves, pairs, strict=True)] or [0]),
    }
