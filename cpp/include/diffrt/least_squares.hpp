// Nonlinear least squares: find the theta that minimises
//
//   cost(theta) = 1/2 sum_i w_i rho(r_i(theta)^2)            the data: a LeastSquaresProblem
//               + 1/2 sum_k ((theta_k - mean_k) / sigma_k)^2   the priors
//   subject to lower <= theta <= upper                         the bounds
//
// from its normal equations alone: no residual vector and no Jacobian is ever stored here.
//
//   struct Line : diffrt::LeastSquaresProblem { ... };          // size(), cost(), normal_equations()
//   Line line;
//   diffrt::SolveResult result = diffrt::solve(line, theta0);   // theta0: P numbers
//   std::puts(diffrt::summary(result).c_str());
//   if (!diffrt::converged(result.status)) ...                  // result.theta is the best point seen
//
// Method. Levenberg-Marquardt with Nielsen's damping: Madsen, Nielsen, Tingleff, "Methods for non-linear
// least squares problems", 2nd ed. 2004, algorithm 3.16. One step solves
//
//   (H + lambda D) delta = -g,  H = J'WJ,  g = J'Wr,  D = max(diag H, diagonal_floor, 1/3 of the last D),
//
// tries theta [+] delta (only the cost is evaluated there), and compares what it gained with what the
// quadratic model promised: gain ratio = decrease / (-g'delta - delta'H delta / 2). The step is accepted if
// both are positive; then lambda is multiplied by max(1/3, 1 - (2 gain - 1)^3), else by 2, 4, 8, ...
// Gauss-Newton takes every full step instead; where H is singular, the shortest one (in the norm of diag H).
//
// H falls into parts that have nothing to do with each other, such as spheres that do not overlap. Each is
// solved by Cholesky: a dense factor where it is small (32 parameters) or full and at most `dense_limit`
// large; a sparse one otherwise, in an order that keeps it so (approximate minimum degree), which is
// found when the first step is computed, and again when entries appear that were not there before. Where that
// would take more than 1e11 operations, or where a part is full and larger than `dense_limit`: conjugate
// gradients, preconditioned with diagonal blocks of 12 (a multiple of 3, 4 and 6: vertices, spheres, poses),
// to a relative residual of 1e-8.
//
// Everything is serial, in double precision, and the same from run to run. With dense factors no step after
// the first allocates memory (save the eigenvectors of a singular H in Gauss-Newton, room for history beyond
// 1,000 steps, and bounds on parameters that are not added up).
#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "diffrt/export.hpp"
#include "diffrt/span.hpp"
#include "diffrt/sparse.hpp"
#include "diffrt/uncertainty.hpp"

namespace diffrt {

// ---- What is solved ---------------------------------------------------------------------------------

// What the residuals that exist at two thetas cost at each of them: where normal_equations was called last,
// and now.
struct SharedResiduals {
  bool known = false;
  std::size_t count = 0;
  double before = 0, now = 0;
};

// The cost at one theta.
struct Evaluation {
  double cost = 0;              // 1/2 sum_i w_i rho(r_i^2), over the residuals that exist at this theta
  std::size_t count = 0;        // how many those are. It may change with theta: pixels enter and leave
  SharedResiduals shared = {};  // from cost(), where the count may change: see solve()
  double noise =
      0;  // rounding error of the cost, beyond double precision's: differences below it mean nothing
  double worst_noise = 0;  // what rounding may make of it at worst: see converged_cost
};

// A problem with P parameters. `delta` below is a small change in the tangent space at theta, also P numbers;
// the two differ only where parameters are not added up (a pose block: T <- T exp(delta)). No call may keep a
// span.
class DIFFRT_API LeastSquaresProblem {
 public:
  virtual ~LeastSquaresProblem() = default;

  // P, the number of parameters. Constant during a solve.
  virtual std::size_t size() const = 0;

  // The cost alone. Not finite (NaN, infinity) where the model cannot be evaluated: the solver then takes a
  // shorter step.
  virtual Evaluation cost(Span<const double> theta) = 0;

  // As cost(); also H = J'WJ (P x P, row-major, both triangles written) and g = J'Wr (P). J = d r / d delta
  // at delta = 0, and W = w_i rho'(r_i^2) in both, so that g is the exact gradient of the cost. Overwrites H
  // and g.
  virtual Evaluation normal_equations(Span<const double> theta, Span<double> H, Span<double> g) = 0;

  // out = theta [+] delta. By default theta + delta. `out` does not overlap the others.
  virtual void plus(Span<const double> theta, Span<const double> delta, Span<double> out) const;

  // Row i of the P x P matrix d (theta [+] delta) / d delta at delta = 0, which is invertible. By default row
  // i of the identity. Needed where priors or bounds, which speak of theta, meet parameters that are not
  // added up.
  virtual void tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const;

  // For problems with many parameters. What follows is what the solver calls; by default it asks the dense
  // calls, and H is a matrix without zeros. Override them where H is sparse, and each step costs what its
  // entries cost.

  // As normal_equations(), with H sparse and symmetric, both triangles. `H` is what an earlier call left
  // there, or empty: the same entries may be used again.
  virtual Evaluation sparse_normal_equations(Span<const double> theta, SparseMatrix& H, Span<double> g);

  // As gradient_scatter(), with M sparse.
  virtual bool sparse_gradient_scatter(Span<const double> theta, SparseMatrix& M);

  // As tangent_row(): replaces `entries` by those of the row that are not zero.
  struct TangentEntry {
    std::size_t index;
    double value;
  };
  virtual void tangent_entries(Span<const double> theta, std::size_t i,
                               std::vector<TangentEntry>& entries) const;

  // How large the parameters are, in the tangent space: a change of parameter i by sizes[i] changes
  // everything (a radian; for a position, its distance from the eye). Steps are measured by it, and how far a
  // covariance can be trusted. By default |theta|, and returns false: no covariance is put to the test.
  virtual bool magnitudes(Span<const double> theta, Span<double> sizes) const;

  // M = sum_i (w_i rho'(r_i^2) r_i)^2 j_i j_i', j_i the i-th row of J: the scatter of the gradient, for the
  // sandwich form of the covariance. P x P, row-major. By default returns false: not offered.
  virtual bool gradient_scatter(Span<const double> theta, Span<double> M);

  // Relative accuracy of the entries of H: 2e-16 for double arithmetic, about 1e-7 if J is computed in float.
  // Eigenvalues of H below it, relatively, are noise; it sets the automatic `null_threshold`.
  virtual double precision() const { return std::numeric_limits<double>::epsilon(); }

 private:
  mutable std::vector<double> row_;  // scratch of tangent_entries()
};

// ---- How --------------------------------------------------------------------------------------------

enum class Method { levenberg_marquardt, gauss_newton };

// One more residual, (theta[index] - mean) / sigma. It has unit variance by definition, so it is weighed
// correctly against the data where the data's weights are 1 / (variance of the residual).
struct Prior {
  std::size_t index = 0;
  double mean = 0;
  double sigma = 1;  // > 0, units of theta[index]
};

// One trial, or (step 0) the start. The two norms have no units: they are what the tolerances are compared
// with.
struct StepRecord {
  std::size_t step = 0;      // 0: the start, then 1, 2, ... in the order of the trials, accepted or not
  double cost = 0;           // at the trial point, priors included; not finite where there is no model
  std::size_t count = 0;     // residuals of the data at the trial point
  double gradient_norm = 0;  // after this step: max_i |g_i| / sqrt(S_i) / sqrt(2 c), see SolveOptions
  double step_norm = 0;      // of this step: |d|_S / (|m|_S + sqrt(2 c)), see SolveOptions
  double lambda = 0;         // the damping this step was computed with; 0 in Gauss-Newton
  double gain_ratio = 0;     // decrease / predicted decrease
  bool accepted = false;
  double seconds = 0;     // since the solve started
  std::size_t level = 0;  // in a coarse-to-fine fit (fit.hpp): the image was 1 / 2^level of its size
};

// Called with every record, and the best theta so far (P). Returning false ends the solve:
// Status::interrupted.
using StepCallback = std::function<bool(const StepRecord& record, Span<const double> theta)>;

// With d the *undamped* step from theta (Gauss-Newton's: damping never feigns convergence), parameters held
// at a bound left out, c the cost, S = max(diag H, diagonal_floor), |x|_S = sqrt(sum_i S_i x_i^2), and m the
// problem's magnitudes() at theta, the solver stops at the first of:
//
//   converged_gradient   max_i |g_i| / sqrt(S_i) <= gradient_tolerance * sqrt(2 c): the residual is
//                        orthogonal, within a cosine of gradient_tolerance, to every column of J
//   converged_step       |d|_S <= step_tolerance * (|m|_S + sqrt(2 c)); or the trial before did not lower the
//                        cost and |d|_S <= 4 precision() * (|m|_S + sqrt(2 c)): the step is rounding
//   converged_cost       -g'd - d'Hd/2 <= cost_tolerance * c + noise; or c <= 5e-32 * the cost at the start;
//   or
//                        the trial before was rejected and -g'd - d'Hd/2 <= max(1e-12, precision()) * c +
//                        worst_noise: what the step promises is within the noise of the cost; or residuals
//                        come and go, and little else happens any more: the last 5 trials lowered the cost by
//                        at most 1e-3 c together, one met a few residuals more or less (1 %), and either all
//                        were accepted or lambda >= 1
//   stalled              the damped step is as small as in converged_step, d is not, and the trial before
//                        was rejected
//   max_steps            that many trials were made
//
// A step_tolerance or cost_tolerance below 4.4e-16 is taken as 4.4e-16.
struct SolveOptions {
  Method method = Method::levenberg_marquardt;
  std::size_t max_steps = 50;
  double gradient_tolerance = 1e-10;
  double step_tolerance = 1e-8;
  double cost_tolerance = 1e-10;

  double initial_damping = 1e-4;  // lambda of the first step, > 0
  double diagonal_floor = 1e-12;  // of S and D [residual^2 / theta_i^2], > 0
  double min_kept = 0.5;  // a trial that keeps a smaller fraction of the residuals is rejected: see solve()

  // Eigenvalues of S^-1/2 H S^-1/2 below this times the largest (of the same part, see above) count as zero;
  // 0: 16 * precision() * sqrt(n), n entries in the fullest row of H, P where it is dense.
  double null_threshold = 0;
  // The largest P for matrices of P x P numbers (H, covariances), and the largest full part for a dense
  // factor.
  std::size_t dense_limit = 1000;
  bool uncertainty = true;  // whether the result tells rank, null directions and covariances
  bool deferred = false;    // if so, whether only SolveResult::uncertainty does, when it is asked

  std::vector<Prior> priors;
  // P numbers each, or empty for none; -infinity or infinity for a free side; equal to hold a parameter.
  std::vector<double> lower, upper;
  StepCallback callback;
};

// ---- What comes out ---------------------------------------------------------------------------------

enum class Status {
  running,             // only seen from a LeastSquaresSolver that has not finished
  converged_gradient,  // these three: a minimum, as the comment over SolveOptions defines them
  converged_step,
  converged_cost,
  stalled,       // no shorter step lowers the cost though the gradient says it should: the two disagree
  max_steps,     // the budget is spent
  interrupted,   // the callback said so
  no_residuals,  // count is 0 at the start, or Gauss-Newton stepped to where it is 0
  not_finite,    // the cost or its derivatives are not finite at the start, or where Gauss-Newton stepped
  not_seen,      // fit() only: wherever it ended, no free parameter moves a pixel there
};

// All of them, in the order above.
inline constexpr int status_count = static_cast<int>(Status::not_seen) + 1;

// converged_gradient, converged_step or converged_cost.
DIFFRT_API bool converged(Status status);

// The enumerator's own name ("converged_step").
DIFFRT_API const char* name(Status status);

// What happened, and what to do about it, in a sentence or two.
DIFFRT_API const char* message(Status status);

struct SolveResult {
  std::vector<double> theta;  // the best point seen, whatever the status (Gauss-Newton, converged: the last)
  double cost = 0;            // there, priors included
  double data_cost = 0;       // without the priors
  std::size_t count = 0;      // residuals of the data
  Status status = Status::running;
  std::size_t steps = 0;            // trials made, rejected ones included
  std::vector<StepRecord> history;  // steps + 1 records
  // P x P row-major, empty where P > dense_limit; the same sparse; and P numbers: at theta, in the tangent
  // space, priors included.
  std::vector<double> H;
  SparseMatrix H_sparse;
  std::vector<double> g;

  // What the data say and what they do not, of any P, computed when it is asked for. Null where
  // options.uncertainty is false, or the start has no residuals or is not finite.
  std::shared_ptr<const Uncertainty> uncertainty;
  std::vector<int>
      held;  // per parameter: -1 held at its lower bound, +1 at its upper, 0 free; empty as above

  // What follows is what `uncertainty` says, already computed: where there is one, P <= dense_limit, and not
  // options.deferred; else it is empty, and `analysed` false. It is about the parameters not held at a bound;
  // a held one counts as known.
  bool analysed = false;
  std::optional<std::size_t> rank;  // what is determined: rank + null directions = free parameters

  // Directions, one per row (k x P, row-major), about which the fit says nothing: theta has no reason to be
  // where it is along them. First those that change neither data nor priors to first order; several span the
  // null space of H, each chosen to involve as few parameters as possible. Then those that are determined to
  // first order only: a can that is a prism of 64 sides resists being turned by a degree, and looks the same
  // when it is turned by 5.6. Of the directions of largest deviation, in units of the problem's magnitudes(),
  // one is such if six deviations to either side raise the cost, in their mean, by less than half of the
  // 18 s^2 that H promises. (Looked for at a minimum, where the problem offers magnitudes(), with up to 300
  // parameters.) Each is of unit length, its largest component positive.
  std::vector<double> null_directions;

  // s^2 = 2 cost / (count + priors - rank), the variance of a residual of weight 1; NaN with nothing left
  // over.
  double residual_variance = std::numeric_limits<double>::quiet_NaN();

  // s^2 H^-1, P x P, row-major, in the tangent space. A parameter that takes part in a null direction has
  // variance infinity and covariances NaN; a held one has zeros. Empty where residual_variance is NaN.
  std::vector<double> covariance;

  // H^-1 M H^-1 n / (n - rank), n = count + priors, in the same shape: prefer it with a robust loss, or where
  // the weights are not 1 / variance. Empty where the problem does not offer gradient_scatter.
  std::vector<double> covariance_sandwich;

  // fit() only, and always there: a flag per parameter, 1 for those of a block ("ball.center") of which none
  // moves a pixel, or whose shape is no longer seen: see not_seen in fit.hpp.
  std::vector<int> unseen;
};

// How it ended in a few lines for a person: status and advice, steps, cost, what is held, and every null
// direction. `names`: one per parameter, or empty for theta[0], theta[1], ...
DIFFRT_API std::string summary(const SolveResult& result, Span<const std::string> names = {});

// An argument that cannot be used. what() names it, says what it was, and the likely fix.
class DIFFRT_API SolverArgumentError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// ---- The calls --------------------------------------------------------------------------------------

// Solves from theta0 (P numbers, finite, within the bounds). Throws SolverArgumentError for arguments it
// cannot use, before it evaluates anything; whatever the problem or the callback throws passes through.
//
// When the number of residuals changes. Costs over different sets of residuals do not compare: a model that
// slides off the image sheds residuals, and its cost falls to zero. The quadratic model, too, knows only the
// residuals it was built from. So a problem whose residuals come and go had better tell, in
// Evaluation::shared, what those that exist at both points cost there and here:
//
//   decrease = shared.before - shared.now,
//
// and since that says nothing about residuals that enter, a trial may cost at most 1.25 times as much per
// residual as the cheapest accepted point (of those with at least half as many residuals).
// One that does not is judged by its cost per residual: a residual that leaves is presumed to cost elsewhere
// what the average one costs here, and one that enters to have cost that before,
//
//   decrease = cost(theta) - [cost(trial) + (count(theta) - count(trial)) * data_cost(theta) / count(theta)].
//
// Either way a trial that keeps less than `min_kept` of the residuals is rejected whatever it costs (a model
// that truly recedes gets there in several steps), and where the count is constant both rules vanish.
// Gauss-Newton takes its steps without asking; if it does not converge it returns its best point, by the
// second rule.
DIFFRT_API SolveResult solve(LeastSquaresProblem& problem, Span<const double> theta0,
                             const SolveOptions& options = {});

// The same, a step at a time: for a frame loop with a budget, or a display. Memory is kept between solves of
// equal P.
//
//   LeastSquaresSolver solver(options);
//   solver.start(problem, theta0);
//   while (solver.step() && !out_of_time()) {}
//   use(solver.theta());                             // or solver.result(), with covariances
class DIFFRT_API LeastSquaresSolver {
 public:
  explicit LeastSquaresSolver(SolveOptions options = {});
  ~LeastSquaresSolver();
  LeastSquaresSolver(LeastSquaresSolver&&) noexcept;
  LeastSquaresSolver& operator=(LeastSquaresSolver&&) noexcept;

  // Evaluates `problem` at theta0; the solver refers to it until the next start. Throws as solve().
  void start(LeastSquaresProblem& problem, Span<const double> theta0);

  // One trial. Returns whether the solve goes on: false once status() is a stop reason, and always after.
  bool step();

  Status status() const;
  Span<const double> theta() const;  // the best point so far; valid until the next start
  Span<const StepRecord> history() const;

  // The result as it stands; Status::running if the solve was left early.
  SolveResult result();

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace diffrt
