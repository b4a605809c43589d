// From the sums over a group's pixels to H and g, in float64: H = S' H_local S.
#pragma once

#include "renderer/groups.hpp"

namespace diffrt::renderer {

// Numbers of a record: the upper triangle of sum w J'J by rows, then sum w J'r
// (pipeline/normal_equations.py).
int record_size(int slots);

class Assembly {
 public:
  // Adds a group's contribution to H (P x P, row-major) and g (P). `sums`: a record for each of its blocks.
  void add(const Group& group, const GroupLinearization& linear, const Linearization& linearization,
           int camera_slots, const double* sums, Span<double> H, Span<double> g);

 private:
  void transform(const double* sums, int slots, const Block& block, Span<double> H, Span<double> g);
  template <class Width>
  void transform_by(const double* sums, int slots, const Block& block, Width given, Span<double> H,
                    Span<double> g);

  std::vector<double> product_;  // H_local S of one block, and a row of S' H_local S
  Block scratch_;
};

}  // namespace diffrt::renderer
