// The normal equations of one Gauss-Newton step: a sphere's centre in a depth image.
#include <diffrt/diffrt.hpp>

#include <cstdio>
#include <vector>

int main() {
  const diffrt::PinholeCamera camera{320, 240, 200, 200, 159.5, 119.5};
  diffrt::RendererOptions options;
  options.free = {"ball.center"};
  options.outputs = {diffrt::Output::depth};
  options.boundary = diffrt::Boundary::none;
  diffrt::Renderer renderer({camera, {{"ball", diffrt::Sphere{{0, 0, 2}, 0.5}}}}, options);

  std::vector<float> observed(renderer.pixels());
  renderer.render(std::vector<double>{0.0, 0.0, 2.01}, observed);
  diffrt::NormalEquations equations;
  renderer.normal_equations(renderer.theta0(), {diffrt::ImageView::contiguous(observed.data(), 240, 320), {}},
                            diffrt::huber(0.05), equations);
  std::printf("diffrt_aot %s: %zu residuals, cost %g, -g_z / H_zz = %g\n", diffrt::version().c_str(),
              equations.count, equations.cost, -equations.g[2] / equations.H[8]);
  return equations.count > 1000 && equations.g[2] < 0 ? 0 : 1;
}
