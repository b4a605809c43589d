"""Runs cuda_exchange.py against the fake CUDA driver of cpp/tests/fake_cuda, in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_exchange_on_the_fake_driver(tmp_path):
    if shutil.which("c++") is None:
        pytest.skip("the fake CUDA driver needs a C++ compiler, c++")
    library = tmp_path / "libcuda.so.1"
    source = ROOT / "cpp/tests/fake_cuda/fake_cuda.cpp"
    subprocess.run(["c++", "-std=c++17", "-shared", "-fPIC", "-I", ROOT / "cpp/src", "-o", library, source], check=True)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/cuda_exchange.py"],
        cwd=ROOT,
        env={**os.environ, "DIFFRT_CUDA_LIBRARY": str(library)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
