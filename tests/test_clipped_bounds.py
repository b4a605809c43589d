"""Bounds of triangles that cross the camera's plane: whatever a pixel sees lies within, and little else."""

import numpy as np
import pytest
from compiled import levels, missing
from device_boundary import compiled
from renderer_cases import CUBE, ball_mesh

MARGIN = 0.56
# width, height, fx, fy, cx, cy; one of them so wide that its outermost rays are 85 degrees off the axis.
CAMERAS = {
    "usual": (31, 23, 25.0, 26.0, 14.7, 11.2),
    "wide": (33, 25, 1.4, 1.5, 16.0, 12.0),
    "narrow, askew": (29, 27, 90.0, 80.0, -50.3, 40.1),
}
EVERY_CAMERA = pytest.mark.parametrize("camera", CAMERAS)


def triangles_of(name, count=3000):
    """[count, 3, 3], corners in the camera frame. All but a few cross the camera's plane."""
    engine = np.random.default_rng(sum(map(ord, name)))
    corners = engine.normal(size=(count, 3, 3)) * 10 ** engine.uniform(-1, 1, (count, 3, 1))
    if name == "small":
        size = 10 ** engine.uniform(-3, -0.5, (count, 1, 1))
        corners = size * (engine.normal(size=(count, 1, 3)) * [1, 1, 0] + engine.normal(size=(count, 3, 3)))
    elif name == "corners on the plane":
        corners[engine.uniform(size=(count, 3)) < 0.5, 2] = 0.0
    elif name == "corners at the camera":
        corners[:, 0] = 0.0
        corners[count // 3 :, 0] = 10 ** engine.uniform(-8, -2, (count - count // 3, 1)) * engine.normal(size=3)
    elif name == "slivers":
        along = engine.uniform(size=(count, 1))
        width = 10 ** engine.uniform(-4, -1, (count, 1))
        corners[:, 2] = corners[:, 0] + along * (corners[:, 1] - corners[:, 0]) + width * engine.normal(size=(count, 3))
    elif name == "near the axis":
        corners[:, :, :2] *= 10 ** engine.uniform(-7, 0, (count, 1, 1))
    elif name == "planes through the camera":
        normal = engine.normal(size=(count, 1, 3))
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        corners -= normal * np.sum(corners * normal, axis=-1, keepdims=True)
        corners += normal * 10 ** engine.uniform(-6, -1, (count, 1, 1))
    return corners.astype(np.float32)


KINDS = ["any", "small", "corners on the plane", "corners at the camera", "slivers", "near the axis"]
KINDS += ["planes through the camera"]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    if reason := missing():
        pytest.skip(reason)
    return compiled.build(tmp_path_factory.mktemp("prepare"), levels()[-1], "prepare_triangles")


def prepare(kernels, corners, camera):
    """(table [14, F], bounds [4, F], wide bounds [4, F])."""
    count, components = len(corners), kernels.at.triangle_components
    width, height, fx, fy, cx, cy = camera
    table = np.zeros((components, count), dtype=np.float32)
    bounds, wide = np.zeros((2, 4, count), dtype=np.float32)
    vertices = np.ascontiguousarray(corners.reshape(-1, 3).T)
    faces = np.ascontiguousarray(np.arange(3 * count, dtype=np.int32).reshape(count, 3).T)
    sizes = {"stride": count, "vertex_stride": 3 * count, "width": float(width), "height": float(height)}
    intrinsics = {"fx": fx, "fy": fy, "cx": cx, "cy": cy, "margin": MARGIN}
    arrays = {"faces": faces, "vertices_camera": vertices, "triangles": table, "bounds": bounds, "wide_bounds": wide}
    kernels.launch("prepare_triangles", 0, count, **sizes, **intrinsics, **arrays)
    return table, bounds, wide


def pixels_of(camera):
    """x, y of each pixel's ray (x, y, 1), as kernels have them, and its column and row."""
    width, height, fx, fy, cx, cy = (np.float32(x) for x in camera)
    v, u = np.mgrid[0 : int(height), 0 : int(width)].reshape(2, -1).astype(np.float32)
    return (u - cx) * np.float32(1 / fx), (v - cy) * np.float32(1 / fy), u, v


def seen(table, camera):
    """[F, pixels], by the edge functions and 1/z of the table, in single precision."""
    x, y, _, _ = pixels_of(camera)
    functions = [*table[:9].reshape(3, 3, -1), table[9:12] * table[13]]
    values = [a[:, None] * x + (b[:, None] * y + c[:, None]) for a, b, c in functions]
    return np.logical_and.reduce([e >= 0 for e in values[:3]]) & (values[3] > 0)


def truly_seen(corners, camera):
    """[F, pixels], by the same functions in double precision."""
    x, y, _, _ = (p.astype(float) for p in pixels_of(camera))
    a, b, c = np.moveaxis(corners.astype(float), 1, 0)
    edges = [np.cross(b, c), np.cross(c, a), np.cross(a, b)]
    volume = np.sum(a * edges[0], axis=1)[:, None]
    return np.logical_and.reduce([(e @ [x, y, np.ones_like(x)]) * np.sign(volume) > 0 for e in edges])


def blunt(corners):
    """[F], no corner so acute that an edge which rounding moves would meet the other well beyond it."""
    a, b, c = np.moveaxis(corners.astype(float), 1, 0)
    volume = abs(np.sum(a * np.cross(b, c), axis=1))
    size = np.abs(corners).sum(axis=2).max(axis=1)
    return volume > 1e4 * 2.0**-23 * size**3


def within(bounds, camera):
    _, _, u, v = pixels_of(camera)
    x0, y0, x1, y1 = bounds[:, :, None]
    return (x0 <= u) & (u <= x1) & (y0 <= v) & (v <= y1)


@EVERY_CAMERA
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_pixel_sees_lies_within(kernels, kind, camera):
    corners, camera = triangles_of(kind), CAMERAS[camera]
    table, bounds, wide = prepare(kernels, corners, camera)
    in_front = corners[:, :, 2].max(axis=1) > 0
    assert np.sum(in_front & (corners[:, :, 2].min(axis=1) <= 0)) > 500
    outside = ~within(bounds, camera)
    hits = truly_seen(corners, camera) & (table[13] != 0)[:, None]  # 0: nowhere, as it is edge-on
    assert hits.any(axis=1).sum() > 50 and not np.any(hits & outside)
    assert not np.any(seen(table, camera)[in_front & blunt(corners)] & outside[in_front & blunt(corners)])
    assert not np.any(within(bounds, camera) & ~within(wide, camera))


@EVERY_CAMERA
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_near_a_pixel_lies_within_the_wide_bounds(kernels, kind, camera):
    """Points of the triangles, drawn at random and projected in double precision."""
    corners, camera = triangles_of(kind), CAMERAS[camera]
    width, height, fx, fy, cx, cy = camera
    _, _, wide = prepare(kernels, corners, camera)
    engine, found = np.random.default_rng(0), 0
    for _ in range(60):
        weights = engine.dirichlet([0.5, 0.5, 0.5], len(corners))
        x, y, z = np.einsum("fc,fca->af", weights, corners.astype(float))
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = fx * x / z + cx, fy * y / z + cy
        # Whose centre is within reach; a triangle that is edge-on has no bounds.
        column, row = np.clip(np.rint(u), 0, width - 1), np.clip(np.rint(v), 0, height - 1)
        near = (z > 0) & (abs(u - column) < 0.5) & (abs(v - row) < 0.5) & (wide[0] <= wide[2])
        found += near.sum()
        x0, y0, x1, y1 = wide[:, near]
        assert np.all((x0 <= column[near]) & (column[near] <= x1) & (y0 <= row[near]) & (row[near] <= y1))
    assert found > 50


@pytest.mark.parametrize("name", ["ball", "cube"])
@pytest.mark.parametrize("place", [(0.0, 0.0, 0.0), (0.3, -0.2, 0.1), (0.0, 0.55, 0.02)], ids=str)
def test_a_mesh_around_the_camera_is_listed_as_often_as_it_is_seen(kernels, name, place):
    """Faces across the camera's plane may not have all of the image."""
    vertices, faces = ball_mesh(4) if name == "ball" else finer(*CUBE, 5)
    corners = (vertices[faces] - place).astype(np.float32)
    camera = (64, 48, 50.0, 50.0, 31.5, 23.5)
    table, bounds, _ = prepare(kernels, corners, camera)
    hits, listed = seen(table, camera), within(bounds, camera)
    assert not np.any(hits & ~listed) and np.all(hits.any(axis=0))
    crossing = (corners[:, :, 2].min(axis=1) <= 0) & (corners[:, :, 2].max(axis=1) > 0)
    assert crossing.sum() > 50
    assert listed[crossing].sum() <= 4 * hits[crossing].sum() + 200
    assert listed.sum() <= 4 * hits.sum()


def finer(vertices, faces, times):
    """Each face in four, so many times."""
    corners = np.asarray(vertices, dtype=float)[np.asarray(faces)]
    for _ in range(times):
        a, b, c = np.moveaxis(corners, 1, 0)
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        corners = np.concatenate([np.stack(part, axis=1) for part in parts])
    return corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3)
