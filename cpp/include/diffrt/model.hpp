// BoundModel: a compiled model with its data, as a function of its free parameters: values, Jacobians,
// products, normal equations, fits.
//
//   diffrt::Model sphere = diffrt::Module::load("models.dra").model("sphere");
//   diffrt::ModelData data({480, 640});
//   data.set("focal", {400.0}).set("principal", {320.0, 240.0});
//   diffrt::BoundModel bound(sphere, data);
//   std::vector<double> theta = {10, 0, 0, 50};           // radius, center: bound.blocks() has the layout
//   std::vector<float> image(bound.values());
//   diffrt::Jacobian J = bound.jacobian(theta, image);
//   diffrt::SolveResult result = diffrt::fit(bound, {diffrt::ImageView::contiguous(depth, 480, 640)}, theta);
//
// theta: P numbers, those of the arguments that are parameters one after another, in the author's order; a
// table row by row. A pose, T_a_b, is its six numbers xi = (rho, phi), T = exp(xi), translation before
// rotation [rad].
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "diffrt/export.hpp"
#include "diffrt/jacobian.hpp"
#include "diffrt/least_squares.hpp"
#include "diffrt/loss.hpp"
#include "diffrt/module.hpp"
#include "diffrt/observation.hpp"
#include "diffrt/renderer.hpp"
#include "diffrt/span.hpp"

namespace diffrt {

namespace module {
class Evaluator;  // internal
}

// Contiguous numbers that somebody else owns until a model is bound to them, which copies them.
struct ModelArray {
  enum class Type { float32, float64, int32, int64 };
  const void* data = nullptr;
  Type type = Type::float64;
  std::size_t size = 0;
  std::vector<std::size_t> shape;  // as the caller sees it; empty: not said
};

// What a model is bound to: over which image or range it runs, and all its arguments that are no parameters.
//
//   constant                    its numbers
//   per_item, per_item_free     those of each item, one item after another
//   per_item_index              whole numbers, likewise
//   table                       its rows, one after another
//   image                       [height, width], which are to be given
class DIFFRT_API ModelData {
 public:
  // {height, width} of an image, {n} of a range.
  explicit ModelData(std::vector<std::size_t> shape) : shape_(std::move(shape)) {}

  // A later one of the same name takes the place of an earlier one.
  ModelData& set(std::string name, ModelArray array);
  // A copy, for constants.
  ModelData& set(std::string name, std::initializer_list<double> numbers);
  template <class T>
  ModelData& set(std::string name, Span<const T> numbers, std::vector<std::size_t> shape = {}) {
    return set(std::move(name), ModelArray{numbers.data(), type_of<T>(), numbers.size(), std::move(shape)});
  }
  template <class T>
  ModelData& set(std::string name, const std::vector<T>& numbers, std::vector<std::size_t> shape = {}) {
    return set(std::move(name), Span<const T>(numbers), std::move(shape));
  }
  // How many rows a table of parameters has.
  ModelData& set_rows(std::string name, std::size_t rows);

  const std::vector<std::size_t>& shape() const { return shape_; }

  struct Entry {
    std::string name;
    ModelArray array;
    std::vector<double> own;  // if there are any, these are meant

    ModelArray numbers() const {
      return own.empty() ? array : ModelArray{own.data(), ModelArray::Type::float64, own.size(), {}};
    }
  };
  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<std::pair<std::string, std::size_t>>& rows() const { return rows_; }

 private:
  template <class T>
  static constexpr ModelArray::Type type_of() {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, std::int32_t> ||
                      std::is_same_v<T, std::int64_t>,
                  "A model takes arrays of float, double, std::int32_t or std::int64_t");
    if (std::is_same_v<T, float>) return ModelArray::Type::float32;
    if (std::is_same_v<T, double>) return ModelArray::Type::float64;
    return std::is_same_v<T, std::int32_t> ? ModelArray::Type::int32 : ModelArray::Type::int64;
  }

  std::vector<std::size_t> shape_;
  std::vector<Entry> entries_;
  std::vector<std::pair<std::string, std::size_t>> rows_;
};

struct ModelOptions {
  // As RendererOptions::device. A GPU computes values and rows, and, where no table of parameters is and the
  // rows are not too many, their sums. "auto" takes the CPU, too, where the file has no code for the GPU.
  std::string device = "cpu";
  int threads = 0;                 // 0: as many as this process may use. Results do not depend on it
  std::size_t dense_limit = 1000;  // the largest P for a dense H: see NormalEquations
};

// May be used from one thread at a time; two of them, from two. After the first call of each kind nothing is
// allocated, save what a call returns, and what H needs where other parameters meet than before.
class DIFFRT_API BoundModel {
 public:
  // Copies the data. Throws ArgumentError, which names the argument, or DeviceError, if the device is not
  // there, or the file has no code for it.
  BoundModel(const Model& model, const ModelData& data, const ModelOptions& options = {});
  ~BoundModel();
  BoundModel(BoundModel&&) noexcept;
  BoundModel& operator=(BoundModel&&) noexcept;

  const std::string& name() const;
  const std::vector<ParameterBlock>& blocks() const;  // of theta, by argument
  std::size_t parameters() const;                     // P
  bool is_image() const;                              // else a range
  int height() const;                                 // of a range 1
  int width() const;
  int channels() const;        // numbers of an item, C
  std::size_t values() const;  // H * W * C
  std::string device() const;  // what does the work: "cpu", "cuda:0", "vulkan:0"
  int threads() const;
  const ModelOptions& options() const;

  // out: [H, W, C].
  void value(Span<const double> theta, Span<float> out);
  // `out` as value()'s (or empty, if it is not wanted), and its derivative.
  Jacobian jacobian(Span<const double> theta, Span<float> out);
  // products [H, W, C, K] = J seeds, seeds [P, K]; `out` as above. J is never stored.
  void multiply(Span<const double> theta, Span<const double> seeds, Span<float> out, Span<double> products);
  // product (P) = J' w, w [H, W, C]. Where w is 0, J is not looked at.
  void multiply_transposed(Span<const double> theta, Span<const double> w, Span<float> out,
                           Span<double> product);

  // As Renderer's, with residuals value - observed. Of an observation without an image they are the values.
  void normal_equations(Span<const double> theta, const Observation& observation, const Loss& loss,
                        NormalEquations& result, PoseDerivative pose = PoseDerivative::theta,
                        bool remember = false);
  void cost(Span<const double> theta, const Observation& observation, const Loss& loss,
            NormalEquations& result, SharedCost* shared = nullptr);
  std::uint64_t remembered() const;
  void gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                        SparseMatrix& M);

  // Throws what a call would throw: theta has P finite numbers; the observation's sizes.
  void check(Span<const double> theta) const;
  void check(const Observation& observation) const;
  // out = theta [+] delta: poses T <- T exp(delta), the rest added.
  void plus(Span<const double> theta, Span<const double> delta, Span<double> out) const;
  // The entries of row i of d (theta [+] delta) / d delta at delta = 0 that are not zero.
  void tangent_entries(Span<const double> theta, std::size_t i,
                       std::vector<LeastSquaresProblem::TangentEntry>& entries) const;

 private:
  std::unique_ptr<module::Evaluator> evaluator_;
};

// A bound model and what it is compared with, as a problem for the solver. It refers to both, and to the
// observed arrays, which must stay as they are.
class DIFFRT_API ModelProblem : public LeastSquaresProblem {
 public:
  ModelProblem(BoundModel& model, const Observation& observation, const Loss& loss);

  std::size_t size() const override { return model_.parameters(); }
  Evaluation cost(Span<const double> theta) override;
  Evaluation normal_equations(Span<const double> theta, Span<double> H, Span<double> g) override;
  void plus(Span<const double> theta, Span<const double> delta, Span<double> out) const override;
  void tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const override;
  bool gradient_scatter(Span<const double> theta, Span<double> M) override;
  Evaluation sparse_normal_equations(Span<const double> theta, SparseMatrix& H, Span<double> g) override;
  bool sparse_gradient_scatter(Span<const double> theta, SparseMatrix& M) override;
  void tangent_entries(Span<const double> theta, std::size_t i,
                       std::vector<TangentEntry>& entries) const override;
  // A radian for rotations; |theta| for the rest.
  bool magnitudes(Span<const double> theta, Span<double> sizes) const override;
  double precision() const override { return 1e-7; }

 private:
  void remember(Span<const double> theta);
  Evaluation evaluation() const;

  BoundModel& model_;
  const Observation observation_;
  const Loss loss_;
  NormalEquations equations_;
  std::vector<double> remembered_theta_;
  std::uint64_t remembered_ = 0;
  std::vector<float> values_;
  double resolution_ = -1;  // rounding error of a value [its units]; -1: not measured
};

// Ends as solve() does.
DIFFRT_API SolveResult fit(BoundModel& model, const Observation& observation, Span<const double> theta0,
                           const Loss& loss = {}, const SolveOptions& options = {});

}  // namespace diffrt
