// A small scene with every kind of slots, and its linearization at a theta with moved poses: for tests that
// make up rows and compare with products in theta.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "renderer/linearization.hpp"

struct LinearizedScene {
  diffrt::Scene scene;
  diffrt::scene::Parameters parameters;
  diffrt::renderer::Linearization linearization;

  // Ids: balls 0 and 1, floor 2, the rigid mesh "block" 3 to 6, the mesh "sheet" with free vertices 7 to 10.
  static constexpr int ids = 11, groups = 4;

  explicit LinearizedScene(bool free_intrinsics, int width = 1, int height = 1)
      : scene(make(width, height)), parameters(scene, free_names(free_intrinsics)) {
    std::vector<double> theta = parameters.theta0();
    for (std::size_t i = 0; i < theta.size(); ++i) theta[i] += 0.1 * std::sin(1.0 + static_cast<double>(i));
    diffrt::scene::State state;
    parameters.apply(theta, state);
    const std::vector<Eigen::Vector3d> pivots(scene.shapes.size(), Eigen::Vector3d(0.1, -0.2, 4));
    linearization.update(scene, parameters, state, theta, diffrt::PoseDerivative::theta, pivots);
  }

  int camera_slots() const { return linearization.camera_slots() ? 4 : 0; }
  int group_of(int id) const {
    int g = 0;
    while (id >= linearization.groups()[g].first_id + linearization.groups()[g].count) ++g;
    return g;
  }
  int own_slots(int id) const {
    return diffrt::renderer::slots_of(linearization.groups()[group_of(id)].kind);
  }

  // Rows of S as they stand in the scene's theta: slots x P.
  Eigen::MatrixXd slots_by_theta(int id) const {
    const auto& group = linearization.groups()[group_of(id)];
    diffrt::renderer::Block scratch;
    const auto& block = linearization.block(group, id - group.first_id, scratch);
    Eigen::MatrixXd S = Eigen::MatrixXd::Zero(own_slots(id) + camera_slots(), parameters.size());
    for (int s = 0; s < S.rows(); ++s) {
      for (int k = 0; k < block.width(); ++k) S(s, block.columns[k]) = block.at(s, k);
    }
    return S;
  }

 private:
  static diffrt::Scene make(int width, int height) {
    using namespace diffrt;
    Matrix4 T = identity4;
    T[3] = 0.3, T[11] = 5;
    const auto mesh = [&](std::vector<double> vertices, std::vector<std::int32_t> faces) {
      return Mesh{std::make_shared<const std::vector<double>>(std::move(vertices)),
                  std::make_shared<const std::vector<std::int32_t>>(std::move(faces)), T};
    };
    return {{width, height, 20, 21, 10, 9},
            {{"ball", Sphere{{-1, 0.2, 4}, 0.7}},
             {"block", mesh({0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}, {0, 1, 2, 0, 1, 3, 0, 2, 3, 1, 2, 3})},
             {"sheet", mesh({0, 0, 0, 1, 0, 0, 1, 1, 0.2, 0, 1, 0, 2, 1, 0.1, 2, 0, 0.3},
                            {0, 1, 2, 0, 2, 3, 1, 5, 4, 1, 4, 2})},
             {"other", Sphere{{1, 0.1, 5}, 0.5}},
             {"floor", Plane{{0, 1, 0}, {0.1, 2, 0.3}}}}};
  }
  static std::vector<std::string> free_names(bool free_intrinsics) {
    std::vector<std::string> names = {"ball.center", "ball.radius", "other.center",   "floor.normal",
                                      "block.pose",  "sheet.pose",  "sheet.vertices", "camera.pose"};
    if (free_intrinsics) names.insert(names.begin() + 2, {"camera.focal", "camera.principal"});
    return names;
  }
};
