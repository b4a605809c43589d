"""Ahead of time: the manifest that C++ compiles against, and the objects for the CPU.

What GPUs get, and that the same sources give the same bytes, is in test_aot_devices.py.
"""

import copy
import json
import re
import shutil
import subprocess

import compiled
import pytest

pytest.importorskip("llvmlite", reason="compiling kernels needs llvmlite")

from kernels.aot import lower, manifest

# What the objects may take from outside: the C library's mathematics, and what position-independent code needs.
LIBM = ["acos", "asin", "atan", "atan2", "ceil", "cos", "cosh", "exp", "floor", "fmod", "log", "pow", "sin", "sinh"]
LIBM += ["sqrt", "tan", "tanh"]
INCLUDE = ["-I", compiled.ROOT / "cpp" / "src"]
ALLOWED = {f"{name}f" for name in LIBM} | {"_GLOBAL_OFFSET_TABLE_"}


@pytest.fixture(scope="module")
def data(build):
    return json.loads((build / "manifest.json").read_text())


def tool(*command):
    """The output of a program of the compiler's family."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"this test looks into objects with {command[0]}")
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


def compiles(folder, header, extra=""):
    """Whether a header compiles, and what the compiler said."""
    (folder / "diffrt_kernels.hpp").write_text(header)
    (folder / "main.cpp").write_text(f'#include "diffrt_kernels.hpp"\n{extra}\n')
    command = ["c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *INCLUDE, folder / "main.cpp"]
    result = subprocess.run(command, capture_output=True, text=True)
    return result.returncode == 0, result.stderr


def disassembly(build, level):
    """{kernel: its instructions} of one level."""
    text = tool("objdump", "-d", "--no-show-raw-insn", build / f"kernels_{level}.o")
    functions = re.split(r"\n[0-9a-f]+ <([^>]+)>:\n", text)
    prefix, suffix = "diffrt_kernel_", f"_{level}"
    return {
        name.removeprefix(prefix).removesuffix(suffix): code
        for name, code in zip(functions[1::2], functions[2::2], strict=True)
    }


# --- the manifest


def test_manifest_names_every_kernel(data, build):
    assert data["levels"] == list(lower.LEVELS)
    for level in lower.LEVELS:
        lines = tool("nm", "--defined-only", "--extern-only", build / f"kernels_{level}.o").splitlines()
        defined = {line.split()[-1] for line in lines}
        assert defined == {lower.symbol(name, level) for name in data["kernels"]}


def test_offsets_are_those_of_the_c_struct(data):
    """Fields in order, naturally aligned: 4 bytes for a number, {size, pointer} for an array."""
    for name, kernel in data["kernels"].items():
        place = 0
        assert [a["name"] for a in kernel["arguments"][:2]] == ["begin", "end"], name
        for argument in kernel["arguments"]:
            array = argument["type"].endswith("*")
            place += -place % (8 if array else 4)
            assert argument["offset"] == place, f"{name}.{argument['name']}"
            place += 16 if array else 4
        assert place <= kernel["size"] <= place + 4, name


def test_header_compiles(data, tmp_path):
    uses = "static_assert(diffrt::kernels::lanes == 8 && diffrt::kernels::tile == 16);"
    ok, said = compiles(tmp_path, manifest.to_header(data), uses)
    assert ok, said


def altered(data, change):
    data = copy.deepcopy(data)
    for kernel in data["kernels"].values():
        if kernel["family"] == "visible_planes":
            change(kernel)
    return data


ALTERATIONS = {
    "an offset": lambda k: k["arguments"][3].update(offset=k["arguments"][3]["offset"] + 4),
    "a type": lambda k: k["arguments"][2].update(type="float32*"),
    "an argument more": lambda k: k["arguments"].insert(2, {"name": "extra", "type": "int32", "offset": 8}),
    "an argument less": lambda k: k["arguments"].pop(2),
    "two exchanged": lambda k: k["arguments"].insert(2, k["arguments"].pop(8)),
    "the size": lambda k: k.update(size=k["size"] + 64),
}


@pytest.mark.parametrize("change", ALTERATIONS)
def test_a_mismatch_fails_the_compilation(data, tmp_path, change):
    ok, said = compiles(tmp_path, manifest.to_header(altered(data, ALTERATIONS[change])))
    assert not ok and "static assertion failed" in said, said


def test_a_caller_that_is_out_of_date_fails_the_compilation(data, tmp_path):
    """C++ that fills in an argument which the kernels no longer have."""
    header = manifest.to_header(altered(data, lambda k: k["arguments"][3].update(name="renamed")))
    old = data["kernels"]["visible_planes"]["arguments"][3]["name"]
    caller = f"void f(diffrt::kernels::visible_planes_arguments& a) {{ a.{old} = 0; }}"
    ok, said = compiles(tmp_path, header, caller)
    assert not ok and "no member named" in said


def test_members_of_a_family_have_the_same_arguments(data):
    for change in (
        lambda k: k["arguments"].pop(),
        lambda k: k["arguments"][4].update(type="int32"),
        lambda k: k.update(size=k["size"] + 8),
    ):
        broken = copy.deepcopy(data)
        change(broken["kernels"]["residuals_huber"])
        with pytest.raises(RuntimeError, match="family residuals: residuals_huber and residuals_least_squares do not"):
            manifest.to_header(broken)
        with pytest.raises(RuntimeError, match="do not have the same arguments"):
            manifest.to_source(broken)


def test_manifest_of_plain_data():
    """Every part of the manifest, from kernels that were never traced; a gap in a family is a null pointer."""
    arguments = [{"name": n, "type": "int32", "offset": 4 * i} for i, n in enumerate(("begin", "end"))]
    kernel = {"arguments": arguments, "size": 8, "code_bytes": 100, "stored_bytes": 50}
    on_cpu = {
        "a": {"family": "f", "index": [0, 1], **kernel},
        "b": {"family": "f", "index": [1, 0], **kernel},
        "c": {"family": "g", "index": [], **kernel},
    }
    on_gpu = {"b": on_cpu["b"], "d": {"family": "h", "index": [], **kernel}}
    x64, cuda = ({"constants": {"answer": 42}, "kernels": k} for k in (on_cpu, on_gpu))
    data = manifest.manifest(x64, {"cuda": cuda})
    assert json.loads(manifest.to_json(data)) == data and manifest.to_json(data) == manifest.to_json(data)
    header, source = manifest.to_header(data), manifest.to_source(data)
    assert "inline constexpr int answer = 42;" in header and "inline constexpr int kernel_count = 3;" in header
    assert "Kernel<f_arguments> f[2][2];" in header and "Kernel<g_arguments> g;" in header
    assert "DeviceKernel<h_arguments> h;" in header and " Kernel<h_arguments>" not in header
    assert "{{nullptr, diffrt_kernel_a_v3}, {diffrt_kernel_b_v3, nullptr}}, diffrt_kernel_c_v3}" in source
    assert "table_cuda = {{{nullptr, nullptr}, {&cuda_kernels[0], nullptr}}, nullptr, &cuda_kernels[1]};" in source


def test_targets_must_agree(data):
    kernel = {"family": "f", "index": [], "size": 8, "code_bytes": 1, "stored_bytes": 1, "arguments": []}
    other = kernel | {"arguments": [{"name": "begin", "type": "int32", "offset": 0}]}
    x64, cuda, vulkan = ({"constants": {}, "kernels": {"k": k}} for k in (kernel, kernel, other))
    with pytest.raises(RuntimeError, match="kernel k: its arguments on vulkan are not those on cuda"):
        manifest.manifest(x64, {"cuda": cuda, "vulkan": vulkan})
    with pytest.raises(RuntimeError, match="kernel k: its arguments on cuda are not those on x64"):
        manifest.manifest(x64, {"cuda": vulkan, "vulkan": vulkan})


def test_tables_link(build, tmp_path):
    """Header, tables and the objects of all levels make a library that lacks nothing but libm."""
    objects = [build / f"kernels_{target}.o" for target in (*lower.LEVELS, "cuda", "vulkan")]
    library = tmp_path / "kernels.so"
    tool(
        *("c++", "-std=c++17", "-shared", "-fPIC", "-O0", "-Wl,--no-undefined", "-o", library, *INCLUDE),
        *(build / "diffrt_kernels.cpp", *objects, "-lm"),
    )
    assert library.stat().st_size > 0


# --- the objects


@pytest.mark.parametrize("level", lower.LEVELS)
def test_objects_need_only_libm(build, level):
    lines = tool("nm", "--undefined-only", build / f"kernels_{level}.o").splitlines()
    undefined = {line.split()[-1] for line in lines}
    assert undefined <= ALLOWED, undefined - ALLOWED


def test_packets_are_simd_registers(build):
    """Pixels are computed eight at a time: in one ymm register from v3 on, in two xmm registers on v2.

    How often loops are unrolled is Taichi's LLVM's choice, and depends on the processor that it runs on.
    """
    v2, v3, v4 = (disassembly(build, level) for level in lower.LEVELS)
    for name in (
        "visible_discs",
        "visible_triangles",
        "rows_distance_sphere",
        "normal_equations_6",
        "value_distance",
    ):
        packed = len(re.findall(r"\bv(?:mul|add|sub|f[n]?m(?:add|sub)\d+)ps\s.*%ymm", v3[name]))
        scalar = len(re.findall(r"\bv(?:mul|add|sub|f[n]?m(?:add|sub)\d+)ss\s", v3[name]))
        if name == "normal_equations_6":  # 21 sums for H and 6 for g, each over 8 lanes in the end
            scalar -= 7 * (21 + 6)
        assert packed > 3 and packed > 0.5 * scalar, f"{name}: {packed} packed, {scalar} scalar"
        assert "ps " in v2[name] and "%xmm" in v2[name] and "%ymm" not in v2[name], name
        assert "%ymm" in v4[name] or "%zmm" in v4[name], name
    for name, code in v2.items():
        assert not re.search(r"\bv[a-z]+ps\s", code), f"{name} uses AVX on v2"


def test_only_exact_kernels_are_without_fused_multiply_add(build):
    fused = re.compile(r"\bvfn?m(?:add|sub)")
    for level in ("v3", "v4"):
        code = disassembly(build, level)
        exact = [name for name in code if name in lower.EXACT or lower.EXACT_ON_CPU.match(name)]
        assert exact
        for name in exact:
            assert not fused.search(code[name]), f"{name} rounds differently from its formula"
        for name in ("rows_distance_sphere", "visible_triangles", "normal_equations_6"):
            assert fused.search(code[name]), f"{name} does without fused multiply-add"


# --- what is refused


def test_llvmlite_of_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(lower.llvmlite, "__version__", "0.45.1")
    with pytest.raises(SystemExit, match=r"needs llvmlite 0.44, found 0.45.1: pip install 'llvmlite==0.44.\*'"):
        lower.lower({}, "v3")


def test_taichi_of_another_version_is_refused():
    if reason := compiled.missing():
        pytest.skip(reason)
    code = 'import taichi as ti; ti.__version__ = (1, 8, 0)\nfrom kernels.aot.trace import start; start("x64")'
    result = compiled.run_python("-c", code, check=False)
    assert result.returncode == 1
    assert "kernels.aot needs taichi 1.7.4, found 1.8.0: pip install taichi==1.7.4" in result.stderr


def test_a_kernel_that_is_not_one_serial_loop_is_refused():
    """Taichi makes several functions of a parallel loop; our runtime calls one."""
    two = "define void @a(i8* %context) {\n}\ndefine void @b(i8* %context) {\n}\n"
    with pytest.raises(RuntimeError, match="kernel k: 2 functions in its IR, expected one serial function"):
        lower.amend("k", two, "v3")


def test_amended_ir():
    """One name per level, no promise that infinities are absent, plain arithmetic for exact kernels, no overflow."""
    ir = (
        "define dso_local void @f_c76(%struct.RuntimeContext* %context) {\n"
        "  %1 = bitcast %struct.RuntimeContext* %context to { i32, i32 }**\n"
        "  %2 = load { i32, i32 }*, { i32, i32 }** %1, align 8\n"
        "  %3 = fadd reassoc ninf nsz float 1.0, 2.0\n"
        "  %4 = add i32 %3, 1\n}\n"
    )
    text = lower.amend("k", ir, "v3")
    assert "@diffrt_kernel_k_v3(" in text and "fadd reassoc nsz contract float" in text
    assert "%4 = add nsw i32 %3, 1" in text
    assert re.search(r"%2 = load .*!invariant.load !9999", text) and "\n!9999 = !{}\n" in text
    for exact in (lower.EXACT[0], "residuals_huber", "background_residuals_dense_huber"):
        assert "fadd float" in lower.amend(exact, ir, "v3")


def test_the_order_of_sums_is_settled():
    """But for those across lanes, which nothing else depends on."""
    sums = [
        "  %1 = fadd reassoc nsz contract <8 x float> %a, %b",
        "  %2 = call reassoc nsz contract float @llvm.vector.reduce.fadd.v8f32(float 0.0, <8 x float> %1)",
    ]
    assert lower.settle_order("\n".join(sums)).split("\n") == [sums[0].replace("reassoc ", ""), sums[1]]
