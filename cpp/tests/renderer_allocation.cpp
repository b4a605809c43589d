// Promise: after the first call of each kind, render, cost and normal_equations allocate nothing.
#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>

#include "diffrt/diffrt.hpp"

namespace {
std::atomic<long> allocations{0};
}

// Counts every allocation in this program. (Buffers for kernels come from aligned_alloc; they are counted by
// their growth, which would show as a slower second call, not here; everything else goes through operator
// new.)
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

TEST_CASE("nothing is allocated after the first call") {
  using namespace diffrt;
  std::vector<double> vertices;
  std::vector<std::int32_t> faces;
  for (int i = 0; i < 40; ++i) {
    for (const double x : {std::cos(0.3 * i), std::sin(0.5 * i), 0.2 * std::sin(1.1 * i)})
      vertices.push_back(x);
    if (i >= 2) faces.insert(faces.end(), {i - 2, i - 1, i});
  }
  Matrix4 T = identity4;
  T[11] = 5;
  const Mesh mesh{std::make_shared<const std::vector<double>>(vertices),
                  std::make_shared<const std::vector<std::int32_t>>(faces), T};
  for (const bool free_vertices : {false, true}) {
    Scene scene{{100, 80, 90, 90, 50, 40},
                {{"ball", Sphere{{1, 0, 5}, 0.5}}, {"wall", Plane{{0, 0, 9}, {0, 0, -1}}}, {"mesh", mesh}}};
    RendererOptions options;
    options.free = {"ball.center", "ball.radius", "wall.normal", "mesh.pose", "camera.focal", "camera.pose"};
    if (free_vertices) options.free.emplace_back("mesh.vertices");
    Renderer renderer(scene, options);
    std::vector<float> image(renderer.pixels());
    const std::vector<double> theta = renderer.theta0();
    const Observation observation{ImageView::contiguous(image.data(), 100), {}};
    NormalEquations equations;
    const auto call = [&] {
      renderer.render(theta, image);
      renderer.normal_equations(theta, observation, huber(0.1), equations);
      renderer.cost(theta, observation, huber(0.1), equations);
    };
    call();
    const long before = allocations;
    for (int i = 0; i < 5; ++i) call();
    CHECK(allocations == before);
  }
}
