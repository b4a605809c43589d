"""The code of compiled models against NumPy in float64, called through ctypes, on each x86-64 level of this machine."""

import re
import shutil
import subprocess
from functools import cache

import compiled
import model_code
import model_examples
import numpy as np
import pytest

from diffrt_aot.model import (
    Constant,
    Free,
    FreeTable,
    Image,
    Item,
    PerItem,
    PerItemIndex,
    Pixel,
    Pose,
    Table,
    cos,
    exp,
    floor,
    log,
    loop,
    model,
    number,
    reference,
    sin,
    total,
    where,
    whole,
)

pytest.importorskip("llvmlite")
from diffrt_aot.model import compile as compiling

LEVELS = [level for level in ("v2", "v3", "v4") if level in compiled.levels()]


@cache
def everything():
    """All examples in one file, and their programs."""
    programs = {name: model_examples.load(name).trace() for name in model_examples.NAMES}
    data = compiling.compile_programs(list(programs.values()), cache=False)
    return model_code.read(data), programs


def example(name):
    """(theta, shape, data), of numbers that float32 has."""
    theta, shape, data = model_examples.case(name)
    rounded = [{k: float32(x) for k, x in some.items()} for some in (theta, data)]
    return rounded[0], (shape,) if isinstance(shape, int) else shape, rounded[1]


def float32(x):
    x = np.asarray(x)
    return x if x.dtype.kind == "i" else x.astype(np.float32).astype(np.float64)


def roots_of(program, file):
    planes = file.models[program.name].planes
    return [*program.outputs, *(program.rows[output][slot] for output, slot in planes)]


def worst(found, expected):
    """The largest error of each plane, relative to the largest number in it; NaN is to be where NaN is expected."""
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    scale = [max(np.nanmax(np.abs(x), initial=0.0), 1e-3) for x in expected]
    return [float(np.nanmax(np.abs(x - y), initial=0.0)) / s for x, y, s in zip(found, expected, scale, strict=True)]


def check(file, program, level, theta, shape, data, tolerance=1e-5):
    """Value and rows of one model against NumPy; returns the code."""
    code = model_code.Code(file, program.name, f"x64_{level}", program, theta, shape, data)
    call = reference.Data(program, theta, shape, data)
    expected = reference.evaluate(program, call, roots_of(program, file))
    outputs = len(program.outputs)
    value, _ = code.run("value", outputs)
    rows, ids = code.run("rows", outputs)
    errors = worst(rows, expected)
    assert max(errors) <= tolerance, [(k, e) for k, e in enumerate(errors) if e > tolerance]
    np.testing.assert_array_equal(value, rows[:outputs])
    for k, index in enumerate(reference.evaluate(program, call, [b.index for b in program.blocks])):
        np.testing.assert_array_equal(ids[k], index)
    return code


def compile_one(a_model):
    program = a_model.trace()
    return model_code.read(compiling.compile_programs([program], ["x64"], cache=False)), program


# Beyond 1e-5: at the rim of a sphere the square of what is left of the radius is a small difference of large numbers,
# of which the columns are the inverse; and blob's rays end at what is a root to 1e-5, of which the columns of rays that
# graze make more.
TOLERANCES = {"sphere": 3e-5, "sphere_with_rule": 3e-5, "blob": 2e-4}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", model_examples.NAMES)
def test_example(name, level):
    file, programs = everything()
    check(file, programs[name], level, *example(name), TOLERANCES.get(name, 1e-5))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (2, 8), (2, 9), (5, 16), (3, 17), (1, 31), (24, 32)])
def test_widths_that_are_no_multiple_of_the_lanes(shape, level):
    file, programs = everything()
    theta, _, data = example("photometric")
    h, w = shape
    data |= {k: data[k][:h, :w] for k in ("inverse_depth", "photo")}
    check(file, programs["photometric"], level, theta, shape, data)


@pytest.mark.parametrize("level", LEVELS)
def test_tiles_give_what_the_whole_gives(level):
    file, programs = everything()
    code = model_code.Code(file, "deform", f"x64_{level}", programs["deform"], *example("deform"))
    whole_rows, whole_ids = code.run("rows", 1)
    for tile in (1, 2, 5, 7):
        rows, ids = code.run("rows", 1, tile)
        np.testing.assert_array_equal(rows, whole_rows)
        np.testing.assert_array_equal(ids, whole_ids)


def test_levels_with_fused_operations_agree_bitwise():
    if "v4" not in LEVELS:
        pytest.skip("this machine has no x86-64-v4")
    file, programs = everything()
    for name in model_examples.NAMES:
        outputs = len(programs[name].outputs)
        narrow, wide = (
            model_code.Code(file, name, f"x64_{level}", programs[name], *example(name)) for level in ("v3", "v4")
        )
        np.testing.assert_array_equal(narrow.run("rows", outputs)[0], wide.run("rows", outputs)[0])


# Reads


@model
def reading(
    item: Item, scale: Free, blocks: FreeTable[3], alone: FreeTable, rows: Table[3], single: Table, picture: Image,
    i: PerItemIndex, x: PerItem
):  # fmt: skip
    j = whole(floor(x))
    a, b = blocks[i], blocks[j]
    return (
        scale * rows[i][1] + rows[j][2],
        single[j] * scale,
        picture[i, j],
        a[0] * b[2] + a[1],
        alone[j] * scale,
        single[whole(number(i) * 2.0 + 1.0)],
        rows[whole(2.0)][0] * scale,
    )


EDGES = [0, 1, 2, 3, 4, 5, 6, 7, 11, 12, -1, -2, -3, 4096, -4096, 2**22, -(2**22)]


@pytest.mark.parametrize("level", LEVELS)
def test_reads_beyond_a_table_are_nan(level):
    file, program = compile_one(reading)
    rng = np.random.default_rng(3)
    i, x = (a.ravel() for a in np.meshgrid(EDGES, [*map(float, EDGES), 2.75, 1e30, -1e30, np.nan, np.inf, -np.inf]))
    tables = {"rows": rng.normal(size=(5, 3)), "single": rng.normal(size=12), "picture": rng.normal(size=(4, 7))}
    theta = {"scale": 2.0, "blocks": rng.normal(size=(6, 3)), "alone": rng.normal(size=3)}
    some, free = ({k: float32(v) for k, v in d.items()} for d in (tables, theta))
    code = check(file, program, level, free, i.shape, {**some, "i": i.astype(np.int32), "x": x})
    value, _ = code.run("value", len(program.outputs))
    assert np.isnan(value).any() and np.isfinite(value).any()


@pytest.mark.parametrize("level", LEVELS)
def test_indices_whose_place_no_int32_holds(level):
    """Times the length of a row they come back into the table; nothing is read there."""
    file, program = compile_one(reading)
    wrapping = [2**30, 2**31 - 1, -(2**31), -(2**30), 1431655766, -1431655765]
    i = np.array(wrapping, np.int32)
    tables = {"rows": np.ones((5, 3)), "single": np.ones(12), "picture": np.ones((4, 1024))}
    theta = {"scale": 2.0, "blocks": np.ones((6, 3)), "alone": np.ones(3)}
    data = {**tables, "i": i, "x": np.zeros(len(i))}
    code = model_code.Code(file, program.name, f"x64_{level}", program, theta, i.shape, data)
    value, _ = code.run("value", len(program.outputs))
    assert np.isnan(value[[0, 2, 3]]).all()
    assert np.isfinite(value[[1, 4, 6]]).all()


@pytest.mark.parametrize("level", LEVELS)
def test_empty_tables(level):
    file, program = compile_one(reading)
    tables = {"rows": np.ones((0, 3)), "single": np.ones(0), "picture": np.ones((0, 7))}
    theta = {"scale": 2.0, "blocks": np.ones((0, 3)), "alone": np.ones(0)}
    data = {**tables, "i": np.zeros(9, np.int32), "x": np.zeros(9)}
    code = model_code.Code(file, program.name, f"x64_{level}", program, theta, (9,), data)
    assert np.isnan(code.run("value", len(program.outputs))[0]).all()


# Loops


@model
def turning(pixel: Pixel, a: Free, n: Constant):
    once = loop(9, lambda x: 0.5 * (x + a / x), 1.0)  # Newton's square root, of a parameter alone
    limit = n + pixel.column * 0.25
    count, total = loop(20, lambda k, s: (k + 1.0, s + once.value * k), 0.0, pixel.row, until=lambda k, s: s > limit)
    outer = loop(3, lambda x: x + loop(2, lambda y: y * 0.5 + x, 1.0, until=lambda y: y > 3.0), pixel.column * 0.01)
    never = loop(0, lambda x: x + 1.0, total)
    return count * a, total, outer, never, loop(4, lambda x: x * a, pixel.row, derivative="carried")


@pytest.mark.parametrize("level", LEVELS)
def test_loops(level):
    file, program = compile_one(turning)
    code = check(file, program, level, {"a": 2.25}, (5, 21), {"n": 3.0})
    counts = code.run("value", 5)[0][0] / 2.25
    assert counts.min() < counts.max() < 20


@model
def endless(item: Item, a: Free, x: PerItem):
    """Ends at once for x > 0, and not before the sun does for the 0 in the padding."""

    def far(step):
        return lambda y: loop(2**31 - 1, step, y, until=lambda y: y * a > 0.0)

    return far(far(lambda y: y + a))(x)


@pytest.mark.parametrize("level", LEVELS)
def test_loops_do_not_wait_for_what_is_beyond_the_last_item(level):
    file, program = compile_one(endless)
    check(file, program, level, {"a": 0.0}, (0,), {"x": np.zeros(0)})
    code = model_code.Code(file, "endless", f"x64_{level}", program, {"a": 1e-30}, (5,), {"x": np.full(5, 1e38)})
    np.testing.assert_array_equal(code.run("value", 1)[0].ravel(), np.float32(1e38))


def test_what_depends_on_parameters_alone_is_computed_once():
    _, program = compile_one(turning)
    from diffrt_aot.model.llvm_text import module
    from diffrt_aot.model.lowering import FUNCTIONS, Lowered
    from diffrt_aot.model.x64 import LEVELS as MACHINES

    text = module([Lowered(program)], MACHINES["v3"])
    parts = dict(zip(FUNCTIONS, re.findall(r"^define .*?^}", text, flags=re.M | re.S), strict=True))
    loops = {name: len(re.findall(r"^loop\d+:", part, flags=re.M)) for name, part in parts.items()}
    assert loops == {"prepare": 1, "value": 5, "rows": 5}


# Functions, in the ranges that matter


@model
def elementary(item: Item, a: Free, x: PerItem):
    y = x * a
    return sin(y), cos(y), exp(y), log(abs(y)), y**3, where(y > 0.0, y, -y)


@pytest.mark.parametrize("level", LEVELS)
def test_elementary_functions(level):
    file, program = compile_one(elementary)
    x = np.concatenate([np.linspace(-20.0, 20.0, 1000), [1e-30, -1e-30]])
    check(file, program, level, {"a": 1.0}, x.shape, {"x": float32(x)})


@model
def placed(item: Item, T: Pose, X: PerItem[3]):
    return T[:3, :3] @ X + T[:3, 3]


@pytest.mark.parametrize("level", LEVELS)
def test_poses(level):
    file, program = compile_one(placed)
    X = float32(np.random.default_rng(1).normal(size=(33, 3)))
    code = check(file, program, level, {"T": (0.1, 0.2, -0.3, 0.4, 0.5, -0.6)}, (33,), {"X": X})
    assert len(code.model.planes) == 3 * 6


# GPU


def test_ptx_has_a_kernel_for_each_function_and_calls_nothing():
    file, programs = everything()
    text = file.section("cuda").decode()
    assert text.count(".entry") == 3 * len(programs)
    for name, described in file.models.items():
        for function in ("prepare", "value", "rows"):
            assert text[described.entries["cuda", function] :].startswith(f"{name}_{function}(")
    assert "call" not in text and ".target sm_75" in text


@pytest.mark.skipif(shutil.which("ptxas") is None, reason="needs ptxas of a CUDA toolkit")
@pytest.mark.parametrize("architecture", ["sm_75", "sm_90"])
def test_ptx_assembles(architecture, tmp_path):
    file, _ = everything()
    source = tmp_path / "models.ptx"
    source.write_bytes(file.section("cuda"))
    command = ["ptxas", "-O1", f"-arch={architecture}", source, "-o", tmp_path / "models.cubin"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0 and "error" not in result.stderr, result.stderr


# Sums whose body is there once


@model
def sums(item: Item, a: Free[5], x: PerItem, b: PerItem[5]):
    found = total(5, lambda k: cos(a[k] * x + b[k]))
    return found * (x * 0.5 + 2.0), found * found


@pytest.mark.parametrize("level", LEVELS)
def test_sums_in_loops(level):
    """The partials are stored turn by turn, those of the second output by a loop of their own."""
    program = sums.trace()
    file = model_code.read(compiling.compile_programs([program], cache=False))
    rng = np.random.default_rng(4)
    a, x, b = (float32(rng.normal(size=shape)) for shape in (5, 37, (37, 5)))
    code = model_code.Code(file, "sums", f"x64_{level}", program, {"a": a}, (37,), {"x": x, "b": b})
    angle, weight = a * x[:, None] + b, 0.5 * x + 2.0
    found = np.cos(angle).sum(1)
    slopes = (-np.sin(angle) * x[:, None]).T
    expected = [weight * found, found * found, *(weight * slopes), *(2.0 * found * slopes)]
    rows, _ = code.run("rows", 2)
    assert max(worst(rows[:, 0], expected)) < 1e-5
    np.testing.assert_array_equal(code.run("value", 2)[0], rows[:2])
