// The C++ interface: images, columns against central differences, fits, errors, repeatability.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "diffrt/diffrt.hpp"

using namespace diffrt;

namespace {

constexpr int width = 90, height = 70;

Matrix4 translation(double x, double y, double z) {
  Matrix4 T = identity4;
  T[3] = x, T[7] = y, T[11] = z;
  return T;
}

Mesh pyramid() {
  const std::vector<double> vertices = {-1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 1, 0, 0, 0, -1.2};
  const std::vector<std::int32_t> faces = {0, 1, 4, 1, 2, 4, 2, 3, 4, 3, 0, 4, 0, 2, 1, 0, 3, 2};
  return {std::make_shared<const std::vector<double>>(vertices),
          std::make_shared<const std::vector<std::int32_t>>(faces), translation(0.3, 0.1, 6)};
}

Scene scene() {
  return {{width, height, 80, 82, 44.5, 34.5, translation(0.1, -0.05, 0.2)},
          {{"ball", Sphere{{-1, -0.4, 5}, 0.8}},
           {"pyramid", pyramid()},
           {"floor", Plane{{0, 1.5, 0}, {0.1, 2, -0.1}}}}};
}

RendererOptions options(std::vector<std::string> free, int threads = 0) {
  RendererOptions result;
  result.free = std::move(free);
  result.outputs = {Output::depth, Output::normal};
  result.boundary = Boundary::none;
  result.threads = threads;
  return result;
}

const std::vector<std::string> all_free = {"ball.center",  "ball.radius", "pyramid.pose", "floor.point",
                                           "floor.normal", "camera.pose", "camera.focal", "camera.principal"};

template <class F>
std::string message_of(F&& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("columns are the derivative of the image, at a theta with moved poses") {
  Renderer renderer(scene(), options(all_free));
  const std::size_t P = renderer.parameters(), C = static_cast<std::size_t>(renderer.channels()),
                    pixels = renderer.pixels();
  CHECK(P == 3 + 1 + 6 + 3 + 3 + 6 + 2 + 2);
  CHECK(C == 4);
  std::vector<double> theta = renderer.theta0();
  for (std::size_t i = 0; i < P; ++i) theta[i] += 0.01 * std::sin(1.0 + static_cast<double>(i));
  std::vector<float> image(pixels * C), forward(pixels * C), backward(pixels * C), dense(pixels * C * P);
  const Jacobian J = renderer.jacobian(theta, image);
  J.to_dense(dense);
  for (std::size_t k = 0; k < P; ++k) {
    // Wide steps: the image is float32. Pixels that change their primitive are left out by the size of the
    // second difference.
    const double h = 1e-3 * std::max(1.0, std::abs(theta[k]));
    std::vector<double> moved = theta;
    moved[k] = theta[k] + h;
    renderer.render(moved, forward);
    moved[k] = theta[k] - h;
    renderer.render(moved, backward);
    std::size_t compared = 0, wrong = 0;
    for (std::size_t p = 0; p < pixels; ++p) {
      for (std::size_t c = 0; c < C; ++c) {
        const std::size_t i = p * C + c;
        const double f = forward[i], b = backward[i], v = image[i];
        if (!(std::abs(f - 2 * v + b) < 2e-5 * (1 + std::abs(v)))) continue;
        ++compared;
        if (std::abs((f - b) / (2 * h) - static_cast<double>(dense[(c * P + k) * pixels + p])) > 2e-2)
          ++wrong;
      }
    }
    CAPTURE(k);
    CHECK(compared > pixels * C / 2);
    CHECK(wrong <= compared / 1000);
  }
}

TEST_CASE("normal equations are those of the dense Jacobian") {
  Renderer renderer(scene(), options(all_free));
  const std::size_t P = renderer.parameters(), C = static_cast<std::size_t>(renderer.channels()),
                    pixels = renderer.pixels();
  std::vector<float> image(pixels * C), observed(pixels * C), weights(pixels * C), dense(pixels * C * P);
  const Jacobian J = renderer.jacobian(renderer.theta0(), image);
  J.to_dense(dense);
  for (std::size_t i = 0; i < observed.size(); ++i) {
    observed[i] = image[i] + 0.1f * std::sin(static_cast<float>(i));
    weights[i] = static_cast<float>(i % 5);
  }
  const Observation observation{ImageView::contiguous(observed.data(), height, width, 4),
                                ImageView::contiguous(weights.data(), height, width, 4)};
  NormalEquations result;
  renderer.normal_equations(renderer.theta0(), observation, cauchy(0.05), result);
  std::vector<double> H(P * P, 0), g(P, 0);
  double cost = 0;
  std::size_t count = 0;
  for (std::size_t p = 0; p < pixels; ++p) {
    for (std::size_t c = 0; c < C; ++c) {
      const std::size_t i = p * C + c;
      const double r = static_cast<double>(image[i]) - static_cast<double>(observed[i]), w = weights[i];
      if (!std::isfinite(r) || !(w > 0)) continue;
      ++count;
      const double t = 1 + r * r / (0.05 * 0.05);
      cost += 0.5 * w * 0.05 * 0.05 * std::log(t);
      for (std::size_t a = 0; a < P; ++a) {
        const double ja = dense[(c * P + a) * pixels + p];
        g[a] += w / t * ja * r;
        for (std::size_t b = 0; b < P; ++b)
          H[a * P + b] += w / t * ja * static_cast<double>(dense[(c * P + b) * pixels + p]);
      }
    }
  }
  CHECK(result.count == count);
  CHECK(result.cost == doctest::Approx(cost).epsilon(1e-5));
  for (std::size_t a = 0; a < P; ++a) {
    CHECK(std::abs(result.g[a] - g[a]) < 1e-4 * std::sqrt(H[a * P + a] * cost));
    for (std::size_t b = 0; b < P; ++b) {
      CHECK(std::abs(result.H[a * P + b] - H[a * P + b]) < 1e-5 * std::sqrt(H[a * P + a] * H[b * P + b]));
    }
  }
}

namespace {

std::vector<double> dense_of(const SparseMatrix& M) {
  std::vector<double> dense(M.rows() * M.rows(), 0.0);
  for (std::size_t i = 0; i < M.rows(); ++i) {
    for (auto k = M.row_starts[i]; k < M.row_starts[i + 1]; ++k)
      dense[i * M.rows() + static_cast<std::size_t>(M.columns[k])] = M.values[k];
  }
  return dense;
}

}  // namespace

TEST_CASE("what is sparse is what is dense, which there is up to a limit") {
  Scene with_another = scene();
  with_another.shapes.emplace_back("apart", Sphere{{1.6, -1.2, 5}, 0.2});
  RendererOptions with_limit = options({"ball.center", "ball.radius", "pyramid.pose", "apart.center"});
  with_limit.boundary = Boundary::exact;
  Renderer below(with_another, with_limit);
  const std::size_t P = below.parameters();
  with_limit.dense_limit = P - 1;
  Renderer above(with_another, with_limit);
  std::vector<float> observed(below.pixels() * 4, 0.5f);
  const Observation observation{ImageView::contiguous(observed.data(), height, width, 4), {}};
  NormalEquations dense, sparse;
  below.normal_equations(below.theta0(), observation, huber(0.1), dense);
  sparse.H.resize(3);  // of another renderer's
  above.normal_equations(above.theta0(), observation, huber(0.1), sparse);
  CHECK(sparse.H.empty());
  CHECK(dense.H == dense_of(sparse.H_sparse));
  CHECK(dense.H == dense_of(dense.H_sparse));
  CHECK(dense.H_sparse.values.size() < P * P);

  std::vector<double> M(P * P);
  SparseMatrix sparse_M;
  below.gradient_scatter(below.theta0(), observation, huber(0.1), M);
  above.gradient_scatter(above.theta0(), observation, huber(0.1), sparse_M);
  CHECK(M == dense_of(sparse_M));
  CHECK_THROWS_WITH_AS(above.gradient_scatter(above.theta0(), observation, huber(0.1), M),
                       doctest::Contains(("dense_limit is " + std::to_string(P - 1)).c_str()), ArgumentError);
}

TEST_CASE("an image as a problem says the same sparsely") {
  RendererOptions with_poses = options({"ball.center", "pyramid.pose", "ball.radius", "camera.pose"});
  with_poses.dense_limit = 0;
  Renderer renderer(scene(), with_poses);
  std::vector<float> observed(renderer.pixels() * 4, 0.5f);
  ImageProblem problem(renderer, {ImageView::contiguous(observed.data(), height, width, 4), {}}, huber(0.1));
  const std::size_t P = problem.size();
  std::vector<double> theta = renderer.theta0(), H(P * P), M(P * P), g(P), sparse_g(P), row(P);
  for (std::size_t i = 0; i < P; ++i) theta[i] += 0.02 * std::sin(1.0 + static_cast<double>(i));
  SparseMatrix sparse;
  CHECK(problem.sparse_normal_equations(theta, sparse, sparse_g).cost ==
        problem.normal_equations(theta, H, g).cost);
  CHECK(H == dense_of(sparse));
  CHECK(g == sparse_g);
  CHECK(problem.gradient_scatter(theta, M));
  CHECK(problem.sparse_gradient_scatter(theta, sparse));
  CHECK(M == dense_of(sparse));
  std::vector<LeastSquaresProblem::TangentEntry> entries;
  for (std::size_t i = 0; i < P; ++i) {
    problem.tangent_row(theta, i, row);
    problem.tangent_entries(theta, i, entries);
    for (const auto& entry : entries) {
      CHECK(entry.value == row[entry.index]);
      row[entry.index] = 0;
    }
    CHECK(row == std::vector<double>(P, 0.0));
  }
  theta[9] = -1;  // a radius
  CHECK(std::isinf(problem.sparse_normal_equations(theta, sparse, g).cost));
  CHECK(sparse.rows() == P);
  CHECK(sparse.values.empty());
}

TEST_CASE("the gradient's scatter is the sum over residuals, and gives a fit its sandwich covariance") {
  Renderer renderer(scene(), options({"ball.center", "ball.radius"}));
  const std::size_t P = renderer.parameters(), C = 4, pixels = renderer.pixels();
  std::vector<float> image(pixels * C), observed(pixels * C), dense(pixels * C * P);
  renderer.jacobian(renderer.theta0(), image).to_dense(dense);
  for (std::size_t i = 0; i < observed.size(); ++i)
    observed[i] = image[i] + 0.02f * std::sin(7.0f * static_cast<float>(i));
  const Observation observation{ImageView::contiguous(observed.data(), height, width, 4), {}};
  std::vector<double> M(P * P), expected(P * P, 0);
  renderer.gradient_scatter(renderer.theta0(), observation, huber(0.01), M);
  for (std::size_t p = 0; p < pixels; ++p) {
    for (std::size_t c = 0; c < C; ++c) {
      const double r = static_cast<double>(image[p * C + c]) - static_cast<double>(observed[p * C + c]);
      if (!std::isfinite(r)) continue;
      const double gradient = r * std::min(1.0, 0.01 / std::abs(r));
      for (std::size_t a = 0; a < P; ++a) {
        for (std::size_t b = 0; b < P; ++b) {
          expected[a * P + b] += gradient * gradient * static_cast<double>(dense[(c * P + a) * pixels + p]) *
                                 static_cast<double>(dense[(c * P + b) * pixels + p]);
        }
      }
    }
  }
  for (std::size_t a = 0; a < P; ++a) {
    for (std::size_t b = 0; b < P; ++b) {
      CHECK(std::abs(M[a * P + b] - expected[a * P + b]) <
            1e-5 * std::sqrt(expected[a * P + a] * expected[b * P + b]));
    }
  }
  const SolveResult result = fit(renderer, observation, renderer.theta0(), huber(0.01));
  CHECK(converged(result.status));
  CHECK(result.covariance_sandwich.size() == P * P);
}

TEST_CASE("costs of the pixels that two images share") {
  Scene ball{{width, height, 80, 82, 44.5, 34.5}, {{"ball", Sphere{{0, 0, 5}, 1}}}};
  RendererOptions simple;
  simple.free = {"ball.center"};
  simple.boundary = Boundary::none;
  Renderer renderer(ball, simple);
  const std::vector<double> here = renderer.theta0(), there = {0.2, 0.1, 5.05};
  std::vector<float> first(renderer.pixels()), second(renderer.pixels()), observed(renderer.pixels(), 4.2f);
  renderer.render(here, first);
  renderer.render(there, second);
  const Observation observation{ImageView::contiguous(observed.data(), height, width), {}};
  NormalEquations equations;
  SharedCost shared, expected;
  CHECK(message_of([&] {
          renderer.cost(there, observation, huber(0.1), equations, &shared);
        }).find("to remember") != std::string::npos);
  renderer.normal_equations(here, observation, huber(0.1), equations, PoseDerivative::tangent, true);
  renderer.cost(there, observation, huber(0.1), equations, &shared);
  const auto rho = [](float rendered) {
    const double r = std::abs(static_cast<double>(rendered) - static_cast<double>(4.2f));
    return 0.5 * (r <= 0.1 ? r * r : 0.2 * r - 0.01);
  };
  for (std::size_t p = 0; p < renderer.pixels(); ++p) {
    if (!std::isfinite(first[p]) || !std::isfinite(second[p])) continue;
    ++expected.count, expected.before += rho(first[p]), expected.now += rho(second[p]);
  }
  CHECK(expected.count > 100);
  CHECK(shared.count == expected.count);
  CHECK(shared.before == doctest::Approx(expected.before).epsilon(1e-6));
  CHECK(shared.now == doctest::Approx(expected.now).epsilon(1e-6));
}

TEST_CASE("results are the same to the last bit, run after run, with any number of threads") {
  std::vector<float> first, image;
  NormalEquations equations, other;
  for (const int threads : {1, 2, 3, 7}) {
    Renderer renderer(scene(), options(all_free, threads));
    image.resize(renderer.pixels() * 4);
    for (int run = 0; run < 2; ++run) {
      renderer.render(renderer.theta0(), image);
      if (first.empty()) first = image;
      CHECK(std::memcmp(first.data(), image.data(), image.size() * sizeof(float)) == 0);
      std::vector<double> theta = renderer.theta0();
      theta[0] += 0.01;
      renderer.normal_equations(theta, {ImageView::contiguous(image.data(), height, width, 4), {}},
                                huber(0.01), other);
      if (equations.H.empty()) equations = other;
      CHECK(equations.H == other.H);
      CHECK(equations.g == other.g);
      CHECK(equations.cost == other.cost);
    }
  }
}

TEST_CASE("a fit recovers a moved scene") {
  Scene truth = scene();
  Renderer renderer(truth, options({"ball.center", "ball.radius", "pyramid.pose"}));
  std::vector<float> observed(renderer.pixels() * 4);
  renderer.render(renderer.theta0(), observed);
  std::vector<double> start = renderer.theta0();
  for (std::size_t i = 0; i < start.size(); ++i) start[i] += 0.02 * std::cos(static_cast<double>(i));
  const SolveResult result =
      fit(renderer, {ImageView::contiguous(observed.data(), height, width, 4), {}}, start, cauchy(0.05));
  for (std::size_t i = 0; i < start.size(); ++i)
    CHECK(std::abs(result.theta[i] - renderer.theta0()[i]) < 2e-3);
  const Scene fitted = renderer.scene_at(result.theta);
  CHECK(std::get<Sphere>(fitted.shape("ball")).radius == doctest::Approx(0.8).epsilon(2e-3));
}

TEST_CASE("vertices that no face uses may be anywhere, unless they are free") {
  Scene with = scene();
  Mesh& mesh = std::get<Mesh>(with.shapes[1].second);
  std::vector<double> vertices = *mesh.vertices;
  const std::size_t count = vertices.size() / 3;
  vertices.insert(vertices.end(), {std::nan(""), 0, 1e30});
  mesh.vertices = std::make_shared<const std::vector<double>>(vertices);
  Renderer stray(with, options({"pyramid.pose"})), plain(scene(), options({"pyramid.pose"}));
  std::vector<float> image(stray.pixels() * 4), expected(image.size());
  stray.render(stray.theta0(), image), plain.render(plain.theta0(), expected);
  CHECK(std::memcmp(image.data(), expected.data(), image.size() * sizeof(float)) == 0);
  CHECK(message_of([&] {
          Renderer(with, options({"pyramid.vertices"}));
        }).find("vertex " + std::to_string(count) + ", which no face uses") != std::string::npos);
}

TEST_CASE("what cannot be used is refused, by name") {
  Scene bad = scene();
  std::get<Sphere>(bad.shapes[0].second).radius = -1;
  CHECK(message_of([&] { Renderer(bad, options({})); }).find("ball.radius") != std::string::npos);
  bad = scene();
  std::get<Mesh>(bad.shapes[1].second).faces =
      std::make_shared<const std::vector<std::int32_t>>(std::vector<std::int32_t>{0, 1, 5});
  CHECK(message_of([&] { Renderer(bad, options({})); }).find("Indices start at 0") != std::string::npos);
  bad = scene();
  bad.shapes[1].first = "ball";
  CHECK(message_of([&] { Renderer(bad, options({})); }).find("two shapes") != std::string::npos);
  CHECK(message_of([&] { Renderer({bad.camera, {}}, options({})); }).find("no shapes") != std::string::npos);
  bad = scene();
  std::get<Mesh>(bad.shapes[1].second).T_world_mesh[0] = 2;
  CHECK(message_of([&] { Renderer(bad, options({})); }).find("not a rotation") != std::string::npos);
  bad = scene();
  std::vector<double> vertices = *std::get<Mesh>(bad.shapes[1].second).vertices;
  vertices[4] = std::nan("");
  std::get<Mesh>(bad.shapes[1].second).vertices = std::make_shared<const std::vector<double>>(vertices);
  CHECK(message_of([&] { Renderer(bad, options({})); }).find("vertex 1, which face") != std::string::npos);
  CHECK(message_of([&] {
          Renderer(scene(), options({"ball.centre"}));
        }).find("Perhaps you meant 'ball.center'") != std::string::npos);
  CHECK(message_of([&] { scene().shape("bal"); }).find("ball") != std::string::npos);

  Renderer renderer(scene(), options({"ball.radius"}));
  std::vector<float> image(renderer.pixels() * 4), small(3);
  const std::vector<double> two = {1, 2}, negative = {-1}, nan = {std::nan("")};
  CHECK(message_of([&] { renderer.render(two, image); }).find("expected 1: ball.radius (1)") !=
        std::string::npos);
  CHECK(message_of([&] { renderer.render(negative, image); }).find("must be positive") != std::string::npos);
  CHECK(message_of([&] { renderer.render(nan, image); }).find("not finite") != std::string::npos);
  CHECK(message_of([&] { renderer.render(renderer.theta0(), small); }).find("image") != std::string::npos);
  NormalEquations equations;
  CHECK(message_of([&] {
          renderer.normal_equations(renderer.theta0(), {}, {}, equations);
        }).find("observed") != std::string::npos);
  CHECK(message_of([&] {
          renderer.normal_equations(renderer.theta0(),
                                    {ImageView::contiguous(image.data(), height, width, 4), {}}, huber(0),
                                    equations);
        }).find("scale") != std::string::npos);
}
