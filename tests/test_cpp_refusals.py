"""C++ that must not compile, and what the compiler then says."""

import pathlib
import shutil
import subprocess

import pytest

import diffrt_aot as dr

INCLUDE = pathlib.Path(dr.cmake_dir()).parents[2] / "include"


def compiled(tmp_path: pathlib.Path, body: str) -> str | None:
    """Return the compiler's complaint about this function body, or None."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    source = tmp_path / "main.cpp"
    source.write_text(f"#include <vector>\n#include <diffrt/diffrt.hpp>\nvoid f() {{ {body} }}\n")
    command = [compiler, "-std=c++17", "-fsyntax-only", "-I", str(INCLUDE), str(source)]
    result = subprocess.run(command, capture_output=True, text=True)
    return result.stderr if result.returncode else None


def test_a_view_of_floats_compiles(tmp_path: pathlib.Path) -> None:
    body = "std::vector<float> v; std::vector<double> w;"
    body += "(void)diffrt::ImageView::contiguous(v.data(), 48, 64);"
    body += "(void)diffrt::ImageView::contiguous<double>(w.data(), 48, 64, 3);"
    assert compiled(tmp_path, body) is None


@pytest.mark.parametrize("kind", ["std::int32_t", "std::int64_t", "std::uint16_t", "char32_t", "long double"])
def test_a_view_of_other_numbers_does_not_compile(tmp_path: pathlib.Path, kind: str) -> None:
    message = compiled(tmp_path, f"std::vector<{kind}> v; (void)diffrt::ImageView::contiguous(v.data(), 48, 64);")
    assert message is not None and "An ImageView is of float or double. Copy other numbers into one of" in message


def test_a_view_without_its_height_does_not_compile(tmp_path: pathlib.Path) -> None:
    body = "std::vector<float> v; (void)diffrt::ImageView::contiguous(v.data(), 64);"
    assert "no matching function" in str(compiled(tmp_path, body))
