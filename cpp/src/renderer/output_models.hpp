// Outputs of one's own, which are models: made of depths, normals and directions by the chain rule.
//
// Kernels show depth and normal as they show any output, into blocks of their own, with their partials. The
// model makes its channels of them: of the pixels of a tile, and of the samples beside silhouettes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "renderer/outputs.hpp"
#include "scene/parameters.hpp"

namespace diffrt::renderer {

// What kernels show for models: depth, and normal if one takes it; nothing, if there are none.
std::vector<OutputChannels> surface_outputs(const std::vector<OutputChannels>& outputs);
inline constexpr int surface_channels = 4;

// Channel c of number i is values[c * stride + i], its partial by plane k partials[(c * planes + k) * stride
// + i]. The last planes are those of the camera's slots, if there are any, then of the image's: x, y, and
// another.
struct Channels {
  float *values, *partials;  // or null
  std::ptrdiff_t stride;
  int planes, camera_slots, image_slots;
};

// Where `count` numbers are, up to Pointwise::block: image points [px], and the surfaces that are seen there.
// Those of which the id is not one of [first_id, last_id) are left alone.
struct SurfacePoints {
  const float *x, *y;
  const std::int32_t* ids;
  int first_id, last_id;
  int count;
};

// The channels of an output, `from` depth and normal there.
void show_model(const OutputChannels& output, const scene::State& state, const SurfacePoints& points,
                const Channels& from, const Channels& to);

}  // namespace diffrt::renderer
