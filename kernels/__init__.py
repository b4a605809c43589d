"""What runs on the device, and how it is compiled. Imports run one way:

numbers <- geometry, cameras, outputs <- pipeline <- aot.

Only kernels.numbers.traced, kernels.pipeline and kernels.aot import taichi; only kernels.aot imports llvmlite.
The installed package never imports any of this.
"""
