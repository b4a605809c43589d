"""Whether a model, or a renderer, computes what it says: `check`, in words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arguments import FloatArray, describe, vector
from ._differences import Differences, differences
from .bound_model import BoundModel
from .compiled_model import CompiledModel
from .errors import InvalidTypeError
from .renderer import Renderer

if TYPE_CHECKING:
    from .model import Model

# Relative to the largest value of an output, or of a column of J.
_VALUES, _COLUMNS = 1e-4, 1e-3
_PRODUCTS = 1e-5
_SINGLE = 6e-8  # rounding of float32
_ALL_COLUMNS = 40  # of so many parameters each has a direction of its own
_DIRECTIONS = 8  # of more
_LARGEST_STEP = 3e-2  # of a parameter


@dataclass(frozen=True)
class Finding:
    """One thing that was compared: what, whether it agrees, and what is to be said of it."""

    what: str
    ok: bool
    worst: float
    text: str


@dataclass(frozen=True)
class CheckReport:
    """What `check` found. `print(report)` says it; `report.ok` is true where all agrees."""

    name: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether everything that was compared agrees."""
        return all(finding.ok for finding in self.findings)

    def __str__(self) -> str:
        head = f"{self.name}: {'all agrees' if self.ok else 'NOT all agrees'}"
        return "\n".join([head, *(f"  {'ok ' if f.ok else 'BAD'} {f.what}: {f.text}" for f in self.findings)])


def check(target: Any, theta: Any = None, *, author: Model | None = None, **data: Any) -> CheckReport:
    """Compare what `target` computes at theta with what it should.

    Of a model: its values and its J with those of NumPy in float64, from the author's Python function; that J with
    differences of the values, so that a rule of one's own which is not the derivative shows, with its line; and the
    products, J v, J'w, H and g, with J. Of a renderer, or a model whose function is not at hand, J with differences of
    its own float32 images, and the products.

    Where a value has a kink or a jump within a step there are no differences to compare with; such places are counted.

        print(dr.check(sphere, {"radius": 10.0, "center": (0, 0, 50)}, shape=(48, 64), focal=40.0, principal=(32, 24)))

    Args:
        target: what `@model` makes, which is compiled first; a CompiledModel; a BoundModel, which has its data; a
            Renderer.
        theta: of a renderer None is its theta0.
        author: of a model from a file, the function under `@model` that it comes from.
        data: of a model that is not bound, shape=... and its arguments, as in a call.

    Returns:
        A report; nothing is raised for what disagrees.
    """
    from .model import Model

    if author is not None and not isinstance(author, Model):
        raise InvalidTypeError(f"author: must be what @model makes of the function, got {describe(author)}")
    if isinstance(target, Model):
        author, target = target, target.compile()
    if isinstance(target, CompiledModel):
        author = author or target.author
        if "shape" not in data:
            raise InvalidTypeError(f"check: shape must be given with {target.name}, and its data by name; or bind them")
        bound = target._bound(theta, **data)
        for name in ("device", "threads"):
            data.pop(name, None)
        vectored = bound._theta(theta)
        findings = []
        if author is not None:
            findings += _against_author(author, bound, vectored, **{**target.constants, **data})
        else:
            findings += _against_itself(bound.name, bound, vectored, bound.labels)
        return CheckReport(bound.name, (*findings, *_products(bound, vectored)))
    if data:
        raise InvalidTypeError(f"check: got an unexpected argument {next(iter(data))!r}: the data are bound already")
    if author is not None:
        raise InvalidTypeError("author: needs the data, too: pass the compiled model, not the bound one, and them")
    if isinstance(target, BoundModel):
        vectored = target._theta(theta)
        findings = _against_itself(target.name, target, vectored, target.labels)
        return CheckReport(target.name, (*findings, *_products(target, vectored)))
    if isinstance(target, Renderer):
        vectored = target.theta0 if theta is None else vector("theta", theta)
        return CheckReport(
            "renderer",
            (*_against_itself("image", target, vectored, _names(target)), *_products(target, vectored)),
        )
    raise InvalidTypeError(f"check: takes a model or a Renderer, got {describe(target)}")


# --- what is compared


def _against_author(author: Model, bound: BoundModel, theta: FloatArray, *, shape: Any, **data: Any) -> list[Finding]:
    """Values and J against float64, and that against differences."""
    from .model import reference

    rounded = {k: _single(v) for k, v in data.items()}  # as the compiled model sees them
    program = author.trace()
    nodes = len(program.graph.nodes)
    places = _Places(bound, _some_items(bound, nodes))

    def call(at: FloatArray) -> reference.Data:
        return reference.Data(program, bound.by_name(at), shape, rounded, places.items)

    def values_at(at: FloatArray) -> FloatArray:
        found = reference.evaluate(program, call(at), program.outputs)
        return np.stack([x.reshape(-1) for x in found], -1)

    theta = _single(theta)
    lines = ["{}:{}".format(*node.line) for node in program.outputs]
    right = values_at(theta)
    near = [values_at(at) for at in _nearby(theta)]
    with np.errstate(invalid="ignore"):
        spread: FloatArray = np.max([np.abs(x - right) for x in near], axis=0)
    values = places.of(bound(theta))
    findings = [_compared("values, with float64", values, right, spread, _VALUES, places, lines=lines)]
    if not theta.size:
        return findings
    directions = _Directions(theta, bound.labels, bound.blocks.values(), few=nodes * theta.size > 1e5)
    _, slopes = reference.products(program, call(theta), directions.columns)
    with np.errstate(invalid="ignore"):
        others = [reference.products(program, call(at), directions.columns)[1] for at in _nearby(theta)]
        spread = np.max([np.abs(x - slopes) for x in others], axis=0)
    compiled = places.of(bound.jvp(theta, directions.columns)[1], directions.count)
    findings.append(_compared("J, with float64", compiled, slopes, spread, _VALUES, places, directions, lines))
    found = differences(values_at, theta, directions.columns.T, _LARGEST_STEP, 1e-15)

    def line_of(item: int, output: int, direction: FloatArray) -> str:
        from .model.culprit import culprit

        one = places.items[item : item + 1]

        def call_of_one(at: FloatArray) -> reference.Data:
            return reference.Data(program, bound.by_name(at), shape, rounded, one)

        return culprit(program, call_of_one, theta, direction, output)

    findings.append(_with_differences(slopes, found, _COLUMNS, places, directions, line_of))
    return findings


def _against_itself(name: str, target: Any, theta: FloatArray, labels: list[str]) -> list[Finding]:
    """J against differences of the target's own float32 values."""
    if not theta.size:
        return []
    show = target.render if isinstance(target, Renderer) else target
    values, J = target.jacobian(theta)
    places = _Places(target, np.arange(_count(target)))
    directions = _Directions(theta, labels, target.blocks.values(), few=values.size * theta.size > 2e7)
    slopes = np.stack([places.of(J @ d) for d in directions.columns.T], -1)
    found = differences(
        lambda at: places.of(show(at)).astype(np.float64), theta, directions.columns.T, _LARGEST_STEP, 4.0 * _SINGLE
    )
    return [_with_differences(slopes, found, 5.0 * _COLUMNS, places, directions)]


def _products(target: Any, theta: FloatArray) -> list[Finding]:
    """J v, J'w, H and g, with J."""
    if not theta.size or not _count(target):
        return []
    rng = np.random.default_rng(0)
    values, J = target.jacobian(theta)
    v = rng.normal(size=theta.size)
    residuals = np.where(np.isfinite(values), rng.normal(size=values.shape) * _scale(values), 0.0)
    Jv = (J @ v).reshape(values.shape)
    there = np.isfinite(values) & np.isfinite(Jv)
    residuals[~there] = 0.0
    Jv = np.where(there, Jv, 0.0)
    g, HV = J.T @ residuals.reshape(-1), J.T @ Jv.reshape(-1)
    findings = []
    if isinstance(target, BoundModel):
        findings.append(_one("J v", target.jvp(theta, v)[1][there], Jv[there], _PRODUCTS))
        findings.append(_one("J'w", target.vjp(theta, residuals)[1], g, _PRODUCTS))
    observed = np.where(there, values - residuals, np.nan)
    equations = target.normal_equations(theta, observed)
    H = equations.H if theta.size <= target.dense_limit else equations.H_sparse
    findings.append(_one("H v, with J'J v", H @ v, HV, _VALUES))
    findings.append(_one("g, with J'r", equations.g, g, _VALUES))
    return findings


def _one(what: str, mine: FloatArray, right: FloatArray, tolerance: float) -> Finding:
    worst = float(np.abs(mine - right).max(initial=0.0) / _scale(right))
    return Finding(what, worst <= tolerance, worst, f"within {worst:.1e} of the largest")


def _compared(
    what: str,
    mine: FloatArray,
    right: FloatArray,
    spread: FloatArray,
    tolerance: float,
    places: _Places,
    directions: _Directions | None = None,
    lines: list[str] | None = None,
) -> Finding:
    """Two that should be the same, but for rounding: `spread` is what that of the inputs makes of them."""
    scale = _scales(right)
    with np.errstate(invalid="ignore"):
        off = np.abs(mine - right)
        bad = (off > tolerance * scale + 10.0 * spread) | (np.isnan(mine) != np.isnan(right)) & (spread == 0.0)
        relative = np.where(np.isfinite(off), off, 0.0) / scale
    sensitive = int(((relative > tolerance) & ~bad).sum())
    worst = float(relative.max(initial=0.0, where=~bad if not bad.any() else bad))
    if not bad.any():
        text = f"within {worst:.1e} of the largest, {_entries(mine)}{places.checked}"
        if sensitive:
            text += f"; {sensitive:,} beyond {tolerance:.0e}, where rounding theta changes as much"
        return Finding(what, True, worst, text)
    at = np.unravel_index(np.argmax(np.where(bad, relative, -1.0)), bad.shape)
    by = f" by {directions.name(at[2])}" if directions else ""
    line = f" ({lines[at[1]]})" if lines else ""
    text = f"{int(bad.sum()):,} of {_entries(mine)} differ; the worst, {places.name(at)}{by}: {mine[at]:.6g}, and "
    return Finding(what, False, worst, f"{text}{right[at]:.6g} in float64{line}")


def _with_differences(
    slopes: FloatArray,
    found: Differences,
    tolerance: float,
    places: _Places,
    directions: _Directions,
    line_of: Callable[[int, int, FloatArray], str] | None = None,
) -> Finding:
    what = "J, with differences of the values"
    scale = _scales(slopes)
    known = np.isfinite(found.slope) & np.isfinite(slopes)
    with np.errstate(invalid="ignore"):
        off = np.where(known, np.abs(slopes - found.slope), 0.0)
        loose = known & (found.kink | (found.error > 0.1 * scale))
        bad = known & ~loose & (off > tolerance * scale + 3.0 * found.error)
    relative = off / scale
    left_out = f"; {int(loose.sum()):,} are left out, where the values have a kink or a jump, or too few digits"
    kinks = left_out if loose.any() else ""
    if not bad.any():
        worst = float(relative.max(initial=0.0, where=known & ~loose))
        return Finding(
            what, True, worst, f"within {worst:.1e} of the largest, {_entries(slopes)}{places.checked}{kinks}"
        )
    at = np.unravel_index(np.argmax(np.where(bad, relative, -1.0)), bad.shape)
    place = f" ({line_of(int(at[0]), int(at[1]), directions.columns[:, at[2]])})" if line_of else ""
    text = (
        f"{int(bad.sum()):,} of {_entries(slopes)} differ; the worst, {places.name(at)} by {directions.name(at[2])}: "
    )
    text += f"J says {slopes[at]:.6g}, differences {found.slope[at]:.6g} +- {found.error[at]:.1g}{place}{kinks}"
    return Finding(what, False, float(relative[at]), text)


# --- where, and along what


class _Places:
    """The items that are looked at, and how they are named."""

    def __init__(self, target: Any, items: np.ndarray) -> None:
        self.items = items
        shape = _domain(target)
        self._width = shape[-1] if len(shape) == 2 else 0
        total = _count(target)
        self.checked = f" ({len(items):,} of {total:,} items)" if len(items) < total else ""
        self._total = total
        self._outputs = -1 if total else math.prod(target.shape[len(shape) :])

    def of(self, values: Any, columns: int = 0) -> FloatArray:
        """Of all values those of the items: (items, outputs), or with a last axis of columns."""
        shape = (self._total, self._outputs, columns) if columns else (self._total, self._outputs)
        found: FloatArray = np.asarray(values).reshape(shape)[self.items]
        return found

    def name(self, at: tuple[Any, ...]) -> str:
        item = int(self.items[at[0]])
        where = f"pixel ({item // self._width}, {item % self._width})" if self._width else f"item {item}"
        return f"{where}, output {int(at[1])}"


class _Directions:
    """Along what J is looked at: each parameter by itself, or of many a few mixtures."""

    def __init__(self, theta: FloatArray, labels: list[str], blocks: Any, few: bool = False) -> None:
        sizes = np.abs(theta)
        for block in blocks:
            sizes[block] = np.where(sizes[block] > 0.0, sizes[block], sizes[block].max(initial=0.0) or 1.0)
        self._labels = labels if theta.size <= (_DIRECTIONS if few else _ALL_COLUMNS) else []
        if self._labels:
            self.columns = np.diag(sizes)
        else:
            rng = np.random.default_rng(0)
            self.columns = sizes[:, None] * rng.choice((-1.0, 1.0), (theta.size, _DIRECTIONS))
        self.count = self.columns.shape[1]

    def name(self, k: Any) -> str:
        return self._labels[k] if self._labels else f"all parameters at once, mixture {int(k)}"


def _domain(target: Any) -> tuple[int, ...]:
    if isinstance(target, Renderer):
        return target.scene.camera.height, target.scene.camera.width
    shape: tuple[int, ...] = target.shape[: target._core.domain_axes]
    return shape


def _count(target: Any) -> int:
    return int(np.prod(_domain(target)))


def _names(renderer: Renderer) -> list[str]:
    names = []
    for name, block in renderer.blocks.items():
        size = block.stop - block.start
        names += [name] if size == 1 else [f"{name}[{k}]" for k in range(size)]
    return names


def _some_items(bound: BoundModel, nodes: int) -> np.ndarray:
    """All, or as many as NumPy has done in a few seconds."""
    total, most = _count(bound), max(256, 3_000_000 // max(nodes, 1))
    if total <= most:
        return np.arange(total)
    return np.sort(np.random.default_rng(0).choice(total, most, replace=False))


def _single(x: Any) -> Any:
    """As float32 has it."""
    array = np.asarray(x)
    return array.astype(np.float32).astype(np.float64) if array.dtype.kind == "f" else x


def _nearby(theta: FloatArray) -> list[FloatArray]:
    """Rounded otherwise."""
    rng = np.random.default_rng(1)
    return [theta * (1.0 + 8.0 * _SINGLE * rng.choice((-1.0, 1.0), theta.shape)) for _ in range(2)]


def _scale(x: FloatArray) -> float:
    return float(np.abs(x[np.isfinite(x)]).max(initial=0.0)) or 1.0


def _scales(x: FloatArray) -> FloatArray:
    """The largest of each column: (items, ...)."""
    largest = np.abs(np.where(np.isfinite(x), x, 0.0)).max(axis=0, initial=0.0)
    return np.where(largest > 0.0, largest, 1.0)


def _entries(x: FloatArray) -> str:
    return f"{x.size:,} entries"
