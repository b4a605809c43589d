// A Sequence as one CUDA graph; a short one as plain calls, which then cost less.
#pragma once

#include <memory>
#include <vector>

#include "runtime/cuda/device.hpp"
#include "runtime/sequence.hpp"

namespace diffrt::runtime::cuda {

class CudaSequence : public Sequence {
 public:
  explicit CudaSequence(const std::shared_ptr<CudaDevice>& device);
  ~CudaSequence() override;

 protected:
  std::uint32_t group_size(const KernelCode& code, std::uint32_t threads) const override;
  void build() override;
  void rebind(std::size_t) override {}  // addresses are in the argument block
  void submit(Stream stream) override;
  void wait_for_run() override;
  double measured_seconds() override;

 private:
  CUgraphNode add_node(CUgraph graph, const Entry& entry, const std::vector<CUgraphNode>& after);
  void call(const Entry& entry, CUstream stream);
  void build_graph();
  void send_arguments(CUstream stream);
  // The two arguments of a launch's kernel.
  struct Parameters {
    CUdeviceptr block, bounds;
  };
  Parameters parameters(const LaunchEntry& launch) const;

  CudaDevice& device_;
  const Functions& cu_;
  std::vector<CUfunction> functions_;  // per launch
  std::vector<unsigned char> sent_;    // what the argument blocks hold on the device, once
  bool any_sent_ = false;              // it was there
  CUgraphExec graph_ = nullptr;        // none: plain calls
  CUevent begun_ = nullptr, ended_ = nullptr;
  CUstream foreign_ = nullptr;  // the caller's stream of the last run
};

}  // namespace diffrt::runtime::cuda
