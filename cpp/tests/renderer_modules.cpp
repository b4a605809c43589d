// Boundary rules and losses that are models, from C++.
#include <doctest/doctest.h>

#include <string>

#include "allocation_count.hpp"
#include "diffrt/diffrt.hpp"
#include "module_builder.hpp"

using namespace diffrt;

namespace {

// for (long i = 0; i < 8 * (a->end - a->begin); ++i)
//   a->out[i] = a->inputs[8 * a->begin + i], a->out[a->stride + i] = 1;
const unsigned char front[] = {
    0x31, 0xd2, 0x48, 0x63, 0x0f, 0x8b, 0x47, 0x04, 0x29, 0xc8, 0x48, 0x98, 0x48, 0xc1, 0xe0, 0x03, 0x48,
    0x39, 0xd0, 0x7e, 0x2d, 0x48, 0x8b, 0x47, 0x30, 0x48, 0x8d, 0x0c, 0xca, 0xf3, 0x0f, 0x10, 0x04, 0x88,
    0x48, 0x8b, 0x47, 0x58, 0xf3, 0x0f, 0x11, 0x04, 0x90, 0x48, 0x8b, 0x4f, 0x10, 0x48, 0x8b, 0x47, 0x58,
    0x48, 0x01, 0xd1, 0x48, 0xff, 0xc2, 0xc7, 0x04, 0x88, 0x00, 0x00, 0x80, 0x3f, 0xeb, 0xc0, 0xc3,
};
// for (long i = 0; i < 8 * (a->end - a->begin); ++i)
//   a->out[i] = a->constants[0] * a->inputs[8 * a->begin + i], a->out[a->stride + i] = a->constants[0];
const unsigned char scaled[] = {
    0x48, 0x89, 0xf8, 0x31, 0xc9, 0x48, 0x63, 0x30, 0x8b, 0x50, 0x04, 0x29, 0xf2, 0x48, 0x63,
    0xd2, 0x48, 0xc1, 0xe2, 0x03, 0x48, 0x39, 0xca, 0x7e, 0x3c, 0x48, 0x8b, 0x78, 0x30, 0x4c,
    0x8d, 0x04, 0xf1, 0x48, 0x8b, 0x70, 0x28, 0x48, 0x8b, 0x50, 0x58, 0xf3, 0x42, 0x0f, 0x10,
    0x04, 0x87, 0xf3, 0x0f, 0x59, 0x06, 0xf3, 0x0f, 0x11, 0x04, 0x8a, 0x48, 0x8b, 0x50, 0x28,
    0x48, 0x8b, 0x70, 0x10, 0xf3, 0x0f, 0x10, 0x02, 0x48, 0x8b, 0x50, 0x58, 0x48, 0x01, 0xce,
    0x48, 0xff, 0xc1, 0xf3, 0x0f, 0x11, 0x04, 0xb2, 0xeb, 0xb0, 0xc3,
};

// A rule that shows what is in front, an output that is the depth, and a loss of c times the square.
Module module_by_hand() {
  std::string code(front, front + sizeof front);
  const std::string second = std::to_string(code.size());
  code.append(scaled, scaled + sizeof scaled);
  const std::string nothing = std::to_string(code.size() - 1);  // ret
  const auto entries = [&](const std::string& rows) {
    return "uniforms 0\nentry x64_v2 prepare " + nothing + "\nentry x64_v2 value " + rows +
           "\nentry x64_v2 rows " + rows + "\n";
  };
  return Module::from_bytes(tests::build({code}, [&](const std::vector<std::size_t>& at) {
    return "producer by hand\nsection x64_v2 " + std::to_string(at[0]) + " " + std::to_string(code.size()) +
           " 8\nmodel front\noutput -\nargument pixel item - 0\nargument inside per_item_free - 0\n"
           "slot 1 0 -1\nplane 0 0\n" +
           entries("0") +
           "end front\nmodel plain\noutput -\nargument pixel item - 0\nargument z per_item_free - 0\n"
           "slot 1 0 -1\nplane 0 0\n" +
           entries("0") +
           "end plain\nmodel scaled\noutput -\nargument pixel item - 0\nargument c constant - 0\n"
           "argument squared per_item_free - 0\nslot 2 0 -1\nplane 0 0\n" +
           entries(second) + "end scaled\n";
  }));
}

constexpr int width = 60, height = 40;

Renderer renderer_with(Rule rule, const std::string& device = "cpu", Shown output = Output::depth) {
  RendererOptions options;
  options.free = {"ball.center", "ball.radius", "far.radius"};
  options.outputs = {std::move(output), Output::normal};
  options.background = {9.0, 0.0};
  options.rules = {{"ball", std::move(rule)}};
  options.threads = 2, options.device = device;
  return Renderer({{width, height, 60, 60, 30, 20},
                   {{"ball", Sphere{{0.2, 0, 5}, 0.8}}, {"far", Sphere{{-0.5, 0.3, 7}, 0.9}}}},
                  options);
}

}  // namespace

TEST_CASE("a rule that is a model is as one that is built in") {
  const Module module = module_by_hand();
  Renderer ours = renderer_with(module.model("front")), theirs = renderer_with(BoundaryRule::foreground),
           blended = renderer_with(BoundaryRule::blend);
  const std::size_t size = 4 * ours.pixels(), P = ours.parameters();
  std::vector<float> image(size), expected(size), J(size * P), expected_J(size * P);
  ours.jacobian(ours.theta0(), image).to_dense(J),
      theirs.jacobian(ours.theta0(), expected).to_dense(expected_J);
  CHECK(image == expected);
  CHECK(J == expected_J);
  blended.render(ours.theta0(), image);
  CHECK(image != expected);
}

TEST_CASE("an output that is a model is as one that is built in") {
  const Module module = module_by_hand();
  Renderer ours = renderer_with(BoundaryRule::blend, "cpu", module.model("plain")),
           theirs = renderer_with(BoundaryRule::blend);
  const std::size_t size = 4 * ours.pixels(), P = ours.parameters();
  std::vector<float> image(size), expected(size), J(size * P), expected_J(size * P);
  ours.jacobian(ours.theta0(), image).to_dense(J);
  theirs.jacobian(ours.theta0(), expected).to_dense(expected_J);
  CHECK(image == expected);
  CHECK(J == expected_J);
  CHECK(renderer_with(BoundaryRule::blend, "auto", module.model("plain")).device() == "cpu");
  CHECK_THROWS_WITH_AS(renderer_with(BoundaryRule::blend, "cpu", module.model("front")),
                       doctest::Contains("outputs: 'front': the model front is not an output"),
                       ArgumentError);
}

TEST_CASE("a loss that is a model") {
  Model scaled = module_by_hand().model("scaled");
  CHECK_THROWS_WITH_AS(model_loss(scaled), doctest::Contains("loss: the constant c of scaled has no value"),
                       ArgumentError);
  CHECK_THROWS_WITH_AS(scaled.with_constants({{"d", {1.0}}}),
                       doctest::Contains("scaled: has no constant 'd'"), ArgumentError);
  CHECK_THROWS_WITH_AS(scaled.with_constants({{"c", {1.0, 2.0}}}),
                       doctest::Contains("c: has 2 numbers, expected 1"), ArgumentError);
  CHECK_THROWS_WITH_AS(model_loss(scaled.with_constants({{"c", {-1.0}}})),
                       doctest::Contains("with the derivative -1, where squared is"), ArgumentError);
  const Loss loss = model_loss(scaled.with_constants({{"c", {5.0}}}).with_constants({{"c", {2.0}}}));
  Renderer renderer = renderer_with(BoundaryRule::blend);
  std::vector<float> observed(4 * renderer.pixels());
  renderer.render(renderer.theta0(), observed);
  for (std::size_t i = 0; i < observed.size(); i += 3) observed[i] += 0.25f;
  const Observation observation{ImageView::contiguous(observed.data(), height, width, 4), {}};
  NormalEquations ours, theirs;
  renderer.normal_equations(renderer.theta0(), observation, loss, ours);
  renderer.normal_equations(renderer.theta0(), observation, {}, theirs);
  CHECK(ours.cost == doctest::Approx(2 * theirs.cost).epsilon(1e-6));
  CHECK(ours.weighted_squares == doctest::Approx(2 * theirs.weighted_squares).epsilon(1e-6));
  CHECK(ours.count == theirs.count);
  for (std::size_t i = 0; i < ours.H.size(); ++i)
    CHECK(ours.H[i] == doctest::Approx(2 * theirs.H[i]).epsilon(1e-6));
  std::vector<float> weights(2);
  model_weights(loss, std::vector<float>{0.5f, 3.0f}, weights);
  CHECK(weights == std::vector<float>{2.0f, 2.0f});
  CHECK_THROWS_AS(renderer.cost(renderer.theta0(), observation, {Loss::Kind::model, 1, 1}, ours),
                  ArgumentError);
}

TEST_CASE("nothing is allocated after the first call, with a rule, an output and a loss that are models") {
  const Module module = module_by_hand();
  const Loss loss = model_loss(module.model("scaled").with_constants({{"c", {2.0}}}));
  Renderer renderer = renderer_with(module.model("front"), "cpu", module.model("plain"));
  std::vector<float> image(4 * renderer.pixels());
  const Observation observation{ImageView::contiguous(image.data(), height, width, 4), {}};
  NormalEquations equations;
  const auto round = [&] {
    renderer.render(renderer.theta0(), image);
    renderer.normal_equations(renderer.theta0(), observation, loss, equations);
    renderer.cost(renderer.theta0(), observation, loss, equations);
  };
  round();
  const long before = tests::allocation_count();
  for (int i = 0; i < 5; ++i) round();
  CHECK(tests::allocation_count() == before);
}
