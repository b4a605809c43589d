// The real kernels on every device: its driver takes them all, and they compute what they do on the CPU.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "device_list.hpp"
#include "runtime/buffer.hpp"
#include "runtime/isa.hpp"
#include "runtime/launch.hpp"
#include "runtime/sequence.hpp"

using namespace diffrt;
using namespace diffrt::runtime;

namespace {

bool is_fake(const Device& device) { return device.details().name.find("Fake") != std::string::npos; }

}  // namespace

TEST_CASE("every kernel is taken by the driver, and its description fits the arguments") {
  tests::on_every_device([](const std::shared_ptr<Device>& device) {
    const kernels::KernelCodes all =
        device->kind() == DeviceKind::cuda ? kernels::all_cuda_kernels : kernels::all_vulkan_kernels;
    CHECK(all.count > 100);
    for (std::size_t i = 0; i < all.count; ++i) {
      CAPTURE(std::string(all.data[i].name));
      CHECK_NOTHROW(device->load(all.data[i]));
    }
  });
}

TEST_CASE("vertices in the camera's frame, as the CPU has them") {
  constexpr int numbers = 40;  // of 8 vertices each
  constexpr std::size_t count = numbers * kernels::lanes;
  Buffer<float> T(12), vertices(3 * count), expected(3 * count);
  for (std::size_t i = 0; i < 12; ++i) T[i] = std::sin(static_cast<float>(i));
  for (std::size_t i = 0; i < 3 * count; ++i) vertices[i] = std::cos(static_cast<float>(i));
  kernels::prepare_vertices_arguments on_cpu;
  on_cpu.stride = on_cpu.camera_stride = numbers;
  on_cpu.first = 0;
  on_cpu.T_camera_mesh = array(T.data()), on_cpu.vertices = array(vertices.data());
  on_cpu.vertices_camera = array(expected.data());
  launch(active_level().kernels->prepare_vertices, on_cpu, 0, numbers);

  tests::on_every_device([&](const std::shared_ptr<Device>& device) {
    if (is_fake(*device)) return;
    DeviceBuffer<float> T_host(*device, 12, Memory::upload),
        vertices_host(*device, 3 * count, Memory::upload), result(*device, 3 * count, Memory::download),
        T_device(*device, 12), vertices_device(*device, 3 * count), camera(*device, 3 * count);
    std::copy_n(T.data(), 12, T_host.host());
    std::copy_n(vertices.data(), 3 * count, vertices_host.host());
    kernels::prepare_vertices_arguments a;
    a.stride = a.camera_stride = static_cast<int>(count);
    a.first = 0;
    a.T_camera_mesh = array(T_device), a.vertices = array(vertices_device), a.vertices_camera = array(camera);
    const auto sequence = device->make_sequence();
    {
      const auto uploads = sequence->parallel();
      sequence->copy(T_device.array(), T_host.array());
      sequence->copy(vertices_device.array(), vertices_host.array());
    }
    sequence->launch(device->kernels().prepare_vertices, a, Bounds::range(0, static_cast<int>(count)));
    sequence->copy(result.array(), camera.array());
    sequence->finish();
    sequence->run();
    sequence->wait();
    float furthest = 0;
    for (std::size_t i = 0; i < 3 * count; ++i)
      furthest = std::max(furthest, std::abs(result.host()[i] - expected[i]));
    CHECK(furthest < 1e-6f);
  });
}

TEST_CASE("a tile is cleared, and no pixel of its neighbours") {
  tests::on_every_device([](const std::shared_ptr<Device>& device) {
    if (is_fake(*device)) return;
    constexpr std::size_t pixels = kernels::tile * kernels::tile;
    DeviceBuffer<float> depth(*device, 3 * pixels), depth_host(*device, 3 * pixels, Memory::download);
    DeviceBuffer<std::int32_t> ids(*device, 3 * pixels), ids_host(*device, 3 * pixels, Memory::download);
    kernels::clear_visibility_arguments a;
    a.inverse_depth = array(depth), a.ids = array(ids);
    const auto sequence = device->make_sequence();
    sequence->fill(depth.array(), 7.0f);
    sequence->fill(ids.array(), 7);
    sequence->launch(device->kernels().clear_visibility, a, Bounds::range(pixels, 2 * pixels));
    sequence->copy(depth_host.array(), depth.array());
    sequence->copy(ids_host.array(), ids.array());
    sequence->finish();
    sequence->run();
    sequence->wait();
    int wrong = 0;
    for (std::size_t p = 0; p < 3 * pixels; ++p) {
      const bool cleared = p >= pixels && p < 2 * pixels;
      wrong += depth_host.host()[p] != (cleared ? 0.0f : 7.0f) || ids_host.host()[p] != (cleared ? -1 : 7);
    }
    CHECK(wrong == 0);
  });
}
