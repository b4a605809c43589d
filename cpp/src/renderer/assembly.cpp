#include "renderer/assembly.hpp"

#include <algorithm>

namespace diffrt::renderer {

int record_size(int slots) { return slots * (slots + 1) / 2 + slots; }

void assemble(const Group& group, const GroupLinearization& linear, const Linearization& linearization,
              int camera_slots, const double* sums, SparseSums& H, Span<double> g) {
  const int slots = group.slots + camera_slots;
  const auto size = static_cast<std::size_t>(record_size(slots));
  Pieces pieces;
  double M[Pieces::most_slots * Pieces::most_slots];
  for (int i = 0; i < group.blocks(); ++i, sums += size) {
    // A primitive that no pixel sees has an all-zero record; of a large mesh most are.
    if (std::all_of(sums, sums + size, [](double sum) { return sum == 0; })) continue;
    const double* upper = sums;
    for (int a = 0; a < slots; ++a) {
      for (int b = a; b < slots; ++b) M[a * slots + b] = M[b * slots + a] = *upper++;
    }
    pieces.set(linearization, linear, i, H.nodes());
    H.add(pieces, M, slots);
    add_gradient(H.nodes(), pieces, upper, g);
  }
}

std::vector<std::uint64_t> pattern_of(const Linearization& linearization, const Nodes& nodes) {
  std::vector<std::uint64_t> pairs;
  Pieces pieces;
  for (const GroupLinearization& group : linearization.groups()) {
    const int count = group.kind == GroupKind::rigid_mesh ? 1 : group.count;
    for (int i = 0; i < count; ++i) {
      pieces.set(linearization, group, i, nodes);
      for (const Piece& p : pieces) {
        for (const Piece* q = &p + 1; q < pieces.end(); ++q)
          pairs.push_back(SparseSums::pair_of(p.node, q->node));
      }
    }
  }
  return pairs;
}

}  // namespace diffrt::renderer
