"""Every argument of every public call, given every kind of wrong value: it works, or raises a DiffrtError of one line
that names the argument; never anything else, and the renderer shows the same image afterwards.
"""

import datetime
import decimal
import fractions
import itertools
import re
import warnings

import numpy as np
import pytest

import diffrt_aot as dr
from diffrt_aot.image_io import load_color, load_observed, save_color, save_depth
from diffrt_aot.losses import parse_loss
from diffrt_aot.mesh_file import load_mesh, save_mesh

H, W = 30, 40
SCENE = dr.Scene(dr.PinholeCamera(W, H, 35, 35, 19.5, 14.5), {"ball": dr.Sphere((0.1, -0.2, 5), 1)})
SYSTEM_ERRORS = ("FileNotFoundError", "IsADirectoryError", "NotADirectoryError", "PermissionError")
FREE = ["ball.center", "ball.radius"]


class Hostile:
    """Raises whatever one does with it."""

    def __array__(self, *_, **__):
        raise RuntimeError("no\narray")

    def __repr__(self):
        raise RuntimeError("no\ntext")


class TwoLines:
    def __init__(self, *_):
        pass

    def __repr__(self):
        return "one\ntwo"


def wrong_values():
    """Name -> value, made anew: some are used up by a look at them."""
    image = np.full((H, W), 5.0)
    masked = np.ma.masked_array(image.copy(), mask=np.arange(H * W).reshape(H, W) % 7 == 0)
    read_only = image.copy()
    read_only.flags.writeable = False
    return {
        "None": None,
        "'x'": "x",
        "''": "",
        "'a\\nb'": "a\nb",
        "a lone surrogate": "\ud800",
        "a NUL": "a\0b",
        "a long text": "y" * 100_000,
        "bytes": b"x",
        "[]": [],
        "()": (),
        "{}": {},
        "[None]": [None],
        "['x']": ["x"],
        "['x\\ny', 1]": ["x\ny", 1],
        "[[1, 2], [3]]": [[1, 2], [3]],
        "{'a': 1}": {"a": 1},
        "{1: 2}": {1: 2},
        "{'ball.radius': 1}": {"ball.radius": 1},
        "{'ball.radius': ('x', None)}": {"ball.radius": ("x", None)},
        "{'ball.radius': (nan, nan)}": {"ball.radius": (np.nan, np.nan)},
        "{'ball.radius': ([1, 2], 1)}": {"ball.radius": ([1, 2], 1)},
        "{'ball.radius': (2, 1)}": {"ball.radius": (2, 1)},
        "set": {1, 2},
        "generator": (number for number in (1, 2)),
        "an iterator without end": itertools.count(),
        "a lambda": lambda *_: 0,
        "a class": TwoLines,
        "object()": object(),
        "nan": np.nan,
        "inf": np.inf,
        "-inf": -np.inf,
        "0": 0,
        "-1": -1,
        "1.5": 1.5,
        "1e308": 1e308,
        "5e-324": 5e-324,
        "2**31": 2**31,
        "2**40": 2**40,
        "2**64": 2**64,
        "2**70": 2**70,
        "10**30": 10**30,
        "10**400": 10**400,
        "10**10000": 10**10000,
        "True": True,
        "1j": 1j,
        "Decimal": decimal.Decimal("1"),
        "Decimal nan": decimal.Decimal("sNaN"),
        "Fraction": fractions.Fraction(1, 3),
        "a large Fraction": fractions.Fraction(10**400, 3),
        "a date": datetime.datetime(2020, 1, 1),
        "datetime64": np.datetime64("2020-01-01"),
        "float16": np.float16(1),
        "longdouble": np.longdouble("1e4000"),
        "array(3.0)": np.array(3.0),
        "array('x')": np.array("x"),
        "array(None)": np.array(None),
        "zeros(0)": np.zeros(0),
        "zeros((0, 3))": np.zeros((0, 3)),
        "zeros((3, 3))": np.zeros((3, 3)),
        "zeros((2, 2, 2))": np.zeros((2, 2, 2)),
        "zeros((4, 1))": np.zeros((4, 1)),
        "complex array": np.ones(4, complex),
        "object array": np.array([1, None, "x", 2.0], dtype=object),
        "structured array": np.zeros(4, dtype=[("x", float), ("y", int)]),
        "bool array": np.ones((H, W), bool),
        "int array": np.ones((H, W), np.int16),
        "string array": np.array(["1", "2", "3", "4"]),
        "masked array": masked,
        "masked vector": np.ma.masked_array([0.1, -0.2, 5, 1], mask=[0, 0, 0, 1]),
        "np.ma.masked": np.ma.masked,
        "matrix of float16": image.astype(np.float16),
        "longdouble array": image.astype(np.longdouble) * np.longdouble("1e4000"),
        "big-endian": image.astype(">f4"),
        "read-only": read_only,
        "strided": np.full((2 * H, 3 * W), 5.0)[::-2, ::3],
        "transposed": np.full((W, H), 5.0),
        "broadcast": np.broadcast_to(np.float32(5), (H, W)),
        "not aligned": np.frombuffer(bytes(1 + 4 * H * W), np.float32, H * W, 1).reshape(H, W),
        "all NaN": np.full((H, W), np.nan),
        "negative": -image,
        "(H, W, 1)": image[..., None],
        "Hostile()": Hostile(),
        "TwoLines()": TwoLines(),
        "a scene": SCENE,
        "a shape": SCENE.shapes["ball"],
    }


IMAGE = np.full((H, W), 5.0, np.float32)


def calls():
    """What is called -> (the word that its errors have, a function of a renderer and the wrong value)."""
    found = {
        "render(theta)": ("theta", lambda r, x: r.render(x)),
        "render(on_device)": ("on_device", lambda r, x: r.render(on_device=x)),
        "jacobian(theta)": ("theta", lambda r, x: r.jacobian(x)),
        "jacobian(on_device)": ("on_device", lambda r, x: r.jacobian(on_device=x)),
        "scene_at(theta)": ("theta", lambda r, x: r.scene_at(x)),
        "stream": ("stream", lambda r, x: setattr(r, "stream", x)),
        "fit(renderer)": ("renderer", lambda _, x: dr.fit(x, IMAGE)),
        "fit(observed)": ("observed", lambda r, x: dr.fit(r, x, max_steps=1)),
        "fit(callback returns)": ("callback", lambda r, x: dr.fit(r, IMAGE, callback=lambda _: x, max_steps=1)),
        "J @ v": ("v", lambda r, x: r.jacobian()[1] @ x),
        "J.T @ w": ("w", lambda r, x: r.jacobian()[1].T @ x),
        "Renderer(scene)": ("scene", lambda _, x: dr.Renderer(x)),
        "Jacobian(core)": ("Jacobian", lambda _, x: dr.Jacobian(x)),
        "DeviceArray(core)": ("DeviceArray", lambda _, x: dr.DeviceArray(x)),
        "valid_free_names(scene)": ("scene", lambda _, x: dr.valid_free_names(x)),
        "nearest_rigid(T)": ("T", lambda _, x: dr.nearest_rigid(x)),
        "Scene(camera)": ("camera", lambda _, x: dr.Scene(x, SCENE.shapes)),
        "Scene(shapes)": ("shapes", lambda _, x: dr.Scene(SCENE.camera, x)),
        "Scene({'a': shape})": ("shapes", lambda _, x: dr.Scene(SCENE.camera, {"a": x})),
        "Scene.replace(camera)": ("camera", lambda _, x: SCENE.replace(camera=x)),
        "Scene.replace(ball)": ("shapes", lambda _, x: SCENE.replace(ball=x)),
        "Barron(alpha)": ("alpha", lambda _, x: dr.Barron(x, 1.0)),
        "Barron(c)": ("c", lambda _, x: dr.Barron(1.0, x)),
        "Huber(delta)": ("delta", lambda _, x: dr.Huber(x)),
        "Huber.rho(squared)": ("squared", lambda _, x: dr.Huber(1.0).rho(x)),
        "Barron.weight(squared)": ("squared", lambda _, x: dr.Barron(-2.0, 1.0).weight(x)),
        "parse_loss(text)": ("loss", lambda _, x: parse_loss(x)),
    }
    for kind in (dr.Cauchy, dr.GemanMcClure, dr.Tukey):
        found[f"{kind.__name__}(c)"] = ("c", lambda _, x, kind=kind: kind(x))
    options = ["theta0", "weights", "loss", "method", "priors", "bounds", "callback", "max_steps", "levels"]
    options += ["gradient_tolerance", "step_tolerance", "cost_tolerance", "initial_damping"]
    for name in options:
        found[f"fit({name})"] = (name, lambda r, x, name=name: dr.fit(r, IMAGE, **{"max_steps": 1, name: x}))
    for name in ("free", "output", "background", "boundary", "device", "threads", "rules", "stream", "dense_limit"):
        found[f"Renderer({name})"] = (name, lambda _, x, name=name: dr.Renderer(SCENE, **{name: x}))
    for method in ("cost", "normal_equations"):
        for place, name in enumerate(("theta", "observed", "weights", "loss")):

            def call(r, x, method=method, place=place):
                given = [None, IMAGE, None, None]
                given[place] = x
                return getattr(r, method)(*given)

            found[f"{method}({name})"] = (name, call)
    values = {
        dr.PinholeCamera: {"width": 4, "height": 3, "fx": 3, "fy": 3, "cx": 1, "cy": 1, "T_world_camera": None},
        dr.Sphere: {"center": (0, 0, 1), "radius": 1},
        dr.Plane: {"point": (0, 0, 1), "normal": (0, 0, 1)},
        dr.Mesh: {"vertices": np.eye(3), "faces": [[0, 1, 2]], "T_world_mesh": None},
    }
    for kind, fields in values.items():
        for name in fields:
            found[f"{kind.__name__}({name})"] = (
                name,
                lambda _, x, kind=kind, fields=fields, name=name: kind(**{**fields, name: x}),
            )
    return found


CALLS = calls()


@pytest.fixture(scope="module")
def renderer():
    return dr.Renderer(SCENE, FREE, background=0.0)


@pytest.mark.filterwarnings("ignore")  # of fits to nonsense; not of deprecations, below
@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_value_is_refused_in_one_line(renderer, name):
    word, call = CALLS[name]
    before = renderer.render()
    found = {label: fault(word, call, renderer, value) for label, value in wrong_values().items()}
    assert not any(found.values()), "\n".join(f"{label}: {text}" for label, text in found.items() if text)
    assert np.array_equal(renderer.render(), before)


def fault(word, call, *arguments):
    """What is wrong with how a call refuses its arguments; None where it works."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            warnings.simplefilter("error", RuntimeWarning)
            call(*arguments)
    except dr.DiffrtError as error:
        text = str(error)
        named = re.search(rf"(?<![a-z_]){word}(?![a-z_])", text)
        return None if named and len(text.splitlines()) == 1 and len(text) <= 500 else text[:300]
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return None


def files(folder):
    """What is called with a path -> a function of the wrong value."""
    mesh = dr.Mesh(np.eye(3), [[0, 1, 2]])
    return {
        "load": dr.load,
        "load_scene_file": dr.load_scene_file,
        "save_scene_file": lambda x: dr.save_scene_file(x, SCENE),
        "load_mesh": load_mesh,
        "load_mesh(T_world_mesh)": lambda x: load_mesh(folder / "good.npz", x),
        "load_mesh(scale)": lambda x: load_mesh(folder / "good.npz", scale=x),
        "save_mesh": lambda x: save_mesh(x, mesh),
        "load_observed": load_observed,
        "load_observed(scale)": lambda x: load_observed(folder / "good.npy", x),
        "load_observed(output)": lambda x: load_observed(folder / "good.npy", output=x),
        "load_observed(missing)": lambda x: load_observed(folder / "good.npy", missing=x),
        "load_observed(zero_is_missing)": lambda x: load_observed(folder / "good.npy", zero_is_missing=x),
        "load_color": load_color,
        "save_depth": lambda x: save_depth(x, IMAGE),
        "save_color": lambda x: save_color(x, np.zeros((H, W, 3), np.uint8)),
        "save_scene_file(scene)": lambda x: dr.save_scene_file(folder / "a.toml", x),
        "save_mesh(mesh)": lambda x: save_mesh(folder / "a.npz", x),
        "save_depth(image)": lambda x: save_depth(folder / "a.png", x),
        "save_depth(scale)": lambda x: save_depth(folder / "a.png", IMAGE, x),
        "save_color(image)": lambda x: save_color(folder / "a.png", x),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", files(None))
def test_a_file_that_cannot_be_is_refused_in_one_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    call = files(tmp_path)[name]
    np.save(tmp_path / "good.npy", IMAGE)
    save_mesh(tmp_path / "good.npz", dr.Mesh(np.eye(3), [[0, 1, 2]]))
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "folder.npz").mkdir()
    values = wrong_values()
    for suffix in (".png", ".toml", ".npz", ".npy", ".obj"):
        values[f"missing{suffix}"] = f"missing{suffix}"
        values[f"in a missing folder{suffix}"] = tmp_path / "missing" / f"a{suffix}"
        values[f"in a file{suffix}"] = tmp_path / "empty.png" / f"a{suffix}"
        empty, random = tmp_path / f"empty{suffix}", tmp_path / f"random{suffix}"
        empty.write_bytes(b"")
        random.write_bytes(np.random.default_rng(0).bytes(300))
        values |= {f"empty{suffix}": empty, f"random{suffix}": random}
    values |= {f"folder{suffix}": tmp_path / f"folder{suffix}" for suffix in (".png", ".toml", ".npz")}
    found = {label: fault("", call, value) for label, value in values.items()}
    # What the system says of a file is a FileNotFoundError and its kin, as of `open`.
    found = {label: text for label, text in found.items() if text and not text.startswith(SYSTEM_ERRORS)}
    assert not found, "\n".join(f"{label}: {text}" for label, text in found.items())
