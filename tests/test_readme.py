"""The README keeps its word: its ten lines print what it says, its links exist, and it stays short."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_ten_lines_print_their_answer():
    """Of the renderer, and behind them of a model of one's own."""
    codes = blocks(ROOT / "README.md", "python")
    assert len(codes) == 2
    names = {"__name__": "readme"}
    for code in codes:
        answer = README[README.index(code) :].split("```")[2].strip()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), names)
        assert printed.getvalue().strip() == answer


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_pages_runs(page, tmp_path, monkeypatch):
    """Blocks of a page share their names, one after another, as a reader would type them. (`python torch` and the like
    are for test_torch_and_cupy.py.)
    """
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    with contextlib.redirect_stdout(io.StringIO()):
        for code in blocks(page, "python"):
            exec(compile(code, page.name, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_exist(page):
    targets = re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_it_is_short_and_its_picture_comes_early():
    lines = README.splitlines()
    assert len(lines) < 120
    (picture,) = [number for number, line in enumerate(lines, 1) if line.startswith("![")]
    assert picture <= 25
