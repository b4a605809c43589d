// Robust losses rho(r^2); the cost of a residual is w/2 rho(r^2), and J'J and J'r are weighted by w
// rho'(r^2).
//
//   none           s
//   huber          s up to d^2, then 2 d |r| - d^2
//   cauchy         c^2 log(1 + s/c^2)
//   geman_mcclure  c^2 s / (c^2 + s)
//   tukey          c^2/3 (1 - (1 - s/c^2)^3) inside c, then constant
//   barron         2 c^2 |a-2|/a ((s/c^2/|a-2| + 1)^(a/2) - 1) and its limits (Barron 2019)
//   model          one of your own, compiled: model_loss
#pragma once

#include <memory>

#include "diffrt/export.hpp"
#include "diffrt/span.hpp"

namespace diffrt {

class Model;
namespace module {
class Pointwise;  // internal
}

struct Loss {
  enum class Kind { none, huber, cauchy, geman_mcclure, tukey, barron, model };
  Kind kind = Kind::none;
  double scale = 1;  // > 0, in units of the residual
  double alpha = 1;  // Barron's shape, from -infinity (Welsch) over 0 (Cauchy) and 1 to 2 (least squares)
  std::shared_ptr<const module::Pointwise> function = nullptr;  // of a model
};

// Of a model of an Item that takes `squared`, s as PerItemFree, and constants, all of which have numbers
// (Model::with_constants), and returns rho(s); rho'(s) is its derivative. Both are finite and >= 0, whatever
// s is. Throws ArgumentError, or DeviceError, if the file has no code for this processor.
DIFFRT_API Loss model_loss(const Model& model);
// rho'(s) of such a loss, for each s.
DIFFRT_API void model_weights(const Loss& loss, Span<const float> squared, Span<float> weights);

inline Loss huber(double delta) { return {Loss::Kind::huber, delta, 0}; }
inline Loss cauchy(double c) { return {Loss::Kind::cauchy, c, 0}; }
inline Loss geman_mcclure(double c) { return {Loss::Kind::geman_mcclure, c, 0}; }
inline Loss tukey(double c) { return {Loss::Kind::tukey, c, 0}; }
inline Loss barron(double alpha, double c) { return {Loss::Kind::barron, c, alpha}; }

}  // namespace diffrt
