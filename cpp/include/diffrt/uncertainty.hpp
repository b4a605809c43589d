// What the data say of the answer, and what they do not.
#pragma once

#include <memory>
#include <vector>

#include "diffrt/export.hpp"
#include "diffrt/sparse.hpp"

namespace diffrt {

namespace solver {
class Analysis;  // internal
}

// Of the parameters at the end of a solve that no bound holds; a held one counts as known. Everything is
// computed when it is first asked for, and kept; from any thread. SolveResult says what each means.
class DIFFRT_API Uncertainty {
 public:
  explicit Uncertainty(std::shared_ptr<const solver::Analysis> analysis) : analysis_(std::move(analysis)) {}

  // rank + null directions = free parameters.
  std::size_t rank() const;
  // A row for each, with P columns. Entries that are zero are not stored.
  const SparseMatrix& null_directions() const;
  // NaN where no residuals are left over.
  double residual_variance() const;

  // The root of the covariance's diagonal, P numbers: infinity for a parameter that takes part in a null
  // direction, 0 for one that is held. Empty where residual_variance() is NaN; the second, also where the
  // problem does not offer gradient_scatter. Costs what the entries of H's factor cost; the second, a
  // solution for each parameter.
  const std::vector<double>& standard_deviations() const;
  const std::vector<double>& standard_deviations_sandwich() const;

  // P x P, row-major; empty as above. Throws SolverArgumentError beyond SolveOptions::dense_limit.
  std::vector<double> covariance() const;
  std::vector<double> covariance_sandwich() const;

 private:
  std::shared_ptr<const solver::Analysis> analysis_;
};

}  // namespace diffrt
