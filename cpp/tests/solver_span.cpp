// Span: what it can be made from, and what it refuses.
#include <doctest/doctest.h>

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
