// A model whose functions are written here, in C++, and the same in double; for the tests of bound models.
//
//   p = T_a_b x          x, which: of each item; t = table[which], u = table[which + 1]
//   first = focal gain p.x + t.x + x.x u.y
//   second = p.y p.z + t.y u.x
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "diffrt/model.hpp"
#include "module/description.hpp"
#include "module_builder.hpp"
#include "scene/se3.hpp"

namespace diffrt::tests {

struct ByHand {
  static constexpr int lanes = 8, outputs = 2, planes = 17;
  // Of theta: gain, T_a_b (6), table (rows of 2).
  static constexpr std::size_t pose = 1, table = 7;

  static void prepare(const module::Arguments* a) {
    a->uniforms[0] = a->constants[0] * a->parameters[0];  // focal gain
    a->uniforms[1] = a->constants[0];
  }
  static void value(const module::Arguments* a) { compute<false>(a); }
  static void rows(const module::Arguments* a) { compute<true>(a); }

  template <bool with_rows>
  static void compute(const module::Arguments* a) {
    const float* const T = a->parameters + 1;
    for (std::int64_t i = 0; i < std::int64_t{lanes} * (a->end - a->begin); ++i) {
      const std::int64_t from = std::int64_t{lanes} * a->begin + i;
      float x[3], p[3];
      for (int k = 0; k < 3; ++k) x[k] = a->inputs[k * a->input_stride + from];
      for (int k = 0; k < 3; ++k)
        p[k] = T[4 * k] * x[0] + T[4 * k + 1] * x[1] + T[4 * k + 2] * x[2] + T[4 * k + 3];
      const std::int32_t which = a->indices[from];
      const float *const t = a->tables[0] + 2 * which, *const u = t + 2;
      int plane = 0;
      const auto write = [&](float number) { a->out[a->stride * plane++ + i] = number; };
      write(a->uniforms[0] * p[0] + t[0] + x[0] * u[1]);
      write(p[1] * p[2] + t[1] * u[0]);
      if (!with_rows) continue;
      // d p / d rho = R; d p / d phi = R (e cross x)
      const float turned[3][3] = {{0, -x[2], x[1]}, {x[2], 0, -x[0]}, {-x[1], x[0], 0}};
      float D[3][6];
      for (int k = 0; k < 3; ++k) {
        for (int j = 0; j < 3; ++j) {
          D[k][j] = T[4 * k + j];
          D[k][3 + j] = 0;
          for (int m = 0; m < 3; ++m) D[k][3 + j] += T[4 * k + m] * turned[j][m];
        }
      }
      write(a->uniforms[1] * p[0]);
      for (int j = 0; j < 6; ++j) write(a->uniforms[0] * D[0][j]);
      write(1), write(x[0]);
      for (int j = 0; j < 6; ++j) write(p[1] * D[2][j] + p[2] * D[1][j]);
      write(u[0]), write(t[1]);
      a->ids[i] = which, a->ids[a->stride + i] = which + 1;
    }
  }

  // A file with jumps to these functions: movabs rax, function; jmp rax.
  static Module module() {
    std::string code;
    for (const module::Function function : {&prepare, &value, &rows}) {
      const auto address = reinterpret_cast<std::uint64_t>(function);
      std::string jump("\x48\xb8--------\xff\xe0\xcc\xcc\xcc\xcc");
      std::memcpy(&jump[2], &address, sizeof address);
      code += jump;
    }
    return Module::from_bytes(build({code}, [&](const std::vector<std::size_t>& at) {
      std::string text =
          "producer by hand\nsection x64_v2 " + std::to_string(at[0]) + " " + std::to_string(code.size()) +
          " " + std::to_string(lanes) +
          "\nmodel by_hand\noutput 2\nargument i item - 0\nargument gain free - 0\n"
          "argument T_a_b pose - 1\nargument table free_table 2 0\nargument focal constant - 0\n"
          "argument x per_item 3 0\nargument which per_item_index - 0\n"
          "block 3\nblock 3\nslot 1 0 -1\n";
      for (int j = 0; j < 6; ++j) text += "slot 2 " + std::to_string(j) + " -1\n";
      text += "slot 3 0 0\nslot 3 1 0\nslot 3 0 1\nslot 3 1 1\n";
      for (const int slot : {0, 1, 2, 3, 4, 5, 6, 7, 10}) text += "plane 0 " + std::to_string(slot) + "\n";
      for (const int slot : {1, 2, 3, 4, 5, 6, 8, 9}) text += "plane 1 " + std::to_string(slot) + "\n";
      return text +
             "uniforms 2\nentry x64_v2 prepare 0\nentry x64_v2 value 16\nentry x64_v2 rows 32\nend by_hand\n";
    }));
  }

  std::size_t items, table_rows;
  std::vector<double> x;
  std::vector<std::int64_t> which;
  std::vector<double> theta;
  double focal = 1.5;

  ByHand(std::size_t n, std::size_t rows)
      : items(n), table_rows(rows), x(3 * n), which(n), theta(7 + 2 * rows) {
    std::mt19937 random(1);
    std::normal_distribution<double> normal;
    for (double& number : x) number = static_cast<float>(normal(random));  // as the model sees them
    for (std::size_t i = 0; i < n; ++i) which[i] = static_cast<std::int64_t>(i % (rows - 1));
    for (double& number : theta) number = static_cast<float>(0.5 + 0.3 * normal(random));
  }

  BoundModel bound(int threads = 1, std::size_t dense_limit = 1000) const {
    ModelData data({items});
    data.set("x", x, {items, 3}).set("which", which).set("focal", {focal}).set_rows("table", table_rows);
    ModelOptions options;
    options.threads = threads, options.dense_limit = dense_limit;
    return BoundModel(module().model("by_hand"), data, options);
  }

  // [items, 2], in double.
  std::vector<double> values(const std::vector<double>& at) const {
    const scene::Rigid T = scene::exp(Eigen::Map<const scene::Vector6>(&at[pose]));
    std::vector<double> out(2 * items);
    for (std::size_t i = 0; i < items; ++i) {
      const Eigen::Vector3d p = T.R * Eigen::Map<const Eigen::Vector3d>(&x[3 * i]) + T.t;
      const double *const t = &at[table + 2 * static_cast<std::size_t>(which[i])], *const u = t + 2;
      out[2 * i] = focal * at[0] * p[0] + t[0] + x[3 * i] * u[1];
      out[2 * i + 1] = p[1] * p[2] + t[1] * u[0];
    }
    return out;
  }

  // J [items, 2, P] by theta's numbers, by differences of those.
  std::vector<double> jacobian() const {
    const std::size_t P = theta.size();
    std::vector<double> J(2 * items * P), at = theta;
    for (std::size_t p = 0; p < P; ++p) {
      const double step = 1e-5;
      at[p] = theta[p] + step;
      const std::vector<double> above = values(at);
      at[p] = theta[p] - step;
      const std::vector<double> below = values(at);
      at[p] = theta[p];
      for (std::size_t r = 0; r < 2 * items; ++r) J[r * P + p] = (above[r] - below[r]) / (2 * step);
    }
    return J;
  }

  // The values and something else, with a hole.
  std::vector<double> observed(double other = 0.1) const {
    std::vector<double> image = values(theta);
    for (std::size_t r = 0; r < image.size(); ++r) image[r] += other * static_cast<double>(r % 7) - 3 * other;
    image[5] = std::numeric_limits<double>::quiet_NaN();
    return image;
  }
  Observation observation(const std::vector<double>& image) const {
    return {ImageView::contiguous(image.data(), 1, static_cast<int>(items), 2), {}};
  }
};

}  // namespace diffrt::tests
