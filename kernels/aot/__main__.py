"""Compile all kernels: python -m kernels.aot --output DIRECTORY [--lanes 8]"""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from kernels.aot import manifest
from kernels.aot.lower import LEVELS, lower


def main():
    """Traces, lowers for every level in parallel, and writes objects and manifest."""
    parser = argparse.ArgumentParser(prog="python -m kernels.aot", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for objects, header, table and manifest")
    parser.add_argument("--lanes", type=int, default=8, choices=(8, 16), help="pixels in a packet")
    parser.add_argument("--keep-ir", action="store_true", help="also write each kernel's LLVM IR")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    from kernels.aot.trace import start_x64, trace
    from kernels.pipeline import all_kernels, constants
    from kernels.pipeline.target import Target

    begin = time.perf_counter()
    start_x64()
    target = Target("x64", options.lanes)
    entries = all_kernels(target)

    def progress(name):
        if sys.stderr.isatty():
            print(f"\rtracing {name:40}", end="", file=sys.stderr, flush=True)

    traced = trace({name: entry.kernel for name, entry in entries.items()}, progress)
    print(f"\rtraced {len(traced)} kernels in {time.perf_counter() - begin:.1f} s", file=sys.stderr)
    modules = {name: kernel.ir for name, kernel in traced.items()}
    if options.keep_ir:
        for name, ir in modules.items():
            (options.output / f"{name}.ll").write_text(ir)

    begin = time.perf_counter()
    # A spawned process has no Taichi, and so no second LLVM, in it.
    with ProcessPoolExecutor(len(LEVELS), mp_context=get_context("spawn")) as pool:
        for level, code in zip(LEVELS, pool.map(lower, [modules] * len(LEVELS), LEVELS), strict=True):
            (options.output / f"kernels_{level}.o").write_bytes(code)
    print(
        f"lowered to {', '.join('x86-64-' + level for level in LEVELS)} in {time.perf_counter() - begin:.1f} s",
        file=sys.stderr,
    )

    data = manifest.manifest(entries, traced, constants(target))
    (options.output / "manifest.json").write_text(manifest.to_json(data))
    (options.output / "diffrt_kernels.hpp").write_text(manifest.to_header(data))
    (options.output / "diffrt_kernels.cpp").write_text(manifest.to_source(data))


if __name__ == "__main__":
    main()
