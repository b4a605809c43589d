// Levenberg-Marquardt and Gauss-Newton, one trial at a time.
#include "solver/loop.hpp"

#include <algorithm>
#include <cmath>

#include "solver/analysis.hpp"
#include "solver/priors.hpp"

namespace diffrt::solver {
namespace {

// Below this, relatively, differences of costs and steps are rounding.
constexpr double kRounding = 2 * std::numeric_limits<double>::epsilon();

// A cost is a sum of many terms, and its rounding error somewhat larger.
constexpr double kNoise = 1e-12;

// Steps that are so many times the precision of what they are added to are rounding.
constexpr double kRoundedStep = 4;

// A finite symmetric matrix of unit diagonal is definite long before this is added to it; one that overflowed
// never is.
constexpr double kHopeless = 1e100;

}  // namespace

Loop::Loop(std::size_t size, double precision, const SolveOptions& options)
    : options_(options),
      precision_(precision),
      theta_(index(size)),
      trial_(index(size)),
      best_theta_(index(size)),
      sizes_(index(size)),
      H_(size, options.dense_limit),
      model_(index(size)),
      bounds_(options.lower, options.upper, size),
      frozen_(size, 0),
      frozen_step_(size, 0),
      solver_(index(size), index(options.dense_limit)),
      delta_(index(size)) {
  for (Proposal* proposal : {&step_, &full_step_}) {
    proposal->y.resize(index(size));
    proposal->d.resize(index(size));
  }
  history_.reserve(std::min<std::size_t>(options.max_steps, 1000) + 1);
}

Span<const double> Loop::theta() const {
  return view(gauss_newton() && !converged(status_) ? best_theta_ : theta_);
}

Point Loop::evaluate(const Vector& theta) {
  Point point;
  point.data = problem_->cost(view(theta));
  point.prior_cost = prior_cost(options_.priors, theta);
  return point;
}

bool Loop::build_model() {
  point_.data = problem_->sparse_normal_equations(view(theta_), given_, view(model_.g));
  point_.prior_cost = prior_cost(options_.priors, theta_);
  add_priors(options_.priors, *problem_, theta_, prior_products_, model_.g, row_);
  H_.assign(given_, prior_products_);
  model_.H = &H_.value();
  if (!point_.finite() || !model_.finite()) return false;
  problem_->magnitudes(view(theta_), view(sizes_));
  chart_.update(*problem_, bounds_, theta_);
  if (!chart_.flat()) {
    H_theta_ = chart_.to_theta(H_.value());
    chart_.gradient_to_theta(model_.g);
    model_.H = &H_theta_;
  }
  const double noise = eigenvalue_noise(precision_, fullest_column(*model_.H));
  null_threshold_ = options_.null_threshold > 0 ? options_.null_threshold : noise;
  damping_.keep_above(noise);
  model_.rescale(options_.diagonal_floor);

  bounds_.hold(theta_, model_.g, frozen_);
  double steepest = 0;
  for (Index i = 0; i < model_.size(); ++i) {
    if (!frozen_[count(i)]) steepest = std::max(steepest, std::abs(model_.gradient[i]));
  }
  gradient_norm_ = steepest > 0 ? steepest / std::sqrt(2 * point_.cost()) : 0;
  return true;
}

void Loop::start(LeastSquaresProblem& problem, Span<const double> theta0) {
  clock_ = std::chrono::steady_clock::now();
  problem_ = &problem;
  std::copy(theta0.begin(), theta0.end(), theta_.data());
  best_theta_ = theta_;
  steps_ = 0;
  status_ = Status::running;
  analysable_ = full_step_failed_ = false;
  history_.clear();
  stagnation_.start();
  H_.forget();
  solver_.forget();
  model_.forget();
  gradient_norm_ = 0;

  const bool finite = build_model();
  damping_.start(options_.initial_damping);
  start_cost_ = point_.cost();
  cheapest_.start(point_);
  best_ = point_;
  StepRecord first;
  first.cost = point_.cost();
  first.count = point_.data.count;
  first.gradient_norm = gradient_norm_;
  first.accepted = true;
  const bool go_on = record(first);
  if (point_.data.count == 0) {
    stop(Status::no_residuals);
  } else if (!finite) {
    stop(Status::not_finite);
  } else {
    analysable_ = true;
    if (!go_on) stop(Status::interrupted);
  }
}

// The minimiser of the model over the parameters that neither the gradient nor the step pushes out of the
// bounds.
void Loop::propose(bool damped, Proposal& proposal) {
  frozen_step_ = frozen_;
  do {
    if (damped) {
      while (!solver_.damped(model_, frozen_step_, damping_.lambda(), proposal.y)) {
        damping_.reject();
        if (damping_.lambda() < kHopeless) continue;
        proposal.y.setZero();
        break;
      }
    } else {
      solver_.undamped(model_, frozen_step_, null_threshold_, proposal.y);
    }
    proposal.d = model_.scale.array() * proposal.y.array();
  } while (bounds_.hold_leaving(theta_, proposal.d, frozen_step_));

  const double length = proposal.y.norm();
  const double of = (sizes_.array() / model_.scale.array()).matrix().norm() + std::sqrt(2 * point_.cost());
  proposal.norm = length > 0 ? length / of : 0;
  proposal.predicted = model_.predicted_decrease(proposal.d);
}

Status Loop::convergence_at_theta() const {
  if (gradient_norm_ <= options_.gradient_tolerance) return Status::converged_gradient;
  // Residuals at the rounding error of those at the start.
  if (point_.cost() <= 5e-32 * start_cost_) return Status::converged_cost;
  return Status::running;
}

Status Loop::convergence_of_step(const Proposal& proposal) const {
  if (proposal.norm <= std::max(options_.step_tolerance, kRounding)) return Status::converged_step;
  const double tolerance = std::max(options_.cost_tolerance, kRounding);
  const double negligible = tolerance * point_.cost() + point_.data.noise;
  return proposal.predicted <= negligible ? Status::converged_cost : Status::running;
}

bool Loop::failed_before() const { return gauss_newton() ? full_step_failed_ : damping_.rejected_before(); }

// After a trial that failed, a promise within the noise of the cost was kept as well as it can be, and a step
// as small as the rounding of theta leads nowhere.
Status Loop::within_noise(const Proposal& undamped) const {
  if (!failed_before()) return Status::running;
  if (undamped.norm <= kRoundedStep * precision_) return Status::converged_step;
  const double noise = std::max(kNoise, precision_) * point_.cost() + point_.data.worst_noise;
  return undamped.predicted <= noise ? Status::converged_cost : Status::running;
}

bool Loop::step() {
  if (status_ != Status::running) return false;
  if (stagnation_.reached(damping_.lambda(), point_.cost())) return stop(Status::converged_cost);
  if (const Status reason = convergence_at_theta(); reason != Status::running) return stop(reason);

  propose(!gauss_newton(), step_);
  const Status small = convergence_of_step(step_), lost = within_noise(step_);
  if (small != Status::running || lost != Status::running) {
    if (gauss_newton()) return stop(small != Status::running ? small : lost);
    // A damped step is never longer, nor promises more, than the undamped one, which alone tells convergence.
    propose(false, full_step_);
    if (const Status reason = convergence_of_step(full_step_); reason != Status::running) return stop(reason);
    if (const Status reason = within_noise(full_step_); reason != Status::running) return stop(reason);
    if (failed_before() && small == Status::converged_step) return stop(Status::stalled);
  }
  if (steps_ == options_.max_steps) return stop(Status::max_steps);

  StepRecord trial;
  trial.step = ++steps_;
  trial.step_norm = step_.norm;
  trial.lambda = gauss_newton() ? 0 : damping_.lambda();
  bounds_.clip(theta_, step_.d);
  if (bounds_.any()) step_.predicted = model_.predicted_decrease(step_.d);
  if (gauss_newton()) {
    take_full(trial);
  } else {
    try_damped(trial);
  }
  const bool go_on = record(trial);
  if (status_ != Status::running) {
    return_to_best();
    return false;
  }
  return go_on || stop(Status::interrupted);
}

void Loop::move_to_trial(const Proposal& proposal) {
  delta_ = proposal.d;
  chart_.step_to_tangent(delta_);
  problem_->plus(view(theta_), view(delta_), view(trial_));
  bounds_.settle(theta_, proposal.d, trial_);
}

void Loop::try_damped(StepRecord& record) {
  move_to_trial(step_);
  trial_point_ = evaluate(trial_);
  record.cost = trial_point_.cost();
  record.count = trial_point_.data.count;
  const double saved = decrease(point_, trial_point_);
  record.gain_ratio = saved / step_.predicted;
  record.accepted = trial_point_.finite() && overlaps(point_, trial_point_, options_.min_kept) && saved > 0 &&
                    step_.predicted > 0 && cheapest_.allows(trial_point_);
  const bool few_changed = trial_point_.finite() && few_came_or_went(point_, trial_point_);
  if (record.accepted) {
    theta_.swap(trial_);
    if (build_model()) {
      cheapest_.add(trial_point_);
      // Costs of cost() are compared with each other only; how noisy they are, the derivatives can tell.
      trial_point_.data.noise = point_.data.noise, trial_point_.data.worst_noise = point_.data.worst_noise;
      point_ = trial_point_;
      damping_.accept(record.gain_ratio);
    } else {
      // The cost is fine there but not its derivatives: back, as if it had not been.
      record.accepted = false;
      theta_.swap(trial_);
      analysable_ = build_model();
      if (!analysable_) status_ = Status::not_finite;
    }
  }
  if (!record.accepted) damping_.reject();
  stagnation_.add(record.accepted, saved, few_changed);
  record.gradient_norm = gradient_norm_;
}

void Loop::take_full(StepRecord& record) {
  const Point before = point_;
  move_to_trial(step_);
  theta_.swap(trial_);
  const bool finite = build_model();
  record.cost = point_.cost();
  record.count = point_.data.count;
  const double saved = decrease(before, point_);
  full_step_failed_ = !(saved > 0);
  record.gain_ratio = saved / step_.predicted;
  record.accepted = finite && point_.data.count > 0;
  record.gradient_norm = gradient_norm_;
  if (point_.data.count == 0) {
    status_ = Status::no_residuals;
  } else if (!finite) {
    status_ = Status::not_finite;
  } else if (overlaps(best_, point_, options_.min_kept) && decrease(best_, point_) > 0) {
    best_ = point_;
    best_theta_ = theta_;
  }
}

bool Loop::record(StepRecord record) {
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - clock_).count();
  history_.push_back(record);
  return !options_.callback || options_.callback(history_.back(), theta());
}

bool Loop::stop(Status status) {
  status_ = status;
  return_to_best();
  return false;
}

// Gauss-Newton that did not converge ends at the best point it has seen, with the model there.
void Loop::return_to_best() {
  if (!gauss_newton() || converged(status_) || !analysable_) return;
  if (theta_ == best_theta_ && point_.finite() && model_.finite()) return;
  theta_ = best_theta_;
  analysable_ = build_model();
}

SolveResult Loop::result() {
  if (status_ != Status::running || !gauss_newton() || theta_ == best_theta_) return result_at_theta();
  const Vector current = theta_;  // Gauss-Newton left early may be elsewhere than at its best, and may go on
  return_to_best();
  SolveResult result = result_at_theta();
  theta_ = current;
  build_model();
  return result;
}

SolveResult Loop::result_at_theta() {
  SolveResult result;
  result.theta.assign(theta_.data(), theta_.data() + theta_.size());
  result.cost = point_.cost();
  result.data_cost = point_.data.cost;
  result.count = point_.data.count;
  result.status = status_;
  result.steps = steps_;
  result.history = history_;
  if (options_.uncertainty && analysable_) analyse(result);
  if (!model_.H) return result;
  const Sparse H = chart_.flat() ? *model_.H : chart_.to_tangent(*model_.H);
  Vector g = model_.g;
  if (!chart_.flat()) chart_.gradient_to_tangent(g);
  result.g.assign(g.data(), g.data() + g.size());
  result.H_sparse.row_starts.assign(H.outerIndexPtr(), H.outerIndexPtr() + H.cols() + 1);
  result.H_sparse.columns.assign(H.innerIndexPtr(), H.innerIndexPtr() + H.nonZeros());
  result.H_sparse.values.assign(H.valuePtr(), H.valuePtr() + H.nonZeros());
  if (size() <= options_.dense_limit) {
    const Matrix dense = H;
    result.H.assign(dense.data(), dense.data() + dense.size());
  }
  return result;
}

void Loop::analyse(SolveResult& result) {
  result.held = bounds_.sides(theta_, frozen_);
  const auto analysis =
      std::make_shared<Analysis>(*problem_, options_, null_threshold_, model_, frozen_, chart_, result);
  // Elsewhere the cost has a slope.
  if (converged(status_) || status_ == Status::stalled) analysis->test(*problem_, options_, point_, theta_);
  result.uncertainty = analysis;
  if (options_.deferred || size() > options_.dense_limit) return;
  result.analysed = true;
  result.rank = analysis->rank();
  const SparseMatrix& directions = analysis->null_directions();
  result.null_directions.assign(directions.rows() * size(), 0.0);
  for (std::size_t k = 0; k < directions.rows(); ++k) {
    for (auto e = directions.row_starts[k]; e < directions.row_starts[k + 1]; ++e) {
      const auto entry = static_cast<std::size_t>(e);
      result.null_directions[k * size() + static_cast<std::size_t>(directions.columns[entry])] =
          directions.values[entry];
    }
  }
  result.residual_variance = analysis->residual_variance();
  result.covariance = analysis->covariance();
  result.covariance_sandwich = analysis->covariance_sandwich();
}

}  // namespace diffrt::solver
