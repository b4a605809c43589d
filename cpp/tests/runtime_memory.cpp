// Memory of devices: what is given out does not overlap, what is freed is used again, and replays allocate
// nothing.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "allocation_count.hpp"
#include "device_list.hpp"
#include "device_test_kernel.hpp"
#include "runtime/sequence.hpp"

using namespace diffrt;
using namespace diffrt::runtime;

TEST_CASE("allocations are aligned, and none overlaps another") {
  tests::on_every_device([](const std::shared_ptr<Device>& device) {
    std::mt19937 random(7);
    std::vector<DeviceBuffer<float>> buffers;
    for (int round = 0; round < 2000; ++round) {
      if (!buffers.empty() && random() % 5 < 2) {
        std::swap(buffers[random() % buffers.size()], buffers.back());
        buffers.pop_back();
        continue;
      }
      const Memory memory = random() % 4 == 0   ? Memory::upload
                            : random() % 4 == 0 ? Memory::download
                                                : Memory::device;
      buffers.emplace_back(*device, random() % 50 == 0 ? 10000000 : random() % 3000, memory);
      CHECK((buffers.back().host() != nullptr) == (memory != Memory::device));
    }
    std::vector<std::pair<Address, Address>> ranges;
    for (const DeviceBuffer<float>& buffer : buffers) {
      const DeviceArray<float> view = buffer.array();
      REQUIRE(view.address % array_alignment == 0);
      ranges.emplace_back(view.address, view.address + std::max<std::size_t>(view.size, 1) * 4);
    }
    std::sort(ranges.begin(), ranges.end());
    for (std::size_t i = 1; i < ranges.size(); ++i) REQUIRE(ranges[i - 1].second <= ranges[i].first);
  });
}

TEST_CASE("freed memory is used again") {
  tests::on_every_device([](const std::shared_ptr<Device>& device) {
    if (device->kind() != DeviceKind::vulkan) return;  // CUDA's driver does this itself
    const DeviceBuffer<float> first(*device, 1000);
    DeviceBuffer<float> a(*device, 1000), b(*device, 1000);
    const DeviceBuffer<float> last(*device, 1000);
    const Address address = a.array().address;
    a = {}, b = {};
    CHECK(DeviceBuffer<float>(*device, 2000).array().address == address);  // both, as one
  });
}

TEST_CASE("asking for more than there is throws, and leaves the device usable") {
  tests::on_every_device([](const std::shared_ptr<Device>& device) {
    if (device->kind() != DeviceKind::vulkan) return;  // the fake driver's is in runtime_cuda.cpp
    // NVIDIA's driver gives a little more than it says it has.
    CHECK_THROWS_WITH_AS(device->allocate(16 * device->details().memory, Memory::device),
                         doctest::Contains("out of memory"), DeviceMemoryError);
    CHECK(DeviceBuffer<float>(*device, 1000).array().address != 0);
    CHECK_THROWS_AS(device->adopt(4096, 4), DeviceError);
  });
}

TEST_CASE("a thousand replays with updates allocate nothing") {
  tests::on_every_device([](const std::shared_ptr<Device>& device) {
    const bool fake = device->details().name.find("Fake") != std::string::npos;  // which itself allocates
    DeviceBuffer<float> x(*device, 256, Memory::upload), y(*device, 256, Memory::download),
        on_device(*device, 256);
    tests::scale_arguments arguments;
    arguments.x = array(on_device), arguments.y = array(on_device);
    const auto sequence = device->make_sequence();
    sequence->copy(on_device.array(), x.array());
    const auto launch = sequence->launch(tests::scale_code(device->kind()), arguments, Bounds::range(0, 256));
    sequence->copy(y.array(), on_device.array());
    sequence->finish();
    const auto run = [&](int i) {
      x.host()[255] = static_cast<float>(i);
      arguments.a = 2, arguments.b = static_cast<float>(i);
      sequence->update(launch, arguments);
      sequence->run();
      sequence->wait();
      return y.host()[255] == 3 * static_cast<float>(i);
    };
    int right = run(0);
    const long before = tests::allocation_count();
    for (int i = 1; i < 1000; ++i) right += run(i);
    CHECK(right == 1000);
    if (!fake) CHECK(tests::allocation_count() - before == 0);
  });
}
