// Memory that grows with P x P, or P images: where there is not enough, how much was asked for and what for.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "diffrt/errors.hpp"

namespace diffrt {

inline std::string megabytes(std::size_t bytes) {
  return std::to_string((bytes + 999'999) / 1'000'000) + " MB";
}

template <class T>
void resize(std::vector<T>& vector, std::size_t size, const char* what) {
  try {
    vector.resize(size);
  } catch (const std::exception&) {  // bad_alloc, or length_error
    throw MemoryError(std::string(what) + " takes " + megabytes(size * sizeof(T)) +
                      ", and there is no memory for it");
  }
}

}  // namespace diffrt
