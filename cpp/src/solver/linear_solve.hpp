// Steps of the model in its scaled coordinates, (scale H scale + lambda damping) y = -gradient, with some
// parameters frozen at y = 0.
//
// H falls into parts that have nothing to do with each other: each sphere by itself, or each few that
// overlap. Parts that are small or full are solved by a dense Cholesky factor each; the others together by a
// sparse one, or by conjugate gradients where its factor would take too long.
#pragma once

#include <optional>

#include "solver/cholesky.hpp"
#include "solver/conjugate_gradients.hpp"
#include "solver/model.hpp"
#include "solver/parts.hpp"
#include "solver/spectrum.hpp"

namespace diffrt::solver {

class LinearSolver {
 public:
  // `dense_limit`: the largest part for a dense factor.
  LinearSolver(Index size, Index dense_limit);

  // Begins anew: the order of elimination becomes that of the next model.
  void forget() { forgotten_ = true; }

  // The damped step, lambda > 0. False if rounding makes the matrix indefinite: use a larger lambda.
  bool damped(const Model& model, const Mask& frozen, double lambda, Vector& y);

  // The Gauss-Newton step, lambda = 0: of all minimisers of the model the one with the smallest |y|.
  // `null_threshold`: see SolveOptions, resolved.
  void undamped(const Model& model, const Mask& frozen, double null_threshold, Vector& y);

 private:
  using Block = Eigen::Map<Matrix>;

  void arrange(const Sparse& H);
  bool extend(const Sparse& H);
  void arrange_rest(const Sparse& H);
  void start(const Model& model, const Mask& frozen, Vector& y);
  Block assemble(Span<const int> part, const Model& model, const Mask& frozen, double lambda);
  void assemble_rest(const Model& model, const Mask& frozen, double lambda);
  bool damp_part(Span<const int> part, const Model& model, const Mask& frozen, double lambda, Vector& y);
  void solve_part(Span<const int> part, const Model& model, const Mask& frozen, double null_threshold,
                  Vector& y);
  void solve_rest(double null_threshold);
  void shortest(const Block& A, double null_threshold, Eigen::Ref<Vector> y);
  // The entries of y that belong to a part, and back.
  void gather(Span<const int> part, const Vector& y);
  void scatter(Span<const int> part, Vector& y) const;

  const Index dense_limit_;
  std::vector<int> outer_, inner_;             // the structure of H that the following is for
  bool forgotten_ = false, extended_ = false;  // extended: another structure is what was arranged
  std::vector<std::vector<int>> dense_;
  std::vector<int> part_of_;  // a parameter, of the dense ones
  double fullest_ = 1;        // entries of the fullest column: no eigenvalue of the scaled matrix exceeds it
  std::vector<double> work_;  // lower triangle: a part of the scaled matrix, then its factor
  Vector right_, v_, w_;
  EigenSolver eigen_;

  // The other parts, as one matrix.
  std::vector<int> rest_, local_;  // and where in them a parameter is
  Sparse A_;                       // lower triangle
  std::vector<int> places_;        // of its entries, in H
  Vector rest_y_;
  Cholesky factor_;
  std::optional<ConjugateGradients> iterative_;
};

}  // namespace diffrt::solver
