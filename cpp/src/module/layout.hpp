// Where theta's numbers lie, what they become for a model's code, and how poses move.
#pragma once

#include <vector>

#include "diffrt/least_squares.hpp"
#include "diffrt/renderer.hpp"
#include "module/description.hpp"
#include "scene/se3.hpp"

namespace diffrt::module {

bool is_parameter(ArgumentKind kind);
int numbers_of(const std::vector<int>& shape);

// Columns of theta that go together: those of an argument, or of a row of a table.
struct Columns {
  std::size_t argument = 0;
  std::size_t first = 0, size = 0;  // of the argument
  std::size_t width = 0;            // of a row; all, where there is no table
  std::size_t rows = 1;
  std::size_t first_node = 0;  // its rows are nodes, in the order of theta
};

class Layout {
 public:
  // `rows`: of each table of parameters, by argument.
  Layout(const Description& description, const std::vector<std::size_t>& rows);

  std::size_t size() const { return size_; }
  std::size_t nodes() const { return nodes_; }
  const std::vector<ParameterBlock>& blocks() const { return blocks_; }
  // Of an argument that is a parameter, else null.
  const Columns* columns(std::size_t argument) const {
    return places_[argument] < 0 ? nullptr : &columns_[static_cast<std::size_t>(places_[argument])];
  }
  const std::vector<Columns>& all() const { return columns_; }
  // The first column of a node, and how many it has.
  std::size_t start(std::size_t node) const;
  std::size_t width(std::size_t node) const { return columns_of(node).width; }
  const Columns& columns_of(std::size_t node) const;
  bool is_pose(const Columns& columns) const {
    return description_.arguments[columns.argument].kind == ArgumentKind::pose;
  }

  // Throws ArgumentError unless theta has P finite numbers.
  void check(Span<const double> theta) const;
  // The numbers at theta: `tables` are those of Arguments.
  void apply(Span<const double> theta, float* parameters, float* const* tables) const;
  void plus(Span<const double> theta, Span<const double> delta, Span<double> out) const;
  void tangent_entries(Span<const double> theta, std::size_t i,
                       std::vector<LeastSquaresProblem::TangentEntry>& entries) const;
  // d (increment of a pose) / d theta: right_jacobian, or the identity for PoseDerivative::tangent.
  scene::Matrix6 pose_derivative(Span<const double> theta, const Columns& pose, PoseDerivative kind) const;

 private:
  const Description& description_;
  std::vector<Columns> columns_;
  std::vector<int> places_;  // by argument
  std::vector<ParameterBlock> blocks_;
  std::size_t size_ = 0, nodes_ = 0;
};

}  // namespace diffrt::module
