"""Vertices stored twice along a seam, and free: render(theta) is the image of scene_at(theta) all the same."""

import numpy as np
import pytest

import diffrt_aot as dr

pytestmark = pytest.mark.every_device

CAMERA = dr.PinholeCamera(32, 24, 30, 30, 15.5, 11.5)
CORNERS = np.array([[-0.6, -0.5, 3], [0.6, -0.5, 3.2], [0.55, 0.6, 3], [-0.6, 0.5, 2.9]])
CLOSED = np.r_[CORNERS[[0, 1, 2]], CORNERS[[0, 2, 3]]]
OPEN = CLOSED - np.repeat([[0, 0, 0], [0.15, 0, 0]], 3, axis=0)
FLAT = CLOSED.copy()
FLAT[5] = 0.5 * (FLAT[3] + FLAT[4])  # the second triangle has no area yet
FACES = [[0, 1, 2], [3, 4, 5]]
MOVES = {
    "parts": (CLOSED, OPEN),
    "meets": (OPEN, CLOSED),
    "opens a face": (FLAT, CLOSED),
    "closes a face": (CLOSED, FLAT),
}


def renderer_of(vertices, output="mask"):
    return dr.Renderer(dr.Scene(CAMERA, {"m": dr.Mesh(vertices, FACES)}), ["m.vertices"], output, background=0.0)


@pytest.mark.parametrize("output", ["mask", "depth"])
@pytest.mark.parametrize("move", MOVES)
def test_same_as_made_there(move, output):
    begin, end = MOVES[move]
    renderer = renderer_of(begin, output)
    at_begin = renderer.render()
    theta = end.ravel()
    for _ in range(2):  # there and back
        image, J = renderer.jacobian(theta)
        expected, expected_J = dr.Renderer(renderer.scene_at(theta), ["m.vertices"], output, background=0.0).jacobian()
        np.testing.assert_allclose(image, expected, atol=1e-5)
        np.testing.assert_allclose(J.dense(), expected_J.dense(), atol=1e-3)
        np.testing.assert_array_equal(renderer.render(), at_begin)


def test_a_fit_closes_the_gap():
    """Costs of either side of the change are compared, as the residuals are the same ones."""
    renderer = renderer_of(OPEN)
    result = dr.fit(renderer, renderer_of(CLOSED).render(), priors={"m.vertices": (OPEN.ravel(), 1.0)})
    assert result.cost < 0.05 * result.history[0].cost
