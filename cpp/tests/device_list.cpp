#include "device_list.hpp"

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <link.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <utility>
#include <vector>

#include "device_test_kernel.hpp"
#include "runtime/devices.hpp"
#include "runtime/vulkan/instance.hpp"

// With the leak sanitizer: what Mesa's drivers keep is theirs.
extern "C" const char* __lsan_default_suppressions() { return "leak:libLLVM\nleak:libvulkan"; }

namespace diffrt::tests {
namespace {

FakeCuda& fake_cuda() {
  void* const library = dlopen(FAKE_CUDA, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  return *reinterpret_cast<FakeCuda* (*)()>(dlsym(library, fake_cuda_symbol))();
}

// The test kernel, on the fake.
void scale(FakeCuda& cuda, const unsigned char* block, const unsigned char* bounds, unsigned threads) {
  float a, b;
  std::uint64_t x, y;
  std::memcpy(&a, block, 4), std::memcpy(&b, block + 4, 4);
  std::memcpy(&x, block + 8, 8), std::memcpy(&y, block + 16, 8);
  std::int32_t begin, end;
  std::memcpy(&begin, bounds + scale_begin_offset, 4), std::memcpy(&end, bounds + scale_end_offset, 4);
  for (int thread = 0; thread < static_cast<int>(threads); ++thread) {
    for (int i = begin + thread; i < end; i += static_cast<int>(threads)) {
      float value;
      std::memcpy(&value, cuda.follow(x + 4 * static_cast<std::uint64_t>(i), 4), 4);
      value = a * value + b;
      std::memcpy(cuda.follow(y + 4 * static_cast<std::uint64_t>(i), 4), &value, 4);
    }
  }
}

// The loader unloads Vulkan's drivers with its last instance, and the leak sanitizer could no longer name
// them.
void keep_libraries() {
  static bool kept = false;
  if (std::exchange(kept, true)) return;
  std::shared_ptr<runtime::vulkan::Instance> instance;
  try {
    instance = runtime::vulkan::Instance::open();
  } catch (const DeviceError&) {  // then there are none
  }
  std::vector<std::string> names;
  const auto collect = [](dl_phdr_info* info, std::size_t, void* data) {
    static_cast<std::vector<std::string>*>(data)->emplace_back(info->dlpi_name);
    return 0;
  };
  dl_iterate_phdr(collect, &names);
  for (const std::string& name : names) dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

void run_on(const std::string& name, const std::function<void(std::shared_ptr<runtime::Device>)>& test) {
  CAPTURE(name);
  std::shared_ptr<runtime::Device> device;
  try {
    device = runtime::open_device(name);
  } catch (const DeviceError& error) {
    static std::string told;
    if (told.find(error.what()) == std::string::npos) std::fprintf(stderr, "skipped: %s\n", error.what());
    told += error.what();
    return;
  }
  test(std::move(device));
  runtime::close_unused_devices();
}

}  // namespace

Environment::Environment(const char* name, const std::string& value) : name_(name) {
  if (const char* before = std::getenv(name)) was_set_ = true, before_ = before;
  setenv(name, value.c_str(), 1);
}

Environment::~Environment() {
  if (was_set_) {
    setenv(name_.c_str(), before_.c_str(), 1);
  } else {
    unsetenv(name_.c_str());
  }
}

FakeCudaSession::FakeCudaSession() : fake_(fake_cuda()), library_("DIFFRT_CUDA_LIBRARY", FAKE_CUDA) {
  keep_libraries();
  runtime::close_unused_devices();
  fake_.reset();
  fake_.set_kernel("scale", &scale);
}

FakeCudaSession::~FakeCudaSession() {
  runtime::close_unused_devices();
  CHECK(fake_.mistakes() == "");
  if (check_leaks_) CHECK(fake_.leaks() == "");
}

void on_every_device(const std::function<void(std::shared_ptr<runtime::Device>)>& test) {
  keep_libraries();
  run_on("vulkan", test);
  const char* cuda = std::getenv("DIFFRT_TEST_CUDA");
  if (cuda != nullptr && std::strcmp(cuda, "real") == 0) {
    run_on("cuda", test);
  } else {
    const FakeCudaSession session;
    run_on("cuda", test);
  }
}

}  // namespace diffrt::tests
