// Eigen as the solver uses it.
#pragma once

#include <vector>

#include "diffrt/span.hpp"
#include "solver/eigen_headers.hpp"

namespace diffrt::solver {

using Eigen::Index;
using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;
using Mask = std::vector<char>;  // one flag per parameter

inline Index index(std::size_t i) { return static_cast<Index>(i); }
inline std::size_t count(Index i) { return static_cast<std::size_t>(i); }

inline Span<const double> view(const Vector& v) { return {v.data(), count(v.size())}; }
inline Span<double> view(Vector& v) { return {v.data(), count(v.size())}; }
inline Span<double> view(Matrix& m) { return {m.data(), count(m.size())}; }

}  // namespace diffrt::solver
