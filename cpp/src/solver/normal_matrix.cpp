#include "solver/normal_matrix.hpp"

#include <iterator>
#include <limits>
#include <string>

#include "diffrt/least_squares.hpp"

namespace diffrt::solver {
namespace {

bool same_place(const Triplet& a, const Triplet& b) { return a.row() == b.row() && a.col() == b.col(); }

}  // namespace

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
  return more.size() == more_.size() && std::equal(more.begin(), more.end(), more_.begin(), same_place);
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
  for (std::size_t k = 0; k < more.size(); ++k) values[more_places_[k]] += more[k].value();
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
  // Zeros are kept, too, if they are few: they may be none in the next step, and a new structure costs
  // several steps.
  const auto absent = std::count(given.values.begin(), given.values.end(), 0.0);
  const bool keeps = keeps_zeros(given) || 10 * count(absent) <= given.values.size();
  if (forgotten_) value_.setZero();
  std::vector<std::pair<int, int>> extra;
  for (const Triplet& entry : more) extra.emplace_back(entry.row(), entry.col());
  std::sort(extra.begin(), extra.end());

  grown_ = false;
  std::vector<int> starts{0}, columns, line;
  columns.reserve(given.values.size() + extra.size() + size);
  auto next = extra.begin();
  for (std::size_t i = 0; i < size; ++i) {
    line.clear();
    for (auto k = count(given.row_starts[i]); k < count(given.row_starts[i + 1]); ++k) {
      if (keeps || given.values[k] != 0) line.push_back(given.columns[k]);
    }
    const std::size_t ascending = line.size();
    line.push_back(static_cast<int>(i));
    for (; next != extra.end() && next->first == static_cast<int>(i); ++next) line.push_back(next->second);
    std::sort(line.begin() + static_cast<std::ptrdiff_t>(ascending), line.end());
    std::inplace_merge(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(ascending), line.end());
    line.erase(std::unique(line.begin(), line.end()), line.end());
    const int *begin = value_.innerIndexPtr() + value_.outerIndexPtr()[i],
              *end = value_.innerIndexPtr() + value_.outerIndexPtr()[i + 1];
    std::set_union(line.begin(), line.end(), begin, end, std::back_inserter(columns));
    grown_ = grown_ || columns.size() - count(starts.back()) > line.size();
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
    int at = starts[i];  // both ascend
    for (auto k = count(given.row_starts[i]); k < count(given.row_starts[i + 1]); ++k) {
      while (at < starts[i + 1] && columns[count(at)] < given.columns[k]) ++at;
      places_[k] = at < starts[i + 1] && columns[count(at)] == given.columns[k] ? at : -1;
      whole_ = whole_ && places_[k] == static_cast<int>(k);
    }
  }
  more_ = more;
  more_places_.clear();
  for (const Triplet& entry : more) more_places_.push_back(place(entry.row(), entry.col()));
}

}  // namespace diffrt::solver
