// diffrt: a renderer that returns Jacobians. This header has everything.
#pragma once

#include "diffrt/camera.hpp"
#include "diffrt/device_array.hpp"
#include "diffrt/errors.hpp"
#include "diffrt/export.hpp"
#include "diffrt/fit.hpp"
#include "diffrt/info.hpp"
#include "diffrt/jacobian.hpp"
#include "diffrt/least_squares.hpp"
#include "diffrt/loss.hpp"
#include "diffrt/module.hpp"
#include "diffrt/observation.hpp"
#include "diffrt/renderer.hpp"
#include "diffrt/scene.hpp"
#include "diffrt/shapes.hpp"
#include "diffrt/span.hpp"
#include "diffrt/types.hpp"
