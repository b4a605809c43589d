"""Sphere, Plane, Mesh: values, checks, equality."""

import copy
import pickle

import numpy as np
import pytest

from diffrt_aot.errors import DiffrtError
from diffrt_aot.shapes import Mesh, Plane, Sphere

TETRAHEDRON = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def test_sphere_accepts_anything_like_an_array():
    for center in ([1, 2, 3], (1.0, 2, 3), np.array([1, 2, 3], np.float16), np.arange(1, 7, dtype=int)[:3]):
        sphere = Sphere(center, np.float32(2))
        np.testing.assert_array_equal(sphere.center, [1, 2, 3])
        assert sphere.center.dtype == np.float64 and not sphere.center.flags.writeable
        assert sphere.radius == 2.0 and type(sphere.radius) is float


def test_stored_arrays_are_copies():
    center = np.array([1.0, 2.0, 3.0])
    sphere = Sphere(center, 1)
    center[0] = 100.0
    assert sphere.center[0] == 1.0
    assert center.flags.writeable


@pytest.mark.parametrize(
    ("center", "radius", "kind", "message"),
    [
        ((0, 0, 0), 0, ValueError, "radius: must be above zero, got 0; pass its absolute value"),
        ((0, 0, 0), -2.5, ValueError, "radius: must be above zero, got -2.5"),
        ((0, 0, 0), np.nan, ValueError, "radius: must be finite, got nan"),
        ((0, 0, 0), np.inf, ValueError, "radius: must be finite, got inf"),
        ((0, 0, 0), "1", TypeError, "radius: must be a number, got '1'; remove the quotes"),
        ((0, 0, 0), np.ones(1), TypeError, "pass its single element"),
        ((0, 0, 0), np.ones(3), TypeError, r"an array of shape \(3,\) and type float64"),
        ((0, 0), 1, ValueError, r"center: must have shape \(3,\), got \(2,\)"),
        ([[0, 0, 0]], 1, ValueError, r"got \(1, 3\); pass center.reshape\(3\)"),
        (5.0, 1, ValueError, r"center: must have shape \(3,\), got \(\)"),
        ((0, np.nan, 0), 1, ValueError, "center: must be finite, got nan at index 1"),
        (("a", "b", "c"), 1, TypeError, "center: must hold numbers"),
        (None, 1, TypeError, "center: must hold numbers, got None"),
    ],
)
def test_bad_spheres(center, radius, kind, message):
    with pytest.raises(kind, match=message) as caught:
        Sphere(center, radius)
    assert isinstance(caught.value, DiffrtError)


def test_plane_keeps_its_normal_as_given():
    plane = Plane((0, 0, 1), (0, 3, 4))
    np.testing.assert_array_equal(plane.normal, [0, 3, 4])
    np.testing.assert_allclose(plane.unit_normal, [0, 0.6, 0.8], rtol=1e-15)


@pytest.mark.parametrize(
    ("point", "normal", "message"),
    [
        ((0, 0, 0), (0, 0, 0), r"normal: must not be zero, got \(0, 0, 0\)"),
        ((0, 0, 0), (0, 0, np.inf), "normal: must be finite, got inf at index 2"),
        ((0, 0), (0, 0, 1), r"point: must have shape \(3,\)"),
    ],
)
def test_bad_planes(point, normal, message):
    with pytest.raises(ValueError, match=message):
        Plane(point, normal)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.uint64])
def test_mesh_stores_contiguous_int64_and_float64(dtype):
    vertices = np.asfortranarray(TETRAHEDRON.astype(np.float32))
    mesh = Mesh(vertices[::1], FACES.astype(dtype)[::-1])
    for array, kind in ((mesh.vertices, np.float64), (mesh.faces, np.int64)):
        assert array.dtype == kind and array.flags.c_contiguous and not array.flags.writeable
    np.testing.assert_array_equal(mesh.faces, FACES[::-1])
    np.testing.assert_array_equal(mesh.T_world_mesh, np.eye(4))


def test_mesh_accepts_degenerate_triangles():
    Mesh(TETRAHEDRON, [[0, 1, 2], [1, 1, 1], [0, 1, 1]])


@pytest.mark.parametrize(
    ("vertices", "faces", "kind", "message"),
    [
        (
            TETRAHEDRON,
            [[0, 1, 4]],
            ValueError,
            r"between 0 and 3 \(there are 4 vertices\), got 4 in face 0; were",
        ),
        (TETRAHEDRON, [[0, 1, 2], [0, -1, 2]], ValueError, "got -1 in face 1"),
        (TETRAHEDRON, FACES + 1, ValueError, "began at 1, as in an .obj file: pass faces - 1"),
        (TETRAHEDRON, [], ValueError, "faces: a mesh needs at least one face"),
        (TETRAHEDRON, np.zeros((0, 3), int), ValueError, "faces: a mesh needs at least one face"),
        (np.zeros((0, 3)), FACES, ValueError, "vertices: a mesh needs vertices, got none"),
        (
            TETRAHEDRON,
            FACES.astype(float),
            TypeError,
            r"integer type, got float64; pass faces.astype\(np.int64\)",
        ),
        (TETRAHEDRON, FACES.astype(bool), TypeError, "faces: must hold numbers"),
        (TETRAHEDRON, [[0, 1, 2, 3]], ValueError, r"shape \(F, 3\), got \(1, 4\); split each quadrilateral"),
        (TETRAHEDRON, [0, 1, 2], ValueError, r"faces: must have shape \(F, 3\), got \(3,\)"),
        (TETRAHEDRON.T, FACES, ValueError, r"shape \(V, 3\), got \(3, 4\); pass vertices.T"),
        (TETRAHEDRON * np.nan, FACES, ValueError, r"vertices: must be finite, got nan at index \(0, 0\)"),
        ([[0, 0, 0], [1, 0]], FACES, ValueError, "equally long"),
    ],
)
def test_bad_meshes(vertices, faces, kind, message):
    with pytest.raises(kind, match=message):
        Mesh(vertices, faces)


def test_vertices_must_be_finite_where_faces_use_them():
    mesh = Mesh([*TETRAHEDRON, (np.nan, 0, 0), (0, np.inf, 0)], FACES)
    for twin in (copy.deepcopy(mesh), pickle.loads(pickle.dumps(mesh)), mesh.replace()):
        assert twin == mesh and hash(twin) == hash(mesh)
    assert mesh != Mesh([*TETRAHEDRON, (np.nan, 0, 0), (np.inf, 0, 0)], FACES)
    message = (
        r"vertices: must be finite, got inf at index \(5, 1\), which face 4 uses \(1 such faces of 5\); remove these"
    )
    with pytest.raises(ValueError, match=message):
        mesh.replace(faces=[*FACES, (0, 1, 5)])


def test_bad_mesh_pose_is_named():
    with pytest.raises(ValueError, match="T_world_mesh: its last row"):
        Mesh(TETRAHEDRON, FACES, 2 * np.eye(4))


def test_equality_hash_copies():
    shapes = [Sphere((0, 0, 1), 1), Plane((0, 0, 1), (0, 0, 1)), Mesh(TETRAHEDRON, FACES)]
    for shape in shapes:
        for twin in (copy.deepcopy(shape), pickle.loads(pickle.dumps(shape)), shape.replace()):
            assert twin == shape and hash(twin) == hash(shape)
        assert [shape == other for other in shapes].count(True) == 1
    assert shapes[0] != shapes[0].replace(radius=2)
    assert shapes[2] != shapes[2].replace(vertices=TETRAHEDRON * 2)
    assert not pickle.loads(pickle.dumps(shapes[2])).vertices.flags.writeable


def test_reprs_do_not_dump_arrays():
    assert repr(Sphere((10.1, 0, 100), 10)) == "Sphere(center=(10.1, 0, 100), radius=10)"
    assert repr(Plane((0, 0, 1), (0, 1, 0))) == "Plane(point=(0, 0, 1), normal=(0, 1, 0))"
    assert repr(Mesh(TETRAHEDRON, FACES)) == "Mesh(vertices=<4x3>, faces=<4x3>)"
    pose = np.diag([-1.0, -1.0, 1.0, 1.0])
    assert repr(Mesh(TETRAHEDRON, FACES, pose)).endswith("T_world_mesh=<rotation 180 deg, translation (0, 0, 0)>)")


def test_free_sizes():
    assert Sphere((0, 0, 1), 1).free_sizes() == {"center": 3, "radius": 1}
    assert Plane((0, 0, 1), (0, 0, 1)).free_sizes() == {"point": 3, "normal": 3}
    assert Mesh(TETRAHEDRON, FACES).free_sizes() == {"pose": 6, "vertices": 12}
