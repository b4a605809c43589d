"""Files of compiled models: what is where in them, that chance changes nothing, the cache, and who cannot compile."""

import hashlib
import os
import stat
import subprocess
import sys

import model_code
import model_examples
import pytest

import diffrt_aot
from diffrt_aot.errors import InvalidValueError, MissingDependencyError
from diffrt_aot.model import Free, Item, Pixel, model

pytest.importorskip("llvmlite")
from diffrt_aot.model import compile as compiling
from diffrt_aot.model import llvm_text, lowering, module_file, x64

ABI = (
    "diffrt model abi 2: begin end packets width i32; stride input_stride i64; "
    "parameters constants inputs indices tables sizes uniforms out ids pointers; "
    "devices: width padded stride input_stride i32, the same pointers; begin end"
)


@model
def line(item: Item, slope: Free, offset: Free[2]):
    return slope * item.index + offset[1]


@model
def größe(pixel: Pixel, a: Free):
    return a * pixel.column, a * pixel.row


def models():
    return [model_examples.load(name) for name in ("sphere", "deform", "calibration")] + [line, größe]


@pytest.fixture(scope="module")
def data():
    return compiling.compile_models(models(), cache=False)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "diffrt_aot" / "models"


def test_head(data):
    assert data[:8] == b"diffrt\x1a\n"
    numbers = [int.from_bytes(data[a:b], "little") for a, b in ((8, 12), (12, 16), (24, 32))]
    assert (numbers[0], numbers[2]) == (1, len(data)) and data[64 + numbers[1] - 1] == ord("\n")
    assert data[16:24] == hashlib.sha256(ABI.encode()).digest()[:8]
    assert data[32:64] == hashlib.sha256(data[:32] + data[64:]).digest()


def test_sections_begin_at_pages_in_order_with_zeros_between(data):
    file = model_code.read(data)
    assert list(file.sections) == ["x64_v2", "x64_v3", "x64_v4", "cuda", "vulkan"]
    assert [lanes for _, _, lanes in file.sections.values()] == [8, 8, 16, 1, 1]
    at = 64 + int.from_bytes(data[12:16], "little")
    for offset, size, _ in file.sections.values():
        assert offset % 4096 == 0 and 0 <= offset - at < 4096 and size > 0
        assert not any(data[at:offset])
        at = offset + size
    assert at == len(data)


def test_manifest(data):
    file = model_code.read(data)
    assert list(file.models) == [m.name for m in models()]
    assert file.producer.startswith(f"diffrt_aot {diffrt_aot.__version__}")
    deform = file.models["deform"]
    assert deform.output == "-"
    assert deform.arguments == [
        ("pixel", "pixel", "-", "0"),
        ("shift", "free_table", "2", "1"),
        ("photo", "image", "-", "0"),
        ("size", "constant", "2", "0"),
    ]
    assert deform.blocks == [1] * 16 and deform.slots == [(1, k, b) for b in range(16) for k in range(2)]
    assert deform.planes == [(0, s) for s in range(32)]
    calibration = file.models["calibration"]
    assert calibration.output == "2" and calibration.planes == sorted(calibration.planes)
    assert file.models["line"].planes == [(0, 0), (0, 2)]


def test_entries_lie_in_their_sections_one_for_each_function(data):
    file = model_code.read(data)
    for name, described in file.models.items():
        assert list(described.entries) == [(s, f) for s in file.sections for f in ("prepare", "value", "rows")], name
        assert all(0 <= at < file.sections[section][1] for (section, _), at in described.entries.items())


def test_the_same_models_give_the_same_bytes(data, tmp_path):
    assert compiling.compile_models(models(), cache=False) == data
    program = (
        "import sys; from diffrt_aot.model import compile as c; import test_model_compile as t\n"
        f"open({str(tmp_path / 'again.dra')!r}, 'wb').write(c.compile_models(t.models(), cache=False))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=300)
    assert (tmp_path / "again.dra").read_bytes() == data


def test_targets():
    assert list(model_code.read(compiling.compile_models([line], ["cuda"], cache=False)).sections) == ["cuda"]
    both = compiling.compile_models([line], ("vulkan", "cuda", "x64"), cache=False)
    assert both == compiling.compile_models([line], cache=False)
    with pytest.raises(InvalidValueError, match=r"unknown target 'x86'. Perhaps you meant 'x64'"):
        compiling.compile_models([line], ["x86"])
    with pytest.raises(InvalidValueError, match="there is none"):
        compiling.compile_models([line], [])


def test_two_models_of_one_name_are_refused():
    with pytest.raises(InvalidValueError, match=r"two models are named 'line', at .*test_model_compile.py:\d+ and "):
        compiling.compile_models([line, line])
    with pytest.raises(InvalidValueError, match="none to compile"):
        compiling.compile_models([])


# The cache


def test_what_was_compiled_is_taken_again(cache, monkeypatch):
    first = compiling.compile_models([line])
    (kept,) = cache.iterdir()
    assert kept.read_bytes() == first and stat.S_IMODE(cache.stat().st_mode) == 0o700
    monkeypatch.setattr(compiling, "_compile", lambda *_: pytest.fail("compiled again"))
    assert compiling.compile_models([line]) == first


def test_another_graph_is_another_file(cache):
    def traced(factor):
        @model
        def scaled(item: Item, a: Free):
            return a * item.index * factor

        return scaled

    files = [compiling.compile_models([traced(k)]) for k in (2.0, 3.0)]
    assert files[0] != files[1] and len(list(cache.iterdir())) == 2
    compiling.compile_models([traced(3.0)], ["x64"])
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("harm", [lambda x: b"", lambda x: x[:-1], lambda x: x[:5000] + b"?" + x[5001:]])
def test_a_damaged_file_in_the_cache_is_made_again(harm, cache):
    first = compiling.compile_models([line])
    (kept,) = cache.iterdir()
    kept.write_bytes(harm(first))
    assert compiling.compile_models([line]) == first == kept.read_bytes()


def test_without_the_cache_nothing_is_kept(cache):
    compiling.compile_models([line], cache=False)
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_none(tmp_path, monkeypatch):
    (tmp_path / "diffrt_aot").write_text("a file, where a folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiling.compile_models([line]) == compiling.compile_models([line], cache=False)


# What is not there


def test_without_llvmlite_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    with pytest.raises(MissingDependencyError, match=r'llvmlite.*pip install "diffrt_aot\[compile\]"'):
        compiling.compile_models([line])
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    with pytest.raises(
        MissingDependencyError, match=r"up to Python 3.13, and this is Python 3.14.*the file loads here"
    ):
        compiling.compile_models([line])


def test_another_llvmlite_is_refused(monkeypatch):
    monkeypatch.setattr("llvmlite.__version__", "0.45.1")
    with pytest.raises(MissingDependencyError, match=r"needs llvmlite 0\.44, found 0\.45\.1"):
        compiling.compile_models([line])


# Objects that are not as they should be

CALLS = (
    "declare float @sinf(float)\ndefine float @f(float %x) {\n  %y = call float @sinf(float %x)\n  ret float %y\n}\n"
)
WRITES = "@g = global float 1.0\ndefine float @f() {\n  %y = load float, float* @g\n  ret float %y\n}\n"


@pytest.mark.parametrize(("text", "message"), [(CALLS, "needs sinf"), (WRITES, "data that is written")])
def test_an_object_that_needs_more_than_itself_is_refused(text, message):
    with pytest.raises(RuntimeError, match=message):
        x64.compile_text(text, "v3")


def test_no_level_calls_a_library():
    """llvm.fma would be a call where there is no such instruction."""
    lowered = lowering.Lowered(model_examples.load("hand").trace())
    assert "fma" not in llvm_text.module([lowered], x64.LEVELS["v2"])
    assert "fma" in llvm_text.module([lowered], x64.LEVELS["v3"])


def test_intact(data):
    assert module_file.is_intact(data)
    assert not module_file.is_intact(b"") and not module_file.is_intact(data + b"\0")


# Compiled and loaded in one process


def test_a_model_compiles_into_what_loading_gives(cache):
    compiled = line.compile()
    assert compiled.name == "line" and compiled.output_shape == ()
    assert compiled.arguments == {"item": ("item", ()), "slope": ("free", ()), "offset": ("free", (2,))}
    assert len(list(cache.iterdir())) == 1
    assert größe.compile("x64", cache=False).output_shape == (2,)
