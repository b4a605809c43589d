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
#include "solver/eigen.hpp"

namespace diffrt::solver {

class Chart {
 public:
  // Looks at A at theta, if there are bounds. Afterwards the functions below speak of this theta.
  void update(const LeastSquaresProblem& problem, const Bounds& bounds, const Vector& theta);

  bool flat() const { return flat_; }

  // From delta to d, and back.
  Sparse to_theta(const Sparse& H) const { return inverse_.transpose() * H * inverse_; }
  Sparse to_tangent(const Sparse& H) const { return A_.transpose() * H * A_; }
  void gradient_to_theta(Vector& g) const { g = (inverse_.transpose() * g).eval(); }
  void gradient_to_tangent(Vector& g) const { g = (A_.transpose() * g).eval(); }
  void step_to_tangent(Vector& d) const {
    if (!flat_) d = (inverse_ * d).eval();
  }
  // A^-1, unless flat.
  const Sparse& inverse() const { return inverse_; }

 private:
  bool find_blocks(const LeastSquaresProblem& problem, const Bounds& bounds, const Vector& theta);

  bool flat_ = true;
  Sparse A_, inverse_;
  std::vector<Triplet> rows_;  // of A, where it is not the identity
  std::vector<int> block_;     // the first parameter of those that A mixes with this one
  std::vector<LeastSquaresProblem::TangentEntry> entries_;
};

}  // namespace diffrt::solver
