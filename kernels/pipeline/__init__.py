"""The kernels' entry points, in the order in which data flows through them.

prepare -> bin -> visibility -> value, rows -> residuals -> normal_equations

and between value and residuals, for the pixels that a silhouette crosses,

crossings, edges -> see -> samples -> rules -> silhouette_rows

for a few tiles at a time on the CPU, and in lists of all crossed pixels on a GPU (kernels/pipeline/crossed).

From `visibility` on a kernel works on tiles [begin, end) of 16 x 16 pixels. What one tile hands to the next kernel
lies in tile blocks: block number (tile - first_tile). On the CPU the runtime takes one tile through all kernels before
the next, or a few side by side where silhouettes are wanted or spheres alone are summed, so that blocks stay near; on a
GPU each kernel runs over all tiles.

What is a loop of one thread on the CPU, binning and sums, has other kernels on a GPU: ON_CPU and ON_GPU below. A scene
of one primitive is drawn there in one launch (draw.py).

`all_kernels(target)` gives every kernel by name. Each module is a family: a function of the target and of what it is
specialised for, returning a @ti.kernel.
"""

from kernels.losses import LOSSES
from kernels.outputs import OUTPUTS
from kernels.pipeline import crossings, edges
from kernels.pipeline import samples as sampling
from kernels.pipeline.bin import (
    SPAN,
    chunk_boxes,
    count_candidates,
    fill_candidates,
    place_chunks,
    place_tiles,
)
from kernels.pipeline.crossed import crossed_kernels, layout
from kernels.pipeline.crossed.mix import MIX_COMPONENTS
from kernels.pipeline.dense import dense_extras, dense_rows
from kernels.pipeline.dense_residuals import background_residuals_dense, residuals_dense
from kernels.pipeline.draw import draw
from kernels.pipeline.entry import Entry
from kernels.pipeline.models import loss_results, loss_squares, rule_results
from kernels.pipeline.normal_equations import entry_columns, normal_equations, primitive_equations
from kernels.pipeline.plane_products import PLANE_BLOCK, RUN, SIDE, plane_products, run_sums
from kernels.pipeline.prepare import TRIANGLE_COMPONENTS, prepare_triangles, prepare_vertices
from kernels.pipeline.primitive_sums import part_sums, primitive_sums
from kernels.pipeline.residuals import (
    SUMS,
    background_residuals,
    residuals,
    row_sums,
    shared_row_sums,
    square_gradients,
    tile_sums,
)
from kernels.pipeline.rows import CAMERA_SLOTS, rows
from kernels.pipeline.rules import rules
from kernels.pipeline.samples import samples
from kernels.pipeline.see import REACH, look_spheres, see_planes, see_spheres, see_triangles
from kernels.pipeline.silhouette_rows import load_plane, load_sphere, silhouette_rows, silhouette_rows_edge
from kernels.pipeline.storage import (
    begin_evaluation,
    keep_words,
    load_observation,
    mix_planes,
    pack_image,
    show_background,
    store_ids,
    store_image,
    store_planes,
)
from kernels.pipeline.surfaces import SURFACES
from kernels.pipeline.target import STEPS, TILE
from kernels.pipeline.value import value_of_depth, value_of_surface
from kernels.pipeline.visibility import (
    LARGE,
    PLANE_COMPONENTS,
    QUARTERS,
    SPHERE_COMPONENTS,
    clear_visibility,
    large_triangles,
    nearest_triangles,
    visible_discs,
    visible_planes,
    visible_spheres,
    visible_triangles,
)
from kernels.silhouettes.edge import NICK
from kernels.silhouettes.rules import RULES

# Families of one kind of target only; so are those of crossed pixels, `_boundary_kernels` and `crossed_kernels`.
ON_CPU = (visible_discs, visible_triangles)
ON_GPU = (
    begin_evaluation,
    visible_spheres,
    chunk_boxes,
    count_candidates,
    place_chunks,
    place_tiles,
    fill_candidates,
    nearest_triangles,
    large_triangles,
    row_sums,
    tile_sums,
    shared_row_sums,
    square_gradients,
    primitive_sums,
    part_sums,
    rule_results,
    loss_squares,
    loss_results,
    load_observation,
    pack_image,
    show_background,
    store_image,
    store_ids,
    store_planes,
    mix_planes,
    keep_words,
    dense_rows,
    dense_extras,
    plane_products,
    run_sums,
)


# Of tiles' blocks alone, in which 16 pixels lie side by side whatever the packets are: these families get wider ones
# on processors that have them.
WIDE = (
    "clear_visibility",
    "visible_discs",
    "visible_planes",
    "value_of_depth",
    "residuals",
    "residuals_dense",
    "background_residuals",
    "background_residuals_dense",
    "normal_equations",
    "primitive_equations",
)


def wide_kernels(target):
    """Those of `all_kernels` that are compiled with 16 lanes, too."""
    return {name: entry for name, entry in all_kernels(target).items() if entry.family in WIDE}


def all_kernels(target):
    """Every kernel of the library for a target: {name: Entry}, in the order of the data."""
    families = (
        prepare_vertices,
        prepare_triangles,
        clear_visibility,
        visible_discs,
        visible_planes,
        visible_triangles,
    )
    kernels = _single(target, families if target.serial else families + ON_GPU)
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
                    if not target.serial and surface.name != "free_triangle":  # of one primitive
                        name = f"draw_{output.name}_{surface.name}" + "_camera" * camera
                        kernels[name] = Entry(draw(target, output, surface, camera), "draw", (o, s, int(camera)))
            if target.serial and output.has_partials and surface.name == "sphere":
                name = f"primitive_equations_{output.name}_{surface.name}"
                kernels[name] = Entry(primitive_equations(target, output, surface), "primitive_equations", (o, s))
    for k, loss in enumerate(LOSSES):
        kernels[f"residuals_{loss.__name__}"] = Entry(residuals(target, loss), "residuals", (k,))
        if target.serial:
            for family in (residuals_dense, background_residuals, background_residuals_dense):
                kernels[f"{family.__name__}_{loss.__name__}"] = Entry(family(target, loss), family.__name__, (k,))
    kernels |= _boundary_kernels(target) if target.serial else crossed_kernels(target)
    sizes = {len(surface.slots) + extra for surface in SURFACES for extra in (0, CAMERA_SLOTS)}
    for slots in sorted(sizes):
        family = normal_equations if target.serial else entry_columns
        kernels[f"{family.__name__}_{slots}"] = Entry(family(target, slots), family.__name__, (slots,))
    return kernels


def _single(target, families):
    """Families of one kernel each, those of them that the target has."""
    return {
        family.__name__: Entry(family(target), family.__name__)
        for family in families
        if target.serial or family not in ON_CPU
    }


def _boundary_kernels(target):
    """What the pixels of a tile need that a silhouette crosses, on the CPU."""
    families = (see_spheres, see_planes, see_triangles, look_spheres)
    families += (edges.silhouette_edges, edges.detect_edges, edges.cross_edges)
    kernels = {family.__name__: Entry(family(target), family.__name__) for family in families}
    shapes = (("sphere", crossings.sphere_conic, load_sphere), ("plane", crossings.plane_conic, load_plane))
    for s, (name, conic, load) in enumerate(shapes):
        for branched in (False, True):
            if name == "sphere" or not branched:
                kernel = crossings.lines(target, conic, branched)
                kernels[f"lines_{name}" + "_open" * branched] = Entry(kernel, "lines", (s, int(branched)))
        for k, kind in enumerate(crossings.KINDS if name == "sphere" else crossings.KINDS[:1]):
            for with_nodes in (False, True):
                kernel = crossings.cross(target, conic, k, with_nodes)
                member = f"cross_{name}_{kind}" + "_nodes" * with_nodes
                kernels[member] = Entry(kernel, "cross", (s, k, int(with_nodes)))
            for camera in (False, True):
                kernel = silhouette_rows(target, load, k, camera)
                member = f"silhouette_rows_{name}_{kind}" + "_camera" * camera
                kernels[member] = Entry(kernel, "silhouette_rows", (s, k, int(camera)))
    for free in (False, True):
        for camera in (False, True):
            kernel = silhouette_rows_edge(target, free, camera)
            member = "silhouette_rows_edge" + "_free" * free + "_camera" * camera
            kernels[member] = Entry(kernel, "silhouette_rows_edge", (int(free), int(camera)))
    for o, output in enumerate(OUTPUTS):
        for s, surface in enumerate(SURFACES):
            # An output without partials shows 1 wherever something is seen.
            for mode, (seeded, camera) in enumerate(((False, False), (True, False), (True, True))):
                if output.has_partials:
                    member = f"samples_{output.name}_{surface.name}" + "_rows" * seeded + "_camera" * camera
                    kernel = samples(target, output, surface, camera, seeded)
                    kernels[member] = Entry(kernel, "samples", (o, s, mode))
    for r, rule in enumerate(RULES):
        kernels[f"rule_{rule.__name__}"] = Entry(rules(target, rule), "rules", (r,))
    return kernels


def constants(target):
    """Numbers that the runtime must agree on with the kernels, by the names it knows them by."""
    numbers = {
        "tile": TILE,
        "device_steps": STEPS,
        "device_span": SPAN,
        "large_triangle": LARGE,
        "triangle_quarters": QUARTERS,
        "lanes": target.lanes,
        "sphere_components": SPHERE_COMPONENTS,
        "plane_components": PLANE_COMPONENTS,
        "triangle_components": TRIANGLE_COMPONENTS,
        "camera_slots": CAMERA_SLOTS,
        "residual_sums": len(SUMS),
        "product_side": SIDE,
        "product_block": PLANE_BLOCK,
        "product_run": RUN,
        "crossing_components": crossings.CROSSING_COMPONENTS,
        "crossing_area": crossings.AREA,
        "crossing_moment": crossings.MOMENT,
        "crossing_centre": crossings.CENTRE,
        "crossing_longest": crossings.LONGEST,
        "crossing_spread": crossings.SPREAD,
        "crossing_spread_slope": crossings.SPREAD_SLOPE,
        "crossing_inner": crossings.INNER,
        "crossing_outer": crossings.OUTER,
        "crossing_inside": crossings.INSIDE,
        "crossing_outside": crossings.OUTSIDE,
        "crossing_nodes": crossings.NODES,
        "edge_components": edges.EDGE_COMPONENTS,
        "edge_face": edges.EDGE_FACE,
        "edge_bounds": edges.EDGE_BOUNDS,
        "edge_inverse": edges.INVERSE,
        "piece_components": edges.PIECE_COMPONENTS,
        "piece_area": edges.PIECE_AREA,
        "piece_moment": edges.PIECE_MOMENT,
        "piece_length": edges.PIECE_LENGTH,
        "piece_middle": edges.PIECE_MIDDLE,
        "piece_outward": edges.PIECE_OUTWARD,
        "piece_inverse": edges.PIECE_INVERSE,
        "piece_cut": edges.PIECE_CUT,
        "piece_centre": edges.PIECE_CENTRE,
        "image_slots": sampling.IMAGE_SLOTS,
    }
    reals = {"silhouette_step": crossings.STEP, "least_area": crossings.LEAST_AREA, "triangle_reach": REACH}
    reals |= {"ambiguous_area": edges.AMBIGUOUS, "least_hole": edges.LEAST_HOLE, "as_near": edges.AS_NEAR}
    reals["nick"] = NICK
    for k, kind in enumerate(crossings.KINDS):
        numbers |= {f"kind_{kind}": k, f"nodes_{kind}": crossings.KIND_NODES[k]}
    numbers |= {f"rule_{rule.__name__}": r for r, rule in enumerate(RULES)}
    numbers |= {f"output_{output.name}": o for o, output in enumerate(OUTPUTS)}
    numbers |= {f"channels_{output.name}": output.channels for output in OUTPUTS}
    numbers |= {f"surface_{surface.name}": s for s, surface in enumerate(SURFACES)}
    numbers |= {f"slots_{surface.name}": len(surface.slots) for surface in SURFACES}
    numbers |= {f"loss_{loss.__name__}": k for k, loss in enumerate(LOSSES)}
    return numbers | reals | layout.constants() | {"mix_components": MIX_COMPONENTS}
