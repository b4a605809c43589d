"""The normal equations of a Gauss-Newton step, from an image and its dense derivative."""

from typing import NamedTuple

import numpy as np

from kernels.losses import least_squares


class NormalEquations(NamedTuple):
    """H = J'WJ (P, P), g = J'Wr (P,), W = w rho'(r^2); cost = 1/2 sum w rho(r^2); count, the number of residuals."""

    H: np.ndarray
    g: np.ndarray
    cost: float
    count: int


def normal_equations(image, J, observed, weights=None, loss=least_squares, scale=1.0, alpha=1.0):
    """Residuals are r = image - observed; a pixel has none where either is not finite, or its weight is 0 or NaN.

    Args:
        image, observed: (H, W) or (H, W, C).
        J: the same with a last axis for theta.
        weights: as the image, or (H, W) for all channels alike.
        loss, scale, alpha: one of `kernels.losses.LOSSES`, and its arguments.
    """
    weights = np.ones(image.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if weights.ndim < image.ndim:
        weights = np.repeat(weights[..., None], image.shape[-1], axis=-1)
    kept = np.isfinite(image) & np.isfinite(observed) & (weights > 0.0)
    r, w, rows = image[kept] - observed[kept], weights[kept], J[kept]
    rho, slope = loss(r * r, scale, alpha)
    weighted = rows * (w * slope)[:, None]
    return NormalEquations(weighted.T @ rows, weighted.T @ r, 0.5 * float(np.sum(w * rho)), int(kept.sum()))
