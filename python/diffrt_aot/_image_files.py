"""Arrays from image files: .npy and .npz by NumPy alone, .exr through OpenEXR, everything else through Pillow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arguments import path_argument
from .errors import ImageFileError, missing_dependency

_KNOWN = "known are PNG, TIFF, PFM, PGM and what else Pillow reads, .npy, .npz and .exr"


def existing(path: str | os.PathLike[str]) -> Path:
    """Return `path`, which must be a file."""
    path = path_argument(path)
    if not path.is_file():
        raise FileNotFoundError(f"image {path} does not exist (working directory: {Path.cwd()})")
    return path


def load_array(path: Path) -> npt.NDArray[Any]:
    """Return the numbers in `path` as they are stored; an .npz holds one array, or one called "observed"."""
    suffix = path.suffix.lower()
    if suffix == ".exr":
        return _load_exr(path)
    if suffix not in (".npy", ".npz"):
        return _load_picture(path)
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded as arrays:
            names = list(arrays)
            if len(names) != 1 and "observed" not in names:
                held = ", ".join(names) or "nothing"
                raise ImageFileError(f"{path}: holds {held}; name the image 'observed', or store it alone")
            image: npt.NDArray[Any] = arrays[names[0] if len(names) == 1 else "observed"]
            return image
    except ImageFileError:
        raise
    except Exception as error:  # zipfile, NumPy and pickle each have their own
        raise ImageFileError(f"{path}: cannot be read as {suffix} ({error})") from None


def open_picture(path: Path) -> Any:
    """Return the picture in `path` as Pillow has it."""
    image_module = pillow(f"reading {path}")
    try:
        picture = image_module.open(path)
        picture.load()
    except Exception as error:  # Pillow's readers raise what they like on broken files
        raise ImageFileError(f"{path}: cannot be read as an image ({error}); {_KNOWN}") from None
    return picture


def pillow(purpose: str) -> Any:
    """Return Pillow's module of images."""
    try:
        from PIL import Image
    except ImportError:
        raise missing_dependency("pillow", purpose) from None
    return Image


def _load_picture(path: Path) -> npt.NDArray[Any]:
    with open_picture(path) as picture:
        if len(picture.getbands()) > 1 or picture.mode == "P":
            kind = "a palette" if picture.mode == "P" else f"{len(picture.getbands())} channels ({picture.mode})"
            raise ImageFileError(
                f"{path}: an observed image has one channel, this one has {kind}; is it a color picture or a "
                "visualisation of the depth?"
            )
        return np.asarray(picture)


def _load_exr(path: Path) -> npt.NDArray[Any]:
    try:
        import OpenEXR
    except ImportError:
        raise missing_dependency("OpenEXR", f"reading {path}") from None
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: channel.pixels for part in file.parts for name, channel in part.channels.items()}
    except Exception as error:  # the library raises RuntimeError and others
        raise ImageFileError(f"{path}: cannot be read as .exr ({error})") from None
    depths = [name for name in channels if "depth" in name.lower() or name.rpartition(".")[2] == "Z"]
    chosen = list(channels) if len(channels) == 1 else depths
    if len(chosen) != 1:
        raise ImageFileError(
            f"{path}: an observed image has one channel, or one called Z or depth; this one has "
            f"{', '.join(channels) or 'none'}; save the depth alone"
        )
    return np.array(channels[chosen[0]])
