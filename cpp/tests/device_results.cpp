// Results that stay on the device, against the fake driver: how long they live, and who may still read them.
#include <doctest/doctest.h>

#include <thread>

#include "device_arrays.hpp"

using namespace diffrt;
using namespace diffrt::tests;

TEST_CASE("results on the device live as long as they are held, and their memory is used again") {
  Session cuda;
  DeviceArray last;
  {
    Renderer renderer = make_renderer();
    const auto render = [&] { return renderer.render_on_device(renderer.theta0()); };
    DeviceArray first = render(), second = render();
    CHECK(first.device() == "cuda:0");
    CHECK(first.shape() == std::vector<std::int64_t>{height, width});
    CHECK(first.address() != second.address());
    CHECK(numbers(first)[pixels - 1] == 1);
    CHECK(numbers(second)[0] == 2);
    const DeviceArray also_first = first;
    const std::uint64_t address = second.address();
    first = DeviceArray(), second = DeviceArray();
    second = render();
    CHECK(second.address() == address);
    CHECK(numbers(also_first)[0] == 1);
    const DeviceArray copied = also_first.copy();
    CHECK(copied.address() != also_first.address());
    CHECK(numbers(copied) == numbers(also_first));
    // The usual loop holds the last one while it computes the next.
    for (int i = 0; i < 3; ++i) second = render();
    const long allocations = cuda->calls("cuMemAlloc_v2"), copies = cuda->calls("cuMemcpyDtoDAsync_v2"),
               sent = cuda->calls("cuMemcpyHtoDAsync_v2");
    for (int i = 0; i < 10; ++i) second = render();
    CHECK(cuda->calls("cuMemAlloc_v2") == allocations);
    CHECK(cuda->calls("cuMemcpyDtoDAsync_v2") == copies);
    CHECK(cuda->calls("cuMemcpyHtoDAsync_v2") == sent);  // nor are addresses sent
    CHECK(cuda->calls("cuCtxSynchronize") == 0);
    CHECK(numbers(second)[0] == static_cast<float>(seen.renders));
    last = second;
  }
  CHECK(numbers(last)[0] == static_cast<float>(seen.renders));
  // From another thread, which has no context of its own.
  std::thread([&] { last = DeviceArray(); }).join();
}

TEST_CASE("memory that is still read is not written") {
  Session cuda;
  Other other(cuda.get());
  float read = 0;
  Renderer renderer = make_renderer();
  for (const bool same : {false, true}) {
    CAPTURE(same);
    if (same) renderer.use_stream(other.stream);
    DeviceArray image = renderer.render_on_device(renderer.theta0());
    const std::uint64_t address = image.address();
    const auto value = static_cast<float>(seen.renders);
    cuda->read_elsewhere(other.stream, address, &read);
    image.used_on(other.stream);
    image = DeviceArray();
    image = renderer.render_on_device(renderer.theta0());
    CHECK(image.address() == address);
    CHECK(read == value);
    CHECK(cuda->calls("cuCtxSynchronize") == 1);  // the second time the stream has the order
    CHECK(numbers(image)[0] == value + 1);
  }
  // On the default stream, which the renderer's can wait for.
  renderer.use_stream(0);
  DeviceArray image = renderer.render_on_device(renderer.theta0());
  const std::uint64_t address = image.address();
  const auto value = static_cast<float>(seen.renders);
  cuda->read_elsewhere(1, address, &read);
  image.used_on(1);
  image = DeviceArray();
  const long waits = cuda->calls("cuStreamWaitEvent"), synchronized = cuda->calls("cuCtxSynchronize");
  image = renderer.render_on_device(renderer.theta0());
  CHECK(image.address() == address);
  CHECK(read == value);
  CHECK(cuda->calls("cuStreamWaitEvent") == waits + 1);
  CHECK(cuda->calls("cuCtxSynchronize") == synchronized);
  // By streams unknown.
  image.used_on(0);
  image = DeviceArray();
  image = renderer.render_on_device(renderer.theta0());
  CHECK(cuda->calls("cuCtxSynchronize") == synchronized + 1);
}

TEST_CASE("too little memory for a result: what nobody holds is given up first") {
  Session cuda;
  Renderer renderer = make_renderer();
  const auto render = [&] { return renderer.render_on_device(renderer.theta0()); };
  { const Jacobian J = renderer.jacobian_on_device(renderer.theta0()); }  // leaves memory of another size
  const DeviceArray first = render();
  cuda->fail("cuMemAlloc_v2", 1, 2);
  const DeviceArray second = render();
  CHECK(numbers(second)[0] == 2);
  cuda->fail("cuMemAlloc_v2", 1, 2);
  CHECK_THROWS_AS(render(), DeviceMemoryError);
  CHECK(numbers(render())[0] == 3);
  CHECK(numbers(first)[0] == 1);
}

TEST_CASE("J on the device: columns there, rows here when they are asked for") {
  Session cuda;
  for (const int balls : {1, 2}) {
    CAPTURE(balls);
    seen = Seen();
    DeviceArray image, dense;
    Jacobian J;
    {
      Renderer renderer = make_renderer("cuda", balls);
      J = renderer.jacobian_on_device(renderer.theta0(), &image);
      CHECK(numbers(image)[0] == 1);
    }
    CHECK(J.on_device());
    dense = J.dense_on_device();
    CHECK(dense.shape() == std::vector<std::int64_t>{height, width, 3 * balls});
    CHECK(dense.strides() == std::vector<std::int64_t>{width, 1, pixels});
    CHECK(seen.dense == (balls > 1 ? 1 : 0));
    CHECK((J.dense_on_device().address() == dense.address()) == (balls == 1));
    if (balls > 1) CHECK(numbers(dense) == std::vector<float>(dense.size(), 0.0f));  // nothing was added
    const long fetched = cuda->calls("cuMemcpyDtoHAsync_v2");
    CHECK(J.primitive_ids().size() == pixels);
    const long once = cuda->calls("cuMemcpyDtoHAsync_v2");
    CHECK(once > fetched);
    CHECK(J.primitive_ids().size() == pixels);
    CHECK(cuda->calls("cuMemcpyDtoHAsync_v2") == once);
  }
  Renderer cpu = make_renderer("cpu");
  std::vector<float> image(pixels);
  CHECK_THROWS_AS(cpu.jacobian(cpu.theta0(), image).dense_on_device(), ArgumentError);
}
