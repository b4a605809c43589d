// Edges of meshes: which faces meet there, and which way round.
#include "scene/mesh_edges.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

using diffrt::scene::make_edges;
using diffrt::scene::MeshEdges;

namespace {

using Vertices = std::vector<double>;
using Faces = std::vector<std::int32_t>;

const Vertices cube_vertices = {0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1};
const Faces cube_faces = {0, 2, 1, 0, 3, 2, 4, 5, 6, 4, 6, 7, 0, 1, 5, 0, 5, 4,
                          1, 2, 6, 1, 6, 5, 2, 3, 7, 2, 7, 6, 3, 0, 4, 3, 4, 7};

int size_of(const MeshEdges& edges, int e) { return edges.starts[e + 1] - edges.starts[e]; }

// How many edges have this many half-edges.
int count_of(const MeshEdges& edges, int size) {
  int count = 0;
  for (int e = 0; e < edges.count(); ++e) count += size_of(edges, e) == size ? 1 : 0;
  return count;
}

// What must hold for any mesh: half-edges join what they should, each is there once, in order.
void check_sound(const MeshEdges& edges, const Vertices& vertices, const Faces& faces) {
  REQUIRE(edges.starts.size() == static_cast<std::size_t>(edges.count()) + 1);
  REQUIRE(edges.half_edges.size() == static_cast<std::size_t>(edges.starts.back()));
  REQUIRE(edges.along.size() == edges.half_edges.size());
  REQUIRE(edges.ends.size() == 2 * static_cast<std::size_t>(edges.count()));
  const auto position = [&](std::int32_t v) {
    return std::vector<double>{vertices[3 * v], vertices[3 * v + 1], vertices[3 * v + 2]};
  };
  std::set<std::int32_t> seen;
  std::set<std::set<std::vector<double>>> pairs;
  std::int32_t last_first = -1;
  for (int e = 0; e < edges.count(); ++e) {
    CHECK(size_of(edges, e) >= 1);
    const std::int32_t first = edges.half_edges[edges.starts[e]];
    CHECK(first > last_first);
    last_first = first;
    CHECK(edges.along[edges.starts[e]] == 1);
    const auto start = position(edges.ends[2 * e]), end = position(edges.ends[2 * e + 1]);
    CHECK(pairs.insert({start, end}).second);
    for (int k = edges.starts[e]; k < edges.starts[e + 1]; ++k) {
      const std::int32_t h = edges.half_edges[k], face = h / 3, corner = h % 3;
      if (k > edges.starts[e]) CHECK(h > edges.half_edges[k - 1]);
      CHECK(seen.insert(h).second);
      const auto from = position(faces[3 * face + (corner + 1) % 3]),
                 to = position(faces[3 * face + (corner + 2) % 3]);
      CHECK((edges.along[k] == 1 ? from : to) == start);
      CHECK((edges.along[k] == 1 ? to : from) == end);
    }
  }
}

// A grid of n x n squares, two triangles each. With `split`, each column of squares has vertices of its own.
void grid(int n, bool split, Vertices& vertices, Faces& faces) {
  vertices.clear(), faces.clear();
  const int across = split ? 2 * n : n + 1;
  for (int y = 0; y <= n; ++y) {
    for (int k = 0; k < across; ++k) {
      const int x = split ? (k + 1) / 2 : k;
      vertices.insert(vertices.end(), {0.1 * x, 0.1 * y, 0.01 * x * y});
    }
  }
  for (int y = 0; y < n; ++y) {
    for (int x = 0; x < n; ++x) {
      const int a = y * across + (split ? 2 * x : x), b = a + 1, c = a + across, d = c + 1;
      faces.insert(faces.end(), {a, b, c, b, d, c});
    }
  }
}

}  // namespace

TEST_CASE("the edges of a cube: two faces each, in opposite directions") {
  const MeshEdges edges = make_edges(cube_vertices, cube_faces);
  check_sound(edges, cube_vertices, cube_faces);
  CHECK(edges.count() == 18);
  CHECK(count_of(edges, 2) == 18);
  for (int e = 0; e < 18; ++e) CHECK(edges.along[edges.starts[e] + 1] == -1);
  // Of the first face (0, 2, 1), opposite its corner 0: from 2 to 1, shared with the face (1, 2, 6).
  CHECK(edges.ends[0] == 2);
  CHECK(edges.ends[1] == 1);
  CHECK(edges.half_edges[0] == 0);
  CHECK(edges.half_edges[1] == 3 * 6 + 2);
}

TEST_CASE("an open grid has border edges, and a seam of doubled vertices is no border") {
  Vertices vertices;
  Faces faces;
  for (const int n : {1, 2, 5}) {
    for (const bool split : {false, true}) {
      grid(n, split, vertices, faces);
      const MeshEdges edges = make_edges(vertices, faces);
      check_sound(edges, vertices, faces);
      CHECK(edges.count() == 3 * n * n + 2 * n);
      CHECK(count_of(edges, 1) == 4 * n);
      CHECK(count_of(edges, 2) == 3 * n * n - 2 * n);
      for (const std::int32_t v : edges.ends) {
        for (std::int32_t other = 0; other < v; ++other) {
          CHECK(!std::equal(&vertices[3 * v], &vertices[3 * v] + 3, &vertices[3 * other]));
        }
      }
    }
  }
}

TEST_CASE("vertices are welded where they are equal bit by bit, 0 and -0 too") {
  const Faces faces = {0, 1, 2, 4, 3, 5};
  Vertices vertices = {0, 0, 0, 1, 0, 0, 0, 1, 0, -0.0, -0.0, 0, 1, -0.0, 0, 0, -1, 0};
  MeshEdges edges = make_edges(vertices, faces);
  check_sound(edges, vertices, faces);
  CHECK(edges.count() == 5);
  CHECK(count_of(edges, 2) == 1);
  vertices[12] = std::nextafter(1.0, 2.0);
  edges = make_edges(vertices, faces);
  CHECK(edges.count() == 6);
  CHECK(count_of(edges, 1) == 6);
}

TEST_CASE("vertices that are not finite are found again, however many") {
  Vertices vertices(3 * 1000, std::nan(""));
  vertices.insert(vertices.end(), cube_vertices.begin(), cube_vertices.end());
  const std::vector<std::int32_t> welded = diffrt::scene::weld(vertices);
  CHECK(welded[999] == 0);
  CHECK(welded.back() == 1007);
}

TEST_CASE("three faces at one edge, faces that are there twice, faces the other way round") {
  const Vertices vertices = {0, 0, 0, 0, 0, 1, 1, 0, 0, -1, 1, 0, -1, -1, 0};
  const Faces fan = {0, 1, 2, 0, 1, 3, 1, 0, 4};
  MeshEdges edges = make_edges(vertices, fan);
  check_sound(edges, vertices, fan);
  CHECK(edges.count() == 7);
  CHECK(count_of(edges, 3) == 1);
  // Edge (0, 1) is opposite corner 2 of the first face: the third edge.
  CHECK(size_of(edges, 2) == 3);
  CHECK(std::vector<std::int8_t>(&edges.along[edges.starts[2]], &edges.along[edges.starts[3]]) ==
        std::vector<std::int8_t>{1, 1, -1});

  const Faces twice = {0, 1, 2, 0, 1, 2, 1, 0, 2};
  edges = make_edges(vertices, twice);
  check_sound(edges, vertices, twice);
  CHECK(edges.count() == 3);
  CHECK(count_of(edges, 3) == 3);

  const Faces inconsistent = {0, 1, 2, 0, 1, 3};
  edges = make_edges(vertices, inconsistent);
  check_sound(edges, vertices, inconsistent);
  CHECK(edges.count() == 5);
  CHECK(count_of(edges, 2) == 1);
  CHECK(edges.along[edges.starts[2] + 1] == 1);
}

TEST_CASE("faces without area have no half-edges") {
  // 4 repeats the position of 0; 3 is on the line from 1 to 2.
  const Vertices vertices = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0.5, 0.5, 0, 0, 0, 0};
  const Faces faces = {0, 4, 1, 1, 1, 1, 1, 3, 2, 0, 1, 2, 4, 1, 0};
  const MeshEdges edges = make_edges(vertices, faces);
  check_sound(edges, vertices, faces);
  CHECK(edges.count() == 3);
  for (const std::int32_t h : edges.half_edges) CHECK(h / 3 == 3);
  CHECK(make_edges(vertices, Faces{0, 4, 1}).count() == 0);
  CHECK(make_edges(vertices, Faces{0, 4, 1}).starts == std::vector<std::int32_t>{0});
}

TEST_CASE("no faces, no edges") {
  const MeshEdges edges = make_edges({}, {});
  CHECK(edges.count() == 0);
  CHECK(edges.starts == std::vector<std::int32_t>{0});
  CHECK(edges.half_edges.empty());
  CHECK(MeshEdges().count() == 0);
}

TEST_CASE("random triangles: the same edges as a map finds") {
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    const int count = 5 + round;
    Vertices vertices;
    for (int v = 0; v < count; ++v) {  // few positions: many are equal
      for (int axis = 0; axis < 3; ++axis) vertices.push_back(static_cast<double>(random() % 3) - 1);
    }
    Faces faces;
    for (int k = 0; k < 3 * 4 * count; ++k)
      faces.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(count)));
    const MeshEdges edges = make_edges(vertices, faces);
    check_sound(edges, vertices, faces);
    std::map<std::set<std::vector<double>>, int> expected;
    for (std::size_t f = 0; f < faces.size(); f += 3) {
      std::vector<double> corner[3];
      for (std::size_t k = 0; k < 3; ++k) {
        const double* X = &vertices[3 * static_cast<std::size_t>(faces[f + k])];
        corner[k].assign(X, X + 3);
      }
      double cross[3], largest = 0;
      for (std::size_t k = 0; k < 3; ++k) {
        const std::size_t i = (k + 1) % 3, j = (k + 2) % 3;
        cross[k] = (corner[1][i] - corner[0][i]) * (corner[2][j] - corner[0][j]) -
                   (corner[1][j] - corner[0][j]) * (corner[2][i] - corner[0][i]);
        largest = std::max(largest, std::abs(cross[k]));
      }
      if (largest == 0) continue;
      for (std::size_t k = 0; k < 3; ++k) ++expected[{corner[k], corner[(k + 1) % 3]}];
    }
    CHECK(static_cast<std::size_t>(edges.count()) == expected.size());
    for (int e = 0; e < edges.count(); ++e) {
      const double *start = &vertices[3 * edges.ends[2 * e]], *end = &vertices[3 * edges.ends[2 * e + 1]];
      CHECK(expected[{{start, start + 3}, {end, end + 3}}] == size_of(edges, e));
    }
  }
}

TEST_CASE("Edges change where vertices part or meet, and where a face opens or closes") {
  // Two triangles of a square, with the diagonal's vertices stored twice.
  const Vertices closed = {0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0};
  const Faces faces = {0, 1, 2, 3, 4, 5};
  diffrt::scene::MovingEdges moving;
  CHECK(moving.change(closed, faces));
  CHECK(!moving.change(closed, faces));
  Vertices moved = closed;
  for (std::size_t v = 0; v < 6; ++v) moved[3 * v] += 0.25;
  CHECK(!moving.change(moved, faces));  // together
  Vertices open = closed;
  open[9] -= 0.25;
  CHECK(moving.change(open, faces));
  CHECK(make_edges(open, faces).count() == make_edges(closed, faces).count() + 1);
  open[12] += 0.5;
  CHECK(moving.change(open, faces));
  CHECK(moving.change(closed, faces));
  Vertices flat = closed;
  flat[15] = 0.5, flat[16] = 0.5;
  CHECK(moving.change(flat, faces));
  CHECK(make_edges(flat, faces).count() == 3);
}
