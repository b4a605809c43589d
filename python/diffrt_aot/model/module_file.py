"""The file of compiled models, .dra: a head, a manifest in lines of text, and sections of code.

    0   magic, 8 bytes
    8   format, u32
    12  length of the manifest, u32
    16  abi, u64: what the code is called with, see cpp/src/module/description.hpp
    24  length of the file, u64
    32  SHA-256 of all but these 32 bytes
    64  manifest: UTF-8, a line for each fact, its words separated by single spaces
    ... sections, each from a multiple of 4096 on, zeros between

Everything is little endian. The same models give the same bytes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .lowering import FUNCTIONS, Lowered, symbol
from .trace import Program
from .x64 import Image

MAGIC, FORMAT, PAGE = b"diffrt\x1a\n", 1, 4096
ABI = hashlib.sha256(
    b"diffrt model abi 2: begin end packets width i32; stride input_stride i64; "
    b"parameters constants inputs indices tables sizes uniforms out ids pointers; "
    b"devices: width padded stride input_stride i32, the same pointers; begin end"
).digest()[:8]

_HEAD = struct.Struct("<8sII8sQ")
_DIGEST = 32


@dataclass(frozen=True)
class Section:
    """Code for one kind of processor, of all models of the file."""

    name: str
    lanes: int
    image: Image


def write(producer: str, models: Sequence[tuple[Program, Lowered]], sections: Sequence[Section]) -> bytes:
    """Return the bytes of a file."""
    described = [line for program, lowered in models for line in describe(program, lowered, sections)]
    offsets = [0] * len(sections)
    while True:  # places are in the text whose length they depend on
        manifest = _manifest(producer, described, sections, offsets)
        placed = list(_place(_HEAD.size + _DIGEST + len(manifest), sections))
        if placed == offsets:
            break
        offsets = placed
    body = bytearray(manifest)
    for section, offset in zip(sections, offsets, strict=True):
        body += bytes(offset - _HEAD.size - _DIGEST - len(body)) + section.image.data
    head = _HEAD.pack(MAGIC, FORMAT, len(manifest), ABI, _HEAD.size + _DIGEST + len(body))
    return head + hashlib.sha256(head + body).digest() + bytes(body)


def is_intact(data: bytes) -> bool:
    """Whether these are the bytes of a file that write() made, of this format, and no others."""
    return (
        len(data) >= _HEAD.size + _DIGEST
        and data[:8] == MAGIC
        and _HEAD.unpack_from(data)[1] == FORMAT
        and _HEAD.unpack_from(data)[3:] == (ABI, len(data))
        and hashlib.sha256(data[: _HEAD.size] + data[_HEAD.size + _DIGEST :]).digest()
        == data[_HEAD.size : _HEAD.size + _DIGEST]
    )


def sections(data: bytes) -> dict[str, int]:
    """Return the sizes of the sections of a file that write() made."""
    length = _HEAD.unpack_from(data)[2]
    lines = data[_HEAD.size + _DIGEST :][:length].decode().splitlines()
    return {words[1]: int(words[3]) for words in map(str.split, lines) if words[0] == "section"}


def describe(program: Program, lowered: Lowered, sections: Iterable[Section] = ()) -> list[str]:
    """Return the manifest's lines about one model."""
    lines = [f"model {program.name}", f"output {_shape(program.output_shape)}"]
    lines += [f"argument {a.name} {a.kind} {_shape(a.shape)} {a.first}" for a in program.arguments]
    lines += [f"block {block.argument}" for block in program.blocks]
    lines += [f"slot {slot.argument} {slot.component} {slot.block}" for slot in program.slots]
    lines += [f"plane {output} {slot}" for output, slot in lowered.planes]
    lines.append(f"uniforms {len(lowered.uniforms)}")
    for section in sections:
        entries: Mapping[str, int] = section.image.functions
        lines += [f"entry {section.name} {f} {entries[symbol(program.name, f)]}" for f in FUNCTIONS]
    return [*lines, f"end {program.name}"]


def _manifest(producer: str, models: Iterable[str], sections: Sequence[Section], offsets: Iterable[int]) -> bytes:
    lines = [f"producer {producer}"]
    lines += [
        f"section {section.name} {offset} {len(section.image.data)} {section.lanes}"
        for section, offset in zip(sections, offsets, strict=True)
    ]
    return "".join(f"{line}\n" for line in [*lines, *models]).encode()


def _place(at: int, sections: Iterable[Section]) -> Iterable[int]:
    for section in sections:
        at += -at % PAGE
        yield at
        at += len(section.image.data)


def _shape(shape: Sequence[int]) -> str:
    return ",".join(map(str, shape)) or "-"
