#include "solver/analysis.hpp"

#include <cmath>
#include <map>
#include <string>

#include "solver/apparent.hpp"
#include "solver/priors.hpp"

namespace diffrt::solver {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// A parameter whose share in a null direction, in scaled coordinates, is below this is taken as determined:
// float kernels leave about 1e-7 / (gap between eigenvalues) of noise there.
constexpr double kShare = 1e-3;

// The largest number of parameters for which the covariance is put to the test, which takes evaluations of
// the cost.
constexpr Index kMostTested = 300;

constexpr Index kColumnsAtATime = 64;

Sparse scaled(const Sparse& H, const Vector& scale) { return scale.asDiagonal() * H * scale.asDiagonal(); }

// The sandwich's filling: the data's scatter, and the prior rows with the unit variance they have by
// definition.
std::optional<Sparse> scatter(LeastSquaresProblem& problem, const std::vector<Prior>& priors,
                              const Vector& theta) {
  SparseMatrix given;
  if (!problem.sparse_gradient_scatter(view(theta), given)) return std::nullopt;
  std::vector<Triplet> entries;
  entries.reserve(given.values.size());
  for (std::size_t i = 0; i < given.rows(); ++i) {
    for (auto k = count(given.row_starts[i]); k < count(given.row_starts[i + 1]); ++k)
      entries.emplace_back(given.columns[k], static_cast<int>(i), given.values[k]);
  }
  std::vector<Triplet> products;
  std::vector<LeastSquaresProblem::TangentEntry> row;
  Vector unused = Vector::Zero(theta.size());
  add_priors(priors, problem, theta, products, unused, row);
  entries.insert(entries.end(), products.begin(), products.end());
  Sparse M(theta.size(), theta.size());
  M.setFromTriplets(entries.begin(), entries.end());
  return M;
}

// Unit length, and a positive sign for its largest entry.
std::map<int, double> oriented(std::map<int, double> direction) {
  double largest = 0, square = 0;
  for (const auto& [i, share] : direction)
    largest = std::max(largest, std::abs(share)), square += share * share;
  double sign = 0;
  for (const auto& [i, share] : direction) {
    // Of the entries as large as the largest the first, so that a tie is not decided by rounding.
    if (sign == 0 && std::abs(share) >= 0.999999 * largest) sign = share < 0 ? -1 : 1;
  }
  for (auto& entry : direction) entry.second *= sign / std::sqrt(square);
  return direction;
}

void append(const std::map<int, double>& row, SparseMatrix& matrix) {
  for (const auto& [i, value] : row) {
    matrix.columns.push_back(i);
    matrix.values.push_back(value);
  }
  matrix.row_starts.push_back(static_cast<std::int64_t>(matrix.columns.size()));
}

}  // namespace

Analysis::Analysis(LeastSquaresProblem& problem, const SolveOptions& options, double null_threshold,
                   const Model& model, const Mask& frozen, const Chart& chart, const SolveResult& result)
    : size_(model.size()),
      dense_limit_(options.dense_limit),
      null_threshold_(null_threshold),
      cost_(result.cost),
      rows_(static_cast<double>(result.count + options.priors.size())),
      scale_(model.scale),
      A_(scaled(*model.H, model.scale)),
      free_(frozen.size()),
      flat_(chart.flat()),
      inverse_(chart.inverse()),
      failed_(frozen.size(), 0) {
  for (std::size_t i = 0; i < frozen.size(); ++i) free_[i] = !frozen[i];
  const Vector theta = Eigen::Map<const Vector>(result.theta.data(), size_);
  M_ = scatter(problem, options.priors, theta);
  if (M_ && !flat_) *M_ = Sparse(inverse_.transpose() * *M_ * inverse_);
  if (M_) *M_ = scaled(*M_, scale_);
  if (!flat_) rows_of_inverse_ = inverse_.transpose();
}

const Determined& Analysis::determined() const {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  if (!determined_) determined_.emplace(A_, free_, null_threshold_, index(dense_limit_));
  return *determined_;
}

std::size_t Analysis::rank() const { return count(determined().rank() - apparent_.cols()); }

double Analysis::residual_variance() const {
  const double left_over = rows_ - static_cast<double>(rank());
  return left_over > 0 ? 2 * cost_ / left_over : kNaN;
}

// Into null_directions_ and undetermined_.
void Analysis::find_null_directions() const {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  if (null_directions_) return;
  undetermined_ = failed_;
  SparseMatrix found;
  found.row_starts.push_back(0);
  for (const auto& part : determined().parts()) {
    for (Index k = 0; k < part->null.cols(); ++k) {
      Direction direction;
      for (Sparse::InnerIterator entry(part->null, k); entry; ++entry) {
        const int at = part->members[count(entry.row())];
        direction[at] = entry.value() * scale_[at];
        if (std::abs(entry.value()) > kShare) undetermined_[count(at)] = 1;
      }
      if (!flat_) {
        direction = to_tangent(direction);
        for (const auto& [i, share] : oriented(direction)) {
          if (std::abs(share) > kShare) undetermined_[count(i)] = 1;
        }
      }
      append(oriented(direction), found);
    }
  }
  for (Index k = 0; k < apparent_.cols(); ++k) {
    Direction direction;
    for (Index i = 0; i < size_; ++i) {
      if (apparent_(i, k) != 0) direction[static_cast<int>(i)] = apparent_(i, k);
    }
    append(oriented(direction), found);
  }
  null_directions_ = std::move(found);
}

const SparseMatrix& Analysis::null_directions() const {
  find_null_directions();
  return *null_directions_;
}

Analysis::Direction Analysis::to_tangent(const Direction& direction) const {
  Direction out;
  for (const auto& [column, value] : direction) {
    for (Sparse::InnerIterator entry(inverse_, column); entry; ++entry)
      out[static_cast<int>(entry.row())] += value * entry.value();
  }
  return out;
}

// The parameter i of the tangent space, as a sum of those of the chart, scaled.
Analysis::Direction Analysis::row(Index i) const {
  if (flat_) return {{static_cast<int>(i), scale_[i]}};
  Direction out;
  for (Sparse::InnerIterator entry(rows_of_inverse_, i); entry; ++entry)
    out[static_cast<int>(entry.row())] = entry.value() * scale_[entry.row()];
  return out;
}

// Of all covariances: s^2, or what makes up for the parameters.
double Analysis::factor(bool sandwich) const {
  return sandwich ? rows_ / (rows_ - static_cast<double>(rank())) : residual_variance();
}

const std::vector<double>& Analysis::deviations(bool sandwich) const {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  std::optional<std::vector<double>>& known = deviations_[sandwich ? 1 : 0];
  if (known) return *known;
  known.emplace();
  if (std::isnan(residual_variance()) || (sandwich && !M_)) return *known;
  find_null_directions();
  std::vector<double>& out = *known;
  out.assign(count(size_), 0.0);
  // A parameter of the tangent space mixes those of one part.
  std::vector<std::pair<std::size_t, Index>> place(count(size_), {determined().parts().size(), 0});
  for (std::size_t k = 0; k < determined().parts().size(); ++k) {
    const std::vector<int>& members = determined().parts()[k]->members;
    for (std::size_t i = 0; i < members.size(); ++i) place[count(members[i])] = {k, index(i)};
  }
  std::vector<std::vector<int>> of_part(determined().parts().size());
  for (Index i = 0; i < size_; ++i) {
    for (const auto& [at, share] : row(i)) {
      if (place[count(at)].first == of_part.size()) continue;
      of_part[place[count(at)].first].push_back(static_cast<int>(i));
      break;
    }
  }
  for (std::size_t k = 0; k < of_part.size(); ++k) {
    const DeterminedPart& part = *determined().parts()[k];
    const Sparse M = sandwich ? submatrix(*M_, part.members) : Sparse();
    // What a parameter is in the part, as far as it is there.
    const auto own = [&](int i) {
      std::vector<std::pair<Index, double>> entries;
      for (const auto& [at, share] : row(i)) {
        if (place[count(at)].first == k) entries.emplace_back(place[count(at)].second, share);
      }
      return entries;
    };
    const auto& asked = of_part[k];
    for (std::size_t first = 0; first < asked.size(); first += count(kColumnsAtATime)) {
      const std::size_t last = std::min(asked.size(), first + count(kColumnsAtATime));
      if (!sandwich) {
        for (std::size_t c = first; c < last; ++c) {
          double sum = 0;
          const auto entries = own(asked[c]);
          for (const auto& [a, x] : entries) {
            for (const auto& [b, y] : entries) sum += x * y * part.entry(a, b);
          }
          out[count(asked[c])] = sum;
        }
        continue;
      }
      Matrix right = Matrix::Zero(part.size(), index(last - first));
      for (std::size_t c = first; c < last; ++c) {
        for (const auto& [a, x] : own(asked[c])) right(a, index(c - first)) += x;
      }
      const Matrix solved = part.apply(right), filled = M * solved;
      for (std::size_t c = first; c < last; ++c)
        out[count(asked[c])] = solved.col(index(c - first)).dot(filled.col(index(c - first)));
    }
  }
  const double common = factor(sandwich);
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = undetermined_[i] ? kInfinity : std::sqrt(std::max(0.0, common * out[i]));
  return out;
}

// Without what is not determined being marked.
Matrix Analysis::inverse(bool sandwich) const {
  Matrix out = Matrix::Zero(size_, size_);
  for (const auto& part : determined().parts()) {
    Matrix own = part->apply(Matrix::Identity(part->size(), part->size()));
    if (sandwich) own = (own * (submatrix(*M_, part->members) * own)).eval();
    for (Index j = 0; j < part->size(); ++j) {
      const int column = part->members[count(j)];
      for (Index i = 0; i < part->size(); ++i) {
        const int row = part->members[count(i)];
        out(row, column) = scale_[row] * own(i, j) * scale_[column];
      }
    }
  }
  if (!flat_) out = (inverse_ * out * inverse_.transpose()).eval();
  return out;
}

std::vector<double> Analysis::covariances(bool sandwich) const {
  if (count(size_) > dense_limit_) {
    throw SolverArgumentError("covariance: there are " + std::to_string(size_) +
                              " parameters, and dense_limit is " + std::to_string(dense_limit_) +
                              "; use standard_deviations, or raise dense_limit: it takes " +
                              std::to_string(count(size_) * count(size_) * sizeof(double) / 1000000) + " MB");
  }
  if (std::isnan(residual_variance()) || (sandwich && !M_)) return {};
  find_null_directions();
  Matrix out = factor(sandwich) * inverse(sandwich);
  // A parameter of which a null direction moves a share is not known at all, whatever the pseudo-inverse
  // says.
  for (Index i = 0; i < size_; ++i) {
    if (!undetermined_[count(i)]) continue;
    out.row(i).setConstant(kNaN);
    out.col(i).setConstant(kNaN);
  }
  for (Index i = 0; i < size_; ++i) {
    if (undetermined_[count(i)]) out(i, i) = kInfinity;
  }
  return {out.data(), out.data() + out.size()};
}

void Analysis::test(LeastSquaresProblem& problem, const SolveOptions& options, const Point& point,
                    const Vector& theta) {
  Vector sizes(size_);
  if (size_ > kMostTested || std::isnan(residual_variance()) ||
      !problem.magnitudes(view(theta), view(sizes)) || !(sizes.array() > 0).all())
    return;
  find_null_directions();
  Matrix covariance = residual_variance() * inverse(false);
  for (Index i = 0; i < size_; ++i) {
    if (undetermined_[count(i)]) covariance.row(i).setZero(), covariance.col(i).setZero();
  }
  if (!covariance.allFinite()) return;
  apparent_ =
      apparent_directions(problem, options.priors, theta, point, covariance, sizes, residual_variance());
  for (Index k = 0; k < apparent_.cols(); ++k) {
    const Vector squares = apparent_.col(k).cwiseAbs2();
    for (Index i = 0; i < size_; ++i) {
      if (squares[i] > 0.5 * covariance(i, i)) failed_[count(i)] = 1;
    }
  }
  null_directions_.reset();
}

}  // namespace diffrt::solver
