// Bound models: what they compute, against sums over numbers in double; and the data that they take.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>

#include "diffrt/diffrt.hpp"
#include "model_by_hand.hpp"
#include "sparse.hpp"

using namespace diffrt;
using tests::ByHand;

namespace {

// The largest difference, in units of the largest number.
template <class A, class B>
double worst(const A& mine, const B& right) {
  REQUIRE(mine.size() == right.size());
  double difference = 0, largest = 1e-30;
  for (std::size_t i = 0; i < right.size(); ++i) {
    const auto number = static_cast<double>(right[i]);
    difference = std::fmax(difference, std::abs(static_cast<double>(mine[i]) - number));
    largest = std::fmax(largest, std::abs(number));
  }
  return difference / largest;
}

std::vector<double> numbers(std::size_t count) {
  std::vector<double> found(count);
  for (std::size_t i = 0; i < count; ++i) found[i] = std::sin(1.7 * static_cast<double>(i) + 0.3);
  return found;
}

}  // namespace

TEST_CASE("a bound model: values, Jacobian and products") {
  for (const std::size_t rows : {2, 9, 300}) {
    const ByHand model(2500, rows);
    BoundModel bound = model.bound();
    const std::size_t P = model.theta.size(), R = 2 * model.items;
    CHECK(bound.name() == "by_hand");
    CHECK(bound.parameters() == P);
    CHECK(bound.values() == R);
    CHECK(bound.height() == 1);
    CHECK(bound.width() == 2500);
    CHECK(bound.channels() == 2);
    CHECK_FALSE(bound.is_image());
    CHECK(bound.device() == "cpu");
    REQUIRE(bound.blocks().size() == 3);
    CHECK(bound.blocks()[1].is_pose);
    CHECK(bound.blocks()[2].offset == ByHand::table);
    CHECK(bound.blocks()[2].size == 2 * rows);

    const std::vector<double> right = model.values(model.theta), right_J = model.jacobian();
    std::vector<float> image(R), again(R), planes(R * P);
    bound.value(model.theta, image);
    CHECK(worst(image, right) < 1e-6);
    const Jacobian J = bound.jacobian(model.theta, again);
    CHECK(again == image);
    J.to_dense(planes);
    std::vector<float> dense(R * P);  // as right_J
    for (std::size_t c = 0; c < 2; ++c) {
      for (std::size_t p = 0; p < P; ++p) {
        for (std::size_t i = 0; i < model.items; ++i)
          dense[(2 * i + c) * P + p] = planes[(c * P + p) * model.items + i];
      }
    }
    CHECK(worst(dense, right_J) < 1e-6);

    const std::size_t K = 3;
    const std::vector<double> seeds = numbers(P * K), w = numbers(R);
    std::vector<double> products(R * K), expected(R * K, 0.0), product(P), expected_product(P, 0.0);
    for (std::size_t r = 0; r < R; ++r) {
      for (std::size_t p = 0; p < P; ++p) {
        for (std::size_t k = 0; k < K; ++k) expected[r * K + k] += right_J[r * P + p] * seeds[p * K + k];
        expected_product[p] += right_J[r * P + p] * w[r];
      }
    }
    bound.multiply(model.theta, seeds, {}, products);
    CHECK(worst(products, expected) < 1e-6);
    bound.multiply_transposed(model.theta, w, again, product);
    CHECK(again == image);
    CHECK(worst(product, expected_product) < 1e-6);
  }
}

TEST_CASE("a bound model: normal equations, dense and sparse, and the cost") {
  for (const std::size_t rows : {2, 40}) {
    const ByHand model(1000, rows);
    const std::size_t P = model.theta.size(), R = 2 * model.items;
    const std::vector<double> image = model.values(model.theta), J = model.jacobian(), y = model.observed();
    std::vector<double> weights(R), H(P * P, 0.0), g(P, 0.0);
    double cost = 0;
    std::size_t count = 0;
    for (std::size_t r = 0; r < R; ++r) {
      weights[r] = 0.25 * static_cast<double>(r % 5);
      if (std::isnan(y[r]) || weights[r] == 0) continue;
      const double difference = image[r] - y[r];
      ++count, cost += 0.5 * weights[r] * difference * difference;
      for (std::size_t p = 0; p < P; ++p) {
        g[p] += weights[r] * difference * J[r * P + p];
        for (std::size_t q = 0; q < P; ++q) H[p * P + q] += weights[r] * J[r * P + p] * J[r * P + q];
      }
    }
    Observation observation = model.observation(y);
    observation.weights = ImageView::contiguous(weights.data(), 1, 1000, 2);
    for (const std::size_t dense_limit : {std::size_t{1000}, std::size_t{0}}) {
      BoundModel bound = model.bound(2, dense_limit);
      NormalEquations found;
      bound.normal_equations(model.theta, observation, {}, found);
      CHECK(found.count == count);
      CHECK(found.cost == doctest::Approx(cost).epsilon(1e-5));
      CHECK(worst(found.g, g) < 1e-5);
      CHECK(found.H.size() == (dense_limit > 0 ? P * P : 0));
      std::vector<double> dense(P * P);
      to_dense(found.H_sparse, dense);
      CHECK(worst(dense, H) < 1e-5);
      NormalEquations alone;
      bound.cost(model.theta, observation, {}, alone);
      CHECK(alone.cost == found.cost);
      CHECK(alone.count == count);
    }
  }
}

TEST_CASE("a bound model: a fit, of which the pose moves on its manifold") {
  const ByHand model(3000, 30);
  std::vector<double> y = model.values(model.theta), start = model.theta;
  y[7] = std::numeric_limits<double>::quiet_NaN();
  for (std::size_t i = 0; i < start.size(); ++i) start[i] += 0.02 * std::sin(static_cast<double>(i));
  std::vector<std::vector<double>> found;
  for (const std::size_t dense_limit : {std::size_t{1000}, std::size_t{0}}) {
    BoundModel bound = model.bound(2, dense_limit);
    const SolveResult result = fit(bound, model.observation(y), start);
    CHECK(converged(result.status));
    CHECK(result.count == y.size() - 1);
    CHECK(result.cost < 1e-9);
    CHECK(worst(result.theta, model.theta) < 1e-4);
    const SolveResult robust = fit(bound, model.observation(y), start, huber(0.1));
    CHECK(converged(robust.status));
    CHECK(worst(robust.theta, model.theta) < 1e-4);
  }
}

TEST_CASE("a bound model over nothing") {
  ByHand model(0, 5);
  BoundModel bound = model.bound();
  CHECK(bound.values() == 0);
  bound.value(model.theta, {});
  CHECK(bound.jacobian(model.theta, {}).parameters() == model.theta.size());
  std::vector<double> product(model.theta.size(), 1.0);
  bound.multiply_transposed(model.theta, {}, {}, product);
  CHECK(product == std::vector<double>(model.theta.size(), 0.0));
  NormalEquations equations;
  bound.normal_equations(model.theta, {}, {}, equations);
  CHECK(equations.count == 0);
  CHECK(equations.cost == 0);
  const SolveResult result = fit(bound, {}, model.theta);
  CHECK(result.status == Status::no_residuals);
  CHECK(result.theta == model.theta);
}

TEST_CASE("what a bound model refuses, and is as it was") {
  const ByHand model(40, 5);
  BoundModel bound = model.bound();
  std::vector<float> before(bound.values()), after(bound.values());
  bound.value(model.theta, before);
  std::vector<double> bad = model.theta, few(3), product(model.theta.size());
  bad[3] = std::numeric_limits<double>::quiet_NaN();
  std::vector<float> short_image(79);
  NormalEquations equations;
  const std::vector<double> y = model.observed();
  CHECK_THROWS_WITH_AS(bound.value(few, after),
                       doctest::Contains("theta: has 3 numbers, expected 17: gain (1)"), ArgumentError);
  CHECK_THROWS_WITH_AS(bound.value(bad, after), doctest::Contains("theta: entry 3 (T_a_b[2]) is not finite"),
                       ArgumentError);
  CHECK_THROWS_WITH_AS(bound.value(model.theta, short_image), doctest::Contains("79"), ArgumentError);
  CHECK_THROWS_WITH_AS(bound.jacobian(model.theta, short_image), doctest::Contains("79"), ArgumentError);
  CHECK_THROWS_WITH_AS(bound.multiply(model.theta, few, {}, product), doctest::Contains("seeds"),
                       ArgumentError);
  CHECK_THROWS_WITH_AS(bound.multiply_transposed(model.theta, few, {}, product), doctest::Contains("w"),
                       ArgumentError);
  CHECK_THROWS_WITH_AS(
      bound.normal_equations(model.theta, {ImageView::contiguous(y.data(), 1, 80), {}}, {}, equations),
      doctest::Contains("1 x 80"), ArgumentError);
  CHECK_THROWS_AS(fit(bound, model.observation(y), few), ArgumentError);
  CHECK_THROWS_AS(bound.check(Span<const double>(bad)), ArgumentError);
  std::vector<LeastSquaresProblem::TangentEntry> entries;
  CHECK_THROWS_WITH_AS(bound.tangent_entries(model.theta, 17, entries), doctest::Contains("i: is 17"),
                       ArgumentError);
  bound.value(model.theta, after);
  CHECK(after == before);
}

TEST_CASE("data that do not fit a model are named") {
  const ByHand model(4, 5);
  const Model by_hand = ByHand::module().model("by_hand");
  const std::vector<double> x(12, 1.0), focal = {2.0};
  const std::vector<std::int64_t> which = {0, 1, 2, 3};
  const auto good = [&] {
    ModelData data({4});
    data.set("x", x).set("which", which).set("focal", {1.5}).set_rows("table", 5);
    return data;
  };
  CHECK(BoundModel(by_hand, good()).parameters() == 17);
  CHECK(BoundModel(by_hand, good().set("focal", focal).set_rows("table", 6)).parameters() == 19);
  const auto refused = [&](const ModelData& data, const char* text) {
    CHECK_THROWS_WITH_AS(BoundModel(by_hand, data), doctest::Contains(text), ArgumentError);
  };
  refused(good().set("X", x), "by_hand: has no argument 'X' that takes data");
  refused(good().set("gain", {1.0}), "by_hand: has no argument 'gain' that takes data");
  refused(good().set("focal", x), "focal: has 12 numbers, expected 1");
  refused(good().set("x", focal), "x: has 1 numbers, expected 12");
  refused(good().set("x", x, {3, 4}), "x: must have shape (4, 3) ((3,) of each item), got (3, 4)");
  refused(good().set("x", Span<const double>(nullptr, 12)), "x");
  refused(good().set("which", std::vector<double>(4)), "which: must hold whole numbers");
  refused(good().set("which", std::vector<std::int32_t>(3)), "which: has 3 numbers, expected 4");
  refused(good().set_rows("x", 3), "x: is no table of parameters of by_hand");
  refused(good().set_rows("nothing", 3), "nothing: is no table of parameters of by_hand");
  refused(good().set_rows("table", std::size_t{1} << 40), "table: has too many numbers");
  refused(ModelData({4, 4}), "shape: must be (n,), got (4, 4)");
  refused(ModelData({std::size_t{1} << 31}), "has too many items");
  refused(ModelData({4}), "by_hand: argument x is missing: an array of shape (4, 3)");
  ModelData no_focal({4});
  no_focal.set("x", x).set("which", which);
  refused(no_focal, "by_hand: argument focal is missing: a number");
  ModelOptions options;
  options.device = "abacus";
  CHECK_THROWS_AS(BoundModel(by_hand, good(), options), DeviceError);
  options = {};
  options.threads = -1;
  CHECK_THROWS_AS(BoundModel(by_hand, good(), options), ArgumentError);
}
