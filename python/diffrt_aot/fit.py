"""Fit a scene to an observed image: Levenberg-Marquardt over the free parameters of a renderer."""

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
from ._arguments import FloatArray, describe, finite_float, real_array, vector, whole_number
from ._value import ByContent
from .errors import FitWarning, InvalidTypeError, InvalidValueError, unknown_name
from .losses import Loss
from .renderer import Renderer, image_argument, loss_argument
from .scene import Scene, free_labels

_INT_MAX = 2**31 - 1
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
class FitResult(ByContent):
    """What a fit found. Two are equal where all that they hold is, `seconds` included.

    theta               (P,), relative to the renderer's scene: renderer.render(theta) is the fitted image
    scene               the fitted scene
    cost, count         1/2 sum w rho(r^2) with the priors' part, and the number of residuals
    status              why it stopped; str(status) is advice
    steps               trials made, rejected ones and those of coarse levels included
    history             a StepRecord for the start (of each level) and for each trial
    H                   (P, P), J'WJ at theta, in the tangent space (poses: by a further increment)
    rank                how many directions are determined: the free parameters that no bound holds, less K
    null_directions     (K, P), unit vectors along which the data say nothing: theta is where the start left it; also
                        those determined in appearance only, as the turn of a can that is modelled by 64 flat sides
    null_names          the same in words, one line each
    covariance          (P, P), s^2 (J'WJ)^-1, in the tangent space; infinite for parameters in a null direction; None
                        if there are no more residuals than parameters, or P is beyond the dense limit (1000)
    covariance_sandwich (P, P), H^-1 M H^-1 with M = sum (w rho' r)^2 j j': to be preferred with a robust loss. Both
                        assume that residuals are independent, which neighbouring pixels of a depth camera are not
    residual_variance   s^2 = 2 cost / (count - rank)
    seconds             of wall clock
    warnings            what makes the answer doubtful, a sentence each; `fit` also warns of them (FitWarning)
    """

    theta: FloatArray
    scene: Scene
    cost: float
    count: int
    status: Status
    steps: int
    history: list[StepRecord] = field(repr=False)
    H: FloatArray | None = field(repr=False)
    rank: int
    null_directions: FloatArray = field(repr=False)
    null_names: list[str]
    covariance: FloatArray | None = field(repr=False)
    covariance_sandwich: FloatArray | None = field(repr=False)
    residual_variance: float
    seconds: float
    warnings: list[str] = field(default_factory=list)


def fit(
    renderer: Renderer,
    observed: npt.ArrayLike,
    theta0: npt.ArrayLike | None = None,
    *,
    weights: npt.ArrayLike | None = None,
    loss: Loss | None = None,
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
) -> FitResult:
    """Fit the free parameters of a renderer to an observed image.

    Args:
        renderer: what is fitted; it is left as it is.
        observed, weights, loss: as in `Renderer.normal_equations`.
        theta0: (P,), where to start; the renderer's theta0 by default.
        method: "levenberg-marquardt", or "gauss-newton": plain full steps.
        priors: {free name: (mean, sigma)}: residuals (theta - mean) / sigma, for one or all numbers of a block.
        bounds: {free name: (lower, upper)}, each a number or one per entry; -inf and inf for a free side.
        callback: called with a StepRecord after the start and after each trial; False stops the fit. It may use the
            renderer, which leaves the fit as it is.
        max_steps: trials at most.
        gradient_tolerance, step_tolerance, cost_tolerance: see the C++ header diffrt/least_squares.hpp for the
            inequalities.
        initial_damping: Levenberg-Marquardt's lambda at the start.
        levels: coarse to fine, for starts that are many pixels off: first at 1/2^(levels - 1) of the image's size, then
            at twice that, up to the full size (1: at once). A coarse pixel is the mean, weighted by `weights`, of the
            pixels of its block that have a value, and weighs the sum of their weights; with fewer than half of them,
            it has none. Rows and columns that do not fill a block, at the bottom and at the right, are seen at full
            size only. theta, priors and bounds are those of the full size throughout. The levels share max_steps; a
            coarse one ends when a step promises no more than an object's motion by a fifth of its pixels, or six have
            failed. The result is that of the full size. The coarsest image must be at least 8 pixels high and wide.

    Depths and distances below zero, where the background has no value, are left out. What makes the answer doubtful
    (numbers that nobody measured, units, a camera within the model) is in the result's `warnings`, and warned of as
    FitWarning.

    Ctrl-C ends it between two steps, with the best so far and Status.INTERRUPTED.

    Raises:
        InvalidValueError, InvalidTypeError: naming the argument and the likely fix.
    """
    if not isinstance(renderer, Renderer):
        raise InvalidTypeError(f"renderer: must be a Renderer, got {describe(renderer)}")
    if not isinstance(method, str) or method not in ("levenberg-marquardt", "gauss-newton"):
        raise InvalidValueError(f'method: must be "levenberg-marquardt" or "gauss-newton", got {describe(method)}')
    if callback is not None and not callable(callback):
        raise InvalidTypeError(f"callback: must be callable, got {describe(callback)}")
    max_steps = whole_number("max_steps", max_steps, 0, _INT_MAX)
    levels = min(whole_number("levels", levels, 1, 2**63, advice=" (1: full size only)"), _INT_MAX)
    if theta0 is not None:
        theta0 = _start(renderer, theta0)
    begin = time.perf_counter()
    lower, upper = _bounds(renderer, bounds)
    given_weights = None if weights is None else image_argument("weights", weights, renderer._core)
    seen = fit_warnings.Observed(renderer, image_argument("observed", observed, renderer._core), given_weights)
    raw = renderer._core.fit(
        seen.image,
        given_weights,
        loss_argument(loss),
        renderer.theta0 if theta0 is None else theta0,
        method == "gauss-newton",
        max_steps,
        finite_float("gradient_tolerance", gradient_tolerance),
        finite_float("step_tolerance", step_tolerance),
        finite_float("cost_tolerance", cost_tolerance),
        finite_float("initial_damping", initial_damping),
        _priors(renderer, priors),
        lower,
        upper,
        None if callback is None else lambda *record: _answer(callback(StepRecord(*record))),
        levels,
    )
    theta = raw["theta"]
    scene = renderer.scene_at(theta)
    told = fit_warnings.of_fit(renderer, theta0, theta, scene, seen, loss, raw["data_cost"], raw["count"])
    if raw["status"] != Status.NOT_SEEN.value:  # which says it of all
        told += fit_warnings.of_unseen(renderer, raw["unseen"])
    for text in told:
        warnings.warn(text, FitWarning, stacklevel=2)
    return FitResult(
        theta=theta,
        scene=scene,
        cost=raw["cost"],
        count=raw["count"],
        status=Status(raw["status"]),
        steps=raw["steps"],
        history=[StepRecord(*record) for record in raw["history"]],
        H=raw["H"],
        rank=raw["rank"],
        null_directions=raw["null_directions"],
        null_names=_null_names(renderer, raw["null_directions"], raw["H"]),
        covariance=raw["covariance"],
        covariance_sandwich=raw["covariance_sandwich"],
        residual_variance=raw["residual_variance"],
        seconds=time.perf_counter() - begin,
        warnings=told,
    )


def _start(renderer: Renderer, theta0: npt.ArrayLike) -> FloatArray:
    start = vector("theta0", theta0)
    if start.size != renderer.theta0.size:
        layout = ", ".join(f"{name} ({block.stop - block.start})" for name, block in renderer.blocks.items())
        raise InvalidValueError(f"theta0: has {start.size} numbers, expected {renderer.theta0.size}: {layout}")
    return start


def _answer(answer: Any) -> bool:
    """What a callback returned: whether the fit goes on."""
    if answer is None or isinstance(answer, (bool, np.bool_)):
        return answer is None or bool(answer)
    raise InvalidTypeError(f"callback: must return True or None to go on, or False to stop, got {describe(answer)}")


def _blocks(renderer: Renderer, argument: str, given: Mapping[str, Any]) -> list[tuple[slice, str, Any]]:
    blocks = renderer.blocks
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


def _bounds(renderer: Renderer, bounds: Mapping[str, Any] | None) -> tuple[list[float], list[float]]:
    if bounds is None or (isinstance(bounds, Mapping) and not bounds):
        return [], []
    lower = np.full(len(renderer.theta0), -np.inf)
    upper = np.full(len(renderer.theta0), np.inf)
    for block, name, (low, high) in _blocks(renderer, "bounds", bounds):
        lower[block] = _spread("bounds", name, low, block.stop - block.start)
        upper[block] = _spread("bounds", name, high, block.stop - block.start)
    return lower.tolist(), upper.tolist()


def _priors(renderer: Renderer, priors: Mapping[str, Any] | None) -> list[tuple[int, float, float]]:
    result: list[tuple[int, float, float]] = []
    for block, name, (mean, sigma) in _blocks(renderer, "priors", {} if priors is None else priors):
        size = block.stop - block.start
        means, sigmas = _spread("priors", name, mean, size), _spread("priors", name, sigma, size)
        result += [(block.start + i, float(means[i]), float(sigmas[i])) for i in range(size)]
    return result


def _null_names(renderer: Renderer, directions: FloatArray, H: FloatArray | None) -> list[str]:
    """Each null direction as a sum of named parameters, what moves the image most first.

    A radian and a pixel do not compare, so a parameter counts by its effect, its entry times sqrt(H_ii).
    """
    labels = free_labels(renderer.scene, renderer.free)
    effects = np.ones(len(labels)) if H is None else np.sqrt(np.maximum(np.diag(H), 0.0))
    lines = []
    for direction in directions:
        sizes = np.abs(direction) * effects
        if not sizes.any():  # parameters that nothing depends on
            sizes = np.abs(direction)
        order = [int(i) for i in np.argsort(-sizes, kind="stable") if sizes[i] > 0.02 * sizes.max()][:6]
        lines.append(" ".join(f"{direction[i]:+.3g} {labels[i]}" for i in order))
    return lines
