"""Elementary functions for GPUs: against NumPy in float64, in units of float32.

They run on the CPU here, with sums in the order in which they are written, as on GPUs.

Run as a script it traces: `python test_elementary.py FOLDER`, a process of its own, for Taichi starts once.
"""

import ctypes
import sys
from pathlib import Path

import compiled
import numpy as np
import pytest

COUNT = 20000
# {name: (inputs from, to, allowed units)}; of NumPy's function of the same name.
UNARY = {
    "sin": (-1000.0, 1000.0, 2.0),
    "cos": (-1000.0, 1000.0, 2.0),
    "tan": (-1.5, 1.5, 4.0),
    "arctan": (-50.0, 50.0, 3.0),
    "arcsin": (-1.0, 1.0, 4.0),
    "arccos": (-1.0, 1.0, 4.0),
    "exp": (-87.0, 88.0, 2.0),
    "log": (1e-6, 100.0, 2.0),
    "tanh": (-20.0, 20.0, 4.0),
}
BINARY = {"arctan2": (-10.0, 10.0, 4.0), "power": (0.1, 3.0, 12.0)}
OURS = {"arctan": "atan", "arcsin": "asin", "arccos": "acos", "arctan2": "atan2"}
SPECIAL = [0.0, np.inf, -np.inf, np.nan, -1.0, 1e-40, 100.0, -100.0]


def inputs(name):
    """Random numbers of the function's range, for each argument; where it takes them, special ones first."""
    low, high, _ = (UNARY | BINARY)[name]
    values = np.random.default_rng(7).uniform(low, high, (2, COUNT)).astype(np.float32)
    if name in ("exp", "log"):
        values[0, : len(SPECIAL)] = SPECIAL
    return values


def trace_all(folder: Path) -> None:
    import taichi as ti

    from kernels.aot.trace import start, trace
    from kernels.numbers import elementary
    from kernels.numbers.traced import Traced, element
    from kernels.pipeline.target import Target

    start("x64")
    ti.init(arch=ti.x64, fast_math=False, offline_cache=False, log_level=ti.WARN)
    scalars = Target("x64", 1).scalars

    def kernel_of(name):
        ours = OURS.get(name, name)

        def evaluate(i, x, y, out):
            a, b = Traced(element(x, i)), Traced(element(y, i))
            result = elementary.UNARY[ours](a) if name in UNARY else elementary.BINARY[ours](a, b)
            element(out, i)._assign(result.expression)

        @ti.kernel
        def kernel(begin: ti.i32, end: ti.i32, x: scalars, y: scalars, out: scalars):
            ti.loop_config(serialize=True)
            for i in range(begin, end):
                evaluate(i, x, y, out)

        return kernel

    for name, traced in trace("x64", {name: kernel_of(name) for name in UNARY | BINARY}).items():
        (folder / f"{name}.ll").write_text(traced.ir)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if reason := compiled.missing():
        pytest.skip(reason)
    from kernels.aot.lower import lower

    folder = tmp_path_factory.mktemp("elementary")
    compiled.run_python(Path(__file__), folder)
    modules = {name: (folder / f"{name}.ll").read_text() for name in UNARY | BINARY}
    level = compiled.levels()[-1]
    return ctypes.CDLL(str(compiled.link(folder, "elementary", lower(modules, level)))), level


def evaluate(library, name, x, y):
    from kernels.aot.lower import symbol

    out = np.full(COUNT, np.nan, np.float32)
    arguments = np.zeros(7, np.uint64)  # begin and end, then {size, address} of each array
    arguments[:1].view(np.int32)[:] = 0, COUNT
    for k, array in enumerate((x, y, out)):
        arguments[2 * k + 2] = array.ctypes.data
    context = (ctypes.c_void_p * 4)(arguments.ctypes.data, None, None, None)
    function = getattr(library[0], symbol(name, library[1]))
    function.restype = None
    function(context)
    return out


@pytest.mark.parametrize("name", UNARY | BINARY)
def test_accuracy(library, name):
    x, y = inputs(name)
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(*(a.astype(np.float64) for a in ((x,) if name in UNARY else (x, y))))
        found = evaluate(library, name, x, y).astype(np.float64)
        rounded = expected.astype(np.float32)
    special = ~np.isfinite(rounded) | (np.abs(rounded) < 1e-37)
    # Of what is nearly 0, as near a multiple of pi, absolute accuracy is what is promised.
    unit = np.spacing(np.maximum(np.abs(rounded[~special]), 2.0**-4 if name in ("sin", "cos", "tan") else 0.0))
    error = np.abs(found[~special] - expected[~special]) / unit
    assert error.max() <= UNARY.get(name, BINARY.get(name))[2], (x[~special][error.argmax()], error.max())
    exact = np.where(np.abs(rounded) < 1e-37, 0.0, rounded)[special]
    np.testing.assert_allclose(found[special], exact, atol=1e-37)


if __name__ == "__main__":
    trace_all(Path(sys.argv[1]))
