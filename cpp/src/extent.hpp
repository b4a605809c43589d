// How far from the camera the shapes of a scene are, and how much of the image they may take up: roughly,
// from their bounds, for what is asked once in a fit.
#pragma once

#include <utility>

#include "diffrt/scene.hpp"

namespace diffrt {

// From the camera to the middle of a sphere or mesh, or to the point of a plane [scene units]; at least the
// size of the shape.
double distance_of(const Shape& shape, const PinholeCamera& camera);

// The area of the part of the image that the shape's bounds take up [px]: 0 if it is outside or behind the
// camera, all of the image if it reaches behind the camera or is a plane.
double area_of(const Shape& shape, const PinholeCamera& camera);

// From how near to how far from the camera a shape may be seen [scene units]; a plane's end is a guess.
std::pair<double, double> reach_of(const Shape& shape, const PinholeCamera& camera);

// Whether the camera's centre lies in a sphere or a closed mesh.
bool contains_camera(const Shape& shape, const PinholeCamera& camera);

}  // namespace diffrt
