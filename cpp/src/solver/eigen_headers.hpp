// Eigen's headers, as system headers: its templates convert freely between index types, and GCC's flow
// analysis sees uninitialised values in its buffers that are none.
#pragma once
#pragma GCC system_header

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <Eigen/LU>
#include <Eigen/SparseCholesky>
#include <Eigen/SparseCore>
