// The factor L D L' of a sparse symmetric matrix, for what L L' does not tell: how many eigenvalues are
// negative, and entries of the inverse.
#pragma once

#include "solver/eigen.hpp"

namespace diffrt::solver {

class Ldlt {
 public:
  // The structure of A, of which the lower triangle is read here and below.
  void arrange(const Sparse& A) { cholesky_.analyzePattern(A); }
  // False if A is not positive definite, or not finite. Then only pivots() may be asked for.
  bool compute(const Sparse& A) {
    cholesky_.factorize(A);
    return cholesky_.info() == Eigen::Success && (pivots().array() > 0).all() && pivots().allFinite();
  }
  // D. As many are negative as A has negative eigenvalues (Sylvester's law of inertia).
  Vector pivots() const { return cholesky_.vectorD(); }
  // Of the inverse: the entries of its diagonal, and those at the places of A's lower triangle.
  Sparse inverse_at(const Sparse& A) const;

 private:
  struct Cholesky : Eigen::SimplicialLDLT<Sparse, Eigen::Lower, Eigen::AMDOrdering<int>> {
    const CholMatrixType& factor() const { return m_matrix; }
  };
  Cholesky cholesky_;
};

}  // namespace diffrt::solver
