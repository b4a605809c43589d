"""Numbers in text files: many at once, and where the first wrong one stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from diffrt_aot._arguments import FloatArray, IntArray
from diffrt_aot.errors import SceneFileError

#: The place of a word, as errors call it: "line 12".
Place = Callable[[int], str]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def floats(words: Sequence[bytes], place: Place) -> FloatArray:
    """Return the words as float64, NaN and infinity among them."""
    try:
        values = np.fromiter(map(float, words), np.float64, len(words))
    except ValueError:
        raise _wrong_word(words, place, float, "a number") from None
    _refuse_underscores(words, place, "a number")
    return values


def integers(words: Sequence[bytes], place: Place) -> IntArray:
    """Return the words as int64."""
    try:
        values = np.fromiter(map(int, words), np.int64, len(words))
    except (ValueError, OverflowError):
        raise _wrong_word(words, place, lambda word: np.int64(int(word)), "an integer") from None
    _refuse_underscores(words, place, "an integer")
    return values


def show(word: bytes) -> str:
    """Return a word for an error: quoted, short, and on one line."""
    text = word[:40].decode("utf-8", "replace") + ("..." if len(word) > 40 else "")
    return repr(text)


def _refuse_underscores(words: Sequence[bytes], place: Place, wanted: str) -> None:
    if b"_" in b"".join(words):  # 1_000 is a number in Python alone
        at = next(i for i, word in enumerate(words) if b"_" in word)
        raise SceneFileError(f"{place(at)}: expected {wanted}, got {show(words[at])}")


def _wrong_word(words: Sequence[bytes], place: Place, parse: Callable[[bytes], object], wanted: str) -> SceneFileError:
    for at, word in enumerate(words):
        try:
            parse(word)
        except (ValueError, OverflowError):
            return SceneFileError(f"{place(at)}: expected {wanted}, got {show(word)}")
    raise AssertionError("every word is right")
