// What the data say of the answer, and what they do not.
#pragma once

#include <cstddef>
#include <vector>

#include "diffrt/sparse.hpp"

namespace diffrt {

// Of the parameters at the end of a solve that no bound holds; a held one counts as known. Everything is
// computed when it is first asked for, and kept; from any thread. SolveResult says what each means.
class Uncertainty {
 public:
  virtual ~Uncertainty() = default;

  // rank + null directions = free parameters.
  virtual std::size_t rank() const = 0;
  // A row for each, with P columns. Entries that are zero are not stored.
  virtual const SparseMatrix& null_directions() const = 0;
  // NaN where no residuals are left over.
  virtual double residual_variance() const = 0;

  // The root of the covariance's diagonal, P numbers: infinity for a parameter that takes part in a null
  // direction, 0 for one that is held. Empty where residual_variance() is NaN. Costs what the entries of H's
  // factor cost.
  virtual const std::vector<double>& standard_deviations() const = 0;
  // The same of the sandwich; empty also where the problem does not offer gradient_scatter. Costs a solution
  // for each parameter.
  virtual const std::vector<double>& standard_deviations_sandwich() const = 0;

  // P x P, row-major; empty as above. They throw SolverArgumentError beyond SolveOptions::dense_limit.
  virtual std::vector<double> covariance() const = 0;
  virtual std::vector<double> covariance_sandwich() const = 0;
};

}  // namespace diffrt
