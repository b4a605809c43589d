"""The build: what has changed is built anew, and only that, from whichever environment pip configures it in.

CMake's files are the repository's; the sources are a few lines, and what compiles kernels only pretends to.
"""

import os
import shutil
import subprocess
import sys
import time

import compiled
import pytest

for tool in ("cmake", "ninja", "c++"):
    if shutil.which(tool) is None:
        pytest.skip(f"this test builds with {tool}", allow_module_level=True)

PACKAGES = {"taichi": "1.7.4", "llvmlite": "0.44.0", "numpy": "2.0.0", "cmeel_eigen": "3.4.0"}
COMPILE = """
import os, pathlib, signal, subprocess, sys
from kernels.value import VALUE

output, compiler = (sys.argv[sys.argv.index(option) + 1] for option in ("--output", "--cxx"))
output = pathlib.Path(output)
output.mkdir(exist_ok=True)
(output / "manifest.json").unlink(missing_ok=True)
for k, name in enumerate(("v2", "v3", "v4", "cuda", "vulkan")):
    code = output / f"{name}.cpp"
    code.write_text(f"int kernel_{name}() {{ return {VALUE}; }}")
    subprocess.run([compiler, "-fPIC", "-c", code, "-o", output / f"kernels_{name}.o"], check=True)
    if k == 2 and pathlib.Path("killed").exists():
        os.kill(os.getpid(), signal.SIGKILL)
(output / "diffrt_kernels.hpp").write_text(f"inline int kernels() {{ return {VALUE}; }}")
(output / "diffrt_kernels.cpp").write_text('#include "diffrt_kernels.hpp"\\n')
(output / "manifest.json").write_text("{}")
"""
SOURCES = {
    "kernels/__init__.py": "",
    "kernels/aot/__init__.py": "",
    "kernels/aot/__main__.py": COMPILE,
    "kernels/aot/stubs/cuda.cpp": "",
    "kernels/value.py": "VALUE = 1\n",
    "kernels/other.py": "",
    "cpp/include/diffrt/diffrt.hpp": "",
    "cpp/exports.map": "{ global: *; };",
    "cpp/src/solver/eigen_headers.hpp": "",
    "cpp/src/library.cpp": '#include <Eigen/Core>\n#include "diffrt_kernels.hpp"\nint f = EIGEN + kernels();\n',
}
KERNELS, LIBRARY = "kernels/manifest.json", "cpp/CMakeFiles/diffrt_objects.dir/src/library.cpp.o"


class Checkout:
    """Sources, the environment that has the tools, a compiler, and a folder for the build."""

    def __init__(self, folder):
        self.source, self.environment, self.build = folder / "source", folder / "environment 1", folder / "build"
        self.compiler = folder / "c++"
        for name in ("CMakeLists.txt", "cpp/CMakeLists.txt"):
            self.write(name, (compiled.ROOT / name).read_text())
        for name, text in SOURCES.items():
            self.write(name, text)
        (self.environment / "cmeel.prefix/include/eigen3/Eigen").mkdir(parents=True)
        self.eigen = "cmeel.prefix/include/eigen3/Eigen/Core"
        (self.environment / self.eigen).write_text("enum { EIGEN = 1 };")
        for name, version in PACKAGES.items():
            self.release(name, version)
        self.patch(1)

    def write(self, name, text):
        (self.source / name).parent.mkdir(parents=True, exist_ok=True)
        (self.source / name).write_text(text)

    def release(self, package, version):
        """Puts a version of a package in place of any other."""
        for other in self.environment.glob(f"{package}-*.dist-info"):
            shutil.rmtree(other)
        folder = self.environment / f"{package}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")

    def patch(self, level):
        """Makes it a compiler of another version, with the same name."""
        macros = [f"-U{macro} -D{macro}={level}" for macro in ("__GNUC_PATCHLEVEL__", "__clang_patchlevel__")]
        self.compiler.write_text(f'#!/bin/sh\nexec c++ {" ".join(macros)} "$@"\n')
        self.compiler.chmod(0o755)

    def move_environment(self):
        """As pip: the same packages, just unpacked, elsewhere; and scikit-build-core forgets what CMake had found."""
        moved = self.environment.with_name("environment 2")
        shutil.copytree(self.environment, moved, copy_function=shutil.copy)
        shutil.rmtree(self.environment)
        self.environment = moved
        self.forget()

    def forget(self):
        (self.build / "CMakeCache.txt").unlink()
        shutil.rmtree(self.build / "CMakeFiles")

    def make(self, *options, check=True):
        """Configures and builds; what was built, of the kernels and the library."""
        before = self.times()
        variables = {**os.environ, "PYTHONPATH": str(self.environment)}
        configure = ["cmake", "-S", self.source, "-B", self.build, "-G", "Ninja", *options]
        configure += [f"-DPython_EXECUTABLE={sys.executable}", f"-DCMAKE_CXX_COMPILER={self.compiler}"]
        for command in (configure, ["cmake", "--build", self.build]):
            done = subprocess.run(list(map(str, command)), env=variables, capture_output=True, text=True)
            if done.returncode:
                assert not check, done.stdout + done.stderr
                return done.stdout + done.stderr
        after = self.times()
        return {name for name in after if after[name] != before[name]}

    def times(self):
        files = {"kernels": self.build / KERNELS, "library": self.build / LIBRARY}
        return {name: file.stat().st_mtime_ns if file.exists() else None for name, file in files.items()}


@pytest.fixture
def checkout(tmp_path):
    made = Checkout(tmp_path)
    assert made.make() == {"kernels", "library"}
    return made


def test_another_path_of_the_environment_changes_nothing(checkout):
    checkout.move_environment()
    assert checkout.make() == set()
    build = checkout.build / "build.ninja"
    assert "environment" not in build.read_text()


def test_what_has_changed_is_built_anew(checkout):
    assert checkout.make() == set()
    changes = {
        "a kernel": (lambda: checkout.write("kernels/value.py", "VALUE = 2\n"), {"kernels", "library"}),
        "a stub of a driver": (lambda: checkout.write("kernels/aot/stubs/cuda.cpp", "//"), {"kernels", "library"}),
        "a kernel more": (lambda: checkout.write("kernels/third.py", ""), {"kernels", "library"}),
        "a kernel less": (lambda: (checkout.source / "kernels/other.py").unlink(), {"kernels", "library"}),
        "Taichi": (lambda: checkout.release("taichi", "1.7.5"), {"kernels", "library"}),
        "llvmlite": (lambda: checkout.release("llvmlite", "0.44.1"), {"kernels", "library"}),
        "NumPy": (lambda: checkout.release("numpy", "2.0.1"), {"kernels", "library"}),
        "the library": (
            lambda: checkout.write("cpp/src/library.cpp", SOURCES["cpp/src/library.cpp"] + "//"),
            {"library"},
        ),
        "Eigen": (lambda: (checkout.environment / checkout.eigen).write_text("enum { EIGEN = 2 };"), {"library"}),
        "the compiler": (lambda: (checkout.patch(2), checkout.forget()), {"library"}),
    }
    for name, (change, expected) in changes.items():
        time.sleep(0.02)  # longer than a file system's clock ticks
        change()
        assert checkout.make() == expected, name
        assert checkout.make() == set(), f"after {name}"
    assert checkout.make("-DCMAKE_CXX_FLAGS=-O1") == {"library"}


def test_kernels_that_were_not_finished_are_not_taken(checkout):
    """Killed half way, with the sources then as they were before."""
    before = (checkout.build / "kernels/kernels_v2.o").read_bytes()
    checkout.write("kernels/value.py", "VALUE = 2\n")
    checkout.write("killed", "")
    checkout.make(check=False)
    assert not (checkout.build / KERNELS).exists()
    assert (checkout.build / "kernels/kernels_v2.o").read_bytes() != before
    told = checkout.make(f"-DDIFFRT_KERNELS_DIR={checkout.build / 'kernels'}", check=False)
    assert "has no manifest.json, so no complete set of compiled kernels" in " ".join(told.split())

    value = checkout.source / "kernels/value.py"
    value.write_text("VALUE = 1\n")
    os.utime(value, (0, 0))
    (checkout.source / "killed").unlink()
    assert "kernels" in checkout.make("-DDIFFRT_KERNELS_DIR=")
    assert (checkout.build / "kernels/kernels_v2.o").read_bytes() == before


def test_missing_headers_of_python_are_told_before_anything_is_compiled(checkout):
    code = "import sysconfig\nsysconfig.get_path = lambda name, *_, **__: '/nowhere'\n"
    (checkout.environment / "sitecustomize.py").write_text(code)
    told = " ".join(checkout.make("-DSKBUILD=ON", check=False).split())
    assert "there is no /nowhere/Python.h" in told and "apt-get install python3-dev" in told
