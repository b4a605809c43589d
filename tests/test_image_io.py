"""Images: what becomes NaN, which scale applies, what errors say."""

import numpy as np
import pytest

from diffrt_aot.errors import ImageFileError
from diffrt_aot.image_io import load_color, load_observed, save_color, save_depth

Image = pytest.importorskip("PIL.Image")

MILLIMETRES = np.array([[0, 1000, 65535], [1, 0, 250]], np.uint16)


def test_sixteen_bit_png(tmp_path):
    path = tmp_path / "depth.png"
    Image.fromarray(MILLIMETRES).save(path)
    image = load_observed(path, 0.001)
    assert image.dtype == np.float32 and image.flags.c_contiguous and image.flags.writeable
    np.testing.assert_array_equal(image, np.float32([[np.nan, 1.0, 65.535], [0.001, np.nan, 0.25]]))
    np.testing.assert_array_equal(load_observed(path, 1, zero_is_missing=False), MILLIMETRES)


def test_integers_need_a_scale(tmp_path):
    path = tmp_path / "depth.png"
    Image.fromarray(MILLIMETRES).save(path)
    with pytest.raises(ImageFileError, match=r"holds integers \(uint16\), so a scale is needed: 0.001 if they"):
        load_observed(path)
    np.save(tmp_path / "depth.npy", MILLIMETRES)
    with pytest.raises(ImageFileError, match="a scale is needed"):
        load_observed(tmp_path / "depth.npy")


@pytest.mark.parametrize("scale", [0, -1, np.nan])
def test_bad_scale(tmp_path, scale):
    np.save(tmp_path / "depth.npy", MILLIMETRES)
    with pytest.raises(ValueError, match="scale: must be"):
        load_observed(tmp_path / "depth.npy", scale)


def test_floats_keep_their_zeros(tmp_path):
    values = np.array([[0.0, 1.5], [np.nan, np.inf]])
    np.save(tmp_path / "depth.npy", np.asfortranarray(values))
    np.testing.assert_array_equal(load_observed(tmp_path / "depth.npy"), [[0.0, 1.5], [np.nan, np.nan]])
    np.testing.assert_array_equal(
        load_observed(tmp_path / "depth.npy", 2, zero_is_missing=True), [[np.nan, 3.0], [np.nan, np.nan]]
    )


def test_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, anything=np.ones((2, 3)))
    assert load_observed(path).shape == (2, 3)
    np.savez(path, observed=np.ones((2, 3, 2)), other=np.zeros(3))
    assert load_observed(path).shape == (2, 3, 2)
    np.savez(path, a=np.ones((2, 3)), b=np.ones((2, 3)))
    with pytest.raises(ImageFileError, match="holds a, b; name the image 'observed', or store it alone"):
        load_observed(path)
    np.savez(path)
    with pytest.raises(ImageFileError, match="holds nothing"):
        load_observed(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones(3), r"must have shape \(H, W\) or \(H, W, C\), got \(3,\)"),
        (np.ones((0, 3)), r"got \(0, 3\)"),
        (np.ones((2, 2), complex), "must hold real numbers, got complex128"),
        (np.array([["a"]]), "must hold real numbers"),
        (np.full((2, 3), np.nan), "no pixel was measured, all 3 x 2 are 0 or NaN"),
    ],
)
def test_bad_arrays(tmp_path, values, message):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(ImageFileError, match=message):
        load_observed(tmp_path / "a.npy")


def test_object_arrays_are_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ImageFileError, match=r"cannot be read as .npy"):
        load_observed(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["broken.png", "broken.npy", "broken.npz", "noending"])
def test_broken_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"neither one nor the other")
    with pytest.raises(ImageFileError, match="cannot be read as") as caught:
        load_observed(tmp_path / name)
    assert name in str(caught.value)


def test_missing_file():
    with pytest.raises(FileNotFoundError, match=r"image nowhere.png does not exist"):
        load_observed("nowhere.png")


def test_color_is_not_depth(tmp_path):
    path = tmp_path / "color.png"
    save_color(path, np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(ImageFileError, match=r"one channel, this one has 3 channels \(RGB\); is it a color"):
        load_observed(path, 0.001)
    Image.fromarray(np.zeros((2, 3), np.uint8)).convert("P").save(path)
    with pytest.raises(ImageFileError, match="this one has a palette"):
        load_observed(path, 0.001)


def test_color_round_trip(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    save_color(tmp_path / "c.png", picture)
    np.testing.assert_array_equal(load_color(tmp_path / "c.png"), picture)
    save_color(tmp_path / "g.png", picture[..., 0])
    assert load_color(tmp_path / "g.png").shape == (5, 4, 3)
    with pytest.raises(ValueError, match=r"image: must be uint8"):
        save_color(tmp_path / "c.png", picture.astype(float))


def test_depth_round_trip(tmp_path):
    depth = np.array([[np.nan, 1.0], [0.25, 65.535]])
    save_depth(tmp_path / "d.png", depth, 0.001)
    np.testing.assert_array_equal(load_observed(tmp_path / "d.png", 0.001), depth.astype(np.float32))
    with pytest.raises(ValueError, match=r"between 0 and 65.535 at scale 0.001, got 0 to 66; use a larger scale"):
        save_depth(tmp_path / "d.png", [[66.0, np.nan]])
    with pytest.raises(ValueError, match="got -1 to 0"):
        save_depth(tmp_path / "d.png", [[-1.0, np.nan]])
    with pytest.raises(ValueError, match=r"shape \(H, W\)"):
        save_depth(tmp_path / "d.png", [1.0])
