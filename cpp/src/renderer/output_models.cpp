#include "renderer/output_models.hpp"

#include <algorithm>

namespace diffrt::renderer {
namespace {

// The numbers that a model may take: see output_form().
constexpr int normal_first = 1, direction_first = 4, numbers = 7;
static_assert(direction_first == surface_channels && numbers <= module::Pointwise::most_inputs);

bool takes(const module::Pointwise& model, int first, int last) {
  for (int k = first; k < last; ++k)
    if (model.takes(k)) return true;
  return false;
}

}  // namespace

std::vector<OutputChannels> surface_outputs(const std::vector<OutputChannels>& outputs) {
  bool any = false, normals = false;
  for (const OutputChannels& output : outputs) {
    if (output.model == nullptr) continue;
    any = true, normals = normals || takes(*output.model, normal_first, direction_first);
  }
  std::vector<OutputChannels> result;
  if (any) result.push_back({Output::depth, 0, 1, 1, nullptr});
  if (normals) result.push_back({Output::normal, normal_first, 3, 0, nullptr});
  return result;
}

void show_model(const OutputChannels& output, const scene::State& state, const SurfacePoints& points,
                const Channels& from, const Channels& to) {
  constexpr int most = module::Pointwise::block;
  const module::Pointwise& model = *output.model;
  module::Pointwise::Block block;
  const int count = points.count;
  for (int j = 0; j < surface_channels; ++j)
    if (model.takes(j)) std::copy_n(from.values + j * from.stride, count, model.input(block, j));
  const auto fx = static_cast<float>(1 / state.fx), fy = static_cast<float>(1 / state.fy),
             cx = static_cast<float>(state.cx), cy = static_cast<float>(state.cy);
  float across[most], down[most];  // the direction's
  for (int i = 0; i < count; ++i) across[i] = (points.x[i] - cx) * fx, down[i] = (points.y[i] - cy) * fy;
  if (takes(model, direction_first, numbers)) {
    std::copy_n(across, count, model.input(block, direction_first));
    std::copy_n(down, count, model.input(block, direction_first + 1));
    std::fill_n(model.input(block, direction_first + 2), count, 1.0f);
  }
  model.evaluate(block, count);
  std::int32_t here[most];
  for (int i = 0; i < count; ++i)
    here[i] = (points.ids[i] >= points.first_id) & (points.ids[i] < points.last_id);
  for (int c = 0; c < output.count; ++c) {
    const float* const value = model.value(block, c);
    float doubt[most];  // 0, or NaN where a number is not finite
    for (int i = 0; i < count; ++i) doubt[i] = 0 * value[i];
    for (int j = 0; j < numbers; ++j) {
      if (!model.depends(j, c)) continue;
      const float* const slope = model.partial(block, j, c);
      for (int i = 0; i < count; ++i) doubt[i] += 0 * slope[i];
    }
    const std::ptrdiff_t channel = output.first + c;
    if (to.values != nullptr) {
      float* const shown = to.values + channel * to.stride;
      for (int i = 0; i < count; ++i) shown[i] = here[i] != 0 ? value[i] + doubt[i] : shown[i];
    }
    if (to.partials == nullptr) continue;
    for (int k = 0; k < to.planes; ++k) {
      float sums[most] = {};
      const auto add = [&](int j, auto&& partial) {
        const float* const slope = model.partial(block, j, c);
        for (int i = 0; i < count; ++i) sums[i] += slope[i] * partial(i);
      };
      for (int j = 0; j < surface_channels; ++j) {
        if (!model.depends(j, c)) continue;
        const float* const partial = from.partials + (j * from.planes + k) * from.stride;
        add(j, [&](int i) { return partial[i]; });
      }
      const int by_image = k - (to.planes - to.image_slots), by_camera = by_image + to.camera_slots;
      if (by_image >= 0) {
        if (by_image == 0) add(direction_first, [&](int) { return fx; });
        if (by_image == 1) add(direction_first + 1, [&](int) { return fy; });
      } else if (by_camera >= 0) {  // fx, fy, cx, cy
        if (by_camera == 0) add(direction_first, [&](int i) { return -across[i] * fx; });
        if (by_camera == 1) add(direction_first + 1, [&](int i) { return -down[i] * fy; });
        if (by_camera == 2) add(direction_first, [&](int) { return -fx; });
        if (by_camera == 3) add(direction_first + 1, [&](int) { return -fy; });
      }
      float* const partial = to.partials + (channel * to.planes + k) * to.stride;
      for (int i = 0; i < count; ++i) {
        const float sum = doubt[i] == 0 ? sums[i] : 0;
        partial[i] = here[i] != 0 ? sum : partial[i];
      }
    }
  }
}

}  // namespace diffrt::renderer
