"""What several files of tests share and is expensive to make, and the device that tests run on.

A file with `pytestmark = pytest.mark.every_device` is run on each device of this machine, but for tests of its own that
have the mark `every_device(False)`, and those `by="reference"`, which need no device. With --device NAME it is run on
that one, and so is all else: renderers that name no device are made there.
"""

import inspect
import signal

import compiled
import pytest

import diffrt_aot as dr

# Files that take long, the longest first; all others run before them, so that what is wrong shows soon.
SLOW = [
    "test_device_boundary.py",
    "test_boundary_scenes.py",
    "test_boundary_tips.py",
    "test_boundary_robustness.py",
    "test_numbers_compiled.py",
    "test_reference.py",
    "test_jacobian.py",
    "test_cli.py",
    "test_boundary_coverage.py",
    "test_boundary_consistency.py",
    "test_examples.py",
    "test_build.py",
    "test_aot.py",
    "test_aot_devices.py",
]
# Files that share what is expensive to make: of several processes (pytest -n 2 --dist loadgroup) one runs them all. Of
# every other file, too, one process runs all tests.
TOGETHER = {"test_aot_devices.py": "test_aot.py", "test_jacobian.py": "test_reference.py"}


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """A folder with everything that `python -m kernels.aot` writes, the code of each kernel included.

    What `pip install .` compiled in this checkout will do, unless a kernel has changed since.
    """
    if reason := compiled.missing():
        pytest.skip(reason)
    if folder := compiled.up_to_date():
        return folder
    folder = tmp_path_factory.mktemp("aot")
    compiled.run_python("-m", "kernels.aot", "--output", folder, "--keep-ir")
    return folder


@pytest.fixture
def heeds_interrupts():
    """SIGINT interrupts, in a shell's background job as well, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def pytest_addoption(parser):
    parser.addoption("--device", help="device of renderers that name none: cpu, cuda, vulkan:1...")


def pytest_configure(config):
    config.addinivalue_line("markers", "every_device: run once on each device of this machine")
    config.addinivalue_line("markers", "xdist_group(name): pytest-xdist runs tests of one name in one process")
    make_default(config.getoption("--device") or "cpu")


def pytest_generate_tests(metafunc):
    chosen = metafunc.config.getoption("--device")
    mark = metafunc.definition.get_closest_marker("every_device")
    if mark is None or mark.args == (False,):
        return
    devices = [chosen] if chosen else [name for name in dr.devices() if name.endswith(":0") or name == "cpu"]
    if "device" not in metafunc.fixturenames:
        metafunc.fixturenames.append("device")
    metafunc.parametrize("device", devices, indirect=True, scope="module")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What takes long comes last. What the reference computes is the same on every device: once is enough."""

    def again(item):
        values = getattr(item, "callspec", None) and item.callspec.params
        return values and values.get("by") == "reference" and item.callspec.indices.get("device", 0) > 0

    def place(item):
        return SLOW.index(item.path.name) if item.path.name in SLOW else -1

    items[:] = sorted((item for item in items if not again(item)), key=place)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(TOGETHER.get(item.path.name, item.path.name)))


@pytest.fixture(scope="module")
def device(request):
    """The device of renderers that name none, by name."""
    before = make_default(request.param)
    yield request.param
    make_default(before)


def make_default(device):
    """Makes it the default of `Renderer`; the one before is returned."""
    function = dr.Renderer.__init__
    names = [p.name for p in inspect.signature(function).parameters.values() if p.default is not p.empty]
    defaults = dict(zip(names, function.__defaults__, strict=True))
    function.__defaults__ = tuple((defaults | {"device": device}).values())
    return defaults["device"]
