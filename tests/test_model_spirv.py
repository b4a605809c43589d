"""SPIR-V of models: valid, small, and made with no compiler. What it computes, test_model_devices.py has."""

import shutil
import struct
import subprocess
import sys

import model_examples
import numpy as np
import pytest

from diffrt_aot.model import spirv
from diffrt_aot.model.compile import compile_models
from diffrt_aot.model.lowering import FUNCTIONS, Lowered


def modules(name):
    """The words of each function."""
    image = spirv.compile_models([Lowered(model_examples.load(name).trace())])
    for function in FUNCTIONS:
        at = image.functions[f"{name}_{function}"]
        (size,) = struct.unpack_from("<I", image.data, at)
        yield function, image.data[at + 4 : at + 4 + size]


@pytest.mark.parametrize("name", model_examples.NAMES)
def test_it_is_valid(name, tmp_path):
    validator = shutil.which("spirv-val")
    if validator is None:
        pytest.skip("needs spirv-val, of spirv-tools")
    for function, code in modules(name):
        (tmp_path / "code.spv").write_bytes(code)
        command = [validator, "--target-env", "vulkan1.1", tmp_path / "code.spv"]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, (function, result.stderr)


def instructions(code):
    """Opcode and operands of each instruction; their lengths add up to what there is."""
    words = np.frombuffer(code, np.uint32)
    assert list(words[:2]) == [0x07230203, 0x00010300] and words[4] == 0
    at = 5
    while at < words.size:
        length = int(words[at] >> 16)
        assert 0 < length <= words.size - at
        yield int(words[at] & 0xFFFF), words[at + 1 : at + length].tolist()
        at += length


def test_every_module_is_whole():
    for _, code in modules("blob"):
        opcodes = [opcode for opcode, _ in instructions(code)]
        assert opcodes.count(54) == opcodes.count(56) == 1  # one function
        assert opcodes.count(246) in (1, 2)  # its loop, and the blob's


def test_arithmetic_is_as_it_is_written():
    """No instruction may be fused with another one, and each minds NaN."""
    for _, code in modules("hand"):
        found = list(instructions(code))
        results = {words[1] for opcode, words in found if opcode in (129, 131, 133, 136)}
        assert {words[0] for opcode, words in found if opcode == 71 and words[1] == 42} == results
        assert [words[1:] for opcode, words in found if opcode == 16 and words[1] == 4461] == [[4461, 32]]


def test_only_buffers_that_are_used_are_bound():
    """And those that are not written are said not to be."""
    bound = {}
    for function, code in modules("calibration"):
        decorated = [words for opcode, words in instructions(code) if opcode == 71]
        bindings = {words[0]: words[2] for words in decorated if words[1] == 33}
        kept = {bindings[words[0]] for words in decorated if words[1] == 24}
        bound[function] = (set(bindings.values()), set(bindings.values()) - kept - {0})
    assert bound["prepare"] == ({0, 1, 2, 8}, {8})
    assert bound["value"] == ({0, 1, 4, 5, 6, 7, 8, 9}, {9})
    assert bound["rows"] == ({0, 1, 4, 5, 6, 7, 8, 9, 10}, {9, 10})


def test_it_takes_no_compiler(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)  # as if it were not there
    data = compile_models([model_examples.load("sphere")], "vulkan", cache=False)
    assert b"section vulkan" in data and b"llvmlite" not in data[:200]
