#include "pyramid.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <utility>

#include "diffrt/errors.hpp"
#include "sparse.hpp"
#include "weights.hpp"

namespace diffrt {
namespace {

constexpr int kSmallest = 8;  // side of the coarsest image [px]
constexpr const char* kPrincipal = "camera.principal";

template <class T>
float load(const char* address) {
  T value;
  std::memcpy(&value, address, sizeof value);
  return static_cast<float>(value);
}

// Row `row` of a channel, to `out`.
void read_row(const ImageView& image, int row, int channel, int width, float* out) {
  const char* address =
      static_cast<const char*>(image.data) + row * image.row_stride + channel * image.channel_stride;
  for (int x = 0; x < width; ++x, address += image.column_stride)
    out[x] = image.is_double ? load<double>(address) : load<float>(address);
}

Renderer coarse_renderer(const Renderer& full, int scale) {
  Scene scene = full.scene();
  scene.camera = coarser(scene.camera, scale);
  RendererOptions options = full.options();
  if (std::find(options.free.begin(), options.free.end(), kPrincipal) == options.free.end())
    options.free.push_back(kPrincipal);
  return {std::move(scene), std::move(options)};
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// h' H^+ h for the leading P x P part of H (N x N, semidefinite) and the part of its column `column` beside
// that: how much of that column J's others explain. Conjugate gradients, scaled by the diagonal: what they
// have after each iteration is less than the whole, and soon enough of it.
double explained(const SparseMatrix& H, std::size_t P, std::size_t column) {
  constexpr int kIterations = 16;
  constexpr double kEnough = 0.01;
  std::vector<double> diagonal(P), residual(P, 0.0), scaled(P), direction(P, 0.0), image(P);
  for (std::size_t i = 0; i < P; ++i) diagonal[i] = entry(H, i, i);
  for_each_entry(H, column, [&](std::size_t i, double value) {
    if (i < P) residual[i] = value;
  });
  double energy = 0, before = 0;
  for (int k = 0; k < kIterations; ++k) {
    for (std::size_t i = 0; i < P; ++i) scaled[i] = diagonal[i] > 0 ? residual[i] / diagonal[i] : 0;
    const double now = dot(residual, scaled);
    if (!(now > 0)) break;
    for (std::size_t i = 0; i < P; ++i) direction[i] = scaled[i] + (k > 0 ? now / before : 0) * direction[i];
    for (std::size_t i = 0; i < P; ++i) {
      image[i] = 0;
      for_each_entry(H, i, [&](std::size_t j, double value) {
        if (j < P) image[i] += value * direction[j];
      });
    }
    const double curvature = dot(direction, image);
    if (!(curvature > 0)) break;
    for (std::size_t i = 0; i < P; ++i) residual[i] -= now / curvature * image[i];
    const double more = now * now / curvature;
    energy += more, before = now;
    if (more <= kEnough * energy) break;
  }
  return energy;
}

}  // namespace

PinholeCamera coarser(const PinholeCamera& camera, int scale) {
  PinholeCamera result = camera;
  const double s = scale;
  result.width = camera.width / scale, result.height = camera.height / scale;
  result.fx = camera.fx / s, result.fy = camera.fy / s;
  result.cx = (camera.cx + 0.5) / s - 0.5, result.cy = (camera.cy + 0.5) / s - 0.5;
  return result;
}

void check_levels(int levels, const PinholeCamera& camera) {
  if (levels < 1)
    throw ArgumentError("levels: must be a whole number >= 1 (1: full size only), got " +
                        std::to_string(levels));
  const int side = std::min(camera.width, camera.height);
  int most = 1;
  while (most < levels && (side >> most) >= kSmallest) ++most;
  if (levels > most)
    throw ArgumentError("levels: at most " + std::to_string(most) + " for an image of " +
                        std::to_string(camera.width) + " x " + std::to_string(camera.height) + ", got " +
                        std::to_string(levels) +
                        "; each halves the image, and the coarsest must be at least " +
                        std::to_string(kSmallest) + " pixels high and wide");
}

BoxFiltered::BoxFiltered(const Observation& observation, const PinholeCamera& camera, int channels, int scale)
    : height_(camera.height / scale), width_(camera.width / scale), channels_(channels) {
  if (observation.image.empty()) throw ArgumentError("observed: is empty");
  const auto width = static_cast<std::size_t>(width_), C = static_cast<std::size_t>(channels),
             s = static_cast<std::size_t>(scale);
  const auto height = static_cast<std::size_t>(height_);
  values_.resize(height * width * C);
  weights_.resize(height * width * C);
  std::vector<float> values(static_cast<std::size_t>(camera.width)), weights(values.size(), 1.0f);
  std::vector<double> sums(width), totals(width);
  std::vector<std::size_t> counts(width);
  for (std::size_t c = 0; c < C; ++c) {
    for (std::size_t block_row = 0; block_row < height; ++block_row) {
      std::fill(sums.begin(), sums.end(), 0.0);
      std::fill(totals.begin(), totals.end(), 0.0);
      std::fill(counts.begin(), counts.end(), std::size_t{0});
      for (std::size_t j = 0; j < s; ++j) {
        const int row = static_cast<int>(block_row * s + j), channel = static_cast<int>(c);
        read_row(observation.image, row, channel, camera.width, values.data());
        if (!observation.weights.empty())
          read_row(observation.weights, row, channel, camera.width, weights.data());
        for (std::size_t x = 0; x < width * s; ++x) {
          const float value = values[x], weight = weights[x];
          if (!is_weight(weight))
            refuse_weight(weight, row, static_cast<int>(x), channels > 1 ? channel : -1);
          if (!(weight > 0) || !std::isfinite(value)) continue;
          sums[x / s] += static_cast<double>(weight) * static_cast<double>(value);
          totals[x / s] += static_cast<double>(weight);
          ++counts[x / s];
        }
      }
      for (std::size_t x = 0; x < width; ++x) {
        const std::size_t i = (block_row * width + x) * C + c;
        const bool known = 2 * counts[x] >= s * s;
        values_[i] =
            known ? static_cast<float>(sums[x] / totals[x]) : std::numeric_limits<float>::quiet_NaN();
        weights_[i] = known ? static_cast<float>(totals[x]) : 0.0f;
      }
    }
  }
}

Observation BoxFiltered::view() const {
  return {ImageView::contiguous(values_.data(), height_, width_, channels_),
          ImageView::contiguous(weights_.data(), height_, width_, channels_)};
}

CoarseProblem::CoarseProblem(const Renderer& full, const Observation& observation, const Loss& loss,
                             int scale)
    : full_(full),
      observed_(observation, full.scene().camera, full.channels(), scale),
      renderer_(coarse_renderer(full, scale)),
      problem_(renderer_, observed_.view(), loss),
      gain_(full.parameters(), 1.0),
      offset_(full.parameters(), 0.0),
      theta_(renderer_.theta0()),
      g_(theta_.size()) {
  const double s = scale;
  for (const ParameterBlock& block : full.blocks()) {
    for (std::size_t i = block.offset; i < block.offset + block.size; ++i) {
      if (block.name == "camera.focal") gain_[i] = 1 / s;
      if (block.name == kPrincipal) gain_[i] = 1 / s, offset_[i] = 0.5 / s - 0.5;
    }
  }
  for (const ParameterBlock& block : renderer_.blocks()) {
    if (block.name == kPrincipal) principal_ = block.offset;
  }
  std::set<std::string> objects;
  for (const ParameterBlock& block : full.blocks())
    objects.insert(block.name.substr(0, block.name.find('.')));
  objects_ = static_cast<double>(std::max<std::size_t>(objects.size(), 1));
}

Span<const double> CoarseProblem::coarse(Span<const double> theta) {
  for (std::size_t i = 0; i < theta.size(); ++i) theta_[i] = gain_[i] * theta[i] + offset_[i];
  return theta_;
}

Evaluation CoarseProblem::cost(Span<const double> theta) {
  Evaluation result = problem_.cost(coarse(theta));
  result.noise += motion_;
  return result;
}

Evaluation CoarseProblem::sparse_normal_equations(Span<const double> theta, SparseMatrix& H, Span<double> g) {
  Evaluation result = problem_.sparse_normal_equations(coarse(theta), H_, g_);
  const std::size_t P = size();
  H.row_starts.assign(1, 0), H.columns.clear(), H.values.clear();
  for (std::size_t i = 0; i < P; ++i) {
    g[i] = gain_[i] * g_[i];
    for_each_entry(H_, i, [&](std::size_t k, double value) {
      if (k >= P) return;
      H.columns.push_back(static_cast<std::int32_t>(k));
      H.values.push_back(gain_[i] * gain_[k] * value);
    });
    H.row_starts.push_back(static_cast<std::int64_t>(H.columns.size()));
  }
  motion_ = 0.5 * kNearEnough * kNearEnough * motion_energy(H_);
  result.noise += motion_;
  return result;
}

Evaluation CoarseProblem::normal_equations(Span<const double> theta, Span<double> H, Span<double> g) {
  SparseMatrix sparse;
  const Evaluation result = sparse_normal_equations(theta, sparse, g);
  to_dense(sparse, H);
  return result;
}

// d'Hd of a motion by a pixel, of the average object: what theta can do towards shifting the image (things
// that are not free stay), by column or by row, shared out over the objects.
double CoarseProblem::motion_energy(const SparseMatrix& H) {
  const std::size_t P = size();
  const double energy = P == theta_.size()
                            ? entry(H, principal_, principal_) + entry(H, principal_ + 1, principal_ + 1)
                            : explained(H, P, P) + explained(H, P, P + 1);
  return 0.5 * energy / objects_;
}

void CoarseProblem::plus(Span<const double> theta, Span<const double> delta, Span<double> out) const {
  full_.plus(theta, delta, out);
}

void CoarseProblem::tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const {
  full_.tangent_row(theta, i, row);
}

// Those of the coarse theta: poses are the same in both.
void CoarseProblem::tangent_entries(Span<const double> theta, std::size_t i,
                                    std::vector<TangentEntry>& entries) const {
  problem_.tangent_entries(theta, i, entries);
}

}  // namespace diffrt
