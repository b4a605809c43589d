"""Take over the SPIR-V that Taichi writes for a Vulkan kernel: check it, find out its interface, and make it small.

Of a parallel loop with run-time bounds Taichi makes two modules: the first writes the bounds to a buffer, the second
reads them there. Only the second is kept; whoever launches it provides that buffer, so that bounds may be written by
an earlier kernel and never be known to the host. Arguments lie in a uniform buffer, arrays are storage buffers.

Names are left out, and the barrier before each atomic operation: nothing else passes between threads, and Mesa's driver
for the CPU waits there for all of them, some of which may never come. Two things are asked of a driver that by default
it need not do: to round as it is written, without fusing a multiplication and an addition (NoContraction; ptx.py says
why), and to mind NaN, by which kernels tell that there is no value (SignedZeroInfNanPreserve of SPV_KHR_float_controls:
without it NVIDIA's takes x * x >= 0 for true).
"""

import struct
from collections import defaultdict
from dataclasses import dataclass

MAGIC, HEADER = 0x07230203, 5
# Opcodes, decorations and storage classes of the SPIR-V specification.
NAMES = (3, 4, 5, 6, 7, 8, 317, 330)  # sources, names, lines
# Taichi puts one before each atomic operation. Here nothing is handed from thread to thread within a kernel; and in
# Mesa's lavapipe (22.3) a loop with a barrier in it ends after its second turn.
MEMORY_BARRIER = 225
CAPABILITY, EXTENSION, ENTRY_POINT, EXECUTION_MODE = 17, 10, 15, 16
CONSTANT, TYPE_POINTER, VARIABLE = 43, 32, 59
DECORATE, MEMBER_DECORATE, ACCESS_CHAIN, SHIFT_RIGHT = 71, 72, 65, 195
ARITHMETIC = (129, 131, 133, 136)  # FAdd, FSub, FMul, FDiv
LOAD, STORE, BITCAST = 61, 62, 124
SHADER, LOCAL_SIZE, BINDING, OFFSET, NO_CONTRACTION = 1, 17, 33, 35, 42
UNIFORM, STORAGE = 2, 12
FLOAT_CONTROLS, KEEP_NAN_CAPABILITY, KEEP_NAN_MODE = b"SPV_KHR_float_controls", 4466, 4461
# Taichi combines conditions by bitwise instructions, which are for integers only: their counterparts for booleans.
BOOLEAN = {197: 166, 198: 165, 199: 167, 200: 168}
TYPE_BOOLEAN = 20
# What Taichi calls the buffers that a module binds.
TEMPORARIES, ARGUMENTS, ARRAY = 1, 2, 5
NO_BINDING = -1


@dataclass(frozen=True)
class Interface:
    """How a kernel is launched: its group size, and where it reads arguments, arrays and bounds.

    `arrays` has the binding of each array that the kernel uses, by the number of the argument.
    """

    block: int
    argument_binding: int
    argument_is_uniform: bool
    bounds_binding: int
    begin_offset: int
    end_offset: int
    arrays: dict


class Module:
    """The instructions of a module: lists of words, the first of which holds length and opcode."""

    def __init__(self, code):
        words = struct.unpack(f"<{len(code) // 4}I", code)
        if words[0] != MAGIC:
            raise RuntimeError("not a SPIR-V module")
        self.header, self.instructions, place = words[:HEADER], [], HEADER
        while place < len(words):
            length = words[place] >> 16
            self.instructions.append(words[place : place + length])
            place += length

    def each(self, *opcodes):
        """Instructions of these kinds, without their first word."""
        return [i[1:] for i in self.instructions if i[0] & 0xFFFF in opcodes]

    def code(self):
        """The module as bytes."""
        words = [*self.header, *(word for i in self.instructions for word in i)]
        return struct.pack(f"<{len(words)}I", *words)


def lower(name, tasks, folder):
    """(code, Interface) of a kernel, from what Taichi tells of its tasks."""
    if len(tasks) != 2:
        raise RuntimeError(f"kernel {name}: {len(tasks)} tasks, expected its bounds and its loop")
    _check_bounds_task(name, tasks[0], Module((folder / f"{tasks[0]['name']}.spv").read_bytes()))
    task, loop = tasks[1], tasks[1]["range_for_attribs"]
    if loop is None or loop["const_begin"] or loop["const_end"]:
        raise RuntimeError(f"kernel {name}: its second task is not a loop with run-time bounds")
    module = Module((folder / f"{task['name']}.spv").read_bytes())
    module.instructions = [i for i in module.instructions if i[0] & 0xFFFF not in (*NAMES, MEMORY_BARRIER)]
    _mend_conditions(module)
    if [c for (c,) in module.each(CAPABILITY)] != [SHADER]:
        raise RuntimeError(f"kernel {name}: needs more than a device without extras has")
    bound = defaultdict(list)
    arrays = {}
    for bind in task["buffer_binds"]:
        kind = bind["buffer"]["type"]
        bound[kind].append(bind["binding"])
        if kind == ARRAY:
            if bind["buffer"]["root_id"][0] in arrays:
                raise RuntimeError(f"kernel {name}: an array is bound twice, as one of atomics and one that is read")
            arrays[bind["buffer"]["root_id"][0]] = bind["binding"]
    classes = _classes(module)
    declared = sorted(b for bindings in bound.values() for b in bindings)
    if (
        set(bound) - {TEMPORARIES, ARGUMENTS, ARRAY}
        or sorted(classes) != declared
        or len(set(declared)) != len(declared)
    ):
        raise RuntimeError(f"kernel {name}: binds {sorted(classes)}, but Taichi tells of {dict(bound)}")
    (bounds_binding,) = bound[TEMPORARIES]
    if _offsets_read(name, module, bounds_binding) != [loop["begin"], loop["end"]]:
        raise RuntimeError(f"kernel {name}: reads other temporaries than the bounds of its loop")
    (argument_binding,) = bound[ARGUMENTS] or [NO_BINDING]
    (block,) = (mode[2] for mode in module.each(EXECUTION_MODE) if mode[1] == LOCAL_SIZE)
    interface = Interface(
        block,
        argument_binding,
        classes.get(argument_binding) == UNIFORM,
        bounds_binding,
        loop["begin"],
        loop["end"],
        arrays,
    )
    _forbid_contraction(module)
    _keep_nan(module)
    return module.code(), interface


def _check_bounds_task(name, task, module):
    """The task that we drop must do no more than hand over the first two arguments."""
    bound = {bind["buffer"]["type"]: bind["binding"] for bind in task["buffer_binds"]}
    as_expected = (
        set(bound) == {TEMPORARIES, ARGUMENTS}
        and task["range_for_attribs"] is None
        and _members_stored(module, bound[ARGUMENTS]) == [0, 1]
        and _offsets_read(name, module, bound[TEMPORARIES]) == [0, 4]
    )
    if not as_expected:
        raise RuntimeError(
            f"kernel {name}: its bounds are not its first two arguments, or it does more before its loop"
        )


def _classes(module):
    """{binding: storage class}."""
    storage = {i[1]: i[2] for i in module.each(VARIABLE)}
    return {d[2]: storage[d[0]] for d in module.each(DECORATE) if d[1] == BINDING}


def _members_stored(module, binding):
    """Which members of the argument block are stored, as they are, in the order of the code; None for other numbers."""
    variables = {d[0] for d in module.each(DECORATE) if d[1:] == (BINDING, binding)}
    constants = {i[1]: i[2] for i in module.each(CONSTANT)}
    members = {i[1]: constants[i[3]] for i in module.each(ACCESS_CHAIN) if i[2] in variables}
    loads = {i[1]: members.get(i[2]) for i in module.each(LOAD)}
    casts = {i[1]: i[2] for i in module.each(BITCAST)}
    return [loads.get(casts.get(i[1], i[1])) for i in module.each(STORE)]


def _offsets_read(name, module, binding):
    """Byte offsets at which the buffer of a binding is read, in the order of the code."""
    variables = {d[0] for d in module.each(DECORATE) if d[1:] == (BINDING, binding)}
    constants = {i[1]: i[2] for i in module.each(CONSTANT)}
    shifts = {i[1]: (constants.get(i[2]), constants.get(i[3])) for i in module.each(SHIFT_RIGHT)}
    offsets = []
    for instruction in module.instructions:
        if instruction[0] & 0xFFFF == ACCESS_CHAIN and instruction[3] in variables:
            # A word's place is its offset shifted by 2, which may be done already.
            place = instruction[5]
            offset, by = shifts.get(place, (4 * constants[place] if place in constants else None, 2))
            if offset is None or by != 2:
                raise RuntimeError(f"kernel {name}: where it reads its bounds is not known before it runs")
            offsets.append(offset)
    return offsets


def check_arguments(name, code, interface, offsets):
    """Raises unless the module's argument block has its members at these offsets."""
    if interface.argument_binding == NO_BINDING:
        return
    module = Module(code)
    (variable,) = (d[0] for d in module.each(DECORATE) if d[1:] == (BINDING, interface.argument_binding))
    (pointer,) = (i[0] for i in module.each(VARIABLE) if i[1] == variable)
    (block,) = (i[2] for i in module.each(TYPE_POINTER) if i[0] == pointer)
    members = {d[1]: d[3] for d in module.each(MEMBER_DECORATE) if d[0] == block and d[2] == OFFSET}
    if [members.get(k) for k in range(len(members))] != offsets:
        raise RuntimeError(f"kernel {name}: its argument block is laid out as {members}, not {offsets}")


def _mend_conditions(module):
    booleans = {i[0] for i in module.each(TYPE_BOOLEAN)}
    for k, (first, *rest) in enumerate(module.instructions):
        if first & 0xFFFF in BOOLEAN and rest[0] in booleans:
            module.instructions[k] = (first >> 16 << 16 | BOOLEAN[first & 0xFFFF], *rest)


def _forbid_contraction(module):
    results = [i[1] for i in module.each(*ARITHMETIC)]
    _insert(module, DECORATE, *(_instruction(DECORATE, result, NO_CONTRACTION) for result in results))


def _keep_nan(module):
    ((_, entry, *_),) = module.each(ENTRY_POINT)
    _insert(module, EXECUTION_MODE, _instruction(EXECUTION_MODE, entry, KEEP_NAN_MODE, 32))
    text = FLOAT_CONTROLS + bytes(4 - len(FLOAT_CONTROLS) % 4)
    _insert(module, CAPABILITY, _instruction(EXTENSION, *struct.unpack(f"<{len(text) // 4}I", text)))
    _insert(module, CAPABILITY, _instruction(CAPABILITY, KEEP_NAN_CAPABILITY))


def _instruction(opcode, *words):
    return ((len(words) + 1) << 16 | opcode, *words)


def _insert(module, after, *instructions):
    """Puts them after the last instruction of a kind."""
    last = max(k for k, i in enumerate(module.instructions) if i[0] & 0xFFFF == after)
    module.instructions[last + 1 : last + 1] = instructions
