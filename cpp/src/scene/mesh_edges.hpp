// The edges of a triangle mesh, and the faces that meet there: silhouettes run along them.
//
// Vertices are welded by position first, bit by bit (0 and -0 are the same): along a seam of a texture a mesh
// has its vertices twice, and the surface goes on there.
#pragma once

#include <cstdint>
#include <vector>

#include "diffrt/span.hpp"

namespace diffrt::scene {

// A half-edge is a side of a face, 3 * face + corner: the one opposite that corner, directed from corner + 1
// to corner + 2 (mod 3). An edge has all the half-edges between the same two welded vertices, ascending: one
// at a border, two inside a surface, more where the mesh is not a manifold or has a face twice. Edges are in
// the order of their first half-edges.
struct MeshEdges {
  std::vector<std::int32_t> starts;      // E + 1: the half-edges of edge e are [starts[e], starts[e + 1])
  std::vector<std::int32_t> half_edges;  // 3 * face + corner
  std::vector<std::int8_t> along;        // per half-edge: +1 directed as the edge's first, -1 the other way
  std::vector<std::int32_t> ends;  // [E, 2]: where the first half-edge starts and ends (welded vertices)

  int count() const { return starts.empty() ? 0 : static_cast<int>(starts.size()) - 1; }
};

// vertices [V, 3], faces [F, 3] with valid indices. A welded vertex goes by the lowest index at its
// position. Faces without area (see degenerate) have no half-edges.
MeshEdges make_edges(Span<const double> vertices, Span<const std::int32_t> faces);

// For each vertex, the lowest index of a vertex at its position.
std::vector<std::int32_t> weld(Span<const double> vertices);

// Looks after a mesh whose vertices move: its edges change where vertices part or meet, and where a face
// opens or closes.
class MovingEdges {
 public:
  // Whether the edges at these positions are others than at those of the last call; true at the first.
  // Nothing is allocated after that.
  bool change(Span<const double> vertices, Span<const std::int32_t> faces);

 private:
  std::vector<std::int32_t> welded_, now_welded_, places_;
  std::vector<char> degenerate_, now_degenerate_;
};

}  // namespace diffrt::scene
