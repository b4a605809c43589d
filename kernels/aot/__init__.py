"""Ahead of time: Taichi kernels -> LLVM IR -> one native object per x86-64 level, and the manifest that C++
compiles against.

    python -m kernels.aot --output DIRECTORY

writes kernels_<level>.o and diffrt_kernels.hpp, diffrt_kernels.cpp and manifest.json there. It runs inside the CMake
build and needs taichi 1.7.4 and llvmlite 0.44, nothing else: no compiler, no network, no GPU.
"""
