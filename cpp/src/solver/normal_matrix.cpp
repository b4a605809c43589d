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
  const bool same_more = !forgotten_ && more.size() == more_.size() &&
                         std::equal(more.begin(), more.end(), more_.begin(), same_place);
  if (forgotten_) value_.setZero();
  grown_ = !forgotten_;
  std::vector<std::pair<int, int>> extra;
  for (const Triplet& entry : more) extra.emplace_back(entry.row(), entry.col());
  std::sort(extra.begin(), extra.end());

  std::vector<int> starts{0}, columns, line;
  columns.reserve(given.values.size() + extra.size() + size);
  places_.resize(given.columns.size());
  // Where a given row's entries are in a row of value_ that has these columns, the next to be stored. Whether
  // all that must be have a place.
  const auto locate = [&](std::size_t i, const int* first, const int* last) {
    bool all = true;
    const int* at = first;  // both ascend
    for (auto k = count(given.row_starts[i]); k < count(given.row_starts[i + 1]); ++k) {
      while (at != last && *at < given.columns[k]) ++at;
      const bool found = at != last && *at == given.columns[k];
      places_[k] = found ? starts.back() + static_cast<int>(at - first) : -1;
      all = all && (found || !(keeps || given.values[k] != 0));
    }
    return all;
  };
  auto next = extra.begin();
  for (std::size_t i = 0; i < size; ++i) {
    const int *begin = value_.innerIndexPtr() + value_.outerIndexPtr()[i],
              *end = value_.innerIndexPtr() + value_.outerIndexPtr()[i + 1];
    if (same_more && locate(i, begin, end)) {  // as almost all are from step to step
      columns.insert(columns.end(), begin, end);
    } else {
      line.clear();
      for (auto k = count(given.row_starts[i]); k < count(given.row_starts[i + 1]); ++k) {
        if (keeps || given.values[k] != 0) line.push_back(given.columns[k]);
      }
      const auto add = [&](int column) {  // mostly there
        const auto at = std::lower_bound(line.begin(), line.end(), column);
        if (at == line.end() || *at != column) line.insert(at, column);
      };
      add(static_cast<int>(i));
      next = std::lower_bound(next, extra.end(), std::pair(static_cast<int>(i), 0));
      for (; next != extra.end() && next->first == static_cast<int>(i); ++next) add(next->second);
      std::set_union(line.begin(), line.end(), begin, end, std::back_inserter(columns));
      locate(i, columns.data() + starts.back(), columns.data() + columns.size());
    }
    if (columns.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
      throw SolverArgumentError(
          "H has more than 2^31 entries that may differ from zero; free fewer parameters, "
          "or such as depend on fewer others");
    }
    starts.push_back(static_cast<int>(columns.size()));
  }
  value_.resizeNonZeros(index(columns.size()));
  std::copy(starts.begin(), starts.end(), value_.outerIndexPtr());
  std::copy(columns.begin(), columns.end(), value_.innerIndexPtr());
  row_starts_ = given.row_starts;
  columns_ = given.columns;
  whole_ = columns_.size() == columns.size();
  for (std::size_t k = 0; whole_ && k < places_.size(); ++k) whole_ = places_[k] == static_cast<int>(k);
  more_ = more;
  more_places_.clear();
  for (const Triplet& entry : more) more_places_.push_back(place(entry.row(), entry.col()));
}

}  // namespace diffrt::solver
