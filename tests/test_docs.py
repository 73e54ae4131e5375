"""Every example runs: docstrings of all modules, and the Python blocks of README.md and docs/.

A block marked ```` ```python ```` runs; blocks of one file share a name space and run in order.
A block marked ```` ```python no-run ```` is only parsed.
"""

import ast
import doctest
import importlib
import re
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```python(?P<flags>[^\n]*)\n(?P<code>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """One fenced block of Python: its source, the line of its first statement, and whether it runs."""

    code: str
    line: int
    runs: bool


def blocks(text: str) -> list[Block]:
    found = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        found.append(Block(match["code"], line, "no-run" not in match["flags"].split()))
    return found


def module_names() -> list[str]:
    """Modules of `ppl` and of its standard library; not `__main__`, which runs when imported."""
    found = []
    for folder, package in (("ppl", "ppl"), ("stdlib", "ppl.std")):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            inside = parts[:-1] if parts[-1] == "__init__" else parts
            if parts[-1] != "__main__":
                found.append(".".join([package, *inside]))
    return sorted(found)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("name", module_names())
def test_docstring_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)  # an example may write a file
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        if test.examples:
            runner.run(test, out=report.append)
    assert not runner.summarize(verbose=False).failed, "".join(report)


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_python_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    space = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", space)
    for block in blocks(page.read_text("utf-8")):
        # Blank lines in front make a traceback point at the line of the page.
        source = "\n" * (block.line - 1) + block.code
        tree = ast.parse(source, str(page))
        if block.runs:
            exec(compile(tree, str(page), "exec"), space.__dict__)


def test_blocks_are_found_with_their_lines_and_marks() -> None:
    text = "a\n```python\nx = 1\n```\n```python no-run\ny\n```\n```\nnot python\n```\n"
    assert blocks(text) == [Block("x = 1\n", 3, True), Block("y\n", 6, False)]


def test_every_relative_link_of_a_page_leads_somewhere() -> None:
    broken = []
    for page in pages():
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken, "\n".join(broken)
