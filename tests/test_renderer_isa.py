"""The instruction set levels: each gives the same images; one that the processor lacks is refused by name."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from renderer_cases import CASES, OUTPUTS, traced

import diffrt_aot as dr

ALL_LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
LEVELS = dr.info()["available_isa_levels"]

RENDER_ALL = """
import sys
import diffrt_aot as dr
import numpy as np
from renderer_cases import CASES, OUTPUTS

results = {"level": np.array(dr.info()["isa_level"])}
for k, case in enumerate(CASES.values()):
    renderer = dr.Renderer(case.scene, free=case.free, output=OUTPUTS, boundary="none")
    theta = case.thetas()[1]
    image, J = renderer.jacobian(theta)
    equations = renderer.normal_equations(theta, np.nan_to_num(image, nan=3.0) + 0.25, loss=dr.Cauchy(0.1))
    results |= {f"{k} image": image, f"{k} J": J.dense(), f"{k} H": equations.H, f"{k} cost": np.array(equations.cost)}
np.savez(sys.argv[1], **results)
"""


def run(script, level, *arguments):
    environment = {**os.environ, "DIFFRT_ISA": level, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def by_level(tmp_path_factory):
    folder = tmp_path_factory.mktemp("levels")
    results = {}
    for level in LEVELS:
        finished = run(RENDER_ALL, level, folder / f"{level}.npz")
        assert finished.returncode == 0, finished.stderr
        with np.load(folder / f"{level}.npz") as arrays:
            results[level] = dict(arrays)
    return results


def test_the_level_that_is_asked_for_is_used(by_level):
    for level, arrays in by_level.items():
        assert arrays["level"] == level
    assert dr.info()["isa_level"] == LEVELS[-1] or "DIFFRT_ISA" in os.environ
    assert run("import diffrt_aot as dr; print(dr.info()['isa_level'])", "v2").stdout.strip() == "x86-64-v2"


@pytest.mark.parametrize("level", LEVELS[1:])
def test_levels_agree(by_level, level):
    """They differ in the order of sums and in fused multiply-adds: by roundings."""
    here, there = by_level[level], by_level[LEVELS[0]]
    for k, (name, case) in enumerate(CASES.items()):
        hits, steady = traced(name, 1)
        seen = steady & (hits.ids >= 0) & (hits.cosine > 0.1)
        image, other = here[f"{k} image"], there[f"{k} image"]
        assert np.array_equal(np.isnan(image[steady]), np.isnan(other[steady]))
        # Ten times test_renderer_images' tolerance, which divides by the cosine.
        np.testing.assert_allclose(image[seen], other[seen], rtol=1e-5 * case.amplify, atol=1e-5 * case.amplify)
        J, expected = here[f"{k} J"][seen], there[f"{k} J"][seen]
        sizes = np.abs(expected).max(axis=(0, 2), initial=0.0)
        # One over the cosine squared is a hundred here.
        assert np.all(np.abs(J - expected) <= case.amplify * 5e-5 * (np.abs(expected) + sizes[:, None]))


def test_a_level_that_the_processor_lacks_is_refused():
    script = """
import diffrt_aot as dr
try:
    dr.Renderer(dr.Scene(dr.PinholeCamera(4, 4, 2, 2, 1, 1), {"a": dr.Sphere((0, 0, 4), 1)}))
except dr.DeviceError as error:
    print(error)
"""
    missing = [level for level in ALL_LEVELS if level not in LEVELS]
    for level in ["v9", "avx2", *missing]:
        finished = run(script, level)
        assert finished.returncode == 0, finished.stderr
        assert f"DIFFRT_ISA={level}" in finished.stdout
        assert "v2" in finished.stdout and "unset DIFFRT_ISA" in finished.stdout


def test_importing_with_a_bad_level_does_not_fail():
    """The level is chosen when it is needed; a program may want to print the error that says so."""
    finished = run("import diffrt_aot", "v9")
    assert finished.returncode == 0, finished.stderr


THREADS = """
from test_renderer_repeatable import test_any_number_of_threads_with_silhouettes as any_number_of_threads

for planes in (False, True):
    any_number_of_threads(planes, "distance")
"""


@pytest.mark.parametrize("level", LEVELS)
def test_any_number_of_threads_at_every_level(level):
    """Which lane a pixel's edge comes to lie in depends on the threads: what it gives must not, in narrow registers."""
    finished = run(THREADS, level)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("output", OUTPUTS)
def test_every_output_has_kernels_at_every_level(by_level, output):
    assert all(np.isfinite(arrays["0 image"][..., OUTPUTS.index(output)]).any() for arrays in by_level.values())


FIT_MASKS = """
import diffrt_aot as dr
import numpy as np

camera = dr.PinholeCamera(160, 120, 200, 200, 79.5, 59.5)
z = 200.0  # a unit is a pixel
ends = set()
for radius in (16, 25, 40):
    truth = dr.Scene(camera, {"ball": dr.Sphere((3.3, -2.2, z), radius)})
    observed = dr.Renderer(truth, output="mask").render()
    for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        start = truth.replace(ball=dr.Sphere((3.3 + 15 * np.cos(angle), -2.2 + 15 * np.sin(angle), z), radius))
        renderer = dr.Renderer(start, free=["ball.center", "ball.radius"], output="mask")
        bounds = {"ball.center": ([-np.inf, -np.inf, z], [np.inf, np.inf, z])}
        result = dr.fit(renderer, observed, levels=3, bounds=bounds)
        ends.add(result.status.converged)
        assert np.abs(result.theta - [3.3, -2.2, z, radius]).max() < 1e-4, result.theta
print(ends)
"""


@pytest.mark.parametrize("level", LEVELS)
def test_fits_to_silhouettes_converge(level):
    """Where edges are is rounded, by each level in its own way; what is left of the cost then is no reason to go on."""
    finished = run(FIT_MASKS, level)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == "{True}\n"
