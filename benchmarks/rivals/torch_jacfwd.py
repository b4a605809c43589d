"""PyTorch on the CPU, the issue's scene: torch.func.jacfwd, eager.

python -m benchmarks.rivals.torch_jacfwd
"""

from __future__ import annotations

import numpy as np
import torch
from torch.func import jacfwd

from benchmarks.contender import Case, Contender, main
from benchmarks.scenes import ISSUE_SPHERE, deviation, rays, reference

X, Y = (torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in rays())
NORM = torch.sqrt(X * X + Y * Y + 1)
DIRECTION = torch.stack([X / NORM, Y / NORM, 1 / NORM], dim=-1)


def render(theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Distance (H, W), twice: jacfwd hands the second one back as the value."""
    c = theta[1:]
    b = DIRECTION @ c
    squared = b * b - c @ c + theta[0] * theta[0]
    there = squared > 0
    t = torch.where(there, b - torch.sqrt(torch.where(there, squared, 1.0)), 0.0)
    return t, t


def build(_: dict[str, str]) -> Contender:
    """Case `jacobian`: columns (H, W, 4) and value (H, W)."""
    jacobian = jacfwd(render, has_aux=True)
    thetas = [torch.tensor(ISSUE_SPHERE + 1e-3 * k, dtype=torch.float32) for k in range(2)]
    columns, value = jacobian(thetas[0])
    right = reference(ISSUE_SPHERE)
    wrong = max(
        deviation(value.numpy(), right.value, right.compare),
        deviation(np.moveaxis(columns.numpy(), -1, 0), right.partials, right.compare),
    )
    cases = {"jacobian": Case(lambda k: jacobian(thetas[k % 2]))}
    return Contender(cases, {"torch": torch.__version__}, {"jacobian": wrong})


if __name__ == "__main__":
    main(build)
