// A rasteriser for a mesh of small triangles: its depth image, and beside what was observed cost, J'r and J'J
// by pose.
//
// Vertices are projected once, to (u, v, 1 / z). A triangle is where its three edge functions have one sign,
//
//   e_0 = (u_1 - i) (v_2 - j) - (u_2 - i) (v_1 - j), ...,  1 / z = sum e_k / z_k / sum e_k
//
// and either side is seen. Most triangles are smaller than a pixel, so lanes are triangles: those whose
// bounds hold no pixel centre are dropped, the others packed anew, and the few pixels of their bounds looked
// at in turn. Each thread has a share of the triangles and a depth buffer of its own over the mesh's bounds;
// they are merged when read.
//
// Pose T exp(xi), xi = (rho, phi): in the mesh's frame a ray is o + z q, the surface point p = o + z q has
// the normal n, and dz / d(rho, phi) = (n, p x n) / (n . q). Normals are made once for the mesh. Lanes are
// pixels here. Loss: Huber's.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

constexpr int lanes = 16, sums = 28;  // cost, J'r (6), the lower triangle of J'J (21)

struct Camera {
  int width, height;
  float fx, fy, cx, cy;
};

struct Bounds {
  int left = 1 << 30, top = 1 << 30, right = -1, bottom = -1;  // inclusive
  void add(const Bounds& other) {
    left = std::min(left, other.left), top = std::min(top, other.top);
    right = std::max(right, other.right), bottom = std::max(bottom, other.bottom);
  }
};

// A triangle's index, the first pixel of its bounds, and how many more there are.
struct Candidate {
  int face, left, top, columns, lines;
};

// Of a thread: triangles whose bounds hold a pixel centre, apart by whether there is more than one column and
// line, so that lanes have as many to look at; and the nearest 1 / z by pixel.
struct Share {
  std::vector<Candidate> candidates[4];
  int counts[4];
  std::vector<float> inv_z;
  std::vector<int> seen;
};

struct Mesh {
  int vertices, faces;
  std::vector<float> x, y, z, u, v, inv_z;  // in the mesh's frame; projected
  std::vector<int> a, b, c;                 // corners
  std::vector<float> nx, ny, nz;            // normals, any length
  std::vector<Share> shares;
  Bounds bounds;
  int stride = 0, rows = 0;
};

void project(Mesh& mesh, const float* T, const Camera& camera, int begin, int end) {
  const float *x = mesh.x.data(), *y = mesh.y.data(), *z = mesh.z.data();
  float* __restrict u = mesh.u.data(), * __restrict v = mesh.v.data(), * __restrict inv_z = mesh.inv_z.data();
#pragma omp simd
  for (int k = begin; k < end; ++k) {
    const float X = T[0] * x[k] + T[1] * y[k] + T[2] * z[k] + T[3];
    const float Y = T[4] * x[k] + T[5] * y[k] + T[6] * z[k] + T[7];
    const float w = 1.0f / (T[8] * x[k] + T[9] * y[k] + T[10] * z[k] + T[11]);
    u[k] = camera.fx * X * w + camera.cx;
    v[k] = camera.fy * Y * w + camera.cy;
    inv_z[k] = w;
  }
}

// The triangles of [begin, end) that may cover a pixel centre; the bounds of those.
Bounds select(const Mesh& mesh, const Camera& camera, int begin, int end, Share& share) {
  const float *u = mesh.u.data(), *v = mesh.v.data(), *w = mesh.inv_z.data();
  const int *a = mesh.a.data(), *b = mesh.b.data(), *c = mesh.c.data();
  int counts[4] = {};
  for (auto& list : share.candidates) list.resize(std::max<std::size_t>(list.size(), end - begin + 1));
  Bounds all;
  const float right_most = static_cast<float>(camera.width - 1),
              bottom_most = static_cast<float>(camera.height - 1);
  for (int first = begin; first < end; first += lanes) {
    int left[lanes], top[lanes], right[lanes], bottom[lanes], here[lanes];
    int l = all.left, t = all.top, r = all.right, d = all.bottom;
#pragma omp simd reduction(min : l, t) reduction(max : r, d)
    for (int k = 0; k < lanes; ++k) {
      const int f = std::min(first + k, end - 1);
      const float u0 = u[a[f]], u1 = u[b[f]], u2 = u[c[f]], v0 = v[a[f]], v1 = v[b[f]], v2 = v[c[f]];
      const float nearest = std::min(std::min(w[a[f]], w[b[f]]), w[c[f]]);
      left[k] = static_cast<int>(std::ceil(std::max(std::min(std::min(u0, u1), u2), 0.0f)));
      top[k] = static_cast<int>(std::ceil(std::max(std::min(std::min(v0, v1), v2), 0.0f)));
      right[k] = static_cast<int>(std::floor(std::min(std::max(std::max(u0, u1), u2), right_most)));
      bottom[k] = static_cast<int>(std::floor(std::min(std::max(std::max(v0, v1), v2), bottom_most)));
      here[k] = left[k] <= right[k] && top[k] <= bottom[k] && nearest > 0.0f;
      l = std::min(l, here[k] ? left[k] : l), t = std::min(t, here[k] ? top[k] : t);
      r = std::max(r, here[k] ? right[k] : r), d = std::max(d, here[k] ? bottom[k] : d);
    }
    all = {l, t, r, d};
    // Written in any case, and kept by what is added to the count: whether to cannot be foreseen by a branch.
    for (int k = 0; k < std::min(lanes, end - first); ++k) {
      const int columns = right[k] - left[k], lines = bottom[k] - top[k],
                which = (columns > 0) + 2 * (lines > 0);
      share.candidates[which][counts[which]] = {first + k, left[k], top[k], columns, lines};
      counts[which] += here[k];
    }
  }
  std::copy(counts, counts + 4, share.counts);
  return all;
}

void draw(const Mesh& mesh, const Candidate* candidates, int count, Share& share) {
  const float *u = mesh.u.data(), *v = mesh.v.data(), *w = mesh.inv_z.data();
  const int *a = mesh.a.data(), *b = mesh.b.data(), *c = mesh.c.data();
  for (int first = 0; first < count; first += lanes) {
    // Corners by their place beside the first pixel of the bounds.
    float u0[lanes], v0[lanes], u1[lanes], v1[lanes], u2[lanes], v2[lanes], w0[lanes], w1[lanes], w2[lanes];
    int columns = 0, lines = 0;
#pragma omp simd reduction(max : columns, lines)
    for (int k = 0; k < lanes; ++k) {
      const Candidate& at = candidates[std::min(first + k, count - 1)];
      const int f = at.face;
      const float i = static_cast<float>(at.left), j = static_cast<float>(at.top);
      u0[k] = u[a[f]] - i, u1[k] = u[b[f]] - i, u2[k] = u[c[f]] - i;
      v0[k] = v[a[f]] - j, v1[k] = v[b[f]] - j, v2[k] = v[c[f]] - j;
      w0[k] = w[a[f]], w1[k] = w[b[f]], w2[k] = w[c[f]];
      columns = std::max(columns, at.columns);
      lines = std::max(lines, at.lines);
    }
    for (int dj = 0; dj <= lines; ++dj)
      for (int di = 0; di <= columns; ++di) {
        const float i = static_cast<float>(di), j = static_cast<float>(dj);
        float near[lanes];
        std::uint32_t hits = 0;
#pragma omp simd reduction(| : hits)
        for (int k = 0; k < lanes; ++k) {
          const float e0 = (u1[k] - i) * (v2[k] - j) - (u2[k] - i) * (v1[k] - j);
          const float e1 = (u2[k] - i) * (v0[k] - j) - (u0[k] - i) * (v2[k] - j);
          const float e2 = (u0[k] - i) * (v1[k] - j) - (u1[k] - i) * (v0[k] - j);
          const float low = std::min(std::min(e0, e1), e2), high = std::max(std::max(e0, e1), e2);
          near[k] = (e0 * w0[k] + e1 * w1[k] + e2 * w2[k]) / (e0 + e1 + e2);
          hits |= low >= 0.0f || high <= 0.0f ? 1u << k : 0u;
        }
        if (count - first < lanes) hits &= (1u << (count - first)) - 1;
        for (; hits; hits &= hits - 1) {
          const int k = __builtin_ctz(hits);
          const Candidate& from = candidates[first + k];
          if (di > from.columns || dj > from.lines) continue;
          const std::size_t at = static_cast<std::size_t>(from.top + dj - mesh.bounds.top) * mesh.stride +
                                 (from.left + di - mesh.bounds.left);
          const bool nearer = near[k] > share.inv_z[at];
          share.inv_z[at] = nearer ? near[k] : share.inv_z[at];
          share.seen[at] = nearer ? from.face : share.seen[at];
        }
      }
  }
}

// Called by every thread of a team: 1 / z and face by pixel of the bounds, in each thread's share.
void draw_shares(Mesh& mesh, const float* T, const Camera& camera) {
  const int threads = omp_get_num_threads(), me = omp_get_thread_num();
  const auto part = [&](int of, int k) {
    return static_cast<int>(static_cast<std::int64_t>(of) * k / threads);
  };
#pragma omp single
  {
    mesh.shares.resize(threads);
    mesh.bounds = Bounds();
  }
  project(mesh, T, camera, part(mesh.vertices, me), part(mesh.vertices, me + 1));
#pragma omp barrier
  const Bounds mine = select(mesh, camera, part(mesh.faces, me), part(mesh.faces, me + 1), mesh.shares[me]);
#pragma omp critical
  mesh.bounds.add(mine);
#pragma omp barrier
#pragma omp single
  {
    mesh.stride = (mesh.bounds.right - mesh.bounds.left + lanes) / lanes * lanes;
    mesh.rows = std::max(mesh.bounds.bottom - mesh.bounds.top + 1, 0);
  }
  Share& share = mesh.shares[me];
  share.inv_z.assign(static_cast<std::size_t>(mesh.stride) * mesh.rows, 0.0f);
  share.seen.resize(share.inv_z.size());
  for (int k = 0; k < 4; ++k) draw(mesh, share.candidates[k].data(), share.counts[k], share);
#pragma omp barrier
}

// One row of the bounds: the nearest of all shares, into the first.
void merge_row(Mesh& mesh, int row) {
  const std::size_t at = static_cast<std::size_t>(row) * mesh.stride;
  float* __restrict inv_z = mesh.shares[0].inv_z.data() + at;
  int* __restrict seen = mesh.shares[0].seen.data() + at;
  for (std::size_t share = 1; share < mesh.shares.size(); ++share) {
    const float* __restrict theirs = mesh.shares[share].inv_z.data() + at;
    const int* __restrict faces = mesh.shares[share].seen.data() + at;
#pragma omp simd
    for (int i = 0; i < mesh.stride; ++i) {
      const bool nearer = theirs[i] > inv_z[i];
      seen[i] = nearer ? faces[i] : seen[i];
      inv_z[i] = nearer ? theirs[i] : inv_z[i];
    }
  }
}

void add_row(const Mesh& mesh, const float* T, const Camera& camera, int row, const float* observed,
             float delta, double* total) {
  const int j = mesh.bounds.top + row, count = mesh.bounds.right - mesh.bounds.left + 1;
  const float* inv_z = mesh.shares[0].inv_z.data() + static_cast<std::size_t>(row) * mesh.stride;
  const int* seen = mesh.shares[0].seen.data() + static_cast<std::size_t>(row) * mesh.stride;
  const float* line = observed + static_cast<std::size_t>(j) * camera.width + mesh.bounds.left;
  const float y = (static_cast<float>(j) - camera.cy) / camera.fy, inv_fx = 1.0f / camera.fx;
  const float ox = -(T[0] * T[3] + T[4] * T[7] + T[8] * T[11]),
              oy = -(T[1] * T[3] + T[5] * T[7] + T[9] * T[11]);
  const float oz = -(T[2] * T[3] + T[6] * T[7] + T[10] * T[11]);
  float sum[sums][lanes] = {};
  for (int block = 0; block < count; block += lanes) {
    float g[6][lanes], slope[lanes], weight[lanes];
#pragma omp simd
    for (int k = 0; k < lanes; ++k) {
      const int i = std::min(block + k, count - 1);
      // Finite: by its bits, since -ffast-math takes all numbers for finite.
      const bool given = (__builtin_bit_cast(std::uint32_t, line[i]) & 0x7f800000u) != 0x7f800000u;
      const bool counts = inv_z[i] > 0.0f && given && block + k < count;
      const int f = counts ? seen[i] : 0;
      const float nx = mesh.nx[f], ny = mesh.ny[f], nz = mesh.nz[f];
      const float x = (static_cast<float>(mesh.bounds.left + i) - camera.cx) * inv_fx;
      const float qx = T[0] * x + T[4] * y + T[8], qy = T[1] * x + T[5] * y + T[9],
                  qz = T[2] * x + T[6] * y + T[10];
      const float z = 1.0f / (counts ? inv_z[i] : 1.0f), px = ox + z * qx, py = oy + z * qy, pz = oz + z * qz;
      const float nq = nx * qx + ny * qy + nz * qz, factor = 1.0f / (counts ? nq : 1.0f);
      const float residual = counts ? z - line[i] : 0.0f, size = std::abs(residual);
      weight[k] = counts ? (size > delta ? delta / size : 1.0f) : 0.0f;
      slope[k] = weight[k] * residual;
      sum[0][k] += size > delta ? delta * (size - 0.5f * delta) : 0.5f * residual * residual;
      g[0][k] = nx * factor, g[1][k] = ny * factor, g[2][k] = nz * factor;
      g[3][k] = (py * nz - pz * ny) * factor, g[4][k] = (pz * nx - px * nz) * factor;
      g[5][k] = (px * ny - py * nx) * factor;
    }
    for (int m = 0, at = 7; m < 6; ++m) {
      for (int k = 0; k < lanes; ++k) sum[1 + m][k] += g[m][k] * slope[k];
      for (int n = 0; n <= m; ++n, ++at)
        for (int k = 0; k < lanes; ++k) sum[at][k] += g[m][k] * g[n][k] * weight[k];
    }
  }
  for (int m = 0; m < sums; ++m)
    for (int k = 0; k < lanes; ++k) total[m] += sum[m][k];
}

}  // namespace

extern "C" {

// vertices: 3 planes, in the mesh's frame. faces: 3 planes of corners. What does not change with the pose.
Mesh* hand_mesh_new(const float* vertices, int vertex_count, const int* faces, int face_count) {
  Mesh* mesh = new Mesh{};
  const int n = mesh->vertices = vertex_count, m = mesh->faces = face_count;
  mesh->x.assign(vertices, vertices + n), mesh->y.assign(vertices + n, vertices + 2 * n);
  mesh->z.assign(vertices + 2 * n, vertices + 3 * n);
  mesh->u.resize(n), mesh->v.resize(n), mesh->inv_z.resize(n);
  mesh->a.assign(faces, faces + m), mesh->b.assign(faces + m, faces + 2 * m);
  mesh->c.assign(faces + 2 * m, faces + 3 * m);
  mesh->nx.resize(m), mesh->ny.resize(m), mesh->nz.resize(m);
  for (int f = 0; f < m; ++f) {
    const int a = mesh->a[f], b = mesh->b[f], c = mesh->c[f];
    const double bx = mesh->x[b] - mesh->x[a], by = mesh->y[b] - mesh->y[a], bz = mesh->z[b] - mesh->z[a];
    const double cx = mesh->x[c] - mesh->x[a], cy = mesh->y[c] - mesh->y[a], cz = mesh->z[c] - mesh->z[a];
    const double x = by * cz - bz * cy, y = bz * cx - bx * cz, z = bx * cy - by * cx;
    const double length = std::max(std::sqrt(x * x + y * y + z * z), 1e-30);
    mesh->nx[f] = static_cast<float>(x / length), mesh->ny[f] = static_cast<float>(y / length);
    mesh->nz[f] = static_cast<float>(z / length);
  }
  return mesh;
}

// T: the first 3 rows of T_camera_mesh. out: height x width, NaN where the mesh is not.
void hand_mesh_depth(Mesh* mesh, const float* T, int width, int height, float fx, float fy, float cx,
                     float cy, float* out) {
  const Camera camera{width, height, fx, fy, cx, cy};
#pragma omp parallel
  {
    draw_shares(*mesh, T, camera);
    const Bounds& bounds = mesh->bounds;
#pragma omp for schedule(static, 16)
    for (int j = 0; j < height; ++j) {
      float* __restrict line = out + static_cast<std::size_t>(j) * width;
      const bool outside = j < bounds.top || j > bounds.bottom;
      const int left = outside ? width : bounds.left, right = outside ? width : bounds.right + 1;
      std::fill(line, line + left, std::numeric_limits<float>::quiet_NaN());
      std::fill(line + right, line + width, std::numeric_limits<float>::quiet_NaN());
      if (outside) continue;
      merge_row(*mesh, j - bounds.top);
      const float* __restrict inv_z =
          mesh->shares[0].inv_z.data() + static_cast<std::size_t>(j - bounds.top) * mesh->stride;
      for (int i = 0; i < right - left; ++i)
        line[left + i] = inv_z[i] > 0.0f ? 1.0f / inv_z[i] : std::numeric_limits<float>::quiet_NaN();
    }
  }
}

// out: cost, J'r (6), the lower triangle of J'J by rows (21). A pixel counts where the mesh is seen and
// observed is finite.
void hand_mesh_sums(Mesh* mesh, const float* T, int width, int height, float fx, float fy, float cx, float cy,
                    const float* observed, float delta, double* out) {
  const Camera camera{width, height, fx, fy, cx, cy};
  double total[sums] = {};
#pragma omp parallel reduction(+ : total[:sums])
  {
    draw_shares(*mesh, T, camera);
#pragma omp for schedule(static, 8)
    for (int row = 0; row < mesh->rows; ++row) {
      merge_row(*mesh, row);
      add_row(*mesh, T, camera, row, observed, delta, total);
    }
  }
  std::copy(total, total + sums, out);
}
}
