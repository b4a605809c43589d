"""Ahead of time: Taichi kernels -> LLVM IR -> one native object per x86-64 level, PTX for CUDA, SPIR-V for Vulkan, and
the manifest that C++ compiles against.

    python -m kernels.aot --output DIRECTORY

writes kernels_<level>.o, kernels_cuda.o and kernels_vulkan.o (the code for GPUs, as data), diffrt_kernels.hpp,
diffrt_kernels.cpp and manifest.json there. It runs inside the CMake build and needs taichi 1.7.4, llvmlite 0.44 and a
C++ compiler, nothing else: no network, no GPU, no driver, no toolkit or headers of one.

Where a register holds 16 numbers, the kernels of tiles have packets of 16 lanes, not 8 (WIDE in kernels/pipeline).

trace.py runs Taichi, once per target and size of packets; lower.py makes machine code, ptx.py and spirv.py what drivers
of GPUs compile.
"""
