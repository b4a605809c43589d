"""A mixture of Gaussians, as in ADBench: of each point the logarithm of its density, but for the constant."""

import numpy as np

from diffrt_aot.model import Free, Item, PerItem, exp, log, maximum, model

COMPONENTS, AXES = 3, 2


def log_sum_exp(values):
    most = values[0]
    for x in values[1:]:
        most = maximum(most, x)
    most = most.value  # of which the sum does not depend
    return log(sum(exp(x - most) for x in values)) + most


@model
def gmm(
    point: Item, alphas: Free[COMPONENTS], means: Free[COMPONENTS, AXES], icf: Free[COMPONENTS, 3], x: PerItem[AXES]
):
    """icf: of each component the logarithms of the diagonal of a triangular matrix Q, and what is below it."""
    terms = []
    for alpha, mean, (a, b, below) in zip(alphas, means, icf, strict=True):
        d = x - mean
        q = np.array([exp(a) * d[0], exp(b) * d[1] + below * d[0]])
        terms.append(alpha + a + b - 0.5 * (q @ q))
    return log_sum_exp(terms) - log_sum_exp(list(alphas))
