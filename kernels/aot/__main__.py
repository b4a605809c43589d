"""Compile all kernels: python -m kernels.aot --output DIRECTORY [--lanes 8]"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from kernels.aot import embed, manifest, ptx, stubs
from kernels.aot.lower import LEVELS, WIDE_LANES, WIDE_LEVEL, lower

DEVICES = ("cuda", "vulkan")


def main():
    """Traces and lowers for every target, side by side, and writes objects and manifest."""
    parser = argparse.ArgumentParser(prog="python -m kernels.aot", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for objects, header, table and manifest")
    parser.add_argument("--lanes", type=int, default=8, choices=(8, 16), help="pixels in a packet of the CPU")
    parser.add_argument("--cxx", default=os.environ.get("CXX", "c++"), help="C++ compiler, for the stubs of drivers")
    parser.add_argument("--kernels", nargs="*", default=[], metavar="PATTERN", help="only these, for tests")
    parser.add_argument("--keep-ir", action="store_true", help="also write each kernel's LLVM IR, PTX and SPIR-V")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "manifest.json").unlink(missing_ok=True)  # the last to be written: where it is, all is
    with tempfile.TemporaryDirectory() as folder:
        compile_all(options, Path(folder))


def compile_all(options, folder):
    """All targets at once: a thread waits for the process that traces, then hands its kernels to the pool."""
    stubs.build(folder, options.cxx)
    jobs = os.cpu_count() or 1
    # A spawned process has no Taichi, and so no second LLVM, in it.
    with (
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool,
        ThreadPoolExecutor() as threads,
    ):
        targets = [threads.submit(compile_x64, options, folder, pool)]
        targets += [threads.submit(compile_device, arch, options, folder, pool) for arch in DEVICES]
        x64, *devices = (target.result() for target in targets)
    data = manifest.manifest(x64, dict(zip(DEVICES, devices, strict=True)))
    (options.output / "diffrt_kernels.hpp").write_text(manifest.to_header(data))
    (options.output / "diffrt_kernels.cpp").write_text(manifest.to_source(data))
    part = options.output / "manifest.json.part"
    part.write_text(manifest.to_json(data))
    part.replace(options.output / "manifest.json")


def trace(arch, lanes, options, folder, which="all"):
    """What is known of the kernels of a target; their code is in the folder that comes with it."""
    begin = time.perf_counter()
    place = folder / f"{arch}_{which}"
    place.mkdir()
    command = [sys.executable, "-m", "kernels.aot.trace", arch, str(lanes), str(place), which, *options.kernels]
    if subprocess.run(command, env=stubs.environment(folder)).returncode:
        raise SystemExit(f"kernels.aot: tracing for {arch} failed")
    data = json.loads((place / "kernels.json").read_text())
    report(f"traced {len(data['kernels'])} kernels for {arch}, {lanes} lanes", begin)
    return data, place


def compile_x64(options, folder, pool):
    """One object per x86-64 level; some kernels of the highest have wider packets."""
    with ThreadPoolExecutor() as threads:
        wider = threads.submit(trace, "x64", WIDE_LANES, options, folder, "wide")
        data, place = trace("x64", options.lanes, options, folder)
        wide_data, wide_place = wider.result()
    begin = time.perf_counter()
    modules = {name: (place / f"{name}.ll").read_text() for name in data["kernels"]}
    wide = {name: (wide_place / f"{name}.ll").read_text() for name in wide_data["kernels"]}
    all_modules = [modules | wide if level == WIDE_LEVEL else modules for level in LEVELS]
    for level, code in zip(LEVELS, pool.map(lower, all_modules, LEVELS), strict=True):
        (options.output / f"kernels_{level}.o").write_bytes(code)
    if options.keep_ir:
        for name, ir in modules.items():
            (options.output / f"{name}.ll").write_text(ir)
        for name, ir in wide.items():
            (options.output / f"{name}_{WIDE_LANES}.ll").write_text(ir)
    report(f"lowered to {', '.join('x86-64-' + level for level in LEVELS)}", begin)
    return data


def compile_device(arch, options, folder, pool):
    """One object with the code of every kernel, which the device's own driver will compile."""
    data, place = trace(arch, 1, options, folder)
    begin = time.perf_counter()
    names = list(data["kernels"])
    if arch == "cuda":
        modules = [(place / f"{name}.ll").read_text() for name in names]
        sizes = [data["kernels"][name]["size"] for name in names]
        texts = pool.map(ptx.lower, names, modules, sizes, chunksize=4)
        codes, suffix = {name: text.encode() for name, text in zip(names, texts, strict=True)}, "ptx"
    else:
        codes, suffix = {name: (place / f"{name}.spv").read_bytes() for name in names}, "spv"
    stored = {name: embed.compress(code) for name, code in codes.items()}
    (options.output / f"kernels_{arch}.o").write_bytes(pool.submit(embed.embed, arch, stored).result())
    for name, code in codes.items():
        data["kernels"][name] |= {"code_bytes": len(code), "stored_bytes": len(stored[name])}
        if options.keep_ir:
            (options.output / f"{name}.{suffix}").write_bytes(code)
    whole, small = (sum(map(len, each.values())) / 1e6 for each in (codes, stored))
    report(f"embedded {whole:.1f} MB of {suffix} in {small:.1f} MB", begin)
    return data


def report(what, begin):
    """One line for whoever watches the build."""
    print(f"{what} in {time.perf_counter() - begin:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
