#include "module/layout.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "check_span.hpp"
#include "diffrt/errors.hpp"

namespace diffrt::module {
namespace {

using scene::Matrix6;
using scene::Vector6;

Vector6 vector6(const double* x) { return Eigen::Map<const Vector6>(x); }

}  // namespace

bool is_parameter(ArgumentKind kind) {
  return kind == ArgumentKind::free || kind == ArgumentKind::pose || kind == ArgumentKind::free_table;
}

int numbers_of(const std::vector<int>& shape) {
  int count = 1;
  for (const int n : shape) count *= n;
  return count;
}

Layout::Layout(const Description& description, const std::vector<std::size_t>& rows)
    : description_(description), places_(description.arguments.size(), -1) {
  for (std::size_t k = 0; k < description.arguments.size(); ++k) {
    const Argument& a = description.arguments[k];
    if (!is_parameter(a.kind)) continue;
    Columns c;
    c.argument = k, c.first = size_, c.first_node = nodes_;
    c.width = a.kind == ArgumentKind::pose ? 6 : static_cast<std::size_t>(numbers_of(a.shape));
    c.rows = a.kind == ArgumentKind::free_table ? rows[k] : 1;
    c.size = c.width * c.rows;
    size_ += c.size, nodes_ += c.rows;
    places_[k] = static_cast<int>(columns_.size());
    columns_.push_back(c);
    blocks_.push_back({a.name, c.first, c.size, a.kind == ArgumentKind::pose});
  }
}

const Columns& Layout::columns_of(std::size_t node) const {
  const auto next = std::upper_bound(columns_.begin(), columns_.end(), node,
                                     [](std::size_t node, const Columns& c) { return node < c.first_node; });
  return *(next - 1);
}

std::size_t Layout::start(std::size_t node) const {
  const Columns& c = columns_of(node);
  return c.first + (node - c.first_node) * c.width;
}

void Layout::check(Span<const double> theta) const {
  if (theta.size() != size_) {
    std::string layout;
    for (const ParameterBlock& block : blocks_)
      layout += (layout.empty() ? "" : ", ") + block.name + " (" + std::to_string(block.size) + ")";
    throw ArgumentError("theta: has " + std::to_string(theta.size()) + " numbers, expected " +
                        std::to_string(size_) + (layout.empty() ? "" : ": " + layout));
  }
  check_span("theta", theta, size_, "P");
  for (const ParameterBlock& block : blocks_) {
    for (std::size_t i = block.offset; i < block.offset + block.size; ++i) {
      if (!std::isfinite(theta[i])) {
        throw ArgumentError("theta: entry " + std::to_string(i) + " (" + block.name + "[" +
                            std::to_string(i - block.offset) + "]) is not finite");
      }
    }
  }
}

void Layout::apply(Span<const double> theta, float* parameters, float* const* tables) const {
  for (const Columns& c : columns_) {
    const Argument& a = description_.arguments[c.argument];
    const double* from = theta.data() + c.first;
    if (a.kind == ArgumentKind::pose) {
      const scene::Rigid T = scene::exp(vector6(from));
      for (int i = 0; i < 3; ++i) {
        for (int j = 0; j < 3; ++j) parameters[a.first + 4 * i + j] = static_cast<float>(T.R(i, j));
        parameters[a.first + 4 * i + 3] = static_cast<float>(T.t(i));
      }
      continue;
    }
    float* const to = a.kind == ArgumentKind::free ? parameters + a.first : tables[a.first];
    for (std::size_t i = 0; i < c.size; ++i) to[i] = static_cast<float>(from[i]);
  }
}

void Layout::plus(Span<const double> theta, Span<const double> delta, Span<double> out) const {
  check_span("theta", theta, size_, "P");
  check_span("delta", delta, size_, "P");
  check_span("out", out, size_, "P");
  for (std::size_t i = 0; i < size_; ++i) out[i] = theta[i] + delta[i];
  for (const Columns& c : columns_) {
    if (!is_pose(c)) continue;
    Eigen::Map<Vector6>(out.data() + c.first) =
        scene::log(scene::exp(vector6(theta.data() + c.first)) * scene::exp(vector6(delta.data() + c.first)));
  }
}

void Layout::tangent_entries(Span<const double> theta, std::size_t i,
                             std::vector<LeastSquaresProblem::TangentEntry>& entries) const {
  check_span("theta", theta, size_, "P");
  if (i >= size_)
    throw ArgumentError("i: is " + std::to_string(i) + ", and there are " + std::to_string(size_) + " rows");
  entries.clear();
  for (const Columns& c : columns_) {
    if (!is_pose(c) || i < c.first || i >= c.first + 6) continue;
    const Matrix6 inverse = scene::right_jacobian(vector6(theta.data() + c.first)).inverse();
    for (std::size_t k = 0; k < 6; ++k) {
      const double value = inverse(static_cast<Eigen::Index>(i - c.first), static_cast<Eigen::Index>(k));
      if (value != 0) entries.push_back({c.first + k, value});
    }
    return;
  }
  entries.push_back({i, 1.0});
}

Matrix6 Layout::pose_derivative(Span<const double> theta, const Columns& pose, PoseDerivative kind) const {
  return kind == PoseDerivative::tangent ? Matrix6(Matrix6::Identity())
                                         : scene::right_jacobian(vector6(theta.data() + pose.first));
}

}  // namespace diffrt::module
