// Promise: after the first call of each kind, render, cost and normal_equations allocate nothing. With exact
// boundaries this is so once silhouettes have been where they are: what a tile needs room for depends on
// them.
#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>

#include "allocation_count.hpp"
#include "diffrt/diffrt.hpp"

namespace {
std::atomic<long> allocations{0};
}
long diffrt::tests::allocation_count() { return allocations; }

// Counts every allocation in this program: operator new's, and those of buffers for kernels, which come from
// aligned_alloc.
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) {
  ++allocations;
  void* memory = nullptr;
  return posix_memalign(&memory, alignment, size) == 0 ? memory : nullptr;
}
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size > 0 ? size : 1);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace diffrt;

Mesh ribbon(double x = 0) {
  std::vector<double> vertices;
  std::vector<std::int32_t> faces;
  for (int i = 0; i < 40; ++i) {
    for (const double x : {std::cos(0.3 * i), std::sin(0.5 * i), 0.2 * std::sin(1.1 * i)})
      vertices.push_back(x);
    if (i >= 2) faces.insert(faces.end(), {i - 2, i - 1, i});
  }
  Matrix4 T = identity4;
  T[3] = x, T[11] = 5;
  return {std::make_shared<const std::vector<double>>(vertices),
          std::make_shared<const std::vector<std::int32_t>>(faces), T};
}

Renderer renderer_of(Boundary boundary, bool free_vertices, int threads) {
  Scene scene{{100, 80, 90, 90, 50, 40},
              {{"ball", Sphere{{1, 0, 5}, 0.5}},
               {"wall", Plane{{0, 0, 9}, {0, 0, -1}}},
               {"left", ribbon(-1)},
               {"right", ribbon(1.5)},
               {"mesh", ribbon()}}};
  RendererOptions options;
  options.free = {"ball.center", "ball.radius", "wall.normal", "mesh.pose", "camera.focal", "camera.pose"};
  if (free_vertices) options.free.emplace_back("mesh.vertices");
  options.outputs = {Output::depth, Output::mask};
  options.background = {0.0, 0.0};
  options.boundary = boundary;
  options.threads = threads;
  return Renderer(scene, options);
}

// Allocations of five rounds of calls at these thetas, after one.
long allocations_of_rounds(Renderer& renderer, const std::vector<std::vector<double>>& thetas) {
  std::vector<float> image(renderer.pixels() * 2);
  const Observation observation{ImageView::contiguous(image.data(), 80, 100, 2), {}};
  NormalEquations equations;
  const auto round = [&] {
    for (const std::vector<double>& theta : thetas) {
      renderer.render(theta, image);
      renderer.normal_equations(theta, observation, huber(0.1), equations);
      renderer.cost(theta, observation, huber(0.1), equations);
    }
  };
  round();
  const long before = allocations;
  for (int i = 0; i < 5; ++i) round();
  return allocations - before;
}

}  // namespace

TEST_CASE("nothing is allocated after the first call") {
  for (const Boundary boundary : {Boundary::none, Boundary::exact}) {
    for (const bool free_vertices : {false, true}) {
      Renderer renderer = renderer_of(boundary, free_vertices, 1);
      CHECK(allocations_of_rounds(renderer, {renderer.theta0()}) == 0);
      // Silhouettes that come and go between places where they have been.
      std::vector<double> there = renderer.theta0();
      there[0] -= 1.5, there[1] += 0.4, there[3] *= 1.3, there[7] += 0.3;
      CHECK(allocations_of_rounds(renderer, {renderer.theta0(), there}) == 0);
    }
  }
}

TEST_CASE("nothing is allocated after the first call, by several threads") {
  for (const Boundary boundary : {Boundary::none, Boundary::exact}) {
    for (const bool free_vertices : {false, true}) {
      Renderer renderer = renderer_of(boundary, free_vertices, 3);
      CHECK(allocations_of_rounds(renderer, {renderer.theta0()}) == 0);
    }
  }
}
