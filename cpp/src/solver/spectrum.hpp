// Eigenvalues near zero of a scaled normal matrix, and the directions that belong to them.
#pragma once

#include "solver/cholesky.hpp"

namespace diffrt::solver {

// How far rounding of its entries, of that relative precision, moves an eigenvalue of a matrix of unit
// diagonal, with a margin. `fullest`: see below.
double eigenvalue_noise(double precision, Index fullest);
// The largest number of stored entries that a column has.
Index fullest_column(const Sparse& A);

// A lower estimate, good to a small factor, of the smallest eigenvalue of L L', by inverse iteration from a
// fixed start. `v` and `w` are scratch of the same size.
double smallest_eigenvalue(const Eigen::Ref<const Matrix>& L, Eigen::Ref<Vector> v, Eigen::Ref<Vector> w);
// The same of what has been factored, n x n.
double smallest_eigenvalue(const Cholesky& factor, Index n);

// The eigenvalues of a symmetric matrix, ascending, and its eigenvectors. The only place that instantiates
// Eigen's solver: each takes several seconds to compile.
using EigenSolver = Eigen::SelfAdjointEigenSolver<Matrix>;
void decompose(const Eigen::Ref<const Matrix>& A, EigenSolver& solver);

// Replaces the columns by another basis of their span, with as many zeros as there can be: Gauss-Jordan with
// complete pivoting. Entries below 1e-6 of their column's largest are noise and become zero. Returns, for
// each column, the row where it alone has an entry.
std::vector<int> sparsify(Matrix& basis);

// Unit length for every column, and a positive sign for its largest entry.
void orient(Matrix& basis);

}  // namespace diffrt::solver
