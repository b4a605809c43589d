// The solver on the NIST Statistical Reference Datasets, nonlinear regression
// (https://www.itl.nist.gov/div898/strd/): seventeen problems of lower, average and higher difficulty, from
// both of NIST's starts, against the certified parameters, standard deviations and residual sums of squares.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "solver_problem.hpp"

namespace {

using diffrt::SolveOptions;
using diffrt::SolveResult;
using diffrt::test::make_problem;
using Numbers = std::vector<double>;

struct Certified {
  std::string name;
  Numbers starts[2];
  Numbers theta, deviation;  // deviation: empty where not checked
  double sum_of_squares;
};

// Relative, as the log relative error of NIST's own assessments: certified values have 11 digits.
void check_close(double value, double certified, double tolerance) {
  CHECK(std::abs(value - certified) <= tolerance * std::abs(certified));
}

template <class Model>
void check(const Certified& problem, const Numbers& x, const Numbers& y, Model model, double tolerance = 1e-7,
           double initial_damping = SolveOptions().initial_damping) {
  auto residuals = [&](const auto& b, auto& r) {
    for (std::size_t i = 0; i < x.size(); ++i) r[i] = model(b, x[i]) - y[i];
  };
  auto least_squares = make_problem(problem.theta.size(), x.size(), residuals);
  SolveOptions options = diffrt::test::tight(10000);
  options.initial_damping = initial_damping;
  for (int start = 0; start < 2; ++start) {
    CAPTURE(problem.name);
    CAPTURE(start);
    const SolveResult result = solve(least_squares, problem.starts[start], options);
    CAPTURE(std::string(diffrt::name(result.status)));
    CAPTURE(result.steps);
    CHECK(diffrt::converged(result.status));
    CHECK(result.rank == problem.theta.size());
    CHECK(result.null_directions.empty());
    for (std::size_t i = 0; i < result.theta.size(); ++i)
      check_close(result.theta[i], problem.theta[i], tolerance);
    if (problem.sum_of_squares > 1e-20) check_close(2 * result.cost, problem.sum_of_squares, tolerance);
    for (std::size_t i = 0; i < problem.deviation.size(); ++i) {
      const double variance = result.covariance[i * result.theta.size() + i];
      check_close(std::sqrt(variance), problem.deviation[i], 10 * tolerance);
    }
  }
}

const Numbers kMisraX = {77.6,  114.9, 141.1, 190.8, 239.9, 289.0, 332.8,
                         378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0};
const Numbers kMisraY = {10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02,
                         44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78};

Numbers lanczos_x() {
  Numbers x;
  for (int i = 0; i < 24; ++i) x.push_back(i * 5 / 100.0);
  return x;
}

auto three_exponentials = [](const auto& b, double x) {
  return b[0] * exp(-b[1] * x) + b[2] * exp(-b[3] * x) + b[4] * exp(-b[5] * x);
};

}  // namespace

TEST_CASE("NIST, lower difficulty: Misra1a") {
  check({"Misra1a",
         {{500, 0.0001}, {250, 0.0005}},
         {2.3894212918E+02, 5.5015643181E-04},
         {2.7070075241E+00, 7.2668688436E-06},
         1.2455138894E-01},
        kMisraX, kMisraY, [](const auto& b, double x) { return b[0] * (1.0 - exp(-b[1] * x)); });
}

TEST_CASE("NIST, lower difficulty: Misra1b") {
  check({"Misra1b",
         {{500, 0.0001}, {300, 0.0002}},
         {3.3799746163E+02, 3.9039091287E-04},
         {3.1643950207E+00, 4.2547321834E-06},
         7.5464681533E-02},
        kMisraX, kMisraY,
        [](const auto& b, double x) { return b[0] * (1.0 - 1.0 / pow(1.0 + b[1] * x / 2.0, 2.0)); });
}

TEST_CASE("NIST, lower difficulty: DanWood") {
  check({"DanWood",
         {{1, 5}, {0.7, 4}},
         {7.6886226176E-01, 3.8604055871E+00},
         {1.8281973860E-02, 5.1726610913E-02},
         4.3173084083E-03},
        {1.309, 1.471, 1.490, 1.565, 1.611, 1.680}, {2.138, 3.421, 3.597, 4.340, 4.882, 5.660},
        [](const auto& b, double x) { return b[0] * pow(x, b[1]); });
}

TEST_CASE("NIST, lower difficulty: Lanczos3") {
  check({"Lanczos3",
         {{1.2, 0.3, 5.6, 5.5, 6.5, 7.6}, {0.5, 0.7, 3.6, 4.2, 4, 6.3}},
         {8.6816414977E-02, 9.5498101505E-01, 8.4400777463E-01, 2.9515951832E+00, 1.5825685901E+00,
          4.9863565084E+00},
         {},
         1.6117193594E-08},
        lanczos_x(),
        {2.5134, 2.0443, 1.6684, 1.3664, 1.1232, 0.9269, 0.7679, 0.6389, 0.5338, 0.4479, 0.3776, 0.3197,
         0.2720, 0.2325, 0.1997, 0.1723, 0.1493, 0.1301, 0.1138, 0.1000, 0.0883, 0.0783, 0.0698, 0.0624},
        three_exponentials, 1e-6);
}

TEST_CASE("NIST, average difficulty: Misra1c") {
  check({"Misra1c",
         {{500, 0.0001}, {600, 0.0002}},
         {6.3642725809E+02, 2.0813627256E-04},
         {4.6638326572E+00, 1.7728423155E-06},
         4.0966836971E-02},
        kMisraX, kMisraY,
        [](const auto& b, double x) { return b[0] * (1.0 - 1.0 / sqrt(1.0 + 2.0 * b[1] * x)); });
}

TEST_CASE("NIST, average difficulty: Misra1d") {
  check(
      {"Misra1d", {{500, 0.0001}, {450, 0.0003}}, {4.3736970754E+02, 3.0227324449E-04}, {}, 5.6419295283E-02},
      kMisraX, kMisraY, [](const auto& b, double x) { return b[0] * b[1] * x / (1.0 + b[1] * x); });
}

TEST_CASE("NIST, average difficulty: Lanczos1, generated to 14 digits") {
  check({"Lanczos1",
         {{1.2, 0.3, 5.6, 5.5, 6.5, 7.6}, {0.5, 0.7, 3.6, 4.2, 4, 6.3}},
         {9.5100000027E-02, 1.0000000001E+00, 8.6070000013E-01, 3.0000000002E+00, 1.5575999998E+00,
          5.0000000001E+00},
         {},
         1.4307867721E-25},
        lanczos_x(),
        {2.513400000000E+00, 2.044333373291E+00, 1.668404436564E+00, 1.366418021208E+00, 1.123232487372E+00,
         9.268897180037E-01, 7.679338563728E-01, 6.388775523106E-01, 5.337835317402E-01, 4.479363617347E-01,
         3.775847884350E-01, 3.197393199326E-01, 2.720130773746E-01, 2.324965529032E-01, 1.996589546065E-01,
         1.722704126914E-01, 1.493405660168E-01, 1.300700206922E-01, 1.138119324644E-01, 1.000415587559E-01,
         8.833209084540E-02, 7.833544019350E-02, 6.976693743449E-02, 6.239312536719E-02},
        three_exponentials, 1e-6);
}

TEST_CASE("NIST, average difficulty: Lanczos2, generated to 6 digits") {
  check({"Lanczos2",
         {{1.2, 0.3, 5.6, 5.5, 6.5, 7.6}, {0.5, 0.7, 3.6, 4.2, 4, 6.3}},
         {9.6251029939E-02, 1.0057332849E+00, 8.6424689056E-01, 3.0078283915E+00, 1.5529016879E+00,
          5.0028798100E+00},
         {6.6770575477E-04, 3.3989646176E-03, 1.7185846685E-03, 4.1707005856E-03, 2.3744381417E-03,
          1.3958787284E-03},
         2.2299428125E-11},
        lanczos_x(), {2.51340,  2.04433,  1.66840,  1.36642,  1.12323,   0.926890,  0.767934,  0.638878,
                      0.533784, 0.447936, 0.377585, 0.319739, 0.272013,  0.232497,  0.199659,  0.172270,
                      0.149341, 0.130070, 0.113812, 0.100042, 0.0883321, 0.0783354, 0.0697669, 0.0623931},
        three_exponentials, 1e-6);
}

TEST_CASE("NIST, average difficulty: MGH17") {
  Numbers x;
  for (int i = 0; i < 33; ++i) x.push_back(10.0 * i);
  check({"MGH17",
         {{50, 150, -100, 1, 2}, {0.5, 1.5, -1, 0.01, 0.02}},
         {3.7541005211E-01, 1.9358469127E+00, -1.4646871366E+00, 1.2867534640E-02, 2.2122699662E-02},
         {2.0723153551E-03, 2.2031669222E-01, 2.2175707739E-01, 4.4861358114E-04, 8.9471996575E-04},
         5.4648946975E-05},
        x, {0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751,
            0.718, 0.685, 0.658, 0.628, 0.603, 0.580, 0.558, 0.538, 0.522, 0.506, 0.490,
            0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411, 0.406},
        [](const auto& b, double t) { return b[0] + b[1] * exp(-t * b[3]) + b[2] * exp(-t * b[4]); });
}

TEST_CASE("NIST, average difficulty: Roszman1") {
  check({"Roszman1",
         {{0.1, -0.00001, 1000, -100}, {0.2, -0.000005, 1200, -150}},
         {2.0196866396E-01, -6.1953516256E-06, 1.2044556708E+03, -1.8134269537E+02},
         {1.9172666023E-02, 3.2058931691E-06, 7.4050983057E+01, 4.9573513849E+01},
         4.9484847331E-04},
        {-4868.68, -4868.09, -4867.41, -3375.19, -3373.14, -3372.03, -2473.74, -2472.35, -2469.45,
         -1894.65, -1893.40, -1497.24, -1495.85, -1493.41, -1208.68, -1206.18, -1206.04, -997.92,
         -996.61,  -996.31,  -834.94,  -834.66,  -710.03,  -530.16,  -464.17},
        {0.252429, 0.252141, 0.251809, 0.297989, 0.296257, 0.295319, 0.339603, 0.337731, 0.333820,
         0.389510, 0.386998, 0.438864, 0.434887, 0.427893, 0.471568, 0.461699, 0.461144, 0.513532,
         0.506641, 0.505062, 0.535648, 0.533726, 0.568064, 0.612886, 0.624169},
        [](const auto& b, double x) {
          return b[0] - b[1] * x - atan(b[2] / (x - b[3])) / 3.14159265358979323846;
        });
}

TEST_CASE("NIST, higher difficulty: MGH09") {
  check({"MGH09",
         {{25, 39, 41.5, 39}, {0.25, 0.39, 0.415, 0.39}},
         {1.9280693458E-01, 1.9128232873E-01, 1.2305650693E-01, 1.3606233068E-01},
         {1.1435312227E-02, 1.9633220911E-01, 8.0842031232E-02, 9.0025542308E-02},
         3.0750560385E-04},
        {4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625},
        {0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246},
        [](const auto& b, double x) { return b[0] * (x * x + x * b[1]) / (x * x + x * b[2] + b[3]); });
}

TEST_CASE("NIST, higher difficulty: MGH10") {
  Numbers x;
  for (int i = 0; i < 16; ++i) x.push_back(50 + 5.0 * i);
  check(
      {"MGH10",
       {{2, 400000, 25000}, {0.02, 4000, 250}},
       {5.6096364710E-03, 6.1813463463E+03, 3.4522363462E+02},
       {1.5687892471E-04, 2.3309021107E+01, 7.8486103508E-01},
       8.7945855171E+01},
      x,
      {34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872},
      [](const auto& b, double t) { return b[0] * exp(b[1] / (t + b[2])); });
}

TEST_CASE("NIST, higher difficulty: Thurber") {
  check(
      {"Thurber",
       {{1000, 1000, 400, 40, 0.7, 0.3, 0.03}, {1300, 1500, 500, 75, 1, 0.4, 0.05}},
       {1.2881396800E+03, 1.4910792535E+03, 5.8323836877E+02, 7.5416644291E+01, 9.6629502864E-01,
        3.9797285797E-01, 4.9727297349E-02},
       {4.6647963344E+00, 3.9571156086E+01, 2.8698696102E+01, 5.5675370270E+00, 3.1333340687E-02,
        1.4984928198E-02, 6.5842344623E-03},
       5.6427082397E+03},
      {-3.067, -2.981, -2.921, -2.912, -2.840, -2.797, -2.702, -2.699, -2.633, -2.481, -2.363, -2.322, -1.501,
       -1.460, -1.274, -1.212, -1.100, -1.046, -0.915, -0.714, -0.566, -0.545, -0.400, -0.309, -0.109, -0.103,
       0.010,  0.119,  0.377,  0.790,  0.963,  1.006,  1.115,  1.572,  1.841,  2.047,  2.200},
      {80.574,   84.248,   87.264,   87.195,   89.076,   89.608,   89.868,   90.101,   92.405,   95.854,
       100.696,  101.060,  401.672,  390.724,  567.534,  635.316,  733.054,  759.087,  894.206,  990.785,
       1090.109, 1080.914, 1122.643, 1178.351, 1260.531, 1273.514, 1288.339, 1327.543, 1353.863, 1414.509,
       1425.208, 1421.384, 1442.962, 1464.350, 1468.705, 1447.894, 1457.628},
      [](const auto& b, double x) {
        return (b[0] + x * (b[1] + x * (b[2] + x * b[3]))) / (1.0 + x * (b[4] + x * (b[5] + x * b[6])));
      });
}

TEST_CASE("NIST, higher difficulty: BoxBOD") {
  const Numbers x = {1, 2, 3, 5, 7, 10}, y = {109, 149, 149, 191, 213, 224};
  const auto model = [](const auto& b, double t) { return b[0] * (1.0 - exp(-b[1] * t)); };
  // Start 1 is poor enough to need more damping: the first step would overshoot.
  check({"BoxBOD", {{1, 1}, {100, 0.75}}, {2.1380940889E+02, 5.4723748542E-01}, {}, 1.1680088766E+03}, x, y,
        model, 1e-7, 100);

  // Without, it ends on the plateau where exp(-b2 t) has died out, and says that nothing determines b2 there.
  auto problem = make_problem(2, 6, [&](const auto& b, auto& r) {
    for (std::size_t i = 0; i < 6; ++i) r[i] = model(b, x[i]) - y[i];
  });
  const SolveResult plateau = solve(problem, Numbers{1, 1});
  CHECK(plateau.theta[0] == doctest::Approx(172.5));  // the mean
  CHECK(plateau.rank == 1);
  REQUIRE(plateau.null_directions.size() == 2);
  CHECK(plateau.null_directions[1] == doctest::Approx(1));
}

TEST_CASE("NIST, higher difficulty: Rat42") {
  check({"Rat42",
         {{100, 1, 0.1}, {75, 2.5, 0.07}},
         {7.2462237576E+01, 2.6180768402E+00, 6.7359200066E-02},
         {1.7340283401E+00, 8.8295217536E-02, 3.4465663377E-03},
         8.0565229338E+00},
        {9, 14, 21, 28, 42, 57, 63, 70, 79}, {8.93, 10.80, 18.59, 22.33, 39.35, 56.11, 61.73, 64.62, 67.08},
        [](const auto& b, double x) { return b[0] / (1.0 + exp(b[1] - b[2] * x)); });
}

TEST_CASE("NIST, higher difficulty: Rat43") {
  Numbers x;
  for (int i = 1; i <= 15; ++i) x.push_back(i);
  check({"Rat43",
         {{100, 10, 1, 1}, {700, 5, 0.75, 1.3}},
         {6.9964151270E+02, 5.2771253025E+00, 7.5962938329E-01, 1.2792483859E+00},
         {},
         8.7864049080E+03},
        x,
        {16.08, 33.83, 65.80, 97.20, 191.55, 326.20, 386.87, 520.53, 590.03, 651.92, 724.93, 699.56, 689.96,
         637.56, 717.41},
        [](const auto& b, double t) { return b[0] / pow(1.0 + exp(b[1] - b[2] * t), 1.0 / b[3]); });
}

TEST_CASE("NIST, higher difficulty: Eckerle4") {
  check({"Eckerle4",
         {{1, 10, 500}, {1.5, 5, 450}},
         {1.5543827178E+00, 4.0888321754E+00, 4.5154121844E+02},
         {1.5408051163E-02, 4.6803020753E-02, 4.6800518816E-02},
         1.4635887487E-03},
        {400.0, 405.0, 410.0, 415.0, 420.0, 425.0, 430.0, 435.0, 436.5, 438.0, 439.5, 441.0,
         442.5, 444.0, 445.5, 447.0, 448.5, 450.0, 451.5, 453.0, 454.5, 456.0, 457.5, 459.0,
         460.5, 462.0, 463.5, 465.0, 470.0, 475.0, 480.0, 485.0, 490.0, 495.0, 500.0},
        {0.0001575, 0.0001699, 0.0002350, 0.0003102, 0.0004917, 0.0008710, 0.0017418, 0.0046400, 0.0065895,
         0.0097302, 0.0149002, 0.0237310, 0.0401683, 0.0712559, 0.1264458, 0.2073413, 0.2902366, 0.3445623,
         0.3698049, 0.3668534, 0.3106727, 0.2078154, 0.1164354, 0.0616764, 0.0337200, 0.0194023, 0.0117831,
         0.0074357, 0.0022732, 0.0008800, 0.0004579, 0.0002345, 0.0001586, 0.0001143, 0.0000710},
        [](const auto& b, double x) {
          return b[0] / b[1] * exp(-0.5 * (x - b[2]) * (x - b[2]) / (b[1] * b[1]));
        });
}
