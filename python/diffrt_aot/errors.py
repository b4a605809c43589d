"""Exceptions: each names the argument, what it got, and the likely fix.

All derive from DiffrtError, and also from the built-in exception that a caller would expect, so that
`except ValueError` and `except diffrt_aot.DiffrtError` both work.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np


class DiffrtError(Exception):
    """Base class of every exception that diffrt_aot raises on purpose."""


class InvalidValueError(DiffrtError, ValueError):
    """An argument has the right type and a value that cannot be used."""


class InvalidTypeError(DiffrtError, TypeError):
    """An argument has a type that cannot be used."""


class UnknownNameError(InvalidValueError):
    """A name (of a parameter, a shape, a key) that does not exist; the message lists those that do."""


class SceneFileError(InvalidValueError):
    """A scene file that cannot be used; the message names the file and the key."""


class ModelError(InvalidValueError):
    """A model that cannot be compiled; the message names the line of its author, and says what to write instead."""


class ImageFileError(InvalidValueError):
    """An image file that cannot be used; the message names the file."""


class ModelFileError(InvalidValueError):
    """A file of compiled models that cannot be used; the message names the file, and says how to go on."""


class FitWarning(UserWarning):
    """An observation or a fit whose answer may be wrong, and why; `FitResult.warnings` has those of a fit."""


class OutOfMemoryError(DiffrtError, MemoryError):
    """What was asked for takes more memory than there is; the message says how much, and what for."""


class MissingDependencyError(DiffrtError, ImportError):
    """An optional package that this call needs is not installed; the message says how to install it."""


def describe(value: Any) -> str:
    """Describe a wrong argument in a few words on one line, without dumping arrays."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    try:
        text = repr(value)
    except Exception:  # a broken __repr__, or an int of more digits than Python prints
        text = ""
    return text if text and len(text) <= 60 and text.isprintable() else f"a {type(value).__name__}"


def unknown_name(what: str, name: object, valid: Iterable[str], *, where: str = "") -> UnknownNameError:
    """Compose the error for an unknown `name`: the nearest valid one first, then all of them."""
    valid = list(valid)
    return UnknownNameError(f"{where}unknown {what} {describe(name)}.{suggestion(name, valid)} {listing(valid)}")


def suggestion(name: object, valid: Iterable[str]) -> str:
    """Return " Perhaps you meant 'x'.", or "" where no valid name is near."""
    folded = {candidate.lower(): candidate for candidate in valid}
    near = difflib.get_close_matches(str(name)[:100].lower(), folded, n=1, cutoff=0.6)
    return f" Perhaps you meant {folded[near[0]]!r}." if near else ""


def listing(valid: Iterable[str]) -> str:
    """Return "Valid: a, b, c." for the end of a message."""
    names = list(valid)
    return f"Valid: {', '.join(names)}." if names else "There is none to choose from."


def missing_dependency(package: str, purpose: str) -> MissingDependencyError:
    """Compose the error for an optional package that is not installed."""
    extra = next(extra for extra, packages in _EXTRAS.items() if package in packages)
    return MissingDependencyError(
        f'{purpose} needs {package}, which is not installed: pip install "diffrt_aot[{extra}]"', name=package
    )


# The optional dependencies of pyproject.toml.
_EXTRAS = {
    "io": ("pillow", "trimesh", "tomli"),
    "exr": ("OpenEXR",),
    "plots": ("matplotlib",),
    "cli": ("rich",),
    "sparse": ("scipy",),
    "compile": ("llvmlite",),
}


class DeviceError(DiffrtError, RuntimeError):
    """A device, or an instruction set, that was asked for and is not there, or a device that failed.

    The message says what was looked for and what to do. The library goes on working on the CPU.
    """


class DeviceMemoryError(DeviceError, MemoryError):
    """The device has not enough memory left for this; what was there before stays usable."""


class DeviceLostError(DeviceError):
    """The device stopped, and what was made on it is of no more use; the message says how to go on."""
