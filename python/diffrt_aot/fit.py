"""Fit a scene, or a model, to what was observed: Levenberg-Marquardt over its free parameters."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from . import _core, fit_warnings
from ._arguments import FloatArray, compiled_model, describe, finite_float, flag, real_array, vector, whole_number
from ._value import ByContent, Lazy, deferred
from .bound_model import BoundModel
from .compiled_model import CompiledModel
from .errors import FitWarning, InvalidTypeError, InvalidValueError, unknown_name
from .losses import Loss, loss_argument
from .renderer import DENSE_LIMIT, Renderer, image_argument
from .scene import Scene, free_labels
from .sparse import CompressedRows

_INT_MAX = 2**31 - 1
_UNCERTAINTY = (
    "rank",
    "null_rows",
    "null_directions",
    "null_names",
    "residual_variance",
    "standard_deviations",
    "standard_deviations_sandwich",
    "covariance",
    "covariance_sandwich",
)
#: What can be fitted.
Target = Renderer | BoundModel

_PAIRS = {"bounds": "(lower, upper)", "priors": "(mean, sigma)"}


class Status(Enum):
    """Why a fit stopped. `str(status)` says what happened and what to do."""

    CONVERGED_GRADIENT = "converged_gradient"
    CONVERGED_STEP = "converged_step"
    CONVERGED_COST = "converged_cost"
    STALLED = "stalled"
    MAX_STEPS = "max_steps"
    INTERRUPTED = "interrupted"
    NO_RESIDUALS = "no_residuals"
    NOT_FINITE = "not_finite"
    NOT_SEEN = "not_seen"

    @property
    def converged(self) -> bool:
        """Whether a minimum was reached."""
        return self.value.startswith("converged")

    @classmethod
    def _missing_(cls, value: object) -> Status:
        raise unknown_name("status", value, [status.value for status in cls])

    def __str__(self) -> str:
        return _core.status_message(self.value)


@dataclass(frozen=True, eq=False)
class StepRecord(ByContent):
    """One trial step, or (step 0) the start.

    cost is at the trial point, priors included; gradient_norm and step_norm have no units (they are what is compared
    with the tolerances); gain_ratio is the decrease over what the quadratic model promised; seconds since the start.
    level: the image was 1 / 2^level of its size; each level begins with a record of its start, whose step is the number
    of trials before.
    """

    step: int
    cost: float
    count: int
    gradient_norm: float
    step_norm: float
    damping: float
    gain_ratio: float
    accepted: bool
    seconds: float
    level: int = 0
    theta: FloatArray | None = field(default=None, repr=False)  # the best so far (P,); only in a callback's record


@dataclass(frozen=True, eq=False)
class FitResult(Lazy):
    """What a fit found. Two are equal where all that they hold is, `seconds` included.

    theta               (P,), relative to the renderer's scene: renderer.render(theta) is the fitted image
    scene               the fitted scene; of a model there is none
    cost, count         1/2 sum w rho(r^2) with the priors' part, and the number of residuals
    status              why it stopped; str(status) is advice
    steps               trials made, rejected ones and those of coarse levels included
    history             a StepRecord for the start (of each level) and for each trial
    seconds             of wall clock
    warnings            what makes the answer doubtful, a sentence each; `fit` also warns of them (FitWarning)
    H_rows              J'WJ at theta, in the tangent space (poses: by a further increment), by compressed rows
    H                   the same as an array (P, P)

    The rest is computed when it is first read, from what the fit left: it takes no time where nobody reads it, and for
    thousands of parameters a second or so where somebody does.

    rank                how many directions are determined: the free parameters that no bound holds, less K
    null_names          the K others in words, one line each
    null_directions     (K, P), unit vectors along which the data say nothing: theta is where the start left it; also
                        those determined in appearance only, as the turn of a can that is modelled by 64 flat sides
    null_rows           the same by compressed rows
    residual_variance   s^2 = 2 cost / (count - rank)
    standard_deviations (P,), in the tangent space; infinite for parameters in a null direction, 0 for those that a
                        bound holds. None if there are no more residuals than parameters
    covariance          (P, P), s^2 (J'WJ)^-1, whose diagonal they are the roots of. None as above
    standard_deviations_sandwich, covariance_sandwich
                        of H^-1 M H^-1 with M = sum (w rho' r)^2 j j': to be preferred with a robust loss. Both
                        assume that residuals are independent, which neighbouring pixels of a depth camera are not

    H, null_directions and both covariances are arrays of P^2 numbers, and there are none where P is beyond the
    renderer's dense_limit. With fit(uncertainty=False) none of the last eight is there. Reading what is not there
    raises InvalidValueError, which says what to read, or what to ask for, instead. They are None where the fit could
    not begin (NO_RESIDUALS or NOT_FINITE, without a step).
    """

    theta: FloatArray
    scene: Scene = field(repr=False)
    cost: float
    count: int
    status: Status
    steps: int
    history: list[StepRecord] = field(repr=False)
    H: FloatArray = field(repr=False)
    rank: int | None = field(repr=False)
    null_directions: FloatArray | None = field(repr=False)
    null_names: list[str] | None = field(repr=False)
    covariance: FloatArray | None = field(repr=False)
    covariance_sandwich: FloatArray | None = field(repr=False)
    residual_variance: float | None = field(repr=False)
    seconds: float
    warnings: list[str] = field(default_factory=list)
    H_rows: CompressedRows | None = field(default=None, repr=False)
    null_rows: CompressedRows | None = field(default=None, repr=False)
    standard_deviations: FloatArray | None = field(default=None, repr=False)
    standard_deviations_sandwich: FloatArray | None = field(default=None, repr=False)

    @property
    def H_sparse(self) -> Any:
        """H as a scipy.sparse.csc_array (P, P)."""
        return None if self.H_rows is None else self.H_rows.symmetric_to_scipy("FitResult.H_sparse")


def fit(
    renderer: Renderer | BoundModel | CompiledModel,
    observed: npt.ArrayLike | None,
    theta0: Any = None,
    *,
    weights: npt.ArrayLike | None = None,
    loss: Loss | CompiledModel | None = None,
    method: Literal["levenberg-marquardt", "gauss-newton"] = "levenberg-marquardt",
    priors: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]] | None = None,
    bounds: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]] | None = None,
    callback: Callable[[StepRecord], bool | None] | None = None,
    max_steps: int = 50,
    gradient_tolerance: float = 1e-10,
    step_tolerance: float = 1e-8,
    cost_tolerance: float = 1e-10,
    initial_damping: float = 1e-4,
    levels: int = 1,
    uncertainty: bool = True,
    **data: Any,
) -> FitResult:
    """Fit the free parameters of a renderer to an observed image, or those of a model to what was observed.

    Args:
        renderer: what is fitted; it is left as it is. A Renderer, a BoundModel, or a CompiledModel, and then `shape`
            and its data by name, as `CompiledModel.bind` takes them.
        observed, weights, loss: as in `Renderer.normal_equations`, `BoundModel.normal_equations`.
        theta0: (P,), where to start; the renderer's theta0 by default. Of a model it must be given, as a vector or by
            name, in a dict.
        method: "levenberg-marquardt", or "gauss-newton": plain full steps.
        priors: {free name: (mean, sigma)}: residuals (theta - mean) / sigma, for one or all numbers of a block.
        bounds: {free name: (lower, upper)}, each a number or one per entry; -inf and inf for a free side.
        callback: called with a StepRecord after the start and after each trial; False stops the fit. It may use the
            renderer, which leaves the fit as it is.
        max_steps: trials at most.
        gradient_tolerance, step_tolerance, cost_tolerance: see the C++ header diffrt/least_squares.hpp for the
            inequalities.
        initial_damping: Levenberg-Marquardt's lambda at the start.
        levels: of a renderer: coarse to fine, for starts that are many pixels off: first at 1/2^(levels - 1) of the
            image's size, then at twice that, up to the full size (1: at once). A coarse pixel is the mean, weighted
            by `weights`, of the pixels of its block that have a value, and weighs the sum of their weights; with
            fewer than half of them, it has none. Rows and columns that do not fill a block, at the bottom and at the
            right, are seen at full size only. theta, priors and bounds are those of the full size throughout. The
            levels share max_steps; a coarse one ends when a step promises no more than an object's motion by a fifth
            of its pixels, or six have failed. The result is that of the full size. The coarsest image must be at
            least 8 pixels high and wide.
        uncertainty: whether the result tells what is determined, and how well. It is computed when it is read, but
            needs an evaluation or a few at the end; False saves those.

    Depths and distances below zero, where the background has no value, are left out. What makes the answer doubtful
    (numbers that nobody measured, units, a camera within the model) is in the result's `warnings`, and warned of as
    FitWarning.

    Ctrl-C ends it between two steps, with the best so far and Status.INTERRUPTED.

    Raises:
        InvalidValueError, InvalidTypeError: naming the argument and the likely fix.
    """
    target = _target(renderer, theta0, data)
    if not isinstance(method, str) or method not in ("levenberg-marquardt", "gauss-newton"):
        raise InvalidValueError(f'method: must be "levenberg-marquardt" or "gauss-newton", got {describe(method)}')
    if callback is not None and not callable(callback):
        raise InvalidTypeError(f"callback: must be callable, got {describe(callback)}")
    max_steps = whole_number("max_steps", max_steps, 0, _INT_MAX)
    levels = min(whole_number("levels", levels, 1, 2**63, advice=" (1: full size only)"), _INT_MAX)
    start = _start(target, theta0)
    begin = time.perf_counter()
    tolerances = (
        finite_float("gradient_tolerance", gradient_tolerance),
        finite_float("step_tolerance", step_tolerance),
        finite_float("cost_tolerance", cost_tolerance),
        finite_float("initial_damping", initial_damping),
    )
    solve: tuple[Any, ...] = (
        loss_argument(loss),
        start,
        method == "gauss-newton",
        max_steps,
        *tolerances,
        _priors(target, priors),
        *_bounds(target, bounds),
        None if callback is None else lambda *record: _answer(callback(StepRecord(*record))),
    )
    uncertain: tuple[Any, ...] = (flag("uncertainty", uncertainty), max(target.dense_limit, DENSE_LIMIT))
    told: list[str] = []
    if isinstance(target, BoundModel):
        if levels != 1:
            raise InvalidValueError("levels: are of images that a renderer makes; a model is fitted at full size alone")
        raw = target._core.fit(*target._observation(observed, weights), *solve, *uncertain)
    else:
        given_weights = None if weights is None else image_argument("weights", weights, target._core)
        seen = fit_warnings.Observed(target, image_argument("observed", observed, target._core), given_weights)
        arguments: list[Any] = [seen.image, given_weights, *solve, levels, *uncertain]
        raw = target._core.fit(*arguments)
        told = fit_warnings.of_fit(target, start, raw["theta"], seen, loss, raw["data_cost"], raw["count"])
        if raw["status"] != Status.NOT_SEEN.value:  # which says it of all
            told += fit_warnings.of_unseen(target, raw["unseen"])
    theta = raw["theta"]
    row_starts, columns, values = raw["H"]
    H = CompressedRows(row_starts, columns, values, (theta.size, theta.size))
    for text in told:
        warnings.warn(text, FitWarning, stacklevel=2)
    return FitResult(
        theta=theta,
        scene=deferred(lambda: _scene(target, theta)),
        cost=raw["cost"],
        count=raw["count"],
        status=Status(raw["status"]),
        steps=raw["steps"],
        history=[StepRecord(*record) for record in raw["history"]],
        seconds=time.perf_counter() - begin,
        warnings=told,
        H_rows=H,
        H=_dense(target, "H", "H_rows or H_sparse", H.dense),
        **_of_uncertainty(target, raw["uncertainty"], uncertainty, H),
    )


def _dense(target: Target, name: str, instead: str, make: Callable[[], Any]) -> Any:
    """A value of P x P numbers, or the refusal to make it."""
    count, limit = _count(target), target.dense_limit

    maker = "bind" if isinstance(target, BoundModel) else "Renderer"

    def made() -> Any:
        if count <= limit:
            return make()
        raise InvalidValueError(
            f"{name}: there are {count} parameters, and dense_limit is {limit}; read {instead}, or have "
            f"{maker}(..., dense_limit={count}), for {count * count / 125000:.0f} MB"
        )

    return deferred(made)


def _of_uncertainty(target: Target, core: Any, asked: bool, H: CompressedRows) -> dict[str, Any]:
    """The fields that say what is determined, as they are when they are read."""
    count = _count(target)
    if not asked:

        def refused(name: str) -> Any:
            def refuse() -> Any:
                raise InvalidValueError(f"{name}: was not asked for: fit(..., uncertainty=False)")

            return deferred(refuse)

        return {name: refused(name) for name in _UNCERTAINTY}
    if core is None:  # the fit could not begin
        return dict.fromkeys(_UNCERTAINTY)

    def square(name: str, sandwich: bool) -> Any:
        def make() -> FloatArray | None:
            numbers = core.covariance(sandwich)
            return numbers.reshape(count, count) if numbers.size == count * count else None

        return _dense(target, name, name.replace("covariance", "standard_deviations"), make)

    def deviations(sandwich: bool) -> Any:
        def make() -> FloatArray | None:
            numbers: FloatArray = core.standard_deviations(sandwich)
            return numbers if numbers.size == count else None

        return deferred(make)

    def rows() -> CompressedRows:
        starts, columns, values = core.null_directions()
        return CompressedRows(starts, columns, values, (len(starts) - 1, count))

    return {
        "rank": deferred(core.rank),
        "null_rows": deferred(rows),
        "null_directions": _dense(target, "null_directions", "null_rows", lambda: rows().dense()),
        "null_names": deferred(lambda: _null_names(target, rows(), H)),
        "residual_variance": deferred(core.residual_variance),
        "standard_deviations": deviations(False),
        "standard_deviations_sandwich": deviations(True),
        "covariance": square("covariance", False),
        "covariance_sandwich": square("covariance_sandwich", True),
    }


def _target(renderer: Any, theta0: Any, data: dict[str, Any]) -> Target:
    """What is fitted: a renderer, or a model with its data."""
    if isinstance(renderer, CompiledModel):
        if theta0 is None:
            raise InvalidTypeError(f"theta0: must be given, as {renderer.name} does not say where to start")
        if "shape" not in data:
            raise InvalidTypeError(
                f"shape: must be given with {renderer.name}, and its data by name; or bind them to it"
            )
        return renderer._bound(theta0, **data)
    if not isinstance(renderer, (Renderer, BoundModel)):
        compiled_model("renderer", renderer)  # says of one that is not that it should be
        raise InvalidTypeError(f"renderer: must be a Renderer or a compiled model, got {describe(renderer)}")
    if data:
        raise InvalidTypeError(f"fit: got an unexpected argument {next(iter(data))!r}")
    return renderer


def _count(target: Target) -> int:
    return max((block.stop for block in target.blocks.values()), default=0)


def _scene(target: Target, theta: FloatArray) -> Scene:
    if isinstance(target, Renderer):
        return target.scene_at(theta)
    raise InvalidValueError("scene: is of a renderer's fit; read theta, or by name bound.by_name(result.theta)")


def _start(target: Target, theta0: Any) -> FloatArray:
    if theta0 is None:
        if isinstance(target, Renderer):
            return target.theta0
        raise InvalidTypeError(f"theta0: must be given, as {target.name} does not say where to start")
    start = target._theta(theta0) if isinstance(target, BoundModel) else vector("theta0", theta0)
    if start.size != _count(target):
        layout = ", ".join(f"{name} ({block.stop - block.start})" for name, block in target.blocks.items())
        raise InvalidValueError(f"theta0: has {start.size} numbers, expected {_count(target)}: {layout}")
    return start


def _answer(answer: Any) -> bool:
    """What a callback returned: whether the fit goes on."""
    if answer is None or isinstance(answer, (bool, np.bool_)):
        return answer is None or bool(answer)
    raise InvalidTypeError(f"callback: must return True or None to go on, or False to stop, got {describe(answer)}")


def _blocks(target: Target, argument: str, given: Mapping[str, Any]) -> list[tuple[slice, str, Any]]:
    blocks = target.blocks
    if not isinstance(given, Mapping):
        example = f"{{{next(iter(blocks), 'ball.radius')!r}: {_PAIRS[argument]}}}"
        raise InvalidTypeError(f"{argument}: must map free names to pairs, as {example}, got {describe(given)}")
    for name, pair in given.items():
        if name not in blocks:
            raise unknown_name("free parameter", name, blocks, where=f"{argument}: ")
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InvalidTypeError(f"{argument}: {name} must be given a pair, {_PAIRS[argument]}, got {describe(pair)}")
    return [(blocks[name], name, pair) for name, pair in given.items()]


def _spread(argument: str, name: str, value: npt.ArrayLike, size: int) -> FloatArray:
    numbers = real_array(f"{argument}: {name}", value)
    if numbers.shape not in ((), (1,), (size,)):
        raise InvalidValueError(f"{argument}: {name} takes one number or {size}, got {describe(value)}")
    return np.broadcast_to(numbers, (size,))


def _bounds(target: Target, bounds: Mapping[str, Any] | None) -> tuple[FloatArray, FloatArray]:
    if bounds is None or (isinstance(bounds, Mapping) and not bounds):
        return np.empty(0), np.empty(0)
    lower = np.full(_count(target), -np.inf)
    upper = np.full(_count(target), np.inf)
    for block, name, (low, high) in _blocks(target, "bounds", bounds):
        lower[block] = _spread("bounds", name, low, block.stop - block.start)
        upper[block] = _spread("bounds", name, high, block.stop - block.start)
    return lower, upper


def _priors(target: Target, priors: Mapping[str, Any] | None) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Indices, means and sigmas."""
    columns: list[list[FloatArray]] = [[np.empty(0)], [np.empty(0)], [np.empty(0)]]
    for block, name, (mean, sigma) in _blocks(target, "priors", {} if priors is None else priors):
        size = block.stop - block.start
        columns[0].append(np.arange(block.start, block.stop, dtype=np.float64))
        columns[1].append(_spread("priors", name, mean, size))
        columns[2].append(_spread("priors", name, sigma, size))
    indices, means, sigmas = (np.concatenate(column) for column in columns)
    return indices, means, sigmas


def _null_names(target: Target, directions: CompressedRows, H: CompressedRows) -> list[str]:
    """Each null direction as a sum of named parameters, what moves the image most first.

    A radian and a pixel do not compare, so a parameter counts by its effect, its entry times sqrt(H_ii).
    """
    labels = target.labels if isinstance(target, BoundModel) else free_labels(target.scene, target.free)
    effects = np.sqrt(np.maximum(H.diagonal(), 0.0))
    lines = []
    for begin, end in zip(directions.row_starts[:-1], directions.row_starts[1:], strict=True):
        columns, shares = directions.columns[begin:end], directions.values[begin:end]
        sizes = np.abs(shares) * effects[columns]
        if not sizes.any():  # parameters that nothing depends on
            sizes = np.abs(shares)
        least = 0.02 * sizes.max()
        order = [int(i) for i in np.argsort(-sizes, kind="stable")[:6] if sizes[i] > least]
        lines.append(" ".join(f"{shares[i]:+.3g} {labels[columns[i]]}" for i in order))
    return lines
