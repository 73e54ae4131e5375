"""Graphs as plain data: nothing of them is lost, and what is kept on disk is found for equal graphs only."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from corpus.programs import CORPUS

import ppl
from ppl.compiler import portable
from ppl.compiler.engines.native import function
from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph, Node, Plate
from ppl.compiler.native import cache as disk
from ppl.compiler.ops import OPERATORS, constant, define, make, make_input
from ppl.compiler.portable import NotPortable, plain, remembered, whole
from ppl.distributions import Normal
from ppl.language.compiled import Compiled

F = torch.float64
PROGRAMS = [name for name, entry in CORPUS.items() if not entry.fails and not entry.long][::6]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPL_CACHE", "on")
    monkeypatch.setenv("PPL_CACHE_DIR", str(tmp_path))
    return tmp_path / "native"


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_the_same_from_the_disk(name: str, folder: Path) -> None:
    first = ppl.compile(CORPUS[name].bind())
    x = torch.linspace(-0.3, 0.4, first.dim, dtype=F)
    value, grad = first.value_and_grad(x)
    if not portable._key("gradient", first._lowered):
        pytest.skip("holds something of the user's own")
    function.to_source.cache_clear()
    again = Compiled(first.bound, recorded=first.recorded)
    found, slope = again.value_and_grad(x)
    assert "gradient_graph" not in vars(again)  # nobody derived it
    assert torch.equal(found, value)
    assert torch.equal(slope, grad)
    if first.engine.name == "native":
        assert again.native()[0].source == first.native()[0].source


@pytest.mark.parametrize("name", PROGRAMS)
def test_there_and_back(name: str) -> None:
    compiled = ppl.compile(CORPUS[name].bind(), engine="torch")
    graph, data = compiled._ready("gradient_graph", None)
    try:
        words = plain(graph)
    except NotPortable:
        pytest.skip("holds something of the user's own")
    back = whole(words)
    assert str(back) == str(graph)
    assert plain(back) == words
    assert back.inputs == graph.inputs
    x = torch.zeros(compiled.dim, dtype=F)
    for a, b in zip(compile_torch(back)(x, *data), compile_torch(graph)(x, *data), strict=True):
        assert torch.equal(a, b) or bool((a.isnan() & b.isnan()).any())


def test_marks_of_this_process_survive() -> None:
    """Nodes from the disk have no marks: equal nodes that are made here afterwards have theirs."""

    def build() -> Graph:
        x = make_input("x", (3,), F)
        return Graph((x,), (make("exp", make("mul", x, 0.625, mark=mark)),))

    mark: Any = None
    words = plain(build())
    kept = whole(words)
    mark = object()
    assert build().outputs[0].nodes[0].mark is mark
    assert kept.outputs[0].nodes[0].mark is None


# ---------------------------------------------------------------- keys


def scaled(number: Any, name: str = "x", role: str = "", op: str = "mul") -> Graph:
    x = make_input(name, (3,), F, (), role)
    return Graph((x,), (make(op, x, number),))


def over(plate: Plate) -> Graph:
    x = make_input("x", (), F, (plate,))
    return Graph((x,), (make("exp", x),))


def holding(tensor: torch.Tensor) -> Graph:
    return Graph((), (constant(tensor),))


DIFFERENT = {
    "zero": scaled(0.5),
    "another number": scaled(0.5 + 2**-53),
    "of another type": scaled(2),
    "real": scaled(2.0),
    "power": scaled(2.0, op="pow"),
    "negative zero": scaled(-0.0, op="maximum"),
    "positive zero": scaled(0.0, op="maximum"),
    "not a number": scaled(math.nan),
    "infinite": scaled(math.inf),
    "another name": scaled(0.5, "y"),
    "another role": scaled(0.5, role="data"),
    "one plate": over(Plate(0, "a", 3)),
    "another plate": over(Plate(0, "b", 3)),
    "a deeper plate": over(Plate(1, "a", 3)),
    "a longer plate": over(Plate(0, "a", 4)),
    "a constant": holding(torch.tensor([0.0, 1.0])),
    "its sign of zero": holding(torch.tensor([-0.0, 1.0])),
    "its shape": holding(torch.tensor([[0.0, 1.0]])),
    "its dtype": holding(torch.tensor([0.0, 1.0], dtype=F)),
}


def test_different_graphs_have_different_keys(folder: Path) -> None:
    keys = {name: portable._key("test", graph) for name, graph in DIFFERENT.items()}
    assert None not in keys.values()
    assert len(set(keys.values())) == len(keys)
    graph = DIFFERENT["zero"]
    also = ((), (1,), (1.0,), (True,), ("1",), (F,), ((1,),))
    others = {portable._key("test", (graph, *more)) for more in also}
    assert len(others | {portable._key("other", (graph,))}) == 8


def test_equal_graphs_have_one_key_in_every_process(folder: Path) -> None:
    text = (
        "import torch; from ppl.compiler import portable; from ppl.compiler.graph import *;"
        "from ppl.compiler.ops import make, make_input;"
        "x = make_input('x', (3,), torch.float64);"
        "print(portable._key('test', (Graph((x,), (make('mul', x, 0.5),)), 'a', 1)))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", text],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {portable._key("test", (scaled(0.5), "a", 1))}


def test_another_version_has_other_keys(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = portable._key("test", scaled(0.5))
    monkeypatch.setattr(portable, "_package", lambda: b"another")
    assert portable._key("test", scaled(0.5)) != before


def test_files_that_change_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    file = tmp_path / "inner" / "a.py"
    file.write_text("x = 1\n")
    before = list(portable._files(str(tmp_path)))
    assert len(before) == 1
    os.utime(file, (1, 1))
    assert list(portable._files(str(tmp_path))) != before


# ---------------------------------------------------------------- what has none


def test_what_is_the_users_own_is_never_kept(folder: Path) -> None:
    define("users_own", lambda x: x + 1.0, kind="pointwise", dtype="same", batch="pointwise")
    x = make_input("x", (3,), F)
    try:
        graph = Graph((x,), (make("users_own", x),))
        with pytest.raises(NotPortable, match="users_own"):
            plain(graph)
        made = [remembered("test", graph, lambda: 1, lambda n: n, lambda n: -n) for _ in range(2)]
        assert made == [1, 1]
    finally:
        del OPERATORS["users_own"]
    with pytest.raises(NotPortable, match="function"):
        plain((1, lambda x: x))
    with pytest.raises(NotPortable, match="float64"):
        plain(__import__("numpy").float64(1.0))


def test_a_changed_distribution_is_noticed(folder: Path) -> None:
    """The key is the density that a distribution wrote, not its name."""

    def value(offset: float) -> float:
        class Mine(Normal):
            def log_prob(self, value: torch.Tensor) -> torch.Tensor:
                return super().log_prob(value) + offset

        @ppl.model
        def m() -> None:
            ppl.sample("x", Mine(0.0, 1.0))

        return float(ppl.compile(m()).value_and_grad(torch.zeros(1, dtype=F))[0])

    assert value(1.0) - value(0.0) == pytest.approx(1.0)


# ---------------------------------------------------------------- on disk


def numbers(folder: Path) -> tuple[list[int], Any]:
    calls: list[int] = []

    def ask() -> int:
        def make() -> int:
            calls.append(1)
            return 7

        return remembered("test", scaled(0.25), make, lambda n: (n, "kept"), lambda kept: kept[0])

    return calls, ask


def test_it_is_made_once(folder: Path) -> None:
    calls, ask = numbers(folder)
    assert [ask(), ask()] == [7, 7]
    assert len(calls) == 1


def test_a_damaged_entry_is_made_again(folder: Path) -> None:
    calls, ask = numbers(folder)
    ask()
    (entry,) = folder.iterdir()
    entry.write_bytes(entry.read_bytes()[:-3] + b"abc")
    assert [ask(), ask()] == [7, 7]
    assert len(calls) == 2


def test_without_a_cache_it_is_made_every_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPL_CACHE", "off")
    calls, ask = numbers(folder)
    assert [ask(), ask()] == [7, 7]
    assert len(calls) == 2
    assert disk.folder() is None


def test_what_can_not_be_kept_is_given_all_the_same(folder: Path) -> None:
    given = remembered("test", scaled(0.75), lambda: print, lambda f: (f,), lambda kept: kept[0])
    assert given is print
    assert not folder.exists() or not list(folder.iterdir())


def test_no_node_is_forgotten() -> None:
    assert set(Node.__slots__) - {"__weakref__"} == {"op", "args", "attrs", "mark", "type", "plates", "outs"}
