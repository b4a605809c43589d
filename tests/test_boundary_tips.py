"""Exact boundaries where a mesh is narrower than what is looked at beside its edges: tips, needles, and corners that
lie next to those of pixels. Against polygons clipped to pixels, every pixel of every image.
"""

from functools import cache

import numpy as np
import pytest
from boundary_cases import BOTH, CAMERA, COLUMN, COVERAGE, Rendered, view
from oracles import coverage

import diffrt_aot as dr

pytestmark = pytest.mark.every_device

VIEW = CAMERA.replace(fx=40.0, fy=40.0, cx=19.5, cy=14.5)
COUNT = {"reference": 40, "device": 400}
DEPTH, WALL_DEPTH = 5.0, 8.0


def anywhere(rng):
    return rng.uniform([2, 2], [37, 27], (3, 2))


def near_corners_of_pixels(rng):
    """Near corners, middles of sides and centres of pixels, a little or a few roundings off."""
    return np.round(2 * anywhere(rng)) / 2 + rng.normal(size=(3, 2)) * 10.0 ** rng.uniform(-6.5, -1.5, (3, 1))


def needles(rng):
    """Up to 0.05 px wide."""
    a, b = rng.uniform([2, 2], [37, 27], (2, 2))
    across = np.array([a[1] - b[1], b[0] - a[0]]) / max(np.hypot(*(b - a)), 1e-9)
    return np.array([a, b, a + across * 10.0 ** rng.uniform(-3, -1.3)])


def triangles(kind, count):
    """Of more than a thousandth of a pixel, and counterclockwise."""
    rng = np.random.default_rng(8)
    while count > 0:
        corners = kind(rng)
        twice = np.linalg.det(corners[1:] - corners[0])
        if abs(twice) > 2e-3:
            count -= 1
            yield corners if twice > 0 else corners[::-1]


def placed(corners):
    """Image points at DEPTH, in the camera frame."""
    return np.column_stack([(corners - [VIEW.cx, VIEW.cy]) / VIEW.fx * DEPTH, np.full(3, DEPTH)])


SHEET = view({"sheet": dr.Mesh(placed(np.array([[5, 5], [30, 7], [12, 20]])), [[0, 1, 2]])}, ["sheet.vertices"], VIEW)


def covered(vertices):
    """Of each pixel, by the triangle; vertices (9,). Worked out once for all devices."""
    return _covered(vertices.tobytes())


@cache
def _covered(vertices):
    x, y, z = np.frombuffer(vertices).reshape(3, 3).T
    polygon = np.column_stack([x / z * VIEW.fx + VIEW.cx, y / z * VIEW.fy + VIEW.cy])
    return coverage.polygon_coverage(polygon, VIEW.image_shape[::-1])


@BOTH
@pytest.mark.parametrize("kind", [anywhere, near_corners_of_pixels, needles])
def test_every_pixel_of_many_triangles(kind, by):
    rendered = Rendered(by, SHEET, ["mask"])
    for corners in triangles(kind, COUNT[by]):
        # The device is given float32, in which a pixel's corner is not where it was.
        vertices = placed(corners).astype(np.float32).astype(float).ravel()
        image, J = rendered.jacobian(vertices)
        error = np.abs(image[..., 0] - covered(vertices))
        worst = np.unravel_index(error.argmax(), error.shape)
        assert error[worst] <= COVERAGE[by], (worst, corners)
        assert np.all(np.isfinite(J))


@BOTH
def test_columns_of_triangles(by):
    """Entries of tips included, relative to the largest of all vertices."""
    rendered, step = Rendered(by, SHEET, ["mask"]), 1e-6
    for corners in triangles(anywhere, COUNT[by] // 8):
        vertices = placed(corners).astype(np.float32).astype(float).ravel()
        _, J = rendered.jacobian(vertices)
        columns = [(covered(vertices + d) - covered(vertices - d)) / (2 * step) for d in step * np.eye(9)]
        expected = np.stack(columns, axis=-1)
        assert np.abs(J[:, :, 0] - expected).max() <= COLUMN[by] * np.abs(expected).max(), corners


@BOTH
def test_what_is_narrow_shows_its_depth(by):
    wall = dr.Plane((0.0, 0.0, WALL_DEPTH), (0.0, 0.0, -1.0))
    for corners in triangles(needles, COUNT[by] // 10):
        sheet = dr.Mesh(placed(corners), [[0, 1, 2]])
        image = Rendered(by, view({"sheet": sheet, "wall": wall}, [], VIEW), ["depth"]).render()
        part = coverage.polygon_coverage(corners, VIEW.image_shape[::-1])
        assert np.abs(image[..., 0] - (WALL_DEPTH + part * (DEPTH - WALL_DEPTH))).max() <= 10 * COVERAGE[by]
