"""How devices read images: any strides, float64 without 64-bit types. Compiled for this machine, against NumPy."""

import numpy as np
import pytest
from compiled import levels, missing
from device_boundary import compiled

WIDTH, HEIGHT, TILES = 37, 19, 3 * 2


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    if reason := missing():
        pytest.skip(reason)
    return compiled.build(tmp_path_factory.mktemp("image_kernels"), levels()[-1], "load_observation", "pack_image")


def words_of(view, memory):
    """A view of memory as kernels see it: where it starts, and its strides, in words from the beginning of memory."""
    rows, columns, *channels = (stride // 4 for stride in view.strides)
    return {
        "start": (view.ctypes.data - memory.ctypes.data) // 4,
        "row_stride": rows,
        "column_stride": columns,
        "channel_stride": channels[0] if channels else 0,
        "is_double": int(view.dtype == np.float64),
    }


def packed(kernels, view, memory, channels=1):
    height, width = view.shape[:2]
    out = np.full((height, width, channels), -99.0, np.float32)
    kernels.launch(
        "pack_image",
        0,
        out.size,
        channels=channels,
        width=width,
        image=memory.reshape(-1).view(np.int32),
        out=out,
        **words_of(view, memory),
    )
    return out.reshape(view.shape)


VIEWS = {
    "contiguous": lambda a: a,
    "transposed": lambda a: a.T,
    "backwards": lambda a: a[::-1, ::-1],
    "every other": lambda a: a[::2, 1::3],
    "one row for all": lambda a: np.broadcast_to(a[2], a.shape),
    "one number for all": lambda a: np.broadcast_to(a[2, 3], a.shape),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("view", VIEWS)
def test_any_strides(kernels, dtype, view):
    memory = np.random.default_rng(1).normal(size=(HEIGHT, WIDTH)).astype(dtype)
    image = VIEWS[view](memory)
    assert np.array_equal(packed(kernels, image, memory), image.astype(np.float32))


def awkward_doubles():
    """Every exponent that a float has and some beyond, ties both ways, and what is next to them."""
    rng = np.random.default_rng(2)
    exponents = np.arange(-160, 135)
    significands = np.concatenate(
        [
            1 + np.array([0, 1, 2, 3, 2**22, 2**23 - 2, 2**23 - 1]) * 2.0**-23,
            1 + np.array([1, 3, 2**24 - 1]) * 2.0**-24,
            1 + np.array([2**22 + 0.5, 2**23 - 0.5]) * 2.0**-23 + 2.0**-52,
            rng.uniform(1, 2, 20),
        ]
    )
    finite = np.ldexp(significands[:, None], exponents).ravel()
    around = np.concatenate([finite, np.nextafter(finite, 0), np.nextafter(finite, np.inf)])
    others = rng.integers(0, 2**63, 20000).view(np.float64)
    special = np.array([0.0, np.inf, np.nan, 5e-324, 1.7e308])
    values = np.concatenate([around, others, special])
    return np.concatenate([values, -values])


def test_doubles_round_as_the_processor_rounds_them(kernels):
    values = awkward_doubles()[None]
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        expected = values.astype(np.float32)
    found = packed(kernels, values, values)
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    numbers = ~np.isnan(expected)
    assert np.array_equal(found[numbers].view(np.int32), expected[numbers].view(np.int32))


def loaded(kernels, image, memory, weights, weight_memory, channels):
    observed, weight = (np.full(TILES * channels * 256, -99.0, np.float32) for _ in range(2))
    negative = np.zeros(1, np.int32)
    of_weights = {f"weight_{name}": number for name, number in words_of(weights, weight_memory).items()}
    kernels.launch(
        "load_observation",
        0,
        observed.size,
        tiles_x=3,
        channels=channels,
        width=WIDTH,
        height=HEIGHT,
        image=memory.reshape(-1).view(np.int32),
        image_weights=weight_memory.reshape(-1).view(np.int32),
        observed=observed,
        weights=weight,
        negative=negative,
        **words_of(image, memory),
        **of_weights,
    )
    # [tiles, channels, 16, 16] to an image, with what lies beyond the image
    blocks = [
        a.reshape(2, 3, channels, 16, 16).transpose(0, 3, 1, 4, 2).reshape(32, 48, channels) for a in (observed, weight)
    ]
    return *blocks, int(negative[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("per_pixel", [False, True])
def test_observations(kernels, dtype, per_pixel):
    rng = np.random.default_rng(3)
    channels = 2
    memory = rng.normal(size=(channels, HEIGHT, WIDTH)).astype(dtype)
    memory[0, 3, 4], memory[1, 5, 6], memory[0, 7, 8] = np.nan, np.inf, -np.inf
    image = memory.transpose(1, 2, 0)
    weights = rng.uniform(0.5, 1, (HEIGHT, WIDTH) if per_pixel else image.shape).astype(dtype)
    weights[9, 10], weights[11, 12] = 0, np.nan
    observed, weight, negative = loaded(kernels, image, memory, weights, weights, channels)
    given = np.broadcast_to(weights[..., None] if per_pixel else weights, image.shape)
    valid = np.isfinite(image) & (given > 0)
    expected, expected_weight = (np.zeros((32, 48, channels), np.float32) for _ in range(2))
    expected[:HEIGHT, :WIDTH][valid] = image[valid]
    expected_weight[:HEIGHT, :WIDTH][valid] = given[valid]
    assert np.array_equal(observed, expected) and np.array_equal(weight, expected_weight)
    assert negative == 0
    weights[13, 14] = -1e-30
    observed, weight, negative = loaded(kernels, image, memory, weights, weights, channels)
    assert negative == 1 and np.all(weight[13, 14] == 0)
    weights[13, 14] = np.inf
    assert loaded(kernels, image, memory, weights, weights, channels)[2] == 1
