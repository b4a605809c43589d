// The CUDA runtime against the fake driver: what is called and when, and what its errors become.
#include <doctest/doctest.h>

#include <cstring>
#include <numeric>

#include "device_list.hpp"
#include "device_test_kernel.hpp"
#include "runtime/cuda/api.hpp"
#include "runtime/devices.hpp"
#include "runtime/sequence.hpp"

using namespace diffrt;
using namespace diffrt::runtime;
using tests::FakeCudaSession;
using tests::scale_arguments;
using tests::scale_code;

namespace {

// y = a x + b, up and down, as a graph of four entries.
struct Scale {
  explicit Scale(const std::shared_ptr<Device>& device)
      : x(*device, 100, Memory::upload),
        y(*device, 100, Memory::download),
        x_device(*device, 100),
        y_device(*device, 100),
        sequence(device->make_sequence()) {
    std::iota(x.host(), x.host() + 100, 0.0f);
    arguments.a = 2, arguments.b = 1, arguments.x = array(x_device), arguments.y = array(y_device);
    sequence->copy(x_device.array(), x.array());
    sequence->fill(y_device.array(), 0.0f);
    sequence->launch(scale_code(DeviceKind::cuda), arguments, Bounds::range(0, 100));
    sequence->copy(y.array(), y_device.array());
    sequence->finish();
  }
  bool right() {
    sequence->run(), sequence->wait();
    return y.host()[99] == arguments.a * 99 + arguments.b;
  }

  DeviceBuffer<float> x, y, x_device, y_device;
  scale_arguments arguments;
  std::unique_ptr<Sequence> sequence;
};

template <class F>
std::string message_of(F&& call) {
  try {
    call();
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("cuda: a replay is one launch, and sends nothing that has not changed") {
  FakeCudaSession cuda;
  Scale scale(open_device("cuda"));
  CHECK(scale.right());
  const long before = cuda->all_calls(), copies = cuda->calls("cuMemcpyHtoDAsync_v2");
  CHECK(scale.right());
  CHECK(cuda->calls("cuGraphLaunch") == 2);
  CHECK(cuda->calls("cuMemcpyHtoDAsync_v2") == copies);
  CHECK(cuda->all_calls() - before == 8);  // launch, synchronise, and for each: current, push, pop
  scale.arguments.a = 5;
  scale.sequence->update(0, scale.arguments);
  CHECK(scale.right());
  CHECK(cuda->calls("cuMemcpyHtoDAsync_v2") == copies + 1);
  scale.arguments.a = 2, scale.sequence->update(0, scale.arguments);
  scale.arguments.a = 5, scale.sequence->update(0, scale.arguments);
  CHECK(scale.right());
  CHECK(cuda->calls("cuMemcpyHtoDAsync_v2") == copies + 1);
  // What failed to be sent is sent the next time.
  scale.arguments.a = 7, scale.sequence->update(0, scale.arguments);
  cuda->fail("cuMemcpyHtoDAsync_v2", 1, cuda::CUDA_ERROR_INVALID_VALUE);
  CHECK_THROWS_AS(scale.sequence->run(), DeviceError);
  CHECK(scale.right());
}

TEST_CASE("cuda: a short sequence is plain calls") {
  FakeCudaSession cuda;
  Scale scale(open_device("cuda"));
  const auto sequence = scale.sequence->device().make_sequence();
  sequence->launch(scale_code(DeviceKind::cuda), scale.arguments, Bounds::range(0, 100));
  sequence->copy(scale.y.array(), scale.y_device.array());
  sequence->finish();
  CHECK(scale.right());
  scale.y.host()[99] = 0;
  const long graphs = cuda->calls("cuGraphLaunch");
  sequence->run();
  sequence->wait();
  CHECK(scale.y.host()[99] == 199.0f);
  CHECK(cuda->calls("cuGraphLaunch") == graphs);
  CHECK(cuda->calls("cuLaunchKernel") == 1);
}

TEST_CASE("cuda: the caller's context and stream") {
  FakeCudaSession cuda;
  cuda->enter_other_context();
  {
    Scale scale(open_device("cuda"));
    CHECK(cuda->in_other_context());
    constexpr Stream legacy = 1;
    scale.sequence->run(legacy);
    CHECK(scale.y.host()[99] != 199.0f);  // put off, as on a GPU
    scale.sequence->wait();
    CHECK(scale.y.host()[99] == 199.0f);
    CHECK(cuda->calls("cuEventSynchronize") == 1);
    CHECK(cuda->in_other_context());
    cuda->fail("cuGraphLaunch", 1, cuda::CUDA_ERROR_INVALID_VALUE);
    CHECK_THROWS_AS(scale.sequence->run(), DeviceError);
    CHECK(cuda->in_other_context());
  }
  close_unused_devices();
  CHECK(cuda->in_other_context());
  cuda->leave_other_context();
}

TEST_CASE("cuda: memory of another library, of this device alone") {
  FakeCudaSession cuda;
  cuda->set_devices(2);
  const std::uint64_t here = cuda->allocate_elsewhere(400, 1), there = cuda->allocate_elsewhere(400, 0);
  {
    const auto device = open_device("cuda:1");
    CHECK(has(message_of([&] { device->adopt(there, 400); }), "the array is on cuda:0"));
    CHECK(has(message_of([&] { device->adopt(12345, 400); }), "not in CUDA's memory"));
    auto* words = reinterpret_cast<float*>(cuda->follow(here, 400));
    std::iota(words, words + 100, 0.0f);
    DeviceBuffer<float> y(*device, 100, Memory::download), y_device(*device, 100);
    scale_arguments arguments;
    arguments.a = 3;
    // From its second element: a slice of the caller's need not be aligned as our own arrays are.
    arguments.x = array(DeviceBuffer<float>(device->adopt(here + 4, 396), 99));
    CHECK_THROWS_AS(device->find(here + 4, 396), std::logic_error);  // nobody holds it any more
    const DeviceBuffer<float> x(device->adopt(here + 4, 396), 99);
    arguments.x = array(x), arguments.y = array(y_device);
    const auto sequence = device->make_sequence();
    sequence->launch(scale_code(DeviceKind::cuda), arguments, Bounds::range(0, 99));
    sequence->copy(y.array(), y_device.array());
    sequence->finish();
    sequence->run();
    sequence->wait();
    CHECK(y.host()[98] == 3 * 99.0f);
  }
  cuda->free_elsewhere(here), cuda->free_elsewhere(there);
}

TEST_CASE("cuda: out of memory, wherever it happens, leaves everything as it was") {
  for (const char* function : {"cuMemAlloc_v2", "cuMemHostAlloc"}) {
    for (int nth = 1; nth <= 3; ++nth) {
      FakeCudaSession cuda;
      const auto device = open_device("cuda");
      cuda->fail(function, nth, cuda::CUDA_ERROR_OUT_OF_MEMORY);
      const std::string message = message_of([&] { Scale scale(device); });
      CHECK(has(message, "cuda:0 (Fake GPU 0): out of memory"));
      CHECK(has(message, "device=\"cpu\""));
      CHECK(Scale(device).right());
    }
  }
  FakeCudaSession cuda;
  const auto device = open_device("cuda");
  cuda->fail("cuMemAlloc_v2", 1, cuda::CUDA_ERROR_OUT_OF_MEMORY);
  CHECK_THROWS_AS(DeviceBuffer<float>(*device, 100), DeviceMemoryError);
}

TEST_CASE("cuda: whatever call fails, an exception says so and nothing leaks") {
  // The calls that making, running and reading a sequence consists of; the fake knows how many there are.
  for (const char* function : {"cuDeviceGet",
                               "cuDeviceGetName",
                               "cuDeviceTotalMem_v2",
                               "cuDeviceGetAttribute",
                               "cuDevicePrimaryCtxRetain",
                               "cuCtxPushCurrent_v2",
                               "cuStreamCreate",
                               "cuMemAlloc_v2",
                               "cuMemHostAlloc",
                               "cuModuleLoadDataEx",
                               "cuModuleGetFunction",
                               "cuEventCreate",
                               "cuGraphCreate",
                               "cuGraphAddKernelNode",
                               "cuGraphAddMemcpyNode",
                               "cuGraphAddMemsetNode",
                               "cuGraphInstantiateWithFlags",
                               "cuMemcpyHtoDAsync_v2",
                               "cuGraphLaunch",
                               "cuStreamSynchronize"}) {
    CAPTURE(function);
    for (int nth = 1; nth <= 2; ++nth) {
      FakeCudaSession cuda;
      cuda->fail(function, nth, cuda::CUDA_ERROR_INVALID_VALUE);
      bool thrown = false;
      try {
        Scale scale(open_device("cuda"));
        const bool right = scale.right();
        CHECK(right);
      } catch (const DeviceError&) {
        thrown = true;
      }
      if (nth == 1) CHECK(thrown);
      close_unused_devices();
      // A push that failed in a destructor leaves behind what could not be freed.
      if (std::strcmp(function, "cuCtxPushCurrent_v2") == 0) cuda.expect_leaks();
      cuda->fail(function, 1 << 30, 0);
      CHECK(Scale(open_device("cuda")).right());
    }
  }
}

TEST_CASE("cuda: a lost device") {
  FakeCudaSession cuda;
  cuda.expect_leaks();  // what is in a lost context goes with it
  {
    Scale scale(open_device("cuda"));
    CHECK(scale.right());
    cuda->fail("cuStreamSynchronize", 1, cuda::CUDA_ERROR_ILLEGAL_ADDRESS, true);
    scale.sequence->run();
    const std::string message = message_of([&] { scale.sequence->wait(); });
    CHECK(has(message, "CUDA_ERROR_ILLEGAL_ADDRESS"));
    CHECK(has(message, "start the process again"));
    CHECK_THROWS_AS(scale.sequence->run(), DeviceLostError);
    scale.sequence->wait();  // nothing runs
    CHECK_THROWS_AS(scale.sequence->device().allocate(4, Memory::device), DeviceLostError);
    CHECK_THROWS_AS(scale.sequence->device().make_sequence()->finish(), DeviceLostError);
    CHECK(scale.y.host()[99] == 199.0f);
  }
  CHECK(!open_device("cpu"));
  // A process that starts again.
  close_unused_devices();
  cuda->reset();
  CHECK(bool(open_device("cuda")));
}

TEST_CASE("cuda: a driver that does not take the kernels says why") {
  struct Case {
    int error;
    const char* part;
  };
  for (const auto& [error, part] :
       {Case{cuda::CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "Update the NVIDIA driver"},
        Case{cuda::CUDA_ERROR_INVALID_PTX, "line 7: what is this"},
        Case{cuda::CUDA_ERROR_NO_BINARY_FOR_GPU, "compute capability 9.0"},
        Case{cuda::CUDA_ERROR_JIT_COMPILER_NOT_FOUND, "libnvidia-ptxjitcompiler"},
        Case{cuda::CUDA_ERROR_NOT_FOUND, "cuModuleLoadDataEx of 'scale'"}}) {
    FakeCudaSession cuda;
    const auto device = open_device("cuda");
    cuda->set_compiler_log("line 7: what is this");
    cuda->fail("cuModuleLoadDataEx", 1, error);
    const std::string message = message_of([&] { device->load(scale_code(DeviceKind::cuda)); });
    CAPTURE(message);
    CHECK(has(message, part));
    CHECK(has(message, "scale"));
    device->load(scale_code(DeviceKind::cuda));
    device->load(scale_code(DeviceKind::cuda));
    CHECK(cuda->calls("cuModuleLoadDataEx") == 2);
  }
}

TEST_CASE("cuda: no driver, no device, old drivers") {
  {
    const tests::Environment library("DIFFRT_CUDA_LIBRARY", "/nowhere/libcuda.so.1");
    CHECK(message_of([] { open_device("cuda"); }) ==
          "device: 'cuda:0' is not available: /nowhere/libcuda.so.1 not found");
  }
  {
    const tests::Environment library("DIFFRT_CUDA_LIBRARY", FAKE_CUDA_OLD);
    const std::string message = message_of([] { open_device("cuda"); });
    CHECK(has(message, "too old"));
    CHECK(has(message, "cuGraphInstantiateWithFlags"));
  }
  FakeCudaSession cuda;
  cuda->set_driver_version(11020);
  CHECK(has(message_of([] { open_device("cuda"); }), "it is of CUDA 11.2, CUDA 11.4 is needed"));
  cuda->set_driver_version(12040);
  CHECK(has(message_of([] { open_device("cuda:1"); }), "there is no 'cuda:1'; found cuda:0 (Fake GPU 0)"));
  cuda->set_devices(0);
  CHECK(has(message_of([] { open_device("cuda"); }), "finds no GPU"));
  cuda->set_devices(2);
  CHECK(open_device("cuda:1")->details().name == "Fake GPU 1");
  CHECK(open_device("cuda:1")->details().driver == "CUDA 12.4, compute capability 9.0");
}

// By itself, on a GPU: DIFFRT_TEST_CUDA=real diffrt_tests --no-skip -tc="cuda, for good*". No test after it
// has a GPU.
TEST_CASE("cuda, for good: a kernel that goes astray" * doctest::skip()) {
  const auto device = open_device("cuda");
  Scale scale(device);
  CHECK(scale.right());
  scale.sequence->update_bounds(0, 1 << 29, (1 << 29) + 64);
  scale.sequence->run();
  CHECK(has(message_of([&] { scale.sequence->wait(); }), "CUDA_ERROR_ILLEGAL_ADDRESS"));
  CHECK_THROWS_AS(scale.sequence->run(), DeviceLostError);
  CHECK_THROWS_AS(DeviceBuffer<float>(*device, 1), DeviceLostError);
  CHECK(!open_device("cpu"));
}
