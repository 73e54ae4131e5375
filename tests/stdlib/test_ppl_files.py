"""The library's `.ppl` files as files: checked, formatted, documented, importable."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ppl
from ppl.syntax import tree
from ppl.syntax.check import check
from ppl.syntax.format import format_text
from ppl.syntax.load import loads
from ppl.syntax.parse import parse

FOLDER = Path(ppl.std.__file__).parent
FILES = sorted(FOLDER.glob("*.ppl"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_file_is_without_problems_and_in_the_one_style(file: Path) -> None:
    text = file.read_text("utf-8")
    assert [p.headline for p in check(text, str(file), folder=FOLDER).problems] == []
    assert format_text(text, str(file)) == text


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_file_and_all_it_defines_have_docstrings(file: Path) -> None:
    items = parse(file.read_text("utf-8"), str(file)).file.items
    assert isinstance(items[0], tree.Heading)
    module = getattr(ppl.std, file.stem)
    assert module.__doc__ == items[0].text
    for item in items:
        if isinstance(item, tree.Function | tree.Program):
            assert isinstance(item.body[0], tree.Docstring), item.name.id
            assert getattr(module, item.name.id).__doc__ == item.body[0].text


def test_python_imports_them_without_a_hook_for_other_files() -> None:
    """In a process of its own: another test may have put the hook for all `.ppl` files in place."""
    code = (
        "import sys, ppl.std; assert 'torch' not in sys.modules\n"
        "import ppl.std.gp; from ppl.std.regression import linear; from ppl.std import hmm\n"
        "assert ppl.std.gp.__name__ == 'ppl.std.gp' and 'priors' in dir(ppl.std) and hmm is ppl.std.hmm\n"
        "try: import kidiq\n"
        "except ModuleNotFoundError: pass\n"
        "else: raise AssertionError\n"
    )
    folder = FOLDER.parent / "examples" / "posteriordb"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ppl.std.nothing


def test_a_prior_twice_in_a_model_with_different_sizes() -> None:
    """Its loops are called D in both; where D is another size, the second is `y/D`."""
    text = """
import std.priors as pr

model m(D: int = 2):
    x ~ pr.horseshoe(3)
    y ~ pr.varying(4)
    z ~ pr.varying(5)
    for d in D:
        w[d] ~ Normal(x[d], 1)
"""
    bound = loads(text).m()
    trace = ppl.simulate(bound, seed=0)
    dims = {name: trace.dims(name) for name in ("x/z", "y/z", "z/z", "w")}
    assert dims == {"x/z": ("x/D",), "y/z": ("J",), "z/z": ("z/J",), "w": ("D",)}
    assert ppl.compile(bound).dim == 7 + 5 + 6 + 2
    assert ppl.compile(bound).sampler(seed=0, n=3)["z/z"].shape == torch.Size([3, 5])
