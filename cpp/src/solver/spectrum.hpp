// Eigenvalues near zero of a scaled normal matrix, and the directions that belong to them.
#pragma once

#include "solver/eigen.hpp"

namespace diffrt::solver {

// A lower estimate, good to a small factor, of the smallest eigenvalue of L L', by inverse iteration from a
// fixed start. `v` and `w` are scratch of the same size.
double smallest_eigenvalue(const Eigen::Ref<const Matrix>& L, Vector& v, Vector& w);

// The eigenvalues of a symmetric matrix, ascending, and its eigenvectors. The only place that instantiates
// Eigen's solver: each takes several seconds to compile.
using EigenSolver = Eigen::SelfAdjointEigenSolver<Matrix>;
void decompose(const Matrix& A, EigenSolver& solver);

// Replaces the columns by another basis of their span, with as many zeros as there can be: Gauss-Jordan with
// complete pivoting. Entries below 1e-6 of their column's largest are noise and become zero.
void sparsify(Matrix& basis);

// Unit length for every column, and a positive sign for its largest entry.
void orient(Matrix& basis);

}  // namespace diffrt::solver
