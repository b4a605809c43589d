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
                std::vector<Triplet>& products, Vector& g,
                std::vector<LeastSquaresProblem::TangentEntry>& row) {
  products.clear();
  for (const Prior& prior : priors) {
    // A row has few entries: one, or six where the parameter belongs to a pose.
    problem.tangent_entries(view(theta), prior.index, row);
    const double r = (theta[index(prior.index)] - prior.mean) / prior.sigma;
    for (const auto& [j, b] : row) {
      g[index(j)] += b / prior.sigma * r;
      for (const auto& [i, a] : row) {
        products.emplace_back(static_cast<int>(i), static_cast<int>(j),
                              (a / prior.sigma) * (b / prior.sigma));
      }
    }
  }
}

}  // namespace diffrt::solver
