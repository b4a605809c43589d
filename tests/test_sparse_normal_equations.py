"""H by compressed rows: its entries against sums over the dense J, and which entries there are."""

import subprocess
import sys

import numpy as np
import pytest
from renderer_cases import CASES
from test_normal_equations import LOSSES, assert_agree, observation, sums

import diffrt_aot as dr
from diffrt_aot.errors import MissingDependencyError

pytestmark = pytest.mark.every_device

CAMERA = dr.PinholeCamera(48, 40, 50, 50, 23.5, 19.5)


def sheet():
    """A grid of 5 x 4 vertices, waving."""
    u, v = np.meshgrid(np.linspace(-1.2, 1.2, 5), np.linspace(-1, 1, 4))
    corners = np.arange(20).reshape(4, 5)
    a, b, c, d = (corners[i : i + 3, j : j + 4].ravel() for i in (0, 1) for j in (0, 1))
    vertices = np.stack([u, v, 5 + 0.2 * np.sin(3 * u)], -1).reshape(-1, 3)
    return dr.Mesh(vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)]))


CORNERS = np.array([[0.4, -0.6, 3.5], [1.3, -0.6, 3.5], [0.4, 0.3, 3.5], [0.4, -0.6, 4.4]])
SHAPES = {
    "near": dr.Sphere((-0.5, 0.1, 4), 0.6),
    "far": dr.Sphere((-0.1, -0.1, 6), 0.8),
    "apart": dr.Sphere((1.6, 1.3, 4.5), 0.2),
    "wall": dr.Plane((0, 0, 9), (0.1, 0, -1)),
    "sheet": sheet(),
    "block": dr.Mesh(CORNERS, [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
}
SCENE = dr.Scene(CAMERA, SHAPES)
# Blocks of one shape apart and together, the camera's in between.
FREE = ["near.radius", "camera.focal", "near.center", "sheet.vertices", "block.pose", "far.center", "far.radius"]
FREE += ["camera.pose", "apart.center", "wall.normal", "wall.point", "sheet.pose", "camera.principal"]


def dense(rows):
    """The matrix, whose rows are looked at: columns ascend, both triangles are there, and the diagonal."""
    P = len(rows.row_starts) - 1
    assert rows.row_starts[0] == 0 and rows.row_starts[-1] == len(rows.columns) == len(rows.values)
    matrix, stored = np.zeros((P, P)), np.zeros((P, P), dtype=bool)
    for i in range(P):
        part = slice(rows.row_starts[i], rows.row_starts[i + 1])
        assert np.all(np.diff(rows.columns[part]) > 0)
        matrix[i, rows.columns[part]] = rows.values[part]
        stored[i, rows.columns[part]] = True
    assert np.array_equal(stored, stored.T) and stored.diagonal().all()
    return matrix, stored


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("row_starts", "columns", "values"))


def moved(renderer):
    theta = renderer.theta0.copy()
    return theta + 0.02 * np.sin(np.arange(len(theta)))


@pytest.mark.parametrize("boundary", ["none", "exact"])
@pytest.mark.parametrize("name", CASES)
def test_every_form_is_the_same_matrix(name, boundary):
    case = CASES[name]
    renderer = dr.Renderer(case.scene, free=case.free, output="depth", background=9.0, boundary=boundary)
    equations = renderer.normal_equations(case.thetas()[1], observation(renderer.render(), 0.1 * case.scale))
    matrix, _ = dense(equations.H_rows)
    assert np.array_equal(equations.H, matrix) and equations.H is equations.H
    assert np.array_equal(equations.H_sparse.toarray(), matrix) and equations.H_sparse.format == "csc"


@pytest.mark.parametrize("boundary", ["none", "exact"])
@pytest.mark.parametrize("outputs", ["depth", ["mask", "depth"]])
def test_entries_are_those_of_the_dense_jacobian(boundary, outputs):
    renderer = dr.Renderer(SCENE, FREE, output=outputs, background=0.0, boundary=boundary)
    theta = moved(renderer)
    image, J = renderer.jacobian(theta)
    observed = observation(image, 0.05)
    equations = renderer.normal_equations(theta, observed)
    assert_agree(renderer, equations, sums(image, J, observed, None, LOSSES["least squares"][1], 1.0))
    rows = np.abs(J.dense().reshape(-1, len(theta)).astype(float))
    _, stored = dense(equations.H_rows)
    assert stored[rows.T @ rows > 0].all()  # even those that cancel
    assert not stored.all()


def test_shapes_are_coupled_where_they_share_a_pixel():
    free = [f"{name}.{field}" for name in ("near", "far", "apart") for field in ("center", "radius")]
    scene = dr.Scene(CAMERA, {name: SHAPES[name] for name in ("near", "far", "apart", "wall")})
    stored = {}
    for boundary in ("none", "exact"):
        renderer = dr.Renderer(scene, free, output="mask", boundary=boundary)
        _, every = dense(renderer.normal_equations(None, np.zeros((40, 48)) + 0.5).H_rows)
        stored[boundary] = every[::4, ::4]
        assert np.array_equal(every, np.kron(stored[boundary], np.ones((4, 4))))  # whole blocks
    assert np.array_equal(stored["none"], np.eye(3))
    assert np.array_equal(stored["exact"], [[1, 1, 0], [1, 1, 0], [0, 0, 1]])


def test_entries_follow_from_theta_alone():
    first = dr.Renderer(SCENE, FREE, output="depth", background=9.0, boundary="exact")
    observed = observation(first.render(), 0.1)
    elsewhere = moved(first) + np.repeat([0.3, 0], [8, len(first.theta0) - 8])
    there, here = (first.normal_equations(theta, observed).H_rows for theta in (elsewhere, None))
    assert not np.array_equal(there.columns, here.columns)  # other shapes meet there
    alone = dr.Renderer(SCENE, FREE, output="depth", background=9.0, boundary="exact")
    assert same(alone.normal_equations(None, observed).H_rows, here)
    assert same(alone.normal_equations(elsewhere, observed).H_rows, there)
    assert same(alone.normal_equations(None, observed).H_rows, here)


@pytest.mark.every_device(False)
def test_threads_do_not_change_a_bit():
    results = []
    for threads in (1, 2, 3):
        renderer = dr.Renderer(SCENE, FREE, output="depth", background=9.0, boundary="exact", threads=threads)
        results.append(renderer.normal_equations(moved(renderer), np.full((40, 48), 5.0)))
    assert all(same(results[0].H_rows, other.H_rows) and np.array_equal(results[0].g, other.g) for other in results)


def test_a_parameter_that_moves_no_pixel_has_zeros():
    shapes = {"ball": SHAPES["near"], "behind": dr.Sphere((0, 0, -5), 1)}
    renderer = dr.Renderer(dr.Scene(CAMERA, shapes), ["behind.center", "ball.center"], output="mask")
    equations = renderer.normal_equations(None, np.zeros((40, 48)))
    matrix, _ = dense(equations.H_rows)
    assert not matrix[:3].any() and not equations.g[:3].any() and matrix[3:, 3:].any()


def test_a_dense_limit():
    renderer = dr.Renderer(SCENE, ["near.center", "near.radius"], dense_limit=3)
    equations = renderer.normal_equations(None, np.full((40, 48), 4.0))
    for _ in range(2):
        with pytest.raises(dr.InvalidValueError, match=r"^H: .* 4 parameters and dense_limit is 3.*H_sparse.*=4\)"):
            _ = equations.H
    assert equations.H_sparse.shape == (4, 4) and equations.H_sparse.nnz == 16
    assert dr.Renderer(SCENE, ["near.radius"], dense_limit=1).normal_equations(None, np.ones((40, 48))).H.shape == (
        1,
        1,
    )
    assert dr.Renderer(SCENE).dense_limit == 1000


def test_rows_are_read_only_and_outlive_what_made_them():
    renderer = dr.Renderer(SCENE, ["near.center"])
    values = renderer.normal_equations(None, np.full((40, 48), 4.0)).H_rows.values
    kept = values.copy()
    renderer.normal_equations([0, 0.3, 4], np.full((40, 48), 5.0))
    del renderer
    assert np.array_equal(values, kept) and kept.any()
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1


@pytest.mark.every_device(False)
def test_scipy_is_asked_for_only_where_it_is_used(monkeypatch):
    equations = dr.Renderer(SCENE, ["near.center"]).normal_equations(None, np.full((40, 48), 4.0))
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    assert equations.H.shape == (3, 3)
    with pytest.raises(MissingDependencyError, match=r"NormalEquations\.H_sparse needs scipy"):
        _ = equations.H_sparse


MANY = """
import resource, sys
import numpy as np
import diffrt_aot as dr
count, limit = 25_000, 100_000
side = np.arange(count) % 160, np.arange(count) // 160
centers = np.stack([(side[0] - 80) / 40, (side[1] - 80) / 40, np.full(count, 5.0)], -1)
scene = dr.Scene(dr.PinholeCamera(64, 64, 64, 64, 32, 32),
                 {f"s{i}": dr.Sphere(center, 0.01) for i, center in enumerate(centers)})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
free = [f"s{i}.{field}" for i in range(count) for field in ("center", "radius")]
renderer = dr.Renderer(scene, free, output=["mask", "depth"], background=9.0, boundary="exact", dense_limit=limit)
equations = renderer.normal_equations(None, np.ones((64, 64, 2)))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) / 1024, len(equations.g), len(equations.H_rows.values))
_, J = renderer.jacobian()
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
for read in (lambda: equations.H, J.dense):
    try:
        read()
    except dr.DiffrtError as error:
        print(isinstance(error, MemoryError), error)
"""


@pytest.mark.every_device(False)
@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process")
def test_a_hundred_thousand_parameters():
    lines = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, check=True).stdout.splitlines()
    megabytes, P, entries = map(float, lines[0].split())
    assert P == 100_000 and 16 * 25_000 <= entries < 100 * P
    assert megabytes < 400
    assert lines[1] == "True a dense H takes 80000 MB, and there is no memory for it"
    assert lines[2] == "True a dense Jacobian takes 3277 MB, and there is no memory for it"
