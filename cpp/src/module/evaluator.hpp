// A bound model's evaluations: tile by tile on the pool's threads.
#pragma once

#include <memory>
#include <vector>

#include "diffrt/model.hpp"
#include "module/device_runner.hpp"
#include "module/device_sums.hpp"
#include "module/inputs.hpp"
#include "module/model_jacobian.hpp"
#include "module/record_sums.hpp"
#include "module/residuals.hpp"
#include "runtime/recycling_pool.hpp"
#include "runtime/thread_pool.hpp"

namespace diffrt::module {

class Evaluator {
 public:
  Evaluator(std::shared_ptr<const LoadedModel> model, const ModelData& data, const ModelOptions& options);

  const Description& description() const { return map_->description(); }
  const Layout& layout() const { return map_->layout(); }
  const Domain& domain() const { return inputs_.domain(); }
  const ModelOptions& options() const { return options_; }
  int outputs() const { return map_->outputs(); }
  int threads() const { return pool_->threads(); }
  // What does the work: "cpu", "cuda:0", "vulkan:0".
  std::string device() const { return device_ == nullptr ? "cpu" : device_->device()->details().device; }
  std::uint64_t remembered() const { return remembered_; }

  // As in BoundModel; of normal equations H_sparse alone.
  void value(Span<const double> theta, Span<float> out);
  Jacobian jacobian(Span<const double> theta, Span<float> out);
  void multiply(Span<const double> theta, Span<const double> seeds, Span<float> out, Span<double> products);
  void multiply_transposed(Span<const double> theta, Span<const double> w, Span<float> out,
                           Span<double> product);
  void normal_equations(Span<const double> theta, const Observation& observation, const Loss& loss,
                        NormalEquations& result, PoseDerivative pose, bool remember);
  void cost(Span<const double> theta, const Observation& observation, const Loss& loss,
            NormalEquations& result, SharedCost* shared);
  void gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                        SparseMatrix& M);
  void check(const Observation& observation) const { check_observation(domain(), outputs(), observation); }

 private:
  // What products sum with j j': w rho', or what it is squared with r.
  enum class Products { weighted, scatter };

  // A thread's blocks: rows of a tile, planes `stride_` apart.
  struct Workspace {
    runtime::Buffer<float> rows, costs, factors;
    runtime::Buffer<std::int32_t> ids;
    Residuals residuals;
    RecordSums sums;
    std::vector<double> products;
  };

  // Checks theta, and brings it to the model's code.
  void move_to(Span<const double> theta);
  void check_values(const char* name, Span<float> out) const;
  void open(const std::string& device);
  // Runs over a range of the domain: planes from `out` on, `stride` apart. On a GPU it has been computed by
  // the loop around it, over_tiles or over_parts, which are of the same function; while the host works with
  // one piece, the next is computed.
  void run(FunctionKind function, const Range& range, float* out, std::int32_t* ids, Index stride) const;
  void start(FunctionKind function, Index piece, Index first_tile, Index last_tile);
  void wait(FunctionKind function, Index piece);
  // Calls body(tile, workspace) for all tiles.
  template <class F>
  void over_tiles(FunctionKind function, F&& body);
  // Calls body(part, its first tile, its last tile + 1, workspace) for all of `parts` parts, `at_once` of
  // them and then done(first, last), and so on. The function is rows().
  template <class F, class G>
  void over_parts(Index parts, Index at_once, F&& body, G&& done);
  Index part_begin(Index part, Index parts) const { return tiles_.count() * part / parts; }
  RowView view_of(const Workspace& work) const {
    return {work.rows.data() + outputs() * stride_, stride_, work.ids.data(), stride_};
  }
  void store(const Range& range, const float* planes, Index stride, Span<float> out) const;
  void start_products(Span<const double> theta, const Observation& observation, const Loss& loss,
                      Products products, bool remember);
  void sum_tile(Index tile, const Observation& observation, const renderer::KernelLoss& loss,
                Products products, float* costs, Workspace& work, Records& records);
  void keep(const Totals& all);
  Totals total(const Observation& observation) const;
  static void report(const Totals& totals, NormalEquations& result);

  const ModelOptions options_;
  Inputs inputs_;
  std::shared_ptr<const RowMap> map_;
  const RecordLayout layout_;
  Functions functions_;  // of the CPU
  const kernels::Table& kernels_;
  const std::shared_ptr<runtime::ThreadPool> pool_;
  Arguments arguments_{};
  std::unique_ptr<DeviceRunner> device_;
  std::unique_ptr<DeviceSums> device_sums_;  // where there are any

  Tiles tiles_;
  Index stride_ = 0;
  Index parts_ = 1, parts_at_once_ = 1, tiles_at_once_ = 1;
  std::vector<Workspace> workspaces_;
  std::shared_ptr<runtime::RecyclingPool<RowStorage>> row_pool_;

  // Of the evaluation at hand.
  std::vector<Totals> totals_;    // by tile; of a device's sums the first is all
  std::vector<Records> records_;  // by part
  std::vector<double> sum_, g_, slots_, part_sums_;
  PairSums H_;

  // Costs of residuals that normal_equations was to remember, by tile.
  runtime::Buffer<float> remembered_costs_;
  std::vector<SharedCost> shared_;
  std::uint64_t remembered_ = 0;
};

}  // namespace diffrt::module
