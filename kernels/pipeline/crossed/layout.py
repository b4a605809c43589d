"""Where the lists of crossed pixels, entries, pieces and rows have what. All are structures of arrays: component c of
item i lies at c * capacity + i.
"""

import taichi as ti

from kernels.pipeline.target import TILE, TILE_BITS

TILE_PIXELS = TILE * TILE

# How long the lists are: pairs (0, length), SPACING numbers apart, so that each can be bound as the bounds of a launch.
# A length may exceed its list's capacity: that many items are needed.
CROSSED, ENTRIES, PIECES, PIXEL_PAIRS, PAIRS, LISTS = range(6)
SPACING = 64
LENGTHS_SIZE = LISTS * SPACING

# A crossed pixel: its number, tile by tile; where its entries, pieces and rows begin, and how many there are; how many
# entries are of spheres and planes; by bits
# the channels whose row at the pixel's centre does not count; the block of what its centre sees, or -1; and where the
# pairs of its rows begin.
(
    CROSSED_PIXEL,
    CROSSED_FIRST_ENTRY,
    CROSSED_ENTRIES,
    CROSSED_FIRST_PIECE,
    CROSSED_PIECES,
    CROSSED_FIRST_ROW,
    CROSSED_ROWS,
    CROSSED_DROPPED,
    CROSSED_BLOCK,
    CROSSED_FIRST_PAIR,
    CROSSED_SMOOTH,
    CROSSED_COMPONENTS,
) = range(12)

# An entry: its pixel; the id of the primitive, for a mesh of the face at the chain's longest piece; its kind, that of a
# sphere (kernels/pipeline/crossings.py), a plane's horizon or a mesh's chain; its mesh; its rule; whether it is
# visible; what is seen at its three points; what is sampled inside and outside; and the blocks of those that theta
# moves, else -1.
(
    ENTRY_PIXEL,
    ENTRY_OWNER,
    ENTRY_KIND,
    ENTRY_MESH,
    ENTRY_RULE,
    ENTRY_ACTIVE,
    ENTRY_SEEN,
    ENTRY_SAMPLE,
    ENTRY_BLOCK,
    ENTRY_COMPONENTS,
) = (0, 1, 2, 3, 4, 5, 6, 9, 11, 13)
NO_KIND, KIND_HORIZON, KIND_CHAIN = -1, 3, 4
# Points of an entry in the order in which they lie in a crossing: beside the silhouette, and the centroid inside.
INNER_POINT, OUTER_POINT, INSIDE_POINT, POINTS = 0, 1, 2, 3
# The id of no primitive yet: every other one is lower.
NO_ID = 2**31 - 1

# A piece of an edge: its pixel; its edge as it was found, and in the order of the edges; its entry, or -1; the piece
# that its chain begins with, or -1; the welded vertices at its ends, or -1 where an end is cut; if it is visible and
# theta moves it the block, else -1; and of a free triangle the corner opposite the edge, else -1.
(
    PIECE_PIXEL,
    PIECE_FOUND,
    PIECE_EDGE,
    PIECE_ENTRY,
    PIECE_CHAIN,
    PIECE_ENDS,
    PIECE_BLOCK,
    PIECE_CORNER,
    PIECE_NUMBERS,
) = (0, 1, 2, 3, 4, 5, 7, 8, 9)

# An edge, of all meshes together: its first half-edge, both welded vertices (of different meshes different numbers),
# and its mesh.
EDGE_HALF_EDGE, EDGE_ENDS, EDGE_MESH, EDGE_NUMBERS = 0, 1, 3, 4

# Tables of few numbers, item by item. A mesh: its ids, whether it is rigid, the rule, and whether theta moves it. A
# sphere or plane, by its id: the rule, whether theta moves it. Ids of meshes follow those.
MESH_FIRST_ID, MESH_COUNT, MESH_RIGID, MESH_RULE, MESH_MOVES, MESH_NUMBERS = range(6)
SMOOTH_RULE, SMOOTH_MOVES, SMOOTH_NUMBERS = range(3)

# A row: what a pixel depends on through one primitive. Those of entry e are as many as there may be, from e times that
# on. The values of row r lie in one piece, channels x planes from r *
# channels * planes on. A pixel's first row is kept for what its centre sees, and ends up in the planes of all pixels;
# its id is -1, as is that of a row which is not in use.
ROW_ID, ROW_PIXEL, ROW_NUMBERS = range(3)
# Rows for each entry: that of the centre, and of what is seen on both sides; with meshes, of a piece's own triangle.
ROWS_OF_ENTRY, ROWS_OF_CHAIN = 3, 4

# A pair of primitives, blocks a <= b, on which a pixel depends: the pixel, its place in `tile_places`, its rows for
# both, and the pair of the next pixel of the tile that depends on both, or -1.
(
    PIXEL_PAIR_A,
    PIXEL_PAIR_B,
    PIXEL_PAIR_PIXEL,
    PIXEL_PAIR_PLACE,
    PIXEL_PAIR_ROW_A,
    PIXEL_PAIR_ROW_B,
    PIXEL_PAIR_NEXT,
    PIXEL_PAIR_NUMBERS,
) = range(8)

# A pair of primitives on which pixels of a tile depend, and the pair of the first of these pixels.
PAIR_TILE, PAIR_A, PAIR_B, PAIR_HEAD, PAIR_NUMBERS = range(5)


@ti.func
def column_of(pixel, tiles_x):
    """Column [px] of a pixel's number."""
    return (pixel // TILE_PIXELS) % tiles_x * TILE + pixel % TILE


@ti.func
def row_of(pixel, tiles_x):
    """Row [px] of a pixel's number."""
    return (pixel // TILE_PIXELS) // tiles_x * TILE + pixel % TILE_PIXELS // TILE


@ti.func
def number_of(x, y, tiles_x):
    """The number of the pixel at column x and row y."""
    tile = (y >> TILE_BITS) * tiles_x + (x >> TILE_BITS)
    return tile * TILE_PIXELS + (y & (TILE - 1)) * TILE + (x & (TILE - 1))


@ti.func
def append(lengths: ti.template(), which, count):
    """Takes `count` places of a list, and returns the first. Which it is depends on who comes first; what is written
    to images and sums does not."""
    return ti.atomic_add(lengths[which * SPACING + 1], count)


@ti.func
def within(first, count, capacity):
    """How many of `count` places from `first` on are there."""
    return ti.max(0, ti.min(count, capacity - first))


def constants():
    """What the runtime must know of the lists, by the names it knows it by."""
    return {
        "list_crossed": CROSSED,
        "list_entries": ENTRIES,
        "list_pieces": PIECES,
        "list_pixel_pairs": PIXEL_PAIRS,
        "list_pairs": PAIRS,
        "lists": LISTS,
        "list_spacing": SPACING,
        "lengths_size": LENGTHS_SIZE,
        "crossed_components": CROSSED_COMPONENTS,
        "entry_components": ENTRY_COMPONENTS,
        "entry_points": POINTS,
        "piece_numbers": PIECE_NUMBERS,
        "rows_of_entry": ROWS_OF_ENTRY,
        "rows_of_chain": ROWS_OF_CHAIN,
        "edge_half_edge": EDGE_HALF_EDGE,
        "edge_ends": EDGE_ENDS,
        "edge_mesh": EDGE_MESH,
        "edge_numbers": EDGE_NUMBERS,
        "mesh_first_id": MESH_FIRST_ID,
        "mesh_count": MESH_COUNT,
        "mesh_rigid": MESH_RIGID,
        "mesh_rule": MESH_RULE,
        "mesh_moves": MESH_MOVES,
        "mesh_numbers": MESH_NUMBERS,
        "smooth_rule": SMOOTH_RULE,
        "smooth_moves": SMOOTH_MOVES,
        "smooth_numbers": SMOOTH_NUMBERS,
        "row_id": ROW_ID,
        "row_pixel": ROW_PIXEL,
        "row_numbers": ROW_NUMBERS,
        "pixel_pair_numbers": PIXEL_PAIR_NUMBERS,
        "pair_tile": PAIR_TILE,
        "pair_a": PAIR_A,
        "pair_b": PAIR_B,
        "pair_numbers": PAIR_NUMBERS,
    }
