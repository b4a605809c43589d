// What tests of arrays on the device share: a renderer on the fake CUDA driver, kernels that tell what they
// saw, and another library on the same device.
#pragma once

#include <doctest/doctest.h>

#include <cstring>

#include "device_list.hpp"
#include "diffrt/diffrt.hpp"
#include "diffrt_kernels.hpp"
#include "runtime/devices.hpp"

namespace diffrt::tests {

constexpr int width = 20, height = 12;
constexpr std::size_t pixels = width * height;

// What the kernels of the test saw.
struct Seen {
  int loads = 0, renders = 0, dense = 0;
  std::uint64_t image = 0;                // where load_observation was to read,
  float first = 0, last = 0, weight = 0;  // and what was there then
};
inline Seen seen;

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

// Kernels' arguments come by it, and lists are empty after it.
inline void begin_evaluation(FakeCuda& cuda, const unsigned char* block, const unsigned char*, unsigned) {
  const runtime::KernelCode& code = *kernels::table_cuda.begin_evaluation.code;
  const auto copy = [&](const char* count, const char* from, const char* to) {
    const auto bytes = 4 * static_cast<std::size_t>(argument<std::int32_t>(code, block, count));
    if (bytes == 0) return;
    std::memcpy(cuda.follow(argument<std::uint64_t>(code, block, to), bytes),
                cuda.follow(argument<std::uint64_t>(code, block, from), bytes), bytes);
  };
  copy("words", "source", "to");
  copy("argument_words", "argument_source", "arguments");
  const auto bytes = 4 * static_cast<std::size_t>(argument<std::int32_t>(code, block, "zeros"));
  if (bytes > 0) std::memset(cuda.follow(argument<std::uint64_t>(code, block, "cleared"), bytes), 0, bytes);
}

// How long lists are comes by it.
inline void keep_words(FakeCuda& cuda, const unsigned char* block, const unsigned char* bounds, unsigned) {
  const runtime::KernelCode& code = *kernels::table_cuda.keep_words.code;
  std::int32_t range[2];
  std::memcpy(range, bounds, sizeof range);
  const auto bytes = 4 * static_cast<std::size_t>(range[1] - range[0]);
  std::memcpy(cuda.follow(argument<std::uint64_t>(code, block, "to"), bytes),
              cuda.follow(argument<std::uint64_t>(code, block, "source"), bytes), bytes);
}

inline void load_observation(FakeCuda& cuda, const unsigned char* block, const unsigned char*, unsigned) {
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
inline void store_image(FakeCuda& cuda, const unsigned char* block, const unsigned char*, unsigned) {
  const auto value = static_cast<float>(++seen.renders);
  const auto image = argument<std::uint64_t>(*kernels::table_cuda.store_image.code, block, "image");
  for (std::size_t i = 0; i < pixels; ++i) std::memcpy(cuda.follow(image + 4 * i, 4), &value, 4);
}

inline void dense_rows(FakeCuda&, const unsigned char*, const unsigned char*, unsigned) { ++seen.dense; }

struct Session : FakeCudaSession {
  Session() {
    seen = Seen();
    get().set_kernel("diffrt_begin_evaluation", &begin_evaluation);
    get().set_kernel("diffrt_keep_words", &keep_words);
    get().set_kernel("diffrt_load_observation", &load_observation);
    get().set_kernel("diffrt_store_image", &store_image);
    get().set_kernel("diffrt_dense_rows", &dense_rows);
  }
};

inline Renderer make_renderer(const std::string& device = "cuda", int balls = 1) {
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

inline double cost(Renderer& renderer, const Observation& observation) {
  NormalEquations equations;
  renderer.cost(renderer.theta0(), observation, {}, equations);
  return equations.cost;
}

inline std::vector<float> numbers(const DeviceArray& array) {
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
  ImageView image() const { return ImageView::on_device_at<float>(address, height, width); }

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

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace diffrt::tests
