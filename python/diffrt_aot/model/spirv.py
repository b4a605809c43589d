"""A traced model as SPIR-V, word by word: for Vulkan, with neither a compiler nor a driver.

Each function of each model is a module of its own, whose entry point is "main", in groups of LOCAL_SIZE threads. Thread
k of n takes places begin + k, begin + k + n, ... of the domain; prepare is asked for one. Descriptor set 0:

    binding 0   uniform buffer: i32 width, padded, stride, input_stride: of a row of the domain, without and with its
                padding, and from one plane to the next of `out` and `ids`, and of `inputs` and `indices`
    binding 1   i32 begin, end
    2 to 10     parameters, constants, inputs, indices, tables (one behind the other), sizes (of each table rows,
                numbers in a row, and its first place in `tables`; of an image its height and width), uniforms, out, ids

`out` and `ids` begin with place `begin`. `uniforms`, of which a model may have a thousand, are read and written by
fours: there is room for a multiple of four.

Numbers of this file are the SPIR-V specification's (version 1.3), and the GLSL.std.450 instruction set's. Two things
are asked of a driver that by default it need not do: to round as it is written (NoContraction), and to mind NaN
(SignedZeroInfNanPreserve).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from .graph import NUMBER, TRUTH, WHOLE, Node, ancestors
from .lowering import FUNCTIONS, LITERALS, OF_ITEMS, Lowered, Machine, Regions, symbol
from .x64 import Image

MACHINE = Machine(lanes=1, fused=False, gpu=True)
LOCAL_SIZE = 64
BUFFERS = ("parameters", "constants", "inputs", "indices", "tables", "sizes", "uniforms", "out", "ids")
SIZES = ("width", "padded", "stride", "input_stride")
_WHOLE_BUFFERS = ("bounds", "indices", "sizes", "ids")
_FIRST_BUFFER = 2

_MAGIC, _VERSION = 0x07230203, 0x00010300
_TYPES = {NUMBER: "float", WHOLE: "int", TRUTH: "bool"}

# Opcodes of one result, whose operands are ids.
_OPCODES = {
    "add": 129,
    "sub": 131,
    "mul": 133,
    "div": 136,
    "neg": 127,
    "and": 167,
    "or": 166,
    "not": 168,
    "where": 169,
    "lt": 184,
    "le": 188,
    "gt": 186,
    "ge": 190,
    "eq": 180,
    "ne": 183,
    "iadd": 128,
    "isub": 130,
    "imul": 132,
    "idiv": 135,
    "irem": 138,
    "shl": 196,
    "shr": 194,
    "bits_or": 197,
    "bits_and": 199,
    "below": 176,
    "less": 177,
    "not_less": 175,
    "whole": 110,
    "float": 111,
    "bitcast": 124,
}
_EXACT = ("add", "sub", "mul", "div")
_EXTENDED = {"sqrt": 31, "floor": 8, "abs": 4}
_STORAGE_BUFFER, _UNIFORM, _INPUT = 12, 2, 1


def compile_models(models: Sequence[Lowered]) -> Image:
    """Return the modules of all functions, each behind its length in bytes, u32, and where they stand."""
    data, functions = b"", {}
    for lowered in models:
        for name in FUNCTIONS:
            functions[symbol(lowered.name, name)] = len(data)
            code = _Function(lowered, name).code()
            data += struct.pack("<I", len(code)) + code
    return Image(data, functions)


class _Module:
    """The words of a module as it grows: what is declared, each once, and the body of its one function."""

    def __init__(self) -> None:
        self.count = 0
        self.decorations: list[int] = []
        self.declarations: list[int] = []
        self.body: list[int] = []
        self.known: dict[object, int] = {}

    def id(self) -> int:
        self.count += 1
        return self.count

    def emit(self, opcode: int, *words: int) -> None:
        self.body += [(len(words) + 1) << 16 | opcode, *words]

    def declare(self, opcode: int, *words: int) -> None:
        self.declarations += [(len(words) + 1) << 16 | opcode, *words]

    def decorate(self, target: int, *words: int) -> None:
        self.decorations += [(len(words) + 2) << 16 | 71, target, *words]

    def once(self, key: object, make: Callable[[int], None]) -> int:
        """The id of what `make` declares, the first time."""
        if key not in self.known:
            found = self.id()
            make(found)
            self.known[key] = found
        return self.known[key]

    def type(self, name: str) -> int:
        def make(x: int) -> None:
            if name == "void":
                self.declare(19, x)
            elif name == "bool":
                self.declare(20, x)
            elif name == "int":
                self.declare(21, x, 32, 1)
            elif name == "float":
                self.declare(22, x, 32)
            elif name == "int3":
                self.declare(23, x, int3_of, 3)
            elif name == "float4":
                self.declare(23, x, float_, 4)
            else:
                self.declare(33, x, void)

        int3_of = self.type("int") if name == "int3" else 0
        float_ = self.type("float") if name == "float4" else 0
        void = self.type("void") if name == "function" else 0
        return self.once(("type", name), make)

    def pointer(self, storage: int, type_id: int) -> int:
        return self.once(("pointer", storage, type_id), lambda x: self.declare(32, x, storage, type_id))

    def constant(self, name: str, bits: int) -> int:
        type_id = self.type(name)
        return self.once(("constant", name, bits), lambda x: self.declare(43, type_id, x, bits & 0xFFFFFFFF))

    def whole(self, k: int) -> int:
        return self.constant("int", k)

    def number(self, x: float) -> int:
        try:
            (bits,) = struct.unpack("<I", struct.pack("<f", x))
        except OverflowError:
            bits = 0x7F800000 if x > 0 else 0xFF800000
        return self.constant("float", bits)

    def truth(self, x: bool) -> int:
        type_id = self.type("bool")
        return self.once(("truth", x), lambda y: self.declare(41 if x else 42, type_id, y))

    def variable(self, name: str, binding: int, members: Sequence[str], storage: int, written: bool = False) -> int:
        """A buffer: of an array without end, or of a few whole numbers."""
        key = ("struct", storage, *members)
        element = self.type(members[0])

        def make(x: int) -> None:
            if len(members) == 1:
                array = self.id()
                self.declare(29, array, element)
                self.decorate(array, 6, 16 if members[0] == "float4" else 4)  # ArrayStride
                self.declare(30, x, array)
            else:
                self.declare(30, x, *[element] * len(members))
            self.decorate(x, 2)  # Block
            for k in range(len(members)):
                self.decorations += [5 << 16 | 72, x, k, 35, 4 * k]  # MemberDecorate Offset

        pointer = self.pointer(storage, self.once(key, make))

        def declare(x: int) -> None:
            self.declare(59, pointer, x, storage)
            self.decorate(x, 34, 0)  # DescriptorSet
            self.decorate(x, 33, binding)
            if storage == _STORAGE_BUFFER:
                self.decorate(x, 19)  # Restrict
                if not written:
                    self.decorate(x, 24)  # NonWritable

        return self.once(("variable", name), declare)

    def builtin(self, name: str, which: int) -> int:
        pointer = self.pointer(_INPUT, self.type("int3"))

        def make(x: int) -> None:
            self.declare(59, pointer, x, _INPUT)
            self.decorate(x, 11, which)

        return self.once(("builtin", name), make)

    def extended(self) -> int:
        return self.once("GLSL.std.450", lambda x: None)

    def code(self, main: int) -> bytes:
        """All of it; `body` is that of the function `main`."""
        extended = self.extended()
        inputs = [x for key, x in self.known.items() if isinstance(key, tuple) and key[0] == "builtin"]
        name = _text("main")
        words = [_MAGIC, _VERSION, 0, self.count + 1, 0]
        for instruction in (
            (17, 1),  # Capability Shader
            (17, 4466),  # SignedZeroInfNanPreserve
            (10, *_text("SPV_KHR_float_controls")),
            (11, extended, *_text("GLSL.std.450")),
            (14, 0, 1),  # MemoryModel Logical GLSL450
            (15, 5, main, *name, *inputs),  # EntryPoint GLCompute
            (16, main, 17, LOCAL_SIZE, 1, 1),
            (16, main, 4461, 32),  # SignedZeroInfNanPreserve
        ):
            words += [len(instruction) << 16 | instruction[0], *instruction[1:]]
        words += [*self.decorations, *self.declarations, *self.body]
        return struct.pack(f"<{len(words)}I", *words)


def _text(text: str) -> tuple[int, ...]:
    data = text.encode() + b"\0"
    data += bytes(-len(data) % 4)
    return struct.unpack(f"<{len(data) // 4}I", data)


class _Function(Regions):
    """One of a model's functions: a loop over places around what it computes."""

    def __init__(self, lowered: Lowered, name: str) -> None:
        super().__init__(lowered, once=name == "prepare")
        self.function = name
        self.m = _Module()
        self.names: dict[int, int] = {}
        self.block = 0  # the label of the block that is being written
        self.turns: dict[int, int] = {}  # of loops, their counters
        self.states: dict[tuple[int, int], int] = {}  # of loops, their numbers
        self.beyond = 0  # whether a place is in the padding of a row

    # Instructions

    def op(self, name: str, kind: str, *operands: int) -> int:
        """An instruction with a result of `kind`: "float", "int", "bool"."""
        m = self.m
        result, type_id = m.id(), m.type(kind)
        if name in _EXTENDED:
            m.emit(12, type_id, result, m.extended(), _EXTENDED[name], *operands)
        else:
            m.emit(_OPCODES[name], type_id, result, *operands)
            if name in _EXACT:
                m.decorate(result, 42)  # NoContraction
        return result

    def begin(self, label: int) -> None:
        self.m.emit(248, label)
        self.block = label

    def branch(self, label: int) -> None:
        self.m.emit(249, label)

    def scalar(self, buffer: str) -> str:
        if buffer == "uniforms":
            return "float4"
        return "int" if buffer in _WHOLE_BUFFERS else "float"

    def place_in(self, buffer: str, index: int) -> int:
        m = self.m
        kind = self.scalar(buffer)
        binding = 1 if buffer == "bounds" else _FIRST_BUFFER + BUFFERS.index(buffer)
        written = buffer in (("uniforms",) if self.once else ("out", "ids"))
        variable = m.variable(buffer, binding, (kind,), _STORAGE_BUFFER, written)
        result = m.id()
        m.emit(65, m.pointer(_STORAGE_BUFFER, m.type(kind)), result, variable, m.whole(0), index)
        return result

    def read(self, buffer: str, index: int) -> int:
        place, result = self.place_in(buffer, index), self.m.id()
        self.m.emit(61, self.m.type(self.scalar(buffer)), result, place)
        return result

    def write(self, buffer: str, index: int, value: int) -> None:
        self.m.emit(62, self.place_in(buffer, index), value)

    def size_of_domain(self, name: str) -> int:
        m = self.m
        variable = m.variable("domain", 0, ("int",) * len(SIZES), _UNIFORM)
        place, result = m.id(), m.id()
        m.emit(65, m.pointer(_UNIFORM, m.type("int")), place, variable, m.whole(SIZES.index(name)))
        m.emit(61, m.type("int"), result, place)
        return result

    def threads(self, name: str, which: int) -> int:
        m = self.m
        vector, result = m.id(), m.id()
        m.emit(61, m.type("int3"), vector, m.builtin(name, which))
        m.emit(81, m.type("int"), result, vector, 0)
        return result

    # The function

    def code(self) -> bytes:
        m, lowered = self.m, self.lowered
        main, entry, head, body, on, out = (m.id() for _ in range(6))
        m.emit(54, m.type("void"), main, 0, m.type("function"))
        self.begin(entry)
        rows = self.function == "rows"
        self.stores: dict[int, list[tuple[str, int]]] = {}
        self.stores_in_turns: dict[int, list[tuple[int, int, int]]] = {}
        if self.once:
            order = lowered.order(lowered.uniforms, MACHINE, once=True)
        else:
            order, self.stores, self.stores_in_turns = lowered.kernel(rows, MACHINE)
        self.first, end = self.read("bounds", m.whole(0)), self.read("bounds", m.whole(1))
        start = self.op("iadd", "int", self.first, self.threads("GlobalInvocationId", 28))
        step = self.op("imul", "int", self.threads("NumWorkgroups", 24), m.whole(LOCAL_SIZE))
        self.domain = {name: self.size_of_domain(name) for name in SIZES}
        for slot in dict.fromkeys(_table_of(node) for node in order if node.op in ("gather", "selected")):
            self.table(slot)
        self.branch(head)
        self.begin(head)
        self.item, following = m.id(), m.id()
        m.emit(245, m.type("int"), self.item, start, entry, following, on)
        more = self.op("less", "bool", self.item, end)
        m.emit(246, out, on, 0)
        m.emit(250, more, body, out)
        self.begin(body)
        if not self.once:
            self.row = self.op("idiv", "int", self.item, self.domain["padded"])
            self.column = self.op("irem", "int", self.item, self.domain["padded"])
            self.beyond = self.op("not_less", "bool", self.column, self.domain["width"])
        self.region(order, (), self.place)
        if self.once:
            self.store_uniforms()
        self.branch(on)
        self.begin(on)
        m.emit(128, m.type("int"), following, self.item, step)
        self.branch(head)
        self.begin(out)
        m.emit(253)
        m.emit(56)
        return m.code(main)

    def store_uniforms(self) -> None:
        m = self.m
        numbers = [self.as_number(node) for node in self.lowered.uniforms]
        numbers += [m.number(0.0)] * (-len(numbers) % 4)
        for k in range(0, len(numbers), 4):
            four = m.id()
            m.emit(80, m.type("float4"), four, *numbers[k : k + 4])
            self.write("uniforms", m.whole(k // 4), four)

    def as_number(self, node: Node) -> int:
        x = self.names[node.id]
        if node.kind == WHOLE:
            return self.op("bitcast", "float", x)
        return self.op("where", "float", x, self.m.number(1.0), self.m.number(0.0)) if node.kind == TRUTH else x

    def loop(
        self,
        which: int,
        args: tuple[Node, ...],
        nodes: Sequence[Node],
        around: tuple[int, ...],
        place: Callable[[Node], None],
    ) -> None:
        m = self.m
        size = len(args) // 2
        start, after, done = args[:size], args[size : 2 * size], args[2 * size :]
        entry = self.block
        head, test, body, on, out = (m.id() for _ in range(5))
        self.branch(head)
        self.begin(head)
        turn, following = m.id(), m.id()
        self.turns[which] = turn
        m.emit(245, m.type("int"), turn, m.whole(0), entry, following, on)
        names = [m.id() for _ in range(size)]
        phis = []
        for k, name in enumerate(names):
            # What it becomes is not known yet: its word is written behind the body.
            m.emit(245, m.type(_TYPES[start[k].kind]), name, self.names[start[k].id], entry, 0, on)
            phis.append(len(m.body) - 2)
            self.states[which, k] = name
        for carried in nodes:
            if carried.op == "carried" and carried.data[0] == which:
                self.names[carried.id] = names[carried.data[1]]
        m.emit(246, out, on, 0)
        self.branch(test)
        self.begin(test)
        go = self.op("less", "bool", turn, m.whole(self.lowered.turns[which]))
        asked = {x.id for x in ancestors(done)}
        if done:
            self.region([x for x in nodes if x.id in asked], around, place)
            ends = self.names[done[0].id]
            if self.beyond:
                ends = self.op("or", "bool", ends, self.beyond)
            go = self.op("and", "bool", go, self.op("not", "bool", ends))
        m.emit(250, go, body, out)
        self.begin(body)
        self.region([x for x in nodes if x.id not in asked], around, place)
        self.branch(on)
        self.begin(on)
        m.emit(128, m.type("int"), following, turn, m.whole(1))
        self.branch(head)
        for phi, node in zip(phis, after, strict=True):
            m.body[phi] = self.names[node.id]
        self.begin(out)

    def out_of(self, which: int, k: int) -> int:
        return self.states[which, k]

    # What is computed

    def place(self, node: Node) -> None:
        """Compute a node that is not there, and store it where it goes."""
        if node.id not in self.names:
            if node.op in OF_ITEMS:
                self.names[node.id] = self.of_items(node)
            elif self.once or node.id in self.lowered.varying or node.op in LITERALS:
                self.names[node.id] = self.node(node)
            else:
                self.names[node.id] = self.uniform(node)
        for name, plane in self.stores.get(node.id, ()):
            self.store(name, self.m.whole(plane), node)
        for which, first, step in self.stores_in_turns.get(node.id, ()):
            plane = self.op("imul", "int", self.turns[which], self.m.whole(step))
            self.store("out", self.op("iadd", "int", plane, self.m.whole(first)), node)

    def store(self, buffer: str, plane: int, node: Node) -> None:
        local = self.op("isub", "int", self.item, self.first)
        at = self.op("iadd", "int", self.op("imul", "int", plane, self.domain["stride"]), local)
        self.write(buffer, at, self.names[node.id])

    def uniform(self, node: Node) -> int:
        four, k = divmod(self.lowered.uniform_places[node.id], 4)
        if ("uniforms", four) not in self.made:
            self.made["uniforms", four] = self.read("uniforms", self.m.whole(four))
        x = self.m.id()
        self.m.emit(81, self.m.type("float"), x, self.made["uniforms", four], k)
        if node.kind == WHOLE:
            return self.op("bitcast", "int", x)
        return self.op("ne", "bool", x, self.m.number(0.0)) if node.kind == TRUTH else x

    def of_items(self, node: Node) -> int:
        if node.op in ("row", "column"):
            return self.op("float", "float", self.row if node.op == "row" else self.column)
        if node.op == "item_at":
            plane = self.op("iadd", "int", self.names[node.args[0].id], self.m.whole(node.data))
        else:
            plane = self.m.whole(node.data[0] if node.op == "item_free" else node.data)
        at = self.op("iadd", "int", self.op("imul", "int", plane, self.domain["input_stride"]), self.item)
        return self.read("indices" if node.op == "item_index" else "inputs", at)

    def node(self, node: Node) -> int:
        m, op = self.m, node.op
        a = [self.names[x.id] for x in node.args]
        kind = _TYPES[node.kind]
        if op in _OPCODES or op in _EXTENDED:
            return self.op(op, kind, *a)
        if op == "constant":
            return m.number(float(node.data))
        if op == "whole_constant":
            return m.whole(node.data)
        if op == "truth":
            return m.truth(node.data)
        if op == "counter":
            return self.turns[node.data]
        if op == "whole_add":
            return self.op("iadd", "int", *a)
        if op == "whole_affine":
            product = self.op("imul", "int", a[0], m.whole(node.data[0]))
            return self.op("iadd", "int", product, m.whole(node.data[1]))
        if op == "whole_madd":
            return self.op("iadd", "int", self.op("imul", "int", a[0], a[1]), a[2])
        if op == "power_of_two":  # of a whole number in [-126, 127], held as a number
            k = self.op("iadd", "int", self.op("whole", "int", a[0]), m.whole(127))
            return self.op("bitcast", "float", self.op("shl", "int", k, m.whole(23)))
        if op in ("exponent", "mantissa"):  # x = mantissa 2^exponent, mantissa in [1/2, 1)
            bits = self.op("bitcast", "int", a[0])
            if op == "exponent":
                k = self.op("isub", "int", self.op("shr", "int", bits, m.whole(23)), m.whole(126))
                return self.op("float", "float", k)
            bits = self.op("bits_or", "int", self.op("bits_and", "int", bits, m.whole(0x7FFFFF)), m.whole(0x3F000000))
            return self.op("bitcast", "float", bits)
        if op == "gather":
            return self.gather(node.data, node.args[0])
        if op == "selected":
            return self.read_row(node.data[0], a[0], node.data[1])
        if op in ("parameter", "stored"):
            return self.read("parameters", m.whole(node.data[0] if op == "parameter" else node.data))
        if op in ("parameter_at", "constant_at"):
            first = node.data[0] if op == "parameter_at" else node.data
            at = self.op("iadd", "int", a[0], m.whole(first))
            return self.read("parameters" if op == "parameter_at" else "constants", at)
        if op == "uniform":
            which, k = node.data
            if which == "constant":
                return self.read("constants", m.whole(k))
            return self.op("float", "float", self.read("sizes", m.whole(3 * (k // 2) + k % 2)))
        raise NotImplementedError(f"{op}: no machine operation")

    # Tables

    def table(self, slot: int) -> tuple[int, int, int]:
        """How many rows it has, how many numbers are in one, and its first place in `tables`."""
        key = ("table", slot)
        if key not in self.made:
            self.made[key] = tuple(self.read("sizes", self.m.whole(3 * slot + k)) for k in range(3))
        found: tuple[int, int, int] = self.made[key]
        return found

    def gather(self, slot: int, index: Node) -> int:
        """The number at an index that counts all numbers of a table; a row and a column are both looked at."""
        length = self.lowered.row_lengths.get(slot, 0)
        if index.op == "whole_affine" and index.data[0] == length and 0 <= index.data[1] < length:
            return self.read_row(slot, self.names[index.args[0].id], index.data[1])
        rows, numbers, _ = self.table(slot)
        if index.op == "whole_madd" and slot in self.lowered.images:
            row, _, column = (self.names[a.id] for a in index.args)
            inside = self.op(
                "and", "bool", self.op("below", "bool", row, rows), self.op("below", "bool", column, numbers)
            )
        else:
            inside = self.op("below", "bool", self.names[index.id], self.op("imul", "int", rows, numbers))
        return self.read_at(slot, self.names[index.id], inside)

    def read_row(self, slot: int, row: int, component: int) -> int:
        length = self.lowered.row_lengths[slot]
        at = self.op("iadd", "int", self.op("imul", "int", row, self.m.whole(length)), self.m.whole(component))
        return self.read_at(slot, at, self.op("below", "bool", row, self.table(slot)[0]))

    def read_at(self, slot: int, at: int, inside: int) -> int:
        """The number there where it is inside; elsewhere NaN. Something is always read: place 0 of all tables."""
        place = self.op("iadd", "int", at, self.table(slot)[2])
        place = self.op("where", "int", inside, place, self.m.whole(0))
        return self.op("where", "float", inside, self.read("tables", place), self.m.constant("float", 0x7FC00000))


def _table_of(node: Node) -> Any:
    return node.data if node.op == "gather" else node.data[0]
