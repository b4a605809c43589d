"""One module per row of the table; each has `run(context) -> Result`."""

from collections.abc import Callable

from benchmarks.context import Context
from benchmarks.measure import Result
from benchmarks.rows import (
    bottle,
    boundaries,
    devices,
    hundred_spheres,
    installed_size,
    issue_scene,
    latency,
    memory,
    models,
    places,
    sparse,
    start_up,
    threads,
)

ROWS: dict[str, Callable[[Context], Result]] = {
    "issue": issue_scene.run,
    "hundred": hundred_spheres.run,
    "bottle": bottle.run,
    "models": models.run,
    "sparse": sparse.run,
    "bodies": places.bodies,
    "inside": places.inside,
    "threads": threads.run,
    "boundaries": boundaries.run,
    "devices": devices.run,
    "latency": latency.run,
    "start-up": start_up.run,
    "memory": memory.run,
    "size": installed_size.run,
}
