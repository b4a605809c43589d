// H of the normal equations, as Python holds it.
#pragma once

#include "memory_pool.hpp"

namespace diffrt::bindings {

// The matrix goes back to `pool` when Python has no more use for it.
py::object wrap_matrix(SparseMatrix matrix, std::size_t dense_limit,
                       const std::shared_ptr<MemoryPool<SparseMatrix>>& pool);

}  // namespace diffrt::bindings
