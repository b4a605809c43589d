// Nonsense to every public function: it works, or throws ArgumentError, SolverArgumentError or DeviceError,
// and never reads or writes where it should not (which only a build with sanitizers tells).
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "diffrt/diffrt.hpp"

using namespace diffrt;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN(),
                 kInfinity = std::numeric_limits<double>::infinity();

class Nonsense {
 public:
  explicit Nonsense(unsigned seed) : random_(seed) {}

  bool often() { return random_() % 8 != 0; }
  template <class T>
  T one_of(std::initializer_list<T> values) {
    return values.begin()[random_() % values.size()];
  }
  // Mostly the number itself.
  double number(double right) {
    if (often() || often()) return right;
    return one_of(
        {0.0, -0.0, -1.0, 1e-300, 5e-324, 1e30, 1e308, -1e308, kNaN, kInfinity, -kInfinity, 1e-9, 3e9});
  }
  int whole(int right) {
    if (often() || often()) return right;
    return one_of(
        {0, -1, 1, 2, 7, 1 << 20, std::numeric_limits<int>::max(), std::numeric_limits<int>::min()});
  }
  Vector3 vector(double x, double y, double z) { return {number(x), number(y), number(z)}; }
  Matrix4 pose() {
    Matrix4 T = identity4;
    for (double& x : T) x = number(x);
    return often() ? identity4 : T;
  }

  Mesh mesh() {
    std::vector<double> vertices = {-1, -1, 5, 1, -1, 5, 0, 1, 5, 0, 0, 4};
    std::vector<std::int32_t> faces = {0, 1, 3, 1, 2, 3, 2, 0, 3};
    for (double& x : vertices) x = number(x);
    if (!often()) faces[random_() % faces.size()] = whole(0);
    if (!often()) vertices.resize(random_() % 13);
    if (!often()) faces.resize(random_() % 10);
    Mesh result{std::make_shared<const std::vector<double>>(vertices),
                std::make_shared<const std::vector<std::int32_t>>(faces), pose()};
    if (!often() && !often()) result.vertices = nullptr;
    if (!often() && !often()) result.faces = nullptr;
    return result;
  }
  std::string name(const char* right) {
    if (often() || often()) return right;
    return one_of<std::string>(
        {"", ".", "camera", "ball", "a\nb", std::string(3, '\0'), std::string(9999, 'x'), "mesh"});
  }
  Scene scene() {
    Scene result;
    result.camera = {whole(20), whole(16), number(20), number(20), number(9.5), number(7.5), pose()};
    if (often() || often()) result.shapes.push_back({name("ball"), Sphere{vector(0, 0, 5), number(1)}});
    if (often() || often()) result.shapes.push_back({name("wall"), Plane{vector(0, 0, 9), vector(0, 0, -1)}});
    if (often() || often()) result.shapes.push_back({name("mesh"), mesh()});
    return result;
  }
  RendererOptions options(const Scene& scene) {
    RendererOptions result;
    for (const std::string& free : valid_free_names(scene)) {
      if (random_() % 3 == 0) result.free.push_back(free);
    }
    if (!often())
      result.free.push_back(one_of<std::string>({"", "x", "ball.", "ball.radius.", "camera", "camera.pose"}));
    if (random_() % 3 == 0)
      result.outputs = {one_of({Output::depth, Output::mask, Output::normal}), Output::shade};
    if (!often()) result.outputs = {static_cast<Output>(whole(3))};
    if (!often()) result.outputs.clear();
    if (!often()) result.background = {number(0)};
    result.boundary = one_of({Boundary::none, Boundary::exact});
    if (!often()) result.rules = {{name("ball"), static_cast<BoundaryRule>(whole(1))}};
    result.threads = often() ? 1 : one_of({2, -1, 1 << 20});
    if (!often())
      result.device = one_of<std::string>({"", "x", "cuda:99", "vulkan:-1", "cpu:1", "cuda:99999999999999"});
    return result;
  }
  std::vector<double> theta(const Renderer& renderer) {
    std::vector<double> result = renderer.theta0();
    for (double& x : result) x = number(x);
    if (!often()) result.resize(random_() % (result.size() + 3));
    return result;
  }
  Loss loss() {
    return {one_of({Loss::Kind::none, Loss::Kind::huber, Loss::Kind::tukey, Loss::Kind::barron,
                    static_cast<Loss::Kind>(whole(1))}),
            number(0.1), number(-2)};
  }
  // Of at least as many numbers as the view says, whatever it says.
  ImageView view(const Renderer& renderer, const std::vector<float>& floats,
                 const std::vector<double>& doubles) {
    const PinholeCamera& camera = renderer.scene().camera;
    const int height = whole(camera.height), width = whole(camera.width),
              channels = whole(renderer.channels());
    ImageView result = often() ? ImageView::contiguous(floats.data(), height, width, channels)
                               : ImageView::contiguous(doubles.data(), height, width, channels);
    if (!often()) result.row_stride = 0;
    if (!often()) result.column_stride = 0;
    if (!often()) result.data = nullptr;
    if (!often() && !often()) result.on_device = true;
    if (!often() && !often()) result = {};
    return result;
  }
  SolveOptions solve_options() {
    SolveOptions result;
    result.method = one_of({Method::levenberg_marquardt, Method::gauss_newton});
    result.max_steps = one_of<std::size_t>({0, 1, 3});
    result.gradient_tolerance = number(1e-10), result.initial_damping = number(1e-4);
    result.diagonal_floor = number(1e-12), result.null_threshold = number(0), result.min_kept = number(0.5);
    result.dense_limit = one_of<std::size_t>({0, 1, 1000});
    if (!often()) result.priors = {{static_cast<std::size_t>(whole(0)), number(0), number(1)}};
    if (!often()) result.lower.assign(random_() % 5, number(-kInfinity));
    if (!often()) result.upper.assign(random_() % 5, number(kInfinity));
    return result;
  }

 private:
  std::mt19937 random_;
};

// Whether the call worked.
template <class F>
bool attempt(F&& call) {
  try {
    call();
    return true;
  } catch (const ArgumentError&) {
  } catch (const SolverArgumentError&) {
  } catch (const DeviceError&) {
  }
  return false;
}

int use(Renderer& renderer, Nonsense& nonsense) {
  const std::size_t pixels = renderer.pixels(), channels = static_cast<std::size_t>(renderer.channels());
  if (pixels > 1000) return 0;
  const std::vector<float> floats(pixels * channels, 5.0f);
  const std::vector<double> doubles(floats.begin(), floats.end());
  std::vector<float> image(pixels * channels);
  const std::vector<double> theta = nonsense.theta(renderer);
  const std::size_t P = renderer.parameters();
  std::vector<double> M(P * P), row(P);
  const Span<float> out = nonsense.often()   ? Span<float>(image)
                          : nonsense.often() ? Span<float>(image).first(3)
                                             : Span<float>(nullptr, image.size());
  int worked = 0;
  const auto count = [&](bool ok) { worked += ok ? 1 : 0; };
  count(attempt([&] { renderer.render(theta, out); }));
  count(attempt([&] {
    const Jacobian J = renderer.jacobian(theta, out);
    std::vector<double> products(pixels * channels);
    attempt([&] { J.multiply(nonsense.theta(renderer), products); });
    attempt([&] { J.multiply_transposed(doubles, row); });
    attempt([&] { J.multiply_transposed(Span<const double>(nullptr, doubles.size()), row); });
    attempt([&] { J.to_dense(image); });
    attempt([&] { (void)J.dense_on_device(); });
    (void)J.to_sparse(), (void)J.primitive_ids();
  }));
  Observation observation{nonsense.view(renderer, floats, doubles), {}};
  if (!nonsense.often()) observation.weights = nonsense.view(renderer, floats, doubles);
  const Loss loss = nonsense.loss();
  NormalEquations equations;
  SharedCost shared;
  count(attempt([&] { renderer.normal_equations(theta, observation, loss, equations); }));
  count(attempt(
      [&] { renderer.cost(theta, observation, loss, equations, nonsense.often() ? nullptr : &shared); }));
  count(attempt([&] {
    renderer.gradient_scatter(theta, observation, loss,
                              nonsense.often() ? Span<double>(M) : Span<double>(M).first(1));
  }));
  count(attempt([&] { (void)renderer.scene_at(theta); }));
  count(attempt([&] { renderer.plus(theta, nonsense.theta(renderer), row); }));
  count(attempt([&] { renderer.tangent_row(theta, static_cast<std::size_t>(nonsense.whole(0)), row); }));
  count(attempt([&] { renderer.check(theta), renderer.check(observation); }));
  count(attempt([&] { renderer.use_stream(static_cast<std::uintptr_t>(nonsense.whole(0))); }));
  count(attempt([&] { renderer.wait_for(0); }));
  count(attempt([&] { renderer.fetch(observation.image, out); }));
  count(attempt([&] { (void)renderer.render_on_device(theta); }));
  count(attempt([&] {
    const SolveResult result = fit(renderer, observation, theta, loss, nonsense.solve_options(),
                                   nonsense.often() ? 1 : nonsense.whole(2));
    (void)summary(result, std::vector<std::string>{"x"});
  }));
  return worked;
}

}  // namespace

TEST_CASE("Nonsense is refused, and nothing worse happens") {
  int built = 0, worked = 0;
  for (unsigned seed = 0; seed < 4000; ++seed) {
    CAPTURE(seed);
    Nonsense nonsense(seed);
    attempt([&] {
      const Scene scene = nonsense.scene();
      Renderer renderer(scene, nonsense.options(scene));
      ++built;
      worked += use(renderer, nonsense);
    });
  }
  CHECK(built > 1000);  // so that it is not all refused at the door
  CHECK(worked > 5000);
}

TEST_CASE("What is empty, or was never made, is refused") {
  const Jacobian J;
  CHECK(J.height() == 0);
  CHECK_FALSE(J.on_device());
  double numbers[1] = {};
  CHECK_THROWS_AS(J.multiply(numbers, numbers), ArgumentError);
  CHECK_THROWS_AS(J.multiply_transposed(numbers, numbers), ArgumentError);
  CHECK_THROWS_AS(J.to_dense({}), ArgumentError);
  CHECK_THROWS_AS(J.to_sparse(), ArgumentError);
  CHECK_THROWS_AS(J.dense_planes(), ArgumentError);
  CHECK_THROWS_AS(J.dense_on_device(), ArgumentError);
  CHECK_THROWS_AS(J.primitive_ids(), ArgumentError);
  const DeviceArray array;
  CHECK(array.size() == 0);
  CHECK_THROWS_AS(array.device(), ArgumentError);
  CHECK_THROWS_AS(array.is_cuda(), ArgumentError);
  CHECK_THROWS_AS(array.device_index(), ArgumentError);
  CHECK_THROWS_AS(array.address(), ArgumentError);
  CHECK_THROWS_AS(array.fetch({}), ArgumentError);
  CHECK_THROWS_AS(array.copy(), ArgumentError);
  CHECK_THROWS_AS(array.used_on(0), ArgumentError);
  LeastSquaresSolver solver;
  CHECK_THROWS_AS(solver.step(), SolverArgumentError);
  CHECK_THROWS_AS(solver.result(), SolverArgumentError);
  CHECK_THROWS_AS(name(static_cast<Output>(99)), ArgumentError);
  CHECK_THROWS_AS(channels(static_cast<Output>(-1)), ArgumentError);
  CHECK(std::string(name(static_cast<Status>(99))) == "unknown");
  CHECK_THROWS_AS(Scene().shape("ball"), ArgumentError);
  CHECK(valid_free_names({}).size() == 3);
  CHECK(summary({}).size() > 0);
}
