#include "solver/cholesky.hpp"

#include <iterator>
#include <numeric>

namespace diffrt::solver {
namespace {

// Panels are joined, with some zeros in them, up to this width, or if so small a part are zeros.
constexpr int kJoinedWidth = 24;
constexpr double kJoinedZeros = 0.15;

// The columns of A, the three of a vertex for example, that follow one another and have the same structure,
// by groups; and which groups are neighbours.
struct Groups {
  std::vector<int> first;                    // their first columns, and the number of columns
  std::vector<std::vector<int>> neighbours;  // ascending, without the group itself
};

Groups group(const Sparse& A) {
  const int n = static_cast<int>(A.cols());
  std::vector<std::vector<int>> columns(count(n));
  for (int j = 0; j < n; ++j) {
    for (Sparse::InnerIterator entry(A, j); entry; ++entry) {
      const int i = static_cast<int>(entry.row());
      if (i < j) continue;
      columns[count(i)].push_back(j);
      if (i > j) columns[count(j)].push_back(i);
    }
  }
  Groups groups;
  std::vector<int> group_of(count(n));
  for (int j = 0; j < n; ++j) {
    auto& column = columns[count(j)];
    std::sort(column.begin(), column.end());
    if (j == 0 || column != columns[count(groups.first.back())]) groups.first.push_back(j);
    group_of[count(j)] = static_cast<int>(groups.first.size()) - 1;
  }
  for (const int first : groups.first) {
    std::vector<int> near;
    for (const int i : columns[count(first)]) near.push_back(group_of[count(i)]);
    near.erase(std::unique(near.begin(), near.end()), near.end());
    near.erase(std::remove(near.begin(), near.end(), group_of[count(first)]), near.end());
    groups.neighbours.push_back(std::move(near));
  }
  groups.first.push_back(n);
  return groups;
}

// An order of elimination that leaves L sparse: which group comes k-th.
std::vector<int> elimination_order(const Groups& groups) {
  const int n = static_cast<int>(groups.neighbours.size());
  std::vector<Triplet> entries;
  for (int j = 0; j < n; ++j) {
    entries.emplace_back(j, j, 1);
    for (const int i : groups.neighbours[count(j)]) entries.emplace_back(i, j, 1);
  }
  Sparse graph(n, n);
  graph.setFromTriplets(entries.begin(), entries.end());
  Eigen::PermutationMatrix<Eigen::Dynamic, Eigen::Dynamic, int> order;
  Eigen::AMDOrdering<int>()(graph, order);  // its indices: which comes k-th
  return {order.indices().data(), order.indices().data() + n};
}

// Liu 1990: the parent of each column in the elimination tree, -1 for a root. `neighbours` in the order of
// elimination.
std::vector<int> elimination_tree(const std::vector<std::vector<int>>& neighbours) {
  const int n = static_cast<int>(neighbours.size());
  std::vector<int> parents(count(n), -1), ancestors(count(n), -1);
  for (int j = 0; j < n; ++j) {
    for (int i : neighbours[count(j)]) {
      while (i >= 0 && i < j) {
        const int next = ancestors[count(i)];
        ancestors[count(i)] = j;
        if (next < 0) parents[count(i)] = j;
        i = next;
      }
    }
  }
  return parents;
}

// Children before their parents, and next to them: which column comes k-th.
std::vector<int> postorder(const std::vector<int>& parents) {
  const int n = static_cast<int>(parents.size());
  std::vector<std::vector<int>> children(count(n) + 1);
  for (int j = 0; j < n; ++j)
    children[parents[count(j)] < 0 ? count(n) : count(parents[count(j)])].push_back(j);
  std::vector<int> order, open{n};
  while (!open.empty()) {  // parents before their children, and all turned round at the end
    const int j = open.back();
    open.pop_back();
    if (j < n) order.push_back(j);
    open.insert(open.end(), children[count(j)].begin(), children[count(j)].end());
  }
  std::reverse(order.begin(), order.end());
  return order;
}

std::vector<int> inverse(const std::vector<int>& order) {
  std::vector<int> place(order.size());
  for (std::size_t k = 0; k < order.size(); ++k) place[count(order[k])] = static_cast<int>(k);
  return place;
}

std::vector<std::vector<int>> reordered(const std::vector<std::vector<int>>& neighbours,
                                        const std::vector<int>& order) {
  const std::vector<int> place = inverse(order);
  std::vector<std::vector<int>> out(order.size());
  for (std::size_t k = 0; k < order.size(); ++k) {
    for (const int i : neighbours[count(order[k])]) out[k].push_back(place[count(i)]);
  }
  return out;
}

// The rows of L below the diagonal, column by column.
std::vector<std::vector<int>> structures(const std::vector<std::vector<int>>& neighbours,
                                         const std::vector<int>& parents) {
  std::vector<std::vector<int>> rows(parents.size());
  for (std::size_t j = 0; j < parents.size(); ++j) {
    auto& own = rows[j];
    for (const int i : neighbours[j]) {
      if (i > static_cast<int>(j)) own.push_back(i);
    }
    std::sort(own.begin(), own.end());
    own.erase(std::unique(own.begin(), own.end()), own.end());
    if (parents[j] < 0) continue;
    // To the parent, which comes later, before its own are known: they are sorted there.
    own.erase(std::unique(own.begin(), own.end()), own.end());
    auto& next = rows[count(parents[j])];
    for (const int i : own) {
      if (i != parents[j]) next.push_back(i);
    }
  }
  return rows;
}

}  // namespace

void Cholesky::arrange(const Sparse& A) {
  const Groups groups = group(A);
  std::vector<int> order = elimination_order(groups);
  const std::vector<int> after = postorder(elimination_tree(reordered(groups.neighbours, order)));
  std::vector<int> combined;
  for (const int k : after) combined.push_back(order[count(k)]);
  order = std::move(combined);

  const std::vector<std::vector<int>> neighbours = reordered(groups.neighbours, order);
  const std::vector<int> parents = elimination_tree(neighbours);
  std::vector<int> sizes;
  moved_.resize(count(A.cols()));
  int next = 0;
  for (const int g : order) {
    sizes.push_back(groups.first[count(g) + 1] - groups.first[count(g)]);
    for (int i = groups.first[count(g)]; i < groups.first[count(g) + 1]; ++i) moved_[count(i)] = next++;
  }
  make_panels(sizes, parents, structures(neighbours, parents));
  find_parents();
  find_places(A);
}

// Panels of groups, and then of columns.
void Cholesky::make_panels(const std::vector<int>& sizes, const std::vector<int>& parents,
                           const std::vector<std::vector<int>>& structures) {
  const auto columns_of = [&](const std::vector<int>& groups) {
    return std::accumulate(groups.begin(), groups.end(), 0,
                           [&](int sum, int g) { return sum + sizes[count(g)]; });
  };
  struct Joined {
    int first, last, width, below;  // groups [first, last], their columns, and rows below
    double zeros;
  };
  std::vector<Joined> joined;
  for (std::size_t j = 0; j < sizes.size(); ++j) {
    Joined now{static_cast<int>(j), static_cast<int>(j), sizes[j], columns_of(structures[j]), 0};
    while (!joined.empty() && joined.back().last + 1 == now.first &&
           parents[count(joined.back().last)] == now.first) {
      const Joined& child = joined.back();
      const double zeros =
          now.zeros + child.zeros + static_cast<double>(child.width) * (now.width + now.below - child.below);
      const int width = child.width + now.width;
      const double size = static_cast<double>(width) * (width + now.below);
      const bool same = now.width + now.below == child.below;
      if (!same && width > kJoinedWidth && zeros > kJoinedZeros * size) break;
      if (!same && zeros > 0.5 * size) break;
      now = {child.first, now.last, width, now.below, zeros};
      joined.pop_back();
    }
    joined.push_back(now);
  }

  std::vector<int> start(sizes.size() + 1, 0);
  std::partial_sum(sizes.begin(), sizes.end(), start.begin() + 1);
  panels_.clear();
  rows_.clear();
  std::size_t values = 0;
  operations_ = 0;
  for (const Joined& from : joined) {
    Panel panel;
    panel.first = start[count(from.first)], panel.width = from.width, panel.below = from.below;
    panel.rows = rows_.size(), panel.values = values;
    for (const int g : structures[count(from.last)]) {
      for (int i = start[count(g)]; i < start[count(g) + 1]; ++i) rows_.push_back(i);
    }
    values += count(panel.width + panel.below) * count(panel.width);
    for (int k = 0; k < panel.width; ++k) {
      const double length = panel.width + panel.below - k;
      operations_ += length * length;
    }
    panels_.push_back(panel);
  }
  values_.resize(values);
}

// And how much of the stack there is at most.
void Cholesky::find_parents() {
  std::vector<int> panel_of(moved_.size());
  for (std::size_t k = 0; k < panels_.size(); ++k)
    std::fill_n(panel_of.begin() + panels_[k].first, panels_[k].width, static_cast<int>(k));
  in_parent_.resize(rows_.size());
  for (Panel& panel : panels_) {
    if (panel.below == 0) continue;
    const int* rows = rows_.data() + panel.rows;
    panel.parent = panel_of[count(rows[0])];
    Panel& parent = panels_[count(panel.parent)];
    ++parent.children;
    const int *begin = rows_.data() + parent.rows, *end = begin + parent.below;
    for (int i = 0; i < panel.below; ++i) {
      const int row = rows[i];
      in_parent_[panel.rows + count(i)] =
          row < parent.first + parent.width
              ? row - parent.first
              : parent.width + static_cast<int>(std::lower_bound(begin, end, row) - begin);
    }
  }
  std::size_t used = 0, most = 0;
  std::vector<std::size_t> open;
  for (const Panel& panel : panels_) {
    const std::size_t own = count(panel.below) * count(panel.below);
    most = std::max(most, used + own);
    for (int c = 0; c < panel.children; ++c) used -= open.back(), open.pop_back();
    open.push_back(own);
    used += own;
  }
  stack_.resize(most);
}

void Cholesky::find_places(const Sparse& A) {
  std::vector<int> panel_of(moved_.size());
  for (std::size_t k = 0; k < panels_.size(); ++k)
    std::fill_n(panel_of.begin() + panels_[k].first, panels_[k].width, static_cast<int>(k));
  places_.clear();
  for (Index column = 0; column < A.cols(); ++column) {
    for (Sparse::InnerIterator entry(A, column); entry; ++entry) {
      if (entry.row() < column) {
        places_.push_back(values_.size());  // nowhere
        continue;
      }
      const int a = moved_[count(entry.row())], b = moved_[count(column)], i = std::max(a, b),
                j = std::min(a, b);
      const Panel& panel = panels_[count(panel_of[count(j)])];
      const int* rows = rows_.data() + panel.rows;
      const int row =
          i < panel.first + panel.width
              ? i - panel.first
              : panel.width + static_cast<int>(std::lower_bound(rows, rows + panel.below, i) - rows);
      places_.push_back(panel.values + count(j - panel.first) * count(panel.width + panel.below) +
                        count(row));
    }
  }
}

void Cholesky::add_child(const Panel& child, const double* update, const Panel& panel, Block values,
                         Block own) const {
  const int* rows = in_parent_.data() + child.rows;
  for (int j = 0; j < child.below; ++j) {
    const double* from = update + count(j) * count(child.below);
    const int column = rows[j];
    double* to =
        column < panel.width ? values.col(column).data() : own.col(column - panel.width).data() - panel.width;
    for (int i = j; i < child.below; ++i) to[rows[i]] += from[i];
  }
}

bool Cholesky::compute(const Sparse& A) {
  std::fill(values_.begin(), values_.end(), 0.0);
  const double* entries = A.valuePtr();
  for (std::size_t k = 0; k < places_.size(); ++k) {
    if (places_[k] < values_.size()) values_[places_[k]] = entries[k];
  }
  std::vector<std::pair<const Panel*, std::size_t>>
      open;  // whose parents are still to come, and where theirs starts
  std::size_t top = 0;
  for (const Panel& panel : panels_) {
    Block values(values_.data() + panel.values, panel.width + panel.below, panel.width);
    Block own(stack_.data() + top, panel.below, panel.below);
    own.triangularView<Eigen::Lower>().setZero();
    std::size_t bottom = top;
    for (int c = 0; c < panel.children; ++c) {
      add_child(*open.back().first, stack_.data() + open.back().second, panel, values, own);
      bottom = open.back().second;
      open.pop_back();
    }
    Eigen::Ref<Matrix> diagonal = values.topRows(panel.width);
    if (Eigen::LLT<Eigen::Ref<Matrix>>(diagonal).info() != Eigen::Success) return false;
    if (panel.below > 0) {
      auto below = values.bottomRows(panel.below);
      diagonal.triangularView<Eigen::Lower>().transpose().solveInPlace<Eigen::OnTheRight>(below);
      own.selfadjointView<Eigen::Lower>().rankUpdate(below, -1);
    }
    const std::size_t size = count(panel.below) * count(panel.below);
    std::copy(stack_.begin() + static_cast<std::ptrdiff_t>(top),
              stack_.begin() + static_cast<std::ptrdiff_t>(top + size),
              stack_.begin() + static_cast<std::ptrdiff_t>(bottom));
    open.emplace_back(&panel, bottom);
    top = bottom + size;
  }
  return std::all_of(values_.begin(), values_.end(), [](double value) { return std::isfinite(value); });
}

template <class X>
void Cholesky::solve_in_order(X& x) const {
  X gathered;
  for (const Panel& panel : panels_) {
    const ConstBlock values = values_of(panel);
    auto own = x.middleRows(panel.first, panel.width);
    values.topRows(panel.width).template triangularView<Eigen::Lower>().solveInPlace(own);
    if (panel.below == 0) continue;
    gathered.noalias() = values.bottomRows(panel.below) * own;
    for (int i = 0; i < panel.below; ++i) x.row(rows_[panel.rows + count(i)]) -= gathered.row(i);
  }
  for (auto panel = panels_.rbegin(); panel != panels_.rend(); ++panel) {
    const ConstBlock values = values_of(*panel);
    auto own = x.middleRows(panel->first, panel->width);
    if (panel->below > 0) {
      gathered.resize(panel->below, x.cols());
      for (int i = 0; i < panel->below; ++i) gathered.row(i) = x.row(rows_[panel->rows + count(i)]);
      own.noalias() -= values.bottomRows(panel->below).transpose() * gathered;
    }
    values.topRows(panel->width).template triangularView<Eigen::Lower>().transpose().solveInPlace(own);
  }
}

void Cholesky::solve(Vector& x) const {
  Vector moved(x.size());
  for (Index i = 0; i < x.size(); ++i) moved[moved_[count(i)]] = x[i];
  solve_in_order(moved);
  for (Index i = 0; i < x.size(); ++i) x[i] = moved[moved_[count(i)]];
}

void Cholesky::solve(Matrix& X) const {
  Matrix moved(X.rows(), X.cols());
  for (Index i = 0; i < X.rows(); ++i) moved.row(moved_[count(i)]) = X.row(i);
  solve_in_order(moved);
  for (Index i = 0; i < X.rows(); ++i) X.row(i) = moved.row(moved_[count(i)]);
}

}  // namespace diffrt::solver
