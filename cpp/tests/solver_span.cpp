// Span: what it can be made from, and what it refuses.
#include <doctest/doctest.h>

#include <Eigen/Core>
#include <array>
#include <numeric>
#include <string>
#include <type_traits>
#include <vector>

#include "diffrt/span.hpp"

using diffrt::Span;

namespace {
double sum(Span<const double> values) { return std::accumulate(values.begin(), values.end(), 0.0); }
void fill(Span<double> values, double x) {
  for (double& value : values) value = x;
}
}  // namespace

TEST_CASE("A span views vectors, arrays, pointers and other spans") {
  std::vector<double> vector = {1, 2, 3};
  const std::vector<double> constant = {4, 5};
  std::array<double, 2> array = {6, 7};
  double raw[] = {8, 9};
  CHECK(sum(vector) == 6);
  CHECK(sum(constant) == 9);
  CHECK(sum(array) == 13);
  CHECK(sum(raw) == 17);
  CHECK(sum({vector.data() + 1, 2}) == 5);
  CHECK(sum(Span<double>(vector)) == 6);
  CHECK(sum(std::vector<double>{10, 11}) == 21);  // a temporary, read-only
  CHECK(sum({}) == 0);

  fill(vector, 1);
  fill(array, 2);
  fill(raw, 3);
  CHECK(sum(vector) == 3);
  CHECK(sum(array) == 4);
  CHECK(sum(raw) == 6);
}

TEST_CASE("A span is indexed and cut") {
  std::vector<int> v = {1, 2, 3, 4};
  Span<int> span(v);
  span[1] = 20;
  CHECK(v[1] == 20);
  CHECK(span.size() == 4);
  CHECK(span.front() == 1);
  CHECK(span.back() == 4);
  CHECK(span.subspan(1, 2).size() == 2);
  CHECK(span.subspan(1)[0] == 20);
  CHECK(span.subspan(3, 10).size() == 1);
  CHECK(span.subspan(9).empty());
  CHECK(span.first(2).back() == 20);
  CHECK(Span<int>().empty());
}

TEST_CASE("A span keeps const and types apart") {
  static_assert(std::is_convertible_v<Span<double>, Span<const double>>);
  static_assert(!std::is_constructible_v<Span<double>, Span<const double>>);
  static_assert(!std::is_constructible_v<Span<double>, const std::vector<double>&>);
  static_assert(!std::is_constructible_v<Span<double>, std::vector<double>>);  // a temporary, written through
  static_assert(!std::is_constructible_v<Span<const double>, std::vector<float>&>);
  static_assert(!std::is_constructible_v<Span<const double>, double>);
  static_assert(std::is_trivially_copyable_v<Span<double>>);
  std::vector<float> v;
  static_assert(std::is_same_v<decltype(Span(v)), Span<float>>);
  static_assert(std::is_same_v<decltype(Span(std::declval<const std::string&>())), Span<const char>>);
}

TEST_CASE("A span takes what lies side by side of Eigen's, and no row of a column-major matrix") {
  using Eigen::Dynamic, Eigen::Map, Eigen::MatrixXd, Eigen::VectorXd;
  using RowMajor = Eigen::Matrix<double, Dynamic, Dynamic, Eigen::RowMajor>;
  using In = Span<const double>;
  using Out = Span<double>;
  VectorXd v(3);
  v << 1, 2, 3;
  MatrixXd m(2, 2);
  m << 1, 2, 3, 4;
  CHECK(sum(v) == 6);
  CHECK(sum(m.col(1)) == 6);
  CHECK(sum(v.head(2)) == 3);
  CHECK(sum(VectorXd(m.row(0))) == 3);
  CHECK(In(m)[1] == 3);
  fill(v, 5);
  CHECK(v(2) == 5);

  static_assert(std::is_constructible_v<Out, Eigen::Vector3d&>);
  static_assert(std::is_constructible_v<Out, Eigen::ArrayXd&>);
  static_assert(std::is_constructible_v<Out, RowMajor&>);
  static_assert(std::is_constructible_v<Out, Map<VectorXd>&>);
  static_assert(std::is_constructible_v<Out, Eigen::Ref<VectorXd>&>);
  static_assert(std::is_constructible_v<In, decltype(std::declval<RowMajor&>().row(0))>);
  static_assert(std::is_constructible_v<In, const Eigen::RowVectorXd&>);

  static_assert(!std::is_constructible_v<In, decltype(m.row(0))>);
  static_assert(!std::is_constructible_v<In, decltype(std::declval<const MatrixXd&>().row(0))>);
  static_assert(!std::is_constructible_v<In, decltype(std::declval<RowMajor&>().col(0))>);
  static_assert(!std::is_constructible_v<In, decltype(m.block(0, 0, 1, 1))>);
  static_assert(!std::is_constructible_v<In, decltype(m.diagonal())>);
  static_assert(!std::is_constructible_v<In, decltype(m.transpose())>);
  static_assert(!std::is_constructible_v<In, Map<VectorXd, 0, Eigen::InnerStride<2>>&>);
  static_assert(!std::is_constructible_v<In, Map<VectorXd, 0, Eigen::InnerStride<>>&>);
  static_assert(!std::is_constructible_v<In, Map<MatrixXd, 0, Eigen::OuterStride<>>&>);
  static_assert(!std::is_constructible_v<In, Eigen::Ref<MatrixXd>&>);
  static_assert(!std::is_constructible_v<In, decltype(2 * v)>);
  static_assert(!std::is_constructible_v<Out, const VectorXd&>);
}
