"""Images: what becomes NaN, which scale applies, what errors say."""

import sys

import numpy as np
import pytest

from diffrt_aot.errors import FitWarning, ImageFileError
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


def depth_with(value, share=0.1, shape=(40, 50), dtype=np.float32, unit=1.0):
    """A slope from 0.8 to 1.2, `share` of whose pixels are `value`."""
    image = np.linspace(0.8, 1.2, shape[0] * shape[1]).reshape(shape) * unit
    image.flat[np.random.default_rng(0).permutation(image.size)[: round(share * image.size)]] = value
    return image.astype(dtype)


def saved(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    return tmp_path / "a.npy"


def test_missing_numbers_are_those_of_the_file(tmp_path):
    path = saved(tmp_path, np.array([[65535, 1000, 0], [7, 65535, 250]], np.uint16))
    expected = np.float32([[np.nan, 1, np.nan], [0.007, np.nan, 0.25]])
    np.testing.assert_array_equal(load_observed(path, 0.001, missing=65535), expected)
    expected[1, 0] = np.nan
    np.testing.assert_array_equal(load_observed(path, 0.001, missing=[65535, 7.0]), expected)
    # in the file's own precision, and beyond its range
    path = saved(tmp_path, np.float32([[0.1, 1.0], [-1, 3]]))
    np.testing.assert_array_equal(load_observed(path, missing=(0.1, -1)), np.float32([[np.nan, 1], [np.nan, 3]]))
    np.testing.assert_array_equal(load_observed(saved(tmp_path, np.float16([[1, 2]])), missing=1e10), [[1, 2]])
    with pytest.raises(ValueError, match="missing: must be finite, got nan"):
        load_observed(path, missing=np.nan)
    with pytest.raises(TypeError, match="missing: must be a number, got 'x'"):
        load_observed(path, missing="x")
    with pytest.raises(ImageFileError, match="no pixel was measured, all 2 x 1 are 0 or NaN, or missing"):
        load_observed(saved(tmp_path, np.ones((1, 2))), missing=1)


def test_zero_is_missing_by_what_the_image_shows(tmp_path):
    for dtype in (np.uint16, np.float32):
        path = saved(tmp_path, np.array([[0, 1]], dtype))
        for output in ("depth", "distance"):
            assert np.isnan(load_observed(path, 1, output=output)[0, 0])
            assert load_observed(path, 1, output=output, zero_is_missing=False)[0, 0] == 0
        for output in ("mask", "shade"):
            np.testing.assert_array_equal(load_observed(path, 1, output=output), [[0, 1]])
    both = np.stack([[[0.0, 1]], [[0, 1]]], axis=-1)
    image = load_observed(saved(tmp_path, both), 0.001, output=["mask", "depth"])
    np.testing.assert_array_equal(image, np.float32([[[0, np.nan], [1, 0.001]]]))  # only lengths are scaled
    with pytest.raises(ImageFileError, match="has 2 channels, normal 3"):
        load_observed(saved(tmp_path, both), output="normal")


@pytest.mark.parametrize("output", [None, "depth", ("distance",)])
def test_below_zero_nothing_was_measured(tmp_path, output):
    path = saved(tmp_path, np.float32([[-1, 1, -1], [2, -5, 3]]))
    expected = np.float32([[np.nan, 1, np.nan], [2, np.nan, 3]])
    with pytest.warns(FitWarning, match=r"a.npy: 3 of 6 pixels are below zero \(-1, and others\), which no depth is"):
        np.testing.assert_array_equal(load_observed(path, output=output), expected)
    np.testing.assert_array_equal(load_observed(path, output=output, missing=(-1, -5)), expected)  # and no warning


def test_normals_are_below_zero(tmp_path):
    normals = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(load_observed(saved(tmp_path, normals), output="normal"), normals)
    np.testing.assert_array_equal(load_observed(saved(tmp_path, normals)), normals)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (np.array([[0, 255], [255, 0]], np.uint8), None),
        (np.array([[0, 255], [255, 0]], np.uint8), 1 / 255),
        (np.array([[0, 255], [255, 0]], np.uint8), 0.00392),
        (np.array([[0, 65535], [65535, 0]], np.uint16), None),
        (np.array([[0, 255], [255, 0]], np.int32), None),
        (np.array([[0, 1], [1, 0]], np.uint8), None),
        (np.array([[0, 1], [1, 0]], bool), None),
        (np.array([[0, 255], [255, 0]], np.float32), None),
        (np.array([[0, 1], [1, 0]], np.float64), None),
        (np.array([[[0], [1]], [[1], [0]]], np.float64), 1),
    ],
)
def test_masks_are_read_as_0_and_1(tmp_path, values, scale):
    image = load_observed(saved(tmp_path, values), scale, output="mask")
    np.testing.assert_allclose(image, [[0, 1], [1, 0]], atol=1e-3)


def test_grey_is_coverage_and_black_alone_a_mask(tmp_path):
    image = load_observed(saved(tmp_path, np.array([[0, 51, 255]], np.uint8)), output="mask")
    np.testing.assert_allclose(image, [[0, 0.2, 1]], atol=1e-7)
    assert not load_observed(saved(tmp_path, np.zeros((2, 2), np.uint8)), output="mask").any()
    image = load_observed(saved(tmp_path, np.array([[0, 128, 255]], np.uint8)), output="mask", missing=128)
    np.testing.assert_array_equal(image, np.float32([[0, np.nan, 1]]))


@pytest.mark.parametrize(
    ("values", "scale", "message"),
    [
        (
            [[0, 255]],
            1,
            r"from 0 to 1, got 0 to 255 times the scale of 1; without a scale 0 and 255 are read as 0 and 1",
        ),
        ([[0, 255]], 0.01, "got 0 to 255 times the scale of 0.01"),
        ([[0, 1, 2, 3]], None, "got 0 to 3; .*if these are labels"),
        ([[-1, 1]], None, "got -1 to 1"),
    ],
)
def test_what_is_no_mask(tmp_path, values, scale, message):
    with pytest.raises(ImageFileError, match=message) as caught:
        load_observed(saved(tmp_path, np.array(values, np.int16)), scale, output="mask")
    assert "illimet" not in str(caught.value)


def test_advice_on_the_scale_fits_the_image(tmp_path):
    path = saved(tmp_path, np.array([[0, 255]], np.uint8))
    with pytest.raises(ImageFileError, match=r'a scale is needed: 0.001 if .*; of a mask say output="mask"'):
        load_observed(path)
    with pytest.raises(ImageFileError, match="a scale is needed: 1/255 if 0 to 255 stand for 0 to 1"):
        load_observed(path, output="shade")


@pytest.mark.parametrize(
    ("values", "named", "why"),
    [
        (depth_with(65535, unit=1000, dtype=np.uint16), "65535", "the largest number of uint16"),
        (depth_with(65535, unit=1000, dtype=np.int32), "65535", "the largest number of a 16-bit file"),
        (depth_with(65535, unit=9000, dtype=np.uint16), "65535", "the largest number of uint16"),
        (depth_with(32767, unit=1000, dtype=np.int16), "32767", "the largest number of int16"),
        (depth_with(65.535), "65.535", "the largest number of a 16-bit file"),
        (depth_with(65504, dtype=np.float16), "65504", "the largest number of a 16-bit file"),
        (depth_with(1e10), "1e+10", "times the median of the others"),
        (depth_with(100.0, share=0.9), "100", "101 times the median of the others"),
        (depth_with(0.01), "0.01", "1/99.9 of the median of the others"),
        (depth_with(65535, share=1.0, dtype=np.uint16), "65535", "the largest number of uint16"),
    ],
)
def test_suspicious_constants_are_named(tmp_path, values, named, why):
    path = saved(tmp_path, values)
    with pytest.warns(FitWarning) as told:
        load_observed(path, 1, output="depth", zero_is_missing=False)
    (text,) = (str(entry.message) for entry in told)
    assert "% of the pixels are exactly " + named in text and why in text and f"--missing {named}" in text
    assert told[0].filename == __file__


def test_two_suspicious_constants_are_two_warnings(tmp_path):
    values = depth_with(65535, unit=1000, dtype=np.uint16)
    values[:4] = 3
    with pytest.warns(FitWarning) as told:
        load_observed(saved(tmp_path, values), 0.001)
    assert sorted(str(entry.message).split("exactly ")[1].split(",")[0] for entry in told) == ["3", "65535"]
    with pytest.warns(FitWarning, match="exactly 3,"):
        load_observed(tmp_path / "a.npy", 0.001, missing=65535)
    load_observed(tmp_path / "a.npy", 0.001, missing=(65535, 3))


@pytest.mark.parametrize(
    ("values", "output"),
    [
        (np.where(np.arange(2000).reshape(40, 50) % 7 < 3, 255, 0).astype(np.uint8), "mask"),
        (np.where(np.arange(2000).reshape(40, 50) % 7 < 3, 65535, 0).astype(np.uint16), "mask"),
        (depth_with(65535, unit=50000, dtype=np.uint16), None),  # grey and white
        (np.full((40, 50), 1200, np.uint16), "depth"),  # a wall
        (depth_with(1200, share=0.6, unit=600, dtype=np.uint16), "depth"),  # a thing before a wall
        (depth_with(5.0), "depth"),
        (depth_with(65535, share=0.005, unit=1000, dtype=np.uint16), "depth"),  # glints
        (np.where(np.arange(2000).reshape(40, 50) % 7 < 3, 1.0, 0.01), "shade"),
        (np.full((40, 50, 3), -1.0), "normal"),
    ],
)
def test_no_false_alarm(tmp_path, values, output):
    load_observed(saved(tmp_path, values), 1 if output != "mask" else None, output=output)


def test_one_channel_is_an_image(tmp_path):
    assert load_observed(saved(tmp_path, np.ones((3, 4, 1)))).shape == (3, 4)


@pytest.mark.parametrize("suffix", [".tiff", ".pgm", ".pfm"])
def test_what_pillow_reads(tmp_path, suffix):
    values = np.array([[1000, 65000, 3]], np.float32 if suffix == ".pfm" else np.uint16)
    Image.fromarray(values).save(tmp_path / f"a{suffix}", format="PPM" if suffix != ".tiff" else None)
    np.testing.assert_array_equal(load_observed(tmp_path / f"a{suffix}", 1), values)


def exr(path, **channels):
    OpenEXR = pytest.importorskip("OpenEXR")
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {name.replace("_", "."): image for name, image in channels.items()}).write(str(path))
    return path


def test_exr(tmp_path):
    z = np.float32([[1, 2.5, np.inf], [0.25, 65504, 3]])
    expected = np.where(np.isfinite(z), z, np.float32(np.nan))
    for name in ("Y", "Z", "V", "R", "depth_V", "anything"):
        np.testing.assert_array_equal(load_observed(exr(tmp_path / "a.exr", **{name: z})), expected)
    other = np.zeros_like(z)
    for name in ("Z", "ViewLayer_Depth_Z", "depth"):
        path = exr(tmp_path / "a.exr", R=other, G=other, B=other, **{name: z})
        np.testing.assert_array_equal(load_observed(path, missing=65504), np.where(z == 65504, np.nan, expected))
    np.testing.assert_array_equal(load_observed(exr(tmp_path / "a.exr", Y=z.astype(np.float16))), expected)
    with pytest.raises(ImageFileError, match=r"one channel, or one called Z or depth; this one has B, G, R; save"):
        load_observed(exr(tmp_path / "a.exr", R=z, G=z, B=z))
    (tmp_path / "b.exr").write_bytes(b"neither one nor the other")
    with pytest.raises(ImageFileError, match=r"b.exr: cannot be read as .exr"):
        load_observed(tmp_path / "b.exr")


def test_a_missing_reader_says_which_extra_has_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    (tmp_path / "a.exr").write_bytes(b"")
    with pytest.raises(ImportError, match=r'needs OpenEXR, which is not installed: pip install "diffrt_aot\[exr\]"'):
        load_observed(tmp_path / "a.exr")
