"""Totals as machines have them: loops that add up, and partials that are stored turn by turn.

    total (x; place)             the sum of x over the turns of a counter
    at_turn (x; place, turn)     what x is in one of them

What x is made of within a total: "counter" (place), a whole number, the same for all items; and what is read at it:
"parameter_at" (index; first parameter, first slot), "constant_at" (index; first constant), "item_at" (index; first
plane).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from .graph import (
    WHOLE,
    Graph,
    Loop,
    Node,
    ancestors,
    build,
    constant,
    inside_loops,
    make,
    whole_affine,
    whole_constant,
)

if TYPE_CHECKING:
    from .trace import Program


def unrolled(program: Program, roots: Sequence[Node]) -> list[Node]:
    """Roots of which at_turn is one only where all turns are stored, in planes that are equally far apart."""
    outputs = len(program.outputs)
    planes = [(o, s) for o, row in enumerate(program.rows) for s in row]
    rolled = _stored_by_turn(program, planes, roots[outputs : outputs + len(planes)])
    once = _Substitution(program.graph)
    result = []
    for k, root in enumerate(roots):
        keep = root.op == "at_turn" and k - outputs in rolled
        result.append(make("at_turn", (once.outside(root.args[0]),), root.data) if keep else once.outside(root))
    return result


def _stored_by_turn(program: Program, planes: list[tuple[int, int]], partials: Sequence[Node]) -> set[int]:
    """Which partials are turns of a group that is whole."""
    place = {plane: k for k, plane in enumerate(sorted(planes))}
    groups: dict[tuple[int, int, int], dict[int, int]] = {}
    for k, (plane, e) in enumerate(zip(planes, partials, strict=True)):
        if e.op == "at_turn":
            groups.setdefault((plane[0], e.args[0].id, e.data[0]), {})[e.data[1]] = k
    result: set[int] = set()
    for (_, _, loop), turns in groups.items():
        at = [place[planes[turns[t]]] for t in sorted(turns)]
        even = len({b - a for a, b in pairwise(at)}) <= 1
        if len(turns) == program.graph.loops[loop].turns and even:
            result |= set(turns.values())
    return result


class _Substitution:
    """Nodes in which at_turn is what it stands for, of numbers that are known."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.known: dict[tuple[int, int, int], Node] = {}  # of (node, place, turn); outside of turns -1, -1

    def outside(self, node: Node) -> Node:
        return self._made(node, -1, -1)

    def _made(self, root: Node, place: int, turn: int) -> Node:
        order = ancestors([root])
        members = inside_loops(order)
        for n in order:
            inside = place in members.get(n.id, ())
            key = (n.id, place, turn) if inside else (n.id, -1, -1)
            if key in self.known:
                continue
            if n.op == "at_turn":
                self.known[key] = self._made(n.args[0], *n.data)
            elif n.op == "counter" and inside:
                self.known[key] = whole_constant(turn)
            else:
                args = tuple(
                    self.known[(a.id, place, turn) if place in members.get(a.id, ()) else (a.id, -1, -1)]
                    for a in n.args
                )
                read = _read(n, args)
                self.known[key] = _same(self.graph, n, args) if read is None else read
        return self.known[(root.id, place, turn) if place in members.get(root.id, ()) else (root.id, -1, -1)]


def _read(n: Node, args: tuple[Node, ...]) -> Node | None:
    """What is read at an index that is known."""
    if n.op == "whole_affine" and args[0].op == "whole_constant":
        return whole_affine(args[0], *n.data)
    if n.op == "float" and args[0].op == "whole_constant":
        return constant(args[0].data)
    if not n.op.endswith("_at") or args[0].op != "whole_constant":
        return None
    k = args[0].data
    if n.op == "parameter_at":
        return make("parameter", (), (n.data[0] + k, n.data[1] + k))
    return make("uniform", (), ("constant", n.data + k)) if n.op == "constant_at" else make("item", (), n.data + k)


def _same(graph: Graph, n: Node, args: tuple[Node, ...]) -> Node:
    same = all(a is b for a, b in zip(args, n.args, strict=True))
    return n if same else graph.make(n.op, args, n.data, n.kind)


def as_loops(graph: Graph, roots: Sequence[Node]) -> list[Node]:
    """Roots without totals: those of one counter that do not need each other are one loop, with a sum for each.

    What is stored turn by turn is within the loop of the sums that need as many others, or in a loop of its own.
    """
    order = ancestors(roots)
    counted = {n.data for n in order if n.op == "counter"}
    members = {k: v for k, v in inside_loops(order).items() if v & counted}
    sums = [n for n in order if n.op == "total"]
    if not sums and not any(n.op == "at_turn" for n in order):
        return list(roots)

    level: dict[int, int] = {}

    def level_of(x: Node, place: int) -> int:
        """How many times one has to count before x is known within a turn."""
        return max((level[n.id] + 1 for n in ancestors([x]) if n.op == "total" and n.data == place), default=0)

    for n in sums:
        level[n.id] = level_of(n.args[0], n.data)
    loops: dict[tuple[int, int], int] = {}
    known: dict[tuple[int, int], Node] = {}  # of (node, its loop or -1)

    def loop_of(place: int, depth: int) -> int:
        if (place, depth) not in loops:
            loops[place, depth] = len(graph.loops)
            graph.loops.append(Loop([], [], None, graph.loops[place].turns))
        return loops[place, depth]

    def within(root: Node, place: int, new: int) -> Node:
        """root in the loop `new`, of what has been made outside."""
        for n in ancestors([root]):
            if place not in members.get(n.id, ()) or (n.id, new) in known:
                continue
            args = tuple(known[a.id, new if place in members.get(a.id, ()) else -1] for a in n.args)
            known[n.id, new] = make("counter", (), new, WHOLE) if n.op == "counter" else _same(graph, n, args)
        return known[root.id, new if place in members.get(root.id, ()) else -1]

    groups: dict[tuple[int, int], list[Node]] = {}
    for n in sums:
        groups.setdefault((n.data, level[n.id]), []).append(n)

    def outside(root: Node) -> Node:
        for n in ancestors([root]):
            if n.id in members or (n.id, -1) in known:
                continue
            if n.op == "total":
                add_up(n.data, level[n.id])
            elif n.op == "at_turn":
                place, turn = n.data
                for a in ancestors(n.args):
                    if a.id not in members:
                        outside_one(a)
                new = loop_of(place, level_of(n.args[0], place))
                known[n.id, -1] = make("at_turn", (within(n.args[0], place, new),), (new, turn))
            else:
                outside_one(n)
        return known[root.id, -1]

    def outside_one(n: Node) -> None:
        if (n.id, -1) not in known:
            if n.op == "total":
                add_up(n.data, level[n.id])
            else:
                known[n.id, -1] = _same(graph, n, tuple(known[a.id, -1] for a in n.args))

    def add_up(place: int, depth: int) -> None:
        group = groups[place, depth]
        for n in group:
            for a in ancestors(n.args):
                if a.id not in members:
                    outside_one(a)
        new = loop_of(place, depth)
        carried = [make("carried", (), (new, k)) for k in range(len(group))]
        after = [build("add", c, within(n.args[0], place, new)) for c, n in zip(carried, group, strict=True)]
        graph.loops[new] = Loop(carried, after, None, graph.loops[place].turns)
        args = (*(constant(0.0) for _ in group), *after)
        for k, n in enumerate(group):
            known[n.id, -1] = make("loop", args, (new, k, len(group)))

    return [outside(r) for r in roots]
