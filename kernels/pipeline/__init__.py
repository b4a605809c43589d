"""The kernels' entry points, in the order in which data flows through them.

prepare -> bin -> visibility -> value, rows -> residuals -> normal_equations

From `visibility` on a kernel works on tiles [begin, end) of 16 x 16 pixels. What one tile hands to the next kernel
lies in tile blocks: block number (tile - first_tile). On the CPU the runtime takes one tile through all its kernels
before the next, so that its block stays in the first-level cache; on a GPU each kernel runs over all tiles.

`all_kernels(target)` gives every kernel by name. Each module is a family: a function of the target and of what it is
specialised for, returning a @ti.kernel.
"""

from dataclasses import dataclass

from kernels.losses import LOSSES
from kernels.outputs import OUTPUTS
from kernels.pipeline.bin import bin_count, bin_fill
from kernels.pipeline.normal_equations import normal_equations
from kernels.pipeline.prepare import TRIANGLE_COMPONENTS, prepare_triangles, prepare_vertices
from kernels.pipeline.residuals import SUMS, residuals
from kernels.pipeline.rows import CAMERA_SLOTS, rows
from kernels.pipeline.surfaces import SURFACES
from kernels.pipeline.target import TILE
from kernels.pipeline.value import value_of_depth, value_of_surface
from kernels.pipeline.visibility import (
    PLANE_COMPONENTS,
    SPHERE_COMPONENTS,
    clear_visibility,
    visible_planes,
    visible_spheres,
    visible_triangles,
)


@dataclass(frozen=True)
class Entry:
    """A kernel, the family it belongs to, and its place there: a family's kernels share their arguments."""

    kernel: object
    family: str
    index: tuple = ()


def all_kernels(target):
    """Every kernel of the library for a target: {name: Entry}, in the order of the data."""
    families = (
        prepare_vertices,
        prepare_triangles,
        bin_count,
        bin_fill,
        clear_visibility,
        visible_spheres,
        visible_planes,
        visible_triangles,
    )
    kernels = {family.__name__: Entry(family(target), family.__name__) for family in families}
    for o, output in enumerate(OUTPUTS):
        if not output.uses_normal:
            kernels[f"value_{output.name}"] = Entry(value_of_depth(target, output), "value_of_depth", (o,))
        for s, surface in enumerate(SURFACES):
            if output.uses_normal:
                kernel = value_of_surface(target, output, surface)
                kernels[f"value_{output.name}_{surface.name}"] = Entry(kernel, "value_of_surface", (o, s))
            if output.has_partials:
                for camera in (False, True):
                    name = f"rows_{output.name}_{surface.name}" + "_camera" * camera
                    kernels[name] = Entry(rows(target, output, surface, camera), "rows", (o, s, int(camera)))
    for k, loss in enumerate(LOSSES):
        kernels[f"residuals_{loss.__name__}"] = Entry(residuals(target, loss), "residuals", (k,))
    sizes = {len(surface.slots) + extra for surface in SURFACES for extra in (0, CAMERA_SLOTS)}
    for slots in sorted(sizes):
        kernels[f"normal_equations_{slots}"] = Entry(normal_equations(target, slots), "normal_equations", (slots,))
    return kernels


def constants(target):
    """Whole numbers that the runtime must agree on with the kernels, by the names it knows them by."""
    numbers = {
        "tile": TILE,
        "lanes": target.lanes,
        "sphere_components": SPHERE_COMPONENTS,
        "plane_components": PLANE_COMPONENTS,
        "triangle_components": TRIANGLE_COMPONENTS,
        "camera_slots": CAMERA_SLOTS,
        "residual_sums": len(SUMS),
    }
    numbers |= {f"output_{output.name}": o for o, output in enumerate(OUTPUTS)}
    numbers |= {f"channels_{output.name}": output.channels for output in OUTPUTS}
    numbers |= {f"surface_{surface.name}": s for s, surface in enumerate(SURFACES)}
    numbers |= {f"slots_{surface.name}": len(surface.slots) for surface in SURFACES}
    numbers |= {f"loss_{loss.__name__}": k for k, loss in enumerate(LOSSES)}
    return numbers
