// Bound models: the same results for any number of threads, in threads of one's own and in children of
// fork(); and no allocation after the first call of each kind.
#include <doctest/doctest.h>

#include <thread>

#include "allocation_count.hpp"
#include "diffrt/diffrt.hpp"
#include "forked.hpp"
#include "model_by_hand.hpp"

using namespace diffrt;
using tests::ByHand;

namespace {

// All that a bound model gives.
struct Results {
  std::vector<float> image, J;
  std::vector<double> products, product;
  NormalEquations equations, costs;
  SolveResult fitted;

  Results(BoundModel& bound, const ByHand& model)
      : image(bound.values()),
        J(bound.values() * bound.parameters()),
        products(bound.values()),
        product(bound.parameters()) {
    const std::vector<double> y = model.observed(), v(bound.parameters(), 0.5), w(bound.values(), 0.25);
    bound.jacobian(model.theta, image).to_dense(J);
    bound.multiply(model.theta, v, {}, products);
    bound.multiply_transposed(model.theta, w, {}, product);
    bound.normal_equations(model.theta, model.observation(y), huber(0.1), equations);
    bound.cost(model.theta, model.observation(y), huber(0.1), costs);
    SolveOptions options;
    options.max_steps = 3;
    fitted = fit(bound, model.observation(y), model.theta, huber(0.1), options);
  }

  bool operator==(const Results& other) const {
    const NormalEquations &a = equations, &b = other.equations;
    return image == other.image && J == other.J && products == other.products && product == other.product &&
           a.g == b.g && a.cost == b.cost && a.count == b.count && a.H_sparse.columns == b.H_sparse.columns &&
           a.H_sparse.values == b.H_sparse.values && costs.cost == other.costs.cost &&
           fitted.theta == other.fitted.theta && fitted.cost == other.fitted.cost &&
           fitted.H == other.fitted.H;
  }
};

}  // namespace

TEST_CASE("a bound model's results are the same for any number of threads") {
  for (const std::size_t rows : {3, 150}) {
    const ByHand model(30000 / rows * 3, rows);
    BoundModel one = model.bound(1);
    const Results expected(one, model);
    for (const int threads : {1, 2, 3}) {
      BoundModel bound = model.bound(threads);
      CHECK(bound.threads() == threads);
      CHECK(Results(bound, model) == expected);
      CHECK(Results(bound, model) == expected);  // with what the first left
    }
  }
}

TEST_CASE("two bound models in two threads, and one that has moved") {
  const ByHand first(2000, 20), second(1500, 5);
  BoundModel one = first.bound(2), other = second.bound(3);
  const Results of_one(one, first), of_other(other, second);
  bool same[2] = {true, true};
  const auto work = [](BoundModel& bound, const ByHand& model, const Results& expected, bool& same) {
    for (int i = 0; i < 5; ++i) same = Results(bound, model) == expected && same;
  };
  std::thread a([&] { work(one, first, of_one, same[0]); });
  std::thread b([&] { work(other, second, of_other, same[1]); });
  a.join(), b.join();
  CHECK(same[0]);
  CHECK(same[1]);
  BoundModel moved = std::move(one);
  CHECK(Results(moved, first) == of_one);
  moved = std::move(other);
  CHECK(Results(moved, second) == of_other);
}

TEST_CASE("a callback may use the bound model, for a fit as well, and the fit stays as it is") {
  const ByHand model(500, 6);
  BoundModel bound = model.bound(2);
  const std::vector<double> y = model.observed(), other = model.observed(-0.3);
  const SolveResult alone = fit(bound, model.observation(y), model.theta);
  REQUIRE(alone.steps > 1);
  SolveOptions options;
  options.callback = [&](const StepRecord&, Span<const double>) {
    fit(bound, model.observation(other), model.theta);
    return true;
  };
  const SolveResult with = fit(bound, model.observation(y), model.theta, {}, options);
  CHECK(with.theta == alone.theta);
  CHECK(with.cost == alone.cost);
  CHECK(with.steps == alone.steps);
}

TEST_CASE("a child goes on with its parent's bound models, and makes its own" *
          doctest::skip(tests::cannot_fork)) {
  const ByHand model(2000, 20);
  BoundModel bound = model.bound(3);
  const Results expected(bound, model);
  const auto goes_on = [&] {
    BoundModel own = model.bound(2);
    return Results(bound, model) == expected && Results(own, model) == expected;
  };
  CHECK(tests::true_in_child(goes_on));
  CHECK(tests::true_in_child([&] { return tests::true_in_child(goes_on); }));
  CHECK(Results(bound, model) == expected);
}

TEST_CASE("nothing is allocated after a bound model's first call") {
  for (const int threads : {1, 3}) {
    for (const std::size_t rows : {3, 150}) {
      const ByHand model(3000, rows);
      BoundModel bound = model.bound(threads);
      const std::vector<double> y = model.observed(), v(bound.parameters(), 0.5), w(bound.values(), 0.25);
      std::vector<double> there = model.theta, products(bound.values()), product(bound.parameters());
      for (double& number : there) number += 0.1;
      std::vector<float> image(bound.values());
      NormalEquations equations, costs;
      const auto round = [&] {
        for (const std::vector<double>* at :
             {&model.theta, static_cast<const std::vector<double>*>(&there)}) {
          const std::vector<double>& theta = *at;
          bound.value(theta, image);
          bound.multiply(theta, v, image, products);
          bound.multiply_transposed(theta, w, image, product);
          bound.normal_equations(theta, model.observation(y), huber(0.1), equations);
          bound.cost(theta, model.observation(y), huber(0.1), costs);
        }
      };
      round();
      const long before = tests::allocation_count();
      for (int i = 0; i < 5; ++i) round();
      CHECK(tests::allocation_count() == before);
    }
  }
}
