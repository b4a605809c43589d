// Eigenvalues near zero of a scaled normal matrix, and the directions that belong to them.
#pragma once

#include "solver/eigen.hpp"

namespace diffrt::solver {

// A lower estimate, good to a small factor, of the smallest eigenvalue of L L', by inverse iteration from a fixed start.
// `v` and `w` are scratch of the same size.
double smallest_eigenvalue(const Eigen::Ref<const Matrix>& L, Vector& v, Vector& w);

// The other basis of the columns' span that has the most zeros: Gauss-Jordan with complete pivoting. Columns come out with
// unit length, their largest component positive, entries below 1e-6 of it set to zero.
void sparsify(Matrix& basis);

}  // namespace diffrt::solver
