"""A traced model as LLVM IR: one instruction for a node, in packets of items, or one item a thread on a GPU.

On x86-64 a packet is a vector of `lanes` numbers, of packets [begin, end), and the one argument of each function is
`struct Arguments` of cpp/src/module/description.hpp. On a GPU a packet is one number: thread k of n takes items
begin + k, begin + k + n, ...; prepare is for one thread; and the arguments are two addresses in the device's memory, of
what BLOCK says, and of begin and end.

Which multiplications and additions are fused is settled here, by what the outputs are made of: were it left to the
code generator, it would depend on what else reads a product, and the outputs of rows() would not be those of value().

Reads are safe whatever an index is: one that is beyond the table reads something else, and gives NaN.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence

from .graph import NUMBER, TRUTH, WHOLE, Node, ancestors
from .lowering import FUNCTIONS, LITERALS, OF_ITEMS, Lowered, Machine, Regions, symbol

# struct Arguments, field by field.
FIELDS = {
    "begin": "i32",
    "end": "i32",
    "packets": "i32",
    "width": "i32",
    "stride": "i64",
    "input_stride": "i64",
    "parameters": "float*",
    "constants": "float*",
    "inputs": "float*",
    "indices": "i32*",
    "tables": "float**",
    "sizes": "i32*",
    "uniforms": "float*",
    "out": "float*",
    "ids": "i32*",
}
# What a GPU's kernel gets: `padded` is `packets`, and tables are one behind the other, each from its third size on.
BLOCK = {
    **dict.fromkeys(("width", "packets", "stride", "input_stride"), "i32"),
    **{name: "i32*" if name in ("indices", "sizes", "ids") else "float*" for name in list(FIELDS)[6:]},
}
_GLOBAL = " addrspace(1)*"  # a GPU's memory: code for any memory is slower

# More planes than this are more streams than a processor's own prefetching follows: each store would wait for its line.
# So the line that will be stored to so many bytes later is asked for.
_MANY_PLANES, _AHEAD = 48, 128

_NOTHING = ("stop", "rule", "slopes", "probe")  # the machine sees their first argument
_BINARY = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_COMPARE = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
_INTRINSIC = {"sqrt": "sqrt", "floor": "floor", "abs": "fabs"}
_SCALARS = {NUMBER: "float", WHOLE: "i32", TRUTH: "i1"}


def module(models: Sequence[Lowered], machine: Machine) -> str:
    """Return the text of a module that has the three functions of each of `models`."""
    declarations: dict[str, None] = {}
    functions = []
    for lowered in models:
        functions.append(_prepare(lowered, machine, declarations))
        functions.append(_kernel(lowered, machine, declarations, rows=False))
        functions.append(_kernel(lowered, machine, declarations, rows=True))
    fields = [t.replace("*", _GLOBAL) for t in BLOCK.values()] if machine.gpu else FIELDS.values()
    lines = ["%Arguments = type { " + ", ".join(fields) + " }"]
    metadata = ["!0 = !{}"]
    if machine.gpu:
        lines.insert(0, 'target triple = "nvptx64-nvidia-cuda"')
        names = [symbol(lowered.name, function) for lowered in models for function in FUNCTIONS]
        t = f"void (%Arguments{_GLOBAL}, i32{_GLOBAL})*"
        metadata += [f'!{k} = !{{{t} @"{n}", !"kernel", i32 1}}' for k, n in enumerate(names, start=1)]
        metadata.append("!nvvm.annotations = !{" + ", ".join(f"!{k + 1}" for k in range(len(names))) + "}")
    return "\n".join([*lines, *declarations, *functions, *metadata, ""])


def _hexadecimal(x: float) -> str:
    """Return LLVM's spelling of a float32: the bits of the double that equals it."""
    try:
        single: float = struct.unpack("f", struct.pack("f", x))[0]
    except OverflowError:
        single = float("inf") if x > 0 else float("-inf")
    return f"0x{struct.unpack('<Q', struct.pack('<d', single))[0]:016X}"


class _Function(Regions):
    """The text of one function as it grows."""

    def __init__(self, lowered: Lowered, machine: Machine, declarations: dict[str, None], once: bool = False) -> None:
        super().__init__(lowered, once)
        self.names: dict[int, str] = {}
        self.made: dict[object, str] = {}
        self.machine = machine
        self.star = _GLOBAL if machine.gpu else "*"
        self.lanes = lanes = 1 if once else machine.lanes
        self.declarations = declarations
        self.lines: list[str] = []
        self.beyond = ""  # which lanes are in the padding of a row, where that matters
        self.scalars: dict[int, str] = {}  # of those that are the same for all lanes
        self.count = 0
        self.block = "start"
        self.types = {kind: self.vector(scalar) for kind, scalar in _SCALARS.items()}
        self.N, self.W, self.T = self.types[NUMBER], self.types[WHOLE], self.types[TRUTH]
        self.suffix = f"v{lanes}f32" if lanes > 1 else "f32"
        self.nan = self.literal("float", "0x7FF8000000000000")

    def vector(self, scalar: str) -> str:
        return f"<{self.lanes} x {scalar}>" if self.lanes > 1 else scalar

    def new(self, text: str) -> str:
        self.count += 1
        name = f"%v{self.count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def begin(self, block: str) -> None:
        self.lines.append(f"{block}:")
        self.block = block

    def declare(self, text: str) -> None:
        self.declarations[f"declare {text}"] = None

    def literal(self, scalar: str, text: str) -> str:
        return text if self.lanes == 1 else "<" + ", ".join([f"{scalar} {text}"] * self.lanes) + ">"

    def splat(self, value: str, scalar: str = "float") -> str:
        if self.lanes == 1:
            return value
        t = self.vector(scalar)
        first = self.new(f"insertelement {t} poison, {scalar} {value}, i32 0")
        return self.new(f"shufflevector {t} {first}, {t} poison, <{self.lanes} x i32> zeroinitializer")

    def field(self, name: str) -> str:
        if name not in self.made:
            self.made[name] = self.load_field(name)
        return self.made[name]

    def load_field(self, name: str) -> str:
        if self.machine.gpu and name in ("begin", "end"):
            return self.read("%bounds", ("begin", "end").index(name), "i32")
        fields = BLOCK if self.machine.gpu else FIELDS
        t = fields[name].replace("*", self.star)
        k = list(fields).index(name)
        place = self.new(f"getelementptr %Arguments, %Arguments{self.star} %a, i32 0, i32 {k}")
        value = self.new(f"load {t}, {t}{self.star} {place}, !invariant.load !0")
        return self.new(f"sext i32 {value} to i64") if t != FIELDS[name] and FIELDS[name] == "i64" else value

    def load_fields(self, order: Iterable[Node]) -> None:
        """All fields, and what there is to know of tables, at the head of the function, which all of it can see."""
        for name in FIELDS:
            self.field(name)
        for slot in dict.fromkeys(_table_of(node) for node in order if node.op in ("gather", "selected")):
            self.table(slot)
            self.size(slot, 0)
            self.size(slot, 1)

    def read(self, pointer: str, index: str | int, t: str = "float") -> str:
        """One number of an array that no function writes while another one reads it."""
        place = self.new(f"getelementptr {t}, {t}{self.star} {pointer}, i64 {index}")
        return self.new(f"load {t}, {t}{self.star} {place}, !invariant.load !0")

    # Operations

    def node(self, node: Node) -> str:
        """What computes a node from its arguments; returns the name of its value."""
        op, N, W, T = node.op, self.N, self.W, self.T
        if node.id in self.lowered.steady:
            self.scalars[node.id] = self.steady(node)
            if op == "whole_constant":
                return self.literal("i32", str(node.data))
            return self.splat(self.scalars[node.id], "i32")
        if self.machine.fused and node.id in self.lowered.fused:
            return self.fuse(node, self.lowered.fused[node.id])
        a = [self.names[x.id] for x in node.args]
        if op in _BINARY:
            return self.new(f"{_BINARY[op]} nsz {N} {a[0]}, {a[1]}")
        if op == "where":
            t = self.types[node.kind]
            return self.new(f"select {T} {a[0]}, {t} {a[1]}, {t} {a[2]}")
        if op in _COMPARE:
            return self.new(f"fcmp {_COMPARE[op]} {N} {a[0]}, {a[1]}")
        if op == "neg":
            return self.new(f"fneg {N} {a[0]}")
        if op in _INTRINSIC:
            name = f"@llvm.{_INTRINSIC[op]}.{self.suffix}"
            self.declare(f"{N} {name}({N})")
            return self.new(f"call nsz {N} {name}({N} {a[0]})")
        if op in ("and", "or"):
            return self.new(f"{op} {T} {a[0]}, {a[1]}")
        if op == "not":
            return self.new(f"xor {T} {a[0]}, {self.literal('i1', 'true')}")
        if op in ("min", "max"):
            less = self.new(f"fcmp {'olt' if op == 'min' else 'ogt'} {N} {a[1]}, {a[0]}")
            return self.new(f"select {T} {less}, {N} {a[1]}, {N} {a[0]}")
        if op in _NOTHING:
            return a[0]
        if op == "constant":
            return self.literal("float", _hexadecimal(float(node.data)))
        if op == "whole_constant":
            return self.literal("i32", str(node.data))
        if op == "truth":
            return self.literal("i1", str(node.data).lower())
        if op == "whole":
            return self.new(f"fptosi {N} {a[0]} to {W}")  # of what an index can be: tracing has seen to it
        if op == "float":
            return self.new(f"sitofp {W} {a[0]} to {N}")
        if op == "whole_add":
            return self.new(f"add {W} {a[0]}, {a[1]}")
        if op == "whole_affine":
            factor, offset = (self.literal("i32", str(k)) for k in node.data)
            product = a[0] if node.data[0] == 1 else self.new(f"mul {W} {a[0]}, {factor}")
            return product if node.data[1] == 0 else self.new(f"add {W} {product}, {offset}")
        if op == "whole_madd":
            return self.new(f"add {W} {self.new(f'mul {W} {a[0]}, {a[1]}')}, {a[2]}")
        if op == "power_of_two":
            return self.power_of_two(a[0])
        if op in ("exponent", "mantissa"):
            return self.part_of(a[0], op)
        if op == "gather":
            return self.gather(node.data, node.args[0])
        if op == "selected":
            return self.read_row(node.data[0], a[0], node.data[1])
        if op == "parameter":
            return self.splat(self.read(self.field("parameters"), node.data[0]))
        if op in ("parameter_at", "constant_at"):
            field = self.field("parameters" if op == "parameter_at" else "constants")
            return self.splat(self.read(field, self.place_of(node)))
        if op == "stored":
            return self.splat(self.read(self.field("parameters"), node.data))
        if op == "uniform":
            which, k = node.data
            if which == "constant":
                return self.splat(self.read(self.field("constants"), k))
            return self.splat(self.new(f"sitofp i32 {self.size(k // 2, k % 2)} to float"))
        raise NotImplementedError(f"{op}: no machine operation")

    def steady(self, node: Node) -> str:
        """A whole number that is the same for all lanes, once for all."""
        if node.op == "counter":
            return f"%turn{node.data}"
        if node.op == "whole_constant":
            return str(node.data)
        a = [self.scalars[x.id] for x in node.args]
        if node.op == "whole_add":
            return self.new(f"add i32 {a[0]}, {a[1]}")
        if node.op == "whole_madd":
            return self.new(f"add i32 {self.new(f'mul i32 {a[0]}, {a[1]}')}, {a[2]}")
        factor, offset = node.data
        return self.new(f"add i32 {self.new(f'mul i32 {a[0]}, {factor}')}, {offset}")

    def place_of(self, node: Node) -> str:
        """Where node is read, at an index that is the same for all lanes."""
        first = node.data[0] if node.op == "parameter_at" else node.data
        index = self.new(f"sext i32 {self.scalars[node.args[0].id]} to i64")
        return self.new(f"add i64 {index}, {first}")

    def fuse(self, node: Node, k: int) -> str:
        """a * b + c, c - a * b or a * b - c with one rounding."""
        N = self.N
        x, y = (self.names[a.id] for a in node.args[k].args)
        other = self.names[node.args[1 - k].id]
        if node.op == "sub" and k == 1:
            x = self.new(f"fneg {N} {x}")
        elif node.op == "sub":
            other = self.new(f"fneg {N} {other}")
        self.declare(f"{N} @llvm.fma.{self.suffix}({N}, {N}, {N})")
        return self.new(f"call nsz {N} @llvm.fma.{self.suffix}({N} {x}, {N} {y}, {N} {other})")

    def power_of_two(self, x: str) -> str:
        """2 ** x of a whole number x in [-126, 127], held as a number."""
        k = self.new(f"freeze {self.W} {self.new(f'fptosi {self.N} {x} to {self.W}')}")
        k = self.new(f"add {self.W} {k}, {self.literal('i32', '127')}")
        k = self.new(f"shl {self.W} {k}, {self.literal('i32', '23')}")
        return self.new(f"bitcast {self.W} {k} to {self.N}")

    def part_of(self, x: str, part: str) -> str:
        """x = mantissa * 2 ** exponent, mantissa in [1/2, 1)."""
        N, W = self.N, self.W
        bits = self.new(f"bitcast {N} {x} to {W}")
        if part == "exponent":
            k = self.new(f"lshr {W} {bits}, {self.literal('i32', '23')}")
            k = self.new(f"sub {W} {k}, {self.literal('i32', '126')}")
            return self.new(f"sitofp {W} {k} to {N}")
        bits = self.new(f"and {W} {bits}, {self.literal('i32', str(0x7FFFFF))}")
        bits = self.new(f"or {W} {bits}, {self.literal('i32', str(0x3F000000))}")
        return self.new(f"bitcast {W} {bits} to {N}")

    # Tables

    def table(self, slot: int) -> str:
        key = ("table", slot)
        if key not in self.made:
            tables = self.field("tables")
            if self.machine.gpu:
                first = self.new(f"sext i32 {self.size(slot, 2)} to i64")
                self.made[key] = self.new(f"getelementptr float, float{self.star} {tables}, i64 {first}")
            else:
                self.made[key] = self.read(tables, slot, "float*")
        return self.made[key]

    def size(self, slot: int, k: int) -> str:
        """How many rows a table has, and how many numbers are in one; an image: its height and width.

        Of a GPU also its first place.
        """
        key = ("size", slot, k)
        if key not in self.made:
            self.made[key] = self.read(self.field("sizes"), (3 if self.machine.gpu else 2) * slot + k, "i32")
        return self.made[key]

    def below(self, index: str, bound: str) -> str:
        """Where an index is one of `bound`."""
        key = ("below", index, bound)
        if key not in self.made:
            self.made[key] = self.new(f"icmp ult {self.W} {index}, {self.splat(bound, 'i32')}")
        return self.made[key]

    def gather(self, slot: int, index: Node) -> str:
        """The number at an index that counts all numbers of a table.

        Where it is made of a row and a column, both are looked at: they are smaller than their product, which may be
        beyond any int32.
        """
        length = self.lowered.row_lengths.get(slot, 0)
        if index.op == "whole_affine" and index.data[0] == length and 0 <= index.data[1] < length:
            return self.read_row(slot, self.names[index.args[0].id], index.data[1])
        if index.op == "whole_madd" and slot in self.lowered.images:
            row, _, column = (self.names[a.id] for a in index.args)
            inside = self.new(
                f"and {self.T} {self.below(row, self.size(slot, 0))}, {self.below(column, self.size(slot, 1))}"
            )
        else:
            count = self.new(f"mul i32 {self.size(slot, 0)}, {self.size(slot, 1)}")
            inside = self.below(self.names[index.id], count)
        return self.read_at(self.table(slot), self.names[index.id], inside)

    def read_row(self, slot: int, row: str, component: int) -> str:
        length = self.lowered.row_lengths[slot]
        at, base = row, self.table(slot)
        if length > 1:
            at = self.new(f"mul {self.W} {row}, {self.literal('i32', str(length))}")
        if component:
            base = self.new(f"getelementptr float, float{self.star} {base}, i64 {component}")
        return self.read_at(base, at, self.below(row, self.size(slot, 0)))

    def read_at(self, base: str, at: str, inside: str) -> str:
        """base[at] where `inside` holds, elsewhere NaN."""
        N, W, T, L = self.N, self.W, self.T, self.lanes
        P = self.vector(f"float{self.star}")
        if self.machine.gathers and L == 8:
            mask = self.new(f"bitcast {W} {self.new(f'sext {T} {inside} to {W}')} to {N}")
            pointer = self.new(f"bitcast float* {base} to i8*")
            name = "@llvm.x86.avx2.gather.d.ps.256"
            self.declare(f"{N} {name}({N}, i8*, {W}, {N}, i8)")
            return self.new(f"call {N} {name}({N} {self.nan}, i8* {pointer}, {W} {at}, {N} {mask}, i8 4)")
        places = self.new(f"getelementptr float, float{self.star} {base}, {W} {at}")
        if self.machine.gathers and L == 16:
            name = f"@llvm.masked.gather.v{L}f32.v{L}p0f32"
            self.declare(f"{N} {name}({P}, i32, {T}, {N})")
            return self.new(f"call {N} {name}({P} {places}, i32 4, {T} {inside}, {N} {self.nan})")
        # What lies beyond reads a number that is surely there.
        nowhere = self.splat(self.field("out"), f"float{self.star}")
        places = self.new(f"select {T} {inside}, {P} {places}, {P} {nowhere}")
        if L == 1:
            found = self.new(f"load float, {P} {places}")
        else:
            found = "poison"
            for k in range(L):
                place = self.new(f"extractelement {P} {places}, i32 {k}")
                x = self.new(f"load float, float* {place}")
                found = self.new(f"insertelement {N} {found}, float {x}, i32 {k}")
        return self.new(f"select {T} {inside}, {N} {found}, {N} {self.nan}")

    # Loops

    def loop(
        self,
        which: int,
        args: tuple[Node, ...],
        nodes: Sequence[Node],
        around: tuple[int, ...],
        place: Callable[[Node], None],
    ) -> None:
        size = len(args) // 2
        start, after, done = args[:size], args[size : 2 * size], args[2 * size :]
        entry, head, body, out = self.block, f"loop{which}", f"body{which}", f"out{which}"
        self.lines.append(f"  br label %{head}")
        self.begin(head)
        first_line = len(self.lines)
        self.lines += [""] * (size + 1)
        for carried in nodes:
            if carried.op == "carried" and carried.data[0] == which:
                self.names[carried.id] = f"%c{which}_{carried.data[1]}"
        go = self.new(f"icmp slt i32 %turn{which}, {self.lowered.turns[which]}")
        asked = {x.id for x in ancestors(done)}
        if done:
            self.region([x for x in nodes if x.id in asked], around, place)
            bits = self.names[done[0].id]
            if self.beyond:
                bits = self.new(f"or {self.T} {bits}, {self.beyond}")
            if self.lanes > 1:
                bits = self.new(f"bitcast {self.T} {bits} to i{self.lanes}")
            more = self.new(f"icmp ne i{self.lanes} {bits}, -1")
            go = self.new(f"and i1 {go}, {more}")
        self.lines.append(f"  br i1 {go}, label %{body}, label %{out}")
        self.begin(body)
        self.region([x for x in nodes if x.id not in asked], around, place)
        self.lines += [f"  %next{which} = add i32 %turn{which}, 1", f"  br label %{head}"]
        for k in range(size):
            t = self.types[start[k].kind]
            ways = f"[ {self.names[start[k].id]}, %{entry} ], [ {self.names[after[k].id]}, %{self.block} ]"
            self.lines[first_line + k] = f"  %c{which}_{k} = phi {t} {ways}"
        ways = f"[ 0, %{entry} ], [ %next{which}, %{self.block} ]"
        self.lines[first_line + size] = f"  %turn{which} = phi i32 {ways}"
        self.begin(out)

    def out_of(self, which: int, k: int) -> str:
        return f"%c{which}_{k}"


def _table_of(node: Node) -> int:
    slot: int = node.data if node.op == "gather" else node.data[0]
    return slot


def _head(name: str, machine: Machine) -> str:
    if machine.gpu:
        return f'define void @"{name}"(%Arguments{_GLOBAL} %a, i32{_GLOBAL} %bounds) nounwind {{\nstart:'
    return f'define void @"{name}"(%Arguments* noalias readonly %a) nounwind {{\nstart:'


def _prepare(lowered: Lowered, machine: Machine, declarations: dict[str, None]) -> str:
    f = _Function(lowered, machine, declarations, once=True)
    order = lowered.order(lowered.uniforms, machine, once=True)
    f.load_fields(order)

    def compute(node: Node) -> None:
        if node.id not in f.names:
            f.names[node.id] = f.node(node)

    f.region(order, (), compute)
    for k, node in enumerate(lowered.uniforms):
        x = f.names[node.id]
        if node.kind == WHOLE:
            x = f.new(f"bitcast i32 {x} to float")
        elif node.kind == TRUTH:
            x = f.new(f"select i1 {x}, float 1.0, float 0.0")
        place = f.new(f"getelementptr float, float{f.star} {f.field('uniforms')}, i64 {k}")
        f.lines.append(f"  store float {x}, float{f.star} {place}")
    return "\n".join([_head(symbol(lowered.name, "prepare"), machine), *f.lines, "  ret void", "}"])


def _kernel(lowered: Lowered, machine: Machine, declarations: dict[str, None], rows: bool) -> str:
    return _Kernel(lowered, machine, declarations, rows).text()


class _Kernel:
    """value() or rows(): a loop over packets."""

    def __init__(self, lowered: Lowered, machine: Machine, declarations: dict[str, None], rows: bool) -> None:
        self.lowered, self.machine, self.rows = lowered, machine, rows
        self.f = _Function(lowered, machine, declarations)

    def text(self) -> str:
        f, lowered = self.f, self.lowered
        order, self.stores, self.stores_in_turns = lowered.kernel(self.rows, self.machine)
        self.asks_ahead = not self.machine.gpu and sum(map(len, self.stores.values())) > _MANY_PLANES
        f.load_fields(order)
        self.frame()
        if any(node.op == "loop" and len(node.args) % 2 for node in order):
            self.find_padding()
        f.region(order, (), self.place)
        self.latch()
        name = symbol(lowered.name, "rows" if self.rows else "value")
        body = "\n".join(f.lines).replace("%LATCH", f"%{f.block}")
        return "\n".join([_head(name, self.machine), body, "  ret void", "}"])

    def frame(self) -> None:
        """The head of the loop: which packet, in which row of the domain, and where it goes."""
        f, L = self.f, self.machine.lanes
        begin, end, packets = f.field("begin"), f.field("end"), f.field("packets")
        start, self.step = begin, "1"
        if self.machine.gpu:
            for register in ("tid.x", "ctaid.x", "ntid.x", "nctaid.x"):
                f.declare(f"i32 @llvm.nvvm.read.ptx.sreg.{register}() readnone")
            thread, block, threads, blocks = (
                f.new(f"call i32 @llvm.nvvm.read.ptx.sreg.{r}()") for r in ("tid.x", "ctaid.x", "ntid.x", "nctaid.x")
            )
            start = f.new(f"add i32 {begin}, {f.new(f'add i32 {thread}, ' + f.new(f'mul i32 {block}, {threads}'))}")
            self.step = f.new(f"mul i32 {threads}, {blocks}")
        else:
            row = f.new(f"sdiv i32 {start}, {packets}")
            across = f.new(f"srem i32 {start}, {packets}")
        some = f.new(f"icmp slt i32 {start}, {end}")
        f.lines.append(f"  br i1 {some}, label %turn, label %done")
        f.begin("turn")
        f.lines.append(f"  %p = phi i32 [ {start}, %start ], [ %next, %LATCH ]")
        if self.machine.gpu:
            self.row = f.new(f"sdiv i32 %p, {packets}")
            self.first = f.new(f"srem i32 %p, {packets}")
        else:
            f.lines.append(f"  %row = phi i32 [ {row}, %start ], [ %next_row, %LATCH ]")
            f.lines.append(f"  %across = phi i32 [ {across}, %start ], [ %next_across, %LATCH ]")
            self.row, self.first = "%row", f.new(f"mul i32 %across, {L}")
        wide = f.new("sext i32 %p to i64")
        self.item = f.new(f"mul i64 {wide}, {L}")
        ahead = f.new(f"sext i32 {f.new(f'sub i32 %p, {begin}')} to i64")
        self.local = f.new(f"mul i64 {ahead}, {L}")

    def find_padding(self) -> None:
        """Lanes in the padding of a row are done before any loop: what they compute may never end."""
        f, L = self.f, self.machine.lanes
        column = f.splat(self.first, "i32")
        if L > 1:
            column = f.new(f"add {f.W} {column}, <" + ", ".join(f"i32 {k}" for k in range(L)) + ">")
        f.beyond = f.new(f"icmp sge {f.W} {column}, {f.splat(f.field('width'), 'i32')}")

    def latch(self) -> None:
        f, packets = self.f, self.f.field("packets")
        if not self.machine.gpu:
            f.lines += [
                "  %across1 = add i32 %across, 1",
                f"  %wrap = icmp eq i32 %across1, {packets}",
                "  %next_across = select i1 %wrap, i32 0, i32 %across1",
                "  %row1 = add i32 %row, 1",
                "  %next_row = select i1 %wrap, i32 %row1, i32 %row",
            ]
        f.lines += [
            f"  %next = add i32 %p, {self.step}",
            f"  %more = icmp slt i32 %next, {f.field('end')}",
            "  br i1 %more, label %turn, label %done",
            "done:",
        ]

    def place(self, node: Node) -> None:
        f = self.f
        if node.id in f.names:
            pass  # a loop's
        elif node.op in OF_ITEMS:
            f.names[node.id] = self.of_items(node)
        elif node.id in self.lowered.varying or node.op in LITERALS:
            f.names[node.id] = f.node(node)
        else:
            f.names[node.id] = self.uniform(node)
        for name, plane in self.stores.get(node.id, ()):
            self.store(name, str(plane), node)
        for which, first, step in self.stores_in_turns.get(node.id, ()):
            turn = f.new(f"sext i32 %turn{which} to i64")
            self.store("out", f.new(f"add i64 {f.new(f'mul i64 {turn}, {step}')}, {first}"), node)

    def uniform(self, node: Node) -> str:
        f = self.f
        x = f.read(f.field("uniforms"), self.lowered.uniform_places[node.id])
        if node.kind == WHOLE:
            return f.splat(f.new(f"bitcast float {x} to i32"), "i32")
        if node.kind == TRUTH:
            return f.splat(f.new(f"fcmp one float {x}, 0.0"), "i1")
        return f.splat(x)

    def of_items(self, node: Node) -> str:
        f, L = self.f, self.machine.lanes
        if node.op == "row":
            return f.splat(f.new(f"sitofp i32 {self.row} to float"))
        if node.op == "column":
            first = f.splat(f.new(f"sitofp i32 {self.first} to float"))
            steps = "<" + ", ".join(f"float {float(k)}" for k in range(L)) + ">"
            return f.new(f"fadd {f.N} {first}, {steps}") if L > 1 else first
        scalar, field = ("i32", "indices") if node.op == "item_index" else ("float", "inputs")
        plane = f.place_of(node) if node.op == "item_at" else str(node.data[0] if node.op == "item_free" else node.data)
        t = f.vector(scalar)
        place = self.address(f.field(field), scalar, f.field("input_stride"), plane, self.item)
        return f.new(f"load {t}, {t}{f.star} {place}, align {4 * L}, !invariant.load !0")

    def store(self, name: str, plane: str, node: Node) -> None:
        f, L = self.f, self.machine.lanes
        scalar = _SCALARS[node.kind]
        t = f.vector(scalar)
        place = self.address(f.field(name), scalar, f.field("stride"), plane, self.local)
        f.lines.append(f"  store {t} {f.names[node.id]}, {t}{f.star} {place}, align {4 * L}")
        if self.asks_ahead:
            f.declare("void @llvm.prefetch.p0i8(i8*, i32, i32, i32)")
            line = f.new(f"getelementptr i8, i8* {f.new(f'bitcast {t}* {place} to i8*')}, i64 {_AHEAD}")
            f.lines.append(f"  call void @llvm.prefetch.p0i8(i8* {line}, i32 1, i32 3, i32 1)")

    def address(self, base: str, scalar: str, stride: str, plane: str, item: str) -> str:
        f = self.f
        at = item if plane == "0" else f.new(f"add i64 {item}, {f.new(f'mul i64 {stride}, {plane}')}")
        place = f.new(f"getelementptr {scalar}, {scalar}{f.star} {base}, i64 {at}")
        t = f.vector(scalar)
        return place if t == scalar else f.new(f"bitcast {scalar}* {place} to {t}*")
