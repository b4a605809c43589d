// What the data say at the end, and what they do not: rank, null directions, covariances.
#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "diffrt/least_squares.hpp"
#include "solver/chart.hpp"
#include "solver/determined.hpp"
#include "solver/model.hpp"
#include "solver/point.hpp"

namespace diffrt::solver {

// Keeps what it takes, and computes what it is asked for.
class Analysis : public Uncertainty {
 public:
  // From the model at result's theta, where `point` is the cost; `frozen` are the parameters held at a bound.
  // The model is in the coordinates of `chart`; `null_threshold` is resolved.
  Analysis(LeastSquaresProblem& problem, const SolveOptions& options, double null_threshold,
           const Model& model, const Mask& frozen, const Chart& chart, const SolveResult& result);

  // Puts the covariance to the test, and takes from what is determined whatever does not pass (apparent.hpp).
  // To be called at once, if at all.
  void test(LeastSquaresProblem& problem, const SolveOptions& options, const Point& point,
            const Vector& theta);

  std::size_t rank() const override;
  const SparseMatrix& null_directions() const override;
  double residual_variance() const override;
  const std::vector<double>& standard_deviations() const override { return deviations(false); }
  const std::vector<double>& standard_deviations_sandwich() const override { return deviations(true); }
  std::vector<double> covariance() const override { return covariances(false); }
  std::vector<double> covariance_sandwich() const override { return covariances(true); }

 private:
  using Direction = std::map<int, double>;  // entries by parameter

  const std::vector<double>& deviations(bool sandwich) const;
  std::vector<double> covariances(bool sandwich) const;
  const Determined& determined() const;
  void find_null_directions() const;
  double factor(bool sandwich) const;
  Direction row(Index i) const;
  Direction to_tangent(const Direction& direction) const;
  Matrix inverse(bool sandwich) const;

  const Index size_;
  const std::size_t dense_limit_;
  const double null_threshold_, cost_, rows_;
  Vector scale_;
  Sparse A_;  // the scaled model
  Mask free_;
  bool flat_;
  Sparse inverse_;           // from the chart's coordinates to the tangent space, unless flat
  Sparse rows_of_inverse_;   // the same transposed
  std::optional<Sparse> M_;  // the scatter of the gradient, in A_'s coordinates

  Matrix apparent_;  // directions that did not pass the test, one deviation long
  Mask failed_;      // parameters of whose variance they make up half

  // Made when it is first asked for.
  mutable std::recursive_mutex mutex_;
  mutable std::optional<Determined> determined_;
  mutable std::optional<SparseMatrix> null_directions_;
  mutable Mask undetermined_;
  mutable std::optional<std::vector<double>> deviations_[2];
};

}  // namespace diffrt::solver
