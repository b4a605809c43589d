// Arrays that stay on the device, in and out, against the fake driver: order, streams, lifetimes. That
// kernels compute what they should is tested from Python.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <thread>

#include "device_list.hpp"
#include "diffrt/diffrt.hpp"
#include "diffrt_kernels.hpp"
#include "runtime/devices.hpp"

using namespace diffrt;
using tests::FakeCuda;
using tests::FakeCudaSession;

namespace {

constexpr int width = 20, height = 12;
constexpr std::size_t pixels = width * height;

// What the kernels of the test saw.
struct Seen {
  int loads = 0, renders = 0, dense = 0;
  std::uint64_t image = 0;                // where load_observation was to read,
  float first = 0, last = 0, weight = 0;  // and what was there then
};
Seen seen;

// An argument of a kernel, as its block holds it.
template <class T>
T argument(const runtime::KernelCode& code, const unsigned char* block, const std::string& name) {
  for (std::size_t i = 0; i < code.argument_count; ++i) {
    if (code.arguments[i].name != name) continue;
    T value;
    std::memcpy(&value, block + code.arguments[i].device_offset, sizeof value);
    return value;
  }
  throw std::logic_error("no argument " + name);
}

template <class T>
T load(FakeCuda& cuda, std::uint64_t address) {
  T value;
  std::memcpy(&value, cuda.follow(address, sizeof value), sizeof value);
  return value;
}

void load_observation(FakeCuda& cuda, const unsigned char* block, const unsigned char*, unsigned) {
  const runtime::KernelCode& code = *kernels::table_cuda.load_observation.code;
  const auto number = [&](const char* name) {
    return static_cast<std::uint64_t>(argument<std::int32_t>(code, block, name));
  };
  seen.image = argument<std::uint64_t>(code, block, "image");
  ++seen.loads;
  const auto at = [&](std::uint64_t row, std::uint64_t column) {
    return load<float>(cuda, seen.image + 4 * (number("start") + row * number("row_stride") +
                                               column * number("column_stride")));
  };
  seen.first = at(0, 0), seen.last = at(height - 1, width - 1);
  seen.weight =
      load<float>(cuda, argument<std::uint64_t>(code, block, "image_weights") + 4 * number("weight_start"));
  const std::int32_t negative = 1;
  if (seen.weight < 0)
    std::memcpy(cuda.follow(argument<std::uint64_t>(code, block, "negative"), 4), &negative, 4);
}

// The nth image shows n.
void store_image(FakeCuda& cuda, const unsigned char* block, const unsigned char*, unsigned) {
  const auto value = static_cast<float>(++seen.renders);
  const auto image = argument<std::uint64_t>(*kernels::table_cuda.store_image.code, block, "image");
  for (std::size_t i = 0; i < pixels; ++i) std::memcpy(cuda.follow(image + 4 * i, 4), &value, 4);
}

void dense_rows(FakeCuda&, const unsigned char*, const unsigned char*, unsigned) { ++seen.dense; }

struct Session : FakeCudaSession {
  Session() {
    seen = Seen();
    get().set_kernel("diffrt_load_observation", &load_observation);
    get().set_kernel("diffrt_store_image", &store_image);
    get().set_kernel("diffrt_dense_rows", &dense_rows);
  }
};

Renderer make_renderer(const std::string& device = "cuda", int balls = 1) {
  Scene scene{{width, height, 20, 20, 10, 6}, {}};
  RendererOptions options;
  for (int k = 0; k < balls; ++k) {
    const std::string name = "ball" + std::to_string(k);
    scene.shapes.emplace_back(name, Sphere{{0.3 * k, 0, 5}, 1});
    options.free.push_back(name + ".center");
  }
  options.device = device;
  return Renderer(scene, options);
}

double cost(Renderer& renderer, const Observation& observation) {
  NormalEquations equations;
  renderer.cost(renderer.theta0(), observation, {}, equations);
  return equations.cost;
}

std::vector<float> numbers(const DeviceArray& array) {
  std::vector<float> out(array.size());
  array.fetch(out);
  return out;
}

// Memory of another library on the device, and a stream of its.
struct Other {
  explicit Other(FakeCuda& fake, int device = 0)
      : cuda(fake),
        address(fake.allocate_elsewhere(4 * pixels, device)),
        stream(fake.create_stream_elsewhere()) {
    fill(1);
  }
  ~Other() { cuda.free_elsewhere(address), cuda.destroy_stream_elsewhere(stream); }
  void fill(float value) {
    for (std::size_t i = 0; i < pixels; ++i) std::memcpy(cuda.follow(address + 4 * i, 4), &value, 4);
  }
  ImageView image() const { return ImageView::on_device_at<float>(address, width); }

  FakeCuda& cuda;
  const std::uint64_t address;
  const std::uintptr_t stream;
};

template <class F>
std::string refusal(F&& call) {
  try {
    call();
  } catch (const ArgumentError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

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
  cost(renderer, {ImageView::contiguous(host.data(), width), {}});
  CHECK(seen.first == 5);
  cost(renderer, {other.image(), {}});
  CHECK(seen.first == 2);
  cost(renderer, {ImageView::contiguous(host.data(), width), {}});
  CHECK(seen.first == 5);
  // Weights there, the image here.
  other.fill(0.5f);
  cost(renderer, {ImageView::contiguous(host.data(), width), other.image()});
  CHECK(seen.first == 5);
  CHECK(seen.weight == 0.5f);
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
  view = ImageView::on_device_at<float>(other.address + 4 * (pixels - 1), width);
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
              cost(renderer, {ImageView::on_device_at<float>(64, width), {}});
            }),
            "observed: cuda:0: the array is not in CUDA's memory"));
  CHECK(seen.loads == 1);
  cost(renderer, good);
  CHECK(seen.loads == 1);
  // Weights are looked at by the kernel.
  here.fill(-1);
  for (int i = 0; i < 2; ++i) {
    CHECK(has(refusal([&] { cost(renderer, {here.image(), here.image(), 77}); }), "some are negative"));
    NormalEquations equations;
    CHECK(has(refusal([&] {
                renderer.normal_equations(renderer.theta0(), {here.image(), here.image()}, {}, equations);
              }),
              "some are negative"));
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
    const long allocations = cuda->calls("cuMemAlloc_v2"), copies = cuda->calls("cuMemcpyDtoDAsync_v2");
    for (int i = 0; i < 10; ++i) second = render();
    CHECK(cuda->calls("cuMemAlloc_v2") == allocations);
    CHECK(cuda->calls("cuMemcpyDtoDAsync_v2") == copies);
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
