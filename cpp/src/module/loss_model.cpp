#include "module/loss_model.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "check_span.hpp"
#include "diffrt/errors.hpp"
#include "diffrt/loss.hpp"
#include "scene/validation.hpp"

namespace diffrt {
namespace module {
namespace {

const PointwiseForm& form() {
  static const PointwiseForm loss{
      "a loss",
      {{"squared", 1}},
      1,
      "A loss is a model of an Item that takes squared, the square of a residual, as "
      "PerItemFree, and Constants, and returns one number: def loss(item: Item, "
      "squared: PerItemFree, scale: Constant)"};
  return loss;
}

// Squares of residuals that come up, by powers of ten; and what rounding may leave of 0.
constexpr int least_power = -30, greatest_power = 24;
constexpr double rounding = 1e-6;

void check_loss(const Pointwise& loss, const std::string& name) {
  Pointwise::Block block;
  int count = 0;
  loss.input(block, 0)[count++] = 0;
  for (int power = least_power; power <= greatest_power; ++power)
    loss.input(block, 0)[count++] = static_cast<float>(std::pow(10.0, power));
  loss.evaluate(block, count);
  for (int k = 0; k < count; ++k) {
    const double s = static_cast<double>(loss.input(block, 0)[k]),
                 rho = static_cast<double>(loss.value(block)[k]),
                 slope = static_cast<double>(loss.partial(block, 0)[k]);
    if (std::isfinite(rho) && std::isfinite(slope) && rho >= -rounding * (1 + s) && slope >= -rounding)
      continue;
    throw ArgumentError(
        "loss: " + name + " is " + scene::text(rho) + ", with the derivative " + scene::text(slope) +
        ", where squared is " + scene::text(s) + "; both must be finite and >= 0, from squared = 0 on" +
        (k == 0 ? ": write sqrt(squared + c * c) - c in place of sqrt(squared), for one" : ""));
  }
}

// What every x86-64 has.
constexpr int lanes = 4;
using Floats = float __attribute__((vector_size(4 * lanes)));

Floats load(const float* from) {
  Floats x;
  std::memcpy(&x, from, sizeof x);
  return x;
}
void store(const Floats& x, float* to) { std::memcpy(to, &x, sizeof x); }
Floats at_least_zero(const Floats& x) { return x < 0 ? Floats{} : x; }  // NaN stays
double total(const Floats& sums) {
  double sum = 0;
  for (int k = 0; k < lanes; ++k) sum += static_cast<double>(sums[k]);
  return sum;
}

}  // namespace

void apply_loss(const Pointwise& loss, int size, const float* given, const float* residuals, float* robust,
                float* costs, float* sums) {
  Pointwise::Block block;
  double cost = 0, number = 0, squares = 0;
  const Floats ones = Floats{} + 1;
  for (int first = 0; first < size; first += Pointwise::block, costs += Pointwise::block) {
    const auto weight = [&](int k) { return given == nullptr ? ones : load(given + first + k); };
    for (int k = 0; k < Pointwise::block; k += lanes) {
      const Floats r = residuals == nullptr ? Floats{} : load(residuals + first + k),
                   before = load(costs + k);
      store(residuals != nullptr ? r * r
            : before > 0         ? before / weight(k)
                                 : Floats{},
            loss.input(block, 0) + k);
    }
    loss.evaluate(block, Pointwise::block);
    Floats cost_sums{}, number_sums{}, square_sums{};
    for (int k = 0; k < Pointwise::block; k += lanes) {
      const Floats w = load(costs + k) < 0 ? Floats{} : weight(k);
      const Floats now = w * at_least_zero(load(loss.value(block) + k)),
                   slope = w * at_least_zero(load(loss.partial(block, 0) + k));
      const auto exists = w > 0;
      store(exists ? now : -ones, costs + k);
      const Floats weighs = exists ? slope : Floats{};
      if (robust != nullptr) store(weighs, robust + first + k);
      cost_sums += exists ? now : Floats{};
      number_sums += exists ? ones : Floats{};
      square_sums += weighs * load(loss.input(block, 0) + k);
    }
    cost += total(cost_sums), number += total(number_sums), squares += total(square_sums);
  }
  sums[0] = static_cast<float>(0.5 * cost), sums[1] = static_cast<float>(number);
  sums[2] = static_cast<float>(squares);
}

}  // namespace module

Loss model_loss(const Model& model) {
  auto function = std::make_shared<const module::Pointwise>(model, module::form(), "loss");
  module::check_loss(*function, model.name());
  return {Loss::Kind::model, 1, 0, std::move(function)};
}

void model_weights(const Loss& loss, Span<const float> squared, Span<float> weights) {
  if (loss.function == nullptr) throw ArgumentError("loss: has no model; make it by diffrt::model_loss");
  check_span("weights", weights, squared.size(), "as many as squared");
  const module::Pointwise& function = *loss.function;
  module::Pointwise::Block block;
  constexpr auto most = static_cast<std::size_t>(module::Pointwise::block);
  for (std::size_t first = 0; first < squared.size(); first += most) {
    const std::size_t count = std::min(squared.size() - first, most);
    std::copy_n(squared.data() + first, count, function.input(block, 0));
    function.evaluate(block, static_cast<int>(count));
    std::copy_n(function.partial(block, 0), count, weights.data() + first);
  }
}

}  // namespace diffrt
