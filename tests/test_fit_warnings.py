"""What makes a fit doubtful is said: in its result, and as a warning. And what is not doubtful is not spoken of."""

import warnings

import numpy as np
import pytest

import diffrt_aot as dr
from diffrt_aot import fit_warnings

pytestmark = pytest.mark.every_device

CAMERA = dr.PinholeCamera(64, 48, 60, 60, 31.5, 23.5)
TRUTH = np.array([0.05, -0.02, 1, 0.3])
FREE = ["ball.center", "ball.radius"]


def scene(center=TRUTH[:3], radius=TRUTH[3], **others):
    return dr.Scene(CAMERA, {"ball": dr.Sphere(center, radius), **others})


def started(output="depth", **options):
    return dr.Renderer(scene((0, 0, 1.02), 0.31), FREE, output, **options)


def seen(output="depth", **options):
    return dr.Renderer(scene(), output=output, **options).render()


def fitted(renderer, observed, *arguments, **options):
    """The result, whose warnings must be those of Python."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        result = dr.fit(renderer, observed, *arguments, **options)
    assert [str(entry.message) for entry in told] == result.warnings
    assert all(entry.category is dr.FitWarning and entry.filename == __file__ for entry in told)
    return result


def found(result):
    return np.abs(result.theta - TRUTH).max() < 1e-3


def some(shape, share=0.3):
    return np.random.default_rng(0).random(shape) < share


# ---- what is measured --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channel", [False, True])
def test_nothing_is_said_of_a_clean_fit(dtype, channel):
    image = seen().astype(dtype)
    image = image[..., None] if channel else image
    assert not fitted(started(), image).warnings
    assert found(fitted(started(), image, weights=np.ones_like(image), loss=dr.Cauchy(0.01)))


@pytest.mark.parametrize("output", ["depth", "distance"])
def test_zeros_are_spoken_of_where_they_are_no_value(output):
    image = np.nan_to_num(seen(output))
    (text,) = fitted(started(output), image, loss=dr.Huber(0.01)).warnings
    assert "% of the pixels are exactly 0, which no depth or distance is" in text and "np.nan" in text
    assert not fitted(started(output, background=0.0), image, levels=2).warnings
    assert not fitted(started(output), image, weights=(image > 0).astype(float)).warnings
    few = seen(output)
    few[20, 20:24] = 0
    assert not fitted(started(output), few, loss=dr.Cauchy(0.01)).warnings
    assert not fitted(started("mask"), seen("mask"), levels=2).warnings


@pytest.mark.parametrize("value", ["65.535", "65535", "65504", "1e+10", "0.0001"])
def test_far_constants_are_spoken_of(value):
    number = np.float32(value)
    image = np.where(some(CAMERA.image_shape), number, seen())
    (text,) = fitted(started(), image, loss=dr.Huber(0.01)).warnings  # what nobody measured is not the units' fault
    assert f"of the pixels are exactly {value}," in text
    image[image == number] = np.nan
    assert not fitted(started(), image, loss=dr.Huber(0.01)).warnings


def test_below_zero_nothing_was_measured():
    image = np.where(np.isfinite(seen()), seen(), -1)
    kept = image.copy()
    for given in (image, image.astype(float)[..., None], np.asfortranarray(image)):
        result = fitted(started(), given, loss=dr.Huber(0.01))
        assert found(result)
        (text,) = result.warnings
        assert f"{np.sum(image < 0)} of {image.size} pixels are below zero" in text
    assert np.array_equal(image, kept), "the caller's array is left as it is"
    assert not fitted(started(), image, weights=(image > 0).astype(np.float32)).warnings
    noisy = seen(background=0.0) + np.random.default_rng(0).normal(0, 0.01, image.shape)
    assert not fitted(started(background=0.0), noisy, levels=2).warnings


def test_of_several_outputs_each_is_looked_at():
    outputs = ["mask", "depth"]
    image = seen(outputs)
    assert not fitted(started(outputs), image).warnings
    image[..., 1][np.isnan(image[..., 1])] = -1
    result = fitted(started(outputs), image, weights=np.ones(CAMERA.image_shape))
    assert "are below zero" in result.warnings[0] and found(result)


def test_a_mask_of_255_is_refused():
    with pytest.raises(
        dr.InvalidValueError, match="observed: a mask has values from 0 to 1, got 0 to 255; divide by 255"
    ):
        dr.fit(started("mask"), 255 * seen("mask"))
    labels = np.where(seen("mask") > 0.5, np.float32(2), 0)
    with pytest.raises(dr.InvalidValueError, match="got 0 to 2; divide by 2 if that stands for 1"):
        dr.fit(started("mask"), labels)
    noisy = seen("mask") + np.random.default_rng(0).normal(0, 0.2, CAMERA.image_shape)
    assert not fitted(started("mask"), noisy).warnings


def test_images_that_do_not_fit_are_refused_as_ever():
    for image in (seen()[:-1], seen()[None], np.stack([seen()] * 2, axis=-1)):
        with pytest.raises(dr.InvalidValueError, match="observed: has shape"):
            dr.fit(started(), image)


# ---- masked arrays -----------------------------------------------------------------------------------------


def test_masked_pixels_are_no_measurements():
    renderer = started(background=0.0)
    data = seen(background=0.0).astype(float)
    mask = some(data.shape)
    data[mask] = 99.0
    plain = np.where(mask, np.nan, data)
    expected = renderer.normal_equations(None, plain)
    ones = np.ones_like(data)
    for dtype in (np.float32, np.float64):
        masked = np.ma.masked_array(data.astype(dtype), mask)
        for weights in (None, ones):
            got = renderer.normal_equations(None, masked, weights)
            assert got.count == expected.count == data.size - mask.sum()
            np.testing.assert_allclose(got.g, expected.g, rtol=1e-6)
        assert renderer.cost(None, masked)[1] == expected.count
    got = renderer.normal_equations(None, data, np.ma.masked_array(ones, mask))
    assert got.count == expected.count and np.array_equal(got.g, expected.g)
    assert not fitted(renderer, np.ma.masked_array(data, mask)).warnings
    assert renderer.cost(None, np.ma.masked_array(data))[1] == data.size  # a mask that hides nothing
    with pytest.raises(dr.InvalidTypeError, match="observed: has dtype int64"):
        renderer.cost(None, np.ma.masked_array(data.astype(int), mask))


# ---- units -------------------------------------------------------------------------------------------------


def cube(size, center=(0, 0, 0)):
    vertices = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * size / 2 + center
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return dr.Mesh(vertices, [[q[0], q[k], q[k + 1]] for q in quads for k in (1, 2)])


def at(z, size=1.0):
    T = np.eye(4)
    T[:3, 3] = 0.02, 0.01, z
    return cube(size).replace(T_world_mesh=T)


def units_of(start, observed, **options):
    free = [name for name in dr.valid_free_names(start) if name.endswith(("pose", "center"))][:1]
    result = fitted(dr.Renderer(start, free, "depth"), observed, max_steps=3, **options)
    return [text for text in result.warnings if fit_warnings.is_about_units(text)]


@pytest.mark.parametrize("size", [1000.0, 100.0])
def test_a_model_in_other_units_is_around_the_camera(size):
    """A cube of 12 cm before a wall, and its mesh in millimetres or in centimetres."""
    truth = dr.Scene(CAMERA, {"cube": at(0.6, 0.12), "wall": dr.Plane((0, 0, 1.2), (0, 0, -1))})
    observed = dr.Renderer(truth, output="depth").render()
    (text,) = units_of(dr.Scene(CAMERA, {"cube": at(0.61, 0.12 * size)}), observed, loss=dr.Huber(0.005))
    assert "the camera stands within the model cube at the start" in text and "millimetres" in text
    assert not units_of(dr.Scene(CAMERA, {"cube": at(0.61, 0.12)}), observed, loss=dr.Huber(0.005))


def test_a_ball_in_millimetres_is_around_the_camera():
    (text,) = units_of(scene((0, 0, 1), 300.0), seen())
    assert "within the model ball" in text


def test_a_mask_does_not_show_what_is_around_the_camera():
    renderer = dr.Renderer(scene((0, 0, 1), 300.0), ["ball.center"], "mask")
    assert "within the model ball at the start" in fitted(renderer, seen("mask")).warnings[0]


def test_where_the_fit_ended():
    start, end = (fit_warnings.camera_within(scene((0, 0, z), 0.3)) for z in (1, 0.1))
    (text,) = fit_warnings.of_place(started(), None, start, end, np.ones(9))
    assert "within the model ball where the fit ended" in text


def test_a_room_is_around_the_camera():
    room = dr.Scene(CAMERA, {"room": cube(4.0)})
    observed = dr.Renderer(dr.Scene(CAMERA, {"room": cube(4.2)}), output="depth").render()
    assert fit_warnings.camera_within(room) == ["room"]
    assert not units_of(room, observed)
    assert not units_of(dr.Scene(CAMERA, {"sky": dr.Sphere((0, 0, 0.5), 3)}), observed)


def test_within_a_box_around_a_mesh_is_not_within_the_mesh():
    mesh = cube(1.0, (0, 0, 2))
    valley = dr.Mesh([[-5, 0, -5], [5, 0, -5], [0, 2, -5], [-5, 0, 5], [5, 0, 5], [0, 2, 5]], [[0, 2, 3], [2, 5, 3]])
    two = dr.Mesh(
        np.concatenate([mesh.vertices, mesh.vertices - (0, 0, 4)]), np.concatenate([mesh.faces, mesh.faces + 8])
    )
    for shape in (mesh, two, valley, dr.Plane((0, 0, 1), (0, 0, -1))):
        assert not fit_warnings.camera_within(dr.Scene(CAMERA, {"it": shape}))
    turned = cube(1.0).replace(
        T_world_mesh=dr.nearest_rigid([[0, 1, 0, 0.2], [-1, 0, 0, 0.1], [0, 0, 1, 0.3], [0, 0, 0, 1]])
    )
    assert fit_warnings.camera_within(dr.Scene(CAMERA, {"it": turned})) == ["it"]


@pytest.mark.parametrize("unit", [1000.0, 0.001, 5000.0])
def test_an_image_in_other_units(unit):
    (text,) = units_of(scene(), unit * seen())
    assert "what is measured lies at" in text and "millimetres" in text


def test_a_tenth_of_the_scale_is_spoken_of_and_may_be_a_far_start():
    (text,) = fitted(dr.Renderer(scene(), ["ball.center"], "depth"), 0.1 * seen(), max_steps=1).warnings
    assert text.startswith("distance: what is measured lies at 0.0") and not fit_warnings.is_about_units(text)


def test_a_pose_in_millimetres():
    (text,) = units_of(dr.Scene(CAMERA, {"cube": at(600.0, 120.0)}), seen())
    assert "and the model 540 to" in text


def test_far_and_near_backgrounds_are_no_other_units():
    for distance in (0.5, 40.0):
        observed = np.where(np.isfinite(seen()), seen(), distance * np.linspace(0.9, 1.1, 64))
        assert not units_of(scene(), observed, loss=dr.Cauchy(0.01))


def test_the_scale_that_was_meant():
    lengths = 1.2 * np.linspace(0.8, 1.2, 99)
    for meant, given, text in (
        (1 / 5000, 5000.0, "1/5000"),
        (0.001, 1.0, "0.001"),
        (1.0, 0.001, "1"),
        (1e-4, 1, "0.0001"),
    ):
        assert fit_warnings.likely_scale(scene(), lengths / meant * given, given) == text
    assert fit_warnings.likely_scale(scene(), lengths * 77, 1.0) is None


# ---- losses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss", [dr.Huber(0.01), dr.Cauchy(0.01), dr.Tukey(0.01), dr.Barron(-2, 0.01), dr.Barron(1, 0.01)]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_loss_that_takes_all_for_outliers(loss, weighted):
    image = seen() + np.float32(0.4)
    weights = np.full(image.shape, 37.0) if weighted else None
    renderer = dr.Renderer(scene(), ["ball.radius"], "depth")
    result = fitted(renderer, image, loss=loss, weights=weights, max_steps=0)
    (text,) = result.warnings
    assert "none of the residuals lie within the loss's scale of 0.01, their median is 0.4" in text
    assert not fit_warnings.is_about_units(text)
    half = np.where(np.arange(64) < 32, image, seen())
    for observed, weight in ((seen(), weights), (half, weights), (half, (half == seen()) * 1.0)):
        assert not fitted(renderer, observed, loss=loss, weights=weight, max_steps=0).warnings
    assert not fitted(renderer, np.full_like(image, np.nan), loss=loss).warnings


@pytest.mark.parametrize("scale", [1e-15, 1e100])
def test_losses_of_any_scale(scale):
    (text,) = fitted(started(), seen(), loss=dr.Cauchy(scale), max_steps=1).warnings or ["no doubt"]
    assert text.startswith("loss: none" if scale < 1 else "no doubt")
