"""The kernels of devices in the order in which a device runs them, with all buffers: images, rows and sums."""

from itertools import product

import numpy as np

from kernels.outputs import OUTPUTS

TILE_PIXELS = 256
DEFAULT_BACKGROUND = {"distance": np.nan, "depth": np.nan}


class Overflow(Exception):
    """A list was too short: `needed` has what it takes of each."""

    def __init__(self, needed):
        super().__init__(f"needs {needed}")
        self.needed = needed


class Chain:
    """Buffers for images of some outputs.

    Args:
        capacities: of crossed pixels, entries, pieces, pairs of pixels, and pairs of tiles.
        shuffled: a seed: threads are then in another order, in groups of a few, as those of a GPU may be.
    """

    def __init__(self, tables, outputs, background=None, exact=True, capacities=None, shuffled=None):
        self.t, self.at, self.exact = tables, tables.at, exact
        self._order = None if shuffled is None else np.random.default_rng(shuffled)
        self.outputs, self.channels, values = [], 0, []
        for k, name in enumerate(outputs):
            output = next(o for o in OUTPUTS if o.name == name)
            value = DEFAULT_BACKGROUND.get(name, 0.0) if background is None or background[k] is None else background[k]
            self.outputs.append((output, self.channels, value))
            values += [value] * output.channels
            self.channels += output.channels
        self.backgrounds = np.array(values, dtype=np.float32)
        self.capacities = capacities or [4096, 16384, 16384, 16384, 1024]
        t, C = tables, self.channels
        pixels = t.tiles * TILE_PIXELS
        self.pixels, self.slots = pixels, t.slots
        floats = lambda n: np.full(max(n, 1), np.nan, dtype=np.float32)  # noqa: E731
        integers = lambda n: np.full(max(n, 1), -12345, dtype=np.int32)  # noqa: E731
        self.inverse_depth, self.ids = floats(pixels), integers(pixels)
        self.rendered, self.planes = floats(C * pixels), floats(C * pixels * t.slots)
        crossed, entries, pieces, pixel_pairs, pairs = self.capacities
        self.rows_of_entry = self.at.rows_of_chain if t.meshes else self.at.rows_of_entry
        self.row_capacity = rows = self.rows_of_entry * entries
        self.lengths = integers(self.at.lengths_size)
        self.pixel_pieces, self.pixel_places = integers(pixels), integers(pixels)
        self.crossed = integers(self.at.crossed_components * crossed)
        self.entries, self.crossings = (
            integers(self.at.entry_components * entries),
            floats(self.at.crossing_components * entries),
        )
        self.small_inverse, self.small_ids = (
            floats(self.at.entry_points * entries),
            integers(self.at.entry_points * entries),
        )
        self.seen_inverse, self.reference = floats(self.at.entry_points * entries), floats(2 * entries)
        self.samples, self.partials = floats(2 * C * entries), floats(2 * C * (t.slots + 3) * entries)
        self.mixes, self.entry_rows = floats(self.at.mix_components * C * entries), floats(C * t.slots * entries)
        self.piece_numbers, self.pieces = (
            integers(self.at.piece_numbers * pieces),
            floats(self.at.piece_components * pieces),
        )
        self.piece_rows = floats(C * (6 + t.camera_slots) * pieces)
        self.row_numbers, self.row_values = integers(self.at.row_numbers * rows), floats(C * t.slots * rows)
        self.pair_size = t.slots * (t.slots + 1)
        self.tile_places, self.tile_blocks = integers(pixels), integers(2 * pixels)
        self.pairs = integers(self.at.pair_numbers * pairs)
        self.pixel_pairs = integers(self.at.pixel_pair_numbers * pixel_pairs)
        self.pair_sums = floats(self.pair_size * pairs)

    def launch(self, name, begin, end, **arguments):
        if self._order is None or end - begin < 2:
            return self.t.kernels.launch(name, begin, end, **arguments)
        cuts = np.sort(self._order.integers(begin, end + 1, size=min(end - begin, 40)))
        for part in self._order.permutation(np.stack([np.r_[begin, cuts], np.r_[cuts, end]], axis=1)):
            self.t.kernels.launch(name, int(part[0]), int(part[1]), **arguments)

    def length(self, which):
        """What a device takes as a launch's bound; kernels do not go beyond the capacity."""
        return int(self.lengths[which * self.at.list_spacing + 1])

    # --- what all pixels do

    def show_centres(self):
        t = self.t
        common = {"first_tile": 0, "tiles_x": t.across}
        blocks = {"inverse_depth": self.inverse_depth, "ids": self.ids}
        self.launch("clear_visibility", 0, t.tiles, first_tile=0, **blocks)
        for g in t.groups:
            arguments = common | t.rays | blocks | {"first_id": g.first_id}
            lists = {"offsets": g.offsets, "candidates": g.candidates}
            if g.surface == "sphere":
                self.launch("visible_spheres", 0, t.tiles, **arguments, **lists, spheres=g.table)
            elif g.surface == "plane":
                self.launch("visible_planes", 0, t.tiles, **arguments, count=g.count, planes=g.table)
            else:
                mesh = {"stride": g.stride, "triangles": g.table, "bounds": g.bounds, "ends": g.offsets[1:]}
                self.launch("visible_triangles", 0, t.tiles, **arguments, **lists, **mesh)
        for output, channel, background in self.outputs:
            arguments = common | t.camera | blocks | {"channels": self.channels, "channel": channel}
            arguments |= {"image": self.rendered}
            if not output.uses_normal:
                self.launch(f"value_{output.name}", 0, t.tiles, **arguments, background=background)
                continue
            shaped = self.rendered.reshape(t.tiles, self.channels, TILE_PIXELS)
            shaped[:, channel : channel + output.channels] = background
            for g in t.groups:
                self.launch(f"value_{output.name}_{g.surface}", 0, t.tiles, **arguments, **g.tables)

    def differentiate_centres(self, group, planes):
        t = self.t
        for output, channel, _ in self.outputs:
            if not output.has_partials:
                shaped = self.planes[: self.channels * self.pixels * planes]
                shaped.reshape(t.tiles, self.channels, -1)[:, channel : channel + output.channels] = 0.0
                continue
            self.launch(
                f"rows_{output.name}_{group.surface}" + "_camera" * (t.camera_slots > 0),
                0,
                t.tiles,
                first_tile=0,
                tiles_x=t.across,
                channels=self.channels,
                channel=channel,
                planes=planes,
                inverse_depth=self.inverse_depth,
                ids=self.ids,
                row_planes=self.planes,
                **t.camera,
                **group.tables,
                **group.pivots,
            )

    # --- what crossed pixels do

    def find(self, with_rows):
        """The entries, and how they cross."""
        t, capacities = self.t, self.capacities
        size = {"tiles_x": t.across, "width": t.width, "height": t.height}
        self.lengths[:] = 0
        self.pixel_pieces[:] = 0
        for mesh in t.meshes:
            g, edges = mesh["group"], mesh["edges"]
            names = ("first_faces", "second_faces", "starts", "half_edges", "along")
            self.launch(
                "count_pieces",
                0,
                edges["count"],
                **size,
                **t.camera,
                **{name: edges[name] for name in names},
                first_edge=mesh["first_edge"],
                edge_stride=t.edge_stride,
                face_stride=g.stride,
                vertex_stride=g.vertex_stride,
                faces=g.faces,
                vertices_camera=g.vertices_camera,
                triangles=g.table,
                components=t.components,
                pixel_pieces=self.pixel_pieces,
            )
        empty = np.zeros(1, dtype=np.float32), np.zeros(1, dtype=np.int32)
        spheres = next((g for g in t.groups if g.surface == "sphere"), None)
        planes = next((g for g in t.groups if g.surface == "plane"), None)
        self.shapes = {
            "spheres": spheres.table if spheres else empty[0],
            "planes": planes.table if planes else empty[0],
        }
        self.lists = {
            "offsets": spheres.offsets if spheres else empty[1],
            "candidates": spheres.candidates if spheres else empty[1],
        }
        self.launch(
            "find_crossed",
            0,
            self.pixels,
            **size,
            **t.camera,
            **self.shapes,
            **self.lists,
            sphere_count=len(t.spheres),
            plane_count=len(t.planes),
            crossed_capacity=capacities[0],
            entry_capacity=capacities[1],
            piece_capacity=capacities[2],
            rows_of_entry=self.rows_of_entry,
            kinds=t.kinds,
            smooth=t.smooth,
            ids=self.ids,
            pixel_pieces=self.pixel_pieces,
            pixel_places=self.pixel_places,
            lengths=self.lengths,
            crossed=self.crossed,
            entries=self.entries,
            small_inverse=self.small_inverse,
            small_ids=self.small_ids,
        )
        if t.meshes:
            edges = {"edge_stride": t.edge_stride, "piece_capacity": capacities[2]}
            self.launch(
                "place_pieces",
                0,
                t.edge_count,
                **size,
                **edges,
                components=t.components,
                pixel_pieces=self.pixel_pieces,
                piece_numbers=self.piece_numbers,
            )
            self.launch(
                "cross_pieces",
                0,
                self.length(self.at.list_pieces),
                tiles_x=t.across,
                **t.camera,
                **edges,
                crossed_capacity=capacities[0],
                components=t.components,
                edge_numbers=t.edge_numbers,
                pixel_places=self.pixel_places,
                crossed=self.crossed,
                piece_numbers=self.piece_numbers,
                pieces=self.pieces,
            )
            self.launch(
                "join_pieces",
                0,
                self.length(self.at.list_pieces),
                crossed_capacity=capacities[0],
                piece_capacity=capacities[2],
                pixel_places=self.pixel_places,
                crossed=self.crossed,
                piece_numbers=self.piece_numbers,
                pieces=self.pieces,
            )
            self.launch(
                "link_pieces",
                0,
                self.length(self.at.list_pieces),
                tiles_x=t.across,
                **edges,
                crossed_capacity=capacities[0],
                entry_capacity=capacities[1],
                edge_numbers=t.edge_numbers,
                components=t.components,
                pixel_places=self.pixel_places,
                meshes=t.mesh_table,
                pieces=self.pieces,
                piece_numbers=self.piece_numbers,
                crossed=self.crossed,
                entries=self.entries,
                crossings=self.crossings,
            )
        self.launch(
            "cross_entries" + "_nodes" * with_rows,
            0,
            self.length(self.at.list_entries),
            tiles_x=t.across,
            **t.camera,
            **self.shapes,
            sphere_count=len(t.spheres),
            entry_capacity=capacities[1],
            entries=self.entries,
            crossings=self.crossings,
        )

    def look(self, with_rows):
        """What both sides of the entries show."""
        t, n = self.t, self.capacities[1]
        shared = {"entry_capacity": n, "entries": self.entries, "crossings": self.crossings}
        count = self.length(self.at.list_entries)

        def of_mesh(mesh):
            g = mesh["group"]
            sizes = {"entry_capacity": n, "first_id": g.first_id, "stride": g.stride}
            return g, t.rays | sizes | {"triangles": g.table, "bounds": g.wide_bounds}

        for m, mesh in enumerate(t.meshes):
            g, arguments = of_mesh(mesh)
            self.launch(
                "see_large_triangles",
                0,
                count,
                **arguments,
                first=int(m == 0),
                entries=self.entries,
                crossings=self.crossings,
                offsets=g.offsets,
                candidates=g.candidates,
                inverse_depth=self.seen_inverse,
            )
        # The nearest of all meshes is known before any is asked whether it has it.
        for turn, mesh in product(range(2), t.meshes):
            g, arguments = of_mesh(mesh)
            self.launch(
                "see_small_triangles",
                0,
                self.at.triangle_quarters * g.stride,
                **arguments,
                turn=turn,
                tiles_x=t.across,
                crossed_capacity=self.capacities[0],
                pixel_places=self.pixel_places,
                crossed=self.crossed,
                crossings=self.crossings,
                small_inverse=self.small_inverse.view(np.int32),
                largest=self.small_inverse.view(np.int32),
                small_ids=self.small_ids,
            )
        slots = self.slots + 3 if with_rows else 0
        results = {"samples": self.samples, "partials": self.partials, "reference": self.reference}
        self.launch(
            "choose_sides",
            0,
            count,
            **t.rays,
            **shared,
            **results,
            **self.shapes,
            **self.lists,
            sphere_count=len(t.spheres),
            plane_count=len(t.planes),
            mesh_count=len(t.meshes),
            channels=self.channels,
            slots=slots,
            smooth=t.smooth,
            meshes=t.mesh_table,
            backgrounds=self.backgrounds,
            inverse_depth=self.seen_inverse,
            small_inverse=self.small_inverse,
            small_ids=self.small_ids,
        )
        for output, channel, _ in self.outputs:
            for g in t.groups if output.has_partials else ():
                name = f"sample_sides_{output.name}_{g.surface}" + "_rows" * with_rows
                name += "_camera" * (with_rows and t.camera_slots > 0)
                self.launch(
                    name,
                    0,
                    count,
                    **t.camera,
                    **g.pivots,
                    **g.tables,
                    **shared,
                    **results,
                    channel=channel,
                    slots=slots,
                )

    def mix(self):
        self.launch(
            "mix_pixels",
            0,
            self.length(self.at.list_crossed),
            channels=self.channels,
            crossed_capacity=self.capacities[0],
            entry_capacity=self.capacities[1],
            backgrounds=self.backgrounds,
            crossings=self.crossings,
            entries=self.entries,
            samples=self.samples,
            mixes=self.mixes,
            rendered=self.rendered,
            crossed=self.crossed,
        )

    def gather(self):
        """The rows of crossed pixels."""
        t, capacities = self.t, self.capacities
        camera = "_camera" * (t.camera_slots > 0)
        entries = {
            "entries": self.entries,
            "partials": self.partials,
            "mixes": self.mixes,
            "entry_capacity": capacities[1],
        }
        common = entries | t.camera | {"tiles_x": t.across, "channels": self.channels, "planes_of_row": self.slots}
        self.launch(
            "move_entries" + camera,
            0,
            self.length(self.at.list_entries),
            **common,
            **self.shapes,
            sphere_count=len(t.spheres),
            crossings=self.crossings,
            rows=self.entry_rows,
        )
        for m, mesh in enumerate(t.meshes):
            g = mesh["group"]
            if mesh["numbers"][self.at.mesh_moves] == 0:
                continue
            self.launch(
                "move_pieces" + "_free" * (g.surface == "free_triangle") + camera,
                0,
                self.length(self.at.list_pieces),
                **common,
                **g.pivots,
                mesh=m,
                first_id=g.first_id,
                piece_capacity=capacities[2],
                edge_stride=t.edge_stride,
                face_stride=g.stride,
                vertex_stride=g.vertex_stride,
                components=t.components,
                edge_numbers=t.edge_numbers,
                faces=g.faces,
                vertices_camera=g.vertices_camera,
                crossings=self.crossings,
                piece_numbers=self.piece_numbers,
                pieces=self.pieces,
                piece_rows=self.piece_rows,
            )
        self.launch(
            "gather_rows",
            0,
            self.length(self.at.list_crossed),
            **entries,
            **self.places(),
            channels=self.channels,
            planes=self.slots,
            piece_capacity=capacities[2],
            entry_rows=self.entry_rows,
            piece_numbers=self.piece_numbers,
            piece_rows=self.piece_rows,
        )

    def places(self):
        t = self.t
        result = {"smooth_count": len(t.spheres) + len(t.planes), "mesh_count": len(t.meshes), "smooth": t.smooth}
        result |= {"meshes": t.mesh_table, "crossed": self.crossed, "crossed_capacity": self.capacities[0]}
        result |= {"row_numbers": self.row_numbers, "row_values": self.row_values, "row_capacity": self.row_capacity}
        return result | {"camera_slots": t.camera_slots, "ids": self.ids}

    def patch(self, group, planes):
        shared = {k: v for k, v in self.places().items() if k in ("crossed", "crossed_capacity", "ids", "row_values")}
        self.launch(
            "patch_rows",
            0,
            self.length(self.at.list_crossed),
            **shared,
            camera_slots=self.t.camera_slots,
            channels=self.channels,
            planes=planes,
            row_planes=self.slots,
            slots=group.slots,
            first_id=group.first_id,
            id_count=group.count,
            planes_of_pixels=self.planes,
        )

    # --- sums

    def couple(self, residual, weight):
        """What pixels that depend on several primitives add: {(a, b): sums}, in float64."""
        capacities = self.capacities
        rows = {"crossed": self.crossed, "crossed_capacity": capacities[0], "row_numbers": self.row_numbers}
        rows |= {
            "row_capacity": self.row_capacity,
            "tile_places": self.tile_places,
            "tile_blocks": self.tile_blocks,
            "lengths": self.lengths,
        }
        listed = {"pixel_pairs": self.pixel_pairs, "pixel_pair_capacity": capacities[3]}
        pairs = listed | {"pairs": self.pairs, "pair_capacity": capacities[4]}
        count = self.length(self.at.list_crossed)
        self.launch("pair_rows", 0, count, **rows, **listed, pixel_places=self.pixel_places)
        count = self.length(self.at.list_pixel_pairs)
        self.launch("pair_primitives", 0, count, **rows, **pairs, size=self.pair_size)
        self.launch(
            "couple_primitives",
            0,
            self.length(self.at.list_pairs),
            **pairs,
            channels=self.channels,
            planes=self.slots,
            row_values=self.row_values,
            residual=residual,
            weight=weight,
            sums=self.pair_sums,
        )
        count = self.length(self.at.list_pairs) // self.pair_size
        if count > capacities[4] or self.length(self.at.list_pixel_pairs) > capacities[3]:
            raise Overflow([*capacities[:3], self.length(self.at.list_pixel_pairs), max(count, capacities[4])])
        tiles, a, b = self.pairs.reshape(self.at.pair_numbers, -1)[:3, :count]
        found = {}
        for r in np.lexsort((tiles, b, a)):
            sums = self.pair_sums[r * self.pair_size : (r + 1) * self.pair_size].astype(float)
            found[a[r], b[r]] = found.get((a[r], b[r]), 0.0) + sums.reshape(self.slots + 1, self.slots)
        return found

    def normal_equations(self, observed):
        """(H, g) of least squares in float64; what the centres' primitives add by themselves is summed here."""
        self.evaluate(True)
        t, C = self.t, self.channels
        P = t.parameters.count
        difference = self.rendered - self._tiled(observed)
        weight = np.where(np.isfinite(difference), 1.0, 0.0).astype(np.float32)
        residual = np.where(weight > 0, difference, 0.0).astype(np.float32)
        H, g = np.zeros((P, P)), np.zeros(P)
        for group in t.groups:
            slots = group.slots + t.camera_slots
            self.differentiate_centres(group, slots)
            if self.exact:
                self.patch(group, slots)
            planes = self.planes[: C * self.pixels * slots].reshape(t.tiles, C, slots, TILE_PIXELS)
            planes = planes.transpose(0, 3, 1, 2).reshape(self.pixels, C, slots).astype(float)
            w, r = (x.reshape(t.tiles, C, -1).transpose(0, 2, 1).reshape(self.pixels, C) for x in (weight, residual))
            mine = (self.ids >= group.first_id) & (self.ids < group.first_id + group.count)
            for i in np.unique(self.ids[mine]):
                here = self.ids == i
                v = planes[here] @ self._block(i)
                H += np.einsum("nc,nca,ncb->ab", w[here], v, v)
                g += np.einsum("nc,nc,nca->a", w[here], r[here], v)
        for (a, b), sums in self.couple(residual, weight).items() if self.exact else ():
            S_a, S_b = self._block(a), self._block(b)
            M = S_a.T @ sums[:-1][self._own(a)][:, self._own(b)] @ S_b
            if a == b:
                H += M
                g += sums[-1][self._own(a)] @ S_a
            else:
                H += M + M.T
        return H, g

    # --- everything

    def evaluate(self, with_rows):
        self.show_centres()
        if self.exact:
            self.find(with_rows)
            needed = [self.length(which) for which in range(3)]
            self.look(with_rows)
            self.mix()
            if with_rows:
                self.gather()
            if any(n > capacity for n, capacity in zip(needed, self.capacities, strict=False)):
                raise Overflow([*needed, *self.capacities[3:]])

    def image(self):
        """(H, W, C)."""
        return self._untiled(self.rendered.reshape(self.t.tiles, self.channels, TILE_PIXELS))

    def render(self):
        self.evaluate(False)
        return self.image()

    def jacobian(self):
        """(image, J), J (H, W, C, P) in float64."""
        self.evaluate(True)
        t, C, S = self.t, self.channels, self.slots
        for group in t.groups:
            self.differentiate_centres(group, S)
        if self.exact:
            for group in t.groups:
                self.patch(group, S)
        ids = self._untiled(self.ids.reshape(t.tiles, 1, TILE_PIXELS))[..., 0]
        planes = self._untiled(self.planes.reshape(t.tiles, C * S, TILE_PIXELS)).reshape(t.height, t.width, C, S)
        J = np.zeros((t.height, t.width, C, t.parameters.count))
        numbers = np.arange(self.pixels, dtype=np.int32)
        numbers = self._untiled(numbers.reshape(t.tiles, 1, TILE_PIXELS))[..., 0]
        for i in np.unique(ids[ids >= 0]):
            J[ids == i] = planes[ids == i].astype(float)[..., self._own(i)] @ self._block(i)
        if self.exact:
            rows = self.rows_of_entry * min(self.length(self.at.list_entries), self.capacities[1])
            row_ids, pixels = self.row_numbers.reshape(self.at.row_numbers, -1)[:, :rows]
            values = self.row_values.reshape(-1, C, S)
            where = {int(p): place for place, p in np.ndenumerate(numbers)}
            for r in np.flatnonzero(row_ids >= 0):
                J[where[int(pixels[r])]] += values[r].astype(float)[:, self._own(row_ids[r])] @ self._block(row_ids[r])
        return self.image(), J

    def _group(self, i):
        return next(g for g in self.t.groups if g.first_id <= i < g.first_id + g.count)

    def _own(self, i):
        """The planes of a primitive's slots, the camera's among them."""
        return [*range(self._group(i).slots), *range(self.slots - self.t.camera_slots, self.slots)]

    def _block(self, i):
        if not hasattr(self, "_blocks"):
            self._blocks = {}
        g = self._group(i)
        key = g.first_id if g.surface == "triangle" else i
        if key not in self._blocks:
            self._blocks[key] = np.vstack([self.t.block(key), self.t.camera_block()])
        return self._blocks[key]

    def _untiled(self, blocks):
        t, C = self.t, blocks.shape[1]
        image = blocks.reshape(t.down, t.across, C, 16, 16).transpose(0, 3, 1, 4, 2)
        return image.reshape(t.down * 16, t.across * 16, C)[: t.height, : t.width].copy()

    def _tiled(self, image):
        """The reverse, flat, for an image (H, W, C); NaN beyond the image."""
        t, C = self.t, self.channels
        whole = np.full((t.down * 16, t.across * 16, C), np.nan, dtype=np.float32)
        whole[: t.height, : t.width] = image.reshape(t.height, t.width, C)
        return whole.reshape(t.down, 16, t.across, 16, C).transpose(0, 2, 4, 1, 3).ravel()
