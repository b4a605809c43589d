"""Lower Taichi's LLVM IR to a native object for one x86-64 level, with llvmlite 0.44 (LLVM 15: typed pointers).

Before the optimiser runs, the text of the IR is amended in four ways, each for a measured reason:
- flags: Taichi's `reassoc ninf nsz` becomes `reassoc nsz contract`. `contract` allows fused multiply-adds; `ninf`
  would make infinity undefined. Kernels named in EXACT keep plain IEEE arithmetic.
- loads of arguments are marked `!invariant.load`: the argument buffer does not change during a launch. Without it each
  data pointer is loaded again after every store, and loops do not become tight.
- sums and products of int32 are `nsw`: they are indices, and do not overflow. Without it the optimiser cannot tell that
  elements i, i + 1, ... of an array lie side by side, and computes each address anew.
- the kernel gets a stable symbol name, with the level as its suffix.
"""

import re

import llvmlite
import llvmlite.binding as llvm

LEVELS = ("v2", "v3", "v4")
# The level whose registers hold packets of so many lanes.
WIDE_LEVEL, WIDE_LANES = "v4", 16
# Kernels in which rounding must be the same however an expression is arranged (see pipeline/prepare.py), or what it
# takes is carried along (pipeline/primitive_sums.py).
EXACT = ("prepare_triangles", "primitive_sums", "part_sums")
# So must what a residual costs, whichever of these kernels finds it (pipeline/residuals.py).
EXACT_ON_CPU = re.compile(r"(background_)?residuals_")
# Where a packet takes more than one register.
SPLITS_PACKETS = ("v2",)


def symbol(name, level):
    """The linker symbol of a kernel."""
    return f"diffrt_kernel_{name}_{level}"


def amend(name, ir, level):
    """The IR of one kernel, ready for the optimiser."""
    ir, found = re.subn(
        r"^define (?:dso_local )?void @[\w.]+\(", f"define void @{symbol(name, level)}(", ir, flags=re.M
    )
    if found != 1:
        raise RuntimeError(f"kernel {name}: {found} functions in its IR, expected one serial function of the context")
    exact = name in EXACT or EXACT_ON_CPU.match(name)
    ir = ir.replace("reassoc ninf nsz ", "" if exact else "reassoc nsz contract ")
    ir = re.sub(r"= (add|sub|mul) i32 ", r"= \1 nsw i32 ", ir)
    return _mark_argument_loads(ir)


def settle_order(ir):
    """Optimised IR whose sums and products are computed in the order that they have there.

    The code generator arranges those of each register anew: where a packet is split, a pixel's value would depend on
    its lane, and where its lane depends on the number of threads, so would the image. Sums across lanes stay free.
    """
    return re.sub(r"= (f\w+) reassoc ", r"= \1 ", ir)


def _mark_argument_loads(ir):
    """Adds !invariant.load to loads of the context and of the argument struct."""
    lines, addresses, pointers = ir.split("\n"), {"%context"}, set()
    empty = "!9999"
    for i, line in enumerate(lines):
        match = re.match(r"  (%[\w.]+) = (bitcast|getelementptr|load) (.*)", line)
        if not match:
            continue
        result, operation, rest = match.groups()
        operands = set(re.findall(r"%[\w.]+", rest))
        if operation == "bitcast" and "%context" in operands:
            addresses.add(result)
        elif operation == "load" and operands & addresses:
            pointers.add(result)
            lines[i] = f"{line}, !invariant.load {empty}"
        elif operation == "getelementptr" and rest.startswith("{") and operands & pointers:
            addresses.add(result)
            pointers.discard(result)
    return "\n".join(lines) + f"\n{empty} = !{{}}\n"


def check_version():
    """Later versions hold an LLVM that no longer reads Taichi's IR."""
    if not llvmlite.__version__.startswith("0.44."):
        raise SystemExit(
            f"kernels.aot needs llvmlite 0.44, found {llvmlite.__version__}: pip install 'llvmlite==0.44.*'"
        )


def lower(modules, level):
    """The bytes of one object file from {name: IR}. Its only undefined symbols are libm's."""
    check_version()
    llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple("x86_64-unknown-linux-gnu")
    machine = target.create_target_machine(cpu=f"x86-64-{level}", opt=3, reloc="pic")
    linked = None
    for name, ir in modules.items():
        module = llvm.parse_assembly(amend(name, ir, level))
        _optimise(module, machine)
        if level in SPLITS_PACKETS:
            module = llvm.parse_assembly(settle_order(str(module)))
        if linked is None:
            linked = module
        else:
            linked.link_in(module)
    return machine.emit_object(linked or llvm.parse_assembly(""))


def _optimise(module, machine):
    builder = llvm.create_pass_manager_builder()
    builder.opt_level, builder.loop_vectorize, builder.slp_vectorize = 3, True, True
    passes = llvm.create_module_pass_manager()
    machine.add_analysis_passes(passes)
    builder.populate(passes)
    passes.run(module)
