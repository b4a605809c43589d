#include "diffrt/fit.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "check_span.hpp"
#include "diffrt/errors.hpp"
#include "extent.hpp"
#include "pyramid.hpp"
#include "renderer/evaluator.hpp"
#include "runtime/thread_pool.hpp"
#include "solver/arguments.hpp"
#include "sparse.hpp"

namespace diffrt {
namespace {

// Where an edge is, in pixels from the principal point, is rounded some times on its way.
constexpr double kPlaceRoundings = 2;

// What takes up less than a pixel has vanished if its bounds take up less than this part of what they did.
constexpr double kVanished = 0.25;

double element(const ImageView& image, int row, int column, int channel) {
  const char* address = static_cast<const char*>(image.data) + row * image.row_stride +
                        column * image.column_stride + channel * image.channel_stride;
  if (image.is_double) {
    double value = 0;
    std::memcpy(&value, address, sizeof value);
    return value;
  }
  float value = 0;
  std::memcpy(&value, address, sizeof value);
  return static_cast<double>(value);
}

// Mean magnitude of a rendered image's numbers, from a sample of them, or the root of their mean square. The
// latter is what the rounding of pixels along silhouettes is like: they are few, and are rounded as the jump
// there is. The background is a constant, which is not rounded, however large.
double magnitude(const ImageView& image, const PinholeCamera& camera, int channels,
                 const std::vector<std::optional<double>>& backgrounds, bool silhouettes) {
  const auto is_background = [&](double value) {
    return std::any_of(backgrounds.begin(), backgrounds.end(),
                       [value](const std::optional<double>& background) {
                         return background && value == static_cast<double>(static_cast<float>(*background));
                       });
  };
  const int row_step = std::max(1, camera.height / 64), column_step = std::max(1, camera.width / 64);
  double sum = 0, count = 0;
  for (int row = 0; row < camera.height; row += row_step) {
    for (int column = 0; column < camera.width; column += column_step) {
      for (int c = 0; c < channels; ++c) {
        const double value = element(image, row, column, c);
        if (!std::isfinite(value)) continue;
        ++count;
        if (!is_background(value)) sum += silhouettes ? value * value : std::abs(value);
      }
    }
  }
  if (count == 0) return 0;
  return silhouettes ? std::sqrt(sum / count) : sum / count;
}

// Root of the mean square of what the numbers change by when all edges are a relative 1 farther from the
// principal point: from pixel to pixel they change by the steps between neighbours.
double change_by_place(const ImageView& image, const PinholeCamera& camera, int channels) {
  const int row_step = std::max(1, camera.height / 64), column_step = std::max(1, camera.width / 64);
  double sum = 0, count = 0;
  for (int row = 0; row < camera.height; row += row_step) {
    for (int column = 0; column < camera.width; column += column_step) {
      const double x = column - camera.cx, y = row - camera.cy, square = x * x + y * y;
      const int below = std::min(row + 1, camera.height - 1), right = std::min(column + 1, camera.width - 1);
      for (int c = 0; c < channels; ++c) {
        const double value = element(image, row, column, c);
        if (!std::isfinite(value)) continue;
        ++count;
        for (const double next : {element(image, below, column, c), element(image, row, right, c)}) {
          if (std::isfinite(next)) sum += square * (next - value) * (next - value);
        }
      }
    }
  }
  return count == 0 ? 0 : std::sqrt(sum / count);
}

// The place in the scene of the shape that a block of theta is of; of the camera's, how many shapes there
// are.
class Owners {
 public:
  explicit Owners(const Scene& scene) {
    for (const auto& [name, shape] : scene.shapes) places_.emplace(name, places_.size());
  }
  std::size_t operator()(const ParameterBlock& block) const {
    const auto found = places_.find(block.name.substr(0, block.name.find('.')));
    return found == places_.end() ? places_.size() : found->second;
  }

 private:
  std::unordered_map<std::string, std::size_t> places_;
};

// How large each parameter is: a radian; the distance from the camera; the image's width for focal lengths
// and principal points. Of normals nothing yet.
std::vector<double> sizes_in(const Renderer& renderer) {
  const Scene& scene = renderer.scene();
  const Owners owner_of(scene);
  std::vector<double> distances;
  for (const auto& [name, shape] : scene.shapes) distances.push_back(distance_of(shape, scene.camera));
  double nearest = std::numeric_limits<double>::infinity();
  for (const double distance : distances) nearest = std::min(nearest, distance);
  distances.push_back(nearest);  // which the camera's pose moves
  std::vector<double> sizes(renderer.parameters(), 1);
  for (const ParameterBlock& block : renderer.blocks()) {
    const std::size_t owner = owner_of(block);
    double size = distances[owner];
    if (owner == scene.shapes.size() && !block.is_pose) size = scene.camera.width;
    if (!(size > 0 && std::isfinite(size))) size = 1;
    // The last three numbers of a pose are a rotation.
    std::fill_n(sizes.begin() + static_cast<std::ptrdiff_t>(block.offset), block.is_pose ? 3 : block.size,
                size);
  }
  return sizes;
}

// What of it lies on a device, in the host's memory.
class OnHost {
 public:
  OnHost(Renderer& renderer, const Observation& observation) : observation_(observation) {
    bring(renderer, observation_.image, image_);
    bring(renderer, observation_.weights, weights_);
  }
  const Observation& observation() const { return observation_; }

 private:
  static void bring(Renderer& renderer, ImageView& view, std::vector<float>& numbers) {
    if (view.empty() || !view.on_device) return;
    numbers.resize(renderer.pixels() * static_cast<std::size_t>(renderer.channels()));
    renderer.fetch(view, numbers);
    view = ImageView::contiguous(numbers.data(), view.height, view.width, renderer.channels());
  }

  Observation observation_;
  std::vector<float> image_, weights_;
};

// The solver, from level to level: one budget, one history, one clock.
class CoarseToFine {
 public:
  explicit CoarseToFine(const SolveOptions& options) : options_(options) {}

  // Goes on from theta, and leaves it where this level ends.
  void coarse(CoarseProblem& problem, std::size_t level, std::vector<double>& theta) {
    SolveOptions options = at(level);
    options.uncertainty = false;
    options.cost_tolerance = std::max(options.cost_tolerance, kCoarseCostTolerance);
    LeastSquaresSolver solver(options);
    solver.start(problem, theta);
    while (solver.step() && failures(solver.history()) < kFailures) {
    }
    const SolveResult result = solver.result();
    theta = result.theta;
    add(result, level);
  }

  // Ends at level 0. If the fit was interrupted before, no step is taken.
  SolveResult finest(ImageProblem& problem, Span<const double> theta) {
    SolveOptions options = at(0);
    const bool stopped = interrupted_;
    if (stopped) options.max_steps = 0, options.callback = nullptr;
    SolveResult result = solve(problem, theta, options);
    add(result, 0);
    if (stopped) result.status = Status::interrupted;
    result.steps = steps_;
    result.history = std::move(history_);
    return result;
  }

  bool goes_on() const { return !interrupted_ && steps_ < options_.max_steps; }

 private:
  // A coarse level need not settle what a finer one sees better, nor look for steps so short that they help.
  static constexpr double kCoarseCostTolerance = 1e-4;
  static constexpr std::ptrdiff_t kFailures = 6;

  static std::ptrdiff_t failures(Span<const StepRecord> history) {
    return std::count_if(history.begin() + 1, history.end(),
                         [](const StepRecord& trial) { return !(trial.accepted && trial.gain_ratio > 0); });
  }

  SolveOptions at(std::size_t level) {
    SolveOptions options = options_;
    options.max_steps -= steps_;
    begin_ = seconds();
    if (options_.callback) {
      options.callback = [this, level](const StepRecord& record, Span<const double> theta) {
        return options_.callback(of_all(record, level), theta);
      };
    }
    return options;
  }

  StepRecord of_all(StepRecord record, std::size_t level) const {
    record.step += steps_;
    record.seconds += begin_;
    record.level = level;
    return record;
  }

  void add(const SolveResult& result, std::size_t level) {
    for (const StepRecord& record : result.history) history_.push_back(of_all(record, level));
    steps_ += result.steps;
    interrupted_ = interrupted_ || result.status == Status::interrupted;
  }

  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - clock_).count();
  }

  const SolveOptions& options_;
  std::size_t steps_ = 0;
  bool interrupted_ = false;
  std::vector<StepRecord> history_;
  double begin_ = 0;  // of this level, since the fit started [s]
  std::chrono::steady_clock::time_point clock_ = std::chrono::steady_clock::now();
};

}  // namespace

std::uint64_t new_revision() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

ImageProblem::ImageProblem(Renderer& renderer, Observation observation, Loss loss)
    : renderer_(renderer),
      observation_(observation),
      loss_(loss),
      sizes_(sizes_in(renderer)),
      diagonal_(size(), 0.0) {
  renderer.check(observation);
  // The arrays stay as they are while the problem is solved.
  if (observation_.revision == 0) observation_.revision = new_revision();
}

// How rendered values are rounded, as seen in the first image: those of the observed one tell nothing, as
// some may stand for "not measured" and be of any size.
void ImageProblem::measure_rounding(Span<const double> theta) {
  const double epsilon = static_cast<double>(std::numeric_limits<float>::epsilon());
  const PinholeCamera& camera = renderer_.scene().camera;
  const bool silhouettes = renderer_.options().boundary == Boundary::exact;
  std::vector<float> numbers(renderer_.pixels() * static_cast<std::size_t>(renderer_.channels()));
  renderer_.render(theta, numbers);
  const ImageView image =
      ImageView::contiguous(numbers.data(), camera.height, camera.width, renderer_.channels());
  resolution_ =
      epsilon * magnitude(image, camera, renderer_.channels(), renderer_.options().background, silhouettes);
  if (silhouettes) {
    at_edges_ = kPlaceRoundings * epsilon * change_by_place(image, camera, renderer_.channels());
  }
  measured_ = true;
}

std::size_t ImageProblem::size() const { return renderer_.parameters(); }

// Rendered values are float32: with errors e in the residuals the cost is off by about |r|.|e| + |e|^2 / 2.
// At edges they are larger, if they are as large as they can be.
Evaluation ImageProblem::evaluation() const {
  const double half_count = 0.5 * static_cast<double>(equations_.count);
  const double noise = resolution_ * std::sqrt(2 * equations_.cost) + half_count * resolution_ * resolution_;
  Evaluation result{equations_.cost, equations_.count};
  result.noise = noise;
  result.worst_noise = half_count * at_edges_ * at_edges_;
  return result;
}

// The solver may try a theta that cannot be rendered, such as a negative radius: it then takes a shorter
// step.
bool ImageProblem::can_be_rendered(Span<const double> theta) const {
  try {
    renderer_.check(theta);
  } catch (const ArgumentError&) {
    return false;
  }
  return true;
}

Evaluation ImageProblem::cost(Span<const double> theta) {
  if (!can_be_rendered(theta)) return {std::numeric_limits<double>::infinity(), 0};
  // A callback may have used the renderer for a fit of its own.
  if (remembered_ != 0 && renderer_.remembered() != remembered_) remember(remembered_theta_);
  SharedCost shared;
  renderer_.cost(theta, observation_, loss_, equations_, &shared);
  Evaluation result = evaluation();
  result.shared = {true, shared.count, shared.before, shared.now};
  return result;
}

void ImageProblem::remember(Span<const double> theta) {
  renderer_.evaluator_->normal_equations(theta, observation_, loss_, equations_, PoseDerivative::tangent,
                                         true);
  clear_rounding();
  remembered_ = renderer_.remembered();
}

Evaluation ImageProblem::sparse_normal_equations(Span<const double> theta, SparseMatrix& H, Span<double> g) {
  check_span("g", g, size(), "P");
  if (!can_be_rendered(theta)) {
    H.row_starts.assign(size() + 1, 0), H.columns.clear(), H.values.clear();
    std::fill(g.begin(), g.end(), 0.0);
    return {std::numeric_limits<double>::infinity(), 0};
  }
  if (!measured_) measure_rounding(theta);
  remembered_theta_.assign(theta.begin(), theta.end());
  std::swap(H, equations_.H_sparse);  // whose memory is used again
  remember(theta);
  std::swap(H, equations_.H_sparse);
  for (std::size_t i = 0; i < size(); ++i) diagonal_[i] = entry(H, i, i);
  std::copy(equations_.g.begin(), equations_.g.end(), g.begin());
  return evaluation();
}

Evaluation ImageProblem::normal_equations(Span<const double> theta, Span<double> H, Span<double> g) {
  check_span("H", H, size() * size(), "P x P");
  SparseMatrix sparse;
  const Evaluation result = sparse_normal_equations(theta, sparse, g);
  to_dense(sparse, H);
  return result;
}

// What turns with a frame (a position, a rotation) has rounding errors of its largest entries in all of them.
// An entry of the diagonal that is no larger stands for a parameter that moves nothing.
void ImageProblem::clear_rounding() {
  SparseMatrix& H = equations_.H_sparse;
  for (const ParameterBlock& block : renderer_.blocks()) {
    if (block.size % 3 != 0) continue;
    for (std::size_t i = block.offset; i < block.offset + block.size; i += 3) {
      const double diagonal[3] = {entry(H, i, i), entry(H, i + 1, i + 1), entry(H, i + 2, i + 2)};
      const double trace = diagonal[0] + diagonal[1] + diagonal[2];
      for (std::size_t k = 0; k < 3; ++k) {
        if (diagonal[k] > precision() * trace) continue;
        clear_row_and_column(H, i + k);
        equations_.g[i + k] = 0;
      }
    }
  }
}

bool ImageProblem::magnitudes(Span<const double> theta, Span<double> sizes) const {
  std::copy(sizes_.begin(), sizes_.end(), sizes.begin());
  for (const ParameterBlock& block : renderer_.blocks()) {  // normals are of any length
    const std::size_t end = block.name.size() < 7 ? 0 : block.name.size() - 7;
    if (block.name.compare(end, 7, ".normal") != 0) continue;
    const double* n = theta.data() + block.offset;
    std::fill_n(sizes.begin() + block.offset, 3, std::sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]));
  }
  return true;
}

std::vector<int> ImageProblem::unseen(Span<const double> theta) const {
  const Scene &start = renderer_.scene(), end = renderer_.scene_at(theta);
  const Owners owner_of(start);
  std::vector<char> shows;  // per shape, and then any
  for (std::size_t k = 0; k < start.shapes.size(); ++k) {
    const double before = area_of(start.shapes[k].second, start.camera);
    const double now = area_of(end.shapes[k].second, end.camera);
    shows.push_back(now >= 1 || (now > 0 && now >= kVanished * before));
  }
  shows.push_back(std::find(shows.begin(), shows.end(), 1) != shows.end());
  std::vector<int> flags(size(), 0);
  for (const ParameterBlock& block : renderer_.blocks()) {
    bool moves = false;
    for (std::size_t i = block.offset; i < block.offset + block.size; ++i) moves = moves || diagonal_[i] > 0;
    if (!moves || shows[owner_of(block)] == 0)
      std::fill_n(flags.begin() + static_cast<std::ptrdiff_t>(block.offset), block.size, 1);
  }
  return flags;
}

void ImageProblem::plus(Span<const double> theta, Span<const double> delta, Span<double> out) const {
  renderer_.plus(theta, delta, out);
}

void ImageProblem::tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const {
  renderer_.tangent_row(theta, i, row);
}

void ImageProblem::tangent_entries(Span<const double> theta, std::size_t i,
                                   std::vector<TangentEntry>& entries) const {
  entries.clear();
  const ParameterBlock* pose = renderer_.evaluator_->parameters().pose_with(i);
  if (pose == nullptr) return entries.push_back({i, 1.0});
  double row[6];
  renderer_.evaluator_->parameters().pose_row(theta, *pose, i, row);
  for (std::size_t k = 0; k < 6; ++k) {
    if (row[k] != 0) entries.push_back({pose->offset + k, row[k]});
  }
}

bool ImageProblem::gradient_scatter(Span<const double> theta, Span<double> M) {
  check_span("M", M, size() * size(), "P x P");
  SparseMatrix sparse;
  sparse_gradient_scatter(theta, sparse);
  to_dense(sparse, M);
  return true;
}

bool ImageProblem::sparse_gradient_scatter(Span<const double> theta, SparseMatrix& M) {
  renderer_.gradient_scatter(theta, observation_, loss_, M);
  return true;
}

namespace {

// However well it went, a fit of what is not seen has no answer.
SolveResult checked(const ImageProblem& problem, SolveResult result) {
  result.unseen.assign(result.theta.size(), 0);
  if (result.status == Status::no_residuals || result.status == Status::not_finite) return result;
  result.unseen = problem.unseen(result.theta);
  const bool nothing =
      std::all_of(result.unseen.begin(), result.unseen.end(), [](int flag) { return flag != 0; });
  if (nothing && !result.unseen.empty() && result.status != Status::interrupted)
    result.status = Status::not_seen;
  return result;
}

}  // namespace

SolveResult fit(Renderer& renderer, const Observation& observation, Span<const double> theta0,
                const Loss& loss, const SolveOptions& options, int levels) {
  renderer.check(theta0);
  check_levels(levels, renderer.scene().camera);
  const runtime::StayAwake during_solves(runtime::shared_pool(renderer.threads()));
  ImageProblem problem(renderer, observation, loss);
  if (levels == 1) return checked(problem, solve(problem, theta0, options));

  solver::check_options(options);
  solver::check_arguments(problem, theta0, options);
  CoarseToFine progress(options);
  std::vector<double> theta(theta0.begin(), theta0.end());
  const OnHost host(renderer, observation);  // a coarse level's means are made there
  for (int level = levels - 1; level > 0 && progress.goes_on(); --level) {
    CoarseProblem coarse(renderer, host.observation(), loss, 1 << level);
    progress.coarse(coarse, static_cast<std::size_t>(level), theta);
  }
  return checked(problem, progress.finest(problem, theta));
}

}  // namespace diffrt
