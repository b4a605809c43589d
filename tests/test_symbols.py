"""What libdiffrt.so shows to the loader: its own public names, and nothing that a user's program may have as well."""

import pathlib
import re
import shutil
import subprocess

import pytest

import diffrt_aot as dr

LIBRARY = pathlib.Path(dr.cmake_dir()).parents[1] / "libdiffrt.so"
ERRORS = ["ArgumentError", "MemoryError", "DeviceError", "DeviceMemoryError", "DeviceLostError"]
ERRORS += ["ModuleError", "SolverArgumentError"]
CLASSES = ["Renderer", "Jacobian", "DeviceArray", "Scene", "ImageProblem", "Uncertainty", r"LeastSquares\w+", *ERRORS]
CLASSES += ["Module", "Model", "ModelData", "BoundModel", "ModelProblem"]
FUNCTIONS = ["version", "isa_level", "kernel_count", "new_revision", "valid_free_names", "name", "message", "summary"]
FUNCTIONS += ["model_loss", "model_weights"]
FUNCTIONS += [
    "converged",
    "channels",
    "solve",
    "fit",
    r"\w*devices",
    "device_details",
    "default_threads",
    r"\w+_levels",
]


def exported(library: pathlib.Path) -> list[str]:
    if shutil.which("nm") is None:
        pytest.skip("needs binutils' nm")
    command = ["nm", "-D", "--defined-only", "--demangle", "--format=posix", str(library)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [re.sub(r" [A-Za-z]( [0-9a-f]+)*\s*$", "", line).replace("[abi:cxx11]", "") for line in lines]


def test_the_library_exports_its_public_names_and_nothing_else() -> None:
    names = exported(LIBRARY)
    member = re.compile(
        rf"(typeinfo for |typeinfo name for |vtable for )?diffrt::({'|'.join(CLASSES)})(::~?[\w=]+\W.*)?"
    )
    function = re.compile(rf"diffrt::({'|'.join(FUNCTIONS)})\(.*\)")
    others = [name for name in names if not member.fullmatch(name) and not function.fullmatch(name)]
    assert not others, others
    assert 100 < len(names) < 240, len(names)


def test_exceptions_can_be_caught_outside() -> None:
    names = exported(LIBRARY)
    assert {f"typeinfo for diffrt::{error}" for error in ERRORS} <= set(names)
