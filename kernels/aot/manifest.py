"""The manifest: what C++ must know of the kernels. JSON for people and tools, a header and a table for the compiler.

Each family of kernels becomes a struct of arguments whose offsets are asserted against those that Taichi laid out, so
that a change on either side fails the build.
"""

import json
from collections import defaultdict

from kernels.aot import embed, ptx
from kernels.aot.lower import LEVELS, symbol

# Where the address lies in an array argument; its size comes first.
ARRAY_DATA = 8
C_TYPES = {"int32": "std::int32_t", "float32": "float", "int32*": "Array<std::int32_t>", "float32*": "Array<float>"}

HEADER = """\
// Generated from kernels/ by `python -m kernels.aot`. Do not edit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/kernel_code.hpp"

namespace diffrt::kernels {{

// What Taichi's x64 kernels take. A serial kernel without fields reads only `arguments`.
struct RuntimeContext {{
  void* arguments;
  void* runtime;
  std::int32_t cpu_thread_id;
  std::uint64_t* result;
}};

// An ndarray of one dimension. Kernels never read the size: all indices are explicit.
template <class T>
struct Array {{
  std::int32_t size = 0;
  T* data = nullptr;
}};

template <class Arguments>
struct Kernel {{
  void (*function)(RuntimeContext*) = nullptr;
}};

// The same for a GPU: what its driver compiles.
template <class Arguments>
struct DeviceKernel {{
  const runtime::KernelCode* code = nullptr;
}};

struct KernelCodes {{
  const runtime::KernelCode* data;
  std::size_t count;
}};

{constants}

{structs}

// All kernels, compiled for one x86-64 level. A null pointer stands where a family has no such member.
struct Table {{
{fields}
}};

{tables}

// All kernels, compiled for one kind of GPU: the same families, and those that only GPUs have.
struct DeviceTable {{
{device_fields}
}};

{device_tables}

inline constexpr int kernel_count = {count};

}}  // namespace diffrt::kernels
"""

DEVICE_TYPES = {"int32": "int32", "float32": "float32", "int32*": "int32_array", "float32*": "float32_array"}


def manifest(x64, devices):
    """Everything as plain data, from what tracing told of each target.

    x64 and each of devices {arch: ...}: {"constants": {...}, "kernels": {name: {"family", "index", "arguments", ...}}}.
    """
    data = {"format": 2, "levels": list(LEVELS), "constants": x64["constants"], "kernels": x64["kernels"]}
    native = devices["cuda"]["kernels"]  # laid out as C++ does
    for name, kernel in native.items():
        known = x64["kernels"].get(name, kernel)
        if (known["arguments"], known["size"]) != (kernel["arguments"], kernel["size"]):
            raise RuntimeError(f"kernel {name}: its arguments on cuda are not those on x64")
    data["devices"] = {
        arch: {name: _device_kernel(arch, name, kernel, native[name]) for name, kernel in traced["kernels"].items()}
        for arch, traced in devices.items()
    }
    return data


def _device_kernel(arch, name, kernel, native):
    """One kernel of a GPU: `kernel` has the offsets that the device reads, `native` those that C++ fills in."""
    named = [[(a["name"], a["type"]) for a in k["arguments"]] for k in (kernel, native)]
    if named[0] != named[1]:
        raise RuntimeError(f"kernel {name}: its arguments on {arch} are not those on cuda")
    interface = kernel.get("interface") or ptx.interface()
    bindings = {int(k): binding for k, binding in interface["arrays"].items()}
    arguments = []
    for k, (argument, own) in enumerate(zip(kernel["arguments"], native["arguments"], strict=True)):
        address = ARRAY_DATA if arch == "cuda" and argument["type"].endswith("*") else 0
        arguments.append(own | {"device_offset": argument["offset"] + address, "binding": bindings.get(k, -1)})
    kept = {key: value for key, value in interface.items() if key != "arrays"}
    return {
        "family": kernel["family"],
        "index": kernel["index"],
        "size": native["size"],
        "entry": ptx.entry(name) if arch == "cuda" else "main",
        "code_bytes": kernel["code_bytes"],
        "stored_bytes": kernel["stored_bytes"],
        "argument_bytes": kernel["size"],
        **kept,
        "arguments": arguments,
    }


def to_json(data):
    """The manifest as text, the same bytes from the same kernels."""
    return json.dumps(data, indent=1) + "\n"


def _families(kernels):
    families = defaultdict(list)
    for name, kernel in kernels.items():
        families[kernel["family"]].append((name, kernel))
    for family, members in families.items():
        first_name, first = members[0]
        for name, kernel in members:
            if (_layout(kernel), kernel["size"]) != (_layout(first), first["size"]):
                raise RuntimeError(f"family {family}: {name} and {first_name} do not have the same arguments")
    return families


def _layout(kernel):
    return [(a["name"], a["type"], a["offset"]) for a in kernel["arguments"]]


def _everywhere(data):
    """Kernels by name: those of the CPU, then those that only GPUs have."""
    return data["kernels"] | {
        name: kernel
        for kernels in data["devices"].values()
        for name, kernel in kernels.items()
        if name not in data["kernels"]
    }


def _extents(members):
    indices = [kernel["index"] for _, kernel in members]
    return [max(column) + 1 for column in zip(*indices, strict=True)]


def _struct(family, kernel):
    lines = [f"struct {family}_arguments {{"]
    lines += [f"  {C_TYPES[a['type']]} {a['name']}{{}};" for a in kernel["arguments"]]
    lines += ["};"]
    for a in kernel["arguments"]:
        lines.append(f"static_assert(offsetof({family}_arguments, {a['name']}) == {a['offset']});")
    lines.append(f"static_assert(sizeof({family}_arguments) >= {kernel['size']});")
    return "\n".join(lines)


def _constant(name, value):
    if isinstance(value, float):
        return f"inline constexpr float {name} = {value!r}f;"
    return f"inline constexpr int {name} = {value};"


def to_header(data):
    """The C++ header."""
    families = _families(data["kernels"])
    everywhere = _families(_everywhere(data))
    devices = data["devices"]
    return HEADER.format(
        constants="\n".join(_constant(name, value) for name, value in data["constants"].items()),
        structs="\n\n".join(_struct(family, members[0][1]) for family, members in everywhere.items()),
        fields=_fields("Kernel", families),
        tables="\n".join(f"extern const Table table_{level};" for level in LEVELS),
        device_fields=_fields("DeviceKernel", everywhere),
        device_tables="\n".join(
            f"extern const DeviceTable table_{arch};\nextern const KernelCodes all_{arch}_kernels;" for arch in devices
        ),
        count=len(data["kernels"]),
    )


def _fields(template, families):
    fields = []
    for family, members in families.items():
        extents = "".join(f"[{n}]" for n in _extents(members))
        fields.append(f"  {template}<{family}_arguments> {family}{extents};")
    return "\n".join(fields)


def to_source(data):
    """The C++ tables: function pointers, one table per level; code, one table per kind of GPU."""
    lines = [
        "// Generated from kernels/ by `python -m kernels.aot`. Do not edit.",
        '#include "diffrt_kernels.hpp"',
        "",
        "namespace diffrt::kernels {",
        'extern "C" {',
    ]
    names = list(data["kernels"])
    lines += [f"void {symbol(name, level)}(RuntimeContext*);" for level in LEVELS for name in names]
    for arch, kernels in data["devices"].items():
        lines += [f"extern const unsigned char {embed.symbol(arch, name)}[];" for name in kernels]
    lines.append("}")
    families = _families(data["kernels"])
    for level in LEVELS:
        rows = []
        for members in families.values():
            present = {tuple(kernel["index"]): symbol(name, level) for name, kernel in members}
            rows.append(_initialiser(present, _extents(members)))
        lines.append(f"const Table table_{level} = {{" + ", ".join(rows) + "};")
    everywhere = _families(_everywhere(data))
    for arch, kernels in data["devices"].items():
        lines += _device_tables(arch, kernels, everywhere)
    lines.append("}  // namespace diffrt::kernels")
    return "\n".join(lines) + "\n"


def _device_tables(arch, kernels, families):
    lines = ["namespace {"]
    for name, kernel in kernels.items():
        rows = [
            f'{{"{a["name"]}", runtime::ArgumentType::{DEVICE_TYPES[a["type"]]}, {a["offset"]}, '
            f"{a['device_offset']}, {a['binding']}}}"
            for a in kernel["arguments"]
        ]
        lines.append(f"constexpr runtime::Argument {arch}_arguments_{name}[] = {{{', '.join(rows)}}};")
    lines.append(f"constexpr runtime::KernelCode {arch}_kernels[] = {{")
    for name, k in kernels.items():
        lines.append(
            f'    {{"{name}", "{k["entry"]}", {embed.symbol(arch, name)}, {k["code_bytes"]}, {k["block"]}, '
            f"{k['argument_bytes']}, {k['argument_binding']}, {str(k['argument_is_uniform']).lower()}, "
            f"{k['bounds_binding']}, {k['begin_offset']}, {k['end_offset']}, {arch}_arguments_{name}, "
            f"{len(k['arguments'])}, {k['stored_bytes']}}},"
        )
    lines += ["};", "}  // namespace"]
    places = {name: place for place, name in enumerate(kernels)}
    rows = []
    for members in families.values():
        present = {
            tuple(kernel["index"]): f"&{arch}_kernels[{places[name]}]" for name, kernel in members if name in places
        }
        rows.append(_initialiser(present, _extents(members)))
    lines.append(f"const DeviceTable table_{arch} = {{" + ", ".join(rows) + "};")
    lines.append(f"const KernelCodes all_{arch}_kernels = {{{arch}_kernels, {len(kernels)}}};")
    return lines


def _initialiser(present, extents, prefix=()):
    """The initialiser of a family's kernels: {index: what stands there}."""
    if len(prefix) == len(extents):
        return present.get(prefix, "nullptr")
    inner = [_initialiser(present, extents, (*prefix, k)) for k in range(extents[len(prefix)])]
    return "{" + ", ".join(inner) + "}"
