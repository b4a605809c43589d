#include "renderer/kernel_loss.hpp"

#include <cmath>

#include "diffrt/errors.hpp"
#include "diffrt_kernels.hpp"
#include "scene/validation.hpp"

namespace diffrt::renderer {

namespace {

// Scales of which the squares, and what a residual is in terms of them, fit into single precision.
constexpr double smallest_scale = 1e-15, largest_scale = 1e15;

}  // namespace

KernelLoss kernel_loss(const Loss& loss) {
  if (loss.kind == Loss::Kind::none) return {kernels::loss_least_squares, 1, 1};
  if (loss.kind == Loss::Kind::model) {
    if (loss.function == nullptr) throw ArgumentError("loss: has no model; make it by diffrt::model_loss");
    return {kernels::loss_least_squares, 1, 1, loss.function};
  }
  if (!(loss.scale > 0) || !std::isfinite(loss.scale)) {
    throw ArgumentError("loss: its scale must be positive and finite, in units of the residual, got " +
                        scene::text(loss.scale));
  }
  if (loss.scale < smallest_scale) {
    throw ArgumentError("loss: its scale is " + scene::text(loss.scale) + ", below the " +
                        scene::text(smallest_scale) +
                        " that single precision can tell from 0; is it in units of the residual?");
  }
  // Nothing rendered comes near to it: plain least squares.
  if (loss.scale > largest_scale) return {kernels::loss_least_squares, 1, 1};
  KernelLoss result{0, static_cast<float>(loss.scale), static_cast<float>(loss.alpha)};
  switch (loss.kind) {
    case Loss::Kind::huber:
      result.index = kernels::loss_huber;
      break;
    case Loss::Kind::cauchy:
      result.index = kernels::loss_cauchy;
      break;
    case Loss::Kind::geman_mcclure:
      result.index = kernels::loss_geman_mcclure;
      break;
    case Loss::Kind::tukey:
      result.index = kernels::loss_tukey;
      break;
    default:
      if (std::isnan(loss.alpha) || loss.alpha > 2) {
        throw ArgumentError("loss: Barron's alpha must be at most 2 (least squares), got " +
                            scene::text(loss.alpha));
      }
      // At its limits the general formula divides by zero, or by infinity.
      result.index = kernels::loss_barron;
      if (loss.alpha > 2 - 1e-6) result.index = kernels::loss_least_squares;
      if (std::abs(loss.alpha) < 1e-6) result.index = kernels::loss_barron_zero;
      if (loss.alpha < -1e8) result.index = kernels::loss_welsch;
  }
  return result;
}

}  // namespace diffrt::renderer
