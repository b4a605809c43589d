// Eigenvectors of the eigenvalues near zero of a large sparse matrix.
#pragma once

#include "solver/spectrum.hpp"

namespace diffrt::solver {

struct NullSpace {
  Matrix vectors;  // orthonormal columns
  Vector values;   // theirs
};

// Of a symmetric matrix that is semidefinite but for rounding: all eigenvectors of eigenvalues up to `zero`.
// How many there are is counted, by Sylvester's law; which, found by subspace iteration on the inverse
// (Parlett, "The symmetric eigenvalue problem", ch. 14).
NullSpace null_space(const Sparse& A, double zero);

// By the power method, from below.
double largest_eigenvalue(const Sparse& A);

// Directions v among a few neighbouring parameters that have the same structure, as a vertex's, with |A v| a
// small part of `zero`: as columns, and an orthonormal basis of what is orthogonal to all of them.
struct LocalNulls {
  Sparse directions, others;
};
LocalNulls local_nulls(const Sparse& A, double zero);

}  // namespace diffrt::solver
