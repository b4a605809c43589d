#include "solver/normal_matrix.hpp"

#include <iterator>
#include <limits>
#include <string>

#include "diffrt/least_squares.hpp"

namespace diffrt::solver {

NormalMatrix::NormalMatrix(std::size_t size, std::size_t dense_limit)
    : dense_limit_(dense_limit), value_(index(size), index(size)) {}

int NormalMatrix::place(int row, int column) const {
  const int *begin = value_.innerIndexPtr() + value_.outerIndexPtr()[row],
            *end = value_.innerIndexPtr() + value_.outerIndexPtr()[row + 1];
  const int* found = std::lower_bound(begin, end, column);
  return found != end && *found == column ? static_cast<int>(found - value_.innerIndexPtr()) : -1;
}

bool NormalMatrix::keeps_zeros(const SparseMatrix& given) const {
  return given.rows() <= dense_limit_ && given.values.size() == given.rows() * given.rows();
}

bool NormalMatrix::has_place_for(const SparseMatrix& given, const std::vector<Triplet>& more) const {
  if ((forgotten_ && (grown_ || !keeps_zeros(given))) || given.row_starts != row_starts_ ||
      given.columns != columns_)
    return false;
  for (std::size_t k = 0; k < places_.size(); ++k) {
    if (places_[k] < 0 && given.values[k] != 0) return false;
  }
  return std::all_of(more.begin(), more.end(),
                     [&](const Triplet& entry) { return place(entry.row(), entry.col()) >= 0; });
}

void NormalMatrix::assign(const SparseMatrix& given, const std::vector<Triplet>& more) {
  if (!has_place_for(given, more)) grow(given, more);
  forgotten_ = false;
  double* const values = value_.valuePtr();
  if (whole_) {
    std::copy(given.values.begin(), given.values.end(), values);
  } else {
    std::fill_n(values, value_.nonZeros(), 0.0);
    for (std::size_t k = 0; k < places_.size(); ++k) {
      if (places_[k] >= 0) values[places_[k]] = given.values[k];
    }
  }
  for (const Triplet& entry : more) values[place(entry.row(), entry.col())] += entry.value();
}

void NormalMatrix::check(const SparseMatrix& given) const {
  const std::size_t size = count(value_.cols()), entries = given.values.size();
  bool right = given.rows() == size && given.row_starts[0] == 0 && given.columns.size() == entries &&
               given.row_starts[size] == static_cast<std::int64_t>(entries);
  for (std::size_t i = 0; right && i < size; ++i) {
    right = given.row_starts[i] <= given.row_starts[i + 1];
    for (auto k = given.row_starts[i]; right && k < given.row_starts[i + 1]; ++k) {
      const std::int32_t column = given.columns[count(k)];
      right = column >= 0 && count(column) < size &&
              (k == given.row_starts[i] || given.columns[count(k) - 1] < column);
    }
  }
  if (right) return;
  throw SolverArgumentError("sparse_normal_equations: H is not a matrix of " + std::to_string(size) +
                            " rows, each of "
                            "which has its columns once, ascending and below " +
                            std::to_string(size));
}

void NormalMatrix::grow(const SparseMatrix& given, const std::vector<Triplet>& more) {
  check(given);
  const std::size_t size = count(value_.cols());
  const bool keeps = keeps_zeros(given);
  if (forgotten_) value_.setZero();
  std::vector<std::vector<int>> extra(size);
  for (const Triplet& entry : more) extra[count(entry.row())].push_back(entry.col());

  grown_ = false;
  std::vector<int> starts{0}, columns, line, merged;
  for (std::size_t i = 0; i < size; ++i) {
    line = std::move(extra[i]);
    line.push_back(static_cast<int>(i));
    for (auto k = count(given.row_starts[i]); k < count(given.row_starts[i + 1]); ++k) {
      if (keeps || given.values[k] != 0) line.push_back(given.columns[k]);
    }
    std::sort(line.begin(), line.end());
    line.erase(std::unique(line.begin(), line.end()), line.end());
    const int *begin = value_.innerIndexPtr() + value_.outerIndexPtr()[i],
              *end = value_.innerIndexPtr() + value_.outerIndexPtr()[i + 1];
    merged.clear();
    std::set_union(line.begin(), line.end(), begin, end, std::back_inserter(merged));
    grown_ = grown_ || merged.size() > line.size();
    columns.insert(columns.end(), merged.begin(), merged.end());
    if (columns.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
      throw SolverArgumentError(
          "H has more than 2^31 entries that may differ from zero; free fewer parameters, "
          "or such as depend on fewer others");
    }
    starts.push_back(static_cast<int>(columns.size()));
  }
  const std::vector<double> zeros(columns.size(), 0.0);
  value_ = Eigen::Map<const Sparse>(index(size), index(size), index(columns.size()), starts.data(),
                                    columns.data(), zeros.data());
  row_starts_ = given.row_starts;
  columns_ = given.columns;
  places_.resize(columns_.size());
  whole_ = columns_.size() == columns.size();
  for (std::size_t i = 0; i < size; ++i) {
    for (auto k = count(given.row_starts[i]); k < count(given.row_starts[i + 1]); ++k) {
      places_[k] = place(static_cast<int>(i), given.columns[k]);
      whole_ = whole_ && places_[k] == static_cast<int>(k);
    }
  }
}

}  // namespace diffrt::solver
