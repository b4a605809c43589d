// The channels of an image: which outputs it shows, and what a ray that misses has there.
#pragma once

#include <memory>
#include <vector>

#include "diffrt/renderer.hpp"
#include "module/pointwise.hpp"

namespace diffrt::renderer {

struct OutputChannels {
  Output output = Output::distance;
  int first = 0, count = 1;  // channels of the image
  float background = 0;      // NaN: no value, no residual
  // Of one's own: then `output` means nothing.
  std::shared_ptr<const module::Pointwise> model;
};

// Throws ArgumentError for outputs and backgrounds that do not go together.
std::vector<OutputChannels> make_outputs(const RendererOptions& options);

}  // namespace diffrt::renderer
