"""The command line: what it prints and writes, its exit codes, and that errors are one line."""

import json
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import diffrt_aot as dr
from diffrt_aot.cli import fit as fit_command
from diffrt_aot.cli import main
from diffrt_aot.image_io import load_observed, save_color, save_depth
from diffrt_aot.losses import Huber, Tukey
from diffrt_aot.scene_file import FitSettings, FitStage, load_scene_file, save_scene_file

ROOT = Path(__file__).resolve().parents[1]
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
    assert all(name in out for name in ("demo", "sample", "fit", "info"))


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"diffrt-aot {dr.__version__}\n", "")


@pytest.mark.parametrize("command", ["demo", "sample", "fit", "info"])
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


def test_a_fit_of_more_parameters_than_dense_matrices_are_made_of(capsys, folder):
    """A row of spheres that leads out of the image: what is known of each is in the report, and what is not."""
    row = dr.Scene(CAMERA, {f"b{k}": dr.Sphere((0.04 * k - 0.6, 0, 1.5), 0.05) for k in range(340)})
    save_scene_file("scene.toml", row, fit=FitSettings(free=[f"b{k}.center" for k in range(340)], output="depth"))
    np.save("depth.npy", dr.Renderer(row, output="depth", boundary="none").render())
    _, out, err = run(capsys, "fit", "scene.toml", "--observed", "depth.npy")
    assert "error" not in err and "more, in report.json" in out.partition("not determined by the image")[2]
    report = json.loads(Path("out/report.json").read_text())
    deviations = {entry["name"]: entry["standard_deviation"] for entry in report["parameters"]}
    assert len(deviations) == 1020 and deviations["b15.center.z"] < 1e-3 and deviations["b300.center.x"] is None
    assert {"b300.center.x": 1.0} in report["null_directions"]


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


# ---- what counts as a measurement --------------------------------------------------------------------------


@pytest.fixture
def plain_folder(folder, monkeypatch):
    """The same, where no pictures are drawn."""
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    return folder


def fit(capsys, *arguments):
    """Fit without progress; return the exit code, the report, and the warnings on standard error."""
    code, out, err = run(capsys, "fit", "scene.toml", "--quiet", *arguments)
    if code == 2:
        return code, err, []
    report = json.loads((Path("out") / "report.json").read_text())
    told = [line.removeprefix("warning: ") for line in err.splitlines()]
    assert told == report["warnings"] and "FitWarning" not in err
    text = (Path("out") / "report.txt").read_text()
    assert all(f"warning    {warning}" in text and warning in out for warning in told)
    return code, report, told


def found(report):
    fitted = [entry["fitted"] for entry in report["parameters"]]
    return np.abs(np.subtract(fitted, TRUTH.shapes["ball"].center)).max() < 1e-3


@pytest.mark.parametrize(("value", "dtype"), [(65535, np.uint16), (-1, np.float32), (0, np.uint16), (1e10, np.float64)])
def test_numbers_that_say_not_measured(capsys, plain_folder, value, dtype):
    unit = 1e-4 if dtype is np.uint16 else 1.0
    image = render_truth()
    image[10:] = np.where(np.random.default_rng(0).random((38, 64)) < 0.3, np.nan, image[10:])
    values = np.where(np.isfinite(image), np.nan_to_num(image) / unit, value)
    np.save("depth.npy", np.rint(values).astype(dtype) if unit != 1 else values.astype(dtype))
    given = ("--observed", "depth.npy", "--scale", unit)
    code, report, told = fit(capsys, *given, f"--missing={value}", "--missing", 4e4)
    assert code == 0 and not told and found(report)
    assert load_scene_file("out/fitted.toml").fit.missing == (value, 4e4)
    if unit != 1:
        assert load_scene_file("out/fitted.toml").fit.depth_scale == unit

    text = (plain_folder / "scene.toml").read_text()
    (plain_folder / "scene.toml").write_text(text.replace("[fit]", f"[fit]\nmissing = [{value}, 40000]"))
    code, report, told = fit(capsys, *given)
    assert code == 0 and not told and found(report)

    (plain_folder / "scene.toml").write_text(text)
    code, report, told = fit(capsys, *given)
    if value == 0:  # of a depth camera's image that goes without saying
        assert code == 0 and not told and found(report)
    elif value == -1:
        assert code == 0 and found(report)
        assert len(told) == 1 and "depth.npy: " in told[0] and "are below zero (-1), which no depth is" in told[0]
    else:
        assert f"% of the pixels are exactly {value:.10g}," in told[0] and "--missing" in told[0]
        assert not any("exactly" in text for text in told[1:])


def test_zeros_of_floats_are_missing_but_where_the_background_is_zero(capsys, plain_folder):
    np.save("depth.npy", np.nan_to_num(render_truth()))
    code, report, told = fit(capsys, "--observed", "depth.npy")
    assert code == 0 and not told and found(report)
    save_scene_file("scene.toml", START, fit=FitSettings(free=FREE, background=0.0))
    code, report, _ = fit(capsys, "--observed", "depth.npy")
    assert code == 0 and report["count"] == 64 * 48


@pytest.mark.parametrize("scale", [(), ("--scale", "1/255"), ("--scale", 1 / 255)])
def test_masks_of_255(capsys, plain_folder, scale):
    save_color("mask.png", np.rint(255 * dr.Renderer(TRUTH, output="mask").render()).astype(np.uint8))
    save_scene_file("scene.toml", START, fit=FitSettings(free=FREE, output="mask"))
    code, report, told = fit(capsys, "--observed", "mask.png", *scale)
    assert code == 0 and not told
    fitted = np.array([entry["fitted"] for entry in report["parameters"]])
    np.testing.assert_allclose(fitted, TRUTH.shapes["ball"].center, atol=2e-3)
    code, error, _ = fit(capsys, "--observed", "mask.png", "--scale", 1)
    assert code == 2 and "a mask has values from 0 to 1, got 0 to 255" in error


def test_one_channel_is_an_image(capsys, plain_folder):
    np.save("depth.npy", render_truth()[..., None])
    code, report, told = fit(capsys, "--observed", "depth.npy")
    assert code == 0 and not told and found(report)
    np.save("depth.npy", np.stack([render_truth()] * 2, axis=-1))
    code, error, _ = fit(capsys, "--observed", "depth.npy")
    assert code == 2 and "depth.npy: has 2 channels, depth 1" in error


@pytest.mark.parametrize(
    ("scale", "expected", "kind"), [("5000", 1, "units: "), ("1", 1, "units: "), ("0.00002", 0, "distance: ")]
)
def test_a_scale_the_wrong_way_round(capsys, plain_folder, scale, expected, kind):
    save_depth("depth.png", render_truth(), 1 / 5000)
    code, report, told = fit(capsys, "--observed", "depth.png", "--scale", "1/5000")
    assert code == 0 and not told and found(report)
    code, report, told = fit(capsys, "--observed", "depth.png", "--scale", scale)
    assert code == expected and told[0].startswith(kind) and told[0].endswith("Did you mean --scale 1/5000?")


@pytest.mark.parametrize("text", ["1/0", "x", "1/", "/2", "1/2/3"])
def test_what_is_no_scale(capsys, plain_folder, text):
    code, out, err = run(capsys, "fit", "scene.toml", "--observed", "depth.png", "--scale", text)
    assert (code, out) == (2, "")
    assert f"--scale: must be a number, or a fraction as 1/5000, got '{text}'" in err and err.count("\n") == 1


def test_a_model_around_the_camera_is_no_answer(capsys, plain_folder):
    save_scene_file("scene.toml", START.replace(ball=dr.Sphere((0.1, -0.05, 1.5), 400)), fit=FitSettings(free=FREE))
    code, _, told = fit(capsys, "--observed", "depth.npy")
    assert code == 1 and "the camera stands within the model ball" in told[0]


def test_what_was_said_of_one_stage_is_not_said_again(capsys, plain_folder):
    stages = (FitStage(Huber(1e-9), 1), FitStage(Huber(1e-9), 1))
    save_scene_file("scene.toml", START, fit=FitSettings(free=FREE, stages=stages))
    np.save("depth.npy", render_truth() + np.random.default_rng(0).normal(0, 0.01, (48, 64)))
    code, _, told = fit(capsys, "--observed", "depth.npy")
    assert code == 0 and 1 <= len(told) <= 2 and len(set(told)) == len(told)
    assert all(text.startswith("loss: ") for text in told)


# ---- the sample --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made():
    """What made the sample."""
    return runpy.run_path(str(ROOT / "tools" / "make_sample.py"))


def test_the_readmes_commands_fit_the_sample(capsys, tmp_path, monkeypatch, made):
    """Word for word; the pose is that which made the image, and outlines are drawn."""
    monkeypatch.chdir(tmp_path)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [line.split() for line in readme.splitlines() if line.startswith(".venv/bin/diffrt-aot ")]
    assert [command[1] for command in commands] == ["sample", "fit"]
    for _, *arguments in commands:
        code, out, err = run(capsys, *arguments)
        assert code == 0 and "warning" not in err and "note" not in err
    assert "status     converged" in out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    T, truth = np.array(report["poses"]["truck.pose"]), made["TRUTH"]
    degrees = np.degrees(np.arccos(np.clip((np.trace(T[:3, :3].T @ truth[:3, :3]) - 1) / 2, -1, 1)))
    assert degrees < 0.5 and np.linalg.norm(T[:3, 3] - truth[:3, 3]) < 5e-4
    assert report["residuals"]["start"]["median"] > 0.01 and 3e-4 < report["residuals"]["fitted"]["median"] < 1e-3
    pytest.importorskip("matplotlib")
    assert (tmp_path / "out" / "outline.png").stat().st_size > 20_000


def test_the_sample_is_what_its_script_makes(made):
    folder = made["FOLDER"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 100_000
    vertices, faces = made["truck"]()
    mesh = dr.load_scene_file(folder / "truck.toml").scene.shapes["truck"]
    assert np.array_equal(mesh.faces, faces) and np.allclose(mesh.vertices, vertices, atol=1e-9)
    assert np.allclose(mesh.T_world_mesh, made["START"], atol=1e-8)
    expected, image = made["frame"](vertices, faces), load_observed(folder / "depth.png", 0.001)
    differs = ~np.isclose(expected, image, atol=6e-4, equal_nan=True)
    assert differs.mean() < 1e-3  # other instruction sets round otherwise


def test_the_sample_does_not_overwrite(capsys, tmp_path):
    code, out, _ = run(capsys, "sample", tmp_path / "a")
    assert code == 0 and out.count("wrote ") == 3
    assert run(capsys, "sample", tmp_path / "a")[0] == 0
    (tmp_path / "a" / "truck.obj").write_text("mine")
    code, out, err = run(capsys, "sample", tmp_path / "a")
    assert (code, out) == (2, "") and "truck.obj exists and is another file" in err
    assert (tmp_path / "a" / "truck.obj").read_text() == "mine"
