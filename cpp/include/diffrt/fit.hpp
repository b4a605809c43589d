// Fit a scene to an observed image: solve() of least_squares.hpp over a Renderer.
#pragma once

#include "diffrt/least_squares.hpp"
#include "diffrt/renderer.hpp"

namespace diffrt {

// The renderer and what it is compared with, as a problem for the solver. It refers to both, and to the
// observed arrays.
class ImageProblem : public LeastSquaresProblem {
 public:
  ImageProblem(Renderer& renderer, Observation observation, Loss loss);

  std::size_t size() const override;
  Evaluation cost(Span<const double> theta) override;
  Evaluation normal_equations(Span<const double> theta, Span<double> H, Span<double> g) override;
  void plus(Span<const double> theta, Span<const double> delta, Span<double> out) const override;
  void tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const override;
  bool gradient_scatter(Span<const double> theta, Span<double> M) override;
  double precision() const override { return 1e-7; }

 private:
  Evaluation evaluation() const;
  bool can_be_rendered(Span<const double> theta) const;

  Renderer& renderer_;
  Observation observation_;
  Loss loss_;
  NormalEquations equations_;
  double resolution_;  // rounding error of a rendered value [its units]
};

// result.theta is relative to the renderer's scene: renderer.scene_at(result.theta) is the fitted scene.
SolveResult fit(Renderer& renderer, const Observation& observation, Span<const double> theta0,
                const Loss& loss = {}, const SolveOptions& options = {});

}  // namespace diffrt
