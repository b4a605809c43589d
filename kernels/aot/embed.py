"""Code for GPUs as read-only data in an object file, for the linker to put into the library.

It is compressed, as text of one kind it is large: cpp/src/runtime/kernel_code.cpp expands a kernel when it is launched
first.
"""

import zlib

import llvmlite.binding as llvm

from kernels.aot.lower import check_version


def symbol(arch, name):
    """The linker symbol of a kernel's code."""
    return f"diffrt_{arch}_code_{name}"


def compress(code):
    """The bytes of a kernel's code as they are stored."""
    return zlib.compress(code, 9)


def embed(arch, codes):
    """The bytes of an object file with one constant for each of {name: bytes}, hidden from users of the library."""
    check_version()
    llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    lines = ['target triple = "x86_64-unknown-linux-gnu"']
    for name, code in codes.items():
        text = "".join(f"\\{byte:02x}" for byte in code)
        lines.append(f'@{symbol(arch, name)} = hidden constant [{len(code)} x i8] c"{text}", align 16')
    module = llvm.parse_assembly("\n".join(lines))
    target = llvm.Target.from_triple("x86_64-unknown-linux-gnu")
    return target.create_target_machine(cpu="x86-64", opt=0, reloc="pic").emit_object(module)
