// Observations that lie on the device already, against the fake driver: where and when they are read, and
// after what. That kernels read them rightly is tested from Python.
#include <doctest/doctest.h>

#include "device_arrays.hpp"

using namespace diffrt;
using namespace diffrt::tests;

TEST_CASE("an observation on the device is read where it lies, each time") {
  Session cuda;
  Other other(cuda.get());
  Renderer renderer = make_renderer();
  cost(renderer, {other.image(), {}});
  CHECK(seen.image == other.address);
  CHECK(seen.first == 1);
  other.fill(2);
  cost(renderer, {other.image(), {}});
  CHECK(seen.first == 2);
  CHECK(seen.loads == 2);
  // Nothing of it is kept: its owner may free it.
  CHECK_THROWS_AS(runtime::open_device("cuda")->find(other.address, 4), std::logic_error);
  // The host's own comes after it, and before it, as ever.
  const std::vector<float> host(pixels, 5.0f);
  cost(renderer, {ImageView::contiguous(host.data(), height, width), {}});
  CHECK(seen.first == 5);
  cost(renderer, {other.image(), {}});
  CHECK(seen.first == 2);
  cost(renderer, {ImageView::contiguous(host.data(), height, width), {}});
  CHECK(seen.first == 5);
  // Weights there, the image here.
  other.fill(0.5f);
  cost(renderer, {ImageView::contiguous(host.data(), height, width), other.image()});
  CHECK(seen.first == 5);
  CHECK(seen.weight == 0.5f);
}

TEST_CASE("arguments that change come by the evaluation's own first kernel") {
  Session cuda;
  Other one(cuda.get()), two(cuda.get());
  Renderer renderer = make_renderer();
  cost(renderer, {one.image(), {}});
  const long sent = cuda->calls("cuMemcpyHtoDAsync_v2");
  for (int i = 0; i < 3; ++i) {
    for (const Other* other : {&two, &one, &one}) {
      cost(renderer, {other->image(), {}});
      CHECK(seen.image == other->address);
    }
  }
  CHECK(cuda->calls("cuMemcpyHtoDAsync_v2") == sent);
}

TEST_CASE("an observation on the device of known revision is read once") {
  Session cuda;
  Other other(cuda.get());
  Renderer renderer = make_renderer();
  Observation observation{other.image(), {}, new_revision()};
  for (int i = 0; i < 3; ++i) cost(renderer, observation);
  CHECK(seen.loads == 1);
  observation.revision = 0;
  other.fill(3);
  cost(renderer, observation);
  CHECK(seen.loads == 2);
  CHECK(seen.first == 3);
}

TEST_CASE("a call that fails keeps nothing of what is observed") {
  Session cuda;
  Other other(cuda.get());
  const std::vector<float> host(pixels, 5.0f);
  const ImageView weights = ImageView::contiguous(host.data(), height, width);
  // All of it there: the evaluation reads it. Weights on the host: they are sent and it is read before that.
  const std::pair<const char*, ImageView> cases[] = {{"cuGraphInstantiateWithFlags", {}},
                                                     {"cuGraphLaunch", {}},
                                                     {"cuStreamSynchronize", {}},
                                                     {"cuLaunchKernel", weights},
                                                     {"cuGraphLaunch", weights}};
  for (const auto& [function, given] : cases) {
    CAPTURE(std::string(function));
    CAPTURE(given.empty());
    Renderer renderer = make_renderer();
    const Observation observation{other.image(), given, new_revision()};
    cost(renderer, {weights, {}});  // what is made once is there
    cuda->fail(function, 1, 1);
    CHECK_THROWS_AS(cost(renderer, observation), DeviceError);
    CHECK_THROWS_AS(runtime::open_device("cuda")->find(other.address, 4), std::logic_error);
    const int loads = seen.loads;
    cost(renderer, observation);
    CHECK(seen.loads == loads + 1);
    CHECK(seen.weight == (given.empty() ? 1.0f : 5.0f));
  }
}

TEST_CASE("views of an observation: transposed, repeated, backwards") {
  Session cuda;
  Other other(cuda.get());
  for (std::size_t i = 0; i < pixels; ++i) {
    const auto value = static_cast<float>(i);
    std::memcpy(cuda->follow(other.address + 4 * i, 4), &value, 4);
  }
  Renderer renderer = make_renderer();
  ImageView view = other.image();
  view.row_stride = 4, view.column_stride = 4 * height;
  cost(renderer, {view, {}});
  CHECK(seen.last == pixels - 1);
  view.row_stride = 0, view.column_stride = 4;
  cost(renderer, {view, {}});
  CHECK(seen.last == width - 1);
  // Backwards, from the last.
  view = ImageView::on_device_at<float>(other.address + 4 * (pixels - 1), height, width);
  view.row_stride = -4 * width, view.column_stride = -4;
  cost(renderer, {view, {}});
  CHECK(seen.first == pixels - 1);
  CHECK(seen.last == 0);
  CHECK(seen.image == other.address);
  view = other.image();
  view.row_stride = 6;
  CHECK(has(refusal([&] { cost(renderer, {view, {}}); }), "observed: its numbers do not begin at multiples"));
  view.row_stride = std::ptrdiff_t{1} << 40;
  CHECK(has(refusal([&] { cost(renderer, {view, {}}); }), "too far for a kernel"));
}

TEST_CASE("an image on the device is brought to the host") {
  Session cuda;
  Other other(cuda.get());
  Renderer renderer = make_renderer();
  std::vector<float> out(pixels);
  // The fake's kernel computes nothing: what is asked for is looked at.
  cuda->set_kernel("diffrt_pack_image",
                   [](FakeCuda& fake, const unsigned char* block, const unsigned char*, unsigned) {
                     const runtime::KernelCode& code = *kernels::table_cuda.pack_image.code;
                     const auto image = argument<std::uint64_t>(code, block, "image"),
                                to = argument<std::uint64_t>(code, block, "out");
                     std::memcpy(fake.follow(to, 4 * pixels), fake.follow(image, 4 * pixels), 4 * pixels);
                   });
  cuda->write_elsewhere(other.stream, other.address, 9);
  renderer.use_stream(other.stream);
  renderer.fetch(other.image(), out);
  CHECK(out[0] == 9);
  CHECK(out[pixels - 1] == 1);
  CHECK(has(refusal([&] { renderer.fetch(ImageView::contiguous(out.data(), height, width), out); }),
            "on the host already"));
  out.pop_back();
  CHECK(has(refusal([&] { renderer.fetch(other.image(), out); }), "image: has 239 numbers, expected 240"));
}

TEST_CASE("what the caller's streams have to do comes first") {
  Session cuda;
  Other other(cuda.get());
  Renderer renderer = make_renderer();
  // The fake puts work off: without order the old numbers are read.
  cuda->write_elsewhere(other.stream, other.address, 7);
  cost(renderer, {other.image(), {}});
  CHECK(seen.first == 1);
  renderer.wait_for(other.stream);
  cost(renderer, {other.image(), {}});
  CHECK(seen.first == 7);
  // Later work of the producer is not waited for.
  renderer.wait_for(other.stream);
  cuda->write_elsewhere(other.stream, other.address, 8);
  cost(renderer, {other.image(), {}});
  CHECK(seen.first == 7);
  // On the producer's own stream.
  renderer.use_stream(other.stream);
  CHECK(renderer.stream() == other.stream);
  const long events = cuda->calls("cuStreamWaitEvent");
  renderer.wait_for(other.stream);
  CHECK(cuda->calls("cuStreamWaitEvent") == events);
  cost(renderer, {other.image(), {}});
  CHECK(seen.first == 8);
  for (const std::uintptr_t stream : {std::uintptr_t{1}, std::uintptr_t{2}}) {
    renderer.use_stream(stream);
    cuda->write_elsewhere(stream, other.address, static_cast<float>(10 + stream));
    cost(renderer, {other.image(), {}});
    CHECK(seen.first == static_cast<float>(10 + stream));
  }
  // Results are there when the call returns, on whichever stream.
  const DeviceArray image = renderer.render_on_device(renderer.theta0());
  CHECK(seen.renders == 1);
  CHECK(numbers(image)[0] == 1);
  renderer.use_stream(0);
  CHECK(renderer.stream() != 0);
}

TEST_CASE("a refused observation leaves the renderer as it was") {
  Session cuda;
  cuda->set_devices(2);
  Other here(cuda.get(), 0), there(cuda.get(), 1);
  Renderer renderer = make_renderer();
  const Observation good{here.image(), {}, new_revision()};
  cost(renderer, good);
  CHECK(has(refusal([&] {
              cost(renderer, {there.image(), {}});
            }),
            "observed: cuda:0: the array is on cuda:1"));
  CHECK(has(refusal([&] {
              cost(renderer, {here.image(), there.image()});
            }),
            "weights: cuda:0: the array is on"));
  CHECK(has(refusal([&] {
              cost(renderer, {ImageView::on_device_at<float>(64, height, width), {}});
            }),
            "observed: cuda:0: the array is not in CUDA's memory"));
  CHECK(seen.loads == 1);
  cost(renderer, good);
  CHECK(seen.loads == 1);
  // Weights are looked at by the kernel.
  here.fill(-1);
  for (int i = 0; i < 2; ++i) {
    NormalEquations equations;
    CHECK(has(refusal([&] {
                renderer.normal_equations(renderer.theta0(), {here.image(), here.image()}, {}, equations);
              }),
              "some are negative"));
    CHECK(has(refusal([&] { cost(renderer, {here.image(), here.image(), 77}); }), "some are negative"));
  }
  CHECK(seen.loads == 5);
  here.fill(1);
  cost(renderer, {here.image(), here.image(), 77});
  CHECK(seen.loads == 6);
  Renderer cpu = make_renderer("cpu");
  CHECK(has(refusal([&] {
              cost(cpu, {here.image(), {}});
            }),
            "observed: is on a GPU, and this renderer works on cpu"));
  CHECK(has(refusal([&] { cpu.use_stream(here.stream); }), "stream: only CUDA devices have streams"));
  CHECK(has(refusal([&] { cpu.render_on_device(cpu.theta0()); }), "works on the CPU"));
}
