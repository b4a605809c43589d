"""TOML for scene files: reading with errors that name the place, and writing.

Reading: a table knows its file and its header, refuses keys that it does not know, and puts file and header
in front of every error. Writing: the little that scene files need, so that NumPy stays the only dependency
at run time; floats read back bit for bit, and None is left out.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ._arguments import describe
from .errors import (
    InvalidTypeError,
    InvalidValueError,
    SceneFileError,
    listing,
    missing_dependency,
    suggestion,
)


def read_toml(path: Path) -> Table:
    """Return the root table of the file."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError:
            raise missing_dependency("tomli", f"reading {path} with Python 3.10") from None
    try:
        with path.open("rb") as file:
            return Table(path, "", tomllib.load(file))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SceneFileError(f"{path}: not valid TOML: {error}") from None


class Table:
    """One table: `content` as tomllib gives it, and checks that say where in which file they failed."""

    def __init__(self, path: Path, header: str, content: dict[str, Any]) -> None:
        self.path, self.header, self.content = path, header, content

    def error(self, message: str) -> SceneFileError:
        """Compose an error about this table."""
        place = f"[{self.header}]: " if self.header else ""
        return SceneFileError(f"{self.path}: {place}{message}")

    @contextmanager
    def context(self) -> Iterator[None]:
        """Within it, the constructors' errors come out as errors about this table."""
        try:
            yield
        except SceneFileError:
            raise
        except (InvalidValueError, InvalidTypeError, FileNotFoundError) as error:
            raise self.error(str(error)) from None

    def only(self, *valid: str) -> None:
        """Refuse keys that are not among `valid`."""
        for key in self.content:
            if key not in valid:
                kind = "key" if self.header else "table"
                raise self.error(f"unknown {kind} {key!r}.{suggestion(key, valid)} {listing(valid)}")

    def require(self, *keys: str) -> None:
        """Refuse a table that lacks any of `keys`."""
        missing = [key for key in keys if key not in self.content]
        if missing:
            raise self.error(f"missing {', '.join(missing)}; it needs {', '.join(keys)}")

    def table(self, key: str) -> Table:
        """Return the sub-table `key`, which must exist."""
        header = f"{self.header}.{key}" if self.header else key
        if key not in self.content:
            raise self.error(f"missing table [{header}]")
        return self.sub_table(header, self.content[key])

    def sub_table(self, header: str, content: Any) -> Table:
        """Return `content`, which stands somewhere inside this table and must be a table itself."""
        if not isinstance(content, dict):
            raise self.error(f"{header} must be a table, got {describe(content)}")
        return Table(self.path, header, content)

    def choice(self, key: str, valid: Iterable[str]) -> str:
        """Return the string at `key`, which must be one of `valid`."""
        self.require(key)
        valid = list(valid)
        value = self.content[key]
        if value not in valid:
            raise self.error(f"unknown {key} {value!r}.{suggestion(value, valid)} {listing(valid)}")
        return str(value)

    def string(self, key: str) -> str:
        """Return the string at `key`."""
        self.require(key)
        value = self.content[key]
        if not isinstance(value, str):
            raise self.error(f"{key}: must be a string, got {describe(value)}")
        return value


def format_table(header: str, table: Mapping[str, Any]) -> str:
    """Return `[header]` and one `key = value` line for each entry that is not None."""
    lines = [f"{format_key(key)} = {format_value(value)}" for key, value in table.items() if value is not None]
    return "\n".join([f"[{header}]", *lines]) + "\n"


def format_key(key: str) -> str:
    """Return `key`, quoted where TOML asks for it."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


def format_value(value: Any) -> str:
    """Return one value as TOML."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return _number(float(value))
    if isinstance(value, Mapping):
        entries = (f"{format_key(k)} = {format_value(v)}" for k, v in value.items() if v is not None)
        return "{ " + ", ".join(entries) + " }"
    if isinstance(value, (list, tuple)):
        nested = any(isinstance(entry, (list, tuple, Mapping)) for entry in value)
        if nested:
            return "[\n" + "".join(f"    {format_value(entry)},\n" for entry in value) + "]"
        return "[" + ", ".join(map(format_value, value)) + "]"
    raise TypeError(f"no TOML for a {type(value).__name__}")


def _string(text: str) -> str:
    # JSON's escapes are TOML's, but for U+007F, which JSON leaves as it is
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else ("nan" if math.isnan(value) else f"{value:+}")
