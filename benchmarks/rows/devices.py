"""GPUs: the issue's scene, the 100 spheres and the bottle on each device that is here, beside JAX and torch on CUDA."""

from __future__ import annotations

import diffrt_aot as dr
from benchmarks.arena import Arena
from benchmarks.contender import Request
from benchmarks.context import Context, contender_note, time_line, versions
from benchmarks.measure import Result

# Scene, what is asked of it, and the most that each may take on CUDA without boundary terms [us], where there is such
# a bar. `on_device` is what comes first, with the case's arrays on the device.
CASES = (
    ("issue", ("jacobian", "on_device"), {"on_device": 30.0}),
    ("hundred", ("normal_equations", "on_device"), {"on_device": 150.0}),
    ("bottle", ("normal_equations", "on_device", "fit_step"), {"normal_equations": 200.0, "fit_step": 200.0}),
)
RIVALS = {
    "JAX": ("benchmarks.rivals.jax_linearize", "jax", ("jacobian", "planes")),
    "torch": ("benchmarks.rivals.torch_jacfwd", "torch", ("jacobian", "graph")),
}


def run(context: Context) -> Result:
    """Medians of each, end to end: results come to the host, but for the cases `on_device`, and the rivals'."""
    result = Result("Devices: issue's scene with 4 columns, 100 spheres' and the bottle's normal equations")
    devices = dr.devices()
    if devices == ["cpu"]:
        result.skipped["cuda, vulkan"] = "there is no such device here"
        return result
    for scene, cases, bars in CASES:
        with Arena() as arena:
            turns = {}
            for device in devices:
                name = f"diffrt_aot {device}"
                options = {"scene": scene, "device": device, "data": context.data}
                if context.start(arena, name, "benchmarks.ours", "diffrt_aot", **options):
                    # Only CUDA's normal equations are of what is observed on the device.
                    there = device != "cpu" and (scene == "issue" or device.startswith("cuda"))
                    turns |= {(name, case): Request(case) for case in cases if case != "on_device" or there}
            for name, (module, needs, theirs) in RIVALS.items() if scene == "issue" else ():
                if context.start(arena, name, module, needs, scene=scene, device="cuda"):
                    turns |= {(name, rival): Request(rival) for rival in theirs}
            context.say(f"{scene}, {context.rounds} rounds")
            for (name, which), rounds in arena.run(turns, context.rounds).items():
                limit = bars.get(which) if "cuda" in name else None
                note = contender_note(arena, name, which)
                result.lines.append(time_line(f"{scene}, {name}: {which}", rounds, unit="us", bar=limit, note=note))
            result.skipped |= {f"{scene}, {name}": why for name, why in arena.skipped.items()}
            result.versions |= versions(arena)
    return result
