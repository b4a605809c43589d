"""The manifest: what C++ must know of the kernels. JSON for people and tools, a header and a table for the compiler.

Each family of kernels becomes a struct of arguments whose offsets are asserted against those that Taichi laid out, so
that a change on either side fails the build.
"""

import json
from collections import defaultdict

from kernels.aot.lower import LEVELS, symbol

C_TYPES = {"int32": "std::int32_t", "float32": "float", "int32*": "Array<std::int32_t>", "float32*": "Array<float>"}

HEADER = """\
// Generated from kernels/ by `python -m kernels.aot`. Do not edit.
#pragma once

#include <cstddef>
#include <cstdint>

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

{constants}

{structs}

// All kernels, compiled for one x86-64 level. A null pointer stands where a family has no such member.
struct Table {{
{fields}
}};

{tables}

inline constexpr int kernel_count = {count};

}}  // namespace diffrt::kernels
"""


def manifest(entries, traced, constants):
    """Everything as plain data: entries {name: Entry}, traced {name: TracedKernel}."""
    kernels = {}
    for name, entry in entries.items():
        t = traced[name]
        arguments = [{"name": a.name, "type": a.type, "offset": a.offset} for a in t.arguments]
        kernels[name] = {"family": entry.family, "index": list(entry.index), "size": t.size, "arguments": arguments}
    return {"format": 1, "levels": list(LEVELS), "constants": constants, "kernels": kernels}


def to_json(data):
    """The manifest as text, the same bytes from the same kernels."""
    return json.dumps(data, indent=1) + "\n"


def _families(data):
    families = defaultdict(list)
    for name, kernel in data["kernels"].items():
        families[kernel["family"]].append((name, kernel))
    for family, members in families.items():
        first_name, first = members[0]
        for name, kernel in members:
            if (kernel["arguments"], kernel["size"]) != (first["arguments"], first["size"]):
                raise RuntimeError(f"family {family}: {name} and {first_name} do not have the same arguments")
    return families


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
    families = _families(data)
    fields = []
    for family, members in families.items():
        extents = "".join(f"[{n}]" for n in _extents(members))
        fields.append(f"  Kernel<{family}_arguments> {family}{extents};")
    return HEADER.format(
        constants="\n".join(_constant(name, value) for name, value in data["constants"].items()),
        structs="\n\n".join(_struct(family, members[0][1]) for family, members in families.items()),
        fields="\n".join(fields),
        tables="\n".join(f"extern const Table table_{level};" for level in LEVELS),
        count=len(data["kernels"]),
    )


def to_source(data):
    """The C++ tables of function pointers, one per level."""
    lines = [
        "// Generated from kernels/ by `python -m kernels.aot`. Do not edit.",
        '#include "diffrt_kernels.hpp"',
        "",
        "namespace diffrt::kernels {",
        'extern "C" {',
    ]
    names = list(data["kernels"])
    lines += [f"void {symbol(name, level)}(RuntimeContext*);" for level in LEVELS for name in names]
    lines.append("}")
    families = _families(data)
    for level in LEVELS:
        rows = [_initialiser(members, _extents(members), (), level) for members in families.values()]
        lines.append(f"const Table table_{level} = {{" + ", ".join(rows) + "};")
    lines.append("}  // namespace diffrt::kernels")
    return "\n".join(lines) + "\n"


def _initialiser(members, extents, prefix, level):
    if len(prefix) == len(extents):
        found = [name for name, kernel in members if tuple(kernel["index"]) == prefix]
        return symbol(found[0], level) if found else "nullptr"
    inner = [_initialiser(members, extents, (*prefix, k), level) for k in range(extents[len(prefix)])]
    return "{" + ", ".join(inner) + "}"
