// Fits a model of one's own, the sphere of examples/models, inside its outline.
//
//   diffrt-aot compile examples/models/sphere.py -o models.dra
//   cmake --build build/dev --target fit_model && build/dev/fit_model models.dra
#include <cmath>
#include <cstdio>
#include <exception>
#include <limits>
#include <vector>

#include "diffrt/diffrt.hpp"

namespace {

int run(const char* path) {
  const diffrt::Module module = diffrt::Module::load(path);  // native code: load what you trust
  diffrt::ModelData data({480, 640});
  data.set("focal", {400.0}).set("principal", {320.0, 240.0});
  diffrt::BoundModel sphere(module.model("sphere"), data);

  std::vector<double> theta = {10, 10, 10, 100};  // radius, centre, as sphere.blocks() says
  std::vector<float> image(sphere.values());
  const diffrt::Jacobian J = sphere.jacobian(theta, image);
  std::printf("image %d x %d, %zu columns, %s\n", sphere.width(), sphere.height(), J.parameters(),
              module.target().c_str());

  std::vector<float> observed = image;
  for (float& x : observed)
    if (x == 0) x = std::numeric_limits<float>::quiet_NaN();  // the background: no residual
  const diffrt::Observation observation{diffrt::ImageView::contiguous(observed.data(), 480, 640), {}};
  const std::vector<double> start = {10.05, 10.01, 10.01, 100.05};
  const diffrt::SolveResult result = diffrt::fit(sphere, observation, start);
  const std::vector<std::string> names = {"radius", "center.x", "center.y", "center.z"};
  std::printf("%s\n", diffrt::summary(result, names).c_str());
  double largest = 0;
  for (std::size_t i = 0; i < theta.size(); ++i)
    largest = std::fmax(largest, std::fabs(result.theta[i] - theta[i]));
  std::printf("the largest error is %.1e\n", largest);
  return diffrt::converged(result.status) && largest < 1e-3 ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr,
                 "usage: fit_model FILE, which diffrt-aot compile wrote of examples/models/sphere.py\n");
    return 2;
  }
  try {
    return run(arguments[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fit_model: %s\n", error.what());
    return 1;
  }
}
