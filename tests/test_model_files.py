"""Files of compiled models in Python: what is loaded, and what is said of files that are none."""

import copy
import gc
import hashlib
import os
import pickle
import struct
import subprocess
import sys
import weakref

import pytest

import diffrt_aot as dr
from diffrt_aot.errors import InvalidTypeError, ModelFileError, UnknownNameError

ABI = hashlib.sha256(
    b"diffrt model abi 2: begin end packets width i32; stride input_stride i64; "
    b"parameters constants inputs indices tables sizes uniforms out ids pointers; "
    b"devices: width padded stride input_stride i32, the same pointers; begin end"
).digest()[:8]
RET = b"\xc3" + b"\xcc" * 15
MODELS = """\
model sphere
output -
argument pixel pixel - 0
argument radius free - 0
argument center free 3 1
slot 0 0 -1
plane 0 0
uniforms 0
{entries}end sphere
model names
output 2,3
uniforms 0
{entries}end names
""".replace("slot 0", "slot 1")


def sealed(head, body):
    """The bytes of a file whose length and checksum are right."""
    head = head + struct.pack("<Q", 64 + len(body))
    return head + hashlib.sha256(head + body).digest() + body


def build(section="x64_v2", models=MODELS):
    """The bytes of a file with two models that do nothing."""
    entries = "".join(f"entry {section} {f} {16 * k}\n" for k, f in enumerate(("prepare", "value", "rows")))
    text = f"producer a test\nsection {section} 4096 48 8\n{models.format(entries=entries)}".encode()
    body = text + bytes(4096 - 64 - len(text)) + 3 * RET
    return sealed(struct.pack("<8sII8s", b"diffrt\x1a\n", 1, len(text), ABI), body)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "models.dra"
    path.write_bytes(build())
    return path


def test_models_are_had_by_attribute_and_by_name(path):
    module = dr.load(path)
    assert module.sphere is module["sphere"]
    assert module.sphere.name == "sphere"
    assert module.sphere.arguments == {"pixel": ("pixel", ()), "radius": ("free", ()), "center": ("free", (3,))}
    assert module.sphere.output_shape == ()
    assert module["names"].output_shape == (2, 3)  # what the module has by that name is its own
    assert module.names == ("sphere", "names")
    assert list(module) == ["sphere", "names"]
    assert len(module) == 2
    assert "sphere" in module
    assert "cube" not in module
    assert "sphere" in dir(module)
    assert "names" in dir(module)
    assert repr(module) == f"<Module {path}: sphere, names>"
    assert repr(module.sphere) == "<CompiledModel sphere(pixel, radius, center)>"
    assert (module.path, module.producer, module.targets, module.target) == (str(path), "a test", ("x64_v2",), "x64_v2")
    assert dr.load(str(path)).names == module.names


def test_unknown_models_are_told_with_those_there_are(path):
    module = dr.load(path)
    for call in (lambda: module["spere"], lambda: module.spere):
        with pytest.raises(
            (UnknownNameError, AttributeError), match=r"models.dra: unknown model 'spere'. Perhaps you"
        ) as e:
            call()
        assert str(e.value).endswith("meant 'sphere'. Valid: sphere, names.")
    assert not hasattr(module, "spere")
    assert not hasattr(dr.Module.__new__(dr.Module), "spere")
    with pytest.raises(InvalidTypeError, match="models are named by strings"):
        module[["sphere"]]


def test_modules_and_models_are_pickled_with_their_code(path):
    module = dr.load(path)
    model = module.sphere
    text = pickle.dumps((module, model))
    path.unlink()
    again, sphere = pickle.loads(text)
    assert repr(again) == repr(module)
    assert sphere.arguments == model.arguments
    assert copy.deepcopy(again).names == module.names
    assert dr.Module.from_bytes(build(), "those").path == "those"


def test_a_model_outlives_its_module_and_both_go(path):
    module = dr.load(path)
    model = module.sphere
    gone = weakref.ref(module)
    gc.disable()
    try:
        del module
        assert gone() is None, "no cycle holds it"
    finally:
        gc.enable()
    assert model.arguments["center"] == ("free", (3,))


def test_files_on_read_only_folders_are_loaded(path):
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        assert dr.load(path).names == ("sphere", "names")
    finally:
        path.parent.chmod(0o700)


GOOD = build()
BAD = {
    "empty": (b"", "is empty; compile the models again with diffrt-aot compile"),
    "cut off": (GOOD[:-10], "is cut off: it has 4134 bytes, and was written with 4144; copy it again"),
    "longer": (GOOD + b"x", "has too much at its end"),
    "damaged": (GOOD[:4100] + b"x" + GOOD[4101:], "is damaged: its checksum is not that of its content"),
    "newer": (GOOD[:8] + b"\2" + GOOD[9:], "has format 2, and this diffrt_aot .* reads 1; upgrade diffrt_aot"),
    "of another version": (
        sealed(GOOD[:16] + b"x" + GOOD[17:24], GOOD[64:]),
        "was compiled for another version of diffrt_aot",
    ),
    "a text": (b"from diffrt_aot.model import *\n", "is no file of compiled models but a text"),
    "a library": (b"\x7fELF" + bytes(100), "but a program or a shared library"),
    "an archive": (b"PK\3\4" + bytes(100), "but a zip archive"),
    "nonsense": (
        build(models="model m\noutput 0\n{entries}end m\n"),
        r"its manifest, line 4 'output 0': .* is 0, must be",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_cannot_be_used_are_told(tmp_path, name):
    data, reason = BAD[name]
    path = tmp_path / "bad.dra"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=reason) as e:
        dr.load(path)
    assert str(e.value).startswith(f"{path}: ")
    with pytest.raises(ModelFileError, match=reason) as e:
        dr.Module.from_bytes(data)
    assert str(e.value).startswith("bytes: ")


def test_paths_that_lead_to_no_file_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"file of models .*no.dra does not exist \(working directory"):
        dr.load(tmp_path / "no.dra")
    with pytest.raises(ModelFileError, match="is a folder, not a file of compiled models"):
        dr.load(tmp_path)
    with pytest.raises(dr.InvalidTypeError, match="path: must be a string"):
        dr.load(b"models.dra")
    with pytest.raises(dr.InvalidTypeError, match="data: must be bytes, got a bytearray"):
        dr.Module.from_bytes(bytearray(GOOD))
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.dra")
    with open(strange, "wb") as file:
        file.write(GOOD)
    assert dr.load(strange).path == strange
    with open(strange, "wb") as file:
        file.write(b"x")
    with pytest.raises(ModelFileError, match="is no file of compiled models"):
        dr.load(strange)


def test_a_module_takes_the_highest_level_that_is_asked_for(tmp_path):
    """And where it has none that runs here, it can be looked at all the same."""
    path = tmp_path / "models.dra"
    path.write_bytes(build("x64_v3"))
    code = f"import diffrt_aot as dr; m = dr.load({str(path)!r}); print(repr(m.target), m.names)"
    for level, target in (("v2", ""), ("v3", "x64_v3")):
        if f"x86-64-{level}" not in dr.info()["available_isa_levels"]:
            continue
        out = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "DIFFRT_ISA": level},
            capture_output=True,
            text=True,
            check=True,
        )
        assert out.stdout == f"{target!r} ('sphere', 'names')\n"
