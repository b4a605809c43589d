// Names of devices, lists of them, and which one "auto" takes.
#include <doctest/doctest.h>

#include <algorithm>

#include "device_list.hpp"
#include "diffrt/info.hpp"
#include "runtime/cuda/api.hpp"
#include "runtime/devices.hpp"

using namespace diffrt;
using namespace diffrt::runtime;

TEST_CASE("names of devices") {
  CHECK(parse_device("cpu").kind == DeviceKind::cpu);
  CHECK(parse_device("auto").automatic);
  CHECK(parse_device("cuda").index == 0);
  CHECK(parse_device("cuda").kind == DeviceKind::cuda);
  CHECK(parse_device("cuda:12").index == 12);
  CHECK(parse_device("vulkan:1").index == 1);
  CHECK(parse_device("vulkan").kind == DeviceKind::vulkan);
  for (const char* wrong : {"", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cuda:1x", "cuda:99999", "cpu:0",
                            "auto:1", "vulkan:0:1", " cuda", "metal"}) {
    CAPTURE(wrong);
    CHECK_THROWS_WITH_AS(parse_device(wrong),
                         doctest::Contains("Valid: cpu, cuda, cuda:N, vulkan, vulkan:N, auto"), DeviceError);
  }
}

TEST_CASE("the CPU is first in the list, and what is missing has a reason") {
  const tests::Environment no_cuda("DIFFRT_CUDA_LIBRARY", "/nowhere/libcuda.so.1");
  const tests::Environment no_vulkan("DIFFRT_VULKAN_LIBRARY", "/nowhere/libvulkan.so.1");
  CHECK(devices() == std::vector<std::string>{"cpu"});
  const std::vector<DeviceDetails> details = device_details();
  REQUIRE(details.size() == 1);
  CHECK(details[0].memory > 0);
  CHECK(!details[0].name.empty());
  const std::vector<MissingDevice> missing = diffrt::missing_devices();
  REQUIRE(missing.size() == 2);
  CHECK(missing[0].device == "cuda");
  CHECK(missing[0].reason == "/nowhere/libcuda.so.1 not found");
  CHECK(missing[1].device == "vulkan");
  CHECK(!open_device("auto"));
  CHECK_THROWS_WITH_AS(open_device("vulkan"),
                       "device: 'vulkan:0' is not available: /nowhere/libvulkan.so.1 not found", DeviceError);
}

TEST_CASE("a loader without a driver says so") {
  const tests::Environment icd("VK_ICD_FILENAMES", "/nowhere/icd.json"),
      driver("VK_DRIVER_FILES", "/nowhere/icd.json");
  try {
    open_device("vulkan");
    FAIL("a driver is there after all");
  } catch (const DeviceError& error) {
    const std::string message = error.what();
    CAPTURE(message);
    const bool no_driver = message.find("no Vulkan driver works") != std::string::npos ||
                           message.find("Vulkan finds no device") != std::string::npos;
    const bool no_loader = message.find("libvulkan.so.1 not found") != std::string::npos;
    const bool said = no_driver || no_loader;
    CHECK(said);
  }
}

TEST_CASE("auto takes CUDA, and passes over what does not open or computes on the processor") {
  const tests::FakeCudaSession cuda;
  CHECK(open_device("auto")->details().device == "cuda:0");
  close_unused_devices();
  cuda->set_devices(2);
  cuda->fail("cuDevicePrimaryCtxRetain", 1, cuda::CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(open_device("auto")->details().device == "cuda:1");
  close_unused_devices();
  cuda->set_devices(0);
  const std::shared_ptr<Device> best = open_device("auto");
  const std::vector<DeviceDetails> found = device_details();
  const bool has_vulkan_gpu = std::any_of(found.begin(), found.end(), [](const DeviceDetails& details) {
    return details.device != "cpu" && !details.software;
  });
  const bool has_best = best != nullptr;
  CHECK(has_best == has_vulkan_gpu);
}

TEST_CASE("all who ask for a device share it, until it is closed") {
  tests::on_every_device([](const std::shared_ptr<Device>& device) {
    const std::string name = device->details().device;
    const auto opens_the_same = [&] { return open_device(name) == device; };
    CHECK(opens_the_same());
    close_unused_devices();  // this one is in use
    CHECK(opens_the_same());
    device->mark_lost();
    CHECK_THROWS_AS(device->check_usable(), DeviceLostError);
    CHECK(!opens_the_same());
  });
}
