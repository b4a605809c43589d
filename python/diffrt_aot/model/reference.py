"""A model on NumPy in float64: the graph, node by node. Compiled models are checked against it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from diffrt_aot._arguments import FloatArray, any_array, describe, index_array, real_array, vector, whole_number
from diffrt_aot.errors import InvalidTypeError, InvalidValueError, unknown_name
from diffrt_aot.rigid import rigid_transform

from .graph import EVALUATE, EVALUATE_TRUTH, WHOLE, Node, ancestors, inside_loops

if TYPE_CHECKING:
    from .trace import Argument, Program

Array = np.ndarray[Any, Any]

_SAME = ("stop", "rule", "slopes", "probe")


class Data:
    """The arguments of one call: what the leaves of a graph are.

    Attributes:
        shape: (height, width); a range is one row.
        row, column: of each item.
        parameters, constants, inputs, indices, tables: as in `struct Arguments`.
        columns: where in theta each parameter of an argument is, and in how many numbers.
        poses: the 6 numbers of each Pose.
    """

    def __init__(
        self, program: Program, theta: Any, shape: Any, data: Mapping[str, Any], items: Array | None = None
    ) -> None:
        """`items`: only these, by their number, row by row; the shape then is (1, their number)."""
        self.program = program
        self.shape = domain(program, shape)
        others = [a for a in program.arguments if a.kind not in ("pixel", "item", "free", "pose", "free_table")]
        for name in data:
            if name not in [a.name for a in others]:
                raise unknown_name("argument", name, [a.name for a in others], where=f"{program.name}: ")
        for a in others:
            if a.name not in data:
                raise InvalidTypeError(
                    f"{program.name}: argument {a.name} is missing: {a.name}=..., {_wanted(a, self)}"
                )
        free = by_name(program, theta)
        self.parameters: dict[int, float] = {}
        self.constants: dict[int, float] = {}
        self.inputs: dict[int, FloatArray] = {}
        self.indices: dict[int, Array] = {}
        self.tables: dict[int, FloatArray] = {}
        self.columns: dict[int, tuple[int, int]] = {}
        self.poses: dict[int, FloatArray] = {}
        self.size = 0
        for k, a in enumerate(program.arguments):
            self._take(k, a, free, data)
        height, width = self.shape
        self.row, self.column = np.arange(height)[:, None], np.arange(width)[None, :]
        if items is not None:
            self.shape = (1, len(items))
            self.row, self.column = np.divmod(items[None, :], max(width, 1))
            self.inputs = {k: x.reshape(1, -1)[:, items] for k, x in self.inputs.items()}
            self.indices = {k: x.reshape(1, -1)[:, items] for k, x in self.indices.items()}

    def _take(self, k: int, a: Argument, free: dict[str, Any], data: Mapping[str, Any]) -> None:
        n = math.prod(a.shape)
        if a.kind == "free":
            x = _shaped(a.name, free[a.name], a.shape).ravel()
            self.parameters.update(zip(range(a.first, a.first + n), x.tolist(), strict=True))
            self._add(k, n, n)
        elif a.kind == "pose":
            T = transform(a.name, free[a.name])
            self.poses[k] = T[1]
            self.parameters.update(zip(range(a.first, a.first + 12), T[0][:3].ravel().tolist(), strict=True))
            self._add(k, 6, 6)
        elif a.kind == "free_table":
            self.tables[a.first] = _rows(a, free[a.name])
            self._add(k, len(self.tables[a.first]) * n, n)
        elif a.kind == "constant":
            x = _shaped(a.name, data[a.name], a.shape).ravel()
            self.constants.update(zip(range(a.first, a.first + n), x.tolist(), strict=True))
        elif a.kind in ("per_item", "per_item_free"):
            x = _per_item(a, real_array(a.name, data[a.name]), self)
            self.inputs.update((a.first + c, x[..., c]) for c in range(n))
        elif a.kind == "per_item_index":
            given = any_array(a.name, data[a.name])
            i = _per_item(a, index_array(a.name, given, "abcdef"[: given.ndim]), self)
            self.indices.update((a.first + c, i[..., c]) for c in range(n))
        elif a.kind == "table":
            self.tables[a.first] = _rows(a, data[a.name])
        elif a.kind == "image":
            self.tables[a.first] = real_array(a.name, data[a.name])
            if self.tables[a.first].ndim != 2:
                raise InvalidValueError(
                    f"{a.name}: must have shape (height, width), got {self.tables[a.first].shape}; pass one channel, "
                    f"{a.name}[..., 0]"
                )

    def _add(self, argument: int, count: int, each: int) -> None:
        self.columns[argument] = (self.size, each)
        self.size += count


def domain(program: Program, shape: Any) -> tuple[int, int]:
    """(height, width) of what is evaluated; a range is one row."""
    axes = ("height", "width") if program.image else ("n",)
    several = isinstance(shape, (tuple, list)) or (isinstance(shape, np.ndarray) and shape.ndim > 0)
    sizes = tuple(shape) if several else (shape,)
    if len(sizes) != len(axes):
        raise InvalidValueError(
            f"shape: must be ({', '.join(axes)}{'' if program.image else ','}), got {describe(shape)}"
        )
    found = [whole_number(f"shape: {axis}", n, 0, 2**31 - 1) for axis, n in zip(axes, sizes, strict=True)]
    return (found[0], found[1]) if program.image else (1, found[0])


def _wanted(a: Argument, data: Data) -> str:
    if a.kind in ("per_item", "per_item_free", "per_item_index"):
        return f"an array of shape {(*_outer(data), *a.shape)}"
    if a.kind == "table":
        return f"an array of shape {('rows', *a.shape)}"
    if a.kind == "image":
        return "an array of shape (height, width)"
    return f"an array of shape {a.shape}" if a.shape else "a number"


def _outer(data: Data) -> tuple[int, ...]:
    return data.shape if data.program.image else data.shape[1:]


def _shaped(name: str, value: Any, shape: tuple[int, ...]) -> FloatArray:
    x = real_array(name, value)
    if x.shape != shape:
        advice = ""
        if x.size == math.prod(shape):
            advice = f"; pass {name}.reshape({', '.join(map(str, shape))})" if shape else "; pass its single element"
        raise InvalidValueError(f"{name}: must have shape {shape}, got {x.shape}{advice}")
    return x


def _rows(a: Argument, value: Any) -> FloatArray:
    x = real_array(a.name, value)
    if x.ndim != 1 + len(a.shape) or x.shape[1:] != a.shape:
        text = "(" + ", ".join(["rows", *map(str, a.shape)]) + ("," if not a.shape else "") + ")"
        raise InvalidValueError(f"{a.name}: must have shape {text}, got {x.shape}")
    return x


def _per_item(a: Argument, x: Array, data: Data) -> Array:
    wanted = (*_outer(data), *a.shape)
    if x.shape != wanted:
        raise InvalidValueError(
            f"{a.name}: must have shape {wanted}: {a.shape or 'one number'} of each item; got {x.shape}"
        )
    return x.reshape(*data.shape, math.prod(a.shape))


def transform(name: str, value: Any) -> tuple[FloatArray, FloatArray]:
    """A Pose as a matrix (4, 4), and as 6 numbers."""
    x = real_array(name, value)
    if x.shape == (6,):
        return exponential(x), x
    if x.shape not in ((4, 4), (3, 4)):
        raise InvalidValueError(f"{name}: must be a 4 x 4 matrix, or 6 numbers (rho, phi), got shape {x.shape}")
    T = rigid_transform(name, x)
    return T, logarithm(T)


def by_name(program: Program, theta: Any) -> dict[str, Any]:
    """The parameters, {name: array}, of a dictionary or of a vector."""
    free = [a for a in program.arguments if a.kind in ("free", "pose", "free_table")]
    names = [a.name for a in free]
    if isinstance(theta, Mapping):
        for name in theta:
            if name not in names:
                raise unknown_name("parameter", name, names, where="theta: ")
        for name in names:
            if name not in theta:
                raise InvalidValueError(f"theta: {name} is missing; there are {', '.join(names)}")
        return dict(theta)
    x = vector("theta", theta)
    tables = [a for a in free if a.kind == "free_table"]
    if len(tables) > 1:
        both = " and ".join(a.name for a in tables)
        raise InvalidValueError(
            f"theta: how many rows {both} have is not known from a vector: give theta by name, a dict"
        )
    fixed = sum(_count(a) for a in free if a.kind != "free_table")
    each = _count(tables[0]) if tables else 1
    if (x.size != fixed and not tables) or x.size < fixed or (x.size - fixed) % each:
        number = f"{fixed}" + (f" + {each} for each row of {tables[0].name}" if tables else "")
        counts = ", ".join(f"{a.name} {_count(a)}" for a in free)
        raise InvalidValueError(f"theta: has {number} numbers ({counts}), got {x.size}")
    result, at = {}, 0
    for a in free:
        n = x.size - fixed if a.kind == "free_table" else _count(a)
        shapes = {"pose": (6,), "free_table": (n // _count(a), *a.shape)}
        result[a.name] = x[at : at + n].reshape(shapes.get(a.kind, a.shape))
        at += n
    return result


def _count(a: Argument) -> int:
    return 6 if a.kind == "pose" else math.prod(a.shape)


# --- evaluation


def evaluate(program: Program, data: Data, roots: Sequence[Node]) -> list[Array]:
    """Each root as an array of the domain's shape, (height, width)."""
    members = inside_loops(ancestors(roots))
    with np.errstate(all="ignore"):
        known = _run(program, data, roots, {}, members, frozenset())
    return [np.broadcast_to(known[r.id], data.shape) for r in roots]


def _run(
    program: Program,
    data: Data,
    roots: Sequence[Node],
    known: dict[Any, Any],
    members: dict[int, frozenset[int]],
    inside: frozenset[int],
) -> dict[Any, Any]:
    for n in ancestors(roots):
        if n.id in known or not members.get(n.id, frozenset()) <= inside:
            continue  # what is in a loop is computed there
        if n.op == "loop":
            key = ("loop", *(a.id for a in n.args))
            if key not in known:
                known[key] = _turns(program, data, n, known, members, inside)
            known[n.id] = known[key][n.data[1]]
        elif n.op in ("total", "at_turn"):
            known[n.id] = _counted(program, data, n, known, members, inside)
        else:
            known[n.id] = _value(n, [known[a.id] for a in n.args], data)
    return known


def _turns(
    program: Program,
    data: Data,
    node: Node,
    outside: dict[Any, Any],
    members: dict[int, frozenset[int]],
    inside: frozenset[int],
) -> list[Any]:
    place, _, size = node.data
    loop, inside = program.graph.loops[place], inside | {place}
    after, done = node.args[size : 2 * size], node.args[2 * size :]
    state = [outside[a.id] for a in node.args[:size]]
    for _ in range(loop.turns):
        known = outside | {c.id: s for c, s in zip(loop.carried, state, strict=True)}
        _run(program, data, done, known, members, inside)
        if done and np.all(known[done[0].id]):
            break
        _run(program, data, after, known, members, inside)
        state = [known[a.id] for a in after]
    return state


def _counted(
    program: Program,
    data: Data,
    node: Node,
    outside: dict[Any, Any],
    members: dict[int, frozenset[int]],
    inside: frozenset[int],
) -> Any:
    """A sum over all turns, or what is in one of them."""
    place = node.data if node.op == "total" else node.data[0]
    turns = range(program.graph.loops[place].turns) if node.op == "total" else (node.data[1],)
    counter = program.graph.make("counter", (), place, WHOLE)
    result: Any = 0.0
    for turn in turns:
        known = outside | {counter.id: np.int64(turn)}
        result = result + _run(program, data, node.args, known, members, inside | {place})[node.args[0].id]
    return result


def _value(n: Node, a: list[Any], data: Data) -> Any:
    op = n.op
    if op in EVALUATE:
        return EVALUATE[op](*a)
    if op in EVALUATE_TRUTH:
        return EVALUATE_TRUTH[op](*a)
    if op in _SAME:
        return a[0]
    return OPERATIONS[op](n, a, data)


def _read(table: Array, index: Any) -> Array:
    """What is there, and NaN beyond."""
    flat = table.reshape(-1)
    if not flat.size:
        return np.full(np.shape(index), np.nan)
    inside = (np.asarray(index) >= 0) & (np.asarray(index) < flat.size)
    return np.where(inside, flat[np.where(inside, index, 0)], np.nan)


def _selected(n: Node, a: list[Any], data: Data) -> Array:
    slot, component, _ = n.data
    table = data.tables[slot]
    return _read(np.ascontiguousarray(table.reshape(len(table), math.prod(table.shape[1:]))[:, component]), a[0])


def _uniform(n: Node, a: list[Any], data: Data) -> float:
    kind, k = n.data
    if kind == "constant":
        return data.constants[k]
    table = data.tables[k // 2]
    image = any(x.kind == "image" and x.first == k // 2 for x in data.program.arguments)
    return float(table.shape[k % 2] if image or k % 2 == 0 else math.prod(table.shape[1:]))


#: Of nodes that are not functions of numbers: the node, its arguments' values, the call's data.
OPERATIONS: dict[str, Callable[[Node, list[Any], Data], Any]] = {
    "constant": lambda n, a, d: np.float64(n.data),
    "truth": lambda n, a, d: np.bool_(n.data),
    "parameter": lambda n, a, d: np.float64(d.parameters[n.data[0]]),
    "stored": lambda n, a, d: np.float64(d.parameters[n.data]),
    "uniform": _uniform,
    "item": lambda n, a, d: d.inputs[n.data],
    "item_free": lambda n, a, d: d.inputs[n.data[0]],
    "item_index": lambda n, a, d: d.indices[n.data],
    "column": lambda n, a, d: d.column.astype(np.float64),
    "row": lambda n, a, d: d.row.astype(np.float64),
    "parameter_at": lambda n, a, d: np.float64(d.parameters[n.data[0] + int(a[0])]),
    "constant_at": lambda n, a, d: np.float64(d.constants[n.data + int(a[0])]),
    "item_at": lambda n, a, d: d.inputs[n.data + int(a[0])],
    "where": lambda n, a, d: np.where(*a),
    "whole": lambda n, a, d: np.trunc(a[0]).astype(np.int64),
    "float": lambda n, a, d: np.asarray(a[0]).astype(np.float64),
    "whole_constant": lambda n, a, d: np.int64(n.data),
    "whole_affine": lambda n, a, d: a[0] * n.data[0] + n.data[1],
    "whole_add": lambda n, a, d: a[0] + a[1],
    "whole_madd": lambda n, a, d: a[0] * a[1] + a[2],
    "gather": lambda n, a, d: _read(d.tables[n.data], a[0]),
    "selected": _selected,
}


def value(program: Program, theta: Any, shape: Any, data: Mapping[str, Any]) -> FloatArray:
    """(*shape, *output_shape)."""
    call = Data(program, theta, shape, data)
    return _outputs(call, evaluate(program, call, program.outputs))


def _outputs(call: Data, planes: Sequence[Array]) -> FloatArray:
    return np.stack(planes, -1).reshape(*_outer(call), *call.program.output_shape)


class _Partial(NamedTuple):
    """What an output's row has by a slot: `partial` of the items `there`, in these columns of J."""

    output: int
    there: Any
    columns: Any
    partial: Array


def _rows_of(program: Program, call: Data) -> tuple[list[Array], list[_Partial]]:
    """The outputs, and the partials by theta: of each item, row by row."""
    planes = [(o, s) for o, row in enumerate(program.rows) for s in sorted(row)]
    count = len(program.outputs)
    roots = [*program.outputs, *(program.rows[o][s] for o, s in planes), *(b.index for b in program.blocks)]
    found = [x.reshape(-1) for x in evaluate(program, call, roots)]
    indices, result = found[count + len(planes) :], []
    for (output, s), partial in zip(planes, found[count:], strict=False):
        slot = program.slots[s]
        if slot.argument not in call.columns:
            continue
        first, each = call.columns[slot.argument]
        if slot.block < 0:
            result.append(_Partial(output, slice(None), first + slot.component, partial))
            continue
        index = indices[slot.block]
        there = (index >= 0) & (index < len(call.tables[program.arguments[slot.argument].first]))
        result.append(_Partial(output, there, first + index[there] * each + slot.component, partial[there]))
    return found[:count], result


def jacobian(program: Program, theta: Any, shape: Any, data: Mapping[str, Any]) -> tuple[FloatArray, FloatArray]:
    """The outputs, and J (*shape, *output_shape, P); partials by PerItemFree are no columns of it."""
    call = Data(program, theta, shape, data)
    outputs, partials = _rows_of(program, call)
    items = np.arange(math.prod(call.shape))
    J = np.zeros((len(items), len(outputs), call.size))
    for output, there, columns, partial in partials:
        J[items[there], output, columns] += partial
    for argument, xi in call.poses.items():
        first, _ = call.columns[argument]
        J[..., first : first + 6] = J[..., first : first + 6] @ right_jacobian(xi)
    values = _outputs(call, outputs)
    return values, J.reshape(*values.shape, call.size)


def products(program: Program, call: Data, seeds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The outputs (items, outputs) of a call, and J @ seeds (items, outputs, K), seeds (P, K)."""
    outputs, partials = _rows_of(program, call)
    tangents = seeds.copy()  # of poses those of their increments
    for argument, xi in call.poses.items():
        block = slice(call.columns[argument][0], call.columns[argument][0] + 6)
        tangents[block] = right_jacobian(xi) @ seeds[block]
    result = np.zeros((math.prod(call.shape), len(outputs), seeds.shape[1]))
    for output, there, columns, partial in partials:
        result[there, output] += partial[:, None] * tangents[columns]
    return np.stack(outputs, -1), result


# --- rigid motions: Sola, Deray and Atchuthan 2018, "A micro Lie theory for state estimation in robotics", appendix D


def _skew(v: FloatArray) -> FloatArray:
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])


def _series(generator: FloatArray, first: int) -> FloatArray:
    """sum over n of generator^n / (n + first)!"""
    term = np.eye(len(generator)) / math.factorial(first)
    total = term.copy()
    for n in range(1, 60):
        term = term @ generator / (n + first)
        total += term
    return total


def exponential(xi: FloatArray) -> FloatArray:
    """T = exp(xi), (4, 4), of xi = (rho, phi)."""
    generator = np.zeros((4, 4))
    generator[:3, :3], generator[:3, 3] = _skew(xi[3:]), xi[:3]
    return _series(generator, 0)


def logarithm(T: FloatArray) -> FloatArray:
    """xi of T, with |phi| <= pi."""
    R = T[:3, :3]
    w = 0.5 * np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
    angle = math.atan2(float(np.linalg.norm(w)), 0.5 * (float(np.trace(R)) - 1.0))
    if angle < 1e-8:
        phi = w
    elif angle < 3.0:
        phi = w * (angle / math.sin(angle))
    else:  # the axis from the symmetric part, its sign from the other
        S = 0.5 * (R + R.T) - math.cos(angle) * np.eye(3)
        axis = S[:, int(np.argmax(np.diag(S)))]
        axis = axis / np.linalg.norm(axis)
        phi = angle * (axis if axis @ w >= 0.0 else -axis)
    V = _series(_skew(phi), 1)
    return np.concatenate([np.linalg.solve(V, T[:3, 3]), phi])


def right_jacobian(xi: FloatArray) -> FloatArray:
    """exp(xi + d) = exp(xi) exp(right_jacobian(xi) d) to first order."""
    adjoint = np.zeros((6, 6))
    adjoint[:3, :3] = adjoint[3:, 3:] = _skew(xi[3:])
    adjoint[:3, 3:] = _skew(xi[:3])
    return _series(-adjoint, 1)
