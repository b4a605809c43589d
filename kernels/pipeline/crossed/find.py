"""Which pixels silhouettes cross: the list of crossed pixels, with room for their entries, pieces and rows.

A thread per pixel. Whether the silhouette of a sphere or plane passes through a pixel is asked of q, whose range over
the pixel is bounded by its value, gradient and second derivatives at the centre. That may name a pixel too many, which
`cross_entries` finds out. Spheres behind another one that covers all of the pixel are left out, as far as bounds tell.
The pieces of meshes' edges have been counted before (edges.py); of each there is at most one chain.
"""

import taichi as ti

from kernels.cameras.pinhole import pinhole_direction
from kernels.numbers import absolute, sqrt, where
from kernels.numbers.traced import Traced
from kernels.pipeline.crossed import layout as at
from kernels.pipeline.crossings import STEP, plane_conic, sphere_conic
from kernels.pipeline.visibility import INVERSE_GAP, RADIUS, SPHERE_COMPONENTS, load_scalar

# Of the reach of q over a pixel: what rounding may hide.
SLACK = 1.04
# How far [px] from a pixel's centre, in x and in y, one looks at most.
BEYOND = 0.53
# More than rounding takes from a depth.
ROUNDING = 1e-4


def find_crossed(target):
    """Pixels [begin, end). `lengths` are 0 before. `pixel_places` becomes the place of each in the list of crossed
    pixels, or -1; `pixel_pieces`, where there are meshes, turns from the number of its pieces into the first's place.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        width: ti.i32,
        height: ti.i32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        sphere_count: ti.i32,
        plane_count: ti.i32,
        crossed_capacity: ti.i32,
        entry_capacity: ti.i32,
        piece_capacity: ti.i32,
        rows_of_entry: ti.i32,
        spheres: scalars,
        planes: scalars,
        offsets: indices,
        candidates: indices,
        kinds: indices,
        smooth: indices,
        ids: indices,
        pixel_pieces: indices,
        pixel_places: indices,
        lengths: indices,
        crossed: indices,
        entries: indices,
        small_inverse: scalars,
        small_ids: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for p in range(begin, end):
            pixel_places[p] = -1
            u = at.column_of(p, tiles_x)
            v = at.row_of(p, tiles_x)
            if u < width and v < height:
                x = ti.cast(u, ti.f32)
                y = ti.cast(v, ti.f32)
                tile = p // at.TILE_PIXELS
                first = 0
                last = 0
                if sphere_count > 0:
                    first = offsets[tile]
                    last = offsets[tile + 1]
                behind = 0.0
                if last - first > 1 and ids[p] >= 0 and ids[p] < sphere_count:
                    behind = farthest(spheres, ids[p], x, y, (fx, fy, cx, cy))
                found = 0
                for i in range(first, last):
                    k = candidates[i]
                    if kinds[k] >= 0:
                        found += crosses(sphere_conic, spheres, k, x, y, (fx, fy, cx, cy), behind)
                for k in range(plane_count):
                    if kinds[sphere_count + k] >= 0:
                        found += crosses(plane_conic, planes, k, x, y, (fx, fy, cx, cy))
                pieces = 0
                if piece_capacity > 0:
                    pieces = pixel_pieces[p]
                if found + pieces > 0:
                    place = at.append(lengths, at.CROSSED, 1)
                    entry = at.append(lengths, at.ENTRIES, found + pieces)
                    room = (found + pieces) * rows_of_entry
                    piece = 0
                    if pieces > 0:
                        piece = at.append(lengths, at.PIECES, pieces)
                        pixel_pieces[p] = piece
                    for e in range(entry, ti.min(entry + found + pieces, entry_capacity)):
                        entries[at.ENTRY_KIND * entry_capacity + e] = at.NO_KIND
                        entries[at.ENTRY_ACTIVE * entry_capacity + e] = 0
                        for point in ti.static(range(at.POINTS)):
                            small_inverse[point * entry_capacity + e] = 0.0
                            small_ids[point * entry_capacity + e] = at.NO_ID
                    if place < crossed_capacity:
                        if entry + found + pieces > entry_capacity:  # without its entries a pixel is left as it is
                            found = 0
                            pieces = 0
                            room = 0
                        else:
                            pixel_places[p] = place
                        pieces = at.within(piece, pieces, piece_capacity)
                        crossed[at.CROSSED_PIXEL * crossed_capacity + place] = p
                        crossed[at.CROSSED_FIRST_ENTRY * crossed_capacity + place] = entry
                        crossed[at.CROSSED_ENTRIES * crossed_capacity + place] = found
                        crossed[at.CROSSED_SMOOTH * crossed_capacity + place] = found
                        crossed[at.CROSSED_FIRST_PIECE * crossed_capacity + place] = piece
                        crossed[at.CROSSED_PIECES * crossed_capacity + place] = pieces
                        crossed[at.CROSSED_FIRST_ROW * crossed_capacity + place] = entry * rows_of_entry
                        crossed[at.CROSSED_ROWS * crossed_capacity + place] = room
                        crossed[at.CROSSED_DROPPED * crossed_capacity + place] = 0
                        e = entry
                        for i in range(first, last):
                            k = candidates[i]
                            if kinds[k] >= 0 and e < entry + found:  # noqa: SIM102 - what is called is not skipped
                                if crosses(sphere_conic, spheres, k, x, y, (fx, fy, cx, cy), behind) != 0:
                                    enter(entries, entry_capacity, e, p, k, kinds[k], smooth)
                                    e += 1
                        for i in range(plane_count):
                            k = sphere_count + i
                            if kinds[k] >= 0 and e < entry + found:  # noqa: SIM102
                                if crosses(plane_conic, planes, i, x, y, (fx, fy, cx, cy)) != 0:
                                    enter(entries, entry_capacity, e, p, k, at.KIND_HORIZON, smooth)
                                    e += 1

    def conic_at(shape, table, k, x, y, intrinsics):
        """The conic around the pixel at (x, y), and twice how far q may get along its gradient, and by its bend."""
        fx, fy, cx, cy = (Traced(a) for a in intrinsics)
        conic = shape(target, table, k, pinhole_direction(Traced(x), Traced(y), fx, fy, cx, cy), fx, fy)
        slope = absolute(conic.gradient[0]) + absolute(conic.gradient[1])
        bend = absolute(conic.hessian[0]) + 2.0 * absolute(conic.hessian[1]) + absolute(conic.hessian[2])
        return conic, slope, bend

    def crosses(shape, table, k, x, y, intrinsics, behind=None):
        """1 where q may be 0 in the pixel at (x, y), else 0; and of a sphere that is `behind` another one 0, too."""
        conic, slope, bend = conic_at(shape, table, k, x, y, intrinsics)
        found = absolute(conic.value) <= (0.5 * slope + 0.125 * bend) * SLACK
        if behind is not None:
            # Where one looks beside the silhouette, q is that little.
            root = load_scalar(table, k * SPHERE_COMPONENTS + RADIUS) * sqrt(3.0 * STEP * (slope + bend))
            most = along(conic, 1.0) + root
            inverse_gap = load_scalar(table, k * SPHERE_COMPONENTS + INVERSE_GAP)
            found = found & (most * inverse_gap * (1.0 + ROUNDING) >= Traced(behind))
        return ti.select(found.expression, 1, 0)

    def farthest(spheres, k, x, y, intrinsics):
        """Less than 1/z of a sphere anywhere one looks in the pixel at (x, y); 0 if it does not cover all of that.

        1/z = (c.d + r sqrt(q)) / gap.
        """
        conic, slope, bend = conic_at(sphere_conic, spheres, k, x, y, intrinsics)
        inverse_gap = load_scalar(spheres, k * SPHERE_COMPONENTS + INVERSE_GAP)
        least = conic.value - (BEYOND * slope + 0.5 * BEYOND**2 * bend) * SLACK
        covers = (least > 0.0) & (inverse_gap > 0.0)
        root = load_scalar(spheres, k * SPHERE_COMPONENTS + RADIUS) * sqrt(where(covers, least, 0.0))
        return where(covers, (along(conic, -1.0) + root) * inverse_gap * (1.0 - ROUNDING), 0.0).expression

    def along(conic, sign):
        """The most, or with sign -1 the least, of c.d where one looks: it is linear."""
        value, by_x, by_y = conic.branch
        return value + sign * BEYOND * (absolute(by_x) + absolute(by_y))

    @ti.func
    def enter(entries: ti.template(), capacity, e, pixel, k, kind, smooth: ti.template()):
        entries[at.ENTRY_PIXEL * capacity + e] = pixel
        entries[at.ENTRY_OWNER * capacity + e] = k
        entries[at.ENTRY_KIND * capacity + e] = kind
        entries[at.ENTRY_MESH * capacity + e] = -1
        entries[at.ENTRY_RULE * capacity + e] = smooth[at.SMOOTH_NUMBERS * k + at.SMOOTH_RULE]

    return kernel
