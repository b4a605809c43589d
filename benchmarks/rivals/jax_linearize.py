"""JAX. Issue's scene: jit of linearize and vmap over the basis. 100 spheres: a jitted jvp per
parameter.

python -m benchmarks.rivals.jax_linearize [scene=issue|hundred] [device=cpu|cuda]
The 100 spheres are measured on 4 of the 400 parameters and extrapolated.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

# JAX reads it as it is imported.
os.environ.setdefault("JAX_PLATFORMS", "cuda" if "device=cuda" in sys.argv else "cpu")

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contender import Case, Contender, main
from benchmarks.scenes import (
    CX,
    CY,
    FOCAL,
    HEIGHT,
    ISSUE_SPHERE,
    WIDTH,
    deviation,
    hundred_spheres,
    rays,
    reference,
)

SAMPLE = [0, 101, 202, 303]
X, Y = (np.ascontiguousarray(a, np.float32) for a in rays())
NORM = np.sqrt(X * X + Y * Y + 1)
DIRECTION = (X / NORM, Y / NORM, 1 / NORM)


def hit(sphere: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
    """Distance along every ray to a sphere (radius, x, y, z), numbers or images, and where it is hit."""
    radius, *c = sphere
    b = sum(d * x for d, x in zip(DIRECTION, c, strict=True))
    m = [x - b * d for d, x in zip(DIRECTION, c, strict=True)]
    squared = radius * radius - sum(x * x for x in m)
    there = squared > 0
    return b - jnp.sqrt(jnp.where(there, squared, 1.0)), there


def render_vectors(theta: jax.Array) -> jax.Array:
    """The issue's scene, theta (4,), as one writes it: rays as an (H, W, 3) array, dot products."""
    u, v = jnp.meshgrid(jnp.arange(WIDTH), jnp.arange(HEIGHT))
    rays = jnp.stack([(u - CX) / FOCAL, (v - CY) / FOCAL, jnp.ones(u.shape)], axis=-1)
    d = rays / jnp.linalg.norm(rays, axis=-1, keepdims=True)
    radius, c = theta[0], theta[1:]
    b = d @ c
    squared = b * b - c @ c + radius * radius
    there = squared > 0
    return jnp.where(there, b - jnp.sqrt(jnp.where(there, squared, 1.0)), 0.0)


def render_planes(theta: jax.Array) -> jax.Array:
    """The same by separate coordinates and rays made beforehand: XLA fuses it into one pass."""
    t, there = hit(tuple(theta))
    return jnp.where(there, t, 0.0)


def render_many(theta: jax.Array) -> jax.Array:
    """theta (4 n,): the nearest sphere by a scan that carries no derivative, then its distance."""
    spheres = theta.reshape(-1, 4)

    def nearer(carry: tuple[jax.Array, jax.Array], k: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        best, seen = carry
        t, there = hit(tuple(jax.lax.stop_gradient(spheres)[k]))
        closer = there & (t < best)
        return (jnp.where(closer, t, best), jnp.where(closer, k, seen)), None

    start = (jnp.full(X.shape, jnp.inf, jnp.float32), jnp.full(X.shape, -1))
    (_, seen), _ = jax.lax.scan(nearer, start, jnp.arange(len(spheres)))
    t, there = hit(tuple(jnp.moveaxis(spheres[seen], -1, 0)))
    return jnp.where((seen >= 0) & there, t, 0.0)


def build_issue() -> Contender:
    """Cases `jacobian` and `planes`: value (H, W) and columns (4, H, W)."""
    thetas = [jnp.asarray(ISSUE_SPHERE + 1e-3 * k, jnp.float32) for k in range(2)]
    right = reference(ISSUE_SPHERE)
    cases, deviations = {}, {}
    for name, render in {"jacobian": render_vectors, "planes": render_planes}.items():
        jacobian = jax.jit(lambda theta, render=render: columns(render, theta))
        value, J = jacobian(thetas[0])
        deviations[name] = deviation(value, right.value, right.compare)
        deviations[name] = max(deviations[name], deviation(J, right.partials, right.compare))
        cases[name] = Case(lambda k, jacobian=jacobian: jax.block_until_ready(jacobian(thetas[k % 2])))
    return Contender(cases, {"jax": jax.__version__}, deviations)


def columns(render: Callable[[jax.Array], jax.Array], theta: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Value and all columns at once."""
    value, push = jax.linearize(render, theta)
    return value, jax.vmap(push)(jnp.eye(len(theta), dtype=theta.dtype))


def build_hundred() -> Contender:
    """Case `jacobian`: the jitted jvp of some parameters, extrapolated to all."""
    spheres = hundred_spheres()
    theta = jnp.asarray(spheres.reshape(-1), jnp.float32)
    push = jax.jit(lambda theta, seed: jax.jvp(render_many, (theta,), (seed,)))
    seeds = [jnp.zeros_like(theta).at[q].set(1.0) for q in SAMPLE]
    found = [push(theta, seed) for seed in seeds]
    right = reference(spheres)
    wrong = deviation(found[0][0], right.value, right.compare)
    for q, (_, column) in zip(SAMPLE, found, strict=True):
        expected = np.where(right.seen == q // 4, right.partials[q % 4], 0.0)
        wrong = max(wrong, deviation(column, expected, right.compare))
    scale = spheres.size / len(SAMPLE)
    note = f"{len(SAMPLE)} of {spheres.size} parameters measured, extrapolated"
    case = Case(lambda k: jax.block_until_ready([push(theta, seed) for seed in seeds]), scale, note)
    return Contender({"jacobian": case}, {"jax": jax.__version__}, {"jacobian": wrong})


if __name__ == "__main__":
    main(lambda options: build_hundred() if options.get("scene") == "hundred" else build_issue())
