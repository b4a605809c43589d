// Models on the fake CUDA device: what kernels are launched with, and what becomes of their code.
#include <doctest/doctest.h>

#include <cstring>
#include <numeric>
#include <string>

#include "device_list.hpp"
#include "diffrt/errors.hpp"
#include "diffrt/model.hpp"
#include "forked.hpp"
#include "module_builder.hpp"
#include "runtime/devices.hpp"

using namespace diffrt;
using namespace diffrt::tests;

namespace {

// y = a x[i], of which y and dy/da are wanted; prepare() says what a is.
const char* const ptx =
    ".version 6.3\n.target sm_75\n"
    ".visible .entry m_prepare(\n)\n{ ret; }\n"
    ".visible .entry m_value(\n)\n{ ret; }\n"
    ".visible .entry m_rows(\n)\n{ ret; }\n";

Bytes file(const std::string& text, const std::string& rows_of = "m_rows", const std::string& kind = "cuda") {
  return build({text}, [&](const std::vector<std::size_t>& at) {
    std::string manifest = "producer by hand\nsection " + kind + " " + std::to_string(at[0]) + " " +
                           std::to_string(text.size()) +
                           " 1\nmodel m\noutput -\nargument i item - 0\nargument a free - 0\n"
                           "argument x per_item - 0\nslot 1 0 -1\nplane 0 0\nuniforms 1\n";
    for (const auto& [function, name] : {std::pair<std::string, std::string>{"prepare", "m_prepare"},
                                         {"value", "m_value"},
                                         {"rows", rows_of}})
      manifest += "entry " + kind + " " + function + " " + std::to_string(text.find(name)) + "\n";
    return manifest + "end m\n";
  });
}

// What a kernel is given.
struct Given {
  FakeCuda& cuda;
  std::int32_t sizes[4], bounds[2];  // width, padded, stride, input_stride
  std::uint64_t arrays[9];

  Given(FakeCuda& fake, const unsigned char* block, const unsigned char* at) : cuda(fake) {
    std::memcpy(sizes, block, sizeof sizes);
    std::memcpy(arrays, block + sizeof sizes, sizeof arrays);
    std::memcpy(bounds, at, sizeof bounds);
  }
  float* array(int k, int first, int count) const {
    return reinterpret_cast<float*>(cuda.follow(arrays[k] + sizeof(float) * static_cast<std::uint64_t>(first),
                                                sizeof(float) * static_cast<std::size_t>(count)));
  }
};
enum { parameters = 0, inputs = 2, uniforms = 6, out = 7 };

void prepare(FakeCuda& cuda, const unsigned char* block, const unsigned char* at, unsigned) {
  const Given given(cuda, block, at);
  CHECK(given.bounds[0] == 0);
  CHECK(given.bounds[1] == 1);
  *given.array(uniforms, 0, 1) = *given.array(parameters, 0, 1);
}

void compute(const Given& given, bool rows) {
  const int begin = given.bounds[0], count = given.bounds[1] - begin;
  CHECK(given.sizes[1] % 16 == 0);
  CHECK(count <= given.sizes[2]);
  const float a = *given.array(uniforms, 0, 1);
  const float* const x = given.array(inputs, begin, count);
  float* const y = given.array(out, 0, count);
  for (int i = 0; i < count; ++i) y[i] = a * x[i];
  if (rows)
    std::memcpy(given.array(out, given.sizes[2], count), x, sizeof(float) * static_cast<std::size_t>(count));
}
void value(FakeCuda& cuda, const unsigned char* block, const unsigned char* at, unsigned) {
  compute({cuda, block, at}, false);
}
void rows(FakeCuda& cuda, const unsigned char* block, const unsigned char* at, unsigned) {
  compute({cuda, block, at}, true);
}

void set_kernels(FakeCuda& cuda) {
  cuda.set_kernel("m_prepare", prepare), cuda.set_kernel("m_value", value), cuda.set_kernel("m_rows", rows);
}

BoundModel bound_to(const Module& module, const std::vector<float>& x, const std::string& device = "cuda") {
  ModelData data({x.size()});
  data.set("x", x);
  ModelOptions options;
  options.device = device;
  return BoundModel(module.model("m"), data, options);
}

}  // namespace

TEST_CASE("a model on a device, launched as its kernels are written") {
  const Environment sums("DIFFRT_MODEL_SUMS", "host");  // the fake has no kernels of the library
  const FakeCudaSession cuda;
  set_kernels(cuda.get());
  {
    std::vector<float> x(100000);
    std::iota(x.begin(), x.end(), -50000.0f);
    BoundModel model = bound_to(Module::from_bytes(file(ptx)), x);
    CHECK(model.device() == "cuda:0");
    std::vector<float> y(x.size());
    const std::vector<double> theta = {3};
    model.value(theta, y);
    CHECK(y[99999] == 3 * 49999.0f);
    const std::vector<double> other = {0.5};
    const Jacobian J = model.jacobian(other, y);
    CHECK(y[10] == 0.5f * x[10]);
    NormalEquations equations;
    const std::vector<double> observed(x.begin(), x.end());
    model.normal_equations(theta, {ImageView::contiguous(observed.data(), 1, 100000), {}}, {}, equations);
    const double squares = std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
    CHECK(equations.H[0] == doctest::Approx(squares));
    CHECK(equations.g[0] == doctest::Approx(2 * squares));
    CHECK(equations.cost == doctest::Approx(2 * squares));
    const SolveResult result = fit(model, {ImageView::contiguous(observed.data(), 1, 100000), {}}, theta);
    CHECK(converged(result.status));
    CHECK(result.theta[0] == doctest::Approx(1));
  }
  runtime::close_unused_devices();
}

TEST_CASE("a device forgets the kernels of a module that is gone") {
  const FakeCudaSession cuda;
  set_kernels(cuda.get());
  const std::vector<float> x = {1, 2, 3};
  const std::vector<double> theta = {2};
  std::vector<float> y(3);
  for (int i = 0; i < 3; ++i) {
    const Module module = Module::from_bytes(file(ptx));
    bound_to(module, x).value(theta, y);
    bound_to(module, x).value(theta, y);  // with what is compiled
    CHECK(y[2] == 6);
    CHECK(cuda->calls("cuModuleLoadDataEx") == 2 * (i + 1));
  }
  CHECK(cuda->calls("cuModuleUnload") == 2 * 3);
  runtime::close_unused_devices();
}

TEST_CASE("code for devices that is damaged is refused when it is used") {
  const FakeCudaSession cuda;
  const std::vector<float> x = {1};
  const std::string no_entries = ".version 6.3\nm_prepare(m_value(m_rows(";
  for (const Bytes& bytes : {file(ptx, "ret"), file(no_entries)}) {
    const Module module = Module::from_bytes(bytes, "f.dra");
    CHECK_THROWS_WITH_AS(bound_to(module, x), doctest::Contains("f.dra: its code for GPUs is damaged"),
                         ModuleError);
  }
  runtime::close_unused_devices();
}

TEST_CASE("a model on a device that is lost says so, and can be bound again") {
  FakeCudaSession cuda;
  cuda.expect_leaks();  // what is in a lost context goes with it
  set_kernels(cuda.get());
  const std::vector<float> x = {1, 2, 3};
  const std::vector<double> theta = {2};
  std::vector<float> y(3);
  const Module module = Module::from_bytes(file(ptx));
  {
    BoundModel model = bound_to(module, x);
    model.value(theta, y);
    cuda->fail("cuStreamSynchronize", 1, 700, true);  // an illegal address
    CHECK_THROWS_WITH_AS(model.value(theta, y), doctest::Contains("start the process again"),
                         DeviceLostError);
    CHECK_THROWS_WITH_AS(model.value(theta, y), doctest::Contains("bind the model again"), DeviceLostError);
    CHECK_THROWS_AS(model.jacobian(theta, y), DeviceLostError);
  }
  runtime::close_unused_devices();
  cuda->reset();  // a process that starts again
  set_kernels(cuda.get());
  BoundModel model = bound_to(module, x);
  model.value(theta, y);
  CHECK(y[2] == 6);
}

TEST_CASE("a model on a device in a child: an error, and the driver is left alone" *
          doctest::skip(cannot_fork)) {
  const FakeCudaSession cuda;
  set_kernels(cuda.get());
  {
    const std::vector<float> x = {1, 2, 3};
    const std::vector<double> theta = {2}, other = {5};
    std::vector<float> y(3);
    auto module = std::make_unique<Module>(Module::from_bytes(file(ptx)));
    auto model = std::make_unique<BoundModel>(bound_to(*module, x));
    Jacobian J = model->jacobian(theta, y);
    CHECK(true_in_child([&] {
      const long calls = cuda->all_calls();
      int refused = 0;
      NormalEquations equations;
      const std::function<void()> uses[] = {
          [&] { model->value(other, y); }, [&] { model->jacobian(other, y); },
          [&] { model->normal_equations(other, {}, {}, equations); }, [&] { bound_to(*module, x); }};
      for (const std::function<void()>& use : uses) {
        try {
          use();
        } catch (const DeviceError& error) {
          refused += std::string(error.what()).find("before fork()") != std::string::npos ? 1 : 0;
        }
      }
      std::vector<double> column(3);
      J.multiply(std::vector<double>{1}, column);  // is on the host
      model.reset(), module.reset(), J = {};
      runtime::close_unused_devices();
      return refused == 4 && column[2] == 3 && cuda->all_calls() == calls;
    }));
    model->value(theta, y);
    CHECK(y[2] == 6);
  }
  runtime::close_unused_devices();
}

TEST_CASE("a model that a device has no memory for can be tried again") {
  const FakeCudaSession cuda;
  set_kernels(cuda.get());
  {
    const std::vector<float> x(1000, 1.0f);
    const std::vector<double> theta = {2};
    std::vector<float> y(1000);
    const Module module = Module::from_bytes(file(ptx));
    NormalEquations equations;
    for (const char* function : {"cuMemAlloc_v2", "cuMemHostAlloc", "cuModuleLoadDataEx"}) {
      for (int nth = 1; nth < 40; ++nth) {
        cuda->fail(function, nth, 2);
        try {
          BoundModel model = bound_to(module, x);
          for (int i = 0; i < 2; ++i) {
            try {
              model.jacobian(theta, y);
              model.normal_equations(theta, {}, {}, equations);
              model.cost(theta, {}, {}, equations);
              break;
            } catch (const DeviceError&) {
            }
          }
          model.value(theta, y);
        } catch (const DeviceError&) {
        }
        cuda->fail(function, 1 << 30, 0);
      }
    }
    BoundModel model = bound_to(module, x);
    model.value(theta, y);
    CHECK(y[999] == 2);
  }
  runtime::close_unused_devices();
}

TEST_CASE("of what there is, auto takes what the file has code for") {
  const FakeCudaSession cuda;
  set_kernels(cuda.get());
  const std::vector<float> x = {1, 2, 3};
  CHECK(bound_to(Module::from_bytes(file(ptx)), x, "auto").device() == "cuda:0");
  // The offsets of a section "vulkan" are multiples of 4.
  const Module other = Module::from_bytes(file("m_prepare...m_value.m_rows..", "m_rows", "vulkan"));
  CHECK_THROWS_WITH_AS(bound_to(other, x), doctest::Contains("has code for vulkan, none for cuda:0"),
                       DeviceError);
  CHECK_THROWS_WITH_AS(bound_to(other, x, "auto"), doctest::Contains("compile the models with --targets x64"),
                       DeviceError);
  runtime::close_unused_devices();
}
