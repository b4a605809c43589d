"""Ahead of time, for GPUs: PTX and SPIR-V are made without a GPU, the same bytes anywhere, and launched as is told."""

import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import compiled
import pytest

pytest.importorskip("llvmlite", reason="compiling kernels needs llvmlite")

from kernels.aot import lower, ptx, spirv, stubs

# One of each kind: exact, tiles, atomics' replacement, sums, elementary functions, duals.
SOME = ["prepare_triangles", "visible_*", "fill_candidates", "entry_columns_4", "residuals_*", "rows_distance_sphere"]
# 32 nodes at once: more than the registers hold. Small ellipses are few.
SPILLS = {"silhouette_rows_sphere_small", "silhouette_rows_sphere_small_camera"}


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Two folders with some of the kernels: one made from a copy of the sources, among other settings and drivers."""
    if reason := compiled.missing():
        pytest.skip(reason)
    base = tmp_path_factory.mktemp("twins")
    elsewhere = base / "a copy elsewhere"
    shutil.copytree(compiled.ROOT / "kernels", elsewhere / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    drivers = base / "drivers"
    drivers.mkdir()
    for library in (*stubs.DRIVERS.values(), "libcuda.so.1"):
        (drivers / library).write_text("no driver at all")
    settings = {"LD_LIBRARY_PATH": str(drivers), "TI_DEBUG": "1", "TI_FAST_MATH": "0", "CUDA_VISIBLE_DEVICES": "7"}

    def build(place):
        source, output, variables = place
        variables = {"PYTHONPATH": str(source), **variables}
        compiled.run_python(
            *("-m", "kernels.aot", "--output", output, "--keep-ir", "--kernels", *SOME), cwd=source, **variables
        )
        return output

    places = [(compiled.ROOT, base / "first", {}), (elsewhere, base / "second", settings)]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(build, places))


def test_the_same_sources_give_the_same_bytes(twins):
    first, second = ({p.name: p.read_bytes() for p in folder.iterdir()} for folder in twins)
    assert set(first) == set(second) >= {"manifest.json", "diffrt_kernels.hpp", "diffrt_kernels.cpp"}
    assert {f"kernels_{target}.o" for target in (*lower.LEVELS, "cuda", "vulkan")} <= set(first)
    for name, content in first.items():
        assert second[name] == content, f"{name} depends on where or when it was built"


def test_no_path_is_embedded(twins):
    for folder in twins:
        for file in folder.iterdir():
            content = file.read_bytes()
            for word in (str(compiled.ROOT), str(folder.parent), "/tmp/", "/home/", ".py\0", "a copy elsewhere"):
                assert word.encode() not in content, f"{file.name} holds {word!r}"


def test_another_driver_than_the_stub_is_refused(tmp_path):
    """As where LD_LIBRARY_PATH does not reach the process that traces."""
    stubs.build(tmp_path, "c++")
    code = "from kernels.aot.trace import start; start('vulkan')"
    result = compiled.run_python("-c", code, check=False, LD_LIBRARY_PATH=str(tmp_path), DIFFRT_STUBS="/elsewhere")
    assert result.returncode == 1
    assert "vulkan kernels must be compiled against /elsewhere/libvulkan.so.1, but [" in result.stderr


def test_no_desktop_is_needed(tmp_path):
    """Taichi's library is linked with libX11, which brings libxcb along where it is the system's."""
    stubs.build(tmp_path, "c++")
    code = "import taichi; print(open('/proc/self/maps').read())"
    maps = compiled.run_python("-c", code, **stubs.environment(tmp_path)).stdout
    assert str(tmp_path / "libX11.so.6") in maps and "libxcb" not in maps


def test_without_a_compiler_it_says_what_to_do(tmp_path):
    with pytest.raises(SystemExit, match="needs a C\\+\\+ compiler, found none as 'no-such-compiler': install one"):
        stubs.build(tmp_path, "no-such-compiler")


# --- kernels of other shapes than the library's

ODD = """
import sys, os, taichi as ti

from kernels.aot.trace import start, trace
start(ARCH)
array = ti.types.ndarray(dtype=ti.f32, ndim=1)

@ti.kernel
def two_loops(begin: ti.i32, end: ti.i32, x: array):
    for i in range(begin, end):
        x[i] = 1.0
    for i in range(begin, end):
        x[i] += 1.0

@ti.kernel
def other_bounds(begin: ti.i32, end: ti.i32, x: array):
    for i in range(begin, 2 * end):
        x[i] = 1.0

@ti.kernel
def constant_bounds(begin: ti.i32, end: ti.i32, x: array):
    for i in range(0, 16):
        x[i] = 1.0

@ti.kernel
def something_before(begin: ti.i32, end: ti.i32, x: array):
    x[0] = 2.0
    for i in range(begin, end):
        x[i + 1] = 1.0

@ti.kernel
def swapped(begin: ti.i32, end: ti.i32, x: array):
    for i in range(end, begin):
        x[i] = 1.0

name = sys.argv[1]
try:
    traced = trace(ARCH, {name: globals()[name]})[name]
    if ARCH == "cuda":
        from kernels.aot import ptx
        ptx.amend(name, traced.ir, traced.size)
    print("accepted")
except RuntimeError as error:
    print("refused:", error)
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.parametrize("arch", ["cuda", "vulkan"])
def test_kernels_that_are_no_loop_over_their_bounds_are_refused(tmp_path, arch):
    stubs.build(tmp_path, "c++")
    variables = stubs.environment(tmp_path) | {"PYTHONPATH": str(compiled.ROOT)}
    script = tmp_path / "odd.py"
    script.write_text(ODD.replace("ARCH", repr(arch)))
    kernels = ["two_loops", "other_bounds", "constant_bounds", "something_before", "swapped"]
    with ThreadPoolExecutor(2) as pool:
        said = pool.map(lambda kernel: compiled.run_python(script, kernel, **variables).stdout, kernels)
        for kernel, text in zip(kernels, said, strict=True):
            assert f"\nrefused: kernel {kernel}: " in text, text


# --- what there is of each kernel


@pytest.fixture(scope="module")
def devices(build):
    return json.loads((build / "manifest.json").read_text())["devices"]


def test_the_same_kernels_on_every_device(build, devices):
    assert list(devices) == ["cuda", "vulkan"]
    cuda, vulkan = devices.values()
    assert list(cuda) == list(vulkan) and len(cuda) > 100
    on_cpu = json.loads((build / "manifest.json").read_text())["kernels"]
    for name, kernel in cuda.items():
        if name in on_cpu:
            assert kernel["size"] == on_cpu[name]["size"], name
            places = [[(a["name"], a["type"], a["offset"]) for a in k["arguments"]] for k in (kernel, on_cpu[name])]
            assert places[0] == places[1], name


def test_code_is_stored_compressed(build, devices):
    for arch, kernels in devices.items():
        whole, stored = (sum(k[size] for k in kernels.values()) for size in ("code_bytes", "stored_bytes"))
        assert stored < whole / 3 and (build / f"kernels_{arch}.o").stat().st_size < whole / 3, arch


def test_arguments_lie_where_the_device_reads_them(build, devices):
    for name, kernel in devices["cuda"].items():
        text = (build / f"{name}.ptx").read_text()
        read = {int(k or 0) for k in re.findall(r"\[%rd\d+(?:\+(\d+))?\]", text)}
        assert kernel["entry"] == f"diffrt_{name}" and kernel["code_bytes"] == len(text)
        for a in kernel["arguments"]:
            assert a["device_offset"] == a["offset"] + (8 if a["type"].endswith("*") else 0)
        scalars = {a["device_offset"] for a in kernel["arguments"][2:]}
        assert scalars & read, name
    for name, kernel in devices["vulkan"].items():
        code = (build / f"{name}.spv").read_bytes()
        bindings = [kernel["bounds_binding"], *(a["binding"] for a in kernel["arguments"] if a["binding"] >= 0)]
        bindings += [kernel["argument_binding"]] * (kernel["argument_binding"] >= 0)
        module = spirv.Module(code)
        assert sorted(bindings) == sorted(d[2] for d in module.each(spirv.DECORATE) if d[1] == spirv.BINDING), name
        assert len(set(bindings)) == len(bindings)
        ends = [a["device_offset"] + (24 if a["type"].endswith("*") else 4) for a in kernel["arguments"]]
        assert max(ends) <= kernel["argument_bytes"], name


def test_bounds_are_read_from_their_buffer_alone(devices):
    for kernels in devices.values():
        for kernel in kernels.values():
            assert (kernel["begin_offset"], kernel["end_offset"], kernel["block"]) == (0, 4, 128)


def test_kernels_round_as_written(build, devices):
    """Else an image would depend on what else the kernel does that makes it."""
    for name in devices["cuda"]:
        text = (build / f"{name}.ptx").read_text()
        operations = set(re.findall(r"\b(?:fma|mad|add|sub|mul|div|sqrt)[.\w]*\.f32", text))
        assert operations <= {f"{operation}.rn.f32" for operation in ("add", "sub", "mul", "div", "sqrt")}, name
    for name in devices["vulkan"]:
        module = spirv.Module((build / f"{name}.spv").read_bytes())
        marked = [d[0] for d in module.each(spirv.DECORATE) if d[1] == spirv.NO_CONTRACTION]
        assert marked == [i[1] for i in module.each(*spirv.ARITHMETIC)], name


def test_drivers_are_told_to_mind_nan(build, devices):
    for name in devices["vulkan"]:
        module = spirv.Module((build / f"{name}.spv").read_bytes())
        assert [i[1:] for i in module.each(spirv.EXECUTION_MODE) if i[1] == spirv.KEEP_NAN_MODE] == [(4461, 32)], name


ATOMIC_I_ADD, ATOMIC_S_MIN, ATOMIC_S_MAX, ATOMIC_F_ADD = 234, 236, 238, 6035  # of SPIR-V


def test_no_kernel_uses_approximate_functions(build, devices):
    """Nor flushes small numbers, nor keeps anything in local memory. Atomic operations are sums, maxima and minima of
    whole numbers: the same in any order.
    """
    for name in devices["cuda"]:
        text = (build / f"{name}.ptx").read_text()
        found = re.findall(r"\.approx|\.ftz|\.local|\batom\.[\w.]*|\bred\.[\w.]*", text)
        whole = {"atom.global.add.u32", "atom.global.max.s32", "atom.global.min.s32"}
        assert set(found) <= whole, (name, found)
    for name in devices["vulkan"]:
        module = spirv.Module((build / f"{name}.spv").read_bytes())
        extended = {
            i[3] for i in module.each(12)
        }  # GLSL.std.450: 13 to 30 are sin to log2, 31 sqrt, 4 to 10 abs, floor
        assert not extended & set(range(13, 31)), (name, extended)
        others = set(range(227, 243)) - {ATOMIC_I_ADD, ATOMIC_S_MIN, ATOMIC_S_MAX}
        assert not module.each(*others, ATOMIC_F_ADD), f"{name} has atomics of other kinds than those of whole numbers"


# --- other people's opinion


def test_spirv_is_valid(build, devices):
    if shutil.which("spirv-val") is None:
        pytest.skip("spirv-val looks at SPIR-V; apt-get install spirv-tools")
    for name in devices["vulkan"]:
        command = ["spirv-val", "--target-env", "vulkan1.1", build / f"{name}.spv"]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, f"{name}: {result.stdout}{result.stderr}"


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_ptxas_takes_every_kernel(build, devices, architecture, tmp_path):
    if shutil.which("ptxas") is None:
        pytest.skip("ptxas assembles PTX; it comes with the CUDA toolkit")

    def assemble(name):
        command = ["ptxas", "-v", "-arch", architecture, build / f"{name}.ptx", "-o", tmp_path / f"{name}.cubin"]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, f"{name}: {result.stderr}"
        return int(re.search(r"(\d+) bytes spill stores", result.stderr)[1])

    with ThreadPoolExecutor(2) as pool:
        spilled = dict(zip(devices["cuda"], pool.map(assemble, devices["cuda"]), strict=True))
    assert {name: n for name, n in spilled.items() if n > 64 and name not in SPILLS} == {}


def test_entry_names():
    assert ptx.entry("rows") == "diffrt_rows"
