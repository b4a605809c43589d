// Priors: their cost and their rows.
#include "solver/priors.hpp"

namespace diffrt::solver {

double prior_cost(const std::vector<Prior>& priors, const Vector& theta) {
  double sum = 0;
  for (const Prior& prior : priors) {
    const double r = (theta[index(prior.index)] - prior.mean) / prior.sigma;
    sum += r * r;
  }
  return 0.5 * sum;
}

void add_priors(const std::vector<Prior>& priors, const LeastSquaresProblem& problem, const Vector& theta,
                Matrix& H, Vector& g, Vector& row) {
  for (const Prior& prior : priors) {
    problem.tangent_row(view(theta), prior.index, view(row));
    row /= prior.sigma;
    const double r = (theta[index(prior.index)] - prior.mean) / prior.sigma;
    // A row has few entries that are not zero: one, or six where the parameter belongs to a pose.
    for (Index j = 0; j < row.size(); ++j) {
      if (row[j] == 0) continue;
      g[j] += row[j] * r;
      for (Index i = 0; i < row.size(); ++i) H(i, j) += row[i] * row[j];
    }
  }
}

}  // namespace diffrt::solver
