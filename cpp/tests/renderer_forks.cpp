// Renderers that a callback of a fit uses, and renderers and devices in a child that fork() made.
#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <thread>

#include "device_list.hpp"
#include "diffrt/diffrt.hpp"
#include "forked.hpp"
#include "runtime/devices.hpp"
#include "runtime/sequence.hpp"

using namespace diffrt;

namespace {

constexpr int width = 40, height = 30;

Renderer make_renderer(int threads = 2, const std::string& device = "cpu") {
  RendererOptions options;
  options.free = {"ball.center", "ball.radius"};
  options.outputs = {Output::depth};
  options.threads = threads;
  options.device = device;
  return {{{width, height, 35, 35, 19.5, 14.5},
           {{"ball", Sphere{{0.1, -0.2, 5}, 1}}, {"wall", Plane{{0, 0, 7}, {0.1, 0, -1}}}}},
          options};
}

using Image = std::vector<float>;

Image image_of(Renderer& renderer, double shift = 0) {
  std::vector<double> theta = renderer.theta0();
  theta[0] += shift;
  Image image(renderer.pixels());
  renderer.render(theta, image);
  return image;
}

SolveResult fit_to(Renderer& renderer, const Image& image, int levels = 1,
                   const StepCallback& callback = {}) {
  SolveOptions options;
  options.callback = callback;
  std::vector<double> start = renderer.theta0();
  start[0] += 0.4, start[2] += 0.5;
  return fit(renderer, {ImageView::contiguous(image.data(), height, width), {}}, start, huber(0.05), options,
             levels);
}

bool same(const SolveResult& a, const SolveResult& b) {
  bool same = a.theta == b.theta && a.cost == b.cost && a.H == b.H && a.status == b.status &&
              a.history.size() == b.history.size();
  for (std::size_t k = 0; same && k < a.history.size(); ++k)
    same = a.history[k].cost == b.history[k].cost && a.history[k].gain_ratio == b.history[k].gain_ratio;
  return same;
}

std::vector<std::string> all_devices() {
  std::vector<std::string> names = {"cpu"};
  for (const std::string& name : devices()) {
    if (name == "vulkan:0") names.push_back(name);
  }
  return names;
}

bool refused(const std::function<void()>& call) {
  try {
    call();
  } catch (const DeviceError& error) {
    return std::string(error.what()).find("before fork()") != std::string::npos;
  }
  return false;
}

}  // namespace

TEST_CASE("a callback may use the renderer, for a fit as well, and the fit stays as it is") {
  for (const std::string& device : all_devices()) {
    for (const int levels : {1, 2}) {
      CAPTURE(device);
      CAPTURE(levels);
      Renderer renderer = make_renderer(2, device);
      const Image observed = image_of(renderer, 0.02), other = image_of(renderer, 0.3);
      const SolveResult alone = fit_to(renderer, observed, levels);
      REQUIRE(alone.history.size() > 4);
      const SolveResult with = fit_to(renderer, observed, levels, [&](const StepRecord&, Span<const double>) {
        image_of(renderer);
        fit_to(renderer, other);
        return true;
      });
      CHECK(same(alone, with));
    }
  }
}

TEST_CASE("a child goes on with its parent's renderers, and makes its own" *
          doctest::skip(tests::cannot_fork)) {
  Renderer renderer = make_renderer(3);
  const Image image = image_of(renderer, 0.02);
  const SolveResult found = fit_to(renderer, image);
  const auto goes_on = [&] {
    Renderer own = make_renderer(3);
    return same(fit_to(renderer, image), found) && same(fit_to(own, image), found);
  };
  CHECK(tests::true_in_child(goes_on));
  CHECK(tests::true_in_child([&] { return tests::true_in_child(goes_on); }));
  CHECK(tests::true_in_child([&] {
    Jacobian J = renderer.jacobian(renderer.theta0(), {});
    const Renderer gone = std::move(renderer);
    return J.parameters() == 4;
  }));
  // In a callback.
  std::atomic<int> right{0};
  fit_to(renderer, image, 1, [&](const StepRecord&, Span<const double>) {
    right += tests::true_in_child(goes_on) ? 1 : 0;
    return right < 3;
  });
  CHECK(right == 3);
}

TEST_CASE("a fork while other threads make renderers, and ask for devices" *
          doctest::skip(tests::cannot_fork_amid_threads)) {
  std::atomic<bool> stop{false};
  std::thread makes([&] {
    while (!stop) make_renderer(4);
  });
  std::thread asks([&] {
    while (!stop) devices();
  });
  for (int k = 0; k < 20; ++k) {
    CHECK(tests::true_in_child([] {
      Renderer own = make_renderer(4);
      image_of(own);
      return devices().front() == "cpu";
    }));
  }
  stop = true;
  makes.join(), asks.join();
}

TEST_CASE("a device that was opened before fork() is refused in the child, and its driver left alone" *
          doctest::skip(tests::cannot_fork)) {
  tests::on_every_device([](const std::shared_ptr<runtime::Device>& opened) {
    std::shared_ptr<runtime::Device> device = opened;
    const std::string name = device->details().device;
    runtime::DeviceBuffer<float> memory(*device, 100), staging(*device, 100, runtime::Memory::upload);
    std::unique_ptr<runtime::Sequence> sequence = device->make_sequence();
    sequence->copy(memory.array(), staging.array());
    sequence->finish(), sequence->run(), sequence->wait();
    CHECK(tests::true_in_child([&] {
      const bool all_refused =
          refused([&] { runtime::open_device(name); }) && refused([&] { make_renderer(1, name); }) &&
          refused([&] { sequence->run(); }) && refused([&] { runtime::DeviceBuffer<float>(*device, 1); }) &&
          refused([&] { device->check_usable(); });
      sequence.reset();
      memory = {}, staging = {};
      device.reset();
      runtime::close_unused_devices();
      Renderer own = make_renderer();
      image_of(own);
      return all_refused && devices() == std::vector<std::string>{"cpu"} && missing_devices().size() == 2;
    }));
  });
}

TEST_CASE("the CUDA driver is not called in a child" * doctest::skip(tests::cannot_fork)) {
  const tests::FakeCudaSession cuda;
  std::shared_ptr<runtime::Device> device = runtime::open_device("cuda");
  const auto memory = std::make_unique<runtime::DeviceBuffer<float>>(*device, 100);
  CHECK(tests::true_in_child([&] {
    const long calls = cuda->all_calls();
    const bool all_refused =
        refused([&] { runtime::open_device("cuda"); }) && refused([&] { device->check_usable(); });
    devices(), device.reset(), runtime::close_unused_devices();
    return all_refused && cuda->all_calls() == calls;
  }));
}

TEST_CASE("results of a GPU in a child: an error, and nothing hangs when they go" *
          doctest::skip(tests::cannot_fork)) {
  for (const std::string& name : all_devices()) {
    if (name == "cpu") continue;
    Renderer renderer = make_renderer(1, name);
    const Image observed = image_of(renderer);
    DeviceArray image;
    Jacobian J = renderer.jacobian_on_device(renderer.theta0(), &image);
    CHECK(tests::true_in_child([&] {
      Image out(renderer.pixels());
      std::vector<double> v(renderer.parameters()), product(renderer.pixels());
      const bool all_refused =
          refused([&] { image_of(renderer); }) && refused([&] { fit_to(renderer, observed); }) &&
          refused([&] { renderer.jacobian_on_device(renderer.theta0(), nullptr); }) &&
          refused([&] { image.fetch(out); }) && refused([&] { image.copy(); }) &&
          refused([&] { J.dense_on_device(); }) && refused([&] { J.multiply(v, product); });
      image = {}, J = {};
      const Renderer gone = std::move(renderer);
      return all_refused;
    }));
  }
}
