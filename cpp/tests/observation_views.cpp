// What an observation's views are checked for, without looking at a pixel.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "diffrt/diffrt.hpp"

using namespace diffrt;

namespace {

constexpr int height = 24, width = 32;

Renderer make_renderer(std::vector<Shown> outputs = {Output::depth}) {
  RendererOptions options;
  options.free = {"ball.radius"};
  options.outputs = std::move(outputs);
  options.boundary = Boundary::none;
  return {{{width, height, 30, 30, 15.5, 11.5}, {{"ball", Sphere{{0, 0, 5}, 1}}}}, options};
}

struct Costs {
  double cost;
  std::size_t count;
};

Costs cost(Renderer& renderer, const Observation& observation) {
  NormalEquations result;
  renderer.cost(renderer.theta0(), observation, {}, result);
  return {result.cost, result.count};
}

template <class F>
std::string refusal(F&& call) {
  try {
    call();
  } catch (const ArgumentError& error) {
    return error.what();
  }
  return "";
}

// Every call that takes an observation refuses this one, with a text that begins so; and nothing has changed.
void check_refused(Renderer& renderer, const Observation& observation, const std::string& text) {
  CAPTURE(text);
  const std::vector<double>& theta = renderer.theta0();
  std::vector<float> before(renderer.pixels() * static_cast<std::size_t>(renderer.channels())), after(before);
  renderer.render(theta, before);
  NormalEquations equations;
  double M[1];
  const auto refused = [&](const std::string& got) {
    CAPTURE(got);
    CHECK(got.rfind(text, 0) == 0);
  };
  refused(refusal([&] { renderer.cost(theta, observation, {}, equations); }));
  refused(refusal([&] { renderer.normal_equations(theta, observation, {}, equations); }));
  refused(refusal([&] { renderer.gradient_scatter(theta, observation, {}, M); }));
  refused(refusal([&] { renderer.check(observation); }));
  refused(refusal([&] { ImageProblem(renderer, observation, {}); }));
  refused(refusal([&] { fit(renderer, observation, theta); }));
  refused(refusal([&] { fit(renderer, observation, theta, {}, {}, 2); }));
  renderer.render(theta, after);
  for (std::size_t i = 0; i < before.size(); ++i)
    CHECK((before[i] == after[i] || (std::isnan(before[i]) && std::isnan(after[i]))));
}

}  // namespace

TEST_CASE("An image of another size than the camera's is refused by every call") {
  Renderer renderer = make_renderer();
  std::vector<float> small(64);
  const auto view = [&](int h, int w, int c = 1) { return ImageView::contiguous(small.data(), h, w, c); };
  check_refused(renderer, {view(8, 8), {}}, "observed: is 8 x 8 (height x width), but the camera is 24 x 32");
  check_refused(
      renderer, {view(width, height), {}},
      "observed: is 32 x 24 (height x width), but the camera is 24 x 32; perhaps height and width are");
  check_refused(renderer, {view(-24, 32), {}}, "observed: is -24 x 32");
  check_refused(renderer, {view(0, 0), {}}, "observed: is 0 x 0");
  check_refused(renderer, {view(width, 4), {}}, "observed: is 32 x 4");  // (width, channels), as it once was
  check_refused(renderer, {view(24, 32, 3), {}}, "observed: is 24 x 32 x 3 (height x width x channels), but");
  check_refused(renderer, {view(24, 32, 0), {}}, "observed: is 24 x 32 x 0");
  check_refused(renderer, {{}, {}}, "observed: is empty");
  check_refused(renderer, {ImageView::contiguous<float>(nullptr, 24, 32), {}},
                "observed: its pointer is null");
  check_refused(renderer, {ImageView::on_device_at<double>(4096, 24, 32), {}}, "observed: is on a GPU");
  check_refused(renderer, {ImageView::on_device_at<float>(4096, 32, 24), {}}, "observed: is 32 x 24");

  std::vector<float> image(renderer.pixels(), 5.0f);
  const ImageView good = ImageView::contiguous(image.data(), height, width);
  CHECK(cost(renderer, {good, {}}).count > 0);
  check_refused(renderer, {good, view(8, 8)}, "weights: is 8 x 8");
  check_refused(renderer, {good, view(24, 32, 2)}, "weights: is 24 x 32 x 2");
  check_refused(renderer, {good, ImageView::contiguous<float>(nullptr, 24, 32)},
                "weights: its pointer is null");
  CHECK(refusal([&] { renderer.fetch(view(8, 8), image); }).find("image: is on the host already") == 0);
  CHECK(refusal([&] {
          renderer.fetch(ImageView::on_device_at<float>(64, 8, 8), image);
        }).find("image: is 8 x 8") == 0);
}

TEST_CASE("Views with strides that repeat, go backwards, or skip") {
  Renderer renderer = make_renderer();
  const std::size_t pixels = renderer.pixels();
  std::vector<float> image(pixels);
  renderer.render(std::vector<double>{1.1}, image);
  const ImageView plain = ImageView::contiguous(image.data(), height, width);
  const Costs expected = cost(renderer, {plain, {}});
  REQUIRE(expected.count > 0);
  const auto same = [&](const Observation& observation) {
    const Costs got = cost(renderer, observation);
    return got.cost == expected.cost && got.count == expected.count;
  };

  std::vector<float> backwards(image.rbegin(), image.rend());
  ImageView view = ImageView::contiguous(&backwards.back(), height, width);
  view.row_stride = -view.row_stride, view.column_stride = -view.column_stride;
  CHECK(same({view, {}}));

  std::vector<double> wide(pixels * 3, -1);
  for (std::size_t i = 0; i < pixels; ++i) wide[3 * i] = static_cast<double>(image[i]);
  view = ImageView::contiguous(wide.data(), height, width, 3);
  view.channels = 1;
  CHECK(same({view, {}}));

  const float one = 1, two = 2;
  CHECK(same({plain, {&one, false, height, width, 1, 0, 0, 0}}));
  CHECK(cost(renderer, {plain, {&two, false, height, width, 1, 0, 0, 0}}).cost ==
        doctest::Approx(2 * expected.cost));
  CHECK(cost(renderer, {{&two, false, height, width, 1, 0, 0, 0}, {}}).count == expected.count);
}

TEST_CASE("Weights of one channel are for all") {
  Renderer renderer = make_renderer({Output::depth, Output::normal});
  std::vector<float> image(renderer.pixels() * 4), weights(renderer.pixels()), all(image.size());
  renderer.render(std::vector<double>{1.1}, image);
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i] = weights[i / 4] = 0.5f + static_cast<float>((i / 4) % 7);
  const ImageView observed = ImageView::contiguous(image.data(), height, width, 4);
  const ImageView one = ImageView::contiguous(weights.data(), height, width);
  const Costs expected = cost(renderer, {observed, ImageView::contiguous(all.data(), height, width, 4)});
  CHECK(expected.cost > 0);
  CHECK(cost(renderer, {observed, one}).cost == expected.cost);
  CHECK(fit(renderer, {observed, one}, renderer.theta0(), {}, {}, 2).theta[0] == doctest::Approx(1.1));

  ImageView wrong = one;
  wrong.channel_stride = 4;
  check_refused(renderer, {observed, wrong}, "weights: has one channel for 4; let its channel_stride be 0");
  check_refused(renderer, {one, {}}, "observed: is 24 x 32 (height x width x channels), but the renderer's");
}
