"""Reading observed images and writing pictures.

In an observed image NaN says "no measurement". Cameras, simulators and exporters say it by a number: 0, 65535, -1,
1e10. Those that cannot be measured (0 and below, of a depth) become NaN here, others are named by `missing`, and what
looks like one of them and is not named is warned of.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import fit_warnings
from ._arguments import any_array, finite_float, flag, path_argument, positive_float, real_array
from ._image_files import existing, load_array, open_picture, pillow
from ._outputs import METRIC_OUTPUTS, channel_outputs, output_names
from .errors import FitWarning, ImageFileError, InvalidValueError

_UINT16_MAX = 65535
_WHITES = (255, 65535)
_MOST_MISSING = 1000  # numbers
_MASK_SLACK = 0.01  # how far beyond 0 and 1 a mask may go, as 1/255 is written with few digits


def load_observed(
    path: str | os.PathLike[str],
    scale: float | None = None,
    *,
    output: str | Sequence[str] | None = None,
    missing: float | Iterable[float] = (),
    zero_is_missing: bool | None = None,
) -> npt.NDArray[np.float32]:
    """Return the image in `path` times `scale`, as (H, W) or (H, W, C) float32, NaN where nothing was measured.

    scale             scene units for each unit of the file: 0.001 for millimetres to metres. Needed where the
                      file holds integers; 1 by default where it holds floats. A mask needs none: with values up to 255
                      or 65535 it is divided by that. Beside depth or distance, other outputs are not scaled.
    output            what the image shows, as the renderer's `output`; None if that is not to be told.
    missing           numbers of the file that say "not measured", as 65535; compared before the scale.
    zero_is_missing   whether 0 becomes NaN; None: in depth and distance, and where `output` is not told in integers.
                      False for images with a background of 0.

    What is not finite becomes NaN in any case, and so does what is below zero in depth and distance (and in
    any image of one channel where `output` is not told), with a FitWarning; there is one, too, where more than a few
    per cent of the pixels are at one number far from all others. (H, W, 1) is (H, W). An .npz file holds one array, or
    one called "observed"; an .exr file one channel, or one called Z or depth.
    """
    image, notes = read_observed(path, scale, output, missing, zero_is_missing)
    for note in notes:
        warnings.warn(note, FitWarning, stacklevel=2)
    return image


def read_observed(
    path: str | os.PathLike[str],
    scale: float | None,
    output: str | Sequence[str] | None,
    missing: float | Iterable[float],
    zero_is_missing: bool | None,
) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Return what load_observed returns, and its warnings as text."""
    if zero_is_missing is not None:
        zero_is_missing = flag("zero_is_missing", zero_is_missing)
    path = existing(path)
    raw = load_array(path)
    if raw.dtype.kind not in "fiub":
        raise ImageFileError(f"{path}: must hold real numbers, got {raw.dtype}")
    if raw.ndim not in (2, 3) or 0 in raw.shape:
        raise ImageFileError(f"{path}: must have shape (H, W) or (H, W, C), got {raw.shape}")
    layers = raw if raw.ndim == 3 else raw[..., None]
    count = layers.shape[2]
    kinds = ("",) * count if output is None else channel_outputs(output_names(output))
    if len(kinds) != count:
        raise ImageFileError(f"{path}: has {count} channels, {', '.join(dict.fromkeys(kinds))} {len(kinds)}")
    if scale is not None:
        scale = positive_float("scale", scale, advice="0.001 turns millimetres into metres")
    names = missing_values(missing)
    image = np.empty(layers.shape, np.float32)
    notes: list[str] = []
    lengths_only = any(kind in METRIC_OUTPUTS for kind in kinds)
    for c, kind in enumerate(kinds):
        values = layers[..., c]
        gone = _missing(values, kind, names, zero_is_missing)
        if kind in METRIC_OUTPUTS or (not kind and count == 1):
            notes += [f"{path}: {note}" for note in _drop_negative(values, gone)]
            notes += [f"{path}: {note}" for note in fit_warnings.named_constants(values[~gone])]
        applies = scale if kind in METRIC_OUTPUTS or not lengths_only else None
        factor = _factor(path, values, gone, kind, applies)
        with np.errstate(over="ignore"):
            image[..., c] = np.where(gone, np.nan, np.multiply(values, factor, dtype=np.float64))
        if np.isinf(image[..., c]).any():
            raise ImageFileError(f"{path}: times {factor:g} its numbers are too large for float32; is the scale right?")
    if np.isnan(image).all():
        size = f"all {raw.shape[1]} x {raw.shape[0]}"
        raise ImageFileError(f"{path}: no pixel was measured, {size} are 0 or NaN{', or missing' if names else ''}")
    return (image[..., 0] if count == 1 else image), notes


def missing_values(missing: float | Iterable[float]) -> tuple[float, ...]:
    """Return the numbers that stand for "not measured" as floats: one number, or several."""
    single = isinstance(missing, (str, bytes)) or not isinstance(missing, Iterable) or getattr(missing, "ndim", 1) == 0
    values = tuple(islice([missing] if single else missing, _MOST_MISSING + 1))  # type: ignore[arg-type]
    if len(values) > _MOST_MISSING:
        raise InvalidValueError(f"missing: at most {_MOST_MISSING} numbers, got more")
    return tuple(finite_float("missing", value) for value in values)


def load_color(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Return the picture in `path` as (H, W, 3) uint8."""
    with open_picture(existing(path)) as picture:
        return np.asarray(picture.convert("RGB"))


def save_depth(path: str | os.PathLike[str], image: npt.ArrayLike, scale: float = 0.001) -> None:
    """Write an (H, W) image as 16-bit PNG in units of `scale`, NaN as 0; load_observed(path, scale) reads it.

    Raises InvalidValueError where a value does not fit into 16 bits; nothing is clipped.
    """
    scale = positive_float("scale", scale, advice="0.001 for millimetres")
    with np.errstate(over="ignore"):  # infinite is too large as well
        values = real_array("image", image) / scale
    if values.ndim != 2 or not values.size:
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
    pixels = any_array("image", image)
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise InvalidValueError(
            f"image: must be uint8 of shape (H, W, 3) or (H, W), got {pixels.dtype} of shape {pixels.shape}"
        )
    _save(path, pixels)


def _save(path: str | os.PathLike[str], pixels: npt.NDArray[Any]) -> None:
    path = path_argument(path)
    pillow(f"writing {path}").fromarray(pixels).save(path, format="PNG")


def _missing(
    values: npt.NDArray[Any], kind: str, names: Sequence[float], zero_is_missing: bool | None
) -> npt.NDArray[np.bool_]:
    gone: npt.NDArray[np.bool_] = ~np.isfinite(values)
    if zero_is_missing is None:
        zero_is_missing = kind in METRIC_OUTPUTS or (not kind and values.dtype.kind in "iu")
    for number in (*names, 0.0) if zero_is_missing else names:
        with np.errstate(over="ignore"):  # in the file's own precision: 0.1 in float32 is another number
            gone |= values == (values.dtype.type(number) if values.dtype.kind == "f" else number)
    return gone


def _drop_negative(values: npt.NDArray[Any], gone: npt.NDArray[np.bool_]) -> list[str]:
    """Add what is below zero to `gone`, and say so."""
    negative = ~gone & (values < 0)
    if not negative.any():
        return []
    gone |= negative
    numbers, counts = np.unique(values[negative], return_counts=True)
    often = f"{numbers[counts.argmax()]:g}"
    return [
        f"{negative.sum()} of {negative.size} pixels are below zero ({often}{', and others' * (len(numbers) > 1)}), "
        "which no depth is, and taken as not measured; say so without this warning by naming it as missing "
        f"(--missing {often}, missing={often})"
    ]


def _factor(path: Path, values: npt.NDArray[Any], gone: npt.NDArray[np.bool_], kind: str, scale: float | None) -> float:
    """Return what to multiply a channel with: `scale`, or what is right without."""
    if kind == "mask":
        return _mask_factor(path, values[~gone], scale)
    if scale is not None:
        return scale
    if values.dtype.kind in "iu":
        fits = (
            "0.001 if they are millimetres and the scene is in metres, 1 if they are in the scene's units"
            if kind in ("", *METRIC_OUTPUTS)
            else "1/255 if 0 to 255 stand for 0 to 1"
        )
        hint = '; of a mask say output="mask"' if not kind and values.max() in _WHITES else ""
        raise ImageFileError(f"{path}: holds integers ({values.dtype}), so a scale is needed: {fits}{hint}")
    return 1.0


def _mask_factor(path: Path, values: npt.NDArray[Any], scale: float | None) -> float:
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    factor = 1.0 if scale is None else scale
    if scale is None and high in _WHITES:
        factor = 1.0 / high
    if low * factor < -_MASK_SLACK or high * factor > 1.0 + _MASK_SLACK:
        scaled = "" if scale is None else f" times the scale of {scale:g}"
        raise ImageFileError(
            f"{path}: a mask has values from 0 to 1, got {low:g} to {high:g}{scaled}; without a scale 0 and 255 are "
            f"read as 0 and 1, else give 1/{high:g}; if these are labels, save one of them as a mask"
        )
    return factor
