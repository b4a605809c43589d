// Spans that callers give: as long as they should be, and not null.
#pragma once

#include <string>

#include "diffrt/errors.hpp"
#include "diffrt/span.hpp"

namespace diffrt {

// `meaning` says what the numbers are: "H x W x C".
template <class T>
void check_span(const char* name, Span<T> span, std::size_t expected, const char* meaning) {
  if (span.size() != expected) {
    throw ArgumentError(std::string(name) + ": has " + std::to_string(span.size()) + " numbers, expected " +
                        std::to_string(expected) + " (" + meaning + ")");
  }
  if (span.data() == nullptr && expected > 0)
    throw ArgumentError(std::string(name) + ": its pointer is null, though its size is " +
                        std::to_string(expected));
}

}  // namespace diffrt
