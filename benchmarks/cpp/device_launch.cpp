// How long it takes to launch a kernel on a 16 x 16 image on a GPU and wait for it: a sequence, and the least
// that its driver takes, in turns. Name a device as the argument, or all there are get their turn.
//
// Also, what a sequence of several launches costs: one run, which CUDA replays as a graph, against one call
// each.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "bare_vulkan.hpp"
#include "runtime/cuda/device.hpp"
#include "runtime/devices.hpp"
#include "runtime/sequence.hpp"

namespace {

using namespace diffrt;
using namespace diffrt::runtime;
using Clock = std::chrono::steady_clock;

constexpr int rounds = 60, inner = 50;
constexpr std::size_t pixels = 256;

template <class F>
double microseconds(F&& body) {
  const auto begin = Clock::now();
  for (int i = 0; i < inner; ++i) body();
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count() / inner;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// Medians of both, measured in turns.
template <class A, class B>
std::pair<double, double> in_turns(A&& a, B&& b) {
  std::vector<double> first, second;
  microseconds(a), microseconds(b);
  for (int round = 0; round < rounds; ++round)
    first.push_back(microseconds(a)), second.push_back(microseconds(b));
  return {median(first), median(second)};
}

struct Image {
  explicit Image(Device& device) : inverse_depth(device, pixels), shown(device, pixels), ids(device, pixels) {
    arguments.tiles_x = 1, arguments.fx = 20, arguments.fy = 20, arguments.cx = 8, arguments.cy = 8;
    arguments.channels = 1;
    arguments.inverse_depth = array(inverse_depth), arguments.ids = array(ids),
    arguments.image = array(shown);
  }
  std::unique_ptr<Sequence> sequence(Device& device, int launches, const Bounds& bounds) const {
    auto sequence = device.make_sequence();
    for (int i = 0; i < launches; ++i) sequence->launch(kernel(device), arguments, bounds);
    sequence->finish();
    return sequence;
  }
  static kernels::DeviceKernel<kernels::value_of_depth_arguments> kernel(const Device& device) {
    return device.kernels().value_of_depth[kernels::output_distance];
  }

  DeviceBuffer<float> inverse_depth, shown;
  DeviceBuffer<std::int32_t> ids;
  kernels::value_of_depth_arguments arguments;
};

// Blocks for bare launches: zeros.
DeviceBuffer<float> zeros(Device& device) {
  DeviceBuffer<float> buffer(device, 1024);
  const auto sequence = device.make_sequence();
  sequence->fill(buffer.array(), 0.0f);
  sequence->finish();
  sequence->run();
  sequence->wait();
  return buffer;
}

void report(const Device& device, const char* what, const std::pair<double, double>& times,
            const char* bare) {
  std::printf("%s (%s): %s %.2f us, %s %.2f us: %.2f x\n", device.details().device.c_str(),
              device.details().name.c_str(), what, times.first, bare, times.second,
              times.first / times.second);
}

void measure_vulkan(vulkan::VulkanDevice& device) {
  const Image image(device);
  const auto sequence = image.sequence(device, 1, Bounds::range(0, pixels));
  const KernelCode& code = *Image::kernel(device).code;
  // A full range in the bounds: the bare launch does the same work.
  DeviceBuffer<std::int32_t> bounds_host(device, 64, Memory::upload), bounds(device, 64);
  bounds_host.host()[code.begin_offset / 4] = 0;
  bounds_host.host()[code.end_offset / 4] = pixels;
  DeviceBuffer<float> block = zeros(device), block_host(device, 1024, Memory::upload);
  const auto upload = device.make_sequence();
  upload->copy(bounds.array(), bounds_host.array());
  upload->finish();
  upload->run();
  upload->wait();
  std::vector<std::pair<std::int32_t, DeviceArray<float>>> buffers = {
      {code.argument_binding, block.array()}, {code.bounds_binding, {bounds.array().address, bounds.size()}}};
  for (std::size_t i = 0; i < code.argument_count; ++i) {
    const Argument& argument = code.arguments[i];
    if (argument.binding < 0) continue;
    const std::string name = argument.name;
    const DeviceArray<float> ids{image.ids.array().address, pixels};
    buffers.emplace_back(argument.binding, name == "ids"     ? ids
                                           : name == "image" ? image.shown.array()
                                                             : image.inverse_depth.array());
  }
  benchmarks::BareVulkan bare(device, code, buffers);
  report(device, "16 x 16 kernel launch and wait",
         in_turns([&] { sequence->run(), sequence->wait(); }, [&] { bare.run(); }),
         "bare vkQueueSubmit and fence");
}

void measure_cuda(cuda::CudaDevice& device) {
  const Image image(device);
  const DeviceBuffer<float> block = zeros(device), bounds = zeros(device);
  const KernelCode& code = *Image::kernel(device).code;
  const cuda::CUfunction function = device.function(code);
  const cuda::Functions& cu = device.cu();
  // As who calls the driver himself would have it: the context current, the arguments on the device. Bounds
  // are empty, here and in the sequences: what is measured is the launch.
  const cuda::CurrentContext current(device);
  cuda::CUdeviceptr values[] = {block.array().address, bounds.array().address};
  void* pointers[] = {&values[0], &values[1]};
  const auto launch = [&] {
    cu.cuLaunchKernel(function, 256 / code.block, 1, 1, code.block, 1, 1, 0, device.stream(), pointers,
                      nullptr);
  };
  for (const int launches : {1, 2, 3, 4, 8, 32}) {
    const auto sequence = image.sequence(device, launches, Bounds::range(0, 0, pixels));
    const auto bare = [&] {
      for (int i = 0; i < launches; ++i) launch();
      cu.cuStreamSynchronize(device.stream());
    };
    const std::string what = std::to_string(launches) + " of a 16 x 16 kernel and wait";
    report(device, what.c_str(), in_turns([&] { sequence->run(), sequence->wait(); }, bare),
           "bare cuLaunchKernel and synchronise");
  }
}

void measure(const std::string& name) {
  const std::shared_ptr<Device> device = open_device(name);
  if (device == nullptr) return;
  if (device->kind() == DeviceKind::vulkan) {
    measure_vulkan(static_cast<vulkan::VulkanDevice&>(*device));
  } else {
    measure_cuda(static_cast<cuda::CudaDevice&>(*device));
  }
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count > 1) {
      measure(arguments[1]);
    } else {
      for (const DeviceDetails& details : usable_devices()) measure(details.device);
      for (const MissingDevice& missing : diffrt::runtime::missing_devices())
        std::printf("%s: skipped, %s\n", missing.device.c_str(), missing.reason.c_str());
    }
  } catch (const DeviceError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
