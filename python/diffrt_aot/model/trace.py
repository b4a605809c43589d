"""A model: a Python function on numbers, and what tracing it gives."""

from __future__ import annotations

import inspect
import math
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from diffrt_aot.errors import ModelError, suggestion

from . import derivative, reference
from . import graph as g
from .arguments import (
    Declared,
    FreeTableArgument,
    ImageArgument,
    ItemArgument,
    Numbers,
    PixelArgument,
    TableArgument,
    shaped,
)
from .functions import METHODS
from .graph import WHOLE, Graph, Node, lift, make

if TYPE_CHECKING:
    from diffrt_aot.compiled_model import CompiledModel

DOMAINS = ("pixel", "item")
PARAMETERS = ("free", "pose", "free_table")

#: What a model is asked with beside its arguments, now or later.
RESERVED = frozenset(
    (
        "theta",
        "shape",
        "seeds",
        "observed",
        "weights",
        "loss",
        "out",
        "device",
        "threads",
        "dense_limit",
        "theta0",
        "prior",
        "bounds",
    )
)


@dataclass(frozen=True)
class Argument:
    """One of a model's arguments.

    Attributes:
        kind: as ArgumentKind in cpp/src/module/description.hpp.
        shape: of the array that the author sees; of tables, of one row; () for one number.
        first: its place among parameters, constants, inputs, indices or tables.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    first: int


@dataclass(frozen=True)
class Slot:
    """A column of a row as the code knows it: a number of an argument, by itself (block -1) or in a block."""

    argument: int
    component: int
    block: int


@dataclass(frozen=True)
class Block:
    """A row of a FreeTable that an item reads, and at which index."""

    argument: int
    index: Node


@dataclass
class Program:
    """A model, traced and differentiated; nothing is compiled.

    Attributes:
        outputs, output_shape: the numbers that come out, and the shape that they have for an item.
        rows: of each output {slot: partial}; a partial that is not there is 0.
        method: how they were made, "forward", "reverse" or "mixed".
        warnings: what is odd about the model, in sentences.
    """

    name: str
    place: str
    doc: str
    arguments: list[Argument] = field(default_factory=list)
    graph: Graph = field(default_factory=Graph)
    outputs: list[Node] = field(default_factory=list)
    output_shape: tuple[int, ...] = ()
    slots: list[Slot] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    rows: list[dict[int, Node]] = field(default_factory=list)
    method: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def image(self) -> bool:
        """Whether the domain is an image, (height, width), or a range, (n,)."""
        return any(a.kind == "pixel" for a in self.arguments)

    def add_slots(self, argument: int, count: int, block: int = -1) -> int:
        first = len(self.slots)
        self.slots += [Slot(argument, k, block) for k in range(count)]
        return first

    def add_block(self, argument: int, index: Node, count: int) -> int:
        self.blocks.append(Block(argument, index))
        return self.add_slots(argument, count, len(self.blocks) - 1)


def _placed(declared: dict[str, Declared]) -> list[Argument]:
    """The arguments, with their places in `struct Arguments`: tables of parameters come behind all others."""
    tables = sum(d.kind in ("table", "image") for d in declared.values())
    next_place = {"parameters": 0, "constants": 0, "inputs": 0, "indices": 0, "tables": 0, "free tables": tables}
    planes = {
        "free": "parameters",
        "pose": "parameters",
        "constant": "constants",
        "per_item": "inputs",
        "per_item_free": "inputs",
        "per_item_index": "indices",
        "table": "tables",
        "image": "tables",
        "free_table": "free tables",
    }
    result = []
    for name, d in declared.items():
        plane = planes.get(d.kind)
        result.append(Argument(name, d.kind, d.shape, next_place[plane] if plane else 0))
        if plane:
            size = 12 if d.kind == "pose" else 1 if "table" in plane else math.prod(d.shape)
            next_place[plane] += size
    return result


def _pose(place: int, first: int) -> Any:
    """T as a 4 x 4 matrix whose derivatives are those of T exp(delta), delta = (rho, phi), at delta = 0."""
    stored = [[make("stored", (), place + 4 * i + j) for j in range(4)] for i in range(3)]
    rho, phi = first, first + 3
    T = np.empty((4, 4), object)
    for i, (r0, r1, r2, t) in enumerate(stored):
        # R [phi]x, column by column; R rho.
        T[i, 0] = make("rule", (r0, -r2, r1), (phi + 1, phi + 2))
        T[i, 1] = make("rule", (r1, r2, -r0), (phi, phi + 2))
        T[i, 2] = make("rule", (r2, -r1, r0), (phi, phi + 1))
        T[i, 3] = make("rule", (t, r0, r1, r2), (rho, rho + 1, rho + 2))
    T[3] = [g.constant(x) for x in (0.0, 0.0, 0.0, 1.0)]
    return T


def _given(program: Program, place: int) -> Any:
    """What the function gets for an argument."""
    a = program.arguments[place]
    n = math.prod(a.shape)
    if a.kind == "pixel":
        return PixelArgument()
    if a.kind == "item":
        return ItemArgument()
    if a.kind == "image":
        return ImageArgument(a.name, a.first)
    if a.kind == "table":
        return TableArgument(a.name, a.first, a.shape)
    if a.kind == "free_table":
        return FreeTableArgument(program, place, a.name, a.first, a.shape)
    if a.kind == "pose":
        return _pose(a.first, program.add_slots(place, 6))
    if a.kind == "per_item_index":
        return shaped([make("item_index", (), a.first + k, WHOLE) for k in range(n)], a.shape)
    if a.kind == "constant":
        numbers = [make("uniform", (), ("constant", a.first + k)) for k in range(n)]
        return Numbers.of(a.name, numbers, a.shape, lambda i: make("constant_at", (i,), a.first))
    if a.kind == "per_item":
        numbers = [make("item", (), a.first + k) for k in range(n)]
        return Numbers.of(a.name, numbers, a.shape, lambda i: make("item_at", (i,), a.first))
    first = program.add_slots(place, n)
    if a.kind == "per_item_free":
        return shaped([make("item_free", (), (a.first + k, first + k)) for k in range(n)], a.shape)
    numbers = [make("parameter", (), (a.first + k, first + k)) for k in range(n)]
    return Numbers.of(a.name, numbers, a.shape, lambda i: make("parameter_at", (i,), (a.first, first)))


def _outputs(returned: Any, where: str) -> tuple[list[Node], tuple[int, ...]]:
    if returned is None:
        raise ModelError(f"{where}: returns nothing: end it with `return` and the numbers that come out")
    if isinstance(returned, (dict, set)) or inspect.isgenerator(returned):
        raise ModelError(
            f"{where}: returns a {type(returned).__name__}: return a number, a tuple of numbers, or an array"
        )
    if isinstance(returned, (tuple, list)):
        for k, x in enumerate(returned):
            if isinstance(x, (tuple, list)) or (isinstance(x, np.ndarray) and x.ndim):
                raise ModelError(
                    f"{where}: output {k} is a {type(x).__name__} of {len(x)}, where a number is expected: "
                    "join them, np.concatenate([a, b]), or stack them, np.array([a, b])"
                )
        array = np.empty(len(returned), object)
        array[:] = returned
    else:
        array = np.empty((), object) if isinstance(returned, Node) else np.asarray(returned, object)
        if isinstance(returned, Node):
            array[()] = returned
    if array.ndim > 2:
        raise ModelError(f"{where}: returns an array of shape {array.shape}: outputs have at most two axes")
    if array.size == 0:
        raise ModelError(f"{where}: returns no numbers")
    flat = list(array.reshape(-1))
    for k, x in enumerate(flat):
        name = f"output {k}" if array.ndim else "what it returns"
        if isinstance(x, Node) and x.kind != g.NUMBER:
            advice = "where(condition, 1.0, 0.0)" if x.kind == g.TRUTH else "number(i)"
            raise ModelError(f"{where}: {name} is a {x.kind}, expected a number: return {advice}")
        if not isinstance(x, (Node, int, float, np.integer, np.floating)) or isinstance(x, bool):
            raise ModelError(f"{where}: {name} is {g.name_of(x)}, expected a number")
    return [lift(x) for x in flat], array.shape


class Model:
    """A model that its author has written: `@model` above a function."""

    def __init__(self, function: Callable[..., Any], outputs: int | tuple[int, ...] | None = None) -> None:
        code = getattr(function, "__code__", None)
        if not inspect.isfunction(function) or code is None:
            raise ModelError(f"@model stands above a function, got {g.name_of(function)}")
        self.function, self.name = function, function.__name__
        self.place = f"{code.co_filename}:{code.co_firstlineno}"
        self.outputs = outputs if outputs is None or isinstance(outputs, tuple) else (outputs,)
        self.__name__, self.__doc__, self.__module__ = self.name, function.__doc__, function.__module__
        self.arguments = self._declared()

    def __repr__(self) -> str:
        return f"<model {self.name}({', '.join(f'{n}: {d!r}' for n, d in self.arguments.items())})>"

    def _refuse(self, text: str) -> ModelError:
        return ModelError(f"{self.place}: {self.name}: {text}")

    def _declared(self) -> dict[str, Declared]:
        f = self.function
        if not self.name.isidentifier():
            raise self._refuse("has no name that a file can hold: write it with `def`")
        if inspect.iscoroutinefunction(f) or inspect.isgeneratorfunction(f) or inspect.isasyncgenfunction(f):
            raise self._refuse("is async or a generator: write a plain function that returns numbers")
        try:
            signature = inspect.signature(f, eval_str=True)
        except Exception as error:
            raise self._refuse(f"its annotations cannot be read: {type(error).__name__}: {error}") from None
        result = {}
        for name, p in signature.parameters.items():
            if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY):
                star = "*" if p.kind == p.VAR_POSITIONAL else "**" if p.kind == p.VAR_KEYWORD else ""
                raise self._refuse(f"argument {star}{name}: arguments have a name each, no *, ** or /")
            if p.default is not p.empty:
                raise self._refuse(f"argument {name}: has a default; annotate it Constant and give it in each call")
            if not isinstance(p.annotation, Declared):
                got = "has no annotation" if p.annotation is p.empty else f"is annotated {_annotation(p.annotation)}"
                raise self._refuse(
                    f"argument {name} {got}: expected one of diffrt_aot.model: Pixel, Item, Free, Free[3], Pose, "
                    "FreeTable[2], Constant, PerItem, PerItemFree, PerItemIndex, Table, Image"
                )
            if name in RESERVED:
                raise self._refuse(f"argument {name}: what a model is asked with has that name already; take another")
            result[name] = p.annotation
        kinds = [d.kind for d in result.values()]
        if sum(k in DOMAINS for k in kinds) != 1:
            raise self._refuse(
                "one argument says what it runs over: annotated Pixel for an image, Item for a range; "
                f"there {'are more' if any(k in DOMAINS for k in kinds) else 'is none'}"
            )
        if not any(k in (*PARAMETERS, "per_item_free") for k in kinds):
            raise self._refuse("nothing to differentiate by: no argument is Free, Pose, FreeTable or PerItemFree")
        return result

    def __call__(self, *_: Any, **__: Any) -> Any:
        g.refuse(
            f"{self.name} is a model: compile it, m = {self.name}.compile(), and call m(theta, ...); or ask NumPy, "
            f"{self.name}.reference(theta, ...). Within another model call a plain function"
        )

    # --- tracing

    def trace(self, method: str = "best") -> Program:
        """The model as a graph, with its derivatives: "forward", "reverse", "mixed", or the cheapest, "best"."""
        if method not in ("best", *derivative.METHODS):
            raise ModelError(f"method: is 'best', 'forward', 'reverse' or 'mixed', got {method!r}")
        program = Program(self.name, self.place, inspect.cleandoc(self.__doc__ or ""), _placed(self.arguments))
        with program.graph:
            given = {a.name: _given(program, k) for k, a in enumerate(program.arguments)}
            returned = self._called(given)
            program.outputs, program.output_shape = _outputs(returned, f"{self.place}: {self.name}")
            if self.outputs is not None and self.outputs != program.output_shape:
                raise self._refuse(f"returns outputs of shape {program.output_shape}, declared {self.outputs}")
            for node in program.outputs:
                if not program.graph.has(node):
                    raise self._refuse("returns a number of another model, or of an earlier trace of this one")
            self._check_loops(program)
            program.rows, program.method = derivative.rows(program.graph, program.outputs, method)
            self._check_loops(program)
        self._check_slots(program)
        _drop_idle_blocks(program)
        program.warnings = self._warnings(program)
        return program

    def _called(self, given: dict[str, Any]) -> Any:
        try:
            return self.function(**given)
        except ModelError:
            raise
        except RecursionError:
            raise self._refuse(
                "calls itself without end: a condition of the model is not known while it is traced"
            ) from None
        except Exception as error:
            frames = traceback.extract_tb(sys.exc_info()[2])
            mine = [f for f in frames if not g.is_ours(f.filename)]
            place = f"{mine[-1].filename}:{mine[-1].lineno}" if mine else self.place
            raise ModelError(f"{place}: {type(error).__name__}: {error}{_advice(error)}") from error

    def _check_slots(self, program: Program) -> None:
        for row in program.rows:
            for slot in row:
                if slot >= len(program.slots):
                    raise self._refuse(f"a Dual has a partial by slot {slot}: there are {len(program.slots)} slots")

    def _check_loops(self, program: Program) -> None:
        """What changes from turn to turn is of use in its loop alone."""
        used = {program.slots[s].block for row in program.rows for s in row if s < len(program.slots)}
        indices = [b.index for k, b in enumerate(program.blocks) if k in used]
        order = g.ancestors([*program.outputs, *(e for row in program.rows for e in row.values()), *indices])
        members = g.inside_loops(order)
        for node in [*program.outputs, *(e for row in program.rows for e in row.values())]:
            if node.id in members:
                file, line = next(
                    n for n in order if n.op in ("carried", "counter") and members[n.id] & members[node.id]
                ).line
                raise ModelError(
                    f"{file}:{line}: {self.name}: a number of this loop's turns is used outside of it: return it from "
                    "the step, as a part of the state"
                )
        for index in indices:
            if index.id in members:
                file, line = index.line
                raise ModelError(
                    f"{file}:{line}: {self.name}: this row of a FreeTable differs from turn to turn, so it cannot have "
                    "columns of its own: read it outside of the loop, or take its .value"
                )

    def _warnings(self, program: Program) -> list[str]:
        used = {(program.slots[s].argument, program.slots[s].component) for row in program.rows for s in row}
        result = []
        for k, a in enumerate(program.arguments):
            if a.kind not in (*PARAMETERS, "per_item_free"):
                continue
            count = 6 if a.kind == "pose" else math.prod(a.shape)
            idle = [c for c in range(count) if (k, c) not in used]
            if len(idle) == count:
                result.append(f"{self.place}: {self.name}: nothing depends on {a.name}")
            elif idle:
                names = ", ".join(f"{a.name}{_element(c, a)}" for c in idle[:4]) + (", ..." if len(idle) > 4 else "")
                result.append(f"{self.place}: {self.name}: nothing depends on {names}")
        return result

    # --- compiling

    def compile(self, targets: Sequence[str] | None = None, *, cache: bool = True) -> CompiledModel:
        """Compile this model, and load what comes out: seconds, or milliseconds where the same was compiled before.

        Args:
            targets: of "x64" and "cuda"; None: all.
            cache: whether what is compiled is kept, by its content, in the user's cache folder, and looked for there.

        Raises:
            MissingDependencyError: without llvmlite, which `pip install "diffrt_aot[compile]"` brings.
        """
        from diffrt_aot.module import Module

        from .compile import compile_models

        module = Module.from_bytes(compile_models([self], targets, cache=cache), f"{self.name} of {self.place}")
        compiled = module[self.name]
        compiled.author = self
        return compiled

    # --- NumPy

    def reference(self, theta: Any, shape: Any, **data: Any) -> Any:
        """The outputs at theta, by NumPy in float64, without compiling: (*shape, *output_shape).

        Args:
            theta: by name, {"radius": 10.0, "center": (0.0, 0.0, 50.0)}; or a vector, in the order of the arguments.
                A Pose is a 4 x 4 matrix; in a vector it is 6 numbers, (rho, phi).
            shape: (height, width) of an image; (n,) or n of a range.
            data: the other arguments, by name.
        """
        return reference.value(self.trace("forward"), theta, shape, data)

    def reference_jacobian(self, theta: Any, shape: Any, *, method: str = "best", **data: Any) -> tuple[Any, Any]:
        """The outputs, as `reference`, and J, (*shape, *output_shape, P): a column for each number of theta."""
        return reference.jacobian(self.trace(method), theta, shape, data)


def _drop_idle_blocks(program: Program) -> None:
    """Rows of tables that are read for their values alone have no columns."""
    used = {program.slots[s].block for row in program.rows for s in row}
    blocks = [k for k in range(len(program.blocks)) if k in used]
    if len(blocks) == len(program.blocks):
        return
    slots = [k for k, s in enumerate(program.slots) if s.block < 0 or s.block in used]
    place = {old: new for new, old in enumerate(slots)}
    block = {old: new for new, old in enumerate(blocks)} | {-1: -1}
    program.rows = [{place[s]: e for s, e in row.items()} for row in program.rows]
    program.slots = [replace(program.slots[s], block=block[program.slots[s].block]) for s in slots]
    program.blocks = [program.blocks[b] for b in blocks]


def _element(component: int, a: Argument) -> str:
    if a.kind == "pose":
        return f"'s {('x', 'y', 'z')[component % 3]} {'translation' if component < 3 else 'rotation'}"
    place = np.unravel_index(component, a.shape) if a.shape else ()
    return f"{'[...]' if a.kind == 'free_table' else ''}[{', '.join(map(str, map(int, place)))}]" if a.shape else ""


def _annotation(annotation: Any) -> str:
    name = getattr(annotation, "__name__", None)
    return str(name or annotation) + suggestion(
        name or annotation, ("Pixel", "Item", "Free", "Constant", "Table", "Image")
    )


def _advice(error: Exception) -> str:
    text = str(error)
    if isinstance(error, TypeError) and "type Node which has no callable" in text:
        return f" (no function that a model can take; there are np.{', np.'.join(sorted(METHODS))})"
    if isinstance(error, IndexError):
        return (
            " (an array is indexed by numbers that are known now; what differs from item to item is read from a Table)"
        )
    if isinstance(error, TypeError) and "no callable" in text:
        return " (an array with plain floats beside numbers: call sqrt, sin, ... of diffrt_aot.model, which take both)"
    if "Node" in text:
        return " (a Node is a number of the model)"
    return ""


@overload
def model(function: Callable[..., Any]) -> Model: ...
@overload
def model(*, outputs: int | tuple[int, ...] | None = None) -> Callable[[Callable[..., Any]], Model]: ...
def model(function: Any = None, *, outputs: Any = None) -> Any:
    """Make a model of a function, whose arguments say by annotation what they are.

    `@model(outputs=2)` says how many numbers it returns, which is checked.
    """
    if function is None:
        return lambda f: Model(f, outputs)
    return Model(function, outputs)
