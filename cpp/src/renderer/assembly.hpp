// From the sums over a group's pixels to H and g, in float64: H = S' H_local S.
#pragma once

#include "renderer/groups.hpp"
#include "renderer/sparse_sums.hpp"

namespace diffrt::renderer {

// Numbers of a record: the upper triangle of sum w J'J by rows, then sum w J'r
// (pipeline/normal_equations.py).
int record_size(int slots);

// Adds a group's contribution to H and g (P). `sums`: a record for each of its blocks.
void assemble(const Group& group, const GroupLinearization& linear, const Linearization& linearization,
              int camera_slots, const double* sums, SparseSums& H, Span<double> g);

// The pairs of nodes that one primitive couples, wherever it is.
std::vector<std::uint64_t> pattern_of(const Linearization& linearization, const Nodes& nodes);

}  // namespace diffrt::renderer
