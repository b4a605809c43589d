"""Slow, plain answers to compare the package with. Nothing here imports diffrt_aot or the kernels."""
