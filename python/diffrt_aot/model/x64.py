"""LLVM IR to flat images of x86-64 code: position independent, with nothing left to resolve.

The object that LLVM writes is linked here. Its only relocations are distances from code to its own constants, which
are known as soon as both are laid out; so whoever loads an image maps it and jumps.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .lowering import Machine

LEVELS = {
    "v2": Machine(lanes=8, fused=False),
    "v3": Machine(lanes=8, gathers=True),
    "v4": Machine(lanes=16, gathers=True),
}

_SYMBOLS, _RELOCATIONS = 2, 4  # kinds of sections
_WITHOUT_BITS = 8
_WRITABLE, _ALLOCATED = 1, 2
_PC32, _PLT32 = 2, 4  # kinds of relocations
_FUNCTION = 2
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")


@dataclass(frozen=True)
class Image:
    """Code and constants, and where each function begins."""

    data: bytes
    functions: dict[str, int]


def compile_text(text: str, level: str) -> Image:
    """Return the image of a module in LLVM's text for one level of x86-64."""
    import llvmlite.binding as llvm

    llvm.initialize()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple("x86_64-unknown-linux-gnu")
    machine = target.create_target_machine(cpu=f"x86-64-{level}", opt=3, reloc="pic", codemodel="small")
    # The text is as good as an optimiser would leave it.
    return link(machine.emit_object(llvm.parse_assembly(text)))


def link(code: bytes) -> Image:
    """Lay out and relocate the ELF object `code`, which must need nothing from elsewhere."""
    (at,) = struct.unpack_from("<Q", code, 40)
    size, count, _ = struct.unpack_from("<HHH", code, 58)
    sections = [_SECTION.unpack_from(code, at + k * size) for k in range(count)]
    data = bytearray()
    base: dict[int, int] = {}  # of sections in the image
    for k, (_, kind, flags, _, at, length, _, _, align, _) in enumerate(sections):
        if not flags & _ALLOCATED or not length or _is_for_unwinding(code, sections, k):
            continue
        if flags & _WRITABLE or kind == _WITHOUT_BITS:
            raise RuntimeError("compiling a model: its code has data that is written, or none in the file")
        data += bytes(-len(data) % max(align, 1))
        base[k] = len(data)
        data += code[at : at + length]
    symbols, functions = _symbols(code, sections, base)
    for _, kind, _, _, at, length, _, target, _, _ in sections:
        if kind == _RELOCATIONS and target in base:
            for p in range(at, at + length, _RELOCATION.size):
                offset, info, addend = _RELOCATION.unpack_from(code, p)
                name, section, value = symbols[info >> 32]
                if info & 0xFFFFFFFF not in (_PC32, _PLT32) or section not in base:
                    raise RuntimeError(
                        f"compiling a model: its code needs {name or 'a section'} (relocation {info & 0xFFFFFFFF}), "
                        "which is not in it"
                    )
                place = base[target] + offset
                struct.pack_into("<i", data, place, base[section] + value + addend - place)
    return Image(bytes(data), functions)


def _is_for_unwinding(code: bytes, sections: list[tuple[int, ...]], k: int) -> bool:
    (names,) = struct.unpack_from("<H", code, 62)
    start = sections[names][4] + sections[k][0]
    return code[start : code.index(b"\0", start)] == b".eh_frame"


def _symbols(
    code: bytes, sections: list[tuple[int, ...]], base: dict[int, int]
) -> tuple[list[tuple[str, int, int]], dict[str, int]]:
    """Return all (name, section, value), and where functions lie in the image."""
    symbols, functions = [], {}
    for _, kind, _, _, at, length, link_to, _, _, _ in sections:
        if kind != _SYMBOLS:
            continue
        strings = sections[link_to][4]
        for p in range(at, at + length, _SYMBOL.size):
            place, info, _, section, value, _ = _SYMBOL.unpack_from(code, p)
            start = strings + place
            name = code[start : code.index(b"\0", start)].decode()
            symbols.append((name, section, value))
            if info & 15 == _FUNCTION:
                functions[name] = base[section] + value
    return symbols, functions
