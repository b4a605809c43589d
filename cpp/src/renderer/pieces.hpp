// The rows of S that belong to one primitive, cut into parts: some of its slots by columns of one node.
#pragma once

#include <array>
#include <vector>

#include "renderer/linearization.hpp"

namespace diffrt::renderer {

// Columns of theta that always go together: consecutive blocks of one shape or of the camera; each vertex of
// a free mesh.
struct Nodes {
  std::vector<int> starts{0};  // N + 1
  std::vector<int> of;         // per column

  int count() const { return static_cast<int>(starts.size()) - 1; }
  int start(int node) const { return starts[static_cast<std::size_t>(node)]; }
  int width(int node) const { return start(node + 1) - start(node); }
};
Nodes make_nodes(const scene::Parameters& parameters);

// Entry (slot first_slot + s, column k of the node) is S[s * stride + k]; all other slots are zero.
struct Piece {
  int node = 0, width = 0;
  int first_slot = 0, slots = 0, stride = 0;
  const double* S = nullptr;
};

class Pieces {
 public:
  static constexpr int most_slots = 13, widest = 6;  // of a free triangle; a pose, or all of a plane

  // Those of a primitive of a group. They refer to the linearization and to this.
  void set(const Linearization& linearization, const GroupLinearization& group, int index,
           const Nodes& nodes);

  const Piece* begin() const { return pieces_.data(); }
  const Piece* end() const { return pieces_.data() + count_; }

 private:
  void set(const Block& block, const Nodes& nodes);
  void add(const Nodes& nodes, int column, int first_slot, int slots, const double* S);

  std::array<Piece, 8> pieces_;
  int count_ = 0;
  double mesh_pose_[9 * 6], camera_pose_[9 * 6];
};

}  // namespace diffrt::renderer
