// Tile lists of two parts against every pair of a tile and a primitive.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "renderer/bins.hpp"

using diffrt::renderer::TileGrid;
using diffrt::renderer::TileLists;

namespace {

struct Box {
  float x0, y0, x1, y1;
  bool touches(int tile_x, int tile_y) const {
    const auto left = static_cast<float>(diffrt::kernels::tile * tile_x),
               top = static_cast<float>(diffrt::kernels::tile * tile_y),
               last = static_cast<float>(diffrt::kernels::tile - 1);
    return x0 <= x1 && x0 <= left + last && x1 >= left && y0 <= top + last && y1 >= top;
  }
};

// The pixels whose centres are within `margin` of a rectangle; nowhere, as kernels/pipeline/prepare.py writes
// it, if there are none.
Box pixels(const Box& b, float margin, const TileGrid& grid) {
  const Box box{std::ceil(std::max(b.x0 - margin, 0.0f)), std::ceil(std::max(b.y0 - margin, 0.0f)),
                std::floor(std::min(b.x1 + margin, static_cast<float>(grid.width - 1))),
                std::floor(std::min(b.y1 + margin, static_cast<float>(grid.height - 1)))};
  return box.x0 <= box.x1 && box.y0 <= box.y1 ? box : Box{1e6f, 1e6f, -1, -1};
}

struct Boxes {
  std::vector<Box> touched, centres;
  // Components one after another, padded to `stride`.
  static std::vector<float> table(const std::vector<Box>& boxes, std::size_t stride) {
    std::vector<float> result(4 * stride, -1);
    for (std::size_t i = 0; i < stride; ++i) {
      const Box box = i < boxes.size() ? boxes[i] : Box{1e6f, 1e6f, -1, -1};
      result[i] = box.x0, result[stride + i] = box.y0;
      result[2 * stride + i] = box.x1, result[3 * stride + i] = box.y1;
    }
    return result;
  }
};

// Rectangles of a size mostly below a pixel, a few of some tiles, one of the whole image, some beyond it.
Boxes random_boxes(int count, const TileGrid& grid, unsigned seed) {
  std::mt19937 engine(seed);
  const auto uniform = [&](double low, double high) {
    return static_cast<float>(std::uniform_real_distribution<double>(low, high)(engine));
  };
  Boxes boxes;
  for (int i = 0; i < count; ++i) {
    const float size = i % 50 == 0 ? 40.0f : 1.5f, x = uniform(-20, grid.width + 20),
                y = uniform(-20, grid.height + 20);
    const Box box = i == count / 2 ? Box{-1e3f, -1e3f, 1e5f, 1e5f}
                                   : Box{x, y, x + uniform(0, size), y + uniform(0, size)};
    boxes.touched.push_back(pixels(box, 0.56f, grid)), boxes.centres.push_back(pixels(box, 0.01f, grid));
  }
  return boxes;
}

}  // namespace

TEST_CASE("tile lists of two parts: first what centres of the tile see, both in order, for any threads") {
  const TileGrid grid(203, 75);
  for (const int count : {1, 5, 2047, 9001}) {
    const Boxes boxes = random_boxes(count, grid, static_cast<unsigned>(count));
    const int stride = (count + 15) / 16 * 16;
    const std::vector<float> touched = Boxes::table(boxes.touched, static_cast<std::size_t>(stride)),
                             centres = Boxes::table(boxes.centres, static_cast<std::size_t>(stride));
    for (const int threads : {1, 2, 3}) {
      diffrt::runtime::ThreadPool pool(threads);
      TileLists lists;
      lists.update(pool, grid, touched.data(), count, stride, centres.data());
      int beside = 0;
      for (int t = 0; t < grid.tiles(); ++t) {
        std::vector<int> expected[2];
        for (int i = 0; i < count; ++i) {
          const auto k = static_cast<std::size_t>(i);
          const int x = t % grid.across, y = t / grid.across;
          if (boxes.touched[k].touches(x, y)) expected[boxes.centres[k].touches(x, y) ? 0 : 1].push_back(i);
        }
        const int begin = lists.begin(t), end = lists.end(t), part = lists.centre_ends()[t];
        const int* candidates = lists.candidates();
        CHECK(std::vector<int>(candidates + begin, candidates + part) == expected[0]);
        CHECK(std::vector<int>(candidates + part, candidates + end) == expected[1]);
        beside += end - part;
      }
      if (count > 100) CHECK(beside > 0);
    }
  }
}

TEST_CASE("tile lists of one part: what touches the tile, in order, for any threads") {
  const TileGrid grid(203, 75);
  for (const int count : {1, 5, 2047, 9001}) {
    const Boxes boxes = random_boxes(count, grid, static_cast<unsigned>(count));
    const int stride = (count + 15) / 16 * 16;
    const std::vector<float> touched = Boxes::table(boxes.touched, static_cast<std::size_t>(stride));
    for (const int threads : {1, 2, 3}) {
      diffrt::runtime::ThreadPool pool(threads);
      TileLists lists;
      lists.update(pool, grid, touched.data(), count, stride);
      for (int t = 0; t < grid.tiles(); ++t) {
        std::vector<int> expected;
        for (int i = 0; i < count; ++i) {
          if (boxes.touched[static_cast<std::size_t>(i)].touches(t % grid.across, t / grid.across))
            expected.push_back(i);
        }
        CHECK(std::vector<int>(lists.candidates() + lists.begin(t), lists.candidates() + lists.end(t)) ==
              expected);
        CHECK(lists.centre_ends()[t] == lists.end(t));
      }
    }
  }
}
