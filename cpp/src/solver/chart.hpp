// The coordinates in which a step is computed: the tangent space, unless a bound is on a parameter that is
// not added up.
//
// A bound speaks of theta, a step of delta. Where they are added up the two are the same. Where they are not
// (a pose block with a bound on one of its components), the model is carried over to d = A delta,
//
//   A = d (theta [+] delta) / d delta,   g_d = A^-T g,   H_d = A^-T H A^-1,
//
// so that freezing and clipping act on components of theta. A is the identity outside a few blocks.
#pragma once

#include "diffrt/least_squares.hpp"
#include "solver/bounds.hpp"
#include "solver/model.hpp"

namespace diffrt::solver {

class Chart {
 public:
  // Looks at A at theta, if there are bounds. Afterwards the functions below speak of this theta.
  void update(const LeastSquaresProblem& problem, const Bounds& bounds, const Vector& theta);

  bool flat() const { return curved_.empty(); }

  void to_theta(Model& model);                  // H and g from delta to d
  void to_tangent(Matrix& H, Vector& g);        // and back
  void step_to_tangent(Vector& d);              // delta = A^-1 d
  void directions_to_tangent(Matrix& columns);  // the same for each column
  void covariance_to_tangent(Matrix& C);        // A^-1 C A^-T

 private:
  void gather(const Matrix& from);
  void scatter(Matrix& to) const;

  std::vector<Index> curved_;  // the parameters where A differs from the identity
  Matrix A_;                   // A restricted to those
  Eigen::PartialPivLU<Matrix> inverse_;
  Matrix rows_;  // scratch, as the two below
  Vector row_;
  Mask is_curved_;
};

}  // namespace diffrt::solver
