#include "runtime/cuda/sequence.hpp"

#include <algorithm>
#include <limits>

namespace diffrt::runtime::cuda {
namespace {

// A graph costs more to launch than this many entries one by one (benchmarks/cpp/device_launch.cpp).
constexpr std::size_t plain_entries = 2;
// Launches of at most this many threads are shared out warp by warp: in larger groups they would lie on few
// of the GPU's processors, and wait there for each other's memory.
constexpr std::uint32_t small_launch = 32768, warp = 32;

bool on_host(const Allocation& allocation) { return allocation.host != nullptr; }

}  // namespace

CudaSequence::CudaSequence(const std::shared_ptr<CudaDevice>& device)
    : Sequence(device, true, std::numeric_limits<std::int32_t>::max()), device_(*device), cu_(device->cu()) {}

CudaSequence::~CudaSequence() {
  if (device_.forked()) return;
  wait_in_destructor();
  try {
    const CurrentContext current(device_);
    if (graph_ != nullptr) cu_.cuGraphExecDestroy(graph_);
    if (begun_ != nullptr) cu_.cuEventDestroy_v2(begun_);
    if (ended_ != nullptr) cu_.cuEventDestroy_v2(ended_);
  } catch (const DeviceError&) {  // a lost context has nothing left to destroy
  }
}

std::uint32_t CudaSequence::group_size(const KernelCode& code, std::uint32_t threads) const {
  return threads <= small_launch ? std::min(code.block, warp) : code.block;
}

void CudaSequence::build() {
  for (const LaunchEntry& launch : launches_) functions_.push_back(device_.function(*launch.code));
  if (argument_staging_ != nullptr) sent_.resize(argument_staging_->bytes);
  const CurrentContext current(device_);
  const unsigned flags = measured_ ? CU_EVENT_DEFAULT : CU_EVENT_DISABLE_TIMING;
  if (measured_) device_.check(cu_.cuEventCreate(&begun_, flags), "cuEventCreate");
  device_.check(cu_.cuEventCreate(&ended_, flags), "cuEventCreate");
  if (entries_.size() > plain_entries) build_graph();
}

void CudaSequence::build_graph() {
  CUgraph graph = nullptr;
  device_.check(cu_.cuGraphCreate(&graph, 0), "cuGraphCreate");
  try {
    // Entries of a step come after all of the step before. Between two wide steps one node joins, or their
    // edges would multiply.
    std::vector<CUgraphNode> before, now;
    int step = -1;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].step != step) {
        before.swap(now);
        now.clear();
        step = entries_[i].step;
        const bool wide = i + 1 < entries_.size() && entries_[i + 1].step == step;
        if (wide && before.size() > 1) {
          CUgraphNode join = nullptr;
          device_.check(cu_.cuGraphAddEmptyNode(&join, graph, before.data(), before.size()),
                        "cuGraphAddEmptyNode");
          before = {join};
        }
      }
      now.push_back(add_node(graph, entries_[i], before));
    }
    device_.check(cu_.cuGraphInstantiateWithFlags(&graph_, graph, 0), "cuGraphInstantiate");
  } catch (...) {
    cu_.cuGraphDestroy(graph);
    throw;
  }
  cu_.cuGraphDestroy(graph);  // what is instantiated is a copy
}

CudaSequence::Parameters CudaSequence::parameters(const LaunchEntry& launch) const {
  const bool device_bounds = launch.bounds_allocation != nullptr;
  return {argument_memory_->address + launch.block,
          device_bounds ? launch.bounds_address : argument_memory_->address + launch.bounds};
}

CUgraphNode CudaSequence::add_node(CUgraph graph, const Entry& entry, const std::vector<CUgraphNode>& after) {
  CUgraphNode node = nullptr;
  if (const auto* index = std::get_if<std::size_t>(&entry.what)) {
    const LaunchEntry& launch = launches_[*index];
    Parameters p = parameters(launch);
    void* pointers[] = {&p.block, &p.bounds};  // copied by the call
    const CUDA_KERNEL_NODE_PARAMS kernel{functions_[*index], launch.groups, 1, 1, launch.threads, 1, 1, 0,
                                         pointers,           nullptr};
    device_.check(cu_.cuGraphAddKernelNode(&node, graph, after.data(), after.size(), &kernel),
                  "cuGraphAddKernelNode");
  } else if (const auto* copy = std::get_if<CopyEntry>(&entry.what)) {
    const auto end = [&](const Allocation& allocation, Address address) {
      CUDA_MEMCPY3D_END end{};
      end.memoryType = on_host(allocation) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
      if (on_host(allocation)) {
        end.host = reinterpret_cast<void*>(address);
      } else {
        end.device = address;
      }
      end.pitch = copy->bytes;
      end.height = 1;
      return end;
    };
    const CUDA_MEMCPY3D memory{end(*copy->from, copy->from_address), end(*copy->to, copy->to_address),
                               copy->bytes, 1, 1};
    device_.check(
        cu_.cuGraphAddMemcpyNode(&node, graph, after.data(), after.size(), &memory, device_.context()),
        "cuGraphAddMemcpyNode");
  } else {
    const FillEntry& fill = std::get<FillEntry>(entry.what);
    const CUDA_MEMSET_NODE_PARAMS memory{fill.address, 0, fill.word, 4, fill.count, 1};
    device_.check(
        cu_.cuGraphAddMemsetNode(&node, graph, after.data(), after.size(), &memory, device_.context()),
        "cuGraphAddMemsetNode");
  }
  return node;
}

void CudaSequence::call(const Entry& entry, CUstream stream) {
  if (const auto* index = std::get_if<std::size_t>(&entry.what)) {
    const LaunchEntry& launch = launches_[*index];
    Parameters p = parameters(launch);
    void* pointers[] = {&p.block, &p.bounds};
    device_.check(cu_.cuLaunchKernel(functions_[*index], launch.groups, 1, 1, launch.threads, 1, 1, 0, stream,
                                     pointers, nullptr),
                  "cuLaunchKernel");
  } else if (const auto* copy = std::get_if<CopyEntry>(&entry.what)) {
    const auto host = [](Address address) { return reinterpret_cast<void*>(address); };
    if (on_host(*copy->from)) {
      device_.check(cu_.cuMemcpyHtoDAsync_v2(copy->to_address, host(copy->from_address), copy->bytes, stream),
                    "cuMemcpyHtoDAsync");
    } else if (on_host(*copy->to)) {
      device_.check(cu_.cuMemcpyDtoHAsync_v2(host(copy->to_address), copy->from_address, copy->bytes, stream),
                    "cuMemcpyDtoHAsync");
    } else {
      device_.check(cu_.cuMemcpyDtoDAsync_v2(copy->to_address, copy->from_address, copy->bytes, stream),
                    "cuMemcpyDtoDAsync");
    }
  } else {
    const FillEntry& fill = std::get<FillEntry>(entry.what);
    device_.check(cu_.cuMemsetD32Async(fill.address, fill.word, fill.count, stream), "cuMemsetD32Async");
  }
}

void CudaSequence::send_arguments(CUstream stream) {
  if (dirty_end_ == dirty_begin_) return;
  const auto* staged = static_cast<const unsigned char*>(argument_staging_->host);
  std::size_t begin = dirty_begin_, end = dirty_end_;
  // What has come back to what it was, as addresses of others' memory do, is there already.
  while (any_sent_ && begin < end && staged[begin] == sent_[begin]) ++begin;
  while (any_sent_ && begin < end && staged[end - 1] == sent_[end - 1]) --end;
  const bool by_kernel =
      sender_ && any_sent_ && begin >= launches_[*sender_].bounds + array_alignment;  // its own come first
  if (begin < end && !by_kernel) {
    device_.check(
        cu_.cuMemcpyHtoDAsync_v2(argument_memory_->address + begin, staged + begin, end - begin, stream),
        "cuMemcpyHtoDAsync");
  }
  std::copy(staged + begin, staged + end, sent_.begin() + static_cast<std::ptrdiff_t>(begin));
  any_sent_ = true;
  dirty_begin_ = dirty_end_ = 0;
}

void CudaSequence::submit(Stream given) {
  foreign_ = reinterpret_cast<CUstream>(given);
  const CUstream stream = given == 0 ? device_.stream() : foreign_;
  const CurrentContext current(device_);
  send_arguments(stream);
  if (measured_) device_.check(cu_.cuEventRecord(begun_, stream), "cuEventRecord");
  if (graph_ != nullptr) {
    device_.check(cu_.cuGraphLaunch(graph_, stream), "cuGraphLaunch");
  } else {
    for (const Entry& entry : entries_) call(entry, stream);
  }
  // The caller's stream may be gone when wait() is called; the event is ours.
  if (measured_ || foreign_ != nullptr) device_.check(cu_.cuEventRecord(ended_, stream), "cuEventRecord");
}

void CudaSequence::wait_for_run() {
  const CurrentContext current(device_);
  if (measured_ || foreign_ != nullptr) {
    device_.check(cu_.cuEventSynchronize(ended_), "cuEventSynchronize");
  } else {
    device_.check(cu_.cuStreamSynchronize(device_.stream()), "cuStreamSynchronize");
  }
}

double CudaSequence::measured_seconds() {
  const CurrentContext current(device_);
  float milliseconds = 0;
  device_.check(cu_.cuEventElapsedTime(&milliseconds, begun_, ended_), "cuEventElapsedTime");
  return static_cast<double>(milliseconds) * 1e-3;
}

}  // namespace diffrt::runtime::cuda
