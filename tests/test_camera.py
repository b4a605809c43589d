"""PinholeCamera: values, checks, equality, copies."""

import copy
import dataclasses
import pickle
import re

import numpy as np
import pytest

import diffrt_aot as dr
from diffrt_aot.camera import PinholeCamera
from diffrt_aot.errors import DiffrtError, UnknownNameError
from diffrt_aot.rigid import nearest_rigid, rigid

INTRINSICS = {"width": 64, "height": 48, "fx": 40, "fy": 41.5, "cx": 32, "cy": 24}


def rotation_z(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def test_stores_plain_numbers_and_a_read_only_copy():
    pose = rotation_z(0.3)
    camera = PinholeCamera(np.int32(64), np.uint8(48), np.float32(40), 41.5, 32, 24, pose.T.copy().T)
    pose[0, 3] = 9.0
    assert (type(camera.width), type(camera.fx)) == (int, float)
    assert camera.T_world_camera[0, 3] == 0.0
    assert camera.T_world_camera.flags.c_contiguous and camera.T_world_camera.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        camera.T_world_camera[0, 3] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        camera.fx = 3.0


def test_default_pose_is_the_identity():
    np.testing.assert_array_equal(PinholeCamera(**INTRINSICS).T_world_camera, np.eye(4))


def test_derived_values():
    camera = PinholeCamera(**INTRINSICS)
    assert camera.image_shape == (48, 64)
    np.testing.assert_array_equal(camera.matrix, [[40, 0, 32], [0, 41.5, 24], [0, 0, 1]])
    assert camera.free_sizes() == {"pose": 6, "focal": 2, "principal": 2}


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"width": 0}, ValueError, "width: must be between 1 and 16384, got 0"),
        ({"width": -3}, ValueError, "got -3"),
        ({"height": 16385}, ValueError, "height: must be between 1 and 16384, got 16385"),
        ({"width": 640.0}, TypeError, "width: must be an integer, got 640.0; pass 640"),
        ({"width": 640.5}, TypeError, "width: must be an integer, got 640.5$"),
        ({"width": True}, TypeError, "must be an integer, got True"),
        ({"width": "640"}, TypeError, "must be an integer, got '640'"),
        ({"width": None}, TypeError, "must be an integer, got None"),
        ({"fx": 0}, ValueError, "fx: must be above zero, got 0; the axes are x right, y down"),
        ({"fy": -41.5}, ValueError, "fy: must be above zero, got -41.5"),
        ({"fx": np.nan}, ValueError, "fx: must be finite, got nan"),
        ({"fx": "40"}, TypeError, "fx: must be a number, got '40'; remove the quotes"),
        ({"fx": [40.0]}, TypeError, "pass its single element"),
        ({"fx": 40j}, TypeError, "fx: must be a number"),
        ({"cx": np.inf}, ValueError, "cx: must be finite, got inf"),
        ({"cy": None}, TypeError, "cy: must be a number, got None"),
    ],
)
def test_bad_intrinsics(changes, kind, message):
    with pytest.raises(kind, match=message) as caught:
        PinholeCamera(**{**INTRINSICS, **changes})
    assert isinstance(caught.value, DiffrtError)


def swapped_columns():
    return np.eye(4)[:, [1, 0, 2, 3]]


@pytest.mark.parametrize(
    ("pose", "kind", "message"),
    [
        (np.eye(3), ValueError, r"T_world_camera: must have shape \(4, 4\), got \(3, 3\)"),
        (np.eye(4)[:3].ravel(), ValueError, r"got \(12,\); pass T_world_camera.reshape\(3, 4\)"),
        (np.eye(4)[:, :3], ValueError, r"must have shape \(4, 4\), got \(4, 3\)"),
        ([*np.eye(4)[:3].tolist(), [0, 0, 0]], ValueError, "equally long"),
        (np.diag([1.0, 1.0, 1.0, 1.0 + 2e-6]), ValueError, "last row must be 0 0 0 1"),
        (np.eye(4).ravel(), ValueError, r"pass T_world_camera.reshape\(4, 4\)"),
        (2.0 * np.eye(4), ValueError, r"last row must be 0 0 0 1, got \(0, 0, 0, 2\)"),
        (np.diag([2.0, 2.0, 2.0, 1.0]), ValueError, r"= 3 where .* columns have length 2: apply that scale"),
        (np.diag([1.0, 2.0, 1.0, 1.0]), ValueError, "check that it is a rotation"),
        (np.round(rotation_z(0.3), 3), ValueError, r"looks rounded: pass diffrt_aot.nearest_rigid\(T_world"),
        (np.diag([1.0, -1.0, 1.0, 1.0]), ValueError, "mirrors"),
        (swapped_columns(), ValueError, "mirrors"),
        (np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1, 2, 3, 1]]), ValueError, "T_world_camera.T"),
        (np.full((4, 4), np.nan), ValueError, r"must be finite, got nan at index \(0, 0\) \(16 such of 16\)"),
        ([[1, 0], [0]], ValueError, "equally long"),
        ("identity", TypeError, "must hold numbers, got 'identity'"),
        (np.eye(4, dtype=complex), TypeError, "must be real"),
        (np.eye(4, dtype=bool), TypeError, "must hold numbers"),
    ],
)
def test_bad_poses(pose, kind, message):
    with pytest.raises(kind, match=message):
        PinholeCamera(**INTRINSICS, T_world_camera=pose)


def test_the_message_about_rounding_tells_the_deviation():
    pose = np.eye(4)
    pose[0, 0] = 1.0 + 1e-4
    with pytest.raises(ValueError, match=re.escape("|R'R - I| = 0.0002 where at most 0.0001 is allowed")):
        PinholeCamera(**INTRINSICS, T_world_camera=pose)


def tumbled():
    """Exact to float64's rounding: a turn about an axis in no plane, and a translation."""
    pose = np.eye(4)
    pose[:3, :3] = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    pose[:3, :3] *= np.sign(np.linalg.det(pose[:3, :3]))
    pose[:3, 3] = 0.1, -2.0, 3e3
    return pose


def test_what_is_rigid_stays_as_it_is_bit_by_bit():
    for pose in (tumbled(), np.linalg.matrix_power(rotation_z(0.3), 100), np.eye(4)):
        assert PinholeCamera(**INTRINSICS, T_world_camera=pose).T_world_camera.tobytes() == pose.tobytes()
        assert nearest_rigid(pose).tobytes() == pose.tobytes()


def last_row_off(pose):
    return pose + np.outer([0, 0, 0, 1], [1e-7, -1e-7, 5e-7, -9e-7])


@pytest.mark.parametrize(
    "take", [nearest_rigid, lambda T: PinholeCamera(**INTRINSICS, T_world_camera=T).T_world_camera]
)
@pytest.mark.parametrize(
    "rounded",
    [
        lambda T: np.round(T, 6),
        lambda T: np.round(T, 5),
        lambda T: T.astype(np.float32),
        last_row_off,
        lambda T: last_row_off(np.round(T, 6)).astype(np.float32),
        lambda T: T[:3],
        lambda T: np.round(T[:3], 6).tolist(),
        lambda T: T @ np.diag([1 + 4.5e-5, 1, 1 - 4.5e-5, 1]),
    ],
)
def test_poses_that_were_rounded_are_made_rigid(take, rounded):
    exact = tumbled()
    taken = take(rounded(exact))
    np.testing.assert_allclose(taken[:3, :3].T @ taken[:3, :3], np.eye(3), atol=2e-15)
    np.testing.assert_array_equal(taken[3], [0, 0, 0, 1])
    np.testing.assert_allclose(taken[:3, :3], exact[:3, :3], atol=5e-5)
    np.testing.assert_allclose(taken[:3, 3], exact[:3, 3], rtol=1e-6, atol=1e-5)
    assert not taken.flags.writeable
    assert take(taken).tobytes() == taken.tobytes()


def test_a_rounded_pose_renders():
    camera = PinholeCamera(**INTRINSICS, T_world_camera=np.round(tumbled(), 5))
    scene = dr.Scene(camera, {"m": dr.Mesh(np.eye(3), [[0, 1, 2]], np.round(tumbled(), 5)[:3])})
    dr.Renderer(scene, ["m.pose", "camera.pose"]).render()


def test_quaternions_by_the_order_of_their_numbers():
    Rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    for quaternion in np.random.default_rng(1).normal(size=(20, 4)):
        quaternion /= np.linalg.norm(quaternion)
        expected = np.eye(4)
        expected[:3, :3] = Rotation.from_quat(quaternion).as_matrix()
        expected[:3, 3] = 1, 2, 3
        for rounded, tolerance in (
            (quaternion, 1e-15),
            (quaternion.astype(np.float32), 1e-7),
            (quaternion.round(3), 2e-3),
        ):
            for T in (
                rigid(rotation_xyzw=rounded, translation=[1, 2, 3]),
                rigid(rotation_wxyz=np.roll(rounded, 1), translation=[1, 2, 3]),
            ):
                np.testing.assert_allclose(T, expected, atol=tolerance)
                assert nearest_rigid(T).tobytes() == T.tobytes() and not T.flags.writeable


def test_rigid_without_a_part():
    np.testing.assert_array_equal(rigid(), np.eye(4))
    np.testing.assert_array_equal(rigid(translation=(1, 2, 3))[:3, 3], [1, 2, 3])
    np.testing.assert_array_equal(rigid(rotation_wxyz=(0, 0, 0, 1)), np.diag([-1.0, -1.0, 1.0, 1.0]))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"rotation_xyzw": [0, 0, 0, 1.002]}, "rotation_xyzw: must have length 1 within 0.001, got 1.002; divide it"),
        (
            {"rotation_wxyz": [1, 2, 3, 4]},
            "rotation_wxyz: must have length 1 .* if it is a quaternion in the order wxyz",
        ),
        ({"rotation_xyzw": [0, 0, 0, 0]}, "got 0; no rotation is 0 0 0 1"),
        ({"rotation_wxyz": [0, 0, 0, 0]}, "got 0; no rotation is 1 0 0 0"),
        ({"rotation_xyzw": [0, 0, 1]}, r"rotation_xyzw: must have shape \(4,\)"),
        ({"rotation_xyzw": [0, 0, 0, np.nan]}, "rotation_xyzw: must be finite"),
        ({"rotation_xyzw": [0, 0, 0, 1], "rotation_wxyz": [1, 0, 0, 0]}, "two orders of the same numbers"),
        ({"translation": [0, 0]}, r"translation: must have shape \(3,\)"),
    ],
)
def test_bad_parts_of_a_transform(parts, message):
    with pytest.raises(ValueError, match=message) as caught:
        rigid(**parts)
    assert isinstance(caught.value, DiffrtError)


def test_nearest_rigid_repairs_rounding_and_nothing_else():
    exact = rotation_z(0.3)
    exact[:3, 3] = 1.0, 2.0, 3.0
    repaired = nearest_rigid(np.round(exact, 4))
    np.testing.assert_allclose(repaired[:3, :3].T @ repaired[:3, :3], np.eye(3), atol=1e-15)
    np.testing.assert_allclose(repaired, exact, atol=1e-4)
    PinholeCamera(**INTRINSICS, T_world_camera=repaired)
    with pytest.raises(ValueError, match="too far from a rotation"):
        nearest_rigid(np.diag([1.1, 1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="mirrors"):
        nearest_rigid(np.diag([-1.0, 1.0, 1.0, 1.0]))


def test_equality_and_hash_are_by_content():
    camera, same = PinholeCamera(**INTRINSICS), PinholeCamera(**INTRINSICS, T_world_camera=np.eye(4))
    moved = camera.replace(T_world_camera=rotation_z(0.1))
    assert camera == same and hash(camera) == hash(same)
    assert camera != moved and camera != "camera"
    assert camera == PinholeCamera(**{**INTRINSICS, "cx": 32.0})


def test_negative_zero_is_zero_for_the_hash_too():
    pose = np.eye(4)
    pose[0, 1] = -0.0
    camera, same = PinholeCamera(**INTRINSICS), PinholeCamera(**INTRINSICS, T_world_camera=pose)
    assert camera == same and hash(camera) == hash(same)


def test_copies_and_pickles_stay_read_only():
    camera = PinholeCamera(**INTRINSICS, T_world_camera=rotation_z(0.3))
    for twin in (copy.copy(camera), copy.deepcopy(camera), pickle.loads(pickle.dumps(camera))):
        assert twin == camera
        assert not twin.T_world_camera.flags.writeable


def test_replace():
    camera = PinholeCamera(**INTRINSICS)
    assert camera.replace(fx=50).fx == 50.0
    assert dataclasses.replace(camera, fx=50) == camera.replace(fx=50)
    with pytest.raises(UnknownNameError, match=r"unknown field 'fX'. Perhaps you meant 'fx'"):
        camera.replace(fX=50)
    with pytest.raises(ValueError, match="fx"):
        camera.replace(fx=-1)


def test_repr_is_short():
    camera = PinholeCamera(**INTRINSICS)
    assert repr(camera) == "PinholeCamera(width=64, height=48, fx=40, fy=41.5, cx=32, cy=24)"
    assert "T_world_camera=<rotation 17.19 deg, translation (0, 0, 0)>" in repr(
        camera.replace(T_world_camera=rotation_z(0.3))
    )
