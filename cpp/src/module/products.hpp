// Sums over items of the products of planes, two by two: what J'J and J'r are made of. In vectors as wide as
// the processor has, blocks of which stay in its registers.
#pragma once

#include <vector>

#include "module/domain.hpp"

namespace diffrt::module {

// For the instruction set that runs here. `sums` are aligned, and so are planes at their first item.
struct ProductArithmetic {
  int lanes;         // floats in a vector
  int down, across;  // planes in a block of products
  // sums += x_a x_b over items [first, last) of each pair of planes, blocks of pairs in the order of
  // over_pairs; each has `lanes` numbers.
  void (*add)(const float* const* planes, int count, Index first, Index last, float* sums);
  // plane = plane * factor, 0 where factor is 0, whatever was there. `items`: a multiple of row_multiple.
  void (*weigh)(float* plane, const float* factors, Index items);
  // to[places[k]] += sums[k] over lanes, where places[k] >= 0; sums become 0.
  void (*settle)(float* sums, const std::int32_t* places, std::size_t pairs, double* to);
};
ProductArithmetic product_arithmetic();

// Calls body(a, b) for each product, in their order in memory. Where b < a it is there for nothing.
template <class F>
void over_pairs(const ProductArithmetic& arithmetic, int count, F&& body) {
  for (int a = 0; a < count; a += arithmetic.down) {
    for (int b = a; b < count; b += arithmetic.across) {
      for (int i = a; i < std::min(a + arithmetic.down, count); ++i) {
        for (int j = b; j < std::min(b + arithmetic.across, count); ++j) body(i, j);
      }
    }
  }
}

}  // namespace diffrt::module
