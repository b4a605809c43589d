"""Meshes have no holes: a ray through an edge, or a vertex, that triangles share meets one of them."""

import numpy as np
import pytest
from renderer_cases import ball_mesh, looking_at, pose

import diffrt_aot as dr

pytestmark = pytest.mark.every_device


def grid_mesh(columns, rows, step, origin, depth):
    """A flat grid at `depth`, its vertices on a lattice; the diagonals run both ways."""
    x, y = np.meshgrid(origin[0] + step * np.arange(columns + 1), origin[1] + step * np.arange(rows + 1))
    vertices = np.stack([x.ravel(), y.ravel(), np.full(x.size, depth)], axis=1)
    faces = []
    for i in range(rows):
        for j in range(columns):
            a, b = i * (columns + 1) + j, i * (columns + 1) + j + 1
            c, d = a + columns + 1, b + columns + 1
            faces += [(a, b, d), (a, d, c)] if (i + j) % 2 else [(a, b, c), (b, d, c)]
    return vertices, np.array(faces)


@pytest.mark.parametrize("depth", [1.0, 4.0, 3.7, 1000.1])
@pytest.mark.parametrize("step_pixels", [1, 2, 5, 16])
@pytest.mark.parametrize("free", [[], ["grid.vertices"]], ids=["rigid", "free"])
def test_grid_whose_edges_run_through_pixel_centres(depth, step_pixels, free):
    """Every edge and vertex projects to pixel centres, up to rounding. The grid covers the image with a margin."""
    width, height, focal = 67, 45, 50.0
    step = step_pixels * depth / focal
    columns, rows = width // step_pixels + 3, height // step_pixels + 3
    mesh = grid_mesh(columns, rows, step, (-33 * depth / focal - step, -22 * depth / focal - step), depth)
    scene = dr.Scene(dr.PinholeCamera(width, height, focal, focal, 33, 22), {"grid": dr.Mesh(*mesh)})
    image = dr.Renderer(scene, free=free, output="depth", boundary="none").render()
    assert np.all(np.isfinite(image))
    assert np.all(np.abs(image - depth) <= 1e-6 * depth)


@pytest.mark.parametrize("turned", [(0, 0, 0), (0.1, 0.2, 0.3), (0.7, -0.4, 1.1)], ids=str)
def test_tilted_grid(turned):
    """Edges in all directions, every pixel near one: four grid vertices to a pixel."""
    camera = dr.PinholeCamera(64, 48, 50, 50, 31.7, 23.4)
    vertices, faces = grid_mesh(240, 240, 0.05, (-6.0, -6.0), 0.0)
    scene = dr.Scene(camera, {"grid": dr.Mesh(vertices, faces, pose(turned, (0, 0, 2.0)))})
    image = dr.Renderer(scene, output="depth", boundary="none").render()
    assert np.all(np.isfinite(image))


@pytest.mark.parametrize("subdivisions", [3, 5])
@pytest.mark.parametrize("origin", [(0, 0, -3.0), (2, 1, -2.5), (0.1, -3.3, 0.2)], ids=str)
@pytest.mark.parametrize("free", [[], ["ball.vertices"]], ids=["rigid", "free"])
def test_closed_sphere(subdivisions, origin, free):
    """All rays that pass the centre closer than the inscribed sphere hit; all that pass farther than 1 miss."""
    vertices, faces = ball_mesh(subdivisions)
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inscribed = np.min(np.abs(np.sum(normals * corners[:, 0], axis=1)) / np.linalg.norm(normals, axis=1))
    camera = dr.PinholeCamera(150, 113, 140, 140, 74, 56, looking_at((0, 0, 0), origin))
    renderer = dr.Renderer(
        dr.Scene(camera, {"ball": dr.Mesh(vertices, faces)}), free=free, output="depth", boundary="none"
    )
    image = renderer.render()

    v, u = np.mgrid[0 : camera.height, 0 : camera.width]
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    center = np.array([0, 0, np.linalg.norm(origin)])  # in the camera frame: the camera looks at it
    passing = np.linalg.norm(np.cross(rays, center), axis=-1)
    assert np.all(np.isfinite(image[passing < inscribed - 1e-6]))
    assert np.all(np.isnan(image[passing > 1 + 1e-6]))
    # In front, not through a hole onto the back.
    surface = (rays @ center - np.sqrt(np.maximum(inscribed**2 - passing**2, 0.0))) * rays[..., 2]
    assert np.all(image[passing < inscribed - 1e-6] <= surface[passing < inscribed - 1e-6] + 1e-5)


@pytest.mark.parametrize("spokes", [3, 7, 64, 500])
def test_fan_around_a_pixel_centre(spokes):
    """Many triangles meet in one vertex, which projects to a pixel centre; slivers between them may not open."""
    angle = np.linspace(0, 2 * np.pi, spokes, endpoint=False)
    rim = np.stack([10 * np.cos(angle), 10 * np.sin(angle), np.full(spokes, 5.0)], axis=1)
    faces = [(0, 1 + k, 1 + (k + 1) % spokes) for k in range(spokes)]
    scene = dr.Scene(dr.PinholeCamera(33, 33, 20, 20, 16, 16), {"fan": dr.Mesh([[0, 0, 5.0], *rim], faces)})
    image = dr.Renderer(scene, output="depth", boundary="none").render()
    v, u = np.mgrid[0:33, 0:33]
    inside = np.hypot(u - 16, v - 16) < 40 * np.cos(np.pi / spokes) - 0.1
    assert inside.sum() > 100 and np.all(np.isfinite(image[inside]))


def test_inside_a_closed_mesh_every_ray_hits():
    vertices, faces = ball_mesh(4)
    for turn in np.linspace(0, 3, 7):
        camera = dr.PinholeCamera(70, 50, 25, 25, 35, 25, pose((turn, 0.3 * turn, -0.7 * turn), (0.3, -0.2, 0.4)))
        image = dr.Renderer(dr.Scene(camera, {"ball": dr.Mesh(vertices, faces)}), boundary="none").render()
        assert np.all(np.isfinite(image))
