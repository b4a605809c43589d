"""A traced model as what machines compute: which operations, in which order, and what of them is done how often.

Three functions for each model:

    prepare   what depends on parameters and constants alone, once for a call, in single numbers
    value     the outputs of items
    rows      those, the partials that exist, and which rows of tables of parameters they are by

llvm_text.py and spirv.py make them of this, for their machines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from . import elementary
from .graph import Node, ancestors
from .trace import Program

FUNCTIONS = ("prepare", "value", "rows")

OF_ITEMS = ("item", "item_free", "item_at", "item_index", "column", "row")
LITERALS = ("constant", "whole_constant", "truth")
_WHOLE = ("whole_constant", "whole_affine", "whole_add", "whole_madd")


@dataclass(frozen=True)
class Machine:
    """What text is for: how many items side by side, and what there is to compute with."""

    lanes: int
    fused: bool = True  # one rounding for a * b + c
    gathers: bool = False  # an instruction that reads a packet's numbers from anywhere: AVX2's of 8, AVX-512's of 16
    gpu: bool = False


class Kernel(NamedTuple):
    """What value() or rows() computes, and where each number goes as soon as it is there: it need not be kept.

    Attributes:
        order: nodes, each after what it is made of.
        stores: of a node, by id, the planes of "out" or "ids" that it is.
        stores_in_turns: of a node of a loop: (loop, plane of turn 0, planes from turn to turn).
    """

    order: list[Node]
    stores: dict[int, list[tuple[str, int]]]
    stores_in_turns: dict[int, list[tuple[int, int, int]]]


class Lowered:
    """A program of operations that machines have: what is computed where, the same for all machines."""

    def __init__(self, program: Program) -> None:
        self.name = program.name
        outputs, rows, indices = elementary.expand(program)
        # The planes that rows() writes behind the outputs.
        self.planes = [(output, slot) for output, row in enumerate(rows) for slot in sorted(row)]
        self.outputs: list[Node] = list(outputs)
        self.partials: list[Node] = [rows[output][slot] for output, slot in self.planes]
        self.indices: list[Node] = list(indices)
        self.row_lengths = {a.first: prod(a.shape) for a in program.arguments if a.kind in ("table", "free_table")}
        self.images = {a.first for a in program.arguments if a.kind == "image"}

        # What rows() stores in each turn of a loop: of a number of the loop, first planes and steps from turn to turn.
        self.stored_in_turns = _stored_in_turns(self.partials, self.planes, len(self.outputs))
        storing = {node.data[0] for node in self.partials if node.op == "at_turn"}
        self.once_stored = [node for node in self.partials if node.op != "at_turn"]
        in_turns = [node.args[0] for node in self.partials if node.op == "at_turn"]

        roots = [*self.outputs, *self.once_stored, *self.indices]
        order = ancestors([*roots, *in_turns])
        self.loops = {node.data[0]: node for node in order if node.op == "loop"}
        self.turns: dict[int, int] = {place: program.graph.loops[place].turns for place in {*self.loops, *storing}}
        self.inside = _loops_around(order)
        self.steady = _steady(order)
        self.varying = _varying(order, self.loops, storing)
        used = {a.id: a for node in order if node.id in self.varying for a in node.args}
        used |= {node.id: node for node in roots}
        once = [node for node in used.values() if node.id not in self.varying and node.op not in LITERALS]
        self.uniforms = sorted(once, key=lambda node: node.id)
        self.uniform_places = {node.id: k for k, node in enumerate(self.uniforms)}
        self.fused = _fused(ancestors(self.outputs), order, self._together)

    def _together(self, a: Node, b: Node) -> bool:
        """Whether the one is computed as often as the other."""
        return (a.id in self.varying) == (b.id in self.varying) and self.inside[a.id] == self.inside[b.id]

    def order(self, roots: Iterable[Node], machine: Machine, once: bool) -> list[Node]:
        """Return what computes `roots`: in prepare(), or for items, from what prepare() has written.

        Products are left out that are only parts of other operations.
        """

        def needed(node: Node) -> tuple[Node, ...]:
            if not once and node.id not in self.varying:
                return ()
            k = self.fused.get(node.id) if machine.fused else None
            return node.args if k is None else (*node.args[k].args, node.args[1 - k])

        order = ancestors(roots, needed)
        return _loops_together(order, needed, self.inside) if self.stored_in_turns else order

    def kernel(self, rows: bool, machine: Machine) -> Kernel:
        """Return rows(), or value()."""
        planes = [*self.outputs, *self.partials] if rows else self.outputs
        indices = self.indices if rows else []
        roots = [node.args[0] if node.op == "at_turn" else node for node in planes]
        stores: dict[int, list[tuple[str, int]]] = {}
        for name, nodes in (("out", planes), ("ids", indices)):
            for k, node in enumerate(nodes):
                stores.setdefault(node.id, []).append((name, k))
        in_turns: dict[int, list[tuple[int, int, int]]] = {}
        for (which, number), steps in self.stored_in_turns.items() if rows else ():
            in_turns.setdefault(number, []).extend((which, *step) for step in steps)
        return Kernel(self.order([*roots, *indices], machine, once=False), stores, in_turns)


class Regions:
    """A function that is being written, node by node: those of a loop within it.

    What derives from it writes a loop, by `loop`, and knows what comes out of it, by `out_of`.
    """

    def __init__(self, lowered: Lowered, once: bool) -> None:
        self.lowered, self.once = lowered, once
        self.names: dict[int, Any] = {}  # of nodes that are there
        self.made: dict[object, Any] = {}  # what else is there already

    def region(self, nodes: Sequence[Node], around: tuple[int, ...], place: Callable[[Node], None]) -> None:
        """Those of `nodes` that turn in the loops `around` and no others; loops in them where they are first needed."""
        lowered = self.lowered
        for node in nodes:
            inside = lowered.inside[node.id]
            if inside[: len(around)] == around and len(inside) > len(around):
                which = inside[len(around)]
                if which not in lowered.loops and ("loop", which) not in self.made:  # it does nothing but store
                    self.made["loop", which] = "begun"
                    self.loop(which, (), nodes, (*around, which), place)
            if inside != around or node.op == "carried":
                continue
            if node.op == "loop" and (self.once or node.id in lowered.varying):
                which, k, _ = node.data
                if ("loop", which) not in self.made:
                    self.made["loop", which] = "begun"
                    self.loop(which, node.args, nodes, (*around, which), place)
                self.names[node.id] = self.out_of(which, k)
            place(node)

    def loop(
        self,
        which: int,
        args: tuple[Node, ...],
        nodes: Sequence[Node],
        around: tuple[int, ...],
        place: Callable[[Node], None],
    ) -> None:
        """Write a loop: at most so many turns as its bound says, and no more when it is done for every item."""
        raise NotImplementedError

    def out_of(self, which: int, k: int) -> Any:
        """Return the name of the k-th number of the state of a loop, behind it."""
        raise NotImplementedError


def _loops_around(order: Sequence[Node]) -> dict[int, tuple[int, ...]]:
    """Return which loops each node turns in, outermost first: they were begun in that order."""
    outer: dict[int, set[int]] = {}  # loops around a loop
    while True:
        inside: dict[int, tuple[int, ...]] = {}
        found: dict[int, set[int]] = {}
        for node in order:
            around = {place for a in node.args for place in inside[a.id]}
            if node.op in ("carried", "counter"):
                place = node.data[0] if node.op == "carried" else node.data
                around |= {place, *outer.get(place, ())}
            elif node.op == "loop":
                around.discard(node.data[0])
                found.setdefault(node.data[0], set()).update(around)
            inside[node.id] = tuple(sorted(around))
        if found == outer:
            return inside
        outer = found


def _steady(order: Iterable[Node]) -> set[int]:
    """Return which whole numbers are the same for all lanes: a loop's counter, and what is made of it."""
    steady: set[int] = set()
    for node in order:
        if node.op == "counter" or (node.op in _WHOLE and all(a.id in steady for a in node.args)):
            steady.add(node.id)
    return steady


def _stored_in_turns(
    partials: Sequence[Node], planes: Sequence[tuple[int, int]], first: int
) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Return, of (loop, number), the plane of turn 0 and the step from turn to turn, for each output."""
    found: dict[tuple[int, int, int], dict[int, int]] = {}
    for plane, (node, (output, _)) in enumerate(zip(partials, planes, strict=True), start=first):
        if node.op == "at_turn":
            place, turn = node.data
            found.setdefault((place, node.args[0].id, output), {})[turn] = plane
    result: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (place, number, _), by_turn in found.items():
        step = by_turn.get(1, by_turn[0]) - by_turn[0]
        if by_turn != {k: by_turn[0] + k * step for k in range(len(by_turn))}:
            raise RuntimeError("compiling a model: partials of a total are not evenly spaced")
        result.setdefault((place, number), []).append((by_turn[0], step))
    return result


def _varying(order: Sequence[Node], loops: dict[int, Node], storing: set[int]) -> set[int]:
    """Return which nodes differ from item to item; those of `storing`, loops, count as such."""
    turning = set(storing)
    while True:
        varying: set[int] = set()
        for node in order:
            own = node.op in OF_ITEMS or (node.op == "carried" and node.data[0] in turning)
            own = own or (node.op == "counter" and node.data in turning)
            if own or any(a.id in varying for a in node.args):
                varying.add(node.id)
        more = {place for place, node in loops.items() if node.id in varying} - turning
        if not more:
            return varying
        turning |= more


def _fused(value: Sequence[Node], order: Sequence[Node], together: Callable[[Node, Node], bool]) -> dict[int, int]:
    """Return which argument of an addition or subtraction, a product, is fused with it."""
    outputs = {node.id for node in value}
    # Of what makes outputs, only what they need counts: partials must not change them.
    uses = Counter(a.id for node in order for a in node.args if node.id in outputs or a.id not in outputs)
    fused = {}
    for node in order:
        if node.op in ("add", "sub"):
            products = [k for k, a in enumerate(node.args) if a.op == "mul" and together(node, a)]
            if products:  # best the one that nothing else reads, which need not be computed by itself
                fused[node.id] = min(products, key=lambda k: (uses[node.args[k].id], -k))
    return fused


def _loops_together(
    order: Sequence[Node], needed: Callable[[Node], tuple[Node, ...]], inside: dict[int, tuple[int, ...]]
) -> list[Node]:
    """Return the nodes so that those of a loop are side by side, behind all that they need from outside of it.

    What a loop stores was made when rows were: it may need what is younger than the loop.
    """

    def unit(node: Node) -> int:
        around = inside[node.id]
        return -1 - (around[0] if around else node.data[0]) if around or node.op == "loop" else node.id

    members: dict[int, list[Node]] = {}
    for node in order:
        members.setdefault(unit(node), []).append(node)
    result: list[Node] = []
    begun: set[int] = set()
    todo = list(reversed(members))
    while todo:
        u = todo[-1]
        if u in begun:
            todo.pop()
            if members[u]:
                result += members[u]
                members[u] = []
            continue
        begun.add(u)
        todo += sorted({unit(a) for node in members[u] for a in needed(node)} - begun)
    return result


def symbol(model: str, function: str) -> str:
    """Return the name of one of a model's functions, in letters that every assembler takes."""
    plain = model if model.isascii() else "$" + model.encode().hex()
    return f"{plain}_{function}"
