"""Which line of an author's text makes a derivative that is not that of the value."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from diffrt_aot._arguments import FloatArray
from diffrt_aot._differences import differences

from . import derivative
from .graph import NUMBER, Node, ancestors, inside_loops
from .reference import Data, evaluate, right_jacobian
from .trace import Program

_MOST_NODES = 3000  # of larger models the output's line is what is told


def culprit(
    program: Program, call: Callable[[FloatArray], Data], theta: FloatArray, direction: FloatArray, output: int
) -> str:
    """Return "file:line" of the first number that an output is made of whose derivative along a direction is wrong.

    Args:
        call: the model's data at a theta, for a single item.
    """
    root = program.outputs[output]
    with program.graph:
        order = _differentiated(root)
    members = inside_loops(ancestors([root]))
    order = [node for node in order if node.id not in members and node.kind == NUMBER]
    if len(order) <= _MOST_NODES:
        slopes = _slopes(program, call(theta), order, direction)
        found = differences(lambda at: _values(program, call(at), order), theta, [direction], 3e-2, 1e-15)
        right = found.slope[:, 0]
        with np.errstate(invalid="ignore"):
            wrong = np.abs(slopes - right) > 1e-3 * np.maximum(np.abs(slopes), np.abs(right)) + 10.0 * found.error[:, 0]
        for node, is_wrong in zip(order, wrong, strict=True):
            if is_wrong:
                root = node
                break
    return f"{root.line[0]}:{root.line[1]}"


def _differentiated(root: Node) -> list[Node]:
    """What its derivative goes through, each after what it is made of: not what stands in a rule."""
    found: dict[int, Node] = {}
    todo = [root]
    while todo:
        node = todo.pop()
        if node.id in found:
            continue
        found[node.id] = node
        if derivative.own_partials(node) is None and node.op != "stop":
            todo += derivative.differentiated(node)
    return [found[k] for k in sorted(found)]


def _values(program: Program, call: Data, order: Sequence[Node]) -> FloatArray:
    return np.array([x.reshape(-1)[0] for x in evaluate(program, call, order)])


def _slopes(program: Program, call: Data, order: Sequence[Node], direction: FloatArray) -> FloatArray:
    """Of each number along a direction of theta."""
    tangents = direction.copy()
    for argument, xi in call.poses.items():
        block = slice(call.columns[argument][0], call.columns[argument][0] + 6)
        tangents[block] = right_jacobian(xi) @ direction[block]
    with program.graph:
        rows = [derivative.forward(program.graph, node) for node in order]
    partials = [e for row in rows for e in row.values()]
    found = iter(_values(program, call, [*partials, *(b.index for b in program.blocks)]).tolist())
    numbers = [{slot: next(found) for slot in row} for row in rows]
    indices = [int(i) for i in found]

    def along(slot: int) -> float:
        s = program.slots[slot]
        if s.argument not in call.columns:
            return 0.0
        first, each = call.columns[s.argument]
        row = indices[s.block] if s.block >= 0 else 0
        return float(tangents[first + row * each + s.component])

    return np.array([sum(e * along(slot) for slot, e in row.items()) for row in numbers])
