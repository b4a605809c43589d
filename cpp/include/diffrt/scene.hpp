// A scene: a camera and named shapes.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "diffrt/camera.hpp"
#include "diffrt/export.hpp"
#include "diffrt/shapes.hpp"

namespace diffrt {

struct DIFFRT_API Scene {
  PinholeCamera camera;
  std::vector<std::pair<std::string, Shape>>
      shapes;  // names are unique, not empty, without '.', and not "camera"

  // The shape of that name. Throws ArgumentError that lists the names there are.
  const Shape& shape(const std::string& name) const;
};

// All names that may be free: "ball.center", "bottle.pose", "camera.focal", ...
DIFFRT_API std::vector<std::string> valid_free_names(const Scene& scene);

}  // namespace diffrt
