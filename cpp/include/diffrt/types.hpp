// Small fixed-size values of the public interface.
#pragma once

#include <array>

namespace diffrt {

using Vector2 = std::array<double, 2>;
using Vector3 = std::array<double, 3>;
// A rigid motion, row-major. T_a_b maps coordinates in frame b to coordinates in frame a.
using Matrix4 = std::array<double, 16>;

inline constexpr Matrix4 identity4 = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};

}  // namespace diffrt
