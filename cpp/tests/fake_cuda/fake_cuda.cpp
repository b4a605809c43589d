#include "fake_cuda.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <vector>

#include "runtime/cuda/api.hpp"

using Work = std::function<void()>;

// What the driver's handles point to.
namespace diffrt::runtime::cuda {

struct CUctx_st {
  int device = 0, retained = 0;
};
struct CUstream_st {
  std::deque<Work> pending;
  std::size_t done = 0;
};
struct CUevent_st {
  bool timed = false;
  CUstream stream = nullptr;  // recorded last
  std::size_t place = 0;      // how much of it comes before
};
struct CUmod_st {
  std::map<std::string, CUfunction> functions;
};
struct CUfunc_st {
  std::string entry;
};
struct CUgraphNode_st {
  CUgraph graph = nullptr;
  std::size_t index = 0;
  Work work;
  std::vector<std::size_t> after;
};
struct CUgraph_st {
  std::vector<std::unique_ptr<CUgraphNode_st>> nodes;
};
struct CUgraphExec_st {
  struct Node {
    Work work;
    std::vector<std::size_t> after;
  };
  std::shared_ptr<std::vector<Node>> nodes;
};

}  // namespace diffrt::runtime::cuda

namespace diffrt::tests {
namespace {

using namespace runtime::cuda;

// Device addresses are host addresses with this bit: the host faults there.
constexpr std::uint64_t on_device = std::uint64_t{1} << 62;

enum class Place { device, pinned, elsewhere };
struct Region {
  unsigned char* data;
  std::size_t bytes;
  Place place;
  int device;
};
struct Failure {
  int nth, error;
  bool sticky;
};

thread_local std::vector<CUcontext> contexts;

struct State {
  bool initialised = false;
  int version = 12040, sticky = 0;
  std::vector<std::unique_ptr<CUctx_st>> primary;
  std::map<std::uint64_t, Region> memory;
  CUstream_st legacy, per_thread;
  std::set<CUstream> streams, foreign_streams;
  std::set<CUevent> events;
  std::set<CUmodule> modules;
  std::set<CUfunction> functions;
  std::set<CUgraph> graphs;
  std::set<CUgraphExec> executables;
  std::map<std::string, FakeCuda::Kernel> kernels;
  std::map<std::string, Failure> failures;
  std::map<std::string, long> counts;
  std::string mistakes, compiler_log;
};

class Fake final : public FakeCuda {
 public:
  Fake() { reset(); }

  void reset() override {
    for (const auto& [address, region] : s.memory) std::free(region.data);
    const auto drop = [](const auto& all) {
      for (auto* one : all) delete one;
    };
    drop(s.streams), drop(s.foreign_streams), drop(s.events), drop(s.modules), drop(s.functions),
        drop(s.graphs), drop(s.executables);
    s = State();
    contexts.clear();
    set_devices(1);
  }
  void set_devices(int count) override {
    s.primary.clear();
    for (int i = 0; i < count; ++i) s.primary.push_back(std::make_unique<CUctx_st>(CUctx_st{i, 0}));
  }
  void set_driver_version(int version) override { s.version = version; }
  void set_kernel(const std::string& entry, Kernel kernel) override { s.kernels[entry] = kernel; }
  void fail(const std::string& function, int nth, int error, bool sticky) override {
    s.failures[function] = {nth, error, sticky};
  }
  void set_compiler_log(const std::string& log) override { s.compiler_log = log; }
  std::string mistakes() override { return s.mistakes; }
  std::string leaks() override {
    std::string text;
    const auto count = [&](std::size_t n, const char* what) {
      if (n > 0) text += std::to_string(n) + " " + what + "\n";
    };
    const auto in = [&](Place place) {
      return static_cast<std::size_t>(std::count_if(
          s.memory.begin(), s.memory.end(), [&](const auto& pair) { return pair.second.place == place; }));
    };
    count(in(Place::device), "allocations"), count(in(Place::pinned), "pinned allocations");
    count(s.streams.size(), "streams"), count(s.events.size(), "events"), count(s.modules.size(), "modules");
    count(s.graphs.size(), "graphs"), count(s.executables.size(), "executable graphs");
    for (const auto& context : s.primary)
      count(static_cast<std::size_t>(context->retained), "retained contexts");
    return text;
  }
  long calls(const std::string& function) override { return s.counts[function]; }
  long all_calls() override {
    long sum = 0;
    for (const auto& [name, count] : s.counts) sum += count;
    return sum;
  }
  unsigned char* follow(std::uint64_t address, std::size_t bytes) override {
    auto i = s.memory.upper_bound(address);
    if (i != s.memory.begin()) {
      const auto& [begin, region] = *--i;
      if (address - begin <= region.bytes && bytes <= region.bytes - (address - begin))
        return region.data + (address - begin);
    }
    throw std::out_of_range("nothing allocated there");
  }
  std::uint64_t allocate_elsewhere(std::size_t bytes, int device) override {
    return allocate(bytes, Place::elsewhere, device);
  }
  void free_elsewhere(std::uint64_t address) override { free(address, Place::elsewhere); }
  std::uintptr_t create_stream_elsewhere() override {
    return reinterpret_cast<std::uintptr_t>(*s.foreign_streams.insert(new CUstream_st).first);
  }
  void destroy_stream_elsewhere(std::uintptr_t stream) override {
    const auto handle = reinterpret_cast<CUstream>(stream);
    if (s.foreign_streams.erase(handle) > 0) delete handle;
  }
  void write_elsewhere(std::uintptr_t stream, std::uint64_t address, float value) override {
    put(reinterpret_cast<CUstream>(stream),
        guarded([this, address, value] { std::memcpy(follow(address, sizeof value), &value, sizeof value); }),
        "write_elsewhere");
  }
  void read_elsewhere(std::uintptr_t stream, std::uint64_t address, float* to) override {
    put(reinterpret_cast<CUstream>(stream),
        guarded([this, address, to] { std::memcpy(to, follow(address, sizeof *to), sizeof *to); }),
        "read_elsewhere");
  }
  void enter_other_context() override { contexts.push_back(&other_); }
  bool in_other_context() override { return contexts.size() == 1 && contexts[0] == &other_; }
  void leave_other_context() override { contexts.pop_back(); }

  void mistake(const std::string& text) { s.mistakes += text + "\n"; }

  // Counts a call, and answers with the error that it is to fail with.
  CUresult enter(const char* function, bool needs_context) {
    ++s.counts[function];
    if (!s.initialised && std::strcmp(function, "cuInit") != 0)
      mistake(std::string(function) + " before cuInit");
    if (needs_context && (contexts.empty() || contexts.back() == &other_ || contexts.back()->retained == 0))
      mistake(std::string(function) + " without a context of a retained device");
    if (s.sticky != 0) return static_cast<CUresult>(s.sticky);
    const auto i = s.failures.find(function);
    if (i == s.failures.end() || --i->second.nth > 0) return CUDA_SUCCESS;
    const Failure failure = i->second;
    s.failures.erase(i);
    if (failure.sticky) s.sticky = failure.error;
    return static_cast<CUresult>(failure.error);
  }
  CUresult wrong(CUresult result, const std::string& text) {
    mistake(text);
    return result;
  }

  std::uint64_t allocate(std::size_t bytes, Place place, int device) {
    auto* data = static_cast<unsigned char*>(std::aligned_alloc(512, (bytes + 511) / 512 * 512));
    std::memset(data, 0xcd, bytes);
    const std::uint64_t address =
        reinterpret_cast<std::uint64_t>(data) | (place == Place::pinned ? 0 : on_device);
    s.memory[address] = {data, bytes, place, device};
    return address;
  }
  CUresult free(std::uint64_t address, Place place) {
    const auto i = s.memory.find(address);
    if (i == s.memory.end() || i->second.place != place)
      return wrong(CUDA_ERROR_INVALID_VALUE, "freed what is not allocated");
    std::free(i->second.data);
    s.memory.erase(i);
    return CUDA_SUCCESS;
  }

  // --- Work is checked when it is ordered, and done when somebody waits.

  void check(std::uint64_t address, std::size_t bytes, bool device_side, const char* what) {
    try {
      follow(address, bytes);
    } catch (const std::out_of_range&) {
      return mistake(std::string(what) + ": " + std::to_string(bytes) + " bytes, of which some are not " +
                     (device_side ? "the device's" : "pinned"));
    }
    if (((address & on_device) != 0) != device_side)
      mistake(std::string(what) + ": the wrong side's address");
  }
  template <class F>
  Work guarded(F work) {
    return [this, work] {
      try {
        work();
      } catch (const std::out_of_range&) {
        mistake("work on memory that was freed");
      }
    };
  }
  Work copy(std::uint64_t to, std::uint64_t from, std::size_t bytes) {
    return guarded([this, to, from, bytes] { std::memmove(follow(to, bytes), follow(from, bytes), bytes); });
  }
  Work fill(std::uint64_t to, unsigned value, std::size_t count) {
    check(to, count * 4, true, "fill");
    return guarded([this, to, value, count] {
      unsigned char* words = follow(to, count * 4);
      for (std::size_t i = 0; i < count; ++i) std::memcpy(words + 4 * i, &value, 4);
    });
  }
  Work launch(const CUDA_KERNEL_NODE_PARAMS& p) {
    if (s.functions.count(p.func) == 0) {
      mistake("launch of what is no function of a loaded module");
      return [] {};
    }
    if (p.gridDimX == 0 || p.blockDimX == 0 || p.blockDimX > 1024 ||
        p.gridDimY * p.gridDimZ * p.blockDimY * p.blockDimZ != 1 || p.extra != nullptr ||
        p.sharedMemBytes != 0)
      mistake("launch of a wrong size");
    std::uint64_t block = 0, bounds = 0;
    std::memcpy(&block, p.kernelParams[0], 8), std::memcpy(&bounds, p.kernelParams[1], 8);
    check(block, 1, true, "argument block"), check(bounds, 8, true, "bounds");
    if (block % 8 != 0 || bounds % 4 != 0) mistake("launch: argument block or bounds not aligned");
    const auto kernel = s.kernels.find(p.func->entry);
    if (kernel == s.kernels.end()) return [] {};
    return guarded([this, body = kernel->second, block, bounds, threads = p.gridDimX * p.blockDimX] {
      body(*this, follow(block, 1), follow(bounds, 8), threads);
    });
  }
  // As late as its edges allow, the first comes last.
  static void run_graph(const std::vector<CUgraphExec_st::Node>& nodes) {
    std::vector<bool> done(nodes.size(), false);
    for (std::size_t n = 0; n < nodes.size(); ++n) {
      for (std::size_t i = nodes.size(); i-- > 0;) {
        const auto& after = nodes[i].after;
        if (done[i] || !std::all_of(after.begin(), after.end(), [&](std::size_t k) { return done[k]; }))
          continue;
        if (nodes[i].work) nodes[i].work();
        done[i] = true;
        break;
      }
    }
  }

  CUstream stream_of(CUstream stream, const char* function) {
    if (reinterpret_cast<std::uintptr_t>(stream) == 1) return &s.legacy;
    if (reinterpret_cast<std::uintptr_t>(stream) == 2) return &s.per_thread;
    if (s.streams.count(stream) + s.foreign_streams.count(stream) > 0) return stream;
    mistake(std::string(function) + " on what is no stream");
    return nullptr;
  }
  CUresult put(CUstream stream, Work work, const char* function) {
    stream = stream_of(stream, function);
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    stream->pending.push_back(std::move(work));
    return CUDA_SUCCESS;
  }
  static std::size_t end_of(const CUstream_st& stream) { return stream.done + stream.pending.size(); }
  // Does what a stream has to do, up to a place in it.
  static void drain(CUstream stream, std::size_t place) {
    while (stream->done < place && !stream->pending.empty()) {
      const Work work = std::move(stream->pending.front());
      stream->pending.pop_front();
      ++stream->done;
      work();
    }
  }
  static void drain(CUstream stream) { drain(stream, end_of(*stream)); }
  void drain_all() {
    drain(&s.legacy), drain(&s.per_thread);
    for (const auto* streams : {&s.streams, &s.foreign_streams}) {
      for (const CUstream stream : *streams) drain(stream);
    }
  }
  CUresult add_node(CUgraphNode* node, CUgraph graph, const CUgraphNode* after, std::size_t count,
                    Work work) {
    if (s.graphs.count(graph) == 0) return wrong(CUDA_ERROR_INVALID_HANDLE, "a node for what is no graph");
    auto made =
        std::make_unique<CUgraphNode_st>(CUgraphNode_st{graph, graph->nodes.size(), std::move(work), {}});
    for (std::size_t i = 0; i < count; ++i) {
      if (after[i] == nullptr || after[i]->graph != graph) mistake("a node after one of another graph");
      made->after.push_back(after[i]->index);
    }
    *node = made.get();
    graph->nodes.push_back(std::move(made));
    return CUDA_SUCCESS;
  }

  State s;

 private:
  CUctx_st other_;
};

Fake& fake() {
  static auto* const it = new Fake;
  return *it;
}

template <class T>
CUresult destroy(std::set<T>& all, T handle, const char* what) {
  if (all.erase(handle) == 0)
    return fake().wrong(CUDA_ERROR_INVALID_HANDLE, std::string("destroyed what is no ") + what);
  delete handle;
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace diffrt::tests

// --- The driver's functions.

using namespace diffrt::runtime::cuda;
using diffrt::tests::contexts;
using diffrt::tests::destroy;
using diffrt::tests::fake;
using diffrt::tests::Place;

// How each begins: with a context of a device current, or whatever there is.
#define ENTER() \
  if (const CUresult failure = fake().enter(__func__, true); failure != CUDA_SUCCESS) return failure
#define ENTER_ANYWHERE() \
  if (const CUresult failure = fake().enter(__func__, false); failure != CUDA_SUCCESS) return failure

extern "C" {

diffrt::tests::FakeCuda* diffrt_fake_cuda() { return &fake(); }
// For tests in Python.
void diffrt_fake_set_devices(int count) { fake().set_devices(count); }
std::uint64_t diffrt_fake_allocate(std::size_t bytes, int device) {
  return fake().allocate_elsewhere(bytes, device);
}
std::uintptr_t diffrt_fake_stream() { return fake().create_stream_elsewhere(); }
long diffrt_fake_calls(const char* function) { return fake().calls(function); }
const char* diffrt_fake_mistakes() { return fake().s.mistakes.c_str(); }

CUresult cuInit(unsigned flags) {
  ENTER_ANYWHERE();
  if (flags != 0) fake().mistake("cuInit with flags");
  fake().s.initialised = true;
  return fake().s.primary.empty() ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}
CUresult cuDriverGetVersion(int* version) {
  ENTER_ANYWHERE();
  *version = fake().s.version;
  return CUDA_SUCCESS;
}
CUresult cuGetErrorName(CUresult result, const char** text) {
  *text = result == CUDA_ERROR_ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS" : "CUDA_ERROR";
  return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult, const char** text) {
  *text = "as the fake driver was told";
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int* count) {
  ENTER_ANYWHERE();
  *count = static_cast<int>(fake().s.primary.size());
  return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice* device, int index) {
  ENTER_ANYWHERE();
  if (index < 0 || index >= static_cast<int>(fake().s.primary.size()))
    return fake().wrong(CUDA_ERROR_INVALID_VALUE, "cuDeviceGet beyond the last");
  *device = index;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetName(char* name, int size, CUdevice device) {
  ENTER_ANYWHERE();
  std::snprintf(name, static_cast<std::size_t>(size), "Fake GPU %d", device);
  return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice) {
  ENTER_ANYWHERE();
  *bytes = std::size_t{8} << 30;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice) {
  ENTER_ANYWHERE();
  *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? 9 : 0;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  ENTER_ANYWHERE();
  *context = fake().s.primary.at(static_cast<std::size_t>(device)).get();
  ++(*context)->retained;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  if (--fake().s.primary.at(static_cast<std::size_t>(device))->retained < 0)
    fake().mistake("a context released once too often");
  ENTER_ANYWHERE();
  return CUDA_SUCCESS;
}
CUresult cuCtxGetCurrent(CUcontext* context) {
  ENTER_ANYWHERE();
  *context = contexts.empty() ? nullptr : contexts.back();
  return CUDA_SUCCESS;
}
CUresult cuCtxPushCurrent_v2(CUcontext context) {
  ENTER_ANYWHERE();
  contexts.push_back(context);
  return CUDA_SUCCESS;
}
CUresult cuCtxPopCurrent_v2(CUcontext* context) {
  if (contexts.empty()) return fake().wrong(CUDA_ERROR_INVALID_CONTEXT, "cuCtxPopCurrent of none");
  *context = contexts.back();
  contexts.pop_back();
  ENTER_ANYWHERE();
  return CUDA_SUCCESS;
}
CUresult cuCtxSynchronize() {
  fake().drain_all();
  ENTER();
  return CUDA_SUCCESS;
}
CUresult cuStreamCreate(CUstream* stream, unsigned) {
  ENTER();
  *stream = *fake().s.streams.insert(new CUstream_st).first;
  return CUDA_SUCCESS;
}
CUresult cuStreamDestroy_v2(CUstream stream) {
  ENTER();
  return destroy(fake().s.streams, stream, "stream");
}
CUresult cuStreamSynchronize(CUstream stream) {
  stream = fake().stream_of(stream, __func__);
  if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  fake().drain(stream);  // also where it then reports an error
  ENTER();
  return CUDA_SUCCESS;
}
// The wait is for what was recorded when it was ordered, whatever becomes of the event.
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
  ENTER();
  if (fake().s.events.count(event) == 0 || event->stream == nullptr || flags != 0)
    return fake().wrong(CUDA_ERROR_INVALID_HANDLE, "a stream waits for what is no recorded event");
  return fake().put(
      stream, [of = event->stream, place = event->place] { fake().drain(of, place); }, __func__);
}
CUresult cuEventCreate(CUevent* event, unsigned flags) {
  ENTER();
  *event = *fake().s.events.insert(new CUevent_st{(flags & CU_EVENT_DISABLE_TIMING) == 0, nullptr, 0}).first;
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy_v2(CUevent event) {
  ENTER();
  return destroy(fake().s.events, event, "event");
}
CUresult cuEventRecord(CUevent event, CUstream stream) {
  ENTER();
  if (fake().s.events.count(event) == 0)
    return fake().wrong(CUDA_ERROR_INVALID_HANDLE, "recorded what is no event");
  event->stream = fake().stream_of(stream, __func__);
  if (event->stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  event->place = fake().end_of(*event->stream);
  return CUDA_SUCCESS;
}
CUresult cuEventSynchronize(CUevent event) {
  ENTER();
  if (fake().s.events.count(event) == 0 || event->stream == nullptr)
    return fake().wrong(CUDA_ERROR_INVALID_HANDLE, "waited for what is no recorded event");
  fake().drain(event->stream, event->place);
  return CUDA_SUCCESS;
}
CUresult cuEventElapsedTime(float* milliseconds, CUevent begin, CUevent end) {
  ENTER();
  for (const CUevent event : {begin, end}) {
    if (fake().s.events.count(event) == 0 || !event->timed || event->stream == nullptr ||
        event->stream->done < event->place)
      return fake().wrong(CUDA_ERROR_INVALID_HANDLE, "the time of an event without one");
  }
  *milliseconds = 0.25f;
  return CUDA_SUCCESS;
}
CUresult cuMemAlloc_v2(CUdeviceptr* address, std::size_t bytes) {
  ENTER();
  if (bytes == 0) return fake().wrong(CUDA_ERROR_INVALID_VALUE, "cuMemAlloc of nothing");
  *address = fake().allocate(bytes, Place::device, contexts.back()->device);
  return CUDA_SUCCESS;
}
CUresult cuMemFree_v2(CUdeviceptr address) {
  ENTER();
  return fake().free(address, Place::device);
}
CUresult cuMemHostAlloc(void** host, std::size_t bytes, unsigned flags) {
  ENTER();
  // The fake's kernels reach all of it; a GPU's only what is mapped, in all contexts where it is portable.
  if (flags != (CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP))
    fake().mistake("pinned memory that kernels cannot reach");
  if (bytes == 0) return fake().wrong(CUDA_ERROR_INVALID_VALUE, "cuMemHostAlloc of nothing");
  *host = reinterpret_cast<void*>(fake().allocate(bytes, Place::pinned, -1));
  return CUDA_SUCCESS;
}
CUresult cuMemFreeHost(void* host) {
  ENTER();
  return fake().free(reinterpret_cast<std::uint64_t>(host), Place::pinned);
}
CUresult cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  ENTER();
  *free = std::size_t{1} << 20, *total = std::size_t{8} << 30;
  return CUDA_SUCCESS;
}
CUresult cuPointerGetAttribute(void* value, int attribute, CUdeviceptr address) {
  ENTER();
  if (attribute != CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
    return fake().wrong(CUDA_ERROR_INVALID_VALUE, "an attribute");
  auto& memory = fake().s.memory;
  auto i = memory.upper_bound(address);
  if (i == memory.begin() || address - (--i)->first >= i->second.bytes) return CUDA_ERROR_INVALID_VALUE;
  *static_cast<int*>(value) = i->second.device;
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  ENTER();
  const auto host = reinterpret_cast<std::uint64_t>(from);
  fake().check(to, bytes, true, __func__), fake().check(host, bytes, false, __func__);
  return fake().put(stream, fake().copy(to, host, bytes), __func__);
}
CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  ENTER();
  const auto host = reinterpret_cast<std::uint64_t>(to);
  fake().check(host, bytes, false, __func__), fake().check(from, bytes, true, __func__);
  return fake().put(stream, fake().copy(host, from, bytes), __func__);
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  ENTER();
  fake().check(to, bytes, true, __func__), fake().check(from, bytes, true, __func__);
  return fake().put(stream, fake().copy(to, from, bytes), __func__);
}
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, std::size_t count, CUstream stream) {
  ENTER();
  return fake().put(stream, fake().fill(to, value, count), __func__);
}
CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned count, int* options,
                            void** values) {
  char* log = nullptr;
  std::size_t size = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (options[i] == CU_JIT_ERROR_LOG_BUFFER) log = static_cast<char*>(values[i]);
    if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) size = reinterpret_cast<std::size_t>(values[i]);
  }
  if (log != nullptr && size > 0) std::snprintf(log, size, "%s", fake().s.compiler_log.c_str());
  ENTER();
  // PTX is text: its entries are what the module has.
  const std::string text = static_cast<const char*>(image);
  if (text.find(".version") == std::string::npos)
    return fake().wrong(CUDA_ERROR_INVALID_PTX, "a module that is no PTX");
  *module = *fake().s.modules.insert(new CUmod_st).first;
  for (std::size_t at = 0; (at = text.find(".entry ", at)) != std::string::npos;) {
    at += 7;
    const std::string entry = text.substr(at, text.find_first_of(" (\n", at) - at);
    (*module)->functions[entry] = *fake().s.functions.insert(new CUfunc_st{entry}).first;
  }
  return CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule module) {
  ENTER();
  if (fake().s.modules.count(module) > 0) {
    for (const auto& [entry, function] : module->functions) destroy(fake().s.functions, function, "function");
  }
  return destroy(fake().s.modules, module, "module");
}
CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* entry) {
  ENTER();
  if (fake().s.modules.count(module) == 0)
    return fake().wrong(CUDA_ERROR_INVALID_HANDLE, "a function of no module");
  const auto i = module->functions.find(entry);
  if (i == module->functions.end()) return CUDA_ERROR_NOT_FOUND;
  *function = i->second;
  return CUDA_SUCCESS;
}
CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                        CUstream stream, void** parameters, void** extra) {
  ENTER();
  return fake().put(
      stream,
      fake().launch({function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, parameters, extra}),
      __func__);
}
CUresult cuGraphCreate(CUgraph* graph, unsigned) {
  ENTER_ANYWHERE();
  *graph = *fake().s.graphs.insert(new CUgraph_st).first;
  return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) {
  ENTER_ANYWHERE();
  return destroy(fake().s.graphs, graph, "graph");
}
CUresult cuGraphAddKernelNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* after, std::size_t count,
                              const CUDA_KERNEL_NODE_PARAMS* p) {
  ENTER();
  return fake().add_node(node, graph, after, count, fake().launch(*p));
}
CUresult cuGraphAddMemcpyNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* after, std::size_t count,
                              const CUDA_MEMCPY3D* p, CUcontext context) {
  ENTER();
  if (context != contexts.back()) fake().mistake("a copy for another context");
  if (p->Height != 1 || p->Depth != 1) fake().mistake("a copy of several rows");
  const auto address = [&](const CUDA_MEMCPY3D_END& end) {
    const bool host = end.memoryType == CU_MEMORYTYPE_HOST;
    const std::uint64_t place = host ? reinterpret_cast<std::uint64_t>(end.host) : end.device;
    fake().check(place, p->WidthInBytes, !host, "cuGraphAddMemcpyNode");
    if (end.xInBytes + end.y + end.z + end.lod != 0) fake().mistake("a copy from within");
    return place;
  };
  return fake().add_node(node, graph, after, count,
                         fake().copy(address(p->dst), address(p->src), p->WidthInBytes));
}
CUresult cuGraphAddMemsetNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* after, std::size_t count,
                              const CUDA_MEMSET_NODE_PARAMS* p, CUcontext context) {
  ENTER();
  if (context != contexts.back()) fake().mistake("a fill for another context");
  if (p->height != 1 || p->elementSize != 4) fake().mistake("a fill of several rows, or not of words");
  return fake().add_node(node, graph, after, count, fake().fill(p->dst, p->value, p->width));
}
CUresult cuGraphAddEmptyNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* after, std::size_t count) {
  ENTER_ANYWHERE();
  return fake().add_node(node, graph, after, count, nullptr);
}
#ifndef FAKE_CUDA_IS_OLD
CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long) {
  ENTER();
  if (fake().s.graphs.count(graph) == 0)
    return fake().wrong(CUDA_ERROR_INVALID_HANDLE, "instantiated what is no graph");
  auto* made = new CUgraphExec_st{std::make_shared<std::vector<CUgraphExec_st::Node>>()};
  for (const auto& node : graph->nodes) made->nodes->push_back({node->work, node->after});
  *executable = *fake().s.executables.insert(made).first;
  return CUDA_SUCCESS;
}
#endif
CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
  ENTER();
  if (fake().s.executables.count(executable) == 0)
    return fake().wrong(CUDA_ERROR_INVALID_HANDLE, "launched what is no executable graph");
  return fake().put(
      stream, [nodes = executable->nodes] { fake().run_graph(*nodes); }, __func__);
}
CUresult cuGraphExecDestroy(CUgraphExec executable) {
  ENTER();
  if (fake().s.executables.count(executable) > 0 && executable->nodes.use_count() > 1)
    fake().mistake("a graph destroyed before its work was done");
  return destroy(fake().s.executables, executable, "executable graph");
}

}  // extern "C"
