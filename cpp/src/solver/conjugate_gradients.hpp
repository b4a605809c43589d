// Preconditioned conjugate gradients, for matrices whose factors are too large to make. The preconditioner is
// block Jacobi: the Cholesky factors of diagonal blocks of 12, a multiple of 3, 4 and 6, so that vertices,
// spheres and poses are not cut. Saad, "Iterative methods for sparse linear systems", alg. 9.1.
#pragma once

#include "solver/eigen.hpp"

namespace diffrt::solver {

class ConjugateGradients {
 public:
  explicit ConjugateGradients(Index size);

  // y = A^-1 y, of a positive definite A, of which the lower triangle is read. Starts at 0, so that y has
  // nothing of A's null space but rounding. Ends at a relative residual of 1e-8, in the norm of the
  // preconditioner.
  void solve(const Sparse& A, Vector& y);

 private:
  static constexpr Index kBlock = 12;
  static constexpr double kTolerance = 1e-8;

  void factor_blocks(const Sparse& A);
  void precondition(const Vector& r, Vector& z) const;

  Matrix blocks_;  // kBlock columns: the factors, one under the other
  Vector residual_, direction_, preconditioned_, product_;
};

}  // namespace diffrt::solver
