"""Derivatives by differences, with an estimate of how far they can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ._arguments import FloatArray

# How many, and by what each is smaller than the one before.
_STEPS, _RATIO = 8, 4.0


@dataclass(frozen=True)
class Differences:
    """Central differences of a function's values.

    Attributes:
        slope: of each value, along each direction.
        error: how far off each may be, as differences with other steps tell.
        kink: where those to either side differ, whatever the step: the function has a kink or a jump there.
    """

    slope: FloatArray
    error: FloatArray
    kink: np.ndarray


def differences(
    function: Callable[[FloatArray], FloatArray],
    theta: FloatArray,
    directions: Iterable[FloatArray],
    largest: float,
    noise: float,
) -> Differences:
    """Of `function` at theta, along each direction: arrays (*values, directions).

    Of some steps, from `largest` directions down, each value takes the two that agree best (Ridders 1982, without the
    extrapolation: values may jump).

    Args:
        noise: what of a value is rounding, relative to the largest.
    """
    here = function(theta)
    scale = np.abs(here[np.isfinite(here)]).max(initial=0.0)
    results = [_along(function, theta, d, here, largest, noise * scale) for d in directions]
    return Differences(*(np.stack(parts, -1) for parts in zip(*results, strict=True)))


def _along(
    function: Callable[[FloatArray], FloatArray],
    theta: FloatArray,
    direction: FloatArray,
    here: FloatArray,
    largest: float,
    noise: float,
) -> tuple[FloatArray, FloatArray, np.ndarray]:
    slope, error = np.full(here.shape, np.nan), np.full(here.shape, np.inf)
    kink = np.zeros(here.shape, bool)
    before: FloatArray | None = None
    for k in range(_STEPS):
        h = largest / _RATIO**k
        after, behind = function(theta + h * direction), function(theta - h * direction)
        ahead, back = (after - here) / h, (here - behind) / h
        now = 0.5 * (ahead + back)
        rounding = noise / h
        if before is not None:
            found = np.abs(now - before) + rounding
            better = found < error
            slope, error = np.where(better, now, slope), np.where(better, found, error)
            # Of a smooth function they differ by as much as its curvature, which goes with the step.
            apart = np.abs(ahead - back)
            kink = np.where(better, apart > 0.2 * (np.abs(ahead) + np.abs(back)) + 4.0 * rounding, kink)
        before = now
    return slope, error, kink & np.isfinite(slope)
