// Costs and normal equations of a model whose rows stay on a GPU: residuals are taken there, and what comes
// back is their sums. For models without tables of parameters, over domains whose rows it holds at once.
#pragma once

#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "diffrt/renderer.hpp"
#include "module/device_runner.hpp"
#include "module/loss_on_device.hpp"
#include "module/record_sums.hpp"
#include "module/residuals.hpp"
#include "runtime/thread_pool.hpp"

namespace diffrt::module {

class DeviceSums {
 public:
  // Null where these sums are not made on the device.
  static std::unique_ptr<DeviceSums> make(const DeviceRunner& runner, const RecordLayout& layout,
                                          const RowMap& map, const Domain& domain,
                                          std::shared_ptr<runtime::ThreadPool> pool);

  // At the parameters that the runner was moved to. `record`: layout.size() numbers, sums of w rho' j j'
  // (`scatter`: of their squares, times r^2). `remember`: the costs, to be compared with by cost(shared).
  Totals products(const Observation& observation, const renderer::KernelLoss& loss, bool scatter,
                  bool remember, double* record);
  Totals cost(const Observation& observation, const renderer::KernelLoss& loss, SharedCost* shared);

 private:
  enum class Kind { cost, shared_cost, products, remembered_products, scatter };
  struct Recording {
    std::unique_ptr<runtime::Sequence> sequence;
    runtime::Sequence::Launch residuals = 0;
    kernels::residuals_arguments arguments;
  };

  DeviceSums(const DeviceRunner& runner, const RecordLayout& layout, const RowMap& map, const Domain& domain,
             std::shared_ptr<runtime::ThreadPool> pool, Index places);
  void list_blocks(const RecordLayout& layout, const RowMap& map);
  void make_buffers();
  // What is observed, to the device. False if a weight is none.
  bool send(const Observation& observation);
  // Runs one kind of evaluation. False if a weight is none.
  bool evaluate(Kind kind, const Observation& observation, const renderer::KernelLoss& loss);
  Recording record(Kind kind, int index, const renderer::KernelLoss& loss, bool weighted);
  void record_products(runtime::Sequence& sequence);
  void record_tile_sums(runtime::Sequence& sequence, const runtime::DeviceBuffer<float>& sums);
  Totals totals() const;

  const DeviceRunner& runner_;
  runtime::Device& device_;
  const kernels::DeviceTable& kernels_;
  const Domain domain_;
  const std::shared_ptr<runtime::ThreadPool> pool_;
  const int outputs_, planes_;
  const Index places_;  // of a plane
  const int numbers_;   // in all outputs' planes

  // Of each product of two planes, block by block: its place in a record, or -1.
  std::vector<std::int32_t> blocks_, record_places_;
  int block_count_ = 0, share_bits_ = 0;

  // Planes of values, of partials, and of residuals; and by output: observed, weights, w rho', w rho.
  runtime::DeviceBuffer<float> out_, observed_, weights_, ones_, robust_, costs_, remembered_;
  runtime::DeviceBuffer<float> sent_observed_, sent_weights_;
  runtime::DeviceBuffer<float> line_sums_, tile_sums_, shared_sums_, fetched_totals_, fetched_shared_;
  runtime::DeviceBuffer<float> share_sums_, sums_, fetched_sums_;
  runtime::DeviceBuffer<std::int32_t> block_list_;
  std::unique_ptr<runtime::Sequence> send_observed_, send_weights_;
  std::uint64_t sent_ = 0;  // the revision that is there
  LossOnDevice loss_model_;
  std::map<std::tuple<Kind, int, bool>, Recording> recordings_;
};

}  // namespace diffrt::module
