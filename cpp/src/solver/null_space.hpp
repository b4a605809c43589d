// Eigenvectors of the eigenvalues near zero of a large sparse matrix.
#pragma once

#include "solver/spectrum.hpp"

namespace diffrt::solver {

struct NullSpace {
  Matrix vectors;  // orthonormal columns
  Vector values;   // theirs
};

// Of a symmetric matrix that is semidefinite but for rounding: all eigenvectors of eigenvalues that are at
// most null_threshold * max(the largest eigenvalue, `largest`). How many there are is counted, by Sylvester's
// law; which, found by subspace iteration on the inverse (Parlett, "The symmetric eigenvalue problem", ch.
// 14).
NullSpace null_space(const Sparse& A, double null_threshold, double largest);

}  // namespace diffrt::solver
