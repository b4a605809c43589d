"""Scene files: what is read, what is written, and what errors say."""

import math
import re

import numpy as np
import pytest

from diffrt_aot.camera import PinholeCamera
from diffrt_aot.errors import SceneFileError
from diffrt_aot.losses import Barron, Cauchy, Tukey
from diffrt_aot.mesh_file import load_mesh, save_mesh
from diffrt_aot.renderer import Renderer
from diffrt_aot.scene import Scene
from diffrt_aot.scene_file import FitSettings, FitStage, MeshFile, SceneFile, load_scene_file, save_scene_file
from diffrt_aot.shapes import Mesh, Plane, Sphere

CAMERA = """
[camera]
width = 64
height = 48
fx = 40
fy = 40.5
cx = 32
cy = 24
"""
BALL = """
[shapes.ball]
type = "sphere"
center = [0, 0.5, 5]
radius = 1
"""
OBJ = "v 0 0 1\nv 1 0 1\nv 0 1 1\nv 0 0 1\nf 1 2 3\nf 4 2 3\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="scene.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_minimal_file(write):
    path = write(CAMERA + BALL)
    assert load_scene_file(path) == SceneFile(
        Scene(PinholeCamera(64, 48, 40, 40.5, 32, 24), {"ball": Sphere((0, 0.5, 5), 1)}), path=path
    )


def test_everything(write):
    write(OBJ, "a.obj")
    pose = "[[0, -1, 0, 0.1], [1, 0, 0, 0.2], [0, 0, 1, 0.3], [0, 0, 0, 1]]"
    path = write(
        CAMERA
        + f"T_world_camera = {pose}\n"
        + BALL
        + f"""
[shapes.floor]
type = "plane"
point = [0, 1, 0]
normal = [0, 2, 0]

[shapes.block]
type = "mesh"
file = "a.obj"
T_world_mesh = {pose}

[color_camera]
width = 96
height = 54
fx = 60
fy = 60
cx = 48
cy = 27

[fit]
free = ["block.pose", "ball.radius"]
output = ["depth", "mask"]
background = [0, 0.0]
boundary = "none"
loss = {{ type = "tukey", c = 0.01 }}
max_steps = 30
depth_scale = 0.001
stages = [
    {{ loss = {{ type = "barron", alpha = -inf, c = 0.05 }}, max_steps = 20 }},
    {{ loss = {{ type = "none" }} }},
    {{ max_steps = 5 }},
]
"""
    )
    file = load_scene_file(path)
    scene = file.scene
    assert list(scene.shapes) == ["ball", "floor", "block"]
    np.testing.assert_array_equal(scene.camera.T_world_camera[:3, 3], [0.1, 0.2, 0.3])
    assert scene.shapes["floor"] == Plane((0, 1, 0), (0, 2, 0))
    assert len(scene.shapes["block"].vertices) == 4, "equal vertices must not be merged"
    assert file.mesh_files == {"block": MeshFile(path.parent / "a.obj")}
    assert file.color_camera.image_shape == (54, 96)
    assert file.fit == FitSettings(
        free=("block.pose", "ball.radius"),
        output=("depth", "mask"),
        background=(0.0, 0.0),
        boundary="none",
        loss=Tukey(0.01),
        max_steps=30,
        depth_scale=0.001,
        stages=(FitStage(Barron(-math.inf, 0.05), 20), FitStage(None, 30), FitStage(Tukey(0.01), 5)),
    )
    assert file.fit.all_stages() == file.fit.stages
    assert not file.notes


def test_numbers_that_say_not_measured(write):
    for text, expected in (("65535", (65535.0,)), ("[65535, -1.5]", (65535.0, -1.5)), ("[]", ())):
        assert load_scene_file(write(CAMERA + BALL + f"[fit]\nmissing = {text}")).fit.missing == expected


def test_the_renderer_takes_the_same_boundary():
    scene = Scene(PinholeCamera(64, 48, 60, 60, 32, 24), {"ball": Sphere((0, 0, 3), 1)})
    for output in ("depth", "distance", "mask", "shade", "normal", ("depth", "distance"), ("depth", "mask")):
        for background in (None, 0.0):
            settings = FitSettings(output=output, background=background)
            renderer = Renderer(scene, output=output, background=background)
            assert renderer.boundary == settings.chosen_boundary, (output, background)
    assert Renderer(scene, output="depth", rules={"ball": "foreground"}).boundary == "exact"
    assert Renderer(scene, output="depth", background=[None]).boundary == "none"
    assert Renderer(scene, output="mask", boundary="none").boundary == "none"


def test_stages_default_to_one():
    assert FitSettings(loss=Cauchy(1), max_steps=7).all_stages() == (FitStage(Cauchy(1), 7),)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (FitSettings(), "none"),
        (FitSettings(output=("depth", "distance")), "none"),
        (FitSettings(background=0.0), "exact"),
        (FitSettings(output="mask"), "exact"),
        (FitSettings(output=("mask", "depth")), "exact"),
        (FitSettings(boundary="exact"), "exact"),
        (FitSettings(output="mask", boundary="none"), "none"),
    ],
)
def test_boundary_suits_the_image_unless_it_is_given(settings, expected):
    assert settings.chosen_boundary == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[camera", "not valid TOML: "),
        ("", r"missing table \[camera\]"),
        (CAMERA, r"missing table \[shapes\]"),
        (CAMERA + "[shapes]", "the scene is empty"),
        (CAMERA + BALL + "[fitt]", r"unknown table 'fitt'. Perhaps you meant 'fit'. Valid: camera, shapes"),
        (CAMERA + "heigth = 3" + BALL, r"\[camera\]: unknown key 'heigth'. Perhaps you meant 'height'"),
        (CAMERA.replace("fx = 40", "") + BALL, r"\[camera\]: missing fx; it needs width, height"),
        (CAMERA.replace("64", "64.0") + BALL, r"\[camera\]: width: must be an integer, got 64.0; pass 64"),
        (CAMERA.replace("64", "'64'") + BALL, r"\[camera\]: width: must be an integer, got '64'"),
        (
            CAMERA + BALL.replace("radius = 1", ""),
            r"\[shapes.ball\]: missing radius; it needs center, radius",
        ),
        (CAMERA + BALL.replace("radius = 1", "radius = -1"), r"\[shapes.ball\]: radius: must be above zero"),
        (CAMERA + BALL.replace("radius", "radious"), r"unknown key 'radious'. Perhaps you meant 'radius'"),
        (
            CAMERA + BALL.replace("sphere", "spher"),
            "unknown type 'spher'. Perhaps you meant 'sphere'. Valid: sph",
        ),
        (CAMERA + "[shapes.ball]\nradius = 1", r"\[shapes.ball\]: missing type"),
        (CAMERA + "[shapes]\nball = 3", r"shapes.ball must be a table, got 3"),
        (CAMERA + "shapes = 3", r"\[camera\]: unknown key 'shapes'"),
        (CAMERA + BALL.replace("ball", '"my ball"'), "'my ball' cannot be a name; .* such as 'my_ball'"),
        (CAMERA + "T_world_camera = [[1, 0], [0, 1]]" + BALL, r"T_world_camera: must have shape \(4, 4\)"),
        (CAMERA + '[shapes.m]\ntype = "mesh"', r"\[shapes.m\]: missing file"),
        (CAMERA + '[shapes.m]\ntype = "mesh"\nfile = 3', r"\[shapes.m\]: file: must be a string, got 3"),
        (CAMERA + '[shapes.m]\ntype = "mesh"\nfile = "no.obj"', r"\[shapes.m\]: mesh file .*no.obj does not"),
        (CAMERA + '[shapes.m]\ntype = "mesh"\nfile = "scene.toml"', r"scene.toml: meshes are read from .npz, .obj, "),
        (CAMERA + '[shapes.m]\ntype = "mesh"\nfile = "empty.obj"', r"empty.obj: "),
    ],
)
def test_errors_name_file_and_place(write, text, message):
    write("o nothing\n", "empty.obj")
    path = write(text)
    with pytest.raises(SceneFileError, match=message) as caught:
        load_scene_file(path)
    assert "scene.toml" in str(caught.value) or "empty.obj" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        ("free = ['ball.radios']", "unknown parameter 'ball.radios'. Perhaps you meant 'ball.radius'"),
        ("free = 'ball.radius'", r"pass \['ball.radius'\]"),
        ("boundary = 'exakt'", "unknown boundary 'exakt'. Perhaps you meant 'exact'. Valid: exact, none"),
        ("maxsteps = 3", "unknown key 'maxsteps'. Perhaps you meant 'max_steps'"),
        ("max_steps = 0", "max_steps: must be between 1 and"),
        ("max_steps = 3.5", "max_steps: must be an integer"),
        ("depth_scale = 0", "depth_scale: must be above zero"),
        ("missing = 'zero'", "missing: must be a number, got 'zero'"),
        ("missing = [65535, nan]", "missing: must be finite, got nan"),
        ("output = 3", "output: must be a name or a list of names, got 3"),
        ("output = []", "output: must be a name or a list"),
        ("background = 'far'", "background: must be a number"),
        ("background = [0, 'far']", r"background\[1\]: must be a number"),
        ("loss = 'tukey'", r"\[fit\]: fit.loss must be a table, got 'tukey'"),
        (
            "loss = { type = 'tuckey', c = 1 }",
            r"\[fit.loss\]: unknown type 'tuckey'. Perhaps you meant 'tukey'",
        ),
        ("loss = { type = 'tukey', d = 1 }", r"\[fit.loss\]: unknown key 'd'"),
        ("loss = { type = 'tukey' }", r"\[fit.loss\]: missing c; it needs c"),
        ("loss = { type = 'tukey', c = 0 }", r"\[fit.loss\]: c: must be above zero"),
        ("loss = { type = 'none', c = 1 }", r"\[fit.loss\]: unknown key 'c'"),
        ("stages = 3", "stages: must be a list of tables, got 3"),
        ("stages = [3]", r"fit.stages\[0\] must be a table, got 3"),
        ("stages = [{}, { los = 1 }]", r"\[fit.stages\[1\]\]: unknown key 'los'. Perhaps you meant 'loss'"),
        ("stages = [{ max_steps = -1 }]", r"\[fit.stages\[0\]\]: max_steps"),
    ],
)
def test_errors_in_fit(write, fit, message):
    with pytest.raises(SceneFileError, match=message) as caught:
        load_scene_file(write(CAMERA + BALL + "[fit]\n" + fit))
    assert "[fit" in str(caught.value)


def test_a_missing_file():
    with pytest.raises(FileNotFoundError, match=r"scene file nowhere.toml does not exist"):
        load_scene_file("nowhere.toml")


def test_rounded_transforms_are_repaired_and_noted(write):
    write(OBJ, "a.obj")
    pose = "[[0.65072, 0.72627, -0.22158, 1], [0.32519, -0.53025, -0.78300, 2],"
    pose += "[-0.68616, 0.43745, -0.58122, 3],"
    path = write(CAMERA + f'[shapes.m]\ntype = "mesh"\nfile = "a.obj"\nT_world_mesh = {pose} [0, 0, 0, 1]]')
    file = load_scene_file(path)
    transform = file.scene.shapes["m"].T_world_mesh
    np.testing.assert_allclose(transform[0], [0.65072, 0.72627, -0.22158, 1], atol=2e-5)
    (note,) = file.notes
    assert re.match(r"\[shapes.m\] T_world_mesh: off a rotation by \S+, as if rounded; took the nearest", note)


TURNED = [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3]]
MOVED = [[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3]]


@pytest.mark.parametrize(
    ("pose", "expected"),
    [
        ("{ rotation_xyzw = [0, 0, 0.70711, 0.70711], translation = [1, 2, 3] }", TURNED),
        ("{ rotation_wxyz = [0.70711, 0, 0, 0.70711], translation = [1, 2, 3] }", TURNED),
        ("{ translation = [1, 2, 3] }", MOVED),
        ("[[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3]]", TURNED),
        ("[[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [1e-8, 0, 0, 0.9999999]]", MOVED),
    ],
)  # fmt: skip
def test_poses_as_they_come(write, pose, expected):
    write(OBJ, "a.obj")
    file = load_scene_file(
        write(CAMERA + f'T_world_camera = {pose}\n[shapes.m]\ntype = "mesh"\nfile = "a.obj"\nT_world_mesh = {pose}')
    )
    for T in (file.scene.camera.T_world_camera, file.scene.shapes["m"].T_world_mesh):
        np.testing.assert_allclose(T[:3], expected, atol=1e-15)
    assert not file.notes


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        (
            "{ rotation = [0, 0, 0, 1] }",
            r"unknown key 'rotation'. Perhaps you meant 'rotation_\w+'. Valid: rotation_xyzw, ",
        ),
        ("{ rotation_xyzw = [0, 0, 1, 1] }", r"\[camera.T_world_camera\]: rotation_xyzw: must have length 1"),
        ("{ rotation_xyzw = [0, 0, 0, 1], rotation_wxyz = [1, 0, 0, 0] }", "two orders of the same numbers"),
        ("'identity'", r"\[camera\]: T_world_camera: must hold numbers"),
        ("[[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]]", "its columns have length 2: apply that scale to the geometry"),
    ],
)
def test_poses_that_are_none(write, pose, message):
    with pytest.raises(SceneFileError, match=message):
        load_scene_file(write(CAMERA + f"T_world_camera = {pose}\n" + BALL))


@pytest.mark.parametrize(
    ("text", "scale"), [("0.5", (0.5, 0.5, 0.5)), ("[1, -2, 1e-3]", (1, -2, 0.001)), ("2", (2, 2, 2))]
)
def test_a_scale_of_the_mesh_in_a_file(write, tmp_path, text, scale):
    write(OBJ, "a.obj")
    file = load_scene_file(write(CAMERA + f'[shapes.m]\ntype = "mesh"\nfile = "a.obj"\nscale = {text}\n'))
    mesh = file.scene.shapes["m"]
    np.testing.assert_array_equal(mesh.vertices, load_mesh(tmp_path / "a.obj").vertices * scale)
    # Written with its file it refers to that with the scale; without, the scaled vertices are stored.
    for mesh_files, kept in ((file.mesh_files, True), (None, False)):
        written = save_scene_file(tmp_path / "again.toml", file.scene, mesh_files=mesh_files)
        assert ("scale = " in written[0].read_text()) == kept == (len(written) == 1)
        assert load_scene_file(written[0]).scene == file.scene


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", r"\[shapes.m\]: scale: must be above zero, got 0; pass 0.001 for a file in millimetres"),
        ("-1.0", "scale: must be above zero"),
        ("nan", "scale: must be finite"),
        ("[1, 0, 1]", "scale: must not be zero in any direction"),
        ("[1, 1]", r"scale: must have shape \(3,\)"),
        ("'mm'", "scale: must be a number, got 'mm'"),
    ],
)
def test_scales_that_are_none(write, text, message):
    write(OBJ, "a.obj")
    with pytest.raises(SceneFileError, match=message):
        load_scene_file(write(CAMERA + f'[shapes.m]\ntype = "mesh"\nfile = "a.obj"\nscale = {text}\n'))


@pytest.fixture
def scene():
    rng = np.random.default_rng(0)
    pose = np.eye(4)
    c, s = math.cos(0.3), math.sin(0.3)
    pose[:2, :2] = [[c, -s], [s, c]]
    pose[:3, 3] = rng.normal(size=3)
    shapes = {
        "ball": Sphere(rng.normal(size=3), 0.1),
        "floor": Plane(rng.normal(size=3) * 1e-9, rng.normal(size=3) * 1e9),
        "block": Mesh(rng.normal(size=(5, 3)), [[0, 1, 2], [2, 3, 4]], pose),
        "größe": Sphere((0, 0, 1), 1),
    }
    return Scene(PinholeCamera(64, 48, 1 / 3, 40.5, 32, 24, pose), shapes)


def test_what_is_written_reads_back_bit_for_bit(tmp_path, scene):
    fit = FitSettings(
        free=("block.pose",),
        output=("depth", "mask"),
        background=0.0,
        boundary="exact",
        loss=Barron(-math.inf, 1e-7),
        depth_scale=0.001,
        missing=(65535.0, -1.0, 1e10),
        stages=(FitStage(Tukey(0.1), 3), FitStage(None)),
    )
    path = tmp_path / "scene.toml"
    written = save_scene_file(path, scene, fit=fit, color_camera=scene.camera, comment="two\nlines")
    assert written == [path, tmp_path / "scene_block.npz"]
    assert path.read_text(encoding="utf-8").startswith("# two\n# lines\n\n[camera]\n")
    file = load_scene_file(path)
    assert (file.scene, file.fit, file.color_camera, file.notes) == (scene, fit, scene.camera, ())


def test_writing_refers_to_known_mesh_files(tmp_path, scene):
    mesh_path = tmp_path / "meshes" / "block.npz"
    mesh_path.parent.mkdir()
    save_mesh(mesh_path, scene.shapes["block"])
    path = tmp_path / "out" / "scene.toml"
    path.parent.mkdir()
    assert save_scene_file(path, scene, mesh_files={"block": mesh_path}) == [path]
    assert 'file = "../meshes/block.npz"' in path.read_text(encoding="utf-8")
    assert load_scene_file(path).scene == scene


def test_strings_are_escaped(tmp_path, write):
    name = 'a "b" \\ c\t\x7f.npz'
    save_mesh(tmp_path / name, Mesh(np.eye(3), [[0, 1, 2]]))
    scene = Scene(PinholeCamera(4, 4, 4, 4, 2, 2), {"m": Mesh(np.eye(3), [[0, 1, 2]])})
    save_scene_file(tmp_path / "s.toml", scene, mesh_files={"m": tmp_path / name})
    assert load_scene_file(tmp_path / "s.toml").scene == scene


def test_meshes_by_numpy_alone(tmp_path):
    mesh = Mesh(np.eye(3), [[0, 1, 2]])
    save_mesh(tmp_path / "m.npz", mesh)
    assert load_mesh(tmp_path / "m.npz") == mesh
    with pytest.raises(ValueError, match=r"must end in .npz"):
        save_mesh(tmp_path / "m.obj", mesh)
    np.savez(tmp_path / "bad.npz", points=np.eye(3))
    with pytest.raises(SceneFileError, match=r"needs vertices and faces, holds points; write it as np.savez"):
        load_mesh(tmp_path / "bad.npz")
    (tmp_path / "broken.npz").write_bytes(b"no zip")
    with pytest.raises(SceneFileError, match=r"cannot be read as .npz"):
        load_mesh(tmp_path / "broken.npz")
    np.savez(tmp_path / "range.npz", vertices=np.eye(3), faces=[[0, 1, 3]])
    with pytest.raises(SceneFileError, match=r"range.npz: faces: indices must be between 0 and 2"):
        load_mesh(tmp_path / "range.npz")
    np.savez(tmp_path / "float.npz", vertices=np.eye(3), faces=[[0.0, 1, 2]])
    with pytest.raises(SceneFileError, match=r"float.npz: faces: must have an integer type"):
        load_mesh(tmp_path / "float.npz")
