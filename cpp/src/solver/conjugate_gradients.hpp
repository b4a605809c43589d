// Preconditioned conjugate gradients on the scaled system (scale H scale + lambda damping) y = -gradient, for
// more parameters than Cholesky should be asked for. The preconditioner is block Jacobi: the Cholesky factors
// of diagonal blocks of 12, a multiple of 3, 4 and 6, so that vertices, spheres and poses are not cut. Saad,
// "Iterative methods for sparse linear systems", alg. 9.1.
#pragma once

#include "solver/model.hpp"

namespace diffrt::solver {

class ConjugateGradients {
 public:
  explicit ConjugateGradients(Index size);

  // y = argmin over the parameters not in `frozen`, starting at 0; y is 0 where frozen.
  void solve(const Model& model, const Mask& frozen, double lambda, Vector& y);

 private:
  static constexpr Index kBlock = 12;
  static constexpr double kTolerance = 1e-8;

  void factor_blocks(const Model& model, const Mask& frozen, double lambda);
  void precondition(const Vector& r, Vector& z) const;

  Matrix blocks_;  // kBlock columns: the factors, one under the other
  Vector residual_, direction_, preconditioned_, product_, scaled_;
};

}  // namespace diffrt::solver
