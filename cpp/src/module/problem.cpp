// A bound model as a problem for the solver.
#include <algorithm>
#include <cmath>
#include <limits>

#include "check_span.hpp"
#include "diffrt/model.hpp"
#include "sparse.hpp"

namespace diffrt {
namespace {

constexpr double epsilon = static_cast<double>(std::numeric_limits<float>::epsilon());

bool is_finite(Span<const double> theta) {
  return std::all_of(theta.begin(), theta.end(), [](double x) { return std::isfinite(x); });
}

double mean_magnitude(const std::vector<float>& values) {
  double sum = 0, count = 0;
  for (const float value : values) {
    if (std::isfinite(value)) sum += std::abs(static_cast<double>(value)), ++count;
  }
  return count > 0 ? sum / count : 0;
}

// Arrays that stay as they are: a GPU takes them once.
Observation named(Observation observation) {
  if (observation.revision == 0) observation.revision = new_revision();
  return observation;
}

}  // namespace

ModelProblem::ModelProblem(BoundModel& model, const Observation& observation, const Loss& loss)
    : model_(model), observation_(named(observation)), loss_(loss) {
  model.check(observation);
}

// Values are float32: with errors e in the residuals the cost is off by about |r|.|e| + |e|^2 / 2.
Evaluation ModelProblem::evaluation() const {
  const double half_count = 0.5 * static_cast<double>(equations_.count);
  Evaluation result{equations_.cost, equations_.count};
  result.noise =
      std::max(resolution_, 0.0) * std::sqrt(2 * equations_.cost) + half_count * resolution_ * resolution_;
  return result;
}

Evaluation ModelProblem::cost(Span<const double> theta) {
  if (!is_finite(theta)) return {std::numeric_limits<double>::infinity(), 0};
  // A callback may have used the model for a fit of its own.
  if (remembered_ != 0 && model_.remembered() != remembered_) remember(remembered_theta_);
  SharedCost shared;
  model_.cost(theta, observation_, loss_, equations_, remembered_ != 0 ? &shared : nullptr);
  Evaluation result = evaluation();
  result.shared = {remembered_ != 0, shared.count, shared.before, shared.now};
  return result;
}

void ModelProblem::remember(Span<const double> theta) {
  model_.normal_equations(theta, observation_, loss_, equations_, PoseDerivative::tangent, true);
  remembered_ = model_.remembered();
}

Evaluation ModelProblem::sparse_normal_equations(Span<const double> theta, SparseMatrix& H, Span<double> g) {
  check_span("g", g, size(), "P");
  if (!is_finite(theta)) {
    H.row_starts.assign(size() + 1, 0), H.columns.clear(), H.values.clear();
    std::fill(g.begin(), g.end(), 0.0);
    return {std::numeric_limits<double>::infinity(), 0};
  }
  if (resolution_ < 0) {
    values_.resize(model_.values());
    model_.value(theta, values_);
    resolution_ = epsilon * mean_magnitude(values_);
  }
  remembered_theta_.assign(theta.begin(), theta.end());
  std::swap(H, equations_.H_sparse);  // whose memory is used again
  remember(theta);
  std::swap(H, equations_.H_sparse);
  std::copy(equations_.g.begin(), equations_.g.end(), g.begin());
  double along = 0, beyond = 0;
  for (std::size_t i = 0; i < size(); ++i) {
    const double rounding = 0.5 * epsilon * theta[i];
    along += g[i] * rounding * g[i] * rounding, beyond += entry(H, i, i) * rounding * rounding;
  }
  // The model sees theta in float32.
  Evaluation result = evaluation();
  result.noise += std::sqrt(along) + 0.5 * beyond;
  return result;
}

Evaluation ModelProblem::normal_equations(Span<const double> theta, Span<double> H, Span<double> g) {
  check_span("H", H, size() * size(), "P x P");
  SparseMatrix sparse;
  const Evaluation result = sparse_normal_equations(theta, sparse, g);
  to_dense(sparse, H);
  return result;
}

bool ModelProblem::magnitudes(Span<const double> theta, Span<double> sizes) const {
  for (std::size_t i = 0; i < size(); ++i) sizes[i] = std::abs(theta[i]);
  for (const ParameterBlock& block : model_.blocks()) {
    if (!block.is_pose) continue;
    for (std::size_t i = block.offset + 3; i < block.offset + 6; ++i) sizes[i] = std::max(sizes[i], 1.0);
  }
  return false;
}

void ModelProblem::plus(Span<const double> theta, Span<const double> delta, Span<double> out) const {
  model_.plus(theta, delta, out);
}

void ModelProblem::tangent_entries(Span<const double> theta, std::size_t i,
                                   std::vector<TangentEntry>& entries) const {
  model_.tangent_entries(theta, i, entries);
}

void ModelProblem::tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const {
  check_span("row", row, size(), "P");
  std::vector<TangentEntry> entries;
  tangent_entries(theta, i, entries);
  std::fill(row.begin(), row.end(), 0.0);
  for (const TangentEntry& entry : entries) row[entry.index] = entry.value;
}

bool ModelProblem::gradient_scatter(Span<const double> theta, Span<double> M) {
  check_span("M", M, size() * size(), "P x P");
  SparseMatrix sparse;
  sparse_gradient_scatter(theta, sparse);
  to_dense(sparse, M);
  return true;
}

bool ModelProblem::sparse_gradient_scatter(Span<const double> theta, SparseMatrix& M) {
  model_.gradient_scatter(theta, observation_, loss_, M);
  return true;
}

SolveResult fit(BoundModel& model, const Observation& observation, Span<const double> theta0,
                const Loss& loss, const SolveOptions& options) {
  model.check(theta0);
  ModelProblem problem(model, observation, loss);
  return solve(problem, theta0, options);
}

}  // namespace diffrt
