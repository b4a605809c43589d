// Fit a scene to an observed image: solve() of least_squares.hpp over a Renderer.
#pragma once

#include "diffrt/export.hpp"
#include "diffrt/least_squares.hpp"
#include "diffrt/renderer.hpp"

namespace diffrt {

// The renderer and what it is compared with, as a problem for the solver. It refers to both, and to the
// observed arrays, which must stay as they are.
class DIFFRT_API ImageProblem : public LeastSquaresProblem {
 public:
  ImageProblem(Renderer& renderer, Observation observation, Loss loss);

  std::size_t size() const override;
  Evaluation cost(Span<const double> theta) override;
  Evaluation normal_equations(Span<const double> theta, Span<double> H, Span<double> g) override;
  void plus(Span<const double> theta, Span<const double> delta, Span<double> out) const override;
  void tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const override;
  bool gradient_scatter(Span<const double> theta, Span<double> M) override;
  Evaluation sparse_normal_equations(Span<const double> theta, SparseMatrix& H, Span<double> g) override;
  bool sparse_gradient_scatter(Span<const double> theta, SparseMatrix& M) override;
  void tangent_entries(Span<const double> theta, std::size_t i,
                       std::vector<TangentEntry>& entries) const override;
  // A radian; the distance from the camera; the image's width for its focal lengths and principal point.
  bool magnitudes(Span<const double> theta, Span<double> sizes) const override;
  double precision() const override { return 1e-7; }

  // A flag per parameter: 1 for a block of which none moved a pixel when normal_equations was called last, or
  // whose shape has vanished at theta: outside the image, behind the camera, or smaller than a pixel while it
  // took up four times as much in the renderer's scene.
  std::vector<int> unseen(Span<const double> theta) const;

 private:
  void measure_rounding(Span<const double> theta);
  void clear_rounding();
  Evaluation evaluation() const;
  bool can_be_rendered(Span<const double> theta) const;
  void remember(Span<const double> theta);

  Renderer& renderer_;
  Observation observation_;
  Loss loss_;
  const std::vector<double> sizes_;  // magnitudes() but for normals
  NormalEquations equations_;
  std::vector<double> diagonal_;  // of H where normal_equations was called last
  // Of the last normal_equations, with which costs are compared.
  std::vector<double> remembered_theta_;
  std::uint64_t remembered_ = 0;
  bool measured_ = false;  // the next two
  double resolution_ = 0;  // rounding error of a rendered value [its units]
  double at_edges_ = 0;    // what silhouettes add to it, as a mean over all pixels
};

// Ends as solve() does, or with Status::not_seen where every free parameter is unseen at the end: no pixel
// that counts depends on it.
//
// result.theta is relative to the renderer's scene: renderer.scene_at(result.theta) is the fitted scene.
//
// levels > 1: coarse to fine, for starts that are many pixels off, since an edge one pixel wide pulls by
// about 0.6 pixels in a step. First at 1/2^(levels - 1) of the size, against means over blocks of pixels,
// then at twice that, and so on; src/pyramid.hpp has the conventions. Throughout, theta, priors, bounds and
// the callback are those of the full size. The levels share options.max_steps; a coarse one ends as soon as a
// step promises no more than an object's motion by a fifth of its pixels, and one without residuals is
// skipped. The result is that of the full size, with the steps of all: history has a record for each level's
// start, whose `step` is the number of trials before it. Throws ArgumentError if the coarsest image would
// have fewer than 8 rows or columns.
DIFFRT_API SolveResult fit(Renderer& renderer, const Observation& observation, Span<const double> theta0,
                           const Loss& loss = {}, const SolveOptions& options = {}, int levels = 1);

}  // namespace diffrt
