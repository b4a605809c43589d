"""`diffrt-aot fit`: fit a scene file to an observed image; write the fitted scene, a report and pictures."""

from __future__ import annotations

import argparse
import dataclasses
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import diffrt_aot as dr
from diffrt_aot import fit_warnings, pictures
from diffrt_aot._arguments import path_argument
from diffrt_aot._outputs import METRIC_OUTPUTS
from diffrt_aot.camera import PinholeCamera
from diffrt_aot.errors import FitWarning, InvalidValueError, MissingDependencyError, SceneFileError, listing
from diffrt_aot.image_io import load_color, read_observed
from diffrt_aot.losses import Loss, parse_loss
from diffrt_aot.scene import Scene, check_free_names, valid_free_names
from diffrt_aot.scene_file import FitSettings, FitStage, SceneFile, load_scene_file, save_scene_file
from diffrt_aot.shapes import Mesh

from ._device import add_device, device_argument
from ._progress import Progress
from ._report import FitReport, StageReport

NAME = "fit"

Image = npt.NDArray[Any]


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        NAME,
        help="fit a scene file to an observed image",
        description="Fit what is free in a scene to an image. Options override the scene file's [fit].",
    )
    add = parser.add_argument
    add("scene", type=Path, metavar="SCENE.toml", help="the scene, and how to fit it")
    add(
        "--observed",
        type=Path,
        required=True,
        metavar="IMAGE",
        help=".png, .tiff, .pfm, .pgm, .npy, .npz or .exr; NaN, and 0 and less in a depth image, is a pixel without a "
        "measurement; a mask may have 0 and 255",
    )
    add(
        "--scale",
        type=_number_or_fraction,
        help="scene units for each unit of the image: 0.001 if it is in millimetres and the scene in metres; or 1/5000",
    )
    add(
        "--missing",
        type=float,
        action="append",
        metavar="VALUE",
        help="a number of the image, before the scale, that says that nothing was measured, as 65535 or -1; several by "
        "several --missing",
    )
    add("--output-dir", type=Path, default=Path("out"), metavar="DIR", help="where to write (default: out)")
    add(
        "--loss",
        action="append",
        metavar="LOSS",
        help="none, huber:DELTA, cauchy:C, geman-mcclure:C, tukey:C or barron:ALPHA,C; given several times, "
        "so many fits one after another",
    )
    add("--free", action="append", metavar="NAMES", help="what to fit, as ball.center,ball.radius")
    add(
        "--boundary",
        choices=("exact", "none"),
        help="whether silhouettes count (default: none for depth or distance without background, else exact)",
    )
    add("--max-steps", type=int, metavar="N", help="the budget of each fit")
    add(
        "--levels",
        type=int,
        default=1,
        metavar="N",
        help="begin at 1/2^(N - 1) of the image's size, for starts that are many pixels off; of several fits only the "
        "first (default: 1)",
    )
    add(
        "--color",
        type=Path,
        metavar="IMAGE",
        help="draw the outlines over this picture, seen by [color_camera]",
    )
    add_device(parser)
    add("--threads", type=int, metavar="N", help="threads to use (default: all)")
    add("--quiet", action="store_true", help="no progress")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Fit, and write what came out."""
    _check_output_dir(arguments.output_dir)
    file = load_scene_file(arguments.scene)
    settings = _settings(file, arguments)
    observed, doubts = _read_observed(arguments, file.scene.camera, settings)
    backdrop = _Backdrop.read(arguments.color, file, observed)
    renderer = dr.Renderer(
        file.scene,
        free=list(settings.free),
        output=settings.output if isinstance(settings.output, str) else list(settings.output),
        background=settings.background,
        boundary=settings.chosen_boundary,
        threads=arguments.threads,
        **device_argument(arguments),
    )
    progress = Progress(quiet=arguments.quiet)
    for note in file.notes:
        progress.note(f"note: {note}")
    for warning in renderer.warnings:
        progress.note(f"note: {warning}")
    doubts += _doubts_of_scale(renderer, observed, 1.0 if settings.depth_scale is None else settings.depth_scale)
    for doubt in doubts:
        progress.warn(doubt)
    stages = _fit_stages(renderer, observed, settings.all_stages(), arguments.levels, progress, doubts)
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    result = stages[-1].result
    interrupted = result.status.name.lower() == "interrupted"
    if interrupted:
        progress.note("interrupted: writing the best so far")

    before, after = renderer.render(renderer.theta0), renderer.render(result.theta)
    report = FitReport(
        scene_path=arguments.scene,
        observed_path=arguments.observed,
        start=file.scene,
        free=settings.free,
        theta0=np.asarray(renderer.theta0),
        stages=stages,
        observed=observed,
        before=before,
        after=after,
        warnings=doubts,
    )
    print(report.text())
    written = _write_scene(arguments, file, settings, result.scene)
    written += report.write(arguments.output_dir)
    written += _draw(arguments.output_dir, observed, before, after, file.scene, result.scene, settings, backdrop)
    print("\nwrote " + "\n      ".join(map(str, written)))
    if interrupted:
        return 130
    no_answer = result.status.name.lower() in ("no_residuals", "not_finite", "not_seen")
    return 1 if no_answer or any(fit_warnings.is_about_units(doubt) for doubt in doubts) else 0


def _check_output_dir(folder: Path) -> None:
    """Say before the fit that its results could not be written; the folder is made after it."""
    path_argument(folder)
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InvalidValueError(f"--output-dir: {there} is no folder that can be written to; choose another")


def _settings(file: SceneFile, arguments: argparse.Namespace) -> FitSettings:
    """Return the file's [fit] with the options over it."""
    settings = file.fit
    if arguments.free:
        names = [name.strip() for entry in arguments.free for name in entry.split(",") if name.strip()]
        settings = dataclasses.replace(settings, free=check_free_names(file.scene, names))
    if not settings.free:
        raise InvalidValueError(
            f"nothing is free: name what to fit in {file.path} ([fit] free = [...]) or with --free. "
            + listing(valid_free_names(file.scene))
        )
    if arguments.boundary is not None:
        settings = dataclasses.replace(settings, boundary=arguments.boundary)
    budget = arguments.max_steps
    if budget is not None:
        if budget < 1:
            raise InvalidValueError(f"--max-steps: must be at least 1, got {budget}")
        stages = tuple(dataclasses.replace(stage, max_steps=budget) for stage in settings.stages)
        settings = dataclasses.replace(settings, max_steps=budget, stages=stages)
    if arguments.scale is not None:
        settings = dataclasses.replace(settings, depth_scale=arguments.scale)
    if arguments.missing is not None:
        settings = dataclasses.replace(settings, missing=tuple(arguments.missing))
    if arguments.loss:
        losses = [parse_loss(text) for text in arguments.loss]
        stages = tuple(FitStage(loss, settings.max_steps) for loss in losses) if len(losses) > 1 else ()
        settings = dataclasses.replace(settings, loss=losses[-1], stages=stages)
    return settings


def _number_or_fraction(text: str) -> float:
    """Read 0.0002, or 1/5000."""
    above, slash, below = text.partition("/")
    try:
        return float(above) / float(below) if slash else float(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"must be a number, or a fraction as 1/5000, got {text!r}") from None


def _read_observed(
    arguments: argparse.Namespace, camera: PinholeCamera, settings: FitSettings
) -> tuple[Image, list[str]]:
    """Return the image, and what makes it doubtful."""
    observed, doubts = read_observed(
        arguments.observed,
        settings.depth_scale,
        settings.outputs,
        settings.missing,
        zero_is_missing=None if settings.background is None else False,
    )
    if observed.shape[:2] != camera.image_shape:
        raise InvalidValueError(
            f"{arguments.observed}: is {observed.shape[1]} x {observed.shape[0]} pixels, the camera of "
            f"{arguments.scene} {camera.width} x {camera.height}; they must agree"
        )
    return observed, doubts


def _doubts_of_scale(renderer: Any, observed: Image, scale: float) -> list[str]:
    lengths = fit_warnings.Observed(renderer, observed, None).lengths
    doubts = fit_warnings.of_units(fit_warnings.reach_of(renderer.scene), lengths)
    likely = fit_warnings.likely_scale(renderer.scene, lengths, scale) if doubts else None
    return [f"{doubt} Did you mean --scale {likely}?" if likely else doubt for doubt in doubts]


def _fit_stages(
    renderer: Any, observed: Image, plan: Iterable[FitStage], levels: int, progress: Progress, doubts: list[str]
) -> list[StageReport]:
    """Fit, and add what makes the last stage doubtful to `doubts`."""
    reports: list[StageReport] = []
    plan = tuple(plan)
    theta = None
    for number, stage in enumerate(plan, start=1):
        progress.stage(f"fit {number} of {len(plan)}, {_loss_text(stage.loss)}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # they are in the result
            result = dr.fit(
                renderer,
                observed,
                theta,
                loss=stage.loss,
                max_steps=stage.max_steps,
                callback=progress,
                levels=levels if number == 1 else 1,
            )
        reports.append(StageReport(stage, result))
        theta = result.theta
        for doubt in fit_warnings.unsaid(result.warnings, doubts):
            progress.warn(doubt)
            doubts.append(doubt)
        if result.status.name.lower() == "interrupted":
            break
    return reports


def _loss_text(loss: Loss | None) -> str:
    return "plain squares" if loss is None else repr(loss)


def _write_scene(arguments: argparse.Namespace, file: SceneFile, settings: FitSettings, fitted: Scene) -> list[Path]:
    kept = {
        name: path
        for name, path in file.mesh_files.items()
        if _same_surface(file.scene.shapes[name], fitted.shapes[name])
    }
    return save_scene_file(
        arguments.output_dir / "fitted.toml",
        fitted,
        fit=settings,
        color_camera=file.color_camera,
        mesh_files=kept,
        comment=f"{arguments.scene.name} fitted to {arguments.observed.name} by diffrt-aot fit",
    )


def _same_surface(a: object, b: object) -> bool:
    return isinstance(a, Mesh) and isinstance(b, Mesh) and a == b.replace(T_world_mesh=a.T_world_mesh)


@dataclass(frozen=True)
class _Backdrop:
    """What outlines are drawn over: a picture, and the camera that took it."""

    picture: Image
    camera: PinholeCamera

    @classmethod
    def read(cls, color: Path | None, file: SceneFile, observed: Image) -> _Backdrop:
        """Return the colour picture with its camera; without one, the observed image with its own."""
        camera = file.scene.camera
        if color is None:
            return cls(_first_channel(observed), camera)
        picture = load_color(color)
        if file.color_camera is not None:
            camera = file.color_camera
        if picture.shape[:2] != camera.image_shape:
            size = f"{picture.shape[1]} x {picture.shape[0]}"
            if file.color_camera is None:
                raise SceneFileError(
                    f"{color}: is {size} pixels, the camera {camera.width} x {camera.height}; if another "
                    f"camera took it, describe that as [color_camera] in {file.path}"
                )
            raise SceneFileError(
                f"{color}: is {size} pixels, [color_camera] of {file.path} {camera.width} x {camera.height}"
            )
        return cls(picture, camera)


def _draw(
    folder: Path,
    observed: Image,
    before: Image,
    after: Image,
    start: Scene,
    fitted: Scene,
    settings: FitSettings,
    backdrop: _Backdrop,
) -> list[Path]:
    output = settings.outputs[0]
    quantity = f"{output} [scene units]" if output in METRIC_OUTPUTS else output
    image, first, last = (_first_channel(values) for values in (observed, before, after))
    try:
        figures = {
            "images.png": pictures.compare_images(image, first, last, quantity=quantity),
            "residuals.png": pictures.compare_residuals(first - image, last - image, quantity=quantity),
            "outline.png": pictures.overlay_outline(
                backdrop.picture,
                {
                    "start": _mask(start, settings.free, backdrop.camera),
                    "fitted": _mask(fitted, settings.free, backdrop.camera),
                },
            ),
        }
    except MissingDependencyError as error:
        print(f"\nno pictures: {error}")
        return []
    for name, figure in figures.items():
        pictures.save_figure(figure, folder / name)
    return [folder / name for name in figures]


def _mask(scene: Scene, free: tuple[str, ...], camera: PinholeCamera) -> Image:
    """Return where `camera` would see the shapes that were fitted (all of them if only the camera was)."""
    owners = {name.partition(".")[0] for name in free}
    shapes = {name: shape for name, shape in scene.shapes.items() if name in owners}
    seen = Scene(camera, shapes or dict(scene.shapes))
    mask: Image = dr.Renderer(seen, output="mask").render()
    return mask


def _first_channel(image: Image) -> Image:
    return image if image.ndim == 2 else image[..., 0]
