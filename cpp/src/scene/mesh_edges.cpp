#include "scene/mesh_edges.hpp"

#include <algorithm>
#include <cstring>

#include "scene/triangles.hpp"

namespace diffrt::scene {
namespace {

// Every bit of the result depends on every bit of x (Stafford's mix 13, as in splitmix64).
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

std::uint64_t bits_of(double x) {
  x += 0.0;  // -0 becomes 0
  std::uint64_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}

// Places of things numbered from 0, found by their hashes, in memory that the caller keeps.
class HashTable {
 public:
  HashTable(std::size_t most, std::vector<std::int32_t>& places) : places_(places) {
    std::size_t size = 16;
    while (size < 2 * most) size *= 2;
    places_.assign(size, -1);
  }
  // The number of an equal thing that is there already, or `number`, which is put there.
  template <class Equal>
  std::int32_t find_or_add(std::uint64_t hash, std::int32_t number, Equal&& equal) {
    const std::size_t mask = places_.size() - 1;
    std::size_t place = static_cast<std::size_t>(hash) & mask;
    for (; places_[place] >= 0; place = (place + 1) & mask) {
      if (equal(places_[place])) return places_[place];
    }
    return places_[place] = number;
  }

 private:
  std::vector<std::int32_t>& places_;
};

void weld(Span<const double> vertices, std::vector<std::int32_t>& first, std::vector<std::int32_t>& places) {
  first.resize(vertices.size() / 3);
  HashTable table(first.size(), places);
  for (std::size_t v = 0; v < first.size(); ++v) {
    const double* X = vertices.data() + 3 * v;
    const std::uint64_t hash = mix(bits_of(X[0]) + mix(bits_of(X[1]) + mix(bits_of(X[2]))));
    first[v] = table.find_or_add(hash, static_cast<std::int32_t>(v), [&](std::int32_t other) {
      const double* Y = vertices.data() + 3 * static_cast<std::size_t>(other);
      // By their bits, as the header says: NaN, where no face is, would be equal to nothing and never found.
      return bits_of(X[0]) == bits_of(Y[0]) && bits_of(X[1]) == bits_of(Y[1]) &&
             bits_of(X[2]) == bits_of(Y[2]);
    });
  }
}

bool is_degenerate(Span<const double> vertices, const std::int32_t* face) {
  const auto point = [&](std::int32_t v) {
    return Eigen::Vector3d(
        Eigen::Map<const Eigen::Vector3d>(vertices.data() + 3 * static_cast<std::size_t>(v)));
  };
  return degenerate(point(face[0]), point(face[1]), point(face[2]));
}

}  // namespace

std::vector<std::int32_t> weld(Span<const double> vertices) {
  std::vector<std::int32_t> first, places;
  weld(vertices, first, places);
  return first;
}

bool MovingEdges::change(Span<const double> vertices, Span<const std::int32_t> faces) {
  weld(vertices, now_welded_, places_);
  now_degenerate_.resize(faces.size() / 3);
  for (std::size_t f = 0; f < now_degenerate_.size(); ++f)
    now_degenerate_[f] = is_degenerate(vertices, faces.data() + 3 * f) ? 1 : 0;
  if (now_welded_ == welded_ && now_degenerate_ == degenerate_) return false;
  welded_ = now_welded_, degenerate_ = now_degenerate_;
  return true;
}

MeshEdges make_edges(Span<const double> vertices, Span<const std::int32_t> faces) {
  const std::vector<std::int32_t> welded = weld(vertices);
  const std::size_t count = faces.size() / 3;
  MeshEdges edges;
  edges.ends.reserve(faces.size() + 2);         // of a closed mesh: two half-edges per edge
  std::vector<std::int32_t> of(3 * count, -1);  // the edge of each half-edge
  std::vector<std::int32_t> places;
  HashTable table(3 * count, places);
  for (std::size_t f = 0; f < count; ++f) {
    const std::int32_t* face = faces.data() + 3 * f;
    if (is_degenerate(vertices, face)) continue;
    for (std::size_t corner = 0; corner < 3; ++corner) {
      const std::int32_t from = welded[static_cast<std::size_t>(face[(corner + 1) % 3])],
                         to = welded[static_cast<std::size_t>(face[(corner + 2) % 3])];
      const auto low = static_cast<std::uint64_t>(std::min(from, to)),
                 high = static_cast<std::uint64_t>(std::max(from, to));
      const auto next = static_cast<std::int32_t>(edges.ends.size() / 2);
      const std::int32_t edge = table.find_or_add(mix(high << 32 | low), next, [&](std::int32_t other) {
        const std::int32_t* ends = edges.ends.data() + 2 * static_cast<std::size_t>(other);
        return (ends[0] == from && ends[1] == to) || (ends[0] == to && ends[1] == from);
      });
      if (edge == next) edges.ends.insert(edges.ends.end(), {from, to});
      of[3 * f + corner] = edge;
    }
  }
  // Half-edges by edges: count, then place.
  edges.starts.assign(edges.ends.size() / 2 + 1, 0);
  for (const std::int32_t edge : of) {
    if (edge >= 0) ++edges.starts[static_cast<std::size_t>(edge) + 1];
  }
  for (std::size_t e = 1; e < edges.starts.size(); ++e) edges.starts[e] += edges.starts[e - 1];
  std::vector<std::int32_t> next(edges.starts.begin(), edges.starts.end() - 1);
  edges.half_edges.resize(static_cast<std::size_t>(edges.starts.back()));
  edges.along.resize(edges.half_edges.size());
  for (std::size_t h = 0; h < of.size(); ++h) {
    if (of[h] < 0) continue;
    const auto edge = static_cast<std::size_t>(of[h]);
    const auto place = static_cast<std::size_t>(next[edge]++);
    const std::int32_t from = welded[static_cast<std::size_t>(faces[h - h % 3 + (h + 1) % 3])];
    edges.half_edges[place] = static_cast<std::int32_t>(h);
    edges.along[place] = from == edges.ends[2 * edge] ? 1 : -1;
  }
  return edges;
}

}  // namespace diffrt::scene
