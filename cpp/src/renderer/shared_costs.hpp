// What residuals that exist at two thetas cost at each.
#pragma once

#include <cstddef>

#include "diffrt/renderer.hpp"

namespace diffrt::renderer {

// Sums over `size` residuals, a multiple of 8, of which those with a cost below 0 do not exist. As the
// kernels leave them: w rho, not half of it.
using AddShared = SharedCost (*)(const float* before, const float* now, std::size_t size);
// For the instruction set that runs here.
AddShared add_shared_here();

}  // namespace diffrt::renderer
