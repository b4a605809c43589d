"""Scene: checks, immutability, and the names of free parameters."""

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from diffrt_aot.camera import PinholeCamera
from diffrt_aot.errors import DiffrtError, UnknownNameError
from diffrt_aot.scene import Scene, check_free_names, free_labels, free_sizes, valid_free_names
from diffrt_aot.shapes import Mesh, Plane, Sphere

CAMERA = PinholeCamera(64, 48, 40, 40, 32, 24)
BALL = Sphere((0, 0, 5), 1)
FLOOR = Plane((0, 1, 0), (0, 1, 0))
TRIANGLE = Mesh(np.eye(3), [[0, 1, 2]])


@pytest.fixture
def scene():
    return Scene(CAMERA, {"ball": BALL, "floor": FLOOR, "hand": TRIANGLE})


def test_shapes_are_a_read_only_copy(scene):
    given = {"ball": BALL}
    scene = Scene(CAMERA, given)
    given["other"] = BALL
    assert list(scene.shapes) == ["ball"]
    with pytest.raises(TypeError):
        scene.shapes["ball"] = FLOOR


@pytest.mark.parametrize(
    ("camera", "shapes", "kind", "message"),
    [
        (CAMERA, {}, ValueError, "shapes: the scene is empty; give it at least one shape"),
        (CAMERA, [BALL], TypeError, "shapes: must map names to shapes"),
        (CAMERA, {"camera": BALL}, ValueError, "'camera' is taken"),
        (CAMERA, {"": BALL}, ValueError, "'' cannot be a name; .* such as 'shape'"),
        (CAMERA, {"my.ball": BALL}, ValueError, "such as 'my_ball'"),
        (CAMERA, {"my-ball": BALL}, ValueError, "such as 'my_ball'"),
        (CAMERA, {"2nd": BALL}, ValueError, "such as 'shape_2nd'"),
        (CAMERA, {3: BALL}, TypeError, "names must be strings, got 3"),
        (CAMERA, {"ball": Sphere}, TypeError, "that is the class, so call it"),
        (CAMERA, {"ball": (0, 0, 5, 1)}, TypeError, "'ball' must be one of Sphere, Plane, Mesh, got"),
        (
            CAMERA,
            {"hand": SimpleNamespace(vertices=1, faces=2)},
            TypeError,
            r"Mesh\(hand.vertices, hand.faces\)",
        ),
        ({"ball": BALL}, CAMERA, TypeError, "camera: must be a PinholeCamera"),
    ],
)
def test_bad_scenes(camera, shapes, kind, message):
    with pytest.raises(kind, match=message) as caught:
        Scene(camera, shapes)
    assert isinstance(caught.value, DiffrtError)


def test_equality_does_not_depend_on_the_order(scene):
    other = Scene(CAMERA, {"hand": TRIANGLE, "floor": FLOOR, "ball": BALL})
    assert scene == other and hash(scene) == hash(other)
    assert scene != scene.replace(ball=BALL.replace(radius=2))
    for twin in (copy.deepcopy(scene), pickle.loads(pickle.dumps(scene))):
        assert twin == scene and list(twin.shapes) == list(scene.shapes)


def test_replace(scene):
    bigger = BALL.replace(radius=2)
    assert scene.replace(ball=bigger).shapes["ball"].radius == 2.0
    assert scene.replace(camera=CAMERA.replace(fx=50)).camera.fx == 50.0
    assert list(scene.replace(shapes={"only": bigger}).shapes) == ["only"]
    assert scene.shapes["ball"].radius == 1.0
    with pytest.raises(UnknownNameError, match=r"unknown shape 'bal'. Perhaps you meant 'ball'"):
        scene.replace(bal=bigger)


def test_repr(scene):
    assert repr(scene).startswith("Scene(PinholeCamera(width=64")
    assert "'hand': Mesh(vertices=<3x3>, faces=<1x3>)" in repr(scene)


def test_free_names(scene):
    assert valid_free_names(scene) == [
        "ball.center",
        "ball.radius",
        "floor.point",
        "floor.normal",
        "hand.pose",
        "hand.vertices",
        "camera.pose",
        "camera.focal",
        "camera.principal",
    ]
    assert list(free_sizes(scene).values()) == [3, 1, 3, 3, 6, 9, 6, 2, 2]


def test_free_names_are_checked(scene):
    assert check_free_names(scene, ["ball.radius", "camera.pose"]) == ("ball.radius", "camera.pose")
    assert check_free_names(scene, []) == ()
    with pytest.raises(UnknownNameError, match=r"'ball.centre'. Perhaps you meant 'ball.center'. Valid: ball.cen"):
        check_free_names(scene, ["ball.centre"])
    with pytest.raises(TypeError, match=r"got the string 'ball.radius'; pass \['ball.radius'\]"):
        check_free_names(scene, "ball.radius")
    with pytest.raises(ValueError, match=r"'ball.radius' is listed twice"):
        check_free_names(scene, ["ball.radius", "ball.center", "ball.radius"])
    with pytest.raises(TypeError, match="must be a list of names, got 3"):
        check_free_names(scene, 3)
    with pytest.raises(UnknownNameError, match="unknown parameter 3"):
        check_free_names(scene, [3])


def test_labels_name_every_entry_of_theta(scene):
    assert free_labels(scene, ["ball.radius", "ball.center", "camera.focal"]) == [
        "ball.radius",
        "ball.center.x",
        "ball.center.y",
        "ball.center.z",
        "camera.focal.fx",
        "camera.focal.fy",
    ]
    assert free_labels(scene, ["hand.pose"])[3] == "hand.pose.rotation.x"
    assert free_labels(scene, ["hand.vertices"])[4] == "hand.vertices[1].y"
    for name, size in free_sizes(scene).items():
        assert len(free_labels(scene, [name])) == size
