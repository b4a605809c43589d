// A tile's values beside what is observed: the renderer's residuals, weights and costs.
#pragma once

#include "diffrt/observation.hpp"
#include "module/domain.hpp"
#include "renderer/kernel_loss.hpp"
#include "runtime/buffer.hpp"

namespace diffrt::module {

struct Totals {
  double cost = 0, count = 0, squares = 0;  // as in NormalEquations
  bool weights_valid = true;

  // Those of a tile, as kernels leave them.
  void add(const float* sums) {
    cost += static_cast<double>(sums[0]), count += static_cast<double>(sums[1]),
        squares += static_cast<double>(sums[2]);
  }
  void add(const Totals& other) {
    cost += other.cost, count += other.count, squares += other.squares;
    weights_valid = weights_valid && other.weights_valid;
  }
};

// A thread's blocks, one output after another.
class Residuals {
 public:
  void resize(Index tile_items, int outputs);

  // `values`: planes `stride` apart, which become residuals, 0 where there is none. costs: w rho, -1 where
  // there is none; tile_items for each output.
  Totals compare(const kernels::Table& kernels, const Domain& domain, const Range& range,
                 const Observation& observation, const renderer::KernelLoss& loss, float* values,
                 Index stride, float* costs);
  // w rho' of an output.
  float* robust(int output) { return robust_.data() + output * items_; }

 private:
  Index items_ = 0;
  int outputs_ = 0;
  runtime::Buffer<float> observed_, weights_, robust_, sums_;
};

// An output's part of what is observed: `items` numbers, of which those of padding, or beyond the range, are
// NaN; and of the weights, if there are any: false if one is none.
void load_observed(const Domain& domain, const Range& range, const Observation& observation, int output,
                   Index items, float* observed);
bool load_weights(const Domain& domain, const Range& range, const Observation& observation, int output,
                  Index items, float* weights);

// Throws ArgumentError unless the views are of that size.
void check_observation(const Domain& domain, int outputs, const Observation& observation);
// Names the first weight that is wrong.
[[noreturn]] void refuse_weights(const Domain& domain, int outputs, const ImageView& weights);

}  // namespace diffrt::module
