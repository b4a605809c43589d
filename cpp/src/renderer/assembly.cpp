#include "renderer/assembly.hpp"

namespace diffrt::renderer {

int record_size(int slots) { return slots * (slots + 1) / 2 + slots; }

void Assembly::add(const Group& group, const GroupLinearization& linear, const Linearization& linearization,
                   int camera_slots, const double* sums, Span<double> H, Span<double> g) {
  const int slots = group.slots + camera_slots;
  const auto size = static_cast<std::size_t>(record_size(slots));
  for (int i = 0; i < group.blocks(); ++i, sums += size) {
    // A primitive that no pixel sees has an all-zero record; of a large mesh most are.
    bool any = false;
    for (std::size_t k = 0; k < size && !any; ++k) any = sums[k] != 0;
    if (any) transform(sums, slots, linearization.block(linear, i, scratch_), H, g);
  }
}

void Assembly::transform(const double* sums, int slots, const Block& block, Span<double> H, Span<double> g) {
  const int width = block.width();
  const std::size_t P = g.size();
  product_.assign(static_cast<std::size_t>(slots * width), 0.0);
  // product = H_local S, H_local symmetric, stored as its upper triangle by rows.
  const double* upper = sums;
  for (int a = 0; a < slots; ++a) {
    for (int b = a; b < slots; ++b, ++upper) {
      const double h = *upper;
      if (h == 0) continue;
      for (int k = 0; k < width; ++k) {
        product_[static_cast<std::size_t>(a * width + k)] += h * block.at(b, k);
        if (b != a) product_[static_cast<std::size_t>(b * width + k)] += h * block.at(a, k);
      }
    }
  }
  const double* gradient = upper;
  for (int j = 0; j < width; ++j) {
    const auto row = static_cast<std::size_t>(block.columns[static_cast<std::size_t>(j)]);
    for (int a = 0; a < slots; ++a) g[row] += block.at(a, j) * gradient[a];
    for (int k = j; k < width; ++k) {
      const auto column = static_cast<std::size_t>(block.columns[static_cast<std::size_t>(k)]);
      double h = 0;
      for (int a = 0; a < slots; ++a) h += block.at(a, j) * product_[static_cast<std::size_t>(a * width + k)];
      H[row * P + column] += h;
      if (k != j) H[column * P + row] += h;
    }
  }
}

}  // namespace diffrt::renderer
