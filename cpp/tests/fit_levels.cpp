// Coarse-to-fine fits: the cameras, images and derivatives of the coarse levels, and fit() with levels.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "diffrt/diffrt.hpp"
#include "pyramid.hpp"

using namespace diffrt;

namespace {

Scene scene() {
  return {{102, 75, 80, 82, 50.3, 37.1},
          {{"wall", Plane{{0, 0, 6}, {0.3, 0.2, -1}}}, {"ball", Sphere{{0.2, 0.1, 4}, 0.9}}}};
}

RendererOptions options(std::vector<std::string> free) {
  RendererOptions result;
  result.free = std::move(free);
  result.outputs = {Output::depth};
  result.boundary = Boundary::none;
  return result;
}

std::string message_of(int levels, const PinholeCamera& camera) {
  try {
    check_levels(levels, camera);
  } catch (const ArgumentError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a coarse camera projects a point to where the full one does") {
  const PinholeCamera full = scene().camera;
  for (const int scale : {2, 4, 8}) {
    const PinholeCamera coarse = coarser(full, scale);
    CHECK(coarse.width == full.width / scale);
    CHECK(coarse.height == full.height / scale);
    for (const double slope : {-0.4, 0.0, 0.3}) {
      // Distances from the image's left and upper border, in pixels.
      CHECK((full.fx * slope + full.cx + 0.5) / scale ==
            doctest::Approx(coarse.fx * slope + coarse.cx + 0.5));
      CHECK((full.fy * slope + full.cy + 0.5) / scale ==
            doctest::Approx(coarse.fy * slope + coarse.cy + 0.5));
    }
  }
}

TEST_CASE("a coarse pixel is the weighted mean of its block") {
  const PinholeCamera camera{5, 4, 1, 1, 0, 0};  // the last column fills no block
  constexpr float no = std::numeric_limits<float>::quiet_NaN();
  constexpr float far = std::numeric_limits<float>::infinity();
  const std::vector<double> image = {1, 2,  no, 4,   9,  //
                                     3, no, no, no,  9,  //
                                     5, 6,  7,  far, 9,  //
                                     7, 8,  9,  10,  9};
  const std::vector<float> weights = {1, 1,  1, 1, 1,  //
                                      2, 1,  1, 1, 1,  //
                                      0, no, 1, 1, 1,  //
                                      3, 1,  1, 2, 1};
  Observation observation{ImageView::contiguous(image.data(), 4, 5), {}};
  const BoxFiltered plain(observation, camera, 1, 2);
  CHECK(plain.values()[0] == doctest::Approx(2));
  CHECK(plain.weights()[0] == 3);
  CHECK(std::isnan(plain.values()[1]));  // one of four is less than half
  CHECK(plain.weights()[1] == 0);
  CHECK(plain.values()[2] == doctest::Approx(6.5));
  CHECK(plain.weights()[2] == 4);
  CHECK(plain.values()[3] == doctest::Approx(26.0 / 3));
  CHECK(plain.values().size() == 4);

  observation.weights = ImageView::contiguous(weights.data(), 4, 5);
  const BoxFiltered weighted(observation, camera, 1, 2);
  CHECK(weighted.values()[0] == doctest::Approx((1 + 2 + 2 * 3) / 4.0));
  CHECK(weighted.weights()[0] == 4);
  CHECK(weighted.values()[2] == doctest::Approx((3 * 7 + 8) / 4.0));  // two of four, by 0 and NaN
  CHECK(weighted.weights()[2] == 4);
  CHECK(weighted.values()[3] == doctest::Approx((7 + 9 + 2 * 10) / 4.0));

  const float negative = -1;
  observation.weights = {&negative, false, 4, 5, 1, 0, 0, 0};
  CHECK_THROWS_AS(BoxFiltered(observation, camera, 1, 2), ArgumentError);
}

TEST_CASE("levels that an image bears") {
  const PinholeCamera camera{160, 120, 100, 100, 80, 60};
  for (const int levels : {1, 2, 3, 4}) CHECK(message_of(levels, camera).empty());
  CHECK(message_of(5, camera).find("levels: at most 4 for an image of 160 x 120, got 5") == 0);
  CHECK(message_of(0, camera).find("levels: must be a whole number >= 1") == 0);
  CHECK(message_of(1, {3, 3, 1, 1, 1, 1}).empty());
  CHECK(message_of(1 << 30, camera).find("levels: at most 4") == 0);
}

TEST_CASE("the coarse gradient is that of the coarse cost, by the full size's theta") {
  for (const bool principal : {true, false}) {
    CAPTURE(principal);
    Scene wall = scene();
    wall.shapes.pop_back();  // no silhouettes
    std::vector<std::string> free = {"wall.point", "camera.focal", "camera.pose"};
    if (principal) free.push_back("camera.principal");
    Renderer renderer(wall, options(free));
    std::vector<float> observed(renderer.pixels());
    renderer.render(renderer.theta0(), observed);
    CoarseProblem problem(renderer, {ImageView::contiguous(observed.data(), 75, 102), {}}, huber(0.05), 4);
    const std::size_t P = renderer.parameters();
    REQUIRE(problem.size() == P);
    std::vector<double> theta = renderer.theta0(), H(P * P), g(P), tangent(P);
    theta[2] += 0.1, theta[3] += 2, theta[4] -= 1, theta[6] += 0.05, theta[9] += 0.02;
    if (principal) theta[P - 1] += 3;
    problem.normal_equations(theta, H, g);
    SparseMatrix sparse;
    std::vector<LeastSquaresProblem::TangentEntry> entries;
    problem.sparse_normal_equations(theta, sparse, g);
    REQUIRE(sparse.rows() == P);
    for (std::size_t i = 0; i < P; ++i) {
      std::vector<double> row(P, 0);
      for (auto k = sparse.row_starts[i]; k < sparse.row_starts[i + 1]; ++k)
        row[static_cast<std::size_t>(sparse.columns[k])] = sparse.values[k];
      CHECK(row == std::vector<double>(H.begin() + i * P, H.begin() + (i + 1) * P));
      problem.tangent_row(theta, i, row);
      problem.tangent_entries(theta, i, entries);
      for (const auto& entry : entries) tangent[entry.index] = entry.value;
      CHECK(row == tangent);
      tangent.assign(P, 0);
    }
    for (std::size_t i = 0; i < P; ++i) {
      std::vector<double> delta(P, 0), forward(P), backward(P);
      const double h = free.size() > 1 && i >= 3 && (i < 5 || i >= 11) ? 0.05 : 1e-3;
      delta[i] = h;
      problem.plus(theta, delta, forward);
      delta[i] = -h;
      problem.plus(theta, delta, backward);
      const double slope = (problem.cost(forward).cost - problem.cost(backward).cost) / (2 * h);
      CAPTURE(i);
      CHECK(g[i] == doctest::Approx(slope).epsilon(0.01).scale(1e-3 * std::sqrt(H[i * (P + 1)])));
    }
  }
}

TEST_CASE("fit with levels") {
  Scene start = scene();
  std::get<Sphere>(start.shapes[1].second).center = {0.5, 0.3, 4.1};
  Renderer truth(scene(), options({})), renderer(start, options({"ball.center"}));
  std::vector<float> observed(truth.pixels());
  truth.render({}, observed);
  const Observation observation{ImageView::contiguous(observed.data(), 75, 102), {}};
  SolveOptions solve;
  std::size_t calls = 0, last_level = 2;
  solve.callback = [&](const StepRecord& record, Span<const double> theta) {
    CHECK(theta.size() == 3);
    CHECK(record.level <= last_level);
    last_level = record.level, ++calls;
    return true;
  };
  const SolveResult result = fit(renderer, observation, renderer.theta0(), cauchy(0.05), solve, 3);
  CHECK(converged(result.status));
  CHECK(result.theta[0] == doctest::Approx(0.2).epsilon(0.01));
  CHECK(result.theta[1] == doctest::Approx(0.1).epsilon(0.01));
  CHECK(result.theta[2] == doctest::Approx(4).epsilon(0.001));
  CHECK(result.history.size() == calls);
  CHECK(result.history.front().level == 2);
  CHECK(result.history.back().level == 0);
  CHECK(result.history.back().step == result.steps);
  CHECK(result.steps + 3 == calls);
  CHECK(!result.covariance.empty());

  NormalEquations at_end;
  renderer.cost(result.theta, observation, cauchy(0.05), at_end);
  CHECK(result.data_cost == doctest::Approx(at_end.cost));
  CHECK(result.count == at_end.count);

  solve.callback = nullptr;
  solve.max_steps = 2;
  CHECK(fit(renderer, observation, renderer.theta0(), cauchy(0.05), solve, 3).steps == 2);
  CHECK_THROWS_AS(fit(renderer, observation, renderer.theta0(), {}, {}, 0), ArgumentError);
  CHECK_THROWS_AS(fit(renderer, observation, renderer.theta0(), {}, {}, 9), ArgumentError);
}
