// The renderer on the first GPU, or Vulkan driver on the processor, that there is. That it computes what the
// CPU computes is tested from Python.
#include <doctest/doctest.h>

#include "allocation_count.hpp"
#include "diffrt/diffrt.hpp"

namespace {

using namespace diffrt;

constexpr int width = 60, height = 45;

// Of the first device that is not the CPU, if there is one.
std::vector<std::string> device() {
  for (const std::string& name : devices()) {
    if (name != "cpu") return {name};
  }
  MESSAGE("no GPU, no Vulkan driver: not tested");
  return {};
}

Renderer renderer_on(const std::string& device) {
  const Scene scene{{width, height, 60, 60, 30, 22},
                    {{"ball", Sphere{{0.2, 0, 5}, 1.2}},
                     {"small", Sphere{{-1, 0.4, 4}, 0.3}},
                     {"wall", Plane{{0, 0, 9}, {0, 0.1, -1}}}}};
  RendererOptions options;
  options.free = {"ball.center", "wall.normal", "camera.pose", "camera.focal"};
  options.outputs = {Output::depth, Output::normal};
  options.boundary = Boundary::none;
  options.device = device;
  return Renderer(scene, options);
}

}  // namespace

TEST_CASE("an observation of known revision is not read again") {
  for (const std::string& name : device()) {
    Renderer renderer = renderer_on(name);
    std::vector<float> image(renderer.pixels() * 4, 7.0f);
    Observation observation{ImageView::contiguous(image.data(), height, width, 4), {}, new_revision()};
    const auto cost = [&] {
      NormalEquations equations;
      renderer.cost(renderer.theta0(), observation, {}, equations);
      return equations.cost;
    };
    const double sevens = cost();
    std::fill(image.begin(), image.end(), 8.0f);
    CHECK(cost() == sevens);
    observation.revision = new_revision();
    const double eights = cost();
    CHECK(eights != sevens);
    std::fill(image.begin(), image.end(), 7.0f);
    observation.revision = 0;
    CHECK(cost() == sevens);
    std::fill(image.begin(), image.end(), 8.0f);
    CHECK(cost() == eights);
    // A refused one leaves nothing behind that could be taken for known.
    std::vector<float> weights(image.size(), -1.0f);
    observation.revision = new_revision();
    observation.weights = ImageView::contiguous(weights.data(), height, width, 4);
    for (int i = 0; i < 2; ++i) CHECK_THROWS_AS(cost(), ArgumentError);
    std::fill(weights.begin(), weights.end(), 1.0f);
    CHECK(cost() == eights);
  }
}

TEST_CASE("a renderer may be moved, and its results outlive it") {
  for (const std::string& name : device()) {
    Jacobian J;
    std::vector<float> image(static_cast<std::size_t>(width * height * 4)), again(image.size());
    {
      Renderer first = renderer_on(name);
      first.render(first.theta0(), image);
      Renderer renderer = std::move(first);
      J = renderer.jacobian(renderer.theta0(), again);
      CHECK(renderer.device() == name);
    }
    CHECK(std::equal(image.begin(), image.end(), again.begin(),
                     [](float a, float b) { return a == b || a != a; }));
    std::vector<double> direction(J.parameters(), 1.0), change(image.size());
    J.multiply(direction, change);
    CHECK(change[static_cast<std::size_t>(4 * (width * 22 + 30))] != 0);
  }
}

TEST_CASE("after the first calls a renderer on a device allocates nothing") {
  for (const std::string& name : device()) {
    Renderer renderer = renderer_on(name);
    std::vector<float> image(renderer.pixels() * 4);
    NormalEquations equations;
    SharedCost shared;
    const Observation observation{ImageView::contiguous(image.data(), height, width, 4), {}};
    std::vector<double> there = renderer.theta0();
    there[0] += 0.3, there[4] += 0.1, there[7] += 0.05, there[12] += 2;
    std::vector<double> M(there.size() * there.size());
    const std::vector<double> here = renderer.theta0();
    const std::vector<double>* thetas[] = {&here, &there};
    const auto round = [&] {
      for (const std::vector<double>* theta : thetas) {
        renderer.render(*theta, image);
        renderer.normal_equations(*theta, observation, huber(0.1), equations, PoseDerivative::tangent, true);
        renderer.cost(*theta, observation, huber(0.1), equations, &shared);
        renderer.gradient_scatter(*theta, observation, huber(0.1), M);
      }
    };
    round();
    const long before = tests::allocation_count();
    for (int i = 0; i < 3; ++i) round();
    CHECK(tests::allocation_count() == before);
  }
}
