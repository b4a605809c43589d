"""`diffrt-aot compile`: what it writes and reports, and that mistakes are told in one line."""

import os

import model_code
import pytest

from diffrt_aot.cli import main
from diffrt_aot.model import module_file

pytest.importorskip("llvmlite")

GOOD = """
from diffrt_aot.model import Free, Item, Pixel, model
from beside import twice

@model
def first(item: Item, a: Free, b: Free):
    return twice(a) * item.index

@model
def second(pixel: Pixel, a: Free):
    from beside import twice
    return twice(a) * pixel.column, a

not_a_model = 3
alias = second
"""
BESIDE = """
from diffrt_aot.model import Free, Item, model

def twice(x):
    return x * 2.0

@model
def elsewhere(item: Item, a: Free):
    return a
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "models.py").write_text(GOOD)
    (tmp_path / "beside.py").write_text(BESIDE)
    return tmp_path


def run(capsys, *arguments):
    try:
        code = main(["compile", *map(str, arguments)])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.parent.name != "__pycache__"}


def refused(capsys, folder, *arguments):
    """The error, which is one line, and writes nothing."""
    before = contents(folder)
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1) and err.startswith("diffrt-aot: error: ")
    assert contents(folder) == before
    return err.removeprefix("diffrt-aot: error: ").strip()


def test_a_file_of_models(capsys, folder):
    code, out, err = run(capsys, "models.py")
    data = (folder / "models.dra").read_bytes()
    assert code == 0 and module_file.is_intact(data)
    assert list(model_code.read(data).models) == ["first", "second"]
    assert out.startswith(f"wrote models.dra: 2 models, {len(data):,} bytes, ")
    assert "first   1 output, 1 column, " in out and "second  2 outputs, 1 column, " in out and "x64_v3" in out
    assert err == "diffrt-aot: warning: models.py:5: first: nothing depends on b\n"
    umask = os.umask(0)
    os.umask(umask)
    assert (folder / "models.dra").stat().st_mode & 0o777 == 0o666 & ~umask
    assert {p.name for p in folder.iterdir()} - {"__pycache__"} == {"models.py", "models.dra", "beside.py", "cache"}


def test_options(capsys, folder):
    code, _, err = run(capsys, "models.py", "beside.py", "-o", "some.dra", "--targets", "x64", "--model", "second")
    assert (code, err) == (0, "")
    file = model_code.read((folder / "some.dra").read_bytes())
    assert list(file.models) == ["second"] and "cuda" not in file.sections
    assert run(capsys, "models.py", "beside.py", "-o", "some.dra", "--no-cache")[0] == 0
    assert list(model_code.read((folder / "some.dra").read_bytes()).models) == ["first", "second", "elsewhere"]


def test_a_file_without_models_beside_others_is_named(capsys, folder):
    (folder / "rays.py").write_text("def ray():\n    pass\n")
    code, out, err = run(capsys, "rays.py", "beside.py")
    assert (code, err) == (0, "diffrt-aot: note: rays.py: has no model\n") and "1 model," in out


def test_files_of_one_name_in_two_folders_have_each_their_own_neighbours(capsys, folder):
    other = folder / "other"
    other.mkdir()
    (other / "models.py").write_text(GOOD.replace("first", "third").replace("second", "fourth"))
    (other / "beside.py").write_text(BESIDE.replace("2.0", "3.0"))
    code, _, _ = run(capsys, "models.py", "other/models.py", "-o", "all.dra")
    assert code == 0
    file = model_code.read((folder / "all.dra").read_bytes())
    assert list(file.models) == ["first", "second", "third", "fourth"]
    parts = file.section("cuda").decode().split(".entry ")
    twice = next(part for part in parts if part.startswith("first_value"))
    thrice = next(part for part in parts if part.startswith("third_value"))
    assert twice.replace("first", "third") != thrice


MISTAKES = {
    "syntax": ("def f(:\n", "models.py:1: SyntaxError: "),
    "error": ("\nx = 1 / 0\n", "models.py:2: ZeroDivisionError: division by zero"),
    "import": ("import nothing_of_this_name\n", "models.py:1: ModuleNotFoundError: No module named"),
    "exit": ("raise SystemExit(0)\n", "models.py:1: SystemExit: 0"),
    "nothing": ("from beside import elsewhere\n", "models.py: has no model: write @model"),
    "nul": ("x = 1\0", "models.py"),
    "branch": (
        GOOD.replace("return twice(a) * item", "return a if a > 0 else item"),
        "models.py:7: a condition of the",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_the_file(capsys, folder, name):
    text, message = MISTAKES[name]
    (folder / "models.py").write_text(text)
    assert refused(capsys, folder, "models.py").startswith(message)


def test_mistakes_on_the_command_line(capsys, folder):
    def error(*arguments):
        return refused(capsys, folder, *arguments)

    (folder / "notes.txt").write_text("three years of work")
    assert error("missing.py") == "missing.py: No such file or directory"
    assert "Is a directory" in error(".")
    assert error("models.py", "-o", "notes.txt").endswith("exists and is no file of compiled models; name another")
    assert error("models.py", "-o", "models.py").endswith("name another")
    assert "is a folder" in error("models.py", "-o", ".")
    assert "there is no folder nowhere" in error("models.py", "-o", "nowhere/x.dra")
    assert "unknown target 'gpu'" in error("models.py", "--targets", "x64,gpu")
    assert "Perhaps you meant 'first'" in error("models.py", "--model", "frist")
    assert "two models are named 'first'" in error("models.py", "models.py")
    assert "required: MODELS.py" in error()
    assert "cannot be a file's name" in error("y" * 300)


def test_a_file_that_is_there_stays_when_compiling_fails(capsys, folder):
    assert run(capsys, "models.py")[0] == 0
    before = (folder / "models.dra").read_bytes()
    (folder / "models.py").write_text("def f(:\n")
    refused(capsys, folder, "models.py")
    assert (folder / "models.dra").read_bytes() == before
