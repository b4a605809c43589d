"""Every numbered example runs, says what it should, and writes its pictures."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the examples draw")

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))

#: What each must print (a pattern), and the pictures that it must write.
EXPECTED = {
    "01_render_and_jacobian.py": (r"Jacobian \(480, 640, 4\)", ["jacobian_columns.png"]),
    "02_fit_sphere.py": (r"(?s)Cauchy.*error \+?-?0\.00\d\d\s", ["robust_fit.png"]),
    "03_bottle.py": (r"CONVERGED(?s:.)*median \|r\| [012]\.\d+ mm over [5-9]\d\d\d inliers", []),
    "04_many_spheres.py": (r"P = 400.*(?s:.)*rank 400", ["many_spheres.png"]),
    "05_calibrate_camera.py": (r"fx +500\.0 -> +525\.0(?s:.)*rank 8 of 10", ["calibration.png"]),
    "06_boundaries.py": (r"n = 128: interior only 1\.\d+, exact 0\.0[01]", ["boundary_column.png"]),
    "07_boundary_rule.py": (
        r"changes 1\d\d of 4800 pixels(?s:.)*blend +depth (\d\.\d+)(?s:.)*blend +depth \1; 0 pixels",
        [],
    ),
    "08_own_model.py": (
        r"derivative +off by \de\+0[12](?s:.)*by hand +off by 0\.0[0-3](?s:.)*off by \de-0[5-9]",
        ["own_model.png"],
    ),
}


def run(script: Path, folder: Path, *options: str) -> str:
    """Run an example as a user does, warnings being errors, and return what it prints."""
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    environment.pop("DISPLAY", None)
    done = subprocess.run(
        [sys.executable, str(script), str(folder / "out"), *options],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_examples_are_listed():
    assert [script.name for script in EXAMPLES] == sorted(EXPECTED)


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_example(script, tmp_path):
    pattern, pictures = EXPECTED[script.name]
    output = run(script, tmp_path)
    assert re.search(pattern, output), output
    written = [Path(path).name for path in re.findall(r"^wrote (.*)$", output, re.MULTILINE)]
    assert set(pictures) <= set(written)
    for name in written:
        assert (tmp_path / "out" / name).stat().st_size > 5_000


def test_without_its_data_the_bottle_is_a_truck(tmp_path):
    output = run(ROOT / "examples" / "03_bottle.py", tmp_path, "--data", str(tmp_path))
    assert output.startswith("no bottle: schauma.obj is not in ") and "--data" in output and "CONVERGED" in output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"truck_residuals.png", "truck_outline.png"}
