"""Lower Taichi's LLVM IR of a CUDA kernel to PTX, with llvmlite 0.44, and no CUDA toolkit.

Of a parallel loop with run-time bounds Taichi makes two tasks: the first writes the bounds to a buffer; the second
finds it through its runtime, and then calls the loop's body for every index. Only the body is kept, under an entry of
our own that has no runtime:

    entry(const void* arguments, const int32* bounds)    // both in device memory

Its threads share the indices from bounds[0] to bounds[1], however many threads there are. Bounds may thus be written
by an earlier kernel, and are never known to the host.

The text of the IR is amended as in lower.py, and for the same reasons; but
- there is no `reassoc`: here nothing is gained by other orders of sums, which elementary.py could not bear;
- nor `contract`: which multiplications and additions are fused would depend on what else a kernel does, and the image
  of jacobian() would not be that of render(). Nothing is lost: kernels wait for memory, not for arithmetic. So a GPU
  computes, but for the rounding of a driver's division, what Mesa's lavapipe does;
- array data is in global memory, and said to be: loads and stores need not find out where an address points;
- loads of arrays that the kernel only reads are marked `!invariant.load`. So such an array must not overlap one that
  the kernel writes.
"""

import re
from dataclasses import dataclass

import llvmlite.binding as llvm

from kernels.aot.lower import EXACT, check_version

# Turing, the oldest that current toolkits know; a driver compiles it for whatever it has.
ARCHITECTURE = "sm_75"
BLOCK = 128
BEGIN_OFFSET, END_OFFSET = 0, 4
EMPTY = "!9999"

ENTRY = """
define void @{entry}(
    i8 addrspace(1)* noalias readonly align 8 dereferenceable({size}) %arguments, i32 addrspace(1)* %bounds) {{
start:
  %context = alloca {context}
  %field = getelementptr {context}, {context}* %context, i32 0, i32 0
  %generic = addrspacecast i8 addrspace(1)* %arguments to i8*
  store i8* %generic, i8** %field
  %end_place = getelementptr i32, i32 addrspace(1)* %bounds, i32 1
  %begin = load i32, i32 addrspace(1)* %bounds, align 4, !invariant.load {empty}
  %end = load i32, i32 addrspace(1)* %end_place, align 4, !invariant.load {empty}
  %thread = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %block = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %threads = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
  %blocks = call i32 @llvm.nvvm.read.ptx.sreg.nctaid.x()
  %stride = mul nsw i32 %threads, %blocks
  %before = mul nsw i32 %threads, %block
  %place = add nsw i32 %before, %thread
  %first = add nsw i32 %place, %begin
  br label %check
check:
  %index = phi i32 [ %first, %start ], [ %next, %turn ]
  %inside = icmp slt i32 %index, %end
  br i1 %inside, label %turn, label %done
turn:
  call void @{body}({context}* %context, i8* null, i32 %index)
  %next = add nsw i32 %index, %stride
  br label %check
done:
  ret void
}}

declare i32 @llvm.nvvm.read.ptx.sreg.tid.x() readnone
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x() readnone
declare i32 @llvm.nvvm.read.ptx.sreg.ntid.x() readnone
declare i32 @llvm.nvvm.read.ptx.sreg.nctaid.x() readnone

attributes #9999 = {{ alwaysinline nounwind }}

!nvvm.annotations = !{{!9996, !9997}}
!9996 = !{{void (i8 addrspace(1)*, i32 addrspace(1)*)* @{entry}, !"kernel", i32 1}}
!9997 = !{{void (i8 addrspace(1)*, i32 addrspace(1)*)* @{entry}, !"maxntidx", i32 {threads}}}
{empty} = !{{}}
"""


def entry(name):
    """The name of a kernel's entry point."""
    return f"diffrt_{name}"


def interface():
    """How all kernels are launched; what there is of spirv.Interface on cuda."""
    return {
        "block": BLOCK,
        "argument_binding": -1,
        "argument_is_uniform": False,
        "bounds_binding": -1,
        "begin_offset": BEGIN_OFFSET,
        "end_offset": END_OFFSET,
        "arrays": {},
    }


@dataclass(frozen=True)
class Parts:
    """A module taken apart: its types, its functions {name: text}, what it declares {name: line}, attributes."""

    types: list
    functions: dict
    declarations: dict
    attributes: list


def _take_apart(name, ir):
    if re.search(r"^@", ir, flags=re.M):
        raise RuntimeError(f"kernel {name}: its IR has globals, expected none")
    functions = {m[1]: m[0] for m in re.finditer(r"^define [^@]*@([\w.]+)\(.*?^}$", ir, flags=re.M | re.S)}
    declarations = {m[1]: m[0] for m in re.finditer(r"^declare [^@\n]*@([\w.]+)\(.*$", ir, flags=re.M)}
    types = re.findall(r"^%\S+ = type .*$", ir, flags=re.M)
    return Parts(types, functions, declarations, re.findall(r"^attributes #\d+ = .*$", ir, flags=re.M))


def _body(name, parts):
    """The name of the loop's body, after a look at both tasks."""
    serial = [f for f in parts.functions if re.search(r"_kernel_\d+_serial$", f)]
    loops = [f for f in parts.functions if re.search(r"_kernel_\d+_range_for$", f)]
    if (len(serial), len(loops)) != (1, 1):
        raise RuntimeError(f"kernel {name}: {len(serial)} serial tasks and {len(loops)} loops, expected one of each")
    _check_bounds_task(name, parts.functions[serial[0]])
    places = r"i8\* @get_temporary_pointer\(\S+ %\d+, i64 (\d+)\)"
    found = [int(k) for k in re.findall(places, parts.functions[loops[0]])]
    call = re.search(r"@gpu_parallel_range_for\((.*)\)$", parts.functions[loops[0]], flags=re.M)
    loads = re.findall(r"(%\d+) = load i32, i32\*", parts.functions[loops[0]])
    body = call and re.search(rf"i32 {loads[0]}, i32 {loads[-1]}, .* null, .* @(\w+), .* null, i64 1$", call[1])
    if found != [BEGIN_OFFSET, END_OFFSET] or len(loads) != 2 or not body:
        raise RuntimeError(f"kernel {name}: its loop does not run from bounds[0] to bounds[1]")
    return body[1]


def _check_bounds_task(name, text):
    """The task that we drop must do no more than hand over the first two arguments."""
    pattern = (
        r"i32 0, i32 (\d+)\n  %\d+ = load i32, i32\* %\d+, align 4\n"
        r"  %\d+ = call \S+ @RuntimeContext_get_runtime\(.*\)\n"
        r"  %\d+ = call i8\* @get_temporary_pointer\(\S+ %\d+, i64 (\d+)\)\n  %\d+ = bitcast .*\n  store i32 "
    )
    moved = [(int(a), int(b)) for a, b in re.findall(pattern, text)]
    if moved != [(0, BEGIN_OFFSET), (1, END_OFFSET)] or text.count("store") != 2:
        raise RuntimeError(
            f"kernel {name}: its bounds are not its first two arguments, or it does more before its loop"
        )


def _reached(name, parts, first):
    """Functions that are called from the first one, itself included."""
    found, todo = {}, [first]
    while todo:
        function = todo.pop()
        if function in found or function in parts.declarations:
            continue
        if function not in parts.functions:
            raise RuntimeError(f"kernel {name}: calls {function}, which its IR does not have")
        found[function] = parts.functions[function]
        todo += re.findall(r"@([\w.]+)\(", found[function])
    for function, text in found.items():
        if "LLVMRuntime" in text:
            raise RuntimeError(f"kernel {name}: {function} needs Taichi's runtime")
    return found


def amend(name, ir, size):
    """The IR of one kernel with our entry, ready for the optimiser. Its argument block has `size` bytes."""
    parts = _take_apart(name, ir)
    body = _body(name, parts)
    functions = _reached(name, parts, body)
    context = re.search(r"\((%struct\.RuntimeContext\S*)\* %0", functions[body])[1]
    called = {f for text in functions.values() for f in re.findall(r"@([\w.]+)\(", text)}
    functions[body] = _amend_body(functions[body].replace(") {", ") #9999 {", 1))
    flags = "" if name in EXACT else "nsz "
    text = "\n".join(functions.values()).replace("reassoc ninf nsz ", flags)
    # Attributes of Taichi's own build, for another machine, are of no use here.
    attributes = [re.sub(r'"[\w-]+"="[^"]*" ?', "", line) for line in parts.attributes]
    declared = [line for f, line in parts.declarations.items() if f in called and "sreg" not in f]
    frame = ENTRY.format(entry=entry(name), body=body, size=size, context=context, empty=EMPTY, threads=BLOCK)
    return "\n".join(['target triple = "nvptx64-nvidia-cuda"', *parts.types, text, *declared, *attributes, frame])


def _amend_body(text):
    """Marks loads of arguments and of arrays that are only read, and tells where array data lies."""
    lines = text.split("\n")
    ways = {"%0": ()}  # how each value that leads to an argument is found from the context
    written = set()
    for line in lines:
        if match := re.match(r"  (%\d+) = bitcast .* (%\d+) to ", line):
            step = ""
        elif match := re.match(r"  (%\d+) = load .*\* (%\d+), align", line):
            step = "load"
        elif match := re.match(r"  (%\d+) = getelementptr .*\* (%\d+)(, .*)$", line):
            step = match[3]
        elif match := re.match(r"  (?:store .*|%\d+ = atomicrmw \w+ \S+)\* (%\d+), ", line):
            if match[1] in ways:
                written.add(_array(ways[match[1]]))
            continue
        if match and match[2] in ways:
            ways[match[1]] = (*ways[match[2]], step)
    result = []
    for line in lines:
        match = re.match(r"  (%[\w.]+) = load (\S+), (\S+) (%[\w.]+)(, align \d+)$", line)
        if not match or match[4] not in ways:
            result.append(line)
            continue
        value, kind, _, place, align = match.groups()
        if kind in ("float*", "i32*"):
            space = kind[:-1] + " addrspace(1)*"
            result += [
                f"  %place{value[1:]} = bitcast {kind}* {place} to {space}*",
                f"  %global{value[1:]} = load {space}, {space}* %place{value[1:]}{align}, !invariant.load {EMPTY}",
                f"  {value} = addrspacecast {space} %global{value[1:]} to {kind}",
            ]
        elif ways[place].count("load") < 2 or _array(ways[place]) not in written:
            result.append(f"{line}, !invariant.load {EMPTY}")
        else:
            result.append(line)
    return "\n".join(result)


def _array(way):
    """Which array a place lies in: the way up to the load of its address."""
    return way[: len(way) - 1 - way[::-1].index("load")]


def lower(name, ir, size):
    """The PTX of one kernel, as text."""
    check_version()
    llvm.initialize()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = llvm.parse_assembly(amend(name, ir, size))
    module.verify()
    machine = llvm.Target.from_triple("nvptx64-nvidia-cuda").create_target_machine(cpu=ARCHITECTURE, opt=3)
    builder = llvm.create_pass_manager_builder()
    builder.opt_level, builder.inlining_threshold = 3, 1000
    passes = llvm.create_module_pass_manager()
    machine.add_analysis_passes(passes)
    builder.populate(passes)
    passes.run(module)
    return _check(name, _strip(machine.emit_assembly(module)))


def _strip(text):
    """Without comments and empty lines."""
    lines = (re.sub(r"\s*//.*$", "", line) for line in text.split("\n"))
    return "\n".join(line for line in lines if line.strip()) + "\n"


def _check(name, text):
    if text.count(".entry") != 1 or f".entry {entry(name)}(" not in text or ".func" in text:
        raise RuntimeError(f"kernel {name}: its PTX is not one entry and nothing else")
    return text
