// Rows with several entries: products and conversions against a dense matrix put together entry by entry.
#include <doctest/doctest.h>

#include <algorithm>

#include "diffrt/diffrt.hpp"
#include "linearized_scene.hpp"
#include "renderer/rendered_jacobian.hpp"

using namespace diffrt;

namespace {

struct MadeUpRows {
  std::shared_ptr<RenderedJacobian> data = std::make_shared<RenderedJacobian>();
  Eigen::MatrixXd dense;  // rows pixel * channels + channel
};

// Rows of random partials. `extras_per_pixel`: further entries per pixel, on average.
MadeUpRows make_up(bool free_intrinsics, int channels, double extras_per_pixel, unsigned seed) {
  constexpr int width = 37, height = 21;
  const LinearizedScene scene(free_intrinsics, width, height);
  std::mt19937 random(seed);
  const auto number = [&] {
    return static_cast<float>(static_cast<double>(random()) / static_cast<double>(random.max()) - 0.5);
  };
  MadeUpRows made;
  RenderedJacobian& d = *made.data;
  d.set_grid(renderer::TileGrid(width, height));
  d.channels = channels;
  d.camera_slots = scene.camera_slots();
  d.planes = 9 + d.camera_slots;
  d.parameters = scene.parameters.size();
  d.rows = std::make_shared<renderer::RowStorage>(d.grid, d.planes * channels);
  d.linearization = scene.linearization;
  d.keep_alive = std::get<Mesh>(scene.scene.shapes[2].second).faces;
  made.dense = Eigen::MatrixXd::Zero(width * height * channels, d.parameters);

  std::vector<Eigen::MatrixXd> S;
  for (int id = 0; id < LinearizedScene::ids; ++id) S.push_back(scene.slots_by_theta(id));
  const auto entry = [&](int pixel, int id, auto&& value_at) {
    const auto& group = d.linearization.groups()[scene.group_of(id)];
    for (int c = 0; c < channels; ++c) {
      for (int s = 0; s < S[id].rows(); ++s) {
        const float value = number();
        value_at(c, d.plane_of(group, s)) = value;
        made.dense.row(pixel * channels + c) += static_cast<double>(value) * S[id].row(s);
      }
    }
  };
  for (int p = 0; p < width * height; ++p) {
    const int id = static_cast<int>(random() % (LinearizedScene::ids + 1)) - 1;
    d.rows->ids[p] = id;
    if (id < 0) continue;
    entry(p, id, [&](int c, int plane) -> float& { return const_cast<float*>(d.plane(c, plane))[p]; });
  }
  const int extras = static_cast<int>(extras_per_pixel * width * height);
  for (int e = 0; e < extras; ++e) {  // in no order
    const int p = static_cast<int>(random() % (width * height)), id = random() % LinearizedScene::ids;
    const int t = p / width / kernels::tile * d.grid.across + p % width / kernels::tile;
    renderer::RowExtras& tile = d.rows->extras[t];
    const auto partials = static_cast<std::size_t>(channels * d.planes);
    float* values = renderer::RowExtras::begin_record(tile.make_room(1, partials), p, id);
    std::fill_n(values, partials, 0.0f);
    tile.add(1);
    entry(p, id, [&](int c, int plane) -> float& { return values[c * d.planes + plane]; });
  }
  return made;
}

}  // namespace

TEST_CASE("rows with further entries: products and conversions are those of the dense matrix") {
  unsigned seed = 0;
  for (const bool free_intrinsics : {false, true}) {
    for (const int channels : {1, 3}) {
      for (const double extras_per_pixel : {0.0, 0.05, 1.5}) {
        CAPTURE(free_intrinsics);
        CAPTURE(channels);
        CAPTURE(extras_per_pixel);
        const MadeUpRows made = make_up(free_intrinsics, channels, extras_per_pixel, ++seed);
        const Jacobian J(made.data);
        const auto rows = made.dense.rows(), P = made.dense.cols();
        const double scale = made.dense.cwiseAbs().maxCoeff();

        const Eigen::VectorXd v = Eigen::VectorXd::Random(P), w = Eigen::VectorXd::Random(rows);
        Eigen::VectorXd Jv(rows), Jtw(P);
        J.multiply({v.data(), static_cast<std::size_t>(P)}, {Jv.data(), static_cast<std::size_t>(rows)});
        J.multiply_transposed({w.data(), static_cast<std::size_t>(rows)},
                              {Jtw.data(), static_cast<std::size_t>(P)});
        CHECK((Jv - made.dense * v).norm() < 1e-12 * scale * static_cast<double>(rows));
        CHECK((Jtw - made.dense.transpose() * w).norm() < 1e-12 * scale * static_cast<double>(rows));

        const std::size_t pixels = made.data->pixels();
        std::vector<float> dense(pixels * channels * P);
        J.to_dense(dense);
        double worst = 0;
        for (Eigen::Index row = 0; row < rows; ++row) {
          const std::size_t p = row / channels, c = row % channels;
          for (Eigen::Index k = 0; k < P; ++k)
            worst = std::max(worst, std::abs(dense[(c * P + k) * pixels + p] - made.dense(row, k)));
        }
        CHECK(worst < 1e-6 * scale);

        const Jacobian::Sparse sparse = J.to_sparse();
        REQUIRE(sparse.row_starts.size() == static_cast<std::size_t>(rows) + 1);
        REQUIRE(sparse.columns.size() == static_cast<std::size_t>(sparse.row_starts.back()));
        REQUIRE(sparse.values.size() == sparse.columns.size());
        Eigen::MatrixXd filled = Eigen::MatrixXd::Zero(rows, P);
        bool ascending = true;
        for (Eigen::Index row = 0; row < rows; ++row) {
          for (auto k = sparse.row_starts[row]; k < sparse.row_starts[row + 1]; ++k) {
            if (k > sparse.row_starts[row]) ascending &= sparse.columns[k] > sparse.columns[k - 1];
            filled(row, sparse.columns[k]) = sparse.values[k];
          }
        }
        CHECK(ascending);
        CHECK((filled - made.dense).cwiseAbs().maxCoeff() < 1e-6 * scale);
      }
    }
  }
}
