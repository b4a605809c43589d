"""JAX on models of one's own: value and all columns, by jit of linearize and vmap over the basis.

python -m benchmarks.rivals.jax_models [threads=N]
"""

from __future__ import annotations

import os
import sys
from functools import partial

os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "threads=1" in sys.argv:  # JAX reads it as it is imported
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import formulas
from benchmarks.contender import Case, Contender, main


def columns(name: str, data: dict[str, jax.Array], theta: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Value, and J' (P, ...)."""
    value, push = jax.linearize(lambda t: formulas.FORMULAS[name](jnp, t, data), theta)
    return value, jax.vmap(push)(jnp.eye(len(theta), dtype=theta.dtype))


def build(_: dict[str, str]) -> Contender:
    """Cases `hand` and `photometric`."""
    cases, deviations = {}, {}
    for name in ("hand", "photometric"):
        theta64, given = formulas.inputs(name)
        data = {
            k: jnp.asarray(v, jnp.float32 if np.asarray(v).dtype.kind == "f" else jnp.int32) for k, v in given.items()
        }
        thetas = [jnp.asarray(theta64 * (1 + 1e-4 * k), jnp.float32) for k in range(2)]

        run = jax.jit(partial(columns, name, data))
        value, J = run(thetas[0])
        found = np.tensordot(np.eye(len(theta64)), np.asarray(J, np.float64), 1)
        deviations[name] = formulas.check(name, value, lambda d, found=found: np.tensordot(d, found, 1))
        cases[name] = Case(lambda k, run=run, thetas=thetas: jax.block_until_ready(run(thetas[k % 2])))
    return Contender(cases, {"jax": jax.__version__}, deviations)


if __name__ == "__main__":
    main(build)
