#include "module/residuals.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "module/loss_model.hpp"
#include "runtime/launch.hpp"
#include "weights.hpp"

namespace diffrt::module {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

template <class T>
float number_at(const char* place) {
  T value;
  std::memcpy(&value, place, sizeof value);
  return static_cast<float>(value);
}

// One output of a range; what is padding is left alone.
template <class T>
void load_view(const ImageView& view, int output, const Domain& domain, const Range& range, float* to) {
  domain.over_rows(range, [&](Index at, Index row, Index column, Index count) {
    const char* from = static_cast<const char*>(view.data) + row * view.row_stride +
                       column * view.column_stride + output * view.channel_stride;
    if (sizeof(T) == sizeof(float) && view.column_stride == static_cast<std::ptrdiff_t>(sizeof(float))) {
      std::memcpy(to + at, from, static_cast<std::size_t>(count) * sizeof(float));
      return;
    }
    for (Index i = 0; i < count; ++i, from += view.column_stride) to[at + i] = number_at<T>(from);
  });
}

void load_view(const ImageView& view, int output, const Domain& domain, const Range& range, float* to) {
  view.is_double ? load_view<double>(view, output, domain, range, to)
                 : load_view<float>(view, output, domain, range, to);
}

std::string size_text(int height, int width, int channels) {
  return std::to_string(height) + " x " + std::to_string(width) +
         (channels == 1 ? "" : " x " + std::to_string(channels));
}

void check_view(const char* name, const ImageView& view, const Domain& domain, int outputs,
                bool one_for_all) {
  const auto refuse = [name](const std::string& why) { throw ArgumentError(name + (": " + why)); };
  const std::string given = size_text(view.height, view.width, view.channels);
  if (view.height != domain.height || view.width != domain.width) {
    const bool swapped = view.height == domain.width && view.width == domain.height;
    refuse("is " + given + " (height x width), but the model runs over " +
           size_text(domain.height, domain.width, 1) +
           (swapped ? "; perhaps height and width are swapped" : ""));
  }
  if (view.channels != outputs && !(one_for_all && view.channels == 1))
    refuse("is " + given + " (height x width x channels), but the model has " + std::to_string(outputs) +
           " output" + (outputs == 1 ? "" : "s"));
  if (view.channels == 1 && outputs > 1 && view.channel_stride != 0)
    refuse("has one channel for " + std::to_string(outputs) +
           "; let its channel_stride be 0, so that it repeats");
  if (view.data == nullptr && domain.items() > 0) refuse("its pointer is null, though it is " + given);
  if (view.on_device) refuse("is on a GPU, and a model compares on the CPU; copy it to the host first");
}

}  // namespace

void check_observation(const Domain& domain, int outputs, const Observation& observation) {
  if (!observation.image.empty()) check_view("observed", observation.image, domain, outputs, false);
  if (!observation.weights.empty()) check_view("weights", observation.weights, domain, outputs, true);
}

void refuse_weights(const Domain& domain, int outputs, const ImageView& weights) {
  const bool by_output = outputs > 1 && weights.channel_stride != 0;
  for (int row = 0; row < domain.height; ++row) {
    for (int column = 0; column < domain.width; ++column) {
      for (int output = 0; output < (by_output ? outputs : 1); ++output) {
        const char* place = static_cast<const char*>(weights.data) + row * weights.row_stride +
                            column * weights.column_stride + output * weights.channel_stride;
        const float weight = weights.is_double ? number_at<double>(place) : number_at<float>(place);
        if (!is_weight(weight)) refuse_weight(weight, row, column, by_output ? output : -1);
      }
    }
  }
  throw ArgumentError("weights: some are negative or infinite; they were changed meanwhile");
}

void Residuals::resize(Index tile_items, int outputs) {
  items_ = tile_items, outputs_ = outputs;
  const auto size = static_cast<std::size_t>(tile_items);
  observed_.resize(size), weights_.resize(size);
  robust_.resize(size * static_cast<std::size_t>(outputs));
  sums_.resize(kernels::residual_sums * size / block_items);
}

void load_observed(const Domain& domain, const Range& range, const Observation& observation, int output,
                   Index items, float* observed) {
  const bool whole = range.size() == items && domain.padded == domain.width;
  if (!whole) std::fill_n(observed, items, nan);
  if (observation.image.empty()) {
    domain.over_rows(range,
                     [&](Index at, Index, Index, Index count) { std::fill_n(observed + at, count, 0.0f); });
  } else {
    load_view(observation.image, output, domain, range, observed);
  }
}

bool load_weights(const Domain& domain, const Range& range, const Observation& observation, int output,
                  Index items, float* weights) {
  const bool whole = range.size() == items && domain.padded == domain.width;
  if (!whole) std::fill_n(weights, items, 0.0f);
  load_view(observation.weights, output, domain, range, weights);
  int wrong = 0;
  for (Index i = 0; i < items; ++i)
    wrong |= (weights[i] < 0) | (weights[i] > std::numeric_limits<float>::max());
  return wrong == 0;
}

Totals Residuals::compare(const kernels::Table& kernels, const Domain& domain, const Range& range,
                          const Observation& observation, const renderer::KernelLoss& loss, float* values,
                          Index stride, float* costs) {
  Totals totals;
  const int blocks = static_cast<int>(items_ / block_items);
  for (int c = 0; c < outputs_; ++c) {
    load_observed(domain, range, observation, c, items_, observed_.data());
    if (!observation.weights.empty()) {
      totals.weights_valid =
          load_weights(domain, range, observation, c, items_, weights_.data()) && totals.weights_valid;
    } else if (c == 0) {
      std::fill_n(weights_.data(), items_, 1.0f);
    }
    kernels::residuals_arguments a;
    a.channels = 1, a.scale = loss.scale, a.alpha = loss.alpha;
    // Each number is read before it is written.
    a.rendered = runtime::array(values + c * stride), a.residual = a.rendered;
    a.observed = runtime::array(observed_.data()), a.weights = runtime::array(weights_.data());
    a.weight = runtime::array(robust(c)), a.costs = runtime::array(costs + c * items_);
    a.sums = runtime::array(sums_.data());
    runtime::launch(kernels.residuals[loss.index], a, 0, blocks);
    for (int k = 0; k < blocks; ++k) {
      float* const sums = sums_.data() + k * kernels::residual_sums;
      const Index first = k * block_items;
      if (loss.function != nullptr) {
        apply_loss(*loss.function, block_items, robust(c) + first, values + c * stride + first,
                   robust(c) + first, costs + c * items_ + first, sums);
      }
      totals.add(sums);
    }
  }
  return totals;
}

}  // namespace diffrt::module
