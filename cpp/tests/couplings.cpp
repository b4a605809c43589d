// Pixels of several primitives in the normal equations, against rows in theta.
#include "renderer/couplings.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "linearized_scene.hpp"
#include "renderer/assembly.hpp"

using diffrt::renderer::Couplings;

namespace {

struct Pixel {
  int tile;
  bool first_is_primary;
  std::vector<int> ids;
};

struct Sums {
  Eigen::MatrixXd H;
  Eigen::VectorXd g;
  diffrt::SparseMatrix sparse = {};
};

// As a dense matrix. Columns ascend, and each entry has its mirror image.
Eigen::MatrixXd check_sparse(const diffrt::SparseMatrix& M) {
  const auto P = static_cast<Eigen::Index>(M.rows());
  Eigen::MatrixXd dense = Eigen::MatrixXd::Zero(P, P), stored = dense;
  for (Eigen::Index i = 0; i < P; ++i) {
    for (std::int64_t k = M.row_starts[i]; k < M.row_starts[i + 1]; ++k) {
      if (k > M.row_starts[i]) CHECK(M.columns[k] > M.columns[k - 1]);
      dense(i, M.columns[k]) = M.values[k], stored(i, M.columns[k]) = 1;
    }
  }
  CHECK(M.row_starts.back() == static_cast<std::int64_t>(M.values.size()));
  CHECK(M.columns.size() == M.values.size());
  CHECK(stored == stored.transpose());
  CHECK(stored.diagonal().isOnes());
  return dense;
}

// Adds the pixels, with made-up partials, weights and residuals, to couplings and, row by row, to dense sums.
class Trial {
 public:
  Trial(const LinearizedScene& scene, int channels, unsigned seed)
      : scene_(scene), channels_(channels), seed_(seed) {
    for (int id = 0; id < LinearizedScene::ids; ++id) S_.push_back(scene.slots_by_theta(id));
  }
  bool zero_weights = false;       // whether some are, with residuals that are not numbers
  bool representative_ids = true;  // whether faces of a rigid mesh go by the first one's id
  bool in_runs = false;            // whether pixels of two small primitives are added together

  // `order`: in which the tiles are added; what each pixel is made of does not depend on it.
  Sums coupled(Couplings& couplings, const std::vector<Pixel>& pixels, const std::vector<int>& order) const {
    couplings.start(static_cast<int>(order.size()));
    for (const int t : order) {
      std::vector<Couplings::TwoEntries> twos;
      for (std::size_t p = 0; p < pixels.size(); ++p) {
        if (pixels[p].tile == t) add(couplings, pixels, p, twos);
      }
      couplings.add(t, twos.data(), static_cast<int>(twos.size()));
    }
    std::vector<int> tiles = order;
    std::sort(tiles.begin(), tiles.end());
    const Eigen::Index P = size();
    Sums sums{Eigen::MatrixXd::Zero(P, P), Eigen::VectorXd::Zero(P)};
    const auto n = static_cast<std::size_t>(P);
    diffrt::renderer::SparseSums H;
    diffrt::renderer::Nodes nodes = diffrt::renderer::make_nodes(scene_.parameters);
    H.set_pattern(nodes, diffrt::renderer::pattern_of(scene_.linearization, nodes));
    couplings.sum(tiles);
    couplings.begin(scene_.linearization, H);
    couplings.add_to(scene_.linearization, H, {sums.g.data(), n});
    H.write(sums.sparse);
    sums.H = check_sparse(sums.sparse);
    return sums;
  }

  Sums expected(const std::vector<Pixel>& pixels) const {
    const Eigen::Index P = size();
    Sums sums{Eigen::MatrixXd::Zero(P, P), Eigen::VectorXd::Zero(P)};
    for (std::size_t p = 0; p < pixels.size(); ++p) {
      const Made made = make(pixels[p], p);
      for (int c = 0; c < channels_; ++c) {
        const double w = made.weights[c * stride], r = made.residuals[c * stride];
        if (w == 0) continue;
        Eigen::RowVectorXd row = Eigen::RowVectorXd::Zero(P), primary = row;
        for (std::size_t e = 0; e < pixels[p].ids.size(); ++e) {
          const Eigen::MatrixXd& S = S_[pixels[p].ids[e]];
          for (int s = 0; s < S.rows(); ++s) {
            const auto plane = s < made.own(e) ? s : made.entries[e].camera_plane + s - made.own(e);
            const double value = made.values[e][c * planes * 3 + plane * 3];
            row += value * S.row(s);
            if (e == 0 && pixels[p].first_is_primary) primary += value * S.row(s);
          }
        }
        sums.H += w * (row.transpose() * row - primary.transpose() * primary);
        sums.g += w * r * (row - primary).transpose();
      }
    }
    return sums;
  }

 private:
  static constexpr int stride = 5, planes = 16;

  struct Made {
    std::vector<std::vector<float>> values;
    std::vector<Couplings::Entry> entries;
    std::vector<float> weights, residuals;
    int own(std::size_t e) const { return entries[e].own_slots; }
  };

  Eigen::Index size() const { return static_cast<Eigen::Index>(scene_.parameters.size()); }

  Made make(const Pixel& pixel, std::size_t p) const {
    std::mt19937 random(seed_ + 1000 * static_cast<unsigned>(p));
    const auto number = [&] {
      return static_cast<float>(static_cast<double>(random()) / static_cast<double>(random.max()) - 0.5);
    };
    Made made;
    for (const int id : pixel.ids) {
      Couplings::Entry entry;
      entry.group = scene_.group_of(id);
      const auto& group = scene_.linearization.groups()[entry.group];
      const bool rigid = group.kind == diffrt::renderer::GroupKind::rigid_mesh;
      entry.id = rigid && representative_ids ? group.first_id : id;
      entry.channel_stride = 3 * planes, entry.plane_stride = 3;
      entry.own_slots = scene_.own_slots(id);
      entry.camera_slots = scene_.camera_slots();
      // With the camera's slots right behind its own, or last of all planes.
      entry.camera_plane = p % 2 == 0 ? entry.own_slots : planes - entry.camera_slots;
      made.entries.push_back(entry);
      made.values.emplace_back(channels_ * planes * 3);
      for (float& value : made.values.back()) value = number();
    }
    for (std::size_t e = 0; e < made.entries.size(); ++e) made.entries[e].values = made.values[e].data();
    for (int c = 0; c < channels_ * stride; ++c) {
      made.weights.push_back(number() + 0.5f);
      made.residuals.push_back(number());
      if (zero_weights && (p % 3 == 0 || (p + c) % 2 == 0))
        made.weights.back() = 0, made.residuals.back() = std::nanf("");
    }
    return made;
  }
  bool are_two(const Pixel& pixel, const Made& made) const {
    constexpr int few = Couplings::TwoEntries::slots;
    return in_runs && pixel.first_is_primary && pixel.ids.size() == 2 && pixel.ids[0] != pixel.ids[1] &&
           scene_.camera_slots() == 0 && made.own(0) == few && made.own(1) == few;
  }
  void add(Couplings& couplings, const std::vector<Pixel>& pixels, std::size_t p,
           std::vector<Couplings::TwoEntries>& twos) const {
    const Made made = make(pixels[p], p);
    if (are_two(pixels[p], made)) {
      for (int c = 0; c < channels_; ++c) {
        if (made.weights[c * stride] == 0) continue;
        Couplings::TwoEntries two;
        two.key = Couplings::key_of(pixels[p].ids[0], pixels[p].ids[1]);
        two.weight = made.weights[c * stride], two.residual = made.residuals[c * stride];
        for (int e = 0; e < 2; ++e) {
          two.groups[e] = made.entries[e].group;
          for (int k = 0; k < Couplings::TwoEntries::slots; ++k)
            two.partials[e][k] = made.values[e][c * planes * 3 + k * 3];
        }
        twos.push_back(two);
      }
      return;
    }
    couplings.add(pixels[p].tile, made.entries.data(), static_cast<int>(made.entries.size()),
                  pixels[p].first_is_primary, channels_, made.weights.data(), made.residuals.data(), stride);
  }

  const LinearizedScene& scene_;
  int channels_;
  unsigned seed_;
  std::vector<Eigen::MatrixXd> S_;
};

void check_close(const Sums& sums, const Sums& expected) {
  CHECK((sums.H - expected.H).norm() <= 1e-12 * (1 + expected.H.norm()));
  CHECK((sums.g - expected.g).norm() <= 1e-12 * (1 + expected.g.norm()));
  CHECK(sums.H == sums.H.transpose());
}

std::vector<Pixel> random_pixels(int count, int tiles, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Pixel> pixels;
  for (int p = 0; p < count; ++p) {
    if (p > 0 && random() % 2 == 0) {  // as its neighbour, but for what is primary
      pixels.push_back(pixels.back());
      pixels.back().first_is_primary = random() % 3 != 0;
      continue;
    }
    Pixel pixel{static_cast<int>(random() % static_cast<unsigned>(tiles)), random() % 3 != 0, {}};
    for (unsigned e = 0; e < 1 + random() % 4; ++e)
      pixel.ids.push_back(static_cast<int>(random() % LinearizedScene::ids));
    pixels.push_back(std::move(pixel));
  }
  return pixels;
}

}  // namespace

TEST_CASE("couplings of each pair of primitives are those of their rows in theta") {
  Couplings couplings;
  for (const bool free_intrinsics : {false, true}) {
    const LinearizedScene scene(free_intrinsics);
    const Trial trial(scene, 2, 7);
    for (int i = 0; i < LinearizedScene::ids; ++i) {
      for (int j = 0; j < LinearizedScene::ids; ++j) {
        for (const bool first_is_primary : {false, true}) {
          CAPTURE(i);
          CAPTURE(j);
          const std::vector<Pixel> pixels = {{0, first_is_primary, {i, j}}};
          check_close(trial.coupled(couplings, pixels, {0}), trial.expected(pixels));
        }
      }
    }
  }
}

TEST_CASE("couplings of pixels with up to four entries, in many tiles") {
  Couplings couplings;
  unsigned seed = 0;
  for (const bool free_intrinsics : {false, true}) {
    const LinearizedScene scene(free_intrinsics);
    for (const int channels : {1, 4}) {
      for (const bool zero_weights : {false, true}) {
        for (const bool representative_ids : {false, true}) {
          Trial trial(scene, channels, ++seed);
          trial.zero_weights = zero_weights, trial.representative_ids = representative_ids;
          const std::vector<Pixel> pixels = random_pixels(60, 5, seed);
          check_close(trial.coupled(couplings, pixels, {0, 1, 2, 3, 4}), trial.expected(pixels));
        }
      }
    }
  }
}

TEST_CASE("couplings of pixels of two primitives, tile by tile") {
  Couplings couplings;
  const LinearizedScene scene(false);
  std::mt19937 random(11);
  std::vector<Pixel> pixels;
  for (int p = 0; p < 700; ++p) {  // more in one tile than are summed in one go
    const int first = static_cast<int>(random() % 3),
              second = (first + 1 + static_cast<int>(random() % 2)) % 3;
    pixels.push_back({p % 5 == 0 ? 1 : 0, true, {first, second}});
    if (p % 7 == 0) pixels.push_back({p % 2, random() % 2 == 0, {first, second, 5}});
  }
  for (const int channels : {1, 3}) {
    for (const bool zero_weights : {false, true}) {
      Trial trial(scene, channels, 12);
      trial.zero_weights = zero_weights, trial.in_runs = true;
      const Sums sums = trial.coupled(couplings, pixels, {0, 1});
      check_close(sums, trial.expected(pixels));
      const Sums again = trial.coupled(couplings, pixels, {1, 0});
      CHECK(sums.H == again.H);
      CHECK(sums.g == again.g);
    }
  }
}

TEST_CASE("a primary entry alone, and no pixel at all, add nothing") {
  const LinearizedScene scene(true);
  const Trial trial(scene, 1, 3);
  Couplings couplings;
  for (const std::vector<Pixel>& pixels : {std::vector<Pixel>{}, std::vector<Pixel>{{0, true, {4}}}}) {
    const Sums sums = trial.coupled(couplings, pixels, {0});
    CHECK(sums.H.isZero(0));
    CHECK(sums.g.isZero(0));
  }
}

TEST_CASE("couplings are the same to the last bit in whichever order tiles come") {
  const LinearizedScene scene(true);
  const Trial trial(scene, 2, 5);
  const std::vector<Pixel> pixels = random_pixels(80, 6, 5);
  Couplings couplings;
  const Sums first = trial.coupled(couplings, pixels, {0, 1, 2, 3, 4, 5});
  for (const std::vector<int>& order :
       {std::vector<int>{5, 4, 3, 2, 1, 0}, std::vector<int>{3, 0, 5, 1, 2, 4}}) {
    const Sums again = trial.coupled(couplings, pixels, order);
    CHECK(first.H == again.H);
    CHECK(first.g == again.g);
    CHECK(first.sparse.row_starts == again.sparse.row_starts);
    CHECK(first.sparse.columns == again.sparse.columns);
  }
}
