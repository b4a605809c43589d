"""LLVM IR to PTX, with neither a GPU nor its vendor's toolkit: a kernel for each function of each model.

Division and square root are rounded as on the CPU.
"""

from __future__ import annotations

import re

from .lowering import Machine
from .x64 import Image

MACHINE = Machine(lanes=1, gpu=True)
# Turing, the oldest that current toolkits know; a driver compiles it for whatever it has.
ARCHITECTURE = "sm_75"


def compile_text(text: str) -> Image:
    """Return the PTX of a module in LLVM's text, and where in it the name of each kernel stands."""
    import llvmlite.binding as llvm

    llvm.initialize()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple("nvptx64-nvidia-cuda").create_target_machine(cpu=ARCHITECTURE, opt=3)
    ptx = _strip(machine.emit_assembly(llvm.parse_assembly(text)))
    if ".func" in ptx or ".extern" in ptx:
        raise RuntimeError("compiling a model: its PTX calls what is not in it")
    return Image(ptx.encode(), {match[1]: match.start(1) for match in re.finditer(r"\.entry ([\w$]+)\(", ptx)})


def _strip(text: str) -> str:
    """Without comments and empty lines."""
    lines = (re.sub(r"\s*//.*$", "", line) for line in text.split("\n"))
    return "\n".join(line for line in lines if line.strip()) + "\n"
