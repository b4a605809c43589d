// Steps of the model in its scaled coordinates, (scale H scale + lambda damping) y = -gradient, with some
// parameters frozen at y = 0.
#pragma once

#include <optional>

#include "solver/conjugate_gradients.hpp"
#include "solver/model.hpp"
#include "solver/spectrum.hpp"

namespace diffrt::solver {

class LinearSolver {
 public:
  // `dense`: Cholesky; otherwise conjugate gradients. `null_threshold`: see SolveOptions, resolved.
  LinearSolver(Index size, bool dense, double null_threshold);

  // The damped step, lambda > 0. False if rounding makes the matrix indefinite: use a larger lambda.
  bool damped(const Model& model, const Mask& frozen, double lambda, Vector& y);

  // The Gauss-Newton step, lambda = 0: of all minimisers of the model the one with the smallest |y|.
  void undamped(const Model& model, const Mask& frozen, Vector& y);

 private:
  void assemble(const Model& model, const Mask& frozen, double lambda);
  bool factor();  // Cholesky of work_, in place
  void right_hand_side(const Model& model, const Mask& frozen, Vector& y) const;
  void shortest(Vector& y);  // y = pseudo-inverse of work_ times y

  double null_threshold_;
  Matrix work_;  // lower triangle: the scaled matrix, then its factor
  Vector v_, w_;
  EigenSolver eigen_;
  std::optional<ConjugateGradients> iterative_;
};

}  // namespace diffrt::solver
