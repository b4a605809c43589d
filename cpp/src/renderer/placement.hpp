// Where a group's primitives are at theta, in float64 and then as the kernels take it: what is small enough
// to be computed here, for every device alike.
#pragma once

#include "renderer/groups.hpp"

namespace diffrt::renderer {

// How far [px] beyond its centre a pixel may depend on a primitive: half its diagonal would be more than
// needed, but points a little beyond its border are looked at.
inline constexpr double pixel_reach = 0.56;

// Tables and bounds of spheres and planes; a mesh's pose, pivot, and vertices if they are free.
void place(Group& group, const Scene& scene, const scene::State& state, const TileGrid& grid);

// Writes a mesh's vertices, relative to its centroid, as the kernels read them.
void copy_vertices(Group& group, const double* vertices);

}  // namespace diffrt::renderer
