#include "solver/cholesky.hpp"

#include <cmath>
#include <numeric>

#include "diffrt/span.hpp"

namespace diffrt::solver {
namespace {

// Panels are joined where so small a part of what they become are zeros; narrow ones more freely.
constexpr int kJoinedWidth = 16;
constexpr double kJoinedZeros = 0.15, kNarrowZeros = 0.5;

// Neighbours of each node: those of i are ends[starts[i]], ..., ends[starts[i + 1] - 1].
struct Graph {
  std::vector<int> starts{0}, ends;

  int size() const { return static_cast<int>(starts.size()) - 1; }
  Span<const int> operator[](int i) const {
    return {ends.data() + starts[count(i)], count(starts[count(i) + 1] - starts[count(i)])};
  }
  void close() { starts.push_back(static_cast<int>(ends.size())); }
};

// Of a symmetric matrix, by its lower triangle: ascending, each its own neighbour.
Graph graph_of(const Sparse& A) {
  const int n = static_cast<int>(A.cols());
  Graph graph;
  graph.starts.assign(count(n) + 1, 0);
  const auto over_entries = [&](auto&& meet) {
    for (int j = 0; j < n; ++j) {
      for (int k = A.outerIndexPtr()[j]; k < A.outerIndexPtr()[j + 1]; ++k) {
        const int i = A.innerIndexPtr()[k];
        if (i >= j) meet(j, i);
        if (i > j) meet(i, j);
      }
    }
  };
  over_entries([&](int node, int) { ++graph.starts[count(node) + 1]; });
  std::partial_sum(graph.starts.begin(), graph.starts.end(), graph.starts.begin());
  graph.ends.resize(count(graph.starts.back()));
  std::vector<int> next(graph.starts.begin(), graph.starts.end() - 1);
  over_entries([&](int node, int end) { graph.ends[count(next[count(node)]++)] = end; });
  return graph;
}

// The first of each group of nodes, the three columns of a vertex for example, that follow one another and
// have the same neighbours; and how many nodes there are.
std::vector<int> group(const Graph& graph) {
  std::vector<int> first;
  for (int j = 0; j < graph.size(); ++j) {
    if (j > 0) {
      const Span<const int> own = graph[j], last = graph[first.back()];
      if (own.size() == last.size() && std::equal(own.begin(), own.end(), last.begin())) continue;
    }
    first.push_back(j);
  }
  first.push_back(graph.size());
  return first;
}

Graph graph_of_groups(const Graph& graph, const std::vector<int>& first) {
  std::vector<int> group_of(count(graph.size()));
  for (std::size_t g = 0; g + 1 < first.size(); ++g)
    std::fill(group_of.begin() + first[g], group_of.begin() + first[g + 1], static_cast<int>(g));
  Graph groups;
  for (std::size_t g = 0; g + 1 < first.size(); ++g) {
    int last = -1;
    for (const int i : graph[first[g]]) {
      if (group_of[count(i)] != last) groups.ends.push_back(last = group_of[count(i)]);
    }
    groups.close();
  }
  return groups;
}

// An order of elimination that leaves L sparse: which node comes k-th.
std::vector<int> elimination_order(const Graph& graph) {
  const int n = graph.size();
  const std::vector<double> ones(graph.ends.size(), 1.0);
  const Sparse matrix =
      Eigen::Map<const Sparse>(n, n, index(ones.size()), graph.starts.data(), graph.ends.data(), ones.data());
  Eigen::PermutationMatrix<Eigen::Dynamic, Eigen::Dynamic, int> order;
  Eigen::AMDOrdering<int>()(matrix.selfadjointView<Eigen::Lower>(), order);
  return {order.indices().data(), order.indices().data() + n};
}

// Liu 1990: the parent of each node in the elimination tree, -1 for a root.
std::vector<int> elimination_tree(const Graph& graph) {
  const int n = graph.size();
  std::vector<int> parents(count(n), -1), ancestors(count(n), -1);
  for (int j = 0; j < n; ++j) {
    for (int i : graph[j]) {
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

// The children of each node, and those that have no parent as the last's.
Graph children_of(const std::vector<int>& parents) {
  const std::size_t n = parents.size();
  Graph children;
  children.starts.assign(n + 2, 0);
  const auto parent = [&](std::size_t j) { return parents[j] < 0 ? n : count(parents[j]); };
  for (std::size_t j = 0; j < n; ++j) ++children.starts[parent(j) + 1];
  std::partial_sum(children.starts.begin(), children.starts.end(), children.starts.begin());
  children.ends.resize(n);
  std::vector<int> next(children.starts.begin(), children.starts.end() - 1);
  for (std::size_t j = 0; j < n; ++j) children.ends[count(next[parent(j)]++)] = static_cast<int>(j);
  return children;
}

// Children before their parents, and next to them: which node comes k-th.
std::vector<int> postorder(const std::vector<int>& parents) {
  const int n = static_cast<int>(parents.size());
  const Graph children = children_of(parents);
  std::vector<int> order, open{n};
  while (!open.empty()) {  // parents before their children, and all turned round at the end
    const int j = open.back();
    open.pop_back();
    if (j < n) order.push_back(j);
    open.insert(open.end(), children[j].begin(), children[j].end());
  }
  std::reverse(order.begin(), order.end());
  return order;
}

Graph reordered(const Graph& graph, const std::vector<int>& order) {
  std::vector<int> place(order.size());
  for (std::size_t k = 0; k < order.size(); ++k) place[count(order[k])] = static_cast<int>(k);
  Graph out;
  for (const int node : order) {
    for (const int i : graph[node]) out.ends.push_back(place[count(i)]);
    out.close();
  }
  return out;
}

// The rows of L below the diagonal, column by column: in no order.
Graph structures(const Graph& graph, const std::vector<int>& parents) {
  const Graph children = children_of(parents);
  std::vector<int> met(parents.size(), -1);
  Graph rows;
  for (int j = 0; j < graph.size(); ++j) {
    const auto add = [&](int i) {
      if (i <= j || met[count(i)] == j) return;
      met[count(i)] = j;
      rows.ends.push_back(i);
    };
    for (const int i : graph[j]) add(i);
    for (const int child : children[j]) {
      for (int k = rows.starts[count(child)]; k < rows.starts[count(child) + 1]; ++k)
        add(rows.ends[count(k)]);
    }
    rows.close();
  }
  return rows;
}

}  // namespace

void Cholesky::arrange(const Sparse& A) {
  const Graph nodes = graph_of(A);
  const std::vector<int> first = group(nodes);
  const Graph groups = graph_of_groups(nodes, first);
  std::vector<int> order = elimination_order(groups);
  const std::vector<int> after = postorder(elimination_tree(reordered(groups, order)));
  std::vector<int> combined;
  for (const int k : after) combined.push_back(order[count(k)]);
  order = std::move(combined);

  const Graph ordered = reordered(groups, order);
  const std::vector<int> parents = elimination_tree(ordered);
  std::vector<int> start{0};
  moved_.resize(count(A.cols()));
  for (const int g : order) {
    int next = start.back();
    for (int i = first[count(g)]; i < first[count(g) + 1]; ++i) moved_[count(i)] = next++;
    start.push_back(next);
  }
  const Graph below = structures(ordered, parents);
  make_panels(start, parents, below.starts, below.ends);
  lay_out();
  find_places(A);
}

// Panels of groups, and then of columns. `start`: the first column of each group. The rows of L below a group
// are ends[starts[g]], ..., in groups.
void Cholesky::make_panels(const std::vector<int>& start, const std::vector<int>& parents,
                           const std::vector<int>& starts, const std::vector<int>& ends) {
  const auto size = [&](int g) { return start[count(g) + 1] - start[count(g)]; };
  struct Joined {
    int first, last, width, below;  // groups [first, last], their columns, and rows below
    double zeros;
  };
  std::vector<Joined> joined;
  for (int j = 0; j + 1 < static_cast<int>(start.size()); ++j) {
    Joined now{j, j, size(j), 0, 0};
    for (int k = starts[count(j)]; k < starts[count(j) + 1]; ++k) now.below += size(ends[count(k)]);
    while (!joined.empty() && parents[count(joined.back().last)] == j) {
      const Joined& child = joined.back();
      const double zeros =
          now.zeros + child.zeros + static_cast<double>(child.width) * (now.width + now.below - child.below);
      const int width = child.width + now.width;
      const double share = zeros / (static_cast<double>(width) * (width + now.below));
      if (zeros > 0 && share > (width > kJoinedWidth ? kJoinedZeros : kNarrowZeros)) break;
      now = {child.first, now.last, width, now.below, zeros};
      joined.pop_back();
    }
    joined.push_back(now);
  }

  panels_.clear();
  rows_.clear();
  for (const Joined& from : joined) {
    Panel panel;
    panel.first = start[count(from.first)], panel.width = from.width, panel.below = from.below;
    panel.rows = rows_.size();
    for (int k = starts[count(from.last)]; k < starts[count(from.last) + 1]; ++k) {
      for (int i = start[count(ends[count(k)])]; i < start[count(ends[count(k)]) + 1]; ++i)
        rows_.push_back(i);
    }
    std::sort(rows_.begin() + static_cast<std::ptrdiff_t>(panel.rows), rows_.end());
    panels_.push_back(panel);
  }
}

// Where panels and stacks are in memory, and which rows go where.
void Cholesky::lay_out() {
  std::size_t values = 0;
  operations_ = 0;
  panel_of_.resize(moved_.size());
  for (std::size_t k = 0; k < panels_.size(); ++k) {
    Panel& panel = panels_[k];
    panel.values = values, panel.parent = -1, panel.children = 0;
    values += count(panel.stride()) * count(panel.width);
    for (int j = 0; j < panel.width; ++j) {
      const double length = panel.width + panel.below - j;
      operations_ += length * length;
    }
    std::fill_n(panel_of_.begin() + panel.first, panel.width, static_cast<int>(k));
  }
  values_.resize(values + kBehindPanel);
  tallest_ = 0;
  for (const Panel& panel : panels_) tallest_ = std::max(tallest_, panel.stride());
  runs_.clear();
  for (Panel& panel : panels_) {
    panel.runs = panel.outside = panel.runs_end = runs_.size();
    if (panel.below == 0) continue;
    const int* rows = rows_.data() + panel.rows;
    panel.parent = panel_of_[count(rows[0])];
    Panel& parent = panels_[count(panel.parent)];
    ++parent.children;
    const int* const begin = rows_.data() + parent.rows;
    int at = 0;  // in the parent's rows: both ascend
    for (int i = 0; i < panel.below; ++i) {
      const bool inside = rows[i] < parent.first + parent.width;
      while (!inside && begin[at] < rows[i]) ++at;
      const int shift = (inside ? rows[i] - parent.first : parent.width + at) - i;
      const bool goes_on = panel.runs < runs_.size() && runs_.back().shift == shift &&
                           (inside || panel.outside < runs_.size());
      if (!goes_on) runs_.push_back({i, i, shift});
      runs_.back().last = i + 1;
      if (inside) panel.outside = runs_.size();
    }
    panel.runs_end = runs_.size();
  }
  for (auto panel = panels_.rbegin(); panel != panels_.rend(); ++panel)
    panel->depth = panel->parent < 0 ? 0 : panels_[count(panel->parent)].depth + 1;
  std::size_t used[2] = {0, 0}, most[2] = {0, 0};
  std::vector<std::size_t> open;
  for (const Panel& panel : panels_) {
    const int turn = panel.depth % 2;
    used[turn] += panel.left();
    most[turn] = std::max(most[turn], used[turn]);
    for (int c = 0; c < panel.children; ++c) used[1 - turn] -= open.back(), open.pop_back();
    open.push_back(panel.left());
  }
  for (int turn = 0; turn < 2; ++turn) stacks_[turn].resize(most[turn]);
  open_.reserve(panels_.size());
}

bool Cholesky::extend(const Sparse& A, const std::vector<std::pair<int, int>>& further) {
  for (const auto& [row, column] : further) {
    const auto [j, i] = std::minmax(moved_[count(row)], moved_[count(column)]);
    const Panel& panel = panels_[count(panel_of_[count(j)])];
    const int* rows = rows_.data() + panel.rows;
    if (i >= panel.first + panel.width && !std::binary_search(rows, rows + panel.below, i)) return false;
  }
  find_places(A);
  return true;
}

void Cholesky::find_places(const Sparse& A) {
  // A's entries, by the columns of L where they are added.
  const std::size_t n = moved_.size(), entries = count(A.nonZeros());
  std::vector<int> starts(n + 2, 0), ordered(entries), rows(entries);
  const auto over_entries = [&](auto&& meet) {
    for (int column = 0; column < A.cols(); ++column) {
      for (int k = A.outerIndexPtr()[column]; k < A.outerIndexPtr()[column + 1]; ++k) {
        const int row = A.innerIndexPtr()[k];
        const auto [j, i] = std::minmax(moved_[count(row)], moved_[count(column)]);
        meet(k, row < column ? static_cast<int>(n) : j, i);
      }
    }
  };
  over_entries([&](int, int j, int) { ++starts[count(j) + 1]; });
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  std::vector<int> next(starts.begin(), starts.end() - 1);
  over_entries([&](int k, int j, int i) {
    rows[count(k)] = i;
    ordered[count(next[count(j)]++)] = k;
  });

  entries_.clear();
  std::vector<int> row_in_panel(n);
  for (Panel& panel : panels_) {
    std::iota(row_in_panel.begin() + panel.first, row_in_panel.begin() + panel.first + panel.width, 0);
    for (int i = 0; i < panel.below; ++i) row_in_panel[count(rows_[panel.rows + count(i)])] = panel.width + i;
    for (int j = 0; j < panel.width; ++j) {
      for (int e = starts[count(panel.first + j)]; e < starts[count(panel.first + j) + 1]; ++e) {
        const int k = ordered[count(e)];
        entries_.push_back({k, j * panel.stride() + row_in_panel[count(rows[count(k)])]});
      }
    }
    panel.entries_end = index(entries_.size());
  }
}

bool Cholesky::compute(const Sparse& A) {
  // What panels leave for their parents lies on two stacks, by turns: a panel's is put on one, while its
  // children's are taken from the other.
  const PanelArithmetic arithmetic = panel_arithmetic();
  std::size_t tops[2] = {0, 0};
  open_.clear();
  auto entry = entries_.begin();
  for (const Panel& panel : panels_) {
    const int turn = panel.depth % 2, stride = panel.stride(), own_stride = padded(panel.below);
    double *const values = values_.data() + panel.values, *const own = stacks_[turn].data() + tops[turn];
    std::fill_n(values, stride * panel.width, 0.0);
    for (; entry != entries_.begin() + panel.entries_end; ++entry)
      values[entry->to] = A.valuePtr()[entry->from];
    const auto over_children = [&](auto&& add) {
      std::size_t top = tops[1 - turn];
      for (auto child = open_.end(); child != open_.end() - panel.children;) {
        top -= (*--child)->left();
        add(**child, stacks_[1 - turn].data() + top);
      }
      return top;
    };
    over_children([&](const Panel& child, const double* left) {
      arithmetic.add(runs_.data(), child.runs, child.outside, child.runs_end, left, padded(child.below), 0,
                     values, stride);
    });
    if (!arithmetic.factor(values, panel.width, panel.below, own)) return false;
    tops[1 - turn] = over_children([&](const Panel& child, const double* left) {
      arithmetic.add(runs_.data(), child.outside, child.runs_end, child.runs_end, left, padded(child.below),
                     panel.width, own, own_stride);
    });
    open_.resize(open_.size() - count(panel.children));
    tops[turn] += panel.left();
    open_.push_back(&panel);
  }
  return true;
}

template <class X>
void Cholesky::solve_in_order(X& x) const {
  X gathered;
  for (const Panel& panel : panels_) {
    const Block values = values_of(panel);
    auto own = x.middleRows(panel.first, panel.width);
    values.topRows(panel.width).template triangularView<Eigen::Lower>().solveInPlace(own);
    if (panel.below == 0) continue;
    gathered.noalias() = values.bottomRows(panel.below) * own;
    for (int i = 0; i < panel.below; ++i) x.row(rows_[panel.rows + count(i)]) -= gathered.row(i);
  }
  for (auto panel = panels_.rbegin(); panel != panels_.rend(); ++panel) {
    const Block values = values_of(*panel);
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
  const PanelArithmetic arithmetic = panel_arithmetic();
  Vector moved(x.size());
  for (Index i = 0; i < x.size(); ++i) moved[moved_[count(i)]] = x[i];
  Vector at_hand(tallest_);
  for (const Panel& panel : panels_) {
    const int* const rows = rows_.data() + panel.rows;
    at_hand.head(panel.width) = moved.segment(panel.first, panel.width);
    at_hand.segment(panel.width, panel.below).setZero();
    arithmetic.solve_down(values_.data() + panel.values, panel.width, panel.below, at_hand.data());
    moved.segment(panel.first, panel.width) = at_hand.head(panel.width);
    for (int i = 0; i < panel.below; ++i) moved[rows[i]] += at_hand[panel.width + i];
  }
  for (auto panel = panels_.rbegin(); panel != panels_.rend(); ++panel) {
    const int* const rows = rows_.data() + panel->rows;
    at_hand.head(panel->width) = moved.segment(panel->first, panel->width);
    for (int i = 0; i < panel->below; ++i) at_hand[panel->width + i] = moved[rows[i]];
    arithmetic.solve_up(values_.data() + panel->values, panel->width, panel->below, at_hand.data());
    moved.segment(panel->first, panel->width) = at_hand.head(panel->width);
  }
  for (Index i = 0; i < x.size(); ++i) x[i] = moved[moved_[count(i)]];
}

void Cholesky::solve(Matrix& X) const {
  Matrix moved(X.rows(), X.cols());
  for (Index i = 0; i < X.rows(); ++i) moved.row(moved_[count(i)]) = X.row(i);
  solve_in_order(moved);
  for (Index i = 0; i < X.rows(); ++i) X.row(i) = moved.row(moved_[count(i)]);
}

}  // namespace diffrt::solver
