// The levels of a coarse-to-fine fit. Level l sees the image at 1/s of its size, s = 2^l: a coarse pixel I is
// the block of full ones from I s to I s + s - 1, and shows their mean. Pixel (i, j) has its centre at the
// integer (i, j), so that
//
//   f' = f / s,   c' = (c + 1/2) / s - 1/2
//
// for focal lengths f and principal point c; poses and shapes stay as they are.
#pragma once

#include <cstddef>
#include <vector>

#include "diffrt/fit.hpp"

namespace diffrt {

// The camera of an image at 1/scale of the size. Rows and columns that are left over, fewer than `scale` at
// the bottom and at the right, are not in it.
PinholeCamera coarser(const PinholeCamera& camera, int scale);

// Throws ArgumentError unless `levels` is at least 1 and the coarsest image at least 8 px high and wide.
void check_levels(int levels, const PinholeCamera& camera);

// An observation at 1/scale of the size, for coarser(camera, scale). A value is the weighted mean of the
// pixels of its block that have one; its weight is the sum of theirs, which is what a mean is worth: costs,
// and with them the influence of priors, stay what they are at full size. A block of which less than half the
// pixels have a value has none: its mean would be of another place than its centre.
class BoxFiltered {
 public:
  // Throws ArgumentError for a negative weight.
  BoxFiltered(const Observation& observation, const PinholeCamera& camera, int channels, int scale);

  Observation view() const;
  // [height, width, channels]
  const std::vector<float>& values() const { return values_; }
  const std::vector<float>& weights() const { return weights_; }

 private:
  int height_ = 0, width_ = 0, channels_ = 0;
  std::vector<float> values_, weights_;
};

// A fit at 1/scale of the size, in terms of the full renderer's theta: only camera.focal and camera.principal
// differ between the two. It ends early: `noise` of its costs is what they change by if one object moves by
// `kNearEnough` of its pixels, so the solver takes a step that promises less than that for the end
// (converged_cost). An edge pulls by about 0.6 of its pixels in a step, from near or far; where that promise
// is down to a third of it, the next level's edges can take over.
class CoarseProblem : public LeastSquaresProblem {
 public:
  static constexpr double kNearEnough = 0.2;

  // `full` must outlive it.
  CoarseProblem(const Renderer& full, const Observation& observation, const Loss& loss, int scale);
  CoarseProblem(const CoarseProblem&) = delete;
  CoarseProblem& operator=(const CoarseProblem&) = delete;

  std::size_t size() const override { return full_.parameters(); }
  Evaluation cost(Span<const double> theta) override;
  Evaluation normal_equations(Span<const double> theta, Span<double> H, Span<double> g) override;
  void plus(Span<const double> theta, Span<const double> delta, Span<double> out) const override;
  void tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const override;
  Evaluation sparse_normal_equations(Span<const double> theta, SparseMatrix& H, Span<double> g) override;
  void tangent_entries(Span<const double> theta, std::size_t i,
                       std::vector<TangentEntry>& entries) const override;
  double precision() const override { return problem_.precision(); }

 private:
  Span<const double> coarse(Span<const double> theta);
  double motion_energy(const SparseMatrix& H);

  const Renderer& full_;
  BoxFiltered observed_;
  Renderer renderer_;  // its theta may have a principal point more, to tell what a pixel's motion is
  ImageProblem problem_;
  std::vector<double> gain_, offset_;  // coarse theta = gain theta + offset
  std::size_t principal_ = 0;          // where it is in the coarse theta
  double objects_ = 1;                 // how many things are free
  std::vector<double> theta_, g_;
  SparseMatrix H_;
  double motion_ = 0;  // cost of a motion by kNearEnough pixels, where H was last asked for
};

}  // namespace diffrt
