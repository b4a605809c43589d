// Exact boundaries from C++: rules, sums of columns, storage that is used again, and what a call allocates.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "diffrt/diffrt.hpp"

using namespace diffrt;

namespace {

constexpr int width = 70, height = 50;
constexpr std::size_t pixels = width * height;

Matrix4 translation(double x, double y, double z) {
  Matrix4 T = identity4;
  T[3] = x, T[7] = y, T[11] = z;
  return T;
}

Mesh pyramid(double x) {
  const std::vector<double> vertices = {-1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 1, 0, 0.1, 0.2, -1.2};
  const std::vector<std::int32_t> faces = {0, 1, 4, 1, 2, 4, 2, 3, 4, 3, 0, 4, 0, 2, 1, 0, 3, 2};
  return {std::make_shared<const std::vector<double>>(vertices),
          std::make_shared<const std::vector<std::int32_t>>(faces), translation(x, 0.1, 6)};
}

Scene scene() {
  return {{width, height, 60, 61, 34.4, 24.3},
          {{"ball", Sphere{{-0.9, -0.4, 5}, 0.8}},
           {"far", Sphere{{-1.6, 0.3, 7}, 0.9}},
           {"pyramid", pyramid(0.5)},
           {"loose", pyramid(1.4)},
           {"floor", Plane{{0, 1.5, 0}, {0.1, 2, -0.1}}}}};
}

const std::vector<std::string> names = {"ball.center",    "ball.radius", "far.center",  "pyramid.pose",
                                        "loose.vertices", "floor.point", "camera.pose", "camera.focal"};

RendererOptions options(std::vector<std::string> free = names, std::vector<Shown> outputs = {Output::mask}) {
  RendererOptions result;
  result.free = std::move(free);
  result.outputs = std::move(outputs);
  for (std::size_t i = 0; i < result.outputs.size(); ++i) result.background.push_back(0.0);
  return result;
}

template <class F>
std::string message_of(F&& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

// All that a renderer says about a theta, as numbers.
struct Answers {
  std::vector<float> image, rendered, dense, values;
  std::vector<std::int32_t> ids, columns;
  std::vector<std::int64_t> row_starts;
  std::vector<double> product, transposed, H, g;

  Answers(Renderer& renderer, const std::vector<double>& theta) {
    const auto C = static_cast<std::size_t>(renderer.channels()), P = renderer.parameters();
    image.resize(pixels * C), rendered = image, dense.resize(pixels * C * P), product.resize(pixels * C);
    transposed.resize(P);
    const Jacobian J = renderer.jacobian(theta, image);
    J.to_dense(dense);
    Jacobian::Sparse sparse = J.to_sparse();
    values = sparse.values, columns = sparse.columns, row_starts = sparse.row_starts;
    ids.assign(J.primitive_ids().begin(), J.primitive_ids().end());
    J.multiply(std::vector<double>(P, 0.25), product);
    J.multiply_transposed(std::vector<double>(pixels * C, 0.5), transposed);
    renderer.render(theta, rendered);
    const std::vector<float> observed(pixels * C, 0.3f);
    NormalEquations equations;
    renderer.normal_equations(
        theta, {ImageView::contiguous(observed.data(), height, width, static_cast<int>(C)), {}}, huber(0.1),
        equations);
    H = equations.H, g = equations.g;
  }
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

void check_same(const Answers& a, const Answers& b) {
  CHECK(same_bits(a.image, b.image));
  CHECK(same_bits(a.rendered, b.rendered));
  CHECK(same_bits(a.dense, b.dense));
  CHECK(same_bits(a.values, b.values));
  CHECK(a.ids == b.ids);
  CHECK(a.columns == b.columns);
  CHECK(a.row_starts == b.row_starts);
  CHECK(same_bits(a.product, b.product));
  CHECK(same_bits(a.transposed, b.transposed));
  CHECK(same_bits(a.H, b.H));
  CHECK(same_bits(a.g, b.g));
}

// The scene's theta with everything moved `far`: several tiles on, for 1.
std::vector<double> moved(const Renderer& renderer, double far) {
  std::vector<double> theta = renderer.theta0();
  for (std::size_t i = 0; i < theta.size(); ++i)
    theta[i] += 0.1 * far * std::sin(1.0 + static_cast<double>(i));
  theta[0] = renderer.theta0()[0] + 2 * far, theta[1] = renderer.theta0()[1] + 0.7 * far;
  return theta;
}

}  // namespace

TEST_CASE("boundaries are exact unless told otherwise") {
  CHECK(RendererOptions{}.boundary == Boundary::exact);
  Renderer renderer({{width, height, 60, 61, 34.4, 24.3}, {{"ball", Sphere{{0.1, -0.2, 5}, 1}}}},
                    options({"ball.radius"}));
  std::vector<float> image(pixels), dense(pixels);
  renderer.jacobian(renderer.theta0(), image).to_dense(dense);
  std::size_t partial = 0;
  double sum = 0;
  for (std::size_t p = 0; p < pixels; ++p) {
    partial += image[p] > 0 && image[p] < 1 ? 1 : 0;
    sum += static_cast<double>(dense[p]);
  }
  CHECK(partial > 50);
  // What the area of the ellipse grows by, in closed form: pi fx fy r^2 Z / (Z^2 - r^2)^(3/2), off the axis.
  const auto area = [](double r) {
    const double z2 = 25.0, s = z2 - r * r, c2 = 0.1 * 0.1 + 0.2 * 0.2;
    return 3.14159265358979 * 60 * 61 * r * r * std::sqrt(s + c2) / std::pow(s, 1.5);
  };
  CHECK(sum == doctest::Approx((area(1.001) - area(0.999)) / 0.002).epsilon(1e-4));
}

TEST_CASE("boundary rules are by the name of a shape that exists, each once") {
  RendererOptions given = options();
  given.rules = {{"bal", BoundaryRule::none}};
  const std::string message = message_of([&] { Renderer(scene(), given); });
  CHECK(message.find("rules") != std::string::npos);
  CHECK(message.find("'bal'") != std::string::npos);
  CHECK(message.find("ball") != std::string::npos);
  given.rules = {{"ball", BoundaryRule::none}, {"far", BoundaryRule::none}, {"ball", BoundaryRule::blend}};
  CHECK(message_of([&] { Renderer(scene(), given); }).find("'ball' is given twice") != std::string::npos);
  given.rules = {{"ball", BoundaryRule::none}};
  given.boundary = Boundary::none;
  CHECK(message_of([&] { Renderer(scene(), given); }).find("rules") != std::string::npos);
}

TEST_CASE("each rule does what its name says, to its object alone") {
  const auto image_with = [](std::vector<std::pair<std::string, Rule>> rules, Boundary boundary) {
    RendererOptions given = options({});
    given.rules = std::move(rules);
    given.boundary = boundary;
    Renderer renderer({{width, height, 60, 61, 34.4, 24.3},
                       {{"left", Sphere{{-1.2, 0.1, 5}, 0.8}}, {"right", pyramid(1.2)}}},
                      given);
    std::vector<float> image(pixels);
    renderer.render(renderer.theta0(), image);
    return image;
  };
  const auto plain = image_with({}, Boundary::none), exact = image_with({}, Boundary::exact);
  const auto blend = image_with({{"left", BoundaryRule::blend}}, Boundary::exact);
  const auto none = image_with({{"left", BoundaryRule::none}}, Boundary::exact);
  const auto foreground = image_with({{"left", BoundaryRule::foreground}}, Boundary::exact);
  CHECK(same_bits(blend, exact));
  std::size_t left = 0, right = 0;
  for (std::size_t p = 0; p < pixels; ++p) {
    if (p % width >= width / 2) {
      CHECK(none[p] == exact[p]);
      CHECK(foreground[p] == exact[p]);
      right += exact[p] > 0 && exact[p] < 1 ? 1 : 0;
    } else {
      CHECK(none[p] == plain[p]);
      CHECK(foreground[p] == (exact[p] > 0 ? 1.0f : 0.0f));
      left += exact[p] > 0 && exact[p] < 1 ? 1 : 0;
    }
  }
  CHECK(left > 30);
  CHECK(right > 30);
}

TEST_CASE("storage that is used again holds what fresh storage would") {
  for (const bool one_primitive : {false, true}) {
    for (const std::vector<Shown>& outputs :
         {std::vector<Shown>{Output::mask}, {Output::depth, Output::normal}}) {
      Scene shown = scene();
      if (one_primitive) shown.shapes.resize(1);
      const auto free = one_primitive ? std::vector<std::string>{"ball.center", "ball.radius"} : names;
      Renderer used(shown, options(free, outputs));
      // Silhouettes leave tiles and enter others, and come back.
      for (const double far : {0.0, 0.3, 1.0, 0.3, -0.6, 0.0}) {
        Renderer fresh(shown, options(free, outputs));
        const std::vector<double> theta = moved(used, far);
        check_same(Answers(used, theta), Answers(fresh, theta));
      }
    }
  }
}

TEST_CASE("a Jacobian keeps its numbers while its renderer goes on") {
  Renderer renderer(scene(), options());
  const std::size_t P = renderer.parameters();
  std::vector<float> image(pixels), before(pixels * P), after(pixels * P);
  const Jacobian held = renderer.jacobian(renderer.theta0(), image);
  held.to_dense(before);
  for (const double far : {0.5, 1.0}) renderer.jacobian(moved(renderer, far), image);
  held.to_dense(after);
  CHECK(same_bits(before, after));
}

TEST_CASE("a mask alone pulls a silhouette to where it was seen") {
  Scene shown{{width, height, 60, 61, 34.4, 24.3},
              {{"pyramid", pyramid(0.2)}, {"ball", Sphere{{-1.3, 0.2, 5}, 0.7}}}};
  Renderer renderer(shown, options({"pyramid.pose", "ball.center"}));
  std::vector<float> observed(pixels);
  renderer.render(renderer.theta0(), observed);
  std::vector<double> start = renderer.theta0();
  for (std::size_t i = 0; i < start.size(); ++i) start[i] += 0.02 * std::cos(2.0 * static_cast<double>(i));
  const SolveResult result =
      fit(renderer, {ImageView::contiguous(observed.data(), height, width), {}}, start);
  CHECK(converged(result.status));
  CHECK(result.cost < 1e-9);
  for (std::size_t i = 0; i < start.size(); ++i)
    CHECK(result.theta[i] == doctest::Approx(renderer.theta0()[i]).epsilon(1e-5));
}
