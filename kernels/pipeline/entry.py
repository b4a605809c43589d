"""A kernel of the library."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A kernel, the family it belongs to, and its place there: a family's kernels share their arguments."""

    kernel: object
    family: str
    index: tuple = ()
