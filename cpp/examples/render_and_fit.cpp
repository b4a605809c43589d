// Renders a sphere, starts 0.1 off in its radius and in each coordinate of its centre, and fits it back.
//
//   cmake --build build/dev --target render_and_fit && build/dev/render_and_fit
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "diffrt/diffrt.hpp"

namespace {

constexpr int width = 640, height = 480;
const std::vector<double> truth = {10, 10, 10, 100};  // radius, centre

diffrt::Renderer make_renderer(const std::vector<double>& sphere) {
  const diffrt::PinholeCamera camera{width, height, 400, 400, 320, 240};
  diffrt::RendererOptions options;
  options.free = {"ball.radius", "ball.center"};
  options.outputs = {diffrt::Output::distance};
  options.boundary = diffrt::Boundary::none;
  return {{camera, {{"ball", diffrt::Sphere{{sphere[1], sphere[2], sphere[3]}, sphere[0]}}}}, options};
}

// At the silhouette the image jumps, which the interior's derivative does not see: NaN drops the pixels
// there.
std::vector<float> without_silhouette(const std::vector<float>& image) {
  std::vector<float> inside(image.size(), std::numeric_limits<float>::quiet_NaN());
  for (int row = 2; row < height - 2; ++row) {
    for (int column = 2; column < width - 2; ++column) {
      bool all = true;
      for (int i = -2; i <= 2; ++i) {
        for (int j = -2; j <= 2; ++j) all = all && !std::isnan(image[(row + i) * width + column + j]);
      }
      if (all) inside[row * width + column] = image[row * width + column];
    }
  }
  return inside;
}

}  // namespace

int main() {
  std::vector<float> observed(width * height);
  make_renderer(truth).render(truth, observed);
  observed = without_silhouette(observed);

  diffrt::Renderer renderer = make_renderer({10.1, 10.1, 10.1, 100.1});
  std::vector<float> image(width * height);
  const diffrt::Jacobian J = renderer.jacobian(renderer.theta0(), image);
  std::printf("image %d x %d, %zu columns, x86 level %s\n", J.width(), J.height(), J.parameters(),
              diffrt::isa_level().c_str());

  const diffrt::Observation observation{diffrt::ImageView::contiguous(observed.data(), height, width), {}};
  const diffrt::SolveResult result = diffrt::fit(renderer, observation, renderer.theta0());
  const std::vector<std::string> names = {"radius", "center.x", "center.y", "center.z"};
  std::printf("%s\n", diffrt::summary(result, names).c_str());

  double largest = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    std::printf("%-9s %9.4f -> %12.7f\n", names[i].c_str(), renderer.theta0()[i], result.theta[i]);
    largest = std::fmax(largest, std::fabs(result.theta[i] - truth[i]));
  }
  if (!diffrt::converged(result.status) || !(largest < 1e-4)) {
    std::printf("wrong: the largest error is %g\n", largest);
    return 1;
  }
  return 0;
}
