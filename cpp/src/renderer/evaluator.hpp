// One renderer's evaluations, on whichever device: what does not depend on it. A device shows pixels, their
// rows, and sums over them; theta, the small float64 work that leads there, and S' H_local S are shared.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "renderer/assembly.hpp"
#include "renderer/groups.hpp"
#include "renderer/kernel_loss.hpp"
#include "renderer/outputs.hpp"
#include "renderer/rendered_jacobian.hpp"
#include "runtime/device.hpp"

namespace diffrt::renderer {

class Evaluator {
 public:
  // Checks the scene and the options; throws ArgumentError.
  Evaluator(Scene scene, RendererOptions options);
  virtual ~Evaluator() = default;
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  const Scene& scene() const { return scene_; }
  const RendererOptions& options() const { return options_; }
  const scene::Parameters& parameters() const { return parameters_; }
  int channels() const { return channels_; }
  int threads() const { return pool_->threads(); }
  std::size_t degenerate_triangles() const { return degenerate_; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  std::size_t pixels() const {
    return static_cast<std::size_t>(grid_.width) * static_cast<std::size_t>(grid_.height);
  }
  // "cpu", "cuda:0": what does the work.
  virtual std::string device() const = 0;

  // As in Renderer; of normal equations H_sparse alone.
  void render(Span<const double> theta, Span<float> image);
  Jacobian jacobian(Span<const double> theta, Span<float> image);
  DeviceArray render_on_device(Span<const double> theta);
  Jacobian jacobian_on_device(Span<const double> theta, DeviceArray* image);
  void normal_equations(Span<const double> theta, const Observation& observation, const Loss& loss,
                        NormalEquations& result, PoseDerivative pose, bool remember);
  void gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                        SparseMatrix& M);
  void gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                        Span<double> M);
  void cost(Span<const double> theta, const Observation& observation, const Loss& loss,
            NormalEquations& result, SharedCost* shared);
  std::uint64_t remembered() const { return remembered_; }
  void fetch(const ImageView& view, Span<float> out);
  void check(const Observation& observation) const;
  virtual void use_stream(runtime::Stream stream);
  virtual runtime::Stream stream() const { return 0; }
  virtual void wait_for(runtime::Stream stream);

 protected:
  // Over all residuals, as in NormalEquations.
  struct Totals {
    double cost = 0, count = 0, squares = 0;

    // The sums of one tile, as the residual kernels leave them.
    void add(const float* sums) {
      cost += static_cast<double>(sums[0]), count += static_cast<double>(sums[1]),
          squares += static_cast<double>(sums[2]);
    }
  };
  // What products sum with j j': w rho', or what it is squared with r.
  enum class Products { weighted, scatter };

  // Throws DeviceError if the device is lost, or a parent process's.
  virtual void check_usable() const {}
  // Of the scene at state_. `image` may be empty where rows are asked for.
  virtual void draw(Span<float> image) = 0;
  virtual void draw_rows(Span<float> image, RowStorage& rows) = 0;
  // The same, with results that stay on the device. `image` may be null.
  virtual DeviceArray draw_on_device();
  virtual std::shared_ptr<const RowsElsewhere> draw_rows_on_device(DeviceArray* image);
  // Whether addresses of its own memory can be observed; and what lies there, on the host.
  virtual bool reads_addresses() const { return false; }
  virtual void fetch_view(const ImageView& view, Span<float> out);
  virtual Totals sum_costs(const Observation& observation, const KernelLoss& loss, SharedCost* shared) = 0;
  // A GPU works from start to finish: there is time for something else between them.
  virtual void start_products(const Observation& observation, const KernelLoss& loss, Products products,
                              bool remember) = 0;
  virtual Totals finish_products() = 0;
  // Begins H, and adds the sums of the last products to it and to g, by linearization_.
  virtual void assemble(SparseSums& H, Span<double> g) = 0;

  // The edges of some mesh have become others.
  virtual void send_edges() {}

  std::vector<std::int64_t> image_shape() const;
  bool exact() const { return options_.boundary == Boundary::exact; }
  // Names the first that is wrong; those on a device, or none, without its place.
  [[noreturn]] void refuse_weights(const ImageView& weights) const;

  const Scene scene_;
  const RendererOptions options_;
  const std::vector<OutputChannels> outputs_;
  const scene::Parameters parameters_;
  const TileGrid grid_;
  const std::shared_ptr<runtime::ThreadPool> pool_;
  const RuleModels rule_models_;
  std::vector<Group> groups_;

  int channels_ = 0;
  int camera_slots_ = 0;
  int widest_ = 0;           // slots of the widest group, the camera's among them
  bool dense_rows_ = false;  // one primitive: rows are stored as the columns of J
  int row_planes_ = 0;

  // Of the evaluation at hand.
  scene::State state_;
  Linearization linearization_;

 private:
  void check_rules() const;
  void check_image(Span<float> image) const;
  // Everything to where it is at theta.
  void move_to(Span<const double> theta);
  // Where vertices are free, those of a seam may part, or meet again.
  void look_at_edges();
  // linearization_ at state_.
  void update_linearization(Span<const double> theta, PoseDerivative kind);
  // The sums of the last products, and with them g.
  void assemble_at(SparseMatrix& H, std::vector<double>& g);
  void check_view(const char* name, const ImageView& view, bool one_channel_for_all) const;
  std::shared_ptr<RenderedJacobian> new_jacobian(Span<const double> theta);
  static void report(const Totals& totals, NormalEquations& result);

  std::vector<Eigen::Vector3d> pivots_;
  std::shared_ptr<RowStoragePool> row_pool_;
  std::shared_ptr<const void> faces_;  // of all meshes: a Jacobian refers to them
  std::size_t degenerate_ = 0;
  std::vector<std::string> warnings_;
  SparseSums sums_;
  SparseMatrix scatter_;
  std::vector<double> scattered_gradient_;
  std::uint64_t remembered_ = 0;
};

// On the device that options.device names. Throws ArgumentError or DeviceError.
std::unique_ptr<Evaluator> make_evaluator(Scene scene, RendererOptions options);

}  // namespace diffrt::renderer
