"""Who imports whom: the package never needs what it was built with, and the layers of kernels/ point one way."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILD_TIME = ["taichi", "llvmlite", "kernels"]
OPTIONAL = ["scipy", "matplotlib", "PIL", "trimesh", "rich"]

USE = """
import numpy as np
camera = dr.PinholeCamera(width=32, height=24, fx=30, fy=30, cx=16, cy=12)
scene = dr.Scene(camera, {"ball": dr.Sphere(center=(0, 0, 5.0), radius=1.0)})
renderer = dr.Renderer(scene, free=["ball.center"], output="distance")
image, J = renderer.jacobian(renderer.theta0)
J.dense()
renderer.normal_equations(renderer.theta0, image, loss=dr.Huber(0.1))
dr.fit(renderer, image, max_steps=3)
"""


def imported_by(code, folder):
    """The top-level modules that a fresh process has after some code. It runs where no kernels/ lies about."""
    program = f"{code}\nimport sys, json\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    result = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize("code", ["import diffrt_aot", f"import diffrt_aot as dr{USE}"], ids=["import", "use"])
def test_the_package_needs_nothing_it_was_built_with(tmp_path, code):
    modules = imported_by(code, tmp_path)
    assert "diffrt_aot" in modules
    assert not modules & set(BUILD_TIME)
    assert not modules & set(OPTIONAL), "optional packages are imported where they are used"


def test_import_adds_only_numpy_to_the_standard_library(tmp_path):
    before = imported_by("import numpy", tmp_path)
    added = imported_by("import diffrt_aot", tmp_path) - before - set(sys.stdlib_module_names)
    assert added == {"diffrt_aot"}


def test_models_need_no_taichi(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import kernels.numbers, kernels.geometry.sphere, kernels.geometry.triangle, kernels.geometry.se3\n"
        "import kernels.cameras.pinhole, kernels.outputs, kernels.losses, kernels.aot.manifest"
    )
    assert "taichi" not in imported_by(code, tmp_path)


# --- read from the sources, so that an import inside a function counts too


def imports(file):
    """Every module that a file names in an import, at any depth."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


def sources(*folders):
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


# What compiles models of one's own, where it is called.
COMPILING = ("compile.py", "x64.py", "ptx.py")


@pytest.mark.parametrize("file", sources("python"), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_package_names_no_build_time_module(file):
    allowed = {"llvmlite"} if file.parent.name == "model" and file.name in COMPILING else set()
    assert {name.split(".")[0] for name in imports(file)} & set(BUILD_TIME) <= allowed


# What each layer may import of kernels/, beside itself.
LAYERS = {
    "numbers": set(),
    "silhouettes": {"numbers"},
    "geometry": {"numbers", "silhouettes"},
    "cameras": {"numbers"},
    "outputs": {"numbers"},
    "losses": {"numbers"},
    "reference": {"numbers", "geometry", "cameras", "outputs", "losses", "silhouettes"},
    "pipeline": {"numbers", "geometry", "cameras", "outputs", "losses", "silhouettes"},
    "aot": {"pipeline"},
}


@pytest.mark.parametrize("file", sources("kernels"), ids=lambda file: str(file.relative_to(ROOT)))
def test_layers_point_one_way(file):
    layer = file.relative_to(ROOT / "kernels").parts[0].removesuffix(".py")
    named = set(imports(file))
    used = {name.split(".")[1] for name in named if name.startswith("kernels.")}
    assert used <= LAYERS.get(layer, set()) | {layer}
    top = {name.split(".")[0] for name in named}
    assert "taichi" not in top or layer in ("pipeline", "aot") or file.name in ("traced.py", "elementary.py")
    assert "llvmlite" not in top or layer == "aot"
    assert "diffrt_aot" not in top


def test_every_layer_is_known():
    folders = {path.name for path in (ROOT / "kernels").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(LAYERS)
