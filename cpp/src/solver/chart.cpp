// Carrying the model between the tangent space and theta.
#include "solver/chart.hpp"

#include <map>
#include <numeric>

namespace diffrt::solver {

// Into rows_ and block_. Whether a bound is on any parameter that is not added up.
bool Chart::find_blocks(const LeastSquaresProblem& problem, const Bounds& bounds, const Vector& theta) {
  const std::size_t size = count(theta.size());
  rows_.clear();
  block_.resize(size);
  std::iota(block_.begin(), block_.end(), 0);
  const auto first = [&](std::size_t i) {
    while (block_[i] != static_cast<int>(i)) i = static_cast<std::size_t>(block_[i]);
    return static_cast<int>(i);
  };
  bool bounded = false;
  for (std::size_t i = 0; i < size; ++i) {
    problem.tangent_entries(view(theta), i, entries_);
    if (entries_.size() == 1 && entries_[0].index == i && entries_[0].value == 1) continue;
    for (const auto& [j, value] : entries_) {
      const int a = first(i), b = first(j);
      block_[count(std::max(a, b))] = std::min(a, b);
      rows_.emplace_back(static_cast<int>(i), static_cast<int>(j), value);
      bounded = bounded || bounds.on(i) || bounds.on(j);
    }
  }
  for (std::size_t i = 0; i < size; ++i) block_[i] = first(i);
  return bounded;
}

void Chart::update(const LeastSquaresProblem& problem, const Bounds& bounds, const Vector& theta) {
  flat_ = !bounds.any() || !find_blocks(problem, bounds, theta);
  if (flat_) return;
  const Index size = theta.size();
  std::map<int, std::vector<int>> members;
  for (const Triplet& entry : rows_) members[block_[count(entry.row())]];
  for (Index i = 0; i < size; ++i) {
    const auto found = members.find(block_[count(i)]);
    if (found != members.end()) found->second.push_back(static_cast<int>(i));
  }
  A_.resize(size, size);
  std::vector<Triplet> entries = rows_, inverse;
  std::vector<char> has_row(count(size), 0);
  for (const Triplet& entry : rows_) has_row[count(entry.row())] = 1;
  for (Index i = 0; i < size; ++i) {
    if (!has_row[count(i)]) entries.emplace_back(static_cast<int>(i), static_cast<int>(i), 1.0);
    if (members.count(block_[count(i)]) == 0)
      inverse.emplace_back(static_cast<int>(i), static_cast<int>(i), 1.0);
  }
  A_.setFromTriplets(entries.begin(), entries.end());
  for (const auto& [first, block] : members) {
    const Index n = index(block.size());
    Matrix dense(n, n);
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < n; ++j) dense(i, j) = A_.coeff(block[count(i)], block[count(j)]);
    }
    const Matrix inverted = dense.partialPivLu().inverse();
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < n; ++j) inverse.emplace_back(block[count(i)], block[count(j)], inverted(i, j));
    }
  }
  inverse_.resize(size, size);
  inverse_.setFromTriplets(inverse.begin(), inverse.end());
}

}  // namespace diffrt::solver
