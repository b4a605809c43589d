"""Mesh files: what readers keep, what they divide, and what they say of files that are not right."""

import struct
import sys
import time
import tracemalloc

import numpy as np
import pytest

import diffrt_aot as dr
from diffrt_aot.errors import MissingDependencyError, SceneFileError
from diffrt_aot.mesh_file import load_mesh, save_mesh
from diffrt_aot.mesh_files.polygons import triangulate

CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (4, 6)], float)
QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
TRIANGLES = QUADS[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)
LINES = "".join("{:g} {:g} {:g}\n".format(*v) for v in CUBE)
QUAD_LINES = "".join("4 {} {} {} {}\n".format(*q) for q in QUADS)

OBJ = "".join(f"v {line}\n" for line in LINES.splitlines())
OBJ += "".join("f " + " ".join(f"{i + 1}//{k + 1}" for i in q) + "\n" for k, q in enumerate(QUADS))
OFF = "OFF\n8 6 12\n" + LINES + QUAD_LINES


def ply_header(form, *elements):
    return "\n".join(["ply", f"format {form} 1.0", *elements, "end_header\n"])


VERTEX = ("element vertex 8", "property float x", "property float y", "property float z")
FACE = ("element face 6", "property list uchar int vertex_indices")
PLY = ply_header("ascii", *VERTEX, *FACE) + LINES + QUAD_LINES


def ply_body(order, polygons):
    return CUBE.astype(f"{order}f4").tobytes() + b"".join(
        struct.pack(f"{order}B{len(p)}i", len(p), *p) for p in polygons
    )


def binary_ply(order):
    form = {"<": "binary_little_endian", ">": "binary_big_endian"}[order]
    return ply_header(form, *VERTEX, *FACE).encode() + ply_body(order, QUADS)


def binary_stl(corners, header=b"any"):
    faces = b"".join(struct.pack("<12fH", 0, 0, 0, *corner.ravel(), 0) for corner in corners)
    return header.ljust(80) + struct.pack("<I", len(corners)) + faces


def text_stl(corners):
    facets = (
        "facet normal 0 0 0\n  outer loop\n"
        + "".join("    vertex {:g} {:g} {:g}\n".format(*v) for v in corner)
        + "  endloop\nendfacet\n"
        for corner in corners
    )
    return "solid of vertices\n" + "".join(facets) + "endsolid\n"


#: A cube in each format: ending -> bytes.
SAMPLES = {
    "text.obj": OBJ.encode(),
    "text.off": OFF.encode(),
    "text.ply": PLY.encode(),
    "little.ply": binary_ply("<"),
    "big.ply": binary_ply(">"),
    "text.stl": text_stl(CUBE[TRIANGLES]).encode(),
    "binary.stl": binary_stl(CUBE[TRIANGLES]),
}


@pytest.fixture
def load(tmp_path):
    def load(content, ending, **options):
        path = tmp_path / f"mesh{ending}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_mesh(path, **options)

    return load


def check(mesh, vertices, faces):
    np.testing.assert_array_equal(mesh.vertices, vertices)
    np.testing.assert_array_equal(mesh.faces, faces)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_cube(load, name, line_end):
    data = SAMPLES[name]
    if name.startswith("text"):
        data = data.replace(b"\n", line_end)
    elif name.endswith("ply"):
        header, end, body = data.partition(b"end_header\n")
        data = (header + end).replace(b"\n", line_end) + body
    mesh = load(data, name[-4:])
    if name.endswith("stl"):  # vertices in the order in which they first appear
        assert len(mesh.vertices) == 8 and mesh.faces.shape == (12, 3)
        np.testing.assert_array_equal(mesh.vertices[mesh.faces], CUBE[TRIANGLES])
        assert (np.diff(np.unique(mesh.faces, return_index=True)[1]) > 0).all()
    else:
        check(mesh, CUBE, TRIANGLES)


@pytest.mark.parametrize("ending", ["obj", "ply", "stl", "off"])
def test_the_same_triangles_as_trimesh(tmp_path, ending):
    trimesh = pytest.importorskip("trimesh")
    stone = trimesh.creation.icosphere(subdivisions=3)
    stone.vertices *= np.random.default_rng(0).uniform(0.9, 1.1, (len(stone.vertices), 1))
    stone.vertices = stone.vertices.astype(np.float32)
    path = tmp_path / f"stone.{ending}"
    stone.export(path)
    mesh = load_mesh(path)
    assert len(mesh.vertices) == len(stone.vertices)
    np.testing.assert_allclose(mesh.vertices[mesh.faces], stone.triangles, atol=1e-7)
    if ending != "stl":
        np.testing.assert_array_equal(mesh.faces, stone.faces)


def test_nothing_but_numpy_is_imported(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "trimesh", None)
    for name, data in SAMPLES.items():
        load(data, name[-4:])
    with pytest.raises(MissingDependencyError, match=r'glb .*needs trimesh, .*: pip install "diffrt_aot\[io\]"'):
        load(b"glTF", ".glb")


def test_other_formats_by_trimesh(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    trimesh.Trimesh(CUBE, TRIANGLES, process=False).export(tmp_path / "cube.glb")
    mesh = load_mesh(tmp_path / "cube.glb")
    np.testing.assert_array_equal(mesh.vertices[mesh.faces], CUBE[TRIANGLES])


def test_formats_that_nobody_reads(load):
    pytest.importorskip("trimesh")
    with pytest.raises(SceneFileError, match=r"\.npz, \.obj, \.ply, \.stl, \.off, and through trimesh.*\.glb, \.gltf"):
        load(b"", ".docx")


# .obj


def test_obj_keeps_vertices_that_no_face_uses_and_that_are_equal(load):
    check(
        load("v 0 0 1\nv 9 9 9\nv 1 0 1\nv 0 0 1\nf 1 3 4\n", ".obj"),
        [[0, 0, 1], [9, 9, 9], [1, 0, 1], [0, 0, 1]],
        [[0, 2, 3]],
    )


CORNERS = "v 0 0 1\nv 1 0 1\nv 0 1 1\n"


@pytest.mark.parametrize(
    ("text", "faces"),
    [
        (CORNERS + "f -3 -2 -1\nv 0 0 2\nv 1 0 2\nv 0 1 2\nf -3 -2 -1\n", [[0, 1, 2], [3, 4, 5]]),
        ("f 1 2 3\n" + CORNERS, [[0, 1, 2]]),
        (CORNERS + "vt 0 0\nvn 0 0 1\nf 1/1 2/1 3/1\nf 2/1/1 3/1/1 1/1/1\nf 1//1 3//1 2//1",
         [[0, 1, 2], [1, 2, 0], [0, 2, 1]]),
        (CORNERS + "f 1 \\\n2 3\nf 3\\\n 2 1", [[0, 1, 2], [2, 1, 0]]),
        ("v 0 0 1 0.5 0.5 0.5\nv 1 0 1 1 0 0\nv 0 1 1 1.0\nf 1 2 3", [[0, 1, 2]]),
        ("# C:\\dir\\\no x#y\ng a b\ns off\nmtllib a b.mtl\nusemtl dir\\\n"
         + CORNERS + "l 1 2\np 1\nf 1 2 3 # x\nend", [[0, 1, 2]]),
        ("\tv\t0 0  1 # x\n\n  v 1 0 1\nv 0 1 1\n f  1\t2 3 ", [[0, 1, 2]]),
        ("\ufeff" + CORNERS + "fo +1 2 3", [[0, 1, 2]]),
    ],
)  # fmt: skip
def test_obj_forms(load, text, faces):
    mesh = load(text, ".obj")
    np.testing.assert_array_equal(mesh.vertices[:3], [[0, 0, 1], [1, 0, 1], [0, 1, 1]])
    np.testing.assert_array_equal(mesh.faces, faces)


def test_twenty_thousand_faces_load_at_once(load):
    sphere = pytest.importorskip("trimesh").creation.icosphere(subdivisions=5)
    lines = ["v {} {} {}\n".format(*v) for v in sphere.vertices.tolist()]
    lines += ["f {0}/1/{0} {1}/2/{1} {2}/3/{2}\n".format(*f) for f in (sphere.faces + 1).tolist()]
    start = time.process_time()
    mesh = load("".join(lines), ".obj")
    assert time.process_time() - start < 0.8  # 0.05 where this was written
    check(mesh, sphere.vertices, sphere.faces)


# .ply


@pytest.mark.parametrize("order", ["<", ">"])
def test_ply_properties_of_any_order_and_type(load, order):
    form = {"<": "binary_little_endian", ">": "binary_big_endian"}[order]
    header = ply_header(
        form, "comment element vertex 3", "obj_info any", "element camera 2", "property list uchar float k",
        "property short s", "element vertex 8", "property uchar red", "property double z", "property int16 x",
        "property list uint8 uint16 seen_by", "property float y", "element nothing 12345678901234567",
        "element face 6", "property float32 quality", "property list ushort uint vertex_index",
        "property list char char more", "element edge 1", "property int a",
    )  # fmt: skip
    body = struct.pack(order + "B2fhBh", 2, 1, 2, 3, 0, 4)
    for i, (x, y, z) in enumerate(CUBE):
        body += struct.pack(f"{order}BdhB{i % 3}Hf", 7, z, int(x), i % 3, *range(i % 3), y)
    for i, q in enumerate(QUADS):
        body += struct.pack(f"{order}fH4Ib{i}b", 0.5, 4, *q, i, *range(i))
    body += struct.pack(order + "i", 3)
    check(load(header.encode() + body, ".ply"), CUBE, TRIANGLES)


def test_ply_text_with_all_of_it(load):
    header = ply_header(
        "ascii", "element vertex 8", "property list uchar int seen_by", "property float z", "property float y",
        "property float x", "element face 6", "property int flag", "property list uchar int vertex_index",
        "element material 1", "property float a", "property float b",
    )  # fmt: skip
    body = "".join(f"{i % 2} {'5' * (i % 2)} {z:g} {y:g} {x:g}\n" for i, (x, y, z) in enumerate(CUBE))
    body += "".join("9 4 {} {} {} {}\n".format(*q) for q in QUADS) + "0.5\n0.5\n\n"
    check(load(header + body, ".ply"), CUBE, TRIANGLES)


@pytest.mark.parametrize("order", ["<", ">", None])
def test_ply_polygons_of_different_lengths(load, order):
    polygons = [QUADS[0], *TRIANGLES[2:6], *QUADS[3:]]
    form = {"<": "binary_little_endian", ">": "binary_big_endian", None: "ascii"}[order]
    header = ply_header(form, *VERTEX, f"element face {len(polygons)}", FACE[1]).encode()
    text = LINES + "".join(" ".join(map(str, [len(p), *p])) + "\n" for p in polygons)
    check(load(header + (ply_body(order, polygons) if order else text.encode()), ".ply"), CUBE, TRIANGLES)


@pytest.mark.parametrize(
    ("strips", "faces"),
    [
        ("1\n4 0 1 2 3", [[0, 1, 2], [2, 1, 3]]),
        ("1\n9 0 1 2 3 -1 4 5 6 7", [[0, 1, 2], [2, 1, 3], [4, 5, 6], [6, 5, 7]]),
        ("2\n4 -1 0 1 2\n5 3 4 5 -1 -1", [[0, 1, 2], [3, 4, 5]]),
        ("2\n2 0 1\n3 2 3 4", [[2, 3, 4]]),
        ("1\n7 0 1 2 2 3 4 5", [[0, 1, 2], [3, 2, 4], [3, 4, 5]]),  # two strips joined by triangles of no area
    ],
)
def test_ply_strips(load, strips, faces):
    count, _, rows = strips.partition("\n")
    header = ply_header("ascii", *VERTEX, f"element tristrips {count}", "property list int int vertex_indices")
    check(load(header + LINES + rows, ".ply"), CUBE, faces)


def test_a_binary_body_may_begin_with_a_line_feed(load):
    header = ply_header("binary_little_endian", "element flag 1", "property uchar a", *VERTEX, *FACE).encode()
    for line_end in (b"\n", b"\r\n", b"\r"):
        check(load(header.replace(b"\n", line_end) + b"\n" + ply_body("<", QUADS), ".ply"), CUBE, TRIANGLES)


# .stl


@pytest.mark.parametrize("header", [b"solid", b"solid facet\n vertex", b"", b"\0" * 80])
def test_stl_that_is_binary_whatever_its_header_says(load, header):
    for padding in (b"", b"\n", b"\0" * 10):
        mesh = load(binary_stl(CUBE[TRIANGLES], header) + padding, ".stl")
        np.testing.assert_array_equal(mesh.vertices[mesh.faces], CUBE[TRIANGLES])


def test_stl_welds_what_is_equal_and_nothing_else(load):
    near = np.nextafter(np.float32(1), np.float32(2))
    corners = np.array([[[0, 0, 1], [1, 0, 1], [0, 1, 1]], [[-0.0, 0, 1], [near, 0, 1], [0, 1, 1]]], np.float32)
    mesh = load(binary_stl(corners), ".stl")
    check(mesh, [[0, 0, 1], [1, 0, 1], [0, 1, 1], [float(near), 0, 1]], [[0, 1, 2], [0, 3, 2]])


def test_stl_text_in_capitals_with_two_solids(load):
    text = text_stl(CUBE[TRIANGLES[:6]]) + text_stl(CUBE[TRIANGLES[6:]])
    mesh = load(text.upper(), ".stl")
    np.testing.assert_array_equal(mesh.vertices[mesh.faces], CUBE[TRIANGLES])


# .off


@pytest.mark.parametrize(
    "text",
    [
        "8 6 12\n" + LINES + QUAD_LINES,
        "OFF 8 6 12\n" + LINES + QUAD_LINES,
        "OFF8 6 0\n" + LINES + QUAD_LINES,
        "OFF # a cube\n\n# counts\n8 6\n" + LINES + "# faces\n" + QUAD_LINES,
        "OFF\n8 6 12\n" + LINES + QUAD_LINES.replace("\n", " 255 0 0 # red\n"),
        "COFF\n8 6 12\n" + LINES.replace("\n", " 1 0 0 1\n") + QUAD_LINES,
        "STCNOFF\n8 6 12\n" + LINES.replace("\n", " 0 0 1 1 0 0 1 0 0\n") + QUAD_LINES.replace("\n", " 3 0.5 1 0\n"),
    ],
)  # fmt: skip
def test_off_forms(load, text):
    check(load(text, ".off"), CUBE, TRIANGLES)


# Polygons


def area_of(points, faces):
    a, b, c = (points[faces[:, k]] for k in range(3))
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)


def in_space(flat, rng):
    """The points (n, 2) somewhere in space."""
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return np.column_stack([flat, np.zeros(len(flat))]) @ rotation.T + rng.normal(size=3)


def check_division(flat, area, rng):
    """Assert that a polygon's triangles are its own: turned as it is, of its area, and each of some area."""
    points = in_space(flat, rng)
    for first in range(len(flat)):
        for step in (1, -1):
            order = (first + step * np.arange(len(flat))) % len(flat)
            faces = triangulate(points, order, np.array([len(flat)]))
            assert faces.shape == (len(flat) - 2, 3)
            u, v = (flat[faces[:, k]] - flat[faces[:, 0]] for k in (1, 2))
            signed = 0.5 * step * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
            assert signed.min() > 1e-9 * area  # so none overlap, as they add up to the whole
            np.testing.assert_allclose(signed.sum(), area, rtol=1e-12)


@pytest.mark.parametrize(
    ("flat", "area"),
    [
        ([[0, 0], [1, 0], [1, 1], [0, 1]], 1),
        ([[0, 0], [2, 0], [0.5, 0.5], [0, 2]], 1),  # a dart: of one diagonal's triangles, one is outside
        ([[0, 0], [1, 0], [2, 0], [0, 2]], 2),  # a corner on a side
        ([[0, 0], [2, 0], [2, 1], [1, 1], [1, 2], [0, 2]], 3),  # an L
        ([[0, 0], [1, 0], [2, 0], [3, 0], [3, 3], [2, 3], [1, 3], [0, 3]], 9),  # convex, with corners on its sides
        ([[0, 0], [4, 0], [4, 4], [3, 4], [3, 1], [1, 1], [1, 4], [0, 4]], 10),  # a U
        ([[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [1, 1], [1, 3], [3, 3], [3, 1], [1, 1]], 12),  # a hole and a bridge
    ],
)
def test_polygons_are_divided_within_themselves(flat, area):
    check_division(np.array(flat, float), area, np.random.default_rng(0))


def test_random_polygons():
    rng = np.random.default_rng(1)
    for _ in range(100):
        n = rng.integers(5, 20)
        angles = (np.arange(n) + rng.uniform(0, 0.9, n)) * 2 * np.pi / n
        flat = rng.uniform(0.1, 1, (n, 1)) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        x, y = flat.T
        check_division(flat, 0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1)), rng)


def test_a_long_spiral():
    turns = np.linspace(0, 8 * np.pi, 500)[:, None]
    inner = np.hstack([(1 + turns) * np.cos(turns), (1 + turns) * np.sin(turns)])
    outer = np.hstack([(3 + turns) * np.cos(turns), (3 + turns) * np.sin(turns)])
    flat = np.concatenate([outer, inner[::-1]])
    x, y = flat.T
    points = in_space(flat, np.random.default_rng(2))
    faces = triangulate(points, np.arange(1000), np.array([1000]))
    np.testing.assert_allclose(
        area_of(points, faces).sum(), 0.5 * abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)), rtol=1e-9
    )


def test_convex_polygons_are_fans_in_their_place(load):
    text = OBJ.partition("f")[0] + "v -2 0 5\nf 1 5 6\nf 1 2 4 3\nf 5 7 8 6\nf 9 1 2\n"
    check(load(text, ".obj"), [*CUBE, [-2, 0, 5]], [[0, 4, 5], [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [8, 0, 1]])


@pytest.mark.parametrize("n", [4, 5, 300])
def test_polygons_that_are_none_are_divided_into_something(n):
    rng = np.random.default_rng(3)
    for points in (
        rng.normal(size=(n, 3)), np.zeros((n, 3)), np.outer(np.arange(n), (1.0, 2, 3)), np.full((n, 3), np.nan),
        1e200 * rng.normal(size=(n, 3)), np.full((n, 3), -np.inf),
    ):  # fmt: skip
        assert triangulate(points, np.arange(n), np.array([n])).shape == (n - 2, 3)


def test_a_concave_quadrilateral_is_seen_as_large_as_it_is(load):
    mesh = load("v 0 0 4\nv 2 0 4\nv 0.5 0.5 4\nv 0 2 4\nf 2 3 4 1\n", ".obj")
    camera = dr.PinholeCamera(130, 130, 200, 200, 19.5, 19.5)
    mask = dr.Renderer(dr.Scene(camera, {"m": mesh}), output="mask").render()
    np.testing.assert_allclose(mask.sum(), 1 * (200 / 4) ** 2, rtol=1e-4)


# What is refused


@pytest.mark.parametrize(
    ("text", "ending", "message"),
    [
        (OBJ.replace("v 1 1 6", "v 1 1"), ".obj", "line 8: a vertex needs x, y and z, got 2 numbers"),
        (OBJ.replace("v 1 1 6", "v 1 1 6,5"), ".obj", "line 8: expected a number, got '6,5'"),
        (OBJ.replace("v 1 1 6", "v 1 1 1_0"), ".obj", "line 8: expected a number, got '1_0'"),
        (OBJ.replace("8//4", "9//4"), ".obj", "line 12: a face has vertex 9, but there are 8 vertices"),
        (OBJ.replace("8//4", "0"), ".obj", "line 12: a face has vertex 0"),
        (OBJ.replace("8//4", "-9"), ".obj", "line 12: a face has vertex -9, but only 8 vertices stand above that line"),
        ("f -1 -2 -3\n" + OBJ, ".obj", "line 1: a face has vertex -1, but only 0 vertices stand above"),
        (OBJ.replace("8//4", "x"), ".obj", "line 12: expected an integer, got 'x'"),
        (OBJ.replace("8//4", "8.0"), ".obj", "line 12: expected an integer, got '8.0'"),
        (OBJ.replace("8//4", "9" * 30), ".obj", "line 12: expected an integer, got '999"),
        (OBJ + "f 1 2\n", ".obj", "line 15: a face needs 3 or more corners, got 2"),
        ("<html>\n" + OBJ, ".obj", "line 1: not .obj: expected a statement such as v or f, got '<html>'"),
        ("o nothing\n", ".obj", "has no vertices"),
        (OFF.replace("\n1 1 6", "\n1 1"), ".off", "line 10: a vertex needs x, y and z, got 2 numbers"),
        (OFF.replace("\n1 1 6", "\n1 1 x"), ".off", "line 10: expected a number, got 'x'"),
        (OFF.replace("7 6", "8 6"), ".off", "line 14: a face has vertex 8, but there are 8 vertices, numbered from 0"),
        (OFF.replace("7 6", "-1 6"), ".off", "line 14: a face has vertex -1"),
        (OFF.replace("7 6", "7"), ".off", "line 14: a face has its count, 3 or more, and as many indices; got 4 and 3"),
        (OFF.replace("8 6 12", "8 7 12"), ".off", "says 8 vertices and 7 faces, a line each, but 14 lines follow"),
        (OFF.replace("8 6 12", "8"), ".off", "line 2: expected the counts"),
        (OFF.replace("8 6 12", "-1 6 0"), ".off", "line 2: counts must not be negative"),
        (OFF.replace("OFF", "4OFF"), ".off", "line 1: '4OFF' has other than three coordinates"),
        (OFF.replace("OFF", "OFF BINARY"), ".off", "line 1: binary OFF cannot be read"),
        (OFF.replace("OFF", "OOF"), ".off", "line 1: not .off: expected OFF, got 'OOF'"),
        (PLY.replace("ply", "plx", 1), ".ply", "line 1: not .ply: expected ply, got 'plx'"),
        (PLY.replace("end_header", "end"), ".ply", "its header has no end_header"),
        (PLY.replace("float x", "flaot x"), ".ply", "line 4: not a line of a .ply header: 'property flaot x'"),
        (PLY.replace("vertex 8", "vertex many"), ".ply", "line 3: not a line"),
        (PLY.replace("float x", "float nx"), ".ply", "element vertex: needs x, holds nx, y, z"),
        (PLY.replace("vertex_indices", "points"), ".ply", "face: needs the list vertex_indices or vertex_index"),
        (PLY.replace("uchar int", "uchar float"), ".ply", "element face: vertex_indices must hold integers"),
        (PLY.replace("uchar int", "float int"), ".ply", "line 8: a list's count must be an integer, got float"),
        (PLY.replace("element face 6", "element vertex 6"), ".ply", "line 7: a second element vertex"),
        (PLY.replace("format ascii 1.0\n", ""), ".ply", "no line format"),
        (PLY.replace("\n1 1 6", "\n1 1 x"), ".ply", "line 17: expected a number, got 'x'"),
        (PLY.replace("7 6", "7 8"), ".ply", "line 21: face 3 has vertex 8, but there are 8 vertices, numbered from 0"),
        (PLY.replace("7 6", "7 x"), ".ply", "line 21: expected an integer, got 'x'"),
        (PLY.replace("4 2 3 7 6", "2 2 3"), ".ply", "line 21: face 3 needs 3 or more corners, got 2"),
        (PLY.replace("4 2 3 7 6", "-1 2"), ".ply", "line 21: face 3 has a list of -1 numbers"),
        (PLY[:-3], ".ply", "ends within face 5 of the 6 that its header says"),
        (PLY + "1", ".ply", "line 24: goes on where its header says that all has been read"),
        (binary_ply("<")[:-1], ".ply", "ends within face 5 of the 6"),
        (binary_ply("<")[:-160], ".ply", "ends within vertex 3 of the 8"),
        (binary_ply(">") + b"x", ".ply", r"byte \d+: goes on where"),
        (binary_ply("<")[:-4] + b"\x08\0\0\0", ".ply", r"byte \d+: face 5 has vertex 8, but"),
        (binary_stl(CUBE[TRIANGLES])[:-1], ".stl", "says 12 triangles, which are 684 bytes, but it has 683"),
        (binary_stl(CUBE[TRIANGLES]) * 2, ".stl", "says 12 triangles, which are 684 bytes, but it has 1368"),
        (b"\x01" * 30, ".stl", "has 30 bytes, where binary files have 84 and more"),
        (text_stl(CUBE[TRIANGLES]).replace("endsolid", ""), ".stl", "ends before endsolid"),
        (text_stl(CUBE[TRIANGLES]).replace("endfacet", "", 1), ".stl", "line 15: a facet has 3 vertices, got 6"),
        (text_stl(CUBE[TRIANGLES]).replace("-1", "-x", 1), ".stl", "line 4: expected a number, got '-x'"),
        (text_stl(CUBE[TRIANGLES]).replace("outer", "inner", 1), ".stl", "line 3: expected facet, .* got 'inner'"),
        (text_stl([]), ".stl", "a mesh needs vertices, got none"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", ".obj", "git lfs pull"),
    ],
)  # fmt: skip
def test_errors_tell_the_place(load, text, ending, message):
    with pytest.raises(SceneFileError, match=message) as caught:
        load(text, ending)
    assert str(caught.value).startswith(str(load.__closure__[0].cell_contents / f"mesh{ending}: "))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".npz", ".obj", ".ply", ".stl", ".off"])
def test_empty_files_garbage_and_folders(load, tmp_path, ending):
    for data in (b"", b"\n", b"\0" * 1000, np.random.default_rng(0).bytes(5000), b"a" * 5000, b"9 " * 500):
        with pytest.raises(SceneFileError, match=rf"mesh\{ending}: "):
            load(data, ending)
    (tmp_path / f"folder{ending}").mkdir()
    with pytest.raises(SceneFileError, match="is a folder"):
        load_mesh(tmp_path / f"folder{ending}")


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        ("OFF\n4000000000 4000000000 0\n0 0 0\n", ".off"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n4000000000 0 1 2\n", ".off"),
        (PLY.replace("vertex 8", "vertex 4000000000"), ".ply"),
        (PLY.replace("face 6", "face 4000000000"), ".ply"),
        (PLY.replace("\n4 ", "\n4000000000 "), ".ply"),
        (binary_ply("<").replace(b"vertex 8", b"vertex 999999999999999999"), ".ply"),
        (binary_ply("<").replace(b"face 6", b"face 999999999999999999"), ".ply"),
        (binary_ply("<").replace(b"uchar int", b"uint int"), ".ply"),
        (b"\0" * 80 + b"\xff" * 4 + b"\0" * 50, ".stl"),
    ],
)
def test_huge_counts_take_no_memory(load, data, ending):
    tracemalloc.start()
    try:
        with pytest.raises(SceneFileError):
            load(data, ending)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", [*SAMPLES, "cube.npz"])
def test_damaged_files_are_read_or_refused(load, tmp_path, name):
    save_mesh(tmp_path / "cube.npz", dr.Mesh(CUBE, TRIANGLES))
    whole = SAMPLES.get(name) or (tmp_path / "cube.npz").read_bytes()
    rng = np.random.default_rng(len(name))
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        kind = rng.integers(4)
        at = int(rng.integers(len(data)))
        if kind == 0:
            del data[at:]
        elif kind == 1:
            del data[at : at + int(rng.integers(1, 20))]
        elif kind == 2:
            data[at:at] = rng.bytes(rng.integers(1, 12))
        else:
            for place in rng.integers(len(data), size=rng.integers(1, 9)):
                data[place] = rng.integers(256)
        try:
            load(bytes(data), name[-4:])
        except SceneFileError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 600
    assert refused > 50


# Points without faces, and vertices without


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        (OBJ.partition("f ")[0] + "l 1 2\np 3\n", ".obj"),
        (PLY.replace("element face 6", "element face 0").removesuffix(QUAD_LINES), ".ply"),
        (ply_header("ascii", *VERTEX) + LINES, ".ply"),
        ("OFF\n8 0 0\n" + LINES, ".off"),
    ],
)
def test_point_clouds_are_called_so(load, text, ending):
    with pytest.raises(SceneFileError, match="has 8 points and no faces: a point cloud has no surface"):
        load(text, ending)


@pytest.mark.parametrize("ending", ["glb", "xyz"])
def test_point_clouds_through_trimesh(tmp_path, ending):
    trimesh = pytest.importorskip("trimesh")
    trimesh.Scene([trimesh.PointCloud(CUBE)]).export(tmp_path / "cloud.glb")
    np.savetxt(tmp_path / "cloud.xyz", CUBE)
    with pytest.raises(SceneFileError, match="has 8 points and no faces"):
        load_mesh(tmp_path / f"cloud.{ending}")


def test_point_clouds_in_npz(tmp_path):
    np.savez(tmp_path / "cloud.npz", vertices=CUBE, faces=np.zeros((0, 3), int))
    with pytest.raises(SceneFileError, match="has 8 points and no faces"):
        load_mesh(tmp_path / "cloud.npz")


@pytest.mark.every_device
@pytest.mark.parametrize("stray", [np.nan, np.inf, 1e30])
def test_vertices_that_no_face_uses_change_nothing(device, tmp_path, stray):
    camera = dr.PinholeCamera(40, 30, 35, 35, 19.5, 14.5)
    alone = dr.Mesh(CUBE, TRIANGLES)
    vertices = np.concatenate([[[stray, 0, 0]], CUBE, np.full((100, 3), stray)])
    mesh = dr.Mesh(vertices, TRIANGLES + 1)
    save_mesh(tmp_path / "m.npz", mesh)
    assert load_mesh(tmp_path / "m.npz") == mesh and hash(load_mesh(tmp_path / "m.npz")) == hash(mesh)
    images = []
    for shape in (alone, mesh):
        renderer = dr.Renderer(dr.Scene(camera, {"m": shape}), ["m.pose"], ["depth", "mask"], device=device)
        image, J = renderer.jacobian(0.01 * np.arange(6))
        images.append((image, J.dense()))
    np.testing.assert_array_equal(images[0][0], images[1][0])
    np.testing.assert_array_equal(images[0][1], images[1][1])


def test_vertices_that_are_free_must_be_finite():
    scene = dr.Scene(dr.PinholeCamera(40, 30, 35, 35, 19.5, 14.5), {"m": dr.Mesh([*CUBE, [0, np.nan, 0]], TRIANGLES)})
    dr.Renderer(scene, ["m.pose"])
    with pytest.raises(dr.InvalidValueError, match=r"free: 'm.vertices' .* vertex 8, which no face uses, is not"):
        dr.Renderer(scene, ["m.vertices"])


# Scale


@pytest.mark.parametrize(
    ("scale", "factors"),
    [(0.001, (0.001, 0.001, 0.001)), (2, (2, 2, 2)), ((1, 2, 3), (1, 2, 3)), (np.array([1, -1, 1]), (1, -1, 1))],
)
def test_scale(load, scale, factors):
    check(load(OBJ, ".obj", scale=scale), CUBE * factors, TRIANGLES)


@pytest.mark.parametrize(
    ("scale", "kind", "message"),
    [
        (0, ValueError, "scale: must be above zero, got 0; pass 0.001 for a file in millimetres"),
        (-1, ValueError, "scale: must be above zero, got -1"),
        (np.nan, ValueError, "scale: must be finite"),
        ((1, 0, 1), ValueError, "scale: must not be zero in any direction"),
        ((1, np.inf, 1), ValueError, "scale: must be finite, got inf at index 1"),
        ((1, 1), ValueError, r"scale: must have shape \(3,\)"),
        ("mm", TypeError, "scale: must be a number, got 'mm'"),
        ([[1], [1, 2]], ValueError, "scale: cannot be made into an array"),
        (True, TypeError, "scale: must be a number"),
    ],
)
def test_bad_scales(load, scale, kind, message):
    with pytest.raises(kind, match=message) as caught:
        load(OBJ, ".obj", scale=scale)
    assert isinstance(caught.value, dr.DiffrtError)
