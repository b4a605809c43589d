// How long it takes to launch a kernel on a 16 x 16 image and have its result: one launch, and a whole
// render. The last line printed is a JSON list of seconds per launch, one per repeat.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "diffrt/diffrt.hpp"
#include "diffrt_kernels.hpp"
#include "runtime/isa.hpp"
#include "runtime/launch.hpp"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int repeats = 2001, inner = 16;

template <class F>
std::vector<double> seconds_each(F&& body) {
  std::vector<double> result;
  for (int r = 0; r < repeats; ++r) {
    const auto begin = Clock::now();
    for (int i = 0; i < inner; ++i) body();
    result.push_back(std::chrono::duration<double>(Clock::now() - begin).count() / inner);
  }
  return result;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

}  // namespace

int main() {
  using namespace diffrt;
  // One tile: the distance image from a block of inverse depths.
  alignas(64) static float inverse_depth[256], image[256];
  alignas(64) static std::int32_t ids[256];
  std::fill_n(inverse_depth, 256, 0.5f);
  kernels::value_of_depth_arguments arguments;
  arguments.tiles_x = 1, arguments.fx = 20, arguments.fy = 20, arguments.cx = 8, arguments.cy = 8,
  arguments.channels = 1;
  arguments.inverse_depth = runtime::array(inverse_depth), arguments.ids = runtime::array(ids),
  arguments.image = runtime::array(image);
  const auto kernel = runtime::active_level().kernels->value_of_depth[kernels::output_distance];
  const std::vector<double> launch = seconds_each([&] { runtime::launch(kernel, arguments, 0, 1); });

  // The whole of it, through the public interface: prepare, bin, visibility, values, image.
  RendererOptions options;
  options.free = {"ball.radius", "ball.center"};
  options.boundary = Boundary::none;
  Renderer renderer({{16, 16, 20, 20, 8, 8}, {{"ball", Sphere{{0, 0, 5}, 1}}}}, options);
  std::vector<float> pixels(256);
  const std::vector<double> theta = renderer.theta0();
  const std::vector<double> render = seconds_each([&] { renderer.render(theta, pixels); });
  NormalEquations equations;
  const Observation observation{ImageView::contiguous(pixels.data(), 16, 16), {}};
  const std::vector<double> normal =
      seconds_each([&] { renderer.normal_equations(theta, observation, {}, equations); });

  std::printf("%s: 16 x 16 kernel launch %.3f us, render %.3f us, normal equations %.3f us (medians)\n",
              isa_level().c_str(), 1e6 * median(launch), 1e6 * median(render), 1e6 * median(normal));
  std::printf("[");
  for (std::size_t i = 0; i < launch.size(); ++i) std::printf("%s%.4e", i > 0 ? ", " : "", launch[i]);
  std::printf("]\n");
  return image[0] > 0 ? 0 : 1;
}
