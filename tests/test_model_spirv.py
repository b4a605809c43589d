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


def test_every_module_is_whole():
    """Lengths add up, each id is given once, and within the bound."""
    for _, code in modules("blob"):
        words = np.frombuffer(code, np.uint32)
        assert list(words[:2]) == [0x07230203, 0x00010300] and words[4] == 0
        at, opcodes = 5, []
        while at < words.size:
            assert words[at] >> 16 > 0
            opcodes.append(words[at] & 0xFFFF)
            at += words[at] >> 16
        assert at == words.size
        assert opcodes.count(54) == opcodes.count(56) == 1  # one function
        assert opcodes.count(246) in (1, 2)  # its loop, and the blob's


def test_it_takes_no_compiler(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)  # as if it were not there
    data = compile_models([model_examples.load("sphere")], "vulkan", cache=False)
    assert b"section vulkan" in data and b"llvmlite" not in data[:200]
