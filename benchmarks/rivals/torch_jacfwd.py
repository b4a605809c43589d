"""PyTorch, the issue's scene: torch.func.jacfwd, eager and, on a GPU, replayed as a CUDA graph.

python -m benchmarks.rivals.torch_jacfwd [device=cpu|cuda]
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.func import jacfwd

from benchmarks.contender import Case, Contender, Skip, main
from benchmarks.scenes import ISSUE_SPHERE, deviation, rays, reference

Pair = tuple[torch.Tensor, torch.Tensor]


def renderer(device: str) -> Callable[[torch.Tensor], Pair]:
    """Distance (H, W) of theta (4,), twice: jacfwd hands the second one back as the value."""
    x, y = (torch.from_numpy(np.ascontiguousarray(a, np.float32)).to(device) for a in rays())
    norm = torch.sqrt(x * x + y * y + 1)
    direction = torch.stack([x / norm, y / norm, 1 / norm], dim=-1)

    def render(theta: torch.Tensor) -> Pair:
        c = theta[1:]
        b = direction @ c
        squared = b * b - c @ c + theta[0] * theta[0]
        there = squared > 0
        t = torch.where(there, b - torch.sqrt(torch.where(there, squared, 1.0)), 0.0)
        return t, t

    return render


def replayed(jacobian: Callable[[torch.Tensor], Pair], theta: torch.Tensor) -> tuple[Callable[[], None], Pair]:
    """The same work recorded once as a CUDA graph: the best that can be made of it without other kernels."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            jacobian(theta)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = jacobian(theta)
    return graph.replay, found


def build(options: dict[str, str]) -> Contender:
    """Cases `jacobian`, and on a GPU `graph`: columns (H, W, 4) and value (H, W), which stay on the device."""
    device = options.get("device", "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise Skip("torch sees no CUDA device")
    jacobian = jacfwd(renderer(device), has_aux=True)
    thetas = [torch.tensor(ISSUE_SPHERE + 1e-3 * k, dtype=torch.float32, device=device) for k in range(2)]
    right = reference(ISSUE_SPHERE)

    def wrong(found: Pair) -> float:
        columns, value = (t.cpu().numpy() for t in found)
        return max(
            deviation(value, right.value, right.compare),
            deviation(np.moveaxis(columns, -1, 0), right.partials, right.compare),
        )

    def finish() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    cases = {"jacobian": Case(lambda k: (jacobian(thetas[k % 2]), finish()))}
    deviations = {"jacobian": wrong(jacobian(thetas[0]))}
    if device == "cuda":
        theta = thetas[0].clone()
        replay, found = replayed(jacobian, theta)
        replay()
        deviations["graph"] = wrong(found)
        cases["graph"] = Case(lambda k: (theta.copy_(thetas[k % 2]), replay(), finish()))
    return Contender(cases, {"torch": torch.__version__}, deviations)


if __name__ == "__main__":
    main(build)
