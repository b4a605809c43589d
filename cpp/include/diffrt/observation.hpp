// What a rendered image is compared with: views of the user's arrays, of either precision and any strides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "diffrt/export.hpp"

namespace diffrt {

// An image [height, width, channels] of float or double that somebody else owns. Strides in bytes; those of
// 0 repeat, negative ones go backwards: `data` is where element [0, 0, 0] is.
//
//   std::vector<float> depth(480 * 640);
//   diffrt::ImageView view = diffrt::ImageView::contiguous(depth.data(), 480, 640);
//
// A renderer refuses a view of another size than its camera's. That the memory is as large as the view says
// it cannot know.
//
// With `on_device`, `data` is an address on the renderer's own device, of memory that any library allocated
// there (CUDA: CUdeviceptr, or what cudaMalloc gave). Nothing is copied: the renderer reads it on its stream
// (Renderer::use_stream) and is done with it when the call returns.
struct ImageView {
  const void* data = nullptr;
  bool is_double = false;
  int height = 0, width = 0, channels = 1;
  std::ptrdiff_t row_stride = 0, column_stride = 0, channel_stride = 0;
  bool on_device = false;

  // Whether there is none.
  bool empty() const { return data == nullptr && height == 0 && width == 0; }

  // Contiguous [height, width, channels].
  template <class T>
  static ImageView contiguous(const T* data, int height, int width, int channels = 1) {
    static_assert(
        std::is_same_v<T, float> || std::is_same_v<T, double>,
        "An ImageView is of float or double. Copy other numbers into one of these first, in scene units "
        "and with NaN where nothing was measured (depth in millimetres, 0 where there is none: "
        "z > 0 ? 0.001f * z : NAN)");
    const auto size = static_cast<std::ptrdiff_t>(sizeof(T));
    return {data,     sizeof(T) == sizeof(double), height,          width,
            channels, size * width * channels,     size * channels, channels == 1 ? 0 : size,
            false};
  }
  // The same at an address on a device: T is float or double.
  template <class T>
  static ImageView on_device_at(std::uint64_t address, int height, int width, int channels = 1) {
    ImageView view = contiguous(reinterpret_cast<const T*>(address), height, width, channels);
    view.on_device = true;
    return view;
  }
};

// A pixel has no residual where `image` is NaN or infinite, or where its weight is 0 or NaN.
struct Observation {
  ImageView image;    // [height, width, channels], as the renderer's outputs
  ImageView weights;  // empty: all 1. [height, width, channels], or one channel for all alike; >= 0
  // Not 0: a name for what the arrays hold, that new_revision() gave. A renderer on a GPU that was given it
  // last keeps what it has, and does not read them again.
  std::uint64_t revision = 0;
};

// A number that was not given before.
DIFFRT_API std::uint64_t new_revision();

}  // namespace diffrt
