// A robust loss that is a model, in place of least squares.
#pragma once

#include "module/pointwise.hpp"

namespace diffrt::module {

// `size` residuals, a multiple of Pointwise::block, of which a kernel has made costs w r^2 (-1: there is
// none) become those of the loss: costs w rho(r^2), weights w rho'(r^2), and the three sums of a tile.
//
//   given      w; null: all are 1
//   residuals  r; null: they are told from the costs
//   robust     weights, may be `given`; null: not wanted
void apply_loss(const Pointwise& loss, int size, const float* given, const float* residuals, float* robust,
                float* costs, float* sums);

}  // namespace diffrt::module
