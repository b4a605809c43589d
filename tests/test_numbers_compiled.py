"""The operations of kernels.numbers through the compiled code: packets of 8 and 16 and scalars, on every x86-64 level.

Everything is traced once, in a process of its own, and lowered for each level that this machine runs; each operation is
then compared, value and partials, with NumPy's formula in float64 (number_operations.py).
"""

import compiled
import numpy as np
import pytest
from number_operations import COUNT, GROUPS, OPERATIONS, forms, oracle_jacobian

from kernels.numbers import seed

RELATIVE = 3e-6
GENERAL = [(group, o) for group, operations in GROUPS.items() if group != "special" for o in operations]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """{level: {(operation, form, lanes): (values, partials)}}."""
    if reason := compiled.missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("operations")
    return compiled.load(folder)


def each(results, operation, form):
    """(where, values, partials) on every level and number of lanes."""
    for level, found in results.items():
        for lanes in compiled.LANES:
            values, partials = found[operation.name, form, lanes]
            yield f"{operation.name}, {form}, x86-64-{level}, {lanes} lanes", values, partials


def check(mine, expected, rounding, where):
    mine = np.broadcast_to(np.asarray(mine, dtype=np.float64), COUNT)
    np.testing.assert_allclose(mine, np.broadcast_to(expected, COUNT), rtol=RELATIVE, atol=rounding, err_msg=where)


@pytest.mark.parametrize(("group", "operation"), GENERAL, ids=[o.name for _, o in GENERAL])
def test_operation(results, group, operation):
    for form in forms(operation, group):
        inputs = operation.inputs()
        inputs = [
            np.full(COUNT, constant) if kind == "c" else x
            for x, constant, kind in zip(inputs, operation.constants, form, strict=True)
        ]
        expected, slopes = oracle_jacobian(operation, inputs)
        for where, values, partials in each(results, operation, form):
            assert len(values) == len(expected)
            for i, (value, of_value) in enumerate(zip(values, partials, strict=True)):
                check(value, expected[i], 0.0 if operation.accurate_near_0 and i == 0 else 2e-6, where)
                assert set(of_value) <= {k for k, kind in enumerate(form) if kind == "d"}
                for k, kind in enumerate(form):
                    if kind == "d":
                        check(of_value.get(k, 0.0), slopes[k][i], 2e-6, f"{where}, partial {k} of output {i}")


@pytest.mark.parametrize("operation", GROUPS["special"], ids=lambda o: o.name)
def test_special_values(results, operation):
    (form,) = forms(operation, "special")
    for where, (value,), (partials,) in each(results, operation, form):
        check(value, operation.spread(operation.expected), 0.0, where)
        for k, slopes in enumerate(operation.slopes):
            check(partials.get(k, 0.0), operation.spread(slopes), 0.0, f"{where}, partial {k}")


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda o: o.name)
def test_the_partials_that_exist_are_those_of_the_reference(results, operation):
    """A kernel emits what the same function has on NumPy, and nothing else."""
    form = "d" * len(operation.domains)
    with np.errstate(all="ignore"):
        result = operation.function(*(seed(x, k) for k, x in enumerate(operation.inputs())))
    reference = [set(getattr(number, "partials", ())) for number in compiled.outputs(result)]
    for where, _, partials in each(results, operation, form):
        assert [set(of_value) for of_value in partials] == reference, where


def test_every_level_of_this_machine_is_tried(results):
    assert "v2" in results and set(results) <= {"v2", "v3", "v4"}
    assert {lanes for found in results.values() for _, _, lanes in found} == {1, 8, 16}


MISUSE = """
import taichi as ti
from kernels.aot.trace import start, trace
from kernels.numbers import *
from kernels.numbers.traced import Traced
import math, numpy as np

start("x64")
T = Traced
ATTEMPTS = {
    "if": lambda x: 1.0 if x > 0.0 else 2.0,
    "and": lambda x: (x > 0.0) and (x < 1.0),
    "max": lambda x: max(x, T(0.0)),
    "chain": lambda x: where(0.0 < x < 1.0, x, 0.0),
    "dual": lambda x: 1.0 if seed(x, 0) > 0.0 else 2.0,
    "math": lambda x: math.sqrt(x),
    "array": lambda x: x + np.ones(3),
    "array first": lambda x: np.ones(3) * x,
    "string": lambda x: x * "2",
    "vector": lambda x: x + Vec3(x, x, x),
}

def attempt():
    x = T(1.5)
    assert repr(x) == "Traced(..., lanes=1)" and repr(seed(x, 0)) == "Dual(Traced(..., lanes=1), {0: 1.0})"
    assert isinstance(x * Vec3(x, 1.0, x), Vec3) and isinstance(x < seed(x, 0), Traced)
    assert isinstance(x - seed(1.0, 0), Dual) and isinstance(x ** seed(1.0, 0), Dual)
    assert ((x > 0.0) & False) is False and ((x > 0.0) | True) is True
    for name, function in ATTEMPTS.items():
        try:
            function(x)
        except TypeError as error:
            print(f"{name}: {error}")
        else:
            print(f"{name}: nothing was said")

@ti.kernel
def kernel(begin: ti.i32, end: ti.i32):
    ti.loop_config(serialize=True)
    for i in range(begin, end):
        attempt()

trace("x64", {"kernel": kernel})
"""


def test_misuse_in_a_kernel_is_refused_with_the_way_out(tmp_path):
    if reason := compiled.missing():
        pytest.skip(reason)
    (tmp_path / "misuse.py").write_text(MISUSE)
    printed = compiled.run_python(tmp_path / "misuse.py").stdout.splitlines()
    said = dict(line.split(": ", 1) for line in printed if ": " in line)
    for name in ("if", "and", "max", "chain", "dual"):
        assert "choose with where(condition, a, b)" in said[name], name
    assert "call sqrt, sin, ... of kernels.numbers" in said["math"]
    for name in ("array", "array first", "string", "vector"):
        assert any(words in said[name] for words in ("unsupported operand", "can't multiply", "ufunc")), said[name]
