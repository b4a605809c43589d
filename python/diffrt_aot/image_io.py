"""Reading observed images and writing pictures: PNG through Pillow, .npy and .npz by NumPy alone.

In an observed image NaN says "no measurement". Depth cameras write 0 for it, in integers; so 0 becomes NaN in
integer images, unless told otherwise.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arguments import positive_float
from .errors import ImageFileError, InvalidValueError, missing_dependency

_UINT16_MAX = 65535


def load_observed(
    path: str | os.PathLike[str], scale: float | None = None, *, zero_is_missing: bool | None = None
) -> npt.NDArray[np.float32]:
    """Return the image in `path` times `scale`, as (H, W) or (H, W, C) float32.

    scale             scene units for each unit of the file: 0.001 for millimetres to metres. Needed where the
                      file holds integers; 1 by default where it holds floats.
    zero_is_missing   whether 0 becomes NaN; None: in integer images only. Values that are not finite
                      become NaN in any case.

    An .npz file holds one array, or one called "observed".
    """
    path = _existing(path)
    raw = _load_array(path)
    if raw.dtype.kind not in "fiub":
        raise ImageFileError(f"{path}: must hold real numbers, got {raw.dtype}")
    if raw.ndim not in (2, 3) or 0 in raw.shape:
        raise ImageFileError(f"{path}: must have shape (H, W) or (H, W, C), got {raw.shape}")
    is_integer = raw.dtype.kind in "iu"
    if scale is None:
        if is_integer:
            raise ImageFileError(
                f"{path}: holds integers ({raw.dtype}), so a scale is needed: 0.001 if they are millimetres "
                "and the scene is in metres, 1 if they are in the scene's units"
            )
        scale = 1.0
    scale = positive_float("scale", scale, advice="0.001 turns millimetres into metres")
    missing = ~np.isfinite(raw)
    if is_integer if zero_is_missing is None else zero_is_missing:
        missing |= raw == 0
    if missing.all():
        raise ImageFileError(f"{path}: no pixel was measured, all {raw.shape[1]} x {raw.shape[0]} are 0 or NaN")
    image: npt.NDArray[np.float32] = np.multiply(raw, scale, dtype=np.float64).astype(np.float32)
    image[missing] = np.nan
    return image


def load_color(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Return the picture in `path` as (H, W, 3) uint8."""
    path = _existing(path)
    with _open_picture(path) as picture:
        return np.asarray(picture.convert("RGB"))


def save_depth(path: str | os.PathLike[str], image: npt.ArrayLike, scale: float = 0.001) -> None:
    """Write an (H, W) image as 16-bit PNG in units of `scale`, NaN as 0; load_observed(path, scale) reads it.

    Raises InvalidValueError where a value does not fit into 16 bits; nothing is clipped.
    """
    values = np.asarray(image, dtype=np.float64) / positive_float("scale", scale, advice="0.001 for millimetres")
    if values.ndim != 2:
        raise InvalidValueError(f"image: must have shape (H, W), got {values.shape}")
    units = np.rint(np.where(np.isnan(values), 0.0, values))
    if units.min() < 0 or units.max() > _UINT16_MAX:
        found = f"{units.min() * scale:g} to {units.max() * scale:g}"
        raise InvalidValueError(
            f"image: values must be between 0 and {_UINT16_MAX * scale:g} at scale {scale:g}, got {found}; "
            "use a larger scale, or save as .npy"
        )
    _save(path, units.astype(np.uint16))


def save_color(path: str | os.PathLike[str], image: npt.ArrayLike) -> None:
    """Write an (H, W, 3) or (H, W) uint8 picture as PNG."""
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise InvalidValueError(
            f"image: must be uint8 of shape (H, W, 3) or (H, W), got {pixels.dtype} of shape {pixels.shape}"
        )
    _save(path, pixels)


def _save(path: str | os.PathLike[str], pixels: npt.NDArray[Any]) -> None:
    _pillow(f"writing {path}").fromarray(pixels).save(path, format="PNG")


def _existing(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"image {path} does not exist (working directory: {Path.cwd()})")
    return path


def _load_array(path: Path) -> npt.NDArray[Any]:
    suffix = path.suffix.lower()
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


def _load_picture(path: Path) -> npt.NDArray[Any]:
    with _open_picture(path) as picture:
        if len(picture.getbands()) > 1 or picture.mode == "P":
            kind = "a palette" if picture.mode == "P" else f"{len(picture.getbands())} channels ({picture.mode})"
            raise ImageFileError(
                f"{path}: an observed image has one channel, this one has {kind}; is it a color picture or a "
                "visualisation of the depth?"
            )
        return np.asarray(picture)


def _open_picture(path: Path) -> Any:
    image_module = _pillow(f"reading {path}")
    try:
        picture = image_module.open(path)
        picture.load()
    except Exception as error:  # Pillow's readers raise what they like on broken files
        raise ImageFileError(f"{path}: cannot be read as an image ({error}); PNG, .npy and .npz are known") from None
    return picture


def _pillow(purpose: str) -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise missing_dependency("pillow", purpose) from None
    return Image
