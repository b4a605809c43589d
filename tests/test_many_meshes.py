"""Meshes of one scene are prepared and drawn together: each is what it is alone, and none takes another's part."""

from functools import cache

import numpy as np
import pytest
from renderer_cases import CUBE, OCTAHEDRON, ball_mesh, pose
from test_renderer_repeatable import assert_same_bits, everything_of

import diffrt_aot as dr

pytestmark = pytest.mark.every_device

FAR = 100.0
CAMERA = dr.PinholeCamera(83, 61, 70.0, 71.0, 40.3, 30.1)
BOTH = pytest.mark.parametrize("boundary", ["none", "exact"])
# Free vertices part what is drawn together: some before, some after, two next to each other.
FREE_VERTICES = (4, 9, 10)


def bodies(spread):
    """24 meshes; with a spread of 1 no pixel sees two of them, with less they overlap."""
    engine = np.random.default_rng(5)
    kinds = [(CUBE[0] * 0.25, CUBE[1]), (OCTAHEDRON[0] * 0.4, OCTAHEDRON[1]), ball_mesh(1, 0.35)]
    for k in range(24):
        place = (spread * (1.1 * (k % 6) - 2.75), spread * (1.15 * (k // 6) - 1.7), 6.0 + 0.3 * engine.normal())
        yield dr.Mesh(*kinds[k % 3], pose(engine.normal(size=3), place))


@cache
def shapes(spread):
    return {f"b{k}": body for k, body in enumerate(bodies(spread))}


def free_names():
    return [f"b{k}.{'vertices' if k in FREE_VERTICES else 'pose'}" for k in range(24)]


def renderer(shown, free, boundary, **options):
    return dr.Renderer(
        dr.Scene(CAMERA, shown), free=free, output=["depth", "shade"], background=FAR, boundary=boundary, **options
    )


# A silhouette before another body is not the same as before a background.
@pytest.mark.parametrize(("boundary", "spread"), [("none", 1.0), ("none", 0.4), ("exact", 1.0)])
def test_an_image_is_that_of_the_nearest(boundary, spread):
    scene = shapes(spread)
    image = renderer(scene, free_names(), boundary).render()
    expected = np.full_like(image, FAR)
    for (name, shape), free in zip(scene.items(), free_names(), strict=True):
        alone = renderer({name: shape}, [free], boundary).render()
        nearer = alone[..., :1] < expected[..., :1]
        expected = np.where(nearer, alone, expected)
    assert np.sum(image[..., 0] < FAR) > 500
    assert image.tobytes() == expected.tobytes()


@BOTH
def test_derivatives_are_those_of_each_alone(boundary):
    scene, free = shapes(1.0), free_names()
    together = renderer(scene, free, boundary)
    image, J = together.jacobian()
    observed = image + np.float32(0.1)
    equations = together.normal_equations(together.theta0, observed, loss=dr.Cauchy(0.2))
    dense, H = J.dense(), equations.H
    for name, rows in zip(free, together.blocks.values(), strict=True):
        alone = renderer({name.split(".")[0]: scene[name.split(".")[0]]}, [name], boundary)
        mine, columns = alone.jacobian()
        seen = mine[..., 0] < FAR
        assert seen.sum() > 10 and np.array_equal(image[seen], mine[seen])
        expected = columns.dense()
        assert np.abs(dense[:, :, :, rows] - expected).max() <= 1e-5 * np.abs(expected).max()
        own = alone.normal_equations(alone.theta0, mine + np.float32(0.1), loss=dr.Cauchy(0.2)).H
        assert np.abs(H[rows, rows] - own).max() <= 1e-5 * np.abs(own).max()
        others = np.delete(H[rows], np.arange(*rows.indices(len(H))), axis=1)
        assert not np.any(others)


@BOTH
def test_bodies_that_overlap_are_one_mesh(boundary):
    """Of coordinates that single precision holds: the same triangles, bit by bit."""
    engine = np.random.default_rng(2)
    vertices, faces = np.round(ball_mesh(1, 0.5)[0] * 256) / 256, ball_mesh(1)[1]
    places = np.round(engine.uniform([-2.5, -1.6, 5.0], [2.5, 1.6, 7.0], (40, 3)) * 256) / 256
    many = {f"b{k}": dr.Mesh(vertices, faces, pose(translation=place)) for k, place in enumerate(places)}
    one = dr.Mesh(np.concatenate([vertices + place for place in places]), joined(faces, len(vertices), len(places)))
    options = {"free": ["camera.pose"], "boundary": boundary}
    image, J = renderer(many, **options).jacobian()
    expected, columns = renderer({"one": one}, **options).jacobian()
    if boundary == "none":
        assert image.tobytes() == expected.tobytes() and np.array_equal(J.primitive_ids, columns.primitive_ids)
    # A silhouette of the one mesh may be seen where another part of it is nearer, a little.
    assert np.mean(np.abs(image - expected).max(axis=-1) > 1e-4) < 2e-3
    worst = np.abs(J.dense() - columns.dense()).max(axis=(2, 3)) / np.abs(columns.dense()).max()
    assert np.mean(worst > 1e-3) < 5e-3


def joined(faces, vertices, count):
    return np.concatenate([faces + vertices * k for k in range(count)])


@BOTH
@pytest.mark.every_device(False)
def test_any_number_of_threads(boundary):
    alone, both, many = (renderer(shapes(0.4), free_names(), boundary, threads=n) for n in (1, 2, 5))
    expected = everything_of(alone, alone.theta0)
    for other in (both, many):
        assert_same_bits(everything_of(other, other.theta0), expected)
