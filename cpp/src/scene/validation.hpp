// Checks of user values, with errors that say what to do.
#pragma once

#include <string>
#include <vector>

#include "diffrt/scene.hpp"
#include "diffrt/span.hpp"

namespace diffrt::scene {

// Throws ArgumentError for whatever cannot be rendered.
void check(const Scene& scene);

// "ball.radius, ball.center": for error messages.
std::string joined(const std::vector<std::string>& names);

// " Perhaps you meant 'x'?" for the closest candidate, or nothing where none is close.
std::string suggestion(const std::string& name, const std::vector<std::string>& candidates);

// A number for messages: shortest that reads back nearly the same.
std::string text(double value);

}  // namespace diffrt::scene
