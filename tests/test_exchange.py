"""Arrays of other libraries as observed images and weights."""

import numpy as np
import pytest

import diffrt_aot as dr

pytestmark = pytest.mark.every_device


class Foreign:
    """An array that speaks DLPack and nothing else, as those of other libraries do."""

    def __init__(self, array, kind=1, refuse=None):
        self.array, self.kind, self.refuse, self.exports = array, kind, refuse, 0

    def __dlpack_device__(self):
        return (self.kind, 0)

    def __dlpack__(self, **options):
        if self.refuse:
            raise self.refuse
        self.exports += 1
        return self.array.__dlpack__(**options)


@pytest.fixture
def renderer(device):
    camera = dr.PinholeCamera(width=24, height=16, fx=20, fy=20, cx=12, cy=8)
    return dr.Renderer(dr.Scene(camera, {"ball": dr.Sphere((0, 0, 10), 3)}), free=["ball.center"], background=0.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("view", [lambda a: a, lambda a: a[::-1, ::2].repeat(2, 1)[::-1], lambda a: a.T.copy().T])
def test_arrays_by_dlpack_are_as_numpys(renderer, dtype, view):
    observed = view(renderer.render().astype(dtype) + dtype(0.25))
    weights = np.linspace(0, 1, observed.size, dtype=dtype).reshape(observed.shape)
    expected = renderer.normal_equations(None, observed, weights)
    foreign = Foreign(observed), Foreign(weights)
    found = renderer.normal_equations(None, *foreign)
    assert [f.exports for f in foreign] == [1, 1]
    assert np.array_equal(found.H, expected.H) and np.array_equal(found.g, expected.g) and found.cost == expected.cost


def test_fit_takes_them(renderer):
    observed = renderer.render(np.add(renderer.theta0, (0.1, -0.1, 0.2)))
    ours, theirs = dr.fit(renderer, observed), dr.fit(renderer, Foreign(observed))
    assert np.array_equal(ours.theta, theirs.theta)


@pytest.mark.parametrize(("kind", "where"), [(2, "a CUDA device"), (7, "a Vulkan device"), (99, "kind 99")])
def test_arrays_that_lie_elsewhere_are_refused(renderer, kind, where):
    if kind == 2 and renderer.device.startswith("cuda"):
        pytest.skip("on a CUDA device is where they belong")
    observed = renderer.render()
    with pytest.raises(dr.InvalidTypeError, match=rf"^observed: lies on .*{where}.*copy it to the host"):
        renderer.normal_equations(None, Foreign(observed, kind))
    with pytest.raises(dr.InvalidTypeError, match=rf"^weights: lies on .*{where}"):
        renderer.normal_equations(None, observed, Foreign(observed, kind))


def test_arrays_that_are_not_handed_out(renderer):
    tracked = Foreign(renderer.render(), refuse=BufferError("it requires a gradient; use detach()"))
    with pytest.raises(dr.InvalidTypeError, match=r"^observed: .*use detach\(\)"):
        renderer.cost(None, tracked)


def test_whole_numbers_are_refused_as_numpys(renderer):
    with pytest.raises(dr.InvalidTypeError, match="has dtype int32, expected float32 or float64"):
        renderer.cost(None, Foreign(np.zeros((16, 24), np.int32)))


def test_torch(renderer):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    observed = renderer.render()
    expected = renderer.cost(None, observed * 1.5)
    assert renderer.cost(None, torch.from_numpy(observed) * 1.5) == expected
    with pytest.raises(dr.InvalidTypeError, match=r"^observed: "):
        renderer.cost(None, torch.from_numpy(observed).requires_grad_())
