// The solver's loop: start, step until there is a reason to stop, result. least_squares.hpp states what it
// does.
#pragma once

#include <chrono>

#include "diffrt/least_squares.hpp"
#include "solver/bounds.hpp"
#include "solver/chart.hpp"
#include "solver/damping.hpp"
#include "solver/linear_solve.hpp"
#include "solver/model.hpp"
#include "solver/normal_matrix.hpp"
#include "solver/point.hpp"
#include "solver/stagnation.hpp"

namespace diffrt::solver {

class Loop {
 public:
  // Allocates everything a solve of `size` parameters needs. The options outlive the loop.
  Loop(std::size_t size, double precision, const SolveOptions& options);

  void start(LeastSquaresProblem& problem, Span<const double> theta0);
  bool step();
  SolveResult result();

  std::size_t size() const { return count(theta_.size()); }
  double precision() const { return precision_; }
  Status status() const { return status_; }
  Span<const double> theta() const;
  Span<const StepRecord> history() const { return history_; }

 private:
  // A step from theta: its scaled form, how far it goes as a fraction of theta, and what the model promises
  // for it.
  struct Proposal {
    Vector y, d;
    double norm = 0, predicted = 0;
  };

  bool gauss_newton() const { return options_.method == Method::gauss_newton; }
  Point evaluate(const Vector& theta);
  bool build_model();  // at theta_: point_, model_, frozen_, gradient_norm_; false if not finite
  void propose(bool damped, Proposal& proposal);
  Status convergence_at_theta() const;
  Status convergence_of_step(const Proposal& proposal) const;
  bool failed_before() const;
  Status within_noise(const Proposal& undamped) const;
  void move_to_trial(const Proposal& proposal);
  void try_damped(StepRecord& record);
  void take_full(StepRecord& record);
  bool record(StepRecord record);  // and tells the callback
  bool stop(Status status);
  void return_to_best();
  SolveResult result_at_theta();
  void analyse(SolveResult& result);

  const SolveOptions& options_;
  double precision_, null_threshold_ = 0;
  LeastSquaresProblem* problem_ = nullptr;

  Vector theta_, trial_, best_theta_, sizes_;
  Point point_, trial_point_, best_;
  Cheapest cheapest_;
  double start_cost_ = 0, gradient_norm_ = 0;
  SparseMatrix given_;  // H as the problem gives it
  std::vector<Triplet> prior_products_;
  std::vector<LeastSquaresProblem::TangentEntry> row_;
  NormalMatrix H_;  // with the priors, in the tangent space
  Sparse H_theta_;  // the same in the coordinates of the chart, unless it is flat
  Model model_;
  Chart chart_;
  Bounds bounds_;
  Mask frozen_, frozen_step_;
  LinearSolver solver_;
  Damping damping_;
  Stagnation stagnation_;
  Proposal step_, full_step_;
  Vector delta_;

  Status status_ = Status::running;
  std::size_t steps_ = 0;
  bool analysable_ = false, full_step_failed_ = false;
  std::vector<StepRecord> history_;
  std::chrono::steady_clock::time_point clock_;
};

}  // namespace diffrt::solver
