"""The command line: what it prints and writes, its exit codes, and that errors are one line."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

import diffrt_aot as dr
from diffrt_aot.cli import fit as fit_command
from diffrt_aot.cli import main
from diffrt_aot.image_io import save_color, save_depth
from diffrt_aot.losses import Huber, Tukey
from diffrt_aot.scene_file import FitSettings, FitStage, load_scene_file, save_scene_file

CAMERA = dr.PinholeCamera(64, 48, 60, 60, 31.5, 23.5)
TRUTH = dr.Scene(CAMERA, {"ball": dr.Sphere((0.1, -0.05, 1.5), 0.4)})
START = dr.Scene(CAMERA, {"ball": dr.Sphere((0.11, -0.04, 1.51), 0.4)})
FREE = ("ball.center",)


def render_truth():
    """Its depth, without the two pixels next to the silhouette: there the pixels differ in what they see."""
    image = dr.Renderer(TRUTH, output="depth", boundary="none").render()
    around = np.lib.stride_tricks.sliding_window_view(np.pad(image, 2), (5, 5))
    return np.where(np.isfinite(around).all(axis=(2, 3)), image, np.float32(np.nan))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with scene.toml, depth.png in millimetres, and depth.npy."""
    monkeypatch.chdir(tmp_path)
    save_scene_file("scene.toml", START, fit=FitSettings(free=FREE, output="depth", loss=Huber(0.01)))
    image = render_truth()
    np.save("depth.npy", image)
    pytest.importorskip("PIL")
    save_depth("depth.png", image, 0.0001)
    return tmp_path


def run(capsys, *arguments):
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def test_without_a_command_there_is_help(capsys):
    code, out, _ = run(capsys)
    assert code == 0 and out.startswith("usage: diffrt-aot")
    assert all(name in out for name in ("demo", "fit", "info"))


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"diffrt-aot {dr.__version__}\n", "")


@pytest.mark.parametrize("command", ["demo", "fit", "info"])
def test_help(capsys, command):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0 and out.startswith(f"usage: diffrt-aot {command}")


@pytest.mark.parametrize("arguments", [["dmo"], ["demo", "--nonsense"], ["fit"], ["fit", "a.toml"]])
def test_usage_errors_are_one_line(capsys, arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("diffrt-aot: error: ") and err.count("\n") == 1


def test_info(capsys):
    code, out, _ = run(capsys, "info")
    assert code == 0
    for name in dr.info():
        assert name.replace("_", " ") in out
    assert dr.info()["version"] in out
    code, out, _ = run(capsys, "info", "--json")
    assert json.loads(out)["version"] == dr.__version__


def test_module_is_the_command():
    shown = subprocess.run(
        [sys.executable, "-m", "diffrt_aot", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == f"diffrt-aot {dr.__version__}\n"


def test_the_command_line_is_light_to_import():
    code = (
        "import sys, diffrt_aot.cli; heavy = {'matplotlib', 'PIL', 'trimesh', 'rich', 'scipy', 'taichi'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.every_device
def test_demo_recovers_the_sphere_and_draws_it(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    code, out, err = run(capsys, "demo", "--output-dir", tmp_path / "new")
    assert code == 0
    assert (tmp_path / "new" / "demo.png").stat().st_size > 10_000
    assert "fit: " in err and "step" in err
    fitted = {line.split()[0]: float(line.split()[2]) for line in out.splitlines() if line.startswith("ball.")}
    assert fitted == pytest.approx(
        {"ball.radius": 10, "ball.center.x": 10, "ball.center.y": 10, "ball.center.z": 100}, abs=1e-4
    )
    assert "ms" in out and "wrote " in out


def test_demo_shows_the_wrong_and_the_right_answer(capsys, tmp_path):
    """By the interior alone the first step is a wrong answer that is known; by the exact J the third is right."""
    _, out, _ = run(capsys, "demo", "--output-dir", tmp_path, "--quiet")
    table = out[out.index("plain Gauss-Newton") :].splitlines()
    first = [float(cell) for cell in table[3].split()]
    np.testing.assert_allclose(first[1:5], [-2.87, -2.76, -2.76, -2.88], atol=0.02)
    last = [float(cell) for cell in table[5].split()]
    assert last[0] == 3
    np.testing.assert_allclose(last[5:], 0.1, atol=1e-3)
    assert "interior only: no sphere is left" in out and "exact: off by" in out and "after 3 steps" in out


def test_demo_goes_on_without_matplotlib(capsys, tmp_path, monkeypatch):
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    code, out, err = run(capsys, "demo", "--output-dir", tmp_path, "--quiet")
    assert (code, err) == (0, "")
    assert (
        'no picture: drawing pictures needs matplotlib, which is not installed: pip install "diffrt_aot[plots]"' in out
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.every_device
def test_fit_writes_scene_report_and_pictures(capsys, folder):
    pytest.importorskip("matplotlib")
    code, out, err = run(capsys, "fit", "scene.toml", "--observed", "depth.npy")
    assert code == 0
    written = {path.name for path in (folder / "out").iterdir()}
    assert written == {
        "fitted.toml",
        "report.txt",
        "report.json",
        "images.png",
        "residuals.png",
        "outline.png",
    }
    assert all(f"out/{name}" in out for name in written)
    assert "fit 1 of 1, Huber(delta=0.01)" in err

    fitted = load_scene_file("out/fitted.toml")
    np.testing.assert_allclose(fitted.scene.shapes["ball"].center, TRUTH.shapes["ball"].center, atol=1e-5)
    assert fitted.fit == load_scene_file("scene.toml").fit

    report = json.loads((folder / "out" / "report.json").read_text())
    assert [entry["name"] for entry in report["parameters"]] == [f"ball.center.{axis}" for axis in "xyz"]
    np.testing.assert_allclose(
        [entry["fitted"] for entry in report["parameters"]], TRUTH.shapes["ball"].center, atol=1e-5
    )
    assert report["status"].startswith("converged") and report["null_directions"] == []
    assert report["residuals"]["start"]["median"] > 1e-3 > report["residuals"]["fitted"]["median"]
    assert report["residuals"]["fitted"]["inliers"] == report["residuals"]["fitted"]["count"] == report["count"]
    assert report["stages"][0]["history"][0]["step"] == 0
    assert report["stages"][0]["history"][-1]["cost"] == pytest.approx(report["cost"], abs=1e-9)

    text = (folder / "out" / "report.txt").read_text()
    assert "median |r| of inliers" in text and "gain_ratio" in text


@pytest.mark.every_device
def test_fit_to_a_png_with_a_scale(capsys, folder):
    arguments = ["fit", "scene.toml", "--observed", "depth.png", "--scale", "0.0001", "--quiet"]
    code, _, err = run(capsys, *arguments, "--output-dir", "a/b")
    assert (code, err) == (0, "")
    fitted = load_scene_file("a/b/fitted.toml").scene
    np.testing.assert_allclose(fitted.shapes["ball"].center, TRUTH.shapes["ball"].center, atol=2e-5)


@pytest.mark.every_device
def test_options_override_the_file(capsys, folder):
    code, _, err = run(
        capsys,
        *(
            "fit",
            "scene.toml",
            "--observed",
            "depth.npy",
            "--free",
            "ball.radius, ball.center",
            "--max-steps",
            30,
        ),
        *("--loss", "tukey:0.1", "--loss", "tukey:0.02"),
    )
    assert code == 0
    assert "fit 1 of 2, Tukey(c=0.1)" in err and "fit 2 of 2, Tukey(c=0.02)" in err
    written = load_scene_file("out/fitted.toml").fit
    assert written.free == ("ball.radius", "ball.center")
    assert written.stages == (FitStage(Tukey(0.1), 30), FitStage(Tukey(0.02), 30))
    assert [stage["loss"] for stage in json.loads((folder / "out/report.json").read_text())["stages"]] == [
        "Tukey(c=0.1)",
        "Tukey(c=0.02)",
    ]


@pytest.mark.every_device
def test_a_mask_is_fitted_by_its_silhouette(capsys, folder):
    """Exact by default for what is no depth; by its interior alone, a mask says nothing."""
    np.save("mask.npy", dr.Renderer(TRUTH, output="mask").render())
    save_scene_file("scene.toml", START, fit=FitSettings(free=FREE, output="mask"))
    code, _, _ = run(capsys, "fit", "scene.toml", "--observed", "mask.npy")
    assert code == 0
    fitted = load_scene_file("out/fitted.toml")
    np.testing.assert_allclose(fitted.scene.shapes["ball"].center, TRUTH.shapes["ball"].center, atol=1e-4)
    assert fitted.fit.boundary is None

    run(capsys, "fit", "scene.toml", "--observed", "mask.npy", "--boundary", "none")
    fitted = load_scene_file("out/fitted.toml")
    assert fitted.fit.boundary == "none" and fitted.scene == START


@pytest.mark.every_device
def test_one_loss_replaces_the_stages(capsys, folder):
    stages = (FitStage(Tukey(0.1), 5), FitStage(Tukey(0.02), 5))
    save_scene_file("scene.toml", START, fit=FitSettings(free=FREE, stages=stages))
    code, _, err = run(capsys, "fit", "scene.toml", "--observed", "depth.npy", "--loss", "none")
    assert code == 0 and "fit 1 of 1, plain squares" in err
    code, _, err = run(capsys, "fit", "scene.toml", "--observed", "depth.npy", "--max-steps", 3)
    assert code == 0 and "fit 2 of 2, Tukey(c=0.02)" in err
    assert [stage.max_steps for stage in load_scene_file("out/fitted.toml").fit.stages] == [3, 3]


def test_outline_over_a_color_picture_of_another_camera(capsys, folder):
    pytest.importorskip("matplotlib")
    color_camera = dr.PinholeCamera(96, 54, 70, 70, 48, 27)
    save_scene_file("scene.toml", START, fit=FitSettings(free=FREE), color_camera=color_camera)
    save_color("color.png", np.full((54, 96, 3), 200, np.uint8))
    code, _, _ = run(capsys, "fit", "scene.toml", "--observed", "depth.npy", "--color", "color.png")
    assert code == 0 and (folder / "out" / "outline.png").exists()
    assert load_scene_file("out/fitted.toml").color_camera == color_camera


def test_fit_goes_on_without_matplotlib(capsys, folder, monkeypatch):
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    code, out, _ = run(capsys, "fit", "scene.toml", "--observed", "depth.npy")
    assert code == 0 and "no pictures: drawing pictures needs matplotlib" in out
    assert {path.name for path in (folder / "out").iterdir()} == {"fitted.toml", "report.txt", "report.json"}


def test_progress_without_rich(capsys, folder, monkeypatch):
    for module in ("rich", "rich.console"):
        monkeypatch.setitem(sys.modules, module, None)
    code, _, err = run(capsys, "fit", "scene.toml", "--observed", "depth.npy")
    assert code == 0 and "gradient" in err and "\x1b" not in err


@pytest.mark.every_device
def test_interrupting_writes_the_best_so_far(capsys, folder, monkeypatch, heeds_interrupts):
    steps = []

    def interrupt_at_the_second_step(self, record, *_):
        steps.append(record.step)
        if record.step == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(fit_command.Progress, "__call__", interrupt_at_the_second_step)
    stages = (FitStage(Tukey(0.1), 20), FitStage(Tukey(0.02), 20))
    save_scene_file("scene.toml", START, fit=FitSettings(free=FREE, stages=stages))
    code, _, err = run(capsys, "fit", "scene.toml", "--observed", "depth.npy")
    assert code == 130 and "interrupted: writing the best so far" in err
    assert max(steps) == 2, "no step and no stage after the interruption"
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["status"] == "interrupted" and len(report["stages"]) == 1
    assert report["residuals"]["fitted"]["median"] < report["residuals"]["start"]["median"]
    assert load_scene_file("out/fitted.toml")


@pytest.mark.every_device
def test_a_fit_without_residuals_says_so(capsys, folder):
    away = START.replace(ball=dr.Sphere((50, 0, 1), 1))
    save_scene_file("scene.toml", away, fit=FitSettings(free=FREE))
    code, out, _ = run(capsys, "fit", "scene.toml", "--observed", "depth.npy")
    assert code == 1 and "no_residuals: " in out


@pytest.mark.parametrize("name", dr.devices())
def test_the_device_is_chosen_by_an_option(capsys, folder, monkeypatch, name):
    chosen = []
    fit = dr.fit
    monkeypatch.setattr(
        dr,
        "fit",
        lambda renderer, *given, **options: chosen.append(renderer.device) or fit(renderer, *given, **options),
    )
    code, _, _ = run(capsys, "fit", "scene.toml", "--observed", "depth.npy", "--device", name)
    assert code == 0 and set(chosen) == {name}


def test_rounded_transforms_are_noted(capsys, folder):
    text = (folder / "scene.toml").read_text()
    pose = "T_world_camera = [[1, 0.0001, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]\n"
    (folder / "scene.toml").write_text(text.replace("[camera]\n", "[camera]\n" + pose))
    code, _, err = run(capsys, "fit", "scene.toml", "--observed", "depth.npy")
    assert code == 0 and "note: [camera] T_world_camera: off a rotation by 0.0001" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.toml", "--observed", "depth.npy"], "scene file no.toml does not exist"),
        (["scene.toml", "--observed", "no.npy"], "image no.npy does not exist"),
        (["scene.toml", "--observed", "scene.toml"], "scene.toml: cannot be read as an image"),
        (["scene.toml", "--observed", "depth.png"], "so a scale is needed"),
        (["scene.toml", "--observed", "depth.png", "--scale", "-1"], "scale: must be above zero, got -1"),
        (["scene.toml", "--observed", "wide.npy"], "is 64 x 40 pixels, the camera of scene.toml 64 x 48"),
        (["scene.toml", "--observed", "depth.npy", "--loss", "tuckey:1"], "Perhaps you meant 'tukey'"),
        (
            ["scene.toml", "--observed", "depth.npy", "--free", "ball.centre"],
            "Perhaps you meant 'ball.center'",
        ),
        (["scene.toml", "--observed", "depth.npy", "--max-steps", "0"], "--max-steps: must be at least 1"),
        (["scene.toml", "--observed", "depth.npy", "--color", "wide.png"], "describe that as [color_camera]"),
        (["scene.toml", "--observed", "depth.npy", "--device", "tpu"], "device: "),
        (["bad.toml", "--observed", "depth.npy"], "bad.toml: unknown table 'cam'"),
        (["free.toml", "--observed", "depth.npy"], "nothing is free: name what to fit in free.toml"),
    ],
)
def test_errors_are_one_line(capsys, folder, arguments, message):
    np.save("wide.npy", np.ones((40, 64)))
    save_color("wide.png", np.zeros((40, 64, 3), np.uint8))
    (folder / "bad.toml").write_text("[cam]\n")
    save_scene_file("free.toml", START)
    code, out, err = run(capsys, "fit", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("diffrt-aot: error: ") and err.count("\n") == 1
    assert message in err
    assert not (folder / "out").exists(), "a refused call must write nothing"


def test_surprises_name_their_kind_and_can_be_traced(capsys, folder, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(fit_command, "load_scene_file", fail)
    code, _, err = run(capsys, "fit", "scene.toml", "--observed", "depth.npy")
    assert (code, err) == (2, "diffrt-aot: error: RuntimeError: two lines (--traceback shows where)\n")
    with pytest.raises(RuntimeError):
        main(["--traceback", "fit", "scene.toml", "--observed", "depth.npy"])
