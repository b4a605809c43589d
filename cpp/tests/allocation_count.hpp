// Allocations of this program so far (renderer_allocation.cpp counts them).
#pragma once

namespace diffrt::tests {

long allocation_count();

}  // namespace diffrt::tests
