"""Graphs that become many short loops: when the native engine leaves vectors out, and that the values stay."""

from __future__ import annotations

import pytest
import torch
from compiler.checks import all_same

from ppl.compiler.engines.native import NativeProgram
from ppl.compiler.engines.native.writer import Writer
from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph
from ppl.compiler.ops import make, make_input

F = torch.float64


def written(short: int, around: int = 1) -> Writer:
    """A text of loops of four steps, ten lines each, in a loop of `around` steps."""
    writer = Writer()
    with writer.loop(around):
        for _ in range(short):
            with writer.loop(4):
                for _ in range(10):
                    writer.line("pass")
    return writer


def test_many_short_loops_are_not_vectorised() -> None:
    assert written(64).vectorise
    assert not written(65).vectorise
    assert not written(65, around=1000).vectorise


@pytest.mark.parametrize(("lines", "vectorise"), ((1, False), (3, True)))
def test_long_inner_loops_decide_by_their_share_of_the_work(lines: int, vectorise: bool) -> None:
    """65 · 4 · 10 statements against 100 or 300; a sixteenth of all decides."""
    writer = written(65)
    with writer.loop(100):
        for _ in range(lines):
            writer.line("pass")
    assert writer.vectorise is (lines * 100 > (2600 + lines * 100) / 16) is vectorise


def test_special_functions_count_and_loops_whose_steps_wait_do_not() -> None:
    for sequential in (False, True):
        writer = written(65)
        with writer.loop(100, sequential=sequential):
            writer.line(f"x = {writer.use('exp', writer.level)}(x)")
        assert writer.vectorise is not sequential


@pytest.mark.parametrize(("n", "vectorise"), ((8, False), (9, True)))
def test_routines_on_more_than_a_few_numbers_are_vectorised(n: int, vectorise: bool) -> None:
    writer = written(65)
    writer.routine("cholesky", [n])
    assert writer.vectorise is vectorise


@pytest.mark.parametrize("points", (0, 5000))
def test_a_chain_of_small_systems(points: int) -> None:
    """S ← A S Aᵀ / 2 + I, thirty times, then L Lᵀ = S and log |S|; with many exponentials beside it, or without."""
    A, x = make_input("A", (3, 3), F, (), "flat"), make_input("x", (points,), F)
    S, eye = A, make_input("I", (3, 3), F)
    for _ in range(30):
        moved = make("matmul", make("matmul", A, S), make("permute", A, dims=(1, 0)))
        S = make("add", make("mul", moved, 0.5), eye)
    factor = make("cholesky", S)
    outputs = [factor, make("solve_triangular", factor, S, upper=False, unitriangular=False)]
    outputs.append(make("log", make("sum", make("mul", factor, factor), dims=(0, 1), keepdim=False)))
    if points:
        outputs.append(make("sum", make("exp", x), dims=(0,), keepdim=False))
    program = NativeProgram(Graph((A, x, eye), tuple(outputs)))
    assert program.code.source.vectorise is (points > 0)
    A0 = 0.4 * torch.tensor([[1.0, 0.3, -0.2], [0.3, 0.8, 0.1], [-0.2, 0.1, 1.2]], dtype=F)
    values = [A0, torch.linspace(-1.0, 1.0, points, dtype=F), torch.eye(3, dtype=F)]
    expected = compile_torch(program.graph)(*values)
    all_same(program(*values), expected, "compiled")
    all_same(program.plain(*values), expected, "plain")
