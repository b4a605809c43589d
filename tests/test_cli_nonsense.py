"""Nonsense for every option of the command line: one line, exit code 2, and nothing written; or it is no nonsense."""

import argparse
import itertools

import numpy as np
import pytest

import diffrt_aot as dr
from diffrt_aot.cli import _parser, main
from diffrt_aot.cli import fit as fit_command
from diffrt_aot.scene_file import FitSettings, save_scene_file

SCENE = dr.Scene(dr.PinholeCamera(32, 24, 30, 30, 15.5, 11.5), {"ball": dr.Sphere((0.1, -0.05, 1.5), 0.4)})
VALUES = ["", " ", "x", "-1", "0", "1.5", "nan", "inf", "-inf", "1e999", "1/0", "1/x", "9" * 30, "tukey:", "tukey:0"]
VALUES += ["barron:1", "ball.radius,ball.radius", "ball.", "a\nb", "/dev/null", "missing/a.npy", "y" * 300, "-x"]


def options():
    """The options of `fit` that take a value."""
    command = next(action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    actions = command.choices["fit"]._actions
    return [action.option_strings[-1] for action in actions if action.option_strings and action.nargs != 0]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit_command, "_draw", lambda *_: [])  # takes a second where the value is no nonsense
    save_scene_file("scene.toml", SCENE, fit=FitSettings(free=("ball.radius",), output="depth", max_steps=1))
    np.save("depth.npy", dr.Renderer(SCENE, output="depth").render())
    return tmp_path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("option", options())
def test_nonsense_for_an_option(capsys, folder, option):
    before = {path.name for path in folder.iterdir()}
    faults = {}
    for number, (value, glued) in enumerate(itertools.product(VALUES, (True, False))):
        given = [f"{option}={value}"] if glued else [option, value]
        place = [] if option == "--output-dir" else ["--output-dir", f"out{number}"]
        observed = [] if option == "--observed" else ["--observed", "depth.npy"]
        try:
            code = main(["fit", "scene.toml", *observed, "--quiet", *place, *given])
        except SystemExit as stop:
            code = stop.code
        except BaseException as error:
            code = repr(error)
        err = capsys.readouterr().err
        after = {path.name for path in folder.iterdir()}
        if code == 2 and (err.count("\n") != 1 or "Error:" in err or after != before or len(err) > 1000):
            faults[given[-1][:30]] = (err[:300], after - before)
        elif code not in (0, 1, 2):
            faults[given[-1][:30]] = (code, err[:300])
        before = after
    assert not faults, faults
