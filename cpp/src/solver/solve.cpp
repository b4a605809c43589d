// The public calls.
#include <utility>

#include "diffrt/least_squares.hpp"
#include "solver/arguments.hpp"
#include "solver/loop.hpp"

namespace diffrt {

class LeastSquaresSolver::Implementation {
 public:
  explicit Implementation(SolveOptions given) : options(std::move(given)) { solver::check_options(options); }

  solver::Loop& started() {
    if (!loop)
      throw SolverArgumentError("the solver has not been started: call start(problem, theta0) first");
    return *loop;
  }

  const SolveOptions options;
  std::unique_ptr<solver::Loop> loop;
};

LeastSquaresSolver::LeastSquaresSolver(SolveOptions options)
    : implementation_(std::make_unique<Implementation>(std::move(options))) {}
LeastSquaresSolver::~LeastSquaresSolver() = default;
LeastSquaresSolver::LeastSquaresSolver(LeastSquaresSolver&&) noexcept = default;
LeastSquaresSolver& LeastSquaresSolver::operator=(LeastSquaresSolver&&) noexcept = default;

void LeastSquaresSolver::start(LeastSquaresProblem& problem, Span<const double> theta0) {
  solver::check_arguments(problem, theta0, implementation_->options);
  std::unique_ptr<solver::Loop>& loop = implementation_->loop;
  if (!loop || loop->size() != problem.size() || loop->precision() != problem.precision()) {
    loop = std::make_unique<solver::Loop>(problem.size(), problem.precision(), implementation_->options);
  }
  loop->start(problem, theta0);
}

bool LeastSquaresSolver::step() { return implementation_->started().step(); }
Status LeastSquaresSolver::status() const { return implementation_->started().status(); }
Span<const double> LeastSquaresSolver::theta() const { return implementation_->started().theta(); }
Span<const StepRecord> LeastSquaresSolver::history() const { return implementation_->started().history(); }
SolveResult LeastSquaresSolver::result() { return implementation_->started().result(); }

SolveResult solve(LeastSquaresProblem& problem, Span<const double> theta0, const SolveOptions& options) {
  LeastSquaresSolver solver(options);
  solver.start(problem, theta0);
  while (solver.step()) {
  }
  return solver.result();
}

}  // namespace diffrt
