#include "renderer/assembly.hpp"

#include <algorithm>
#include <type_traits>

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
  // What most blocks have is known to the compiler.
  switch (block.width()) {
    case 4:
      return transform_by(sums, slots, block, std::integral_constant<int, 4>(), H, g);
    case 6:
      return transform_by(sums, slots, block, std::integral_constant<int, 6>(), H, g);
    default:
      transform_by(sums, slots, block, block.width(), H, g);
  }
}

template <class Width>
void Assembly::transform_by(const double* sums, int slots, const Block& block, Width given, Span<double> H,
                            Span<double> g) {
  const int width = given;
  const std::size_t P = g.size();
  const double* S = block.coefficients.data();  // [slots, width]
  const int* columns = block.columns.data();
  product_.assign(static_cast<std::size_t>((slots + 1) * width), 0.0);
  double *product = product_.data(), *line = product + slots * width;
  // product = H_local S, H_local symmetric, stored as its upper triangle by rows.
  const double* upper = sums;
  for (int a = 0; a < slots; ++a) {
    for (int b = a; b < slots; ++b, ++upper) {
      const double h = *upper;
      if (h == 0) continue;
      for (int k = 0; k < width; ++k) product[a * width + k] += h * S[b * width + k];
      for (int k = 0; k < width && b != a; ++k) product[b * width + k] += h * S[a * width + k];
    }
  }
  const double* gradient = upper;
  for (int j = 0; j < width; ++j) {
    const auto row = static_cast<std::size_t>(columns[j]);
    double sum = g[row];
    for (int a = 0; a < slots; ++a) sum += S[a * width + j] * gradient[a];
    g[row] = sum;
    std::fill_n(line, width, 0.0);
    for (int a = 0; a < slots; ++a) {
      for (int k = 0; k < width; ++k) line[k] += S[a * width + j] * product[a * width + k];
    }
    for (int k = j; k < width; ++k) {
      const auto column = static_cast<std::size_t>(columns[k]);
      H[row * P + column] += line[k];
      if (k != j) H[column * P + row] += line[k];
    }
  }
}

}  // namespace diffrt::renderer
