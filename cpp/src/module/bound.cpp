#include "diffrt/errors.hpp"
#include "memory.hpp"
#include "module/evaluator.hpp"
#include "sparse.hpp"

namespace diffrt {

ModelData& ModelData::set(std::string name, ModelArray array) {
  for (Entry& entry : entries_) {
    if (entry.name != name) continue;
    entry.array = std::move(array), entry.own.clear();
    return *this;
  }
  entries_.push_back({std::move(name), std::move(array), {}});
  return *this;
}

ModelData& ModelData::set(std::string name, std::initializer_list<double> numbers) {
  set(name, ModelArray{});
  for (Entry& entry : entries_) {
    if (entry.name == name) entry.own = numbers;
  }
  return *this;
}

ModelData& ModelData::set_rows(std::string name, std::size_t rows) {
  for (auto& [known, count] : rows_) {
    if (known == name) return count = rows, *this;
  }
  rows_.emplace_back(std::move(name), rows);
  return *this;
}

namespace {

ModelData with_constants_of(const Model& model, const ModelData& data) {
  ModelData all(data.shape());
  for (const auto& [name, numbers] : model.constants()) all.set(name, numbers);
  for (const ModelData::Entry& entry : data.entries()) all.set(entry.name, entry.numbers());
  for (const auto& [name, rows] : data.rows()) all.set_rows(name, rows);
  return all;
}

}  // namespace

BoundModel::BoundModel(const Model& model, const ModelData& data, const ModelOptions& options)
    : evaluator_(
          std::make_unique<module::Evaluator>(model.loaded(), with_constants_of(model, data), options)) {}
BoundModel::~BoundModel() = default;
BoundModel::BoundModel(BoundModel&&) noexcept = default;
BoundModel& BoundModel::operator=(BoundModel&&) noexcept = default;

const std::string& BoundModel::name() const { return evaluator_->description().name; }
const std::vector<ParameterBlock>& BoundModel::blocks() const { return evaluator_->layout().blocks(); }
std::size_t BoundModel::parameters() const { return evaluator_->layout().size(); }
bool BoundModel::is_image() const { return evaluator_->domain().image; }
int BoundModel::height() const { return evaluator_->domain().height; }
int BoundModel::width() const { return evaluator_->domain().width; }
int BoundModel::channels() const { return evaluator_->outputs(); }
std::size_t BoundModel::values() const {
  return static_cast<std::size_t>(evaluator_->domain().items() * evaluator_->outputs());
}
std::string BoundModel::device() const { return evaluator_->device(); }
int BoundModel::threads() const { return evaluator_->threads(); }
const ModelOptions& BoundModel::options() const { return evaluator_->options(); }

void BoundModel::value(Span<const double> theta, Span<float> out) { evaluator_->value(theta, out); }
Jacobian BoundModel::jacobian(Span<const double> theta, Span<float> out) {
  return evaluator_->jacobian(theta, out);
}
void BoundModel::multiply(Span<const double> theta, Span<const double> seeds, Span<float> out,
                          Span<double> products) {
  evaluator_->multiply(theta, seeds, out, products);
}
void BoundModel::multiply_transposed(Span<const double> theta, Span<const double> w, Span<float> out,
                                     Span<double> product) {
  evaluator_->multiply_transposed(theta, w, out, product);
}

void BoundModel::normal_equations(Span<const double> theta, const Observation& observation, const Loss& loss,
                                  NormalEquations& result, PoseDerivative pose, bool remember) {
  evaluator_->normal_equations(theta, observation, loss, result, pose, remember);
  const std::size_t P = parameters();
  if (P > options().dense_limit) return result.H.clear();
  resize(result.H, P * P, "a dense H");
  to_dense(result.H_sparse, result.H);
}

void BoundModel::cost(Span<const double> theta, const Observation& observation, const Loss& loss,
                      NormalEquations& result, SharedCost* shared) {
  evaluator_->cost(theta, observation, loss, result, shared);
}
std::uint64_t BoundModel::remembered() const { return evaluator_->remembered(); }
void BoundModel::gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                                  SparseMatrix& M) {
  evaluator_->gradient_scatter(theta, observation, loss, M);
}

void BoundModel::check(Span<const double> theta) const { evaluator_->layout().check(theta); }
void BoundModel::check(const Observation& observation) const { evaluator_->check(observation); }
void BoundModel::plus(Span<const double> theta, Span<const double> delta, Span<double> out) const {
  evaluator_->layout().plus(theta, delta, out);
}
void BoundModel::tangent_entries(Span<const double> theta, std::size_t i,
                                 std::vector<LeastSquaresProblem::TangentEntry>& entries) const {
  evaluator_->layout().tangent_entries(theta, i, entries);
}

}  // namespace diffrt
