"""Every example runs: docstrings of all modules, and the Python and `.ppl` blocks of README.md and docs/.

A block marked ```` ```python ```` runs; blocks of one file share a name space and run in order.
A block marked ```` ```python no-run ```` is only compiled.

A block marked ```` ```ppl ```` is a whole file, of the name given by `file=` (else `model.ppl`), in the canonical
style, and can be imported by those below it. It has neither errors nor warnings, and is loaded; a model with data has
a finite density, one that needs no arguments is simulated, an objective that the file chooses is estimated. If
`<!-- problems -->` and a ```` ```text ```` block follow, these are its problems instead, word for word.
"""

import doctest
import importlib
import re
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import ppl
from ppl.language.program import Bound
from ppl.syntax.check import check
from ppl.syntax.format import format_text
from ppl.syntax.job import Job, job
from ppl.syntax.load import load
from ppl.syntax.problems import remember

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```python(?P<flags>[^\n]*)\n(?P<code>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
SOURCE = re.compile(
    r"^```ppl(?P<flags>[^\n]*)\n(?P<code>.*?)^```[ \t]*$(?:\n\n<!-- problems -->\n```text\n(?P<problems>.*?)^```[ \t]*$)?",
    re.MULTILINE | re.DOTALL,
)
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


@dataclass(frozen=True)
class Source:
    """One fenced `.ppl` file: its name, text and line in the page, and the problems it is said to have."""

    name: str
    code: str
    line: int
    problems: str | None


def sources(text: str) -> list[Source]:
    found = []
    for match in SOURCE.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        name = re.search(r"file=(\S+)", match["flags"])
        found.append(Source(name[1] if name else "model.ppl", match["code"], line, match["problems"]))
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
        code = compile(source, str(page), "exec")
        if block.runs:
            exec(code, space.__dict__)


def test_blocks_are_found_with_their_lines_and_marks() -> None:
    text = "a\n```python\nx = 1\n```\n```python no-run\ny\n```\n```\nnot python\n```\n"
    assert blocks(text) == [Block("x = 1\n", 3, True), Block("y\n", 6, False)]


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_ppl_blocks_of_a_page_are_what_it_says(page: Path, tmp_path: Path) -> None:
    for source in sources(page.read_text("utf-8")):
        (tmp_path / source.name).write_text(source.code, "utf-8")
        remember(source.name, source.code)
        where = f"{page.name}:{source.line}"
        checked = check(source.code, source.name, folder=tmp_path)
        serious = [str(p.error(source.name)) for p in checked.problems if p.severity != "advice"]
        assert "\n\n".join(serious) == (source.problems or "").rstrip("\n"), where
        if not any(p.kind == "syntax" for p in checked.problems):
            assert format_text(source.code) == source.code, f"{where}: ppl fmt"
        if source.problems is None:
            runs(load(tmp_path / source.name))


def runs(module: Any) -> None:
    """What a file says can be run: the density of its models where there are data, else a simulation."""
    models = {name: p for name, p in module.programs.items() if p.kind == "model"}
    for name, program in models.items():
        needed = {n for n, a in program.signature.parameters.items() if a.default is a.empty}
        if not module.data and not needed:
            ppl.simulate(program(), seed=0)
        elif module.data and needed <= module.data.keys():
            is_finite(job(module, model=name))


def is_finite(ready: Job) -> None:
    """A density at a point; the chosen objective's estimate, if the file has a guide of its own."""
    bound = ready.model.condition(ready.data) if ready.data else ready.model
    guide = ready.options.get("guide")
    if isinstance(guide, Bound):
        value, _ = ppl.value_and_grad(ready.options["objective"])(bound, guide, seed=0)
    else:
        density = ppl.compile(bound, engine="torch")
        value = density.log_density(torch.full((density.dim,), 0.1, dtype=torch.float64))
    assert torch.isfinite(value), bound


def test_the_readme_shows_the_example_that_it_runs() -> None:
    first = sources((ROOT / "README.md").read_text("utf-8"))[0]
    assert (ROOT / "examples" / "eight_schools.ppl").read_text("utf-8").endswith(first.code)


def test_sources_are_found_with_their_names_and_problems() -> None:
    text = "a\n```ppl file=a.ppl\nx\n```\n\n```ppl\ny\n```\n\n<!-- problems -->\n```text\nbad\n```\n```text\nz\n```\n"
    assert sources(text) == [Source("a.ppl", "x\n", 3, None), Source("model.ppl", "y\n", 7, "bad\n")]


def test_every_relative_link_of_a_page_leads_somewhere() -> None:
    broken = []
    for page in pages():
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken, "\n".join(broken)
