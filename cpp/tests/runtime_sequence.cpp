// Sequences, on every device there is: what is recorded happens, in order, at each run.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "device_list.hpp"
#include "device_test_kernel.hpp"
#include "runtime/sequence.hpp"

using namespace diffrt;
using namespace diffrt::runtime;
using tests::scale_arguments;
using tests::scale_code;

namespace {

// x goes up, y = a x + b comes down.
struct Scale {
  static constexpr std::size_t count = 1000;

  explicit Scale(const std::shared_ptr<Device>& device)
      : x_host(*device, count, Memory::upload),
        y_host(*device, count, Memory::download),
        x(*device, count),
        y(*device, count),
        sequence(device->make_sequence()) {
    std::iota(x_host.host(), x_host.host() + count, 0.0f);
    arguments.x = array(x), arguments.y = array(y);
    arguments.a = 2, arguments.b = 1;
  }

  void record(const Bounds& bounds) {
    sequence->copy(x.array(), x_host.array());
    sequence->fill(y.array(), -1.0f);
    launch = sequence->launch(scale_code(sequence->device().kind()), arguments, bounds);
    sequence->copy(y_host.array(), y.array());
    sequence->finish();
  }
  // Of the elements that are not as they should be in [begin, end), and -1 elsewhere.
  int wrong(int begin, int end) const {
    int wrong = 0;
    for (int i = 0; i < static_cast<int>(count); ++i) {
      const float expected = i >= begin && i < end ? arguments.a * x_host.host()[i] + arguments.b : -1.0f;
      wrong += y_host.host()[i] != expected;
    }
    return wrong;
  }
  void run() { sequence->run(), sequence->wait(); }

  DeviceBuffer<float> x_host, y_host, x, y;
  scale_arguments arguments;
  std::unique_ptr<Sequence> sequence;
  Sequence::Launch launch = 0;
};

}  // namespace

TEST_CASE("a sequence runs again and again") {
  tests::on_every_device([](std::shared_ptr<Device> device) {
    Scale scale(device);
    scale.record(Bounds::range(0, 1000));
    for (int run = 0; run < 3; ++run) {
      for (std::size_t i = 0; i < Scale::count; ++i)
        scale.x_host.host()[i] = static_cast<float>(i * 3) + static_cast<float>(run);
      scale.run();
      CHECK(scale.wrong(0, 1000) == 0);
    }
  });
}

TEST_CASE("a kernel runs over its bounds, whatever the size of its grid") {
  tests::on_every_device([](std::shared_ptr<Device> device) {
    for (const auto& [begin, end, most] : {std::tuple{0, 1000, 1000},
                                           {0, 1, 1},
                                           {7, 7, 0},
                                           {63, 65, 2},
                                           {100, 900, 1},
                                           {0, 1000, 64},
                                           {1, 65, 5000}}) {
      Scale scale(device);
      scale.record(Bounds::range(begin, end, most));
      scale.run();
      CHECK(scale.wrong(begin, end) == 0);
    }
  });
}

TEST_CASE("bounds that lie in the device's memory are read when the kernel begins") {
  tests::on_every_device([](std::shared_ptr<Device> device) {
    Scale scale(device);
    DeviceBuffer<std::int32_t> bounds_host(*device, 128, Memory::upload), bounds(*device, 128);
    scale.sequence->copy(bounds.array(), bounds_host.array());
    scale.record(Bounds::on_device(bounds.array().from(64), 1000));
    for (const auto& [begin, end] : {std::pair{0, 1000}, {3, 77}, {5, 5}}) {
      bounds_host.host()[64 + tests::scale_begin_offset / 4] = begin;
      bounds_host.host()[64 + tests::scale_end_offset / 4] = end;
      scale.run();
      CHECK(scale.wrong(begin, end) == 0);
    }
    CHECK_THROWS_AS(scale.sequence->update_bounds(scale.launch, 0, 1), std::logic_error);
  });
}

TEST_CASE("update changes scalars, arrays and bounds of what is recorded") {
  tests::on_every_device([](std::shared_ptr<Device> device) {
    Scale scale(device);
    scale.record(Bounds::range(0, 1000));
    scale.run();
    CHECK(scale.wrong(0, 1000) == 0);
    scale.arguments.a = -3, scale.arguments.b = 0.5f;
    scale.sequence->update(scale.launch, scale.arguments);
    scale.run();
    CHECK(scale.wrong(0, 1000) == 0);
    scale.sequence->update_bounds(scale.launch, 10, 20);
    scale.run();
    CHECK(scale.wrong(10, 20) == 0);
    // Another x, which the sequence's own copy does not touch.
    DeviceBuffer<float> ones(*device, Scale::count);
    const auto fill = device->make_sequence();
    fill->fill(ones.array(), 1.0f);
    fill->finish();
    fill->run();
    scale.arguments.x = array(ones);
    scale.sequence->update(scale.launch, scale.arguments);
    ones = {};  // the sequence still owns it
    scale.run();
    CHECK(scale.y_host.host()[9] == -1.0f);
    CHECK(scale.y_host.host()[10] == scale.arguments.a + scale.arguments.b);
    CHECK(scale.y_host.host()[19] == scale.arguments.a + scale.arguments.b);
  });
}

TEST_CASE("what changes, or goes, while a sequence runs waits for it") {
  tests::on_every_device([](const std::shared_ptr<Device>& device) {
    Scale scale(device);
    scale.record(Bounds::range(0, 1000));
    scale.sequence->run();  // sends the arguments
    scale_arguments other = scale.arguments;
    other.a = 100;
    scale.sequence->update(scale.launch, other);
    scale.sequence->wait();
    CHECK(scale.wrong(0, 1000) == 0);
    scale.sequence->run();
    scale.sequence->update_bounds(scale.launch, 0, 0);
    scale.sequence->wait();
    scale.arguments.a = 100;
    CHECK(scale.wrong(0, 1000) == 0);
    scale.sequence->run();
    scale.sequence.reset();
    CHECK(scale.wrong(0, 0) == 0);
  });
}

TEST_CASE("entries see what those before them wrote; those of a group run side by side") {
  tests::on_every_device([](std::shared_ptr<Device> device) {
    const KernelCode& code = scale_code(device->kind());
    constexpr std::size_t count = 256, parts = 4;
    DeviceBuffer<float> a(*device, count * parts), b(*device, count * parts),
        host(*device, count * parts, Memory::download);
    const auto sequence = device->make_sequence();
    sequence->fill(a.array(), 1.0f);
    scale_arguments arguments;
    arguments.a = 1, arguments.b = 1;
    for (int round = 0; round < 8; ++round) {  // each adds 1 to all parts, from one array to the other
      const auto& [from, to] = round % 2 == 0 ? std::tie(a, b) : std::tie(b, a);
      const auto group = sequence->parallel();
      for (std::size_t part = 0; part < parts; ++part) {
        arguments.x = array(from.array().part(part * count, count));
        arguments.y = array(to.array().part(part * count, count));
        sequence->launch(code, arguments, Bounds::range(0, static_cast<int>(count)));
      }
    }
    sequence->copy(host.array(), a.array());
    sequence->finish();
    for (int run = 0; run < 50; ++run) {
      sequence->run();
      sequence->wait();
      int wrong = 0;
      for (std::size_t i = 0; i < host.size(); ++i) wrong += host.host()[i] != 9.0f;
      REQUIRE(wrong == 0);
    }
  });
}

TEST_CASE("sequences of a device run in the order in which they are started") {
  tests::on_every_device([](std::shared_ptr<Device> device) {
    DeviceBuffer<float> value(*device, 1), host(*device, 1, Memory::download);
    scale_arguments arguments;
    arguments.x = array(value), arguments.y = array(value);
    std::vector<std::unique_ptr<Sequence>> sequences;
    for (int k = 0; k < 3; ++k) {  // value = 10 value + k
      arguments.a = 10, arguments.b = static_cast<float>(k + 1);
      sequences.push_back(device->make_sequence());
      if (k == 0) sequences.back()->fill(value.array(), 0.0f);
      sequences.back()->launch(scale_code(device->kind()), arguments, Bounds::range(0, 1));
      if (k == 2) sequences.back()->copy(host.array(), value.array());
      sequences.back()->finish();
    }
    for (int round = 0; round < 20; ++round) {
      for (const auto& sequence : sequences) sequence->run();
      sequences[2]->wait();
      REQUIRE(host.host()[0] == 123.0f);
    }
  });
}

TEST_CASE("kernels may read and write pinned memory") {
  tests::on_every_device([](std::shared_ptr<Device> device) {
    Scale scale(device);
    scale.arguments.x = array(scale.x_host), scale.arguments.y = array(scale.y_host);
    const auto& sequence = scale.sequence;
    sequence->launch(scale_code(sequence->device().kind()), scale.arguments, Bounds::range(0, 1000));
    sequence->finish();
    scale.run();
    CHECK(scale.wrong(0, 1000) == 0);
  });
}

TEST_CASE("memory that a sequence names lives as long as the sequence") {
  tests::on_every_device([](std::shared_ptr<Device> device) {
    auto scale = std::make_unique<Scale>(device);
    scale->record(Bounds::range(0, 1000));
    DeviceBuffer<float> y_host = scale->y_host;
    const std::unique_ptr<Sequence> sequence = std::move(scale->sequence);
    scale.reset();
    const DeviceBuffer<float> other(*device, 4000);  // does not take its place
    device.reset();
    sequence->run();
    sequence->wait();
    CHECK(y_host.host()[999] == 1999.0f);
  });
}

TEST_CASE("a sequence tells how long the device took") {
  tests::on_every_device([](std::shared_ptr<Device> device) {
    Scale scale(device);
    scale.sequence->measure();
    scale.record(Bounds::range(0, 1000));
    for (int run = 0; run < 3; ++run) {
      scale.run();
      const double seconds = scale.sequence->seconds();
      CHECK(seconds > 0);
      CHECK(seconds < 1);
    }
  });
}

TEST_CASE("empty sequences, empty copies, arrays that are not given") {
  tests::on_every_device([](std::shared_ptr<Device> device) {
    const auto sequence = device->make_sequence();
    const DeviceBuffer<float> empty(*device, 0);
    sequence->copy(empty.array(), empty.array());
    sequence->fill(empty.array(), 1.0f);
    sequence->launch(scale_code(device->kind()), scale_arguments{}, Bounds::range(0, 0));
    sequence->finish();
    for (int run = 0; run < 2; ++run) sequence->run();
    sequence->wait();
    sequence->wait();
    const auto nothing = device->make_sequence();
    nothing->finish();
    nothing->run();
    nothing->wait();
  });
}

TEST_CASE("wrong use of a sequence is refused") {
  tests::on_every_device([](std::shared_ptr<Device> device) {
    const KernelCode& code = scale_code(device->kind());
    DeviceBuffer<float> buffer(*device, 1000);
    const auto sequence = device->make_sequence();
    CHECK_THROWS_AS(sequence->run(), std::logic_error);
    scale_arguments arguments;
    float on_the_host[4];
    arguments.x = {4, on_the_host};
    CHECK_THROWS_AS(sequence->launch(code, arguments, Bounds::range(0, 4)), std::logic_error);
    arguments.x = array(buffer.array().from(3));  // begins where not every device can
    CHECK_THROWS_AS(sequence->launch(code, arguments, Bounds::range(0, 4)), std::logic_error);
    arguments.x = array(DeviceArray<float>{buffer.array().address, 100000});
    CHECK_THROWS_AS(sequence->launch(code, arguments, Bounds::range(0, 4)), std::logic_error);
    struct {
      std::int32_t begin, end;
    } other_kernels{};
    CHECK_THROWS_AS(sequence->launch(code, other_kernels, Bounds::range(0, 4)), std::logic_error);
    CHECK_THROWS_AS(sequence->copy(buffer.array(), buffer.array().from(1)), std::logic_error);
    const DeviceArray<float> freed = DeviceBuffer<float>(*device, 1000).array();
    CHECK_THROWS_AS(sequence->fill(freed, 0.0f), std::logic_error);
    CHECK(sequence->entries() == 0);
    sequence->finish();
    CHECK_THROWS_AS(sequence->fill(buffer.array(), 0.0f), std::logic_error);
    CHECK_THROWS_AS(sequence->finish(), std::logic_error);
    sequence->run();
    CHECK_THROWS_AS(sequence->seconds(), std::logic_error);
    const auto late = device->make_sequence();
    late->fill(buffer.array(), 0.0f);
    arguments.x = arguments.y = array(buffer);
    CHECK_THROWS_AS(late->send_by(late->launch(code, arguments, Bounds::range(0, 4))), std::logic_error);
  });
}
