// From the records of tiles to H and g: records are added in the order of their entries, in float64, then H =
// S' H_local S.
#pragma once

#include "renderer/tiles.hpp"

namespace diffrt::renderer {

class Assembly {
 public:
  // Adds a group's contribution to H (P x P, row-major) and g (P). `active`: the tiles that were
  // evaluated, ascending.
  void add(const Group& group, const GroupLinearization& linear, const Linearization& linearization,
           int camera_slots, const std::vector<int>& active, const float* records, Span<double> H,
           Span<double> g);

 private:
  void transform(const double* sums, int slots, const Block& block, Span<double> H, Span<double> g);

  runtime::Buffer<double> local_;  // a record per distinct block
  std::vector<double> product_;    // H_local S of one block
  Block scratch_;
};

}  // namespace diffrt::renderer
