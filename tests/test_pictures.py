"""Pictures: they are drawn without a display, from data with holes, and leave pyplot alone."""

import subprocess
import sys

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")

from diffrt_aot import pictures  # noqa: E402

HEIGHT, WIDTH = 24, 32


@pytest.fixture
def depth():
    image = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    image[6:18, 8:20] = np.linspace(1.0, 1.2, 12, dtype=np.float32)
    return image


@pytest.fixture
def columns(depth):
    column = np.nan_to_num(depth) - 1.1
    return np.stack([column, -column, 0 * column, 2 * column], axis=-1)


def save(figure, tmp_path):
    path = tmp_path / "picture.png"
    pictures.save_figure(figure, path)
    pixels = matplotlib.image.imread(path)
    assert pixels.shape[0] > 100 and pixels.shape[1] > 100
    assert np.ptp(pixels[..., :3]) > 0.5, "the picture is blank"


def test_images(tmp_path, depth):
    save(pictures.compare_images(depth, depth + 0.1, depth, quantity="depth [m]"), tmp_path)


def test_residuals_share_one_symmetric_scale(tmp_path, depth):
    figure = pictures.compare_residuals(depth - 1.0, depth - 1.1, quantity="residual [m]")
    scales = {ax.images[0].get_clim() for ax in figure.axes if ax.images}
    assert len(scales) == 1
    low, high = scales.pop()
    assert low == -high < 0.0
    assert any("residual [m]" in ax.get_ylabel() for ax in figure.axes)
    save(figure, tmp_path)
    figure = pictures.compare_residuals(depth - 1.0, depth - 1.1, limit=0.5)
    assert figure.axes[0].images[0].get_clim() == (-0.5, 0.5)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7])
def test_jacobian_grid(tmp_path, columns, count):
    many = np.concatenate([columns, columns], axis=-1)[..., :count]
    labels = [f"p{i}" for i in range(count)]
    figure = pictures.jacobian_columns(many, labels)
    drawn = [ax for ax in figure.axes if ax.images and ax.get_visible()]
    assert len(drawn) == count
    save(figure, tmp_path)
    with pytest.raises(ValueError, match="columns: must have shape"):
        pictures.jacobian_columns(many, [*labels, "more"])


def test_outlines(tmp_path):
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    mask = np.zeros((HEIGHT, WIDTH))
    mask[5:9, 6:20] = 1.0
    masks = {"start": mask, "fitted": np.roll(mask, 3, axis=1), "nowhere": 0 * mask, "missing": mask * np.nan}
    figure = pictures.overlay_outline(picture, masks, title="outline")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == list(masks)
    save(figure, tmp_path)
    with pytest.raises(ValueError, match=r"'small' has shape \(2, 2\), the picture \(24, 32\)"):
        pictures.overlay_outline(picture, {"small": np.zeros((2, 2))})


def test_overview(tmp_path, depth, columns):
    labels = ["a", "b", "c", "d"]
    residuals = {"before": 0.1 * depth, "after": 0.0 * depth}
    save(pictures.fit_overview(depth, residuals, columns, labels, quantity="m"), tmp_path)
    figure = pictures.fit_overview(depth, {"only": depth}, columns[..., :1], labels[:1], limit=0.5)
    assert (-0.5, 0.5) in {ax.images[0].get_clim() for ax in figure.axes if ax.images}
    save(figure, tmp_path)


def test_nothing_to_see(tmp_path):
    empty = np.full((HEIGHT, WIDTH), np.nan)
    save(pictures.compare_images(empty, empty, empty), tmp_path)
    save(pictures.compare_residuals(empty, empty), tmp_path)
    save(pictures.jacobian_columns(np.zeros((HEIGHT, WIDTH, 1)), ["p"]), tmp_path)
    save(pictures.fit_overview(empty, {"residual": empty}, np.zeros((HEIGHT, WIDTH, 1)), ["p"]), tmp_path)


def test_one_pixel(tmp_path):
    pixel = np.ones((1, 1))
    save(pictures.compare_images(pixel, pixel, pixel), tmp_path)
    save(pictures.compare_residuals(pixel, pixel), tmp_path)


def test_channels_are_refused():
    with pytest.raises(ValueError, match=r"before: must have shape \(H, W\), got \(2, 2, 3\); pick a channel"):
        pictures.compare_residuals(np.zeros((2, 2, 3)), np.zeros((2, 2)))


def test_bounding_box():
    mask = np.zeros((20, 30), bool)
    mask[5:15, 10] = True
    assert pictures.bounding_box(mask, margin=0.1) == (slice(4, 16), slice(9, 12))
    assert pictures.bounding_box(mask, margin=9.0) == (slice(0, 20), slice(0, 30))
    assert pictures.bounding_box(mask & False) == (slice(0, 20), slice(0, 30))


def test_pyplot_is_left_alone():
    code = (
        "import sys, numpy as np; from diffrt_aot import pictures; x = np.ones((4, 4)); "
        "assert 'matplotlib' not in sys.modules; pictures.compare_residuals(x, x); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
