// Eigen as the solver uses it.
#pragma once

#include <algorithm>
#include <vector>

#include "diffrt/span.hpp"
#include "solver/eigen_headers.hpp"

namespace diffrt::solver {

using Eigen::Index;
using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;
using Mask = std::vector<char>;  // one flag per parameter
// Symmetric ones have both triangles and every entry of their diagonal.
using Sparse = Eigen::SparseMatrix<double, Eigen::ColMajor, int>;
using Triplet = Eigen::Triplet<double, int>;

inline Index index(std::size_t i) { return static_cast<Index>(i); }
inline std::size_t count(Index i) { return static_cast<std::size_t>(i); }

inline Span<const double> view(const Vector& v) { return {v.data(), count(v.size())}; }
inline Span<double> view(Vector& v) { return {v.data(), count(v.size())}; }

// Whether entries that are not stored are zero in both at the same places.
inline bool same_structure(const Sparse& a, const Sparse& b) {
  return a.cols() == b.cols() && a.nonZeros() == b.nonZeros() &&
         std::equal(a.outerIndexPtr(), a.outerIndexPtr() + a.cols() + 1, b.outerIndexPtr()) &&
         std::equal(a.innerIndexPtr(), a.innerIndexPtr() + a.nonZeros(), b.innerIndexPtr());
}

}  // namespace diffrt::solver
