"""Scene files: a scene, and how to fit it, as TOML.

    [camera]
    width = 848
    height = 480
    fx = 425.773
    fy = 425.773
    cx = 427.202
    cy = 237.662
    T_world_camera = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]   # optional

    [shapes.bottle]                 # a table for each shape; its name is the one that free parameters have
    type = "mesh"                   # file, scale (optional), T_world_mesh (optional)
    file = "schauma.obj"            # relative to this file; .npz, .obj, .ply, .stl, .off, or what trimesh reads
    scale = 0.001                   # of the file's coordinates: here millimetres; or three numbers, for x, y, z
    T_world_mesh = { rotation_xyzw = [0, 0, 0, 1], translation = [0, 0, 0.5] }    # or rotation_wxyz, or a matrix

    [shapes.ball]
    type = "sphere"                 # center, radius
    center = [0, 0, 1]
    radius = 0.1

    [shapes.table]
    type = "plane"                  # point, normal
    point = [0, 0, 1]
    normal = [0, 1, 0]

    [color_camera]                  # optional, as [camera]: of the picture that overlays are drawn on

    [fit]                           # optional, and so is each key
    free = ["bottle.pose"]
    output = "depth"                # or a list of outputs
    background = 0.0                # left out: pixels without a surface carry no residual
    boundary = "exact"              # or "none"; left out: as `Renderer` does, "none" for depth without background
    loss = { type = "tukey", c = 0.01 }     # or none, huber (delta), cauchy, geman-mcclure, barron (alpha, c)
    max_steps = 50
    depth_scale = 0.001             # scene units for each unit of an integer image
    missing = [65535, -1]           # numbers of the image, before the scale, that say "not measured"
    stages = [                      # one after another, coarse to fine; what a stage leaves out is as above
        { loss = { type = "tukey", c = 0.05 }, max_steps = 20 },
        { loss = { type = "tukey", c = 0.01 } },
    ]

A transform is 4x4 or 3x4 numbers, or a table of a quaternion and a translation. Text rounds numbers, so one whose
rotation is off by less than 0.01 is replaced by the nearest rigid one; `SceneFile.notes` says so beyond 1e-6.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ._arguments import FloatArray, bounded_integer, describe, finite_float, path_argument, positive_float
from ._outputs import suitable_boundary
from ._toml import Table, format_key, format_table, read_toml
from .camera import PinholeCamera
from .losses import LOSSES, Loss, loss_name
from .mesh_file import load_mesh, save_mesh
from .rigid import REPAIR_LIMIT, as_homogeneous, nearest_rigid, rigid, rotation_deviation
from .scene import Scene, check_free_names, check_scene
from .shapes import Mesh, Plane, Shape, Sphere

_BOUNDARIES = ("exact", "none")
# A rotation that is off by more than six digits' rounding is worth a note.
_NOTED_DEVIATION = 1e-6


@dataclass(frozen=True)
class FitStage:
    """One run of the solver: its loss (None is the plain square) and its budget of steps."""

    loss: Loss | None = None
    max_steps: int = 50


@dataclass(frozen=True)
class FitSettings:
    """The [fit] table: what is free, which output is compared, how, and the stages to run."""

    free: tuple[str, ...] = ()
    output: str | tuple[str, ...] = "depth"
    background: float | tuple[float, ...] | None = None
    boundary: Literal["exact", "none"] | None = None
    loss: Loss | None = None
    max_steps: int = 50
    depth_scale: float | None = None
    missing: tuple[float, ...] = ()
    stages: tuple[FitStage, ...] = ()

    def all_stages(self) -> tuple[FitStage, ...]:
        """Return the stages to run: those listed, or the one that `loss` and `max_steps` describe."""
        return self.stages or (FitStage(self.loss, self.max_steps),)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs as a tuple, also if there is one."""
        return (self.output,) if isinstance(self.output, str) else self.output

    @property
    def chosen_boundary(self) -> Literal["exact", "none"]:
        """The boundary that is asked for, or the one that suits the image: depth cameras do not average an edge."""
        return self.boundary or suitable_boundary(self.outputs, self.background is not None)


@dataclass(frozen=True)
class MeshFile:
    """A mesh's file, and what its coordinates are multiplied by: as `scale` of load_mesh."""

    path: Path
    scale: float | tuple[float, ...] | None = None


@dataclass(frozen=True)
class SceneFile:
    """What a scene file holds.

    scene          the scene
    fit            its [fit] table, or the defaults
    color_camera   its [color_camera] table, or None
    mesh_files     name of a mesh -> the file that it came from, and its scale
    notes          what was repaired while reading, a sentence each
    path           the file itself, or None
    """

    scene: Scene
    fit: FitSettings = FitSettings()
    color_camera: PinholeCamera | None = None
    mesh_files: Mapping[str, MeshFile] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    path: Path | None = None


def load_scene_file(path: str | os.PathLike[str]) -> SceneFile:
    """Read a scene file; unknown keys are errors that name the file, the table and the nearest valid key."""
    path = path_argument(path)
    if not path.is_file():
        raise FileNotFoundError(f"scene file {path} does not exist (working directory: {Path.cwd()})")
    root = read_toml(path)
    root.only("camera", "shapes", "color_camera", "fit")
    notes: list[str] = []
    camera = _read_camera(root.table("camera"), notes)
    tables = {name: root.table("shapes").table(name) for name in root.table("shapes").content}
    shapes = {name: _read_shape(table, notes) for name, table in tables.items()}
    with root.context():
        scene = Scene(camera, shapes)
    color_camera = _read_camera(root.table("color_camera"), notes) if "color_camera" in root.content else None
    fit = _read_fit(root.table("fit"), scene) if "fit" in root.content else FitSettings()
    mesh_files = {name: _mesh_file(tables[name]) for name, shape in shapes.items() if isinstance(shape, Mesh)}
    return SceneFile(scene, fit, color_camera, mesh_files, tuple(notes), path)


def save_scene_file(
    path: str | os.PathLike[str],
    scene: Scene,
    *,
    fit: FitSettings | None = None,
    color_camera: PinholeCamera | None = None,
    mesh_files: Mapping[str, MeshFile | str | os.PathLike[str]] | None = None,
    comment: str = "",
) -> list[Path]:
    """Write a scene file that `load_scene_file` reads back equal, and return the files written.

    A mesh named in `mesh_files` is written as a reference to that file, which must hold its vertices
    (times the MeshFile's scale) and faces; any other is stored beside the scene file, as <stem>_<name>.npz.
    """
    path = path_argument(path)
    check_scene(scene)
    written = [path]
    blocks = ["".join(f"# {line}\n" for line in comment.splitlines())] if comment else []
    blocks.append(format_table("camera", _camera_table(scene.camera)))
    for name, shape in scene.shapes.items():
        table = _shape_table(shape)
        if isinstance(shape, Mesh):
            if mesh_files and name in mesh_files:
                file = mesh_files[name]
                file = file if isinstance(file, MeshFile) else MeshFile(Path(file))
                table |= {"file": _relative(file.path, path.parent), "scale": file.scale}
            else:
                mesh_path = path.with_name(f"{path.stem}_{name}.npz")
                save_mesh(mesh_path, shape)
                written.append(mesh_path)
                table["file"] = mesh_path.name
        blocks.append(format_table(f"shapes.{format_key(name)}", table))
    if color_camera is not None:
        blocks.append(format_table("color_camera", _camera_table(color_camera)))
    if fit is not None:
        blocks.append(format_table("fit", _fit_table(fit)))
    path.write_text("\n".join(blocks), encoding="utf-8")
    return written


# Reading


def _read_camera(table: Table, notes: list[str]) -> PinholeCamera:
    required = ("width", "height", "fx", "fy", "cx", "cy")
    table.only(*required, "T_world_camera")
    table.require(*required)
    with table.context():
        pose = _read_transform(table, "T_world_camera", notes)
        return PinholeCamera(**{key: table.content[key] for key in required}, T_world_camera=pose)


def _read_shape(table: Table, notes: list[str]) -> Shape:
    read = _SHAPE_READERS[table.choice("type", _SHAPE_READERS)]
    with table.context():
        return read(table, notes)


def _read_sphere(table: Table, notes: list[str]) -> Shape:
    table.only("type", "center", "radius")
    table.require("center", "radius")
    return Sphere(table.content["center"], table.content["radius"])


def _read_plane(table: Table, notes: list[str]) -> Shape:
    table.only("type", "point", "normal")
    table.require("point", "normal")
    return Plane(table.content["point"], table.content["normal"])


def _read_mesh(table: Table, notes: list[str]) -> Shape:
    table.only("type", "file", "scale", "T_world_mesh")
    file = _mesh_file(table)
    return load_mesh(file.path, _read_transform(table, "T_world_mesh", notes), scale=file.scale)


_SHAPE_READERS: dict[str, Callable[[Table, list[str]], Shape]] = {
    "sphere": _read_sphere,
    "plane": _read_plane,
    "mesh": _read_mesh,
}


def _mesh_file(table: Table) -> MeshFile:
    scale = table.content.get("scale")
    return MeshFile(
        table.path.parent / Path(table.string("file")).expanduser(), tuple(scale) if isinstance(scale, list) else scale
    )


def _read_transform(table: Table, key: str, notes: list[str]) -> FloatArray | None:
    if key not in table.content:
        return None
    if isinstance(table.content[key], dict):
        parts = table.sub_table(f"{table.header}.{key}", table.content[key])
        parts.only("rotation_xyzw", "rotation_wxyz", "translation")
        with parts.context():
            return rigid(**parts.content)
    transform = as_homogeneous(key, table.content[key])
    deviation = rotation_deviation(transform)
    if not _NOTED_DEVIATION < deviation <= REPAIR_LIMIT:
        return transform  # as good as exact, or so wrong that the constructor shall say what is the matter
    repaired = nearest_rigid(transform)
    notes.append(f"[{table.header}] {key}: off a rotation by {deviation:.2g}, as if rounded; took the nearest")
    return repaired


def _read_fit(table: Table, scene: Scene) -> FitSettings:
    table.only(*(entry.name for entry in fields(FitSettings)))
    content = table.content
    defaults = FitSettings()
    with table.context():
        free = check_free_names(scene, content.get("free", ()))
        output = _read_output(table)
        background = _read_background(content.get("background"))
        boundary = _read_boundary(table)
        loss = _read_loss(table) if "loss" in content else defaults.loss
        max_steps = _read_max_steps(content.get("max_steps", defaults.max_steps))
        missing = _read_missing(content.get("missing", ()))
        depth_scale = content.get("depth_scale")
        if depth_scale is not None:
            depth_scale = positive_float("depth_scale", depth_scale, advice="write 0.001 for millimetres to metres")
    stages = []
    entries = content.get("stages", [])
    if not isinstance(entries, list):
        raise table.error(f"stages: must be a list of tables, got {describe(entries)}")
    for number, entry in enumerate(entries):
        stage = table.sub_table(f"{table.header}.stages[{number}]", entry)
        stage.only("loss", "max_steps")
        with stage.context():
            stage_loss = _read_loss(stage) if "loss" in stage.content else loss
            stages.append(FitStage(stage_loss, _read_max_steps(stage.content.get("max_steps", max_steps))))
    return FitSettings(free, output, background, boundary, loss, max_steps, depth_scale, missing, tuple(stages))


def _read_max_steps(value: Any) -> int:
    return bounded_integer("max_steps", value, 1, 1_000_000)


def _read_missing(value: Any) -> tuple[float, ...]:
    return tuple(finite_float("missing", entry) for entry in (value if isinstance(value, (list, tuple)) else [value]))


def _read_output(table: Table) -> str | tuple[str, ...]:
    value = table.content.get("output", FitSettings.output)
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise table.error(f"output: must be a name or a list of names, got {describe(value)}")


def _read_background(value: Any) -> float | tuple[float, ...] | None:
    if value is None:
        return None
    if isinstance(value, list):
        return tuple(finite_float(f"background[{i}]", entry) for i, entry in enumerate(value))
    return finite_float("background", value)


def _read_boundary(table: Table) -> Literal["exact", "none"] | None:
    if "boundary" not in table.content:
        return None
    return "exact" if table.choice("boundary", _BOUNDARIES) == "exact" else "none"


def _read_loss(parent: Table) -> Loss | None:
    table = parent.sub_table(f"{parent.header}.loss", parent.content["loss"])
    kind_name = table.choice("type", ["none", *LOSSES])
    if kind_name == "none":
        table.only("type")
        return None
    kind: Any = LOSSES[kind_name]
    names = [entry.name for entry in fields(kind)]
    table.only("type", *names)
    table.require(*names)
    with table.context():
        loss: Loss = kind(**{name: table.content[name] for name in names})
    return loss


# Writing


def _camera_table(camera: PinholeCamera) -> dict[str, Any]:
    table = {name: getattr(camera, name) for name in ("width", "height", "fx", "fy", "cx", "cy")}
    return {**table, "T_world_camera": _unless_identity(camera.T_world_camera)}


def _shape_table(shape: Shape) -> dict[str, Any]:
    if isinstance(shape, Sphere):
        return {"type": "sphere", "center": shape.center, "radius": shape.radius}
    if isinstance(shape, Plane):
        return {"type": "plane", "point": shape.point, "normal": shape.normal}
    return {"type": "mesh", "file": None, "scale": None, "T_world_mesh": _unless_identity(shape.T_world_mesh)}


def _fit_table(fit: FitSettings) -> dict[str, Any]:
    return {
        "free": fit.free,
        "output": fit.output,
        "background": fit.background,
        "boundary": fit.boundary,
        "loss": None if fit.loss is None else _loss_table(fit.loss),
        "max_steps": fit.max_steps,
        "depth_scale": fit.depth_scale,
        "missing": fit.missing or None,
        "stages": [{"loss": _loss_table(s.loss), "max_steps": s.max_steps} for s in fit.stages] or None,
    }


def _loss_table(loss: Loss | None) -> dict[str, Any]:
    if loss is None:
        return {"type": "none"}
    return {"type": loss_name(loss), **{entry.name: getattr(loss, entry.name) for entry in fields(loss)}}


def _unless_identity(transform: FloatArray) -> FloatArray | None:
    return None if np.array_equal(transform, np.eye(4)) else transform


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
