"""Pixels that silhouettes cross, on a GPU: lists over the whole image, each item a thread. Nothing is read back.

    count_pieces             per mesh: which edges are silhouettes, and which pixels they may cross
    find_crossed             crossed pixels; entries, each a pixel and an object whose silhouette crosses it
    place_pieces, cross_pieces, join_pieces, link_pieces        meshes: their entries
    cross_entries                                               spheres, planes: how they cross
    see_large_triangles, see_small_triangles (per mesh), choose_sides    what is seen beside, which entries are visible
    sample_sides             per output and group: what both sides show
    mix_pixels               what crossed pixels show

and for rows

    move_entries, move_pieces (per mesh)      by the motion of silhouettes
    gather_rows                               by primitives
    patch_rows                                per group, after `rows`

and for normal equations

    pair_rows, pair_primitives, couple_primitives    what pixels add that depend on several primitives

Before all of it the lengths of the lists, and with meshes the pixels' numbers of pieces, are set to 0. The lengths are
known only to the device: they are the bounds of the launches. A list that is too short is not written beyond its end,
but its length goes on, so that the host can make it longer and start again. Where an item comes to lie in its list
depends on which thread is first; what is found of it does not, and whatever is summed is summed pixel by pixel in the
order of the primitives. So images, rows and sums have the same bits each time.
"""

from kernels.outputs import OUTPUTS
from kernels.pipeline.crossed.couplings import couple_primitives, pair_primitives, pair_rows
from kernels.pipeline.crossed.edges import count_pieces, place_pieces
from kernels.pipeline.crossed.entries import choose_sides, cross_entries
from kernels.pipeline.crossed.find import find_crossed
from kernels.pipeline.crossed.gather import gather_rows, patch_rows
from kernels.pipeline.crossed.mix import mix_pixels
from kernels.pipeline.crossed.motion import move_entries, move_pieces
from kernels.pipeline.crossed.pieces import cross_pieces, join_pieces, link_pieces
from kernels.pipeline.crossed.see import see_large_triangles, see_small_triangles
from kernels.pipeline.crossed.sides import sample_sides
from kernels.pipeline.entry import Entry
from kernels.pipeline.surfaces import SURFACES

SINGLE = (
    count_pieces,
    find_crossed,
    place_pieces,
    cross_pieces,
    join_pieces,
    link_pieces,
    see_large_triangles,
    see_small_triangles,
    choose_sides,
    mix_pixels,
    gather_rows,
    patch_rows,
    pair_rows,
    pair_primitives,
    couple_primitives,
)


def crossed_kernels(target):
    """The kernels of this folder: {name: Entry}."""
    kernels = {family.__name__: Entry(family(target), family.__name__) for family in SINGLE}
    for with_nodes in (False, True):
        kernel = cross_entries(target, with_nodes)
        kernels["cross_entries" + "_nodes" * with_nodes] = Entry(kernel, "cross_entries", (int(with_nodes),))
    for camera in (False, True):
        suffix = "_camera" * camera
        kernels[f"move_entries{suffix}"] = Entry(move_entries(target, camera), "move_entries", (int(camera),))
        for free in (False, True):
            name = "move_pieces" + "_free" * free + suffix
            kernels[name] = Entry(move_pieces(target, free, camera), "move_pieces", (int(free), int(camera)))
    for o, output in enumerate(OUTPUTS):
        for s, surface in enumerate(SURFACES):
            # An output without partials shows 1 wherever something is seen.
            for mode, (seeded, camera) in enumerate(((False, False), (True, False), (True, True))):
                if output.has_partials:
                    name = f"sample_sides_{output.name}_{surface.name}" + "_rows" * seeded + "_camera" * camera
                    kernel = sample_sides(target, output, surface, camera, seeded)
                    kernels[name] = Entry(kernel, "sample_sides", (o, s, mode))
    return kernels
