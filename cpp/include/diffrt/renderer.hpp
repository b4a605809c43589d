// Renderer: images, Jacobians and normal equations of a scene, as functions of its free parameters.
//
//   diffrt::Scene scene{{640, 480, 400, 400, 320, 240}, {{"ball", diffrt::Sphere{{10, 10, 100}, 10}}}};
//   diffrt::RendererOptions options;
//   options.free = {"ball.radius", "ball.center"};
//   diffrt::Renderer renderer(scene, options);
//   std::vector<float> image(640 * 480);
//   renderer.render(renderer.theta0(), image);
//   diffrt::Jacobian J = renderer.jacobian(renderer.theta0(), image);
//
// theta: P numbers, the blocks of `free` one after another. A block holds the values themselves, but for
// poses, whose six numbers are an increment T <- T exp(xi), xi = (rho, phi), translation [scene units] before
// rotation [rad]: 0 at theta0.
//
// A renderer may be used from one thread at a time; two renderers, from two. A child that fork() made goes on
// with its parent's renderers on the CPU, with threads of its own, but for those that another thread was
// using; those on a GPU throw DeviceError there. After the first call of each kind nothing is allocated, save
// the results that a call returns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "diffrt/device_array.hpp"
#include "diffrt/export.hpp"
#include "diffrt/jacobian.hpp"
#include "diffrt/loss.hpp"
#include "diffrt/module.hpp"
#include "diffrt/observation.hpp"
#include "diffrt/scene.hpp"
#include "diffrt/span.hpp"
#include "diffrt/sparse.hpp"

namespace diffrt {

namespace renderer {
class Evaluator;  // internal
}

enum class Output {
  distance,  // along the unit ray [scene units]
  depth,     // Z in the camera frame [scene units]
  mask,      // coverage, 0..1
  normal,    // unit normal in the camera frame, towards the camera: 3 channels
  shade,     // Lambert's cosine, with a light at the camera
};
// What a pixel shows: one of those, or one of your own, on the CPU: a model of an Item that takes any of z
// (depth), normal[3] and direction[3] (the ray's, (X/Z, Y/Z, 1), in the camera frame), each PerItemFree, and
// constants, all of which have numbers (Model::with_constants), and returns up to 4 numbers, which are
// channels. Where one of its numbers or derivatives is not finite the pixel has no value.
using Shown = std::variant<Output, Model>;
DIFFRT_API const char* name(Output output);
DIFFRT_API int channels(Output output);

// What a pixel shows that a silhouette crosses, and its row of J.
enum class Boundary {
  none,   // as any other pixel: the value at its centre, with the interior derivative only
  exact,  // the integral over the pixel's footprint, with the motion of the silhouette
};

// With Boundary::exact, how the pixels along the silhouette of one object mix what is on either side.
enum class BoundaryRule {
  blend,       // alpha f_in + (1 - alpha) f_out, alpha the covered part of the pixel
  foreground,  // f_in alone, with no boundary term
  none,        // as Boundary::none
};

// One of those, or one of your own: a model of an Item that takes any of `area` (alpha), `inside`
// (f_in) and `outside` (f_out), each one number of each item, PerItemFree, and constants, all of which have
// numbers (Model::with_constants); it returns what the pixel shows, channel by channel. Its derivatives by
// the three are those of the pixel. Where one of the four is no finite number the pixel has no value.
using Rule = std::variant<BoundaryRule, Model>;

struct RendererOptions {
  std::vector<std::string> free;
  std::vector<Shown> outputs = {Output::distance};
  // Per output, or empty for the defaults. nullopt: a ray that misses is NaN and carries no residual (the
  // default for distance and depth). A number: the value of a ray that misses (0 is the default for the
  // others).
  std::vector<std::optional<double>> background;
  Boundary boundary = Boundary::exact;
  std::vector<std::pair<std::string, Rule>> rules;  // by name of a shape; the others blend
  // "cpu", "cuda", "cuda:1", "vulkan", "vulkan:0", or "auto": CUDA, else a Vulkan GPU, else the CPU;
  // with a model among the outputs, the CPU.
  std::string device = "cpu";
  int threads = 0;  // 0: as many as this process may use
  // The largest P for which there are dense matrices, of P x P numbers: see NormalEquations.
  std::size_t dense_limit = 1000;
};

// A block of theta.
struct ParameterBlock {
  std::string name;  // "ball.center"
  std::size_t offset = 0, size = 0;
  bool is_pose = false;
};

// J'WJ and J'Wr at a theta. H has entries where two parameters can meet: those of one primitive, and of
// primitives that share a pixel at this theta.
struct NormalEquations {
  SparseMatrix H_sparse;  // P x P
  std::vector<double> H;  // the same, dense and row-major, if P <= RendererOptions::dense_limit; else empty
  std::vector<double> g;  // P
  double cost = 0;        // 1/2 sum w rho(r^2)
  std::size_t count = 0;  // number of residuals
  double weighted_squares = 0;  // sum w rho'(r^2) r^2
};

// What the residuals that exist at two thetas cost at each of them (1/2 sum w rho). Between two thetas pixels
// come and go, and the costs of different pixels do not compare; these do.
struct SharedCost {
  std::size_t count = 0;
  double before = 0, now = 0;
};

// Where the shapes of a scene are, seen from the camera.
struct Extent {
  double near = 0, far = 0;                // how far the nearest and the farthest may be [scene units]
  std::vector<std::string> around_camera;  // the spheres and closed meshes that the camera stands in
};

// How a pose block is differentiated.
enum class PoseDerivative {
  theta,    // by the numbers in theta: J is the derivative of render(theta)
  tangent,  // by a further increment at theta: T exp(xi) exp(delta), delta = 0
};

class ImageProblem;

class DIFFRT_API Renderer {
 public:
  // Checks everything; throws ArgumentError or DeviceError.
  Renderer(Scene scene, RendererOptions options);
  ~Renderer();
  Renderer(Renderer&&) noexcept;
  Renderer& operator=(Renderer&&) noexcept;

  const Scene& scene() const;
  const RendererOptions& options() const;
  const std::vector<double>& theta0() const;
  const std::vector<ParameterBlock>& blocks() const;
  std::size_t parameters() const;  // P
  int channels() const;            // C, of all outputs
  std::size_t pixels() const;      // H * W
  std::string device() const;      // what does the work: "cpu", "cuda:0", "vulkan:0"
  int threads() const;
  std::size_t degenerate_triangles() const;          // skipped
  const std::vector<std::string>& warnings() const;  // in words

  // image: [H, W, C].
  void render(Span<const double> theta, Span<float> image);
  // image as render's (or empty, if it is not wanted), and its derivative.
  Jacobian jacobian(Span<const double> theta, Span<float> image);
  // On a GPU: the same, and the results stay there (diffrt/device_array.hpp). `image` may be null.
  DeviceArray render_on_device(Span<const double> theta);
  Jacobian jacobian_on_device(Span<const double> theta, DeviceArray* image = nullptr);

  // CUDA: the stream (CUstream, cudaStream_t) that calls from now on work on, so that they come after what is
  // on it already. 1 is the legacy default stream, 2 the thread's own, 0 the library's, with which this
  // begins. It must live as long as it is in use. Each call returns when its results are there.
  void use_stream(std::uintptr_t stream);
  std::uintptr_t stream() const;  // its handle, of the library's as well; 0 where there are none
  // What calls do from now on comes after what is on `stream` by now: for observations that are written
  // there.
  void wait_for(std::uintptr_t stream);
  // An image on the device, of the renderer's size, as contiguous numbers [H, W, C] on the host.
  void fetch(const ImageView& view, Span<float> out);

  // J is never stored. `result` is resized as needed, and keeps its memory. `remember`: keep what each
  // residual costs (one image), for cost().
  void normal_equations(Span<const double> theta, const Observation& observation, const Loss& loss,
                        NormalEquations& result, PoseDerivative pose = PoseDerivative::theta,
                        bool remember = false);
  // Cost, count and weighted squares alone: H and g are left as they are. `shared`: also compare with the
  // theta of the last normal_equations that was to remember, with the same observation and loss.
  void cost(Span<const double> theta, const Observation& observation, const Loss& loss,
            NormalEquations& result, SharedCost* shared = nullptr);
  // A number that no other such call has, of the last normal_equations that was to remember; 0 before the
  // first: whoever shares the renderer, as a callback of fit() does, may have made another since.
  std::uint64_t remembered() const;

  // Throws what a call at this theta would throw: it has P finite numbers, and shapes that can be rendered.
  void check(Span<const double> theta) const;
  // The same of an observation, as far as that is told without reading it: sizes, and where it is.
  void check(const Observation& observation) const;
  // M = sum (w rho'(r^2) r)^2 j j', by increments of poses (PoseDerivative::tangent): the scatter of the
  // gradient, for the sandwich form of the covariance. P x P: sparse as H, or dense and row-major, which
  // throws ArgumentError if P > dense_limit.
  void gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                        SparseMatrix& M);
  void gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                        Span<double> M);

  // The scene at theta: poses applied, values replaced.
  Scene scene_at(Span<const double> theta) const;
  // Of that scene, by bounds of its shapes. A plane ends at ten times its distance, which is a guess.
  Extent extent(Span<const double> theta) const;
  // out = theta [+] delta: poses T <- T exp(delta), the rest added.
  void plus(Span<const double> theta, Span<const double> delta, Span<double> out) const;
  // Row i of d (theta [+] delta) / d delta at delta = 0.
  void tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const;

 private:
  friend class ImageProblem;  // has no use for what is dense
  std::unique_ptr<renderer::Evaluator> evaluator_;
};

}  // namespace diffrt
