"""Compiled models, run as any program could: their file is taken apart here, and its code called through ctypes."""

import ctypes
import math
import mmap
from dataclasses import dataclass, field

import numpy as np

from diffrt_aot.model import reference

ROW = 16  # rows of the domain are padded to a multiple of so many items
_INTEGERS = (("begin", "i"), ("end", "i"), ("packets", "i"), ("width", "i"), ("stride", "q"), ("input_stride", "q"))
_POINTERS = ("parameters", "constants", "inputs", "indices", "tables", "sizes", "uniforms", "out", "ids")


class Arguments(ctypes.Structure):
    """struct Arguments of cpp/src/module/description.hpp."""

    _fields_ = [
        *((name, {"i": ctypes.c_int32, "q": ctypes.c_int64}[kind]) for name, kind in _INTEGERS),
        *((name, ctypes.c_void_p) for name in _POINTERS),
    ]


@dataclass
class Description:
    """What a file says of one model."""

    output: str = ""
    arguments: list[tuple[str, ...]] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    slots: list[tuple[int, ...]] = field(default_factory=list)
    planes: list[tuple[int, ...]] = field(default_factory=list)
    uniforms: int = 0
    entries: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass
class File:
    producer: str
    sections: dict[str, tuple[int, int, int]]  # offset, size, lanes
    models: dict[str, Description]
    data: bytes

    def section(self, name):
        offset, size, _ = self.sections[name]
        return self.data[offset : offset + size]


def read(data):
    """Take a file apart, by the letter of its manifest."""
    length = int.from_bytes(data[12:16], "little")
    file = File("", {}, {}, data)
    text = data[64 : 64 + length].decode()
    assert text.endswith("\n")
    model = None
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        words = rest.split(" ")
        if word == "producer":
            file.producer = rest
        elif word == "section":
            file.sections[words[0]] = tuple(map(int, words[1:]))
        elif word == "model":
            model = file.models[rest] = Description()
        elif word == "output":
            model.output = rest
        elif word == "argument":
            model.arguments.append(tuple(words))
        elif word == "block":
            model.blocks.append(int(rest))
        elif word in ("slot", "plane"):
            getattr(model, word + "s").append(tuple(map(int, words)))
        elif word == "uniforms":
            model.uniforms = int(rest)
        elif word == "entry":
            model.entries[words[0], words[1]] = int(words[2])
        else:
            assert (word, file.models[rest]) == ("end", model), line
            model = None
    assert model is None
    return file


def aligned(shape, kind=np.float32):
    """Zeros that begin at a multiple of 64 bytes."""
    size = math.prod(shape) * np.dtype(kind).itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(kind).reshape(shape)


class Code:
    """The functions of one model in one section of a file, and the arguments of a call."""

    def __init__(self, file, name, section, program, theta, shape, data):
        self.file, self.model, self.lanes = file, file.models[name], file.sections[section][2]
        image = file.section(section)
        self._code = _executable(image)
        signature = ctypes.CFUNCTYPE(None, ctypes.POINTER(Arguments))
        self._functions = {
            function: signature(self._code.address + self.model.entries[section, function])
            for function in ("prepare", "value", "rows")
        }
        self._fill(program, reference.Data(program, theta, shape, data))

    def _fill(self, program, call):
        self.height, self.width = call.shape
        self.padded = -(-self.width // ROW) * ROW
        a = self.arguments = Arguments()
        a.packets, a.width = self.padded // self.lanes, self.width
        a.input_stride = self.height * self.padded
        tables = max(call.tables, default=-1) + 1
        self._kept = {
            "parameters": _numbers(call.parameters),
            "constants": _numbers(call.constants),
            "inputs": self._planes(call.inputs, np.float32),
            "indices": self._planes(call.indices, np.int32),
            "sizes": np.zeros(2 * tables + 1, np.int32),
            "uniforms": aligned((self.model.uniforms + 1,)),
        }
        self._tables = {k: aligned(x.shape) for k, x in call.tables.items()}
        pointers = (ctypes.c_void_p * (tables + 1))()
        images = {x.first for x in program.arguments if x.kind == "image"}
        for k, table in self._tables.items():
            table[...] = call.tables[k]
            pointers[k] = table.ctypes.data if table.size else None
            rest = table.shape[1] if k in images else math.prod(table.shape[1:])
            self._kept["sizes"][2 * k : 2 * k + 2] = len(table), rest
        self._pointers = pointers
        a.tables = ctypes.addressof(pointers)
        for name, array in self._kept.items():
            setattr(a, name, array.ctypes.data)

    def _planes(self, planes, kind):
        result = aligned((max(planes, default=-1) + 1, self.height, self.padded), kind)
        for k, x in planes.items():
            result[k, :, : self.width] = x
        return result

    def _call(self, function, planes, begin, end):
        """`planes` of out, and ids, for packets [begin, end)."""
        a, count = self.arguments, (end - begin) * self.lanes
        stride = -(-count // ROW) * ROW + ROW
        out, ids = aligned((planes, stride)), aligned((len(self.model.blocks) or 1, stride), np.int32)
        out[...], ids[...] = -77.0, -77
        a.begin, a.end, a.stride, a.out, a.ids = begin, end, stride, out.ctypes.data, ids.ctypes.data
        self._functions[function](a)
        assert (out[:, count:] == -77.0).all() and (ids[:, count:] == -77).all(), "wrote beyond its packets"
        return out[:, :count], ids[:, :count]

    def run(self, function, outputs, tile=None):
        """The planes of a function, (planes, height, width), and ids likewise."""
        planes = outputs + (len(self.model.planes) if function == "rows" else 0)
        packets = self.height * self.arguments.packets
        tile = tile or max(packets, 1)
        self._functions["prepare"](self.arguments)
        parts = [self._call(function, planes, k, min(k + tile, packets)) for k in range(0, packets, tile)]
        if not parts:
            return np.zeros((planes, self.height, self.width)), None
        whole = [np.concatenate(x, 1).reshape(-1, self.height, self.padded) for x in zip(*parts, strict=True)]
        return whole[0][:, :, : self.width], whole[1][: len(self.model.blocks), :, : self.width]


def _numbers(places):
    result = aligned((max(places, default=-1) + 1,))
    for k, x in places.items():
        result[k] = x
    return result


class _executable:
    """A copy of code in memory that can be run, and not written."""

    def __init__(self, image):
        self._library = ctypes.CDLL(None, use_errno=True)
        self._library.mmap.restype = ctypes.c_void_p
        self._library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        self._library.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        self._library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        self.size = -(-len(image) // mmap.PAGESIZE) * mmap.PAGESIZE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.address = self._library.mmap(None, self.size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
        ctypes.memmove(self.address, image, len(image))
        assert self._library.mprotect(self.address, self.size, mmap.PROT_READ | mmap.PROT_EXEC) == 0

    def __del__(self):
        self._library.munmap(self.address, self.size)
