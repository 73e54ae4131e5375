"""Re-rolling programs: unrolled loops become loops, and the program means the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from compiler.unrolled import OTHERS, ROLLED, garch, groups, hidden_markov_in_numbers, scalars
from programs import oracle

import ppl
from ppl.compiler.passes import PASSES
from ppl.compiler.passes.reroll import reroll
from ppl.distributions import Normal, StudentT
from ppl.language.compiled import Compiled

LONG = 20
Program = Callable[..., ppl.Bound]


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def data(n: int) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(n))


def size_of(program: Program, n: int) -> tuple[int, int]:
    """Nodes and inputs of the density and gradient that an engine compiles."""
    ready, _ = Compiled(program(data(n)), engine="torch")._ready("gradient_graph", None)
    return len(ready), len(ready.inputs)


@pytest.mark.parametrize("program", [*ROLLED, *OTHERS], ids=lambda p: p.__name__)
def test_programs_mean_what_the_interpreter_says(program: Program) -> None:
    """Machine code and torch, rolled and not, against the program run statement by statement."""
    bound = program(data(100 if program is groups else LONG))
    compiled = Compiled(bound, engine="torch")
    x = 0.3 * torch.randn(compiled.dim, generator=torch.Generator().manual_seed(1))
    at = x.clone().requires_grad_(True)
    expected = oracle.log_density(compiled, at)
    (slope,) = torch.autograd.grad(expected, at)
    off = tuple(p for p in PASSES if p != "reroll")
    native = Compiled(bound, engine="native", recorded=compiled.recorded)
    plain = Compiled(bound, engine="torch", passes=off, recorded=compiled.recorded)
    assert native.engine.name == "native"
    for one in (compiled, native, plain):
        value, gradient = one.value_and_grad(x)
        torch.testing.assert_close(value, expected.detach(), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(gradient, slope, rtol=1e-9, atol=1e-9)
    assert compiled.rolled and not plain.rolled
    assert len(compiled.gradient_graph) < len(plain.gradient_graph)


SIZED = [pytest.param(p, marks=[pytest.mark.slow] * (p is hidden_markov_in_numbers)) for p in ROLLED]


@pytest.mark.parametrize("program", SIZED, ids=lambda p: p.__name__)
def test_the_size_of_a_program_is_not_that_of_its_data(program: Program) -> None:
    assert size_of(program, 50) == size_of(program, 100)


@pytest.mark.parametrize("program", ROLLED, ids=lambda p: p.__name__)
def test_recurrences_are_found_whole(program: Program) -> None:
    rolled = Compiled(program(data(40)), engine="torch").rolled
    found = [r for r in rolled if r.startswith("recurrence")]
    assert found == [r.format(*range(40, 30, -1)) for r in ROLLED[program]]


def test_groups_and_items_are_rolled_into_each_other() -> None:
    """Ten recurrences become one over ten groups; items are not in the size, nor (but for data) groups."""
    assert size_of(groups, 200) == size_of(groups, 400)


def test_explain_says_what_was_rolled() -> None:
    report = str(ppl.explain(garch(data(30))))
    assert "  rolled    loop of 28, recurrence of 28 steps\n" in report
    assert "rolled" not in str(ppl.explain(garch(data(5))))


def test_different_distributions_are_not_one_loop() -> None:
    @ppl.model
    def program():
        m = ppl.sample("m", Normal(0.0, 1.0))
        families = [Normal(m, 1.0), StudentT(3.0, m, 1.0), ppl.distributions.Cauchy(m, 1.0)]
        for i in range(12):
            ppl.observe(f"y{i}", families[i % 3], 0.1 * i)

    assert not Compiled(program(), engine="torch").rolled


def test_a_graph_with_effects_is_left_alone() -> None:
    recorded = Compiled(scalars(data(20)), engine="torch").recorded.graph
    assert reroll(recorded) is recorded


def test_the_pass_can_be_left_out() -> None:
    off = Compiled(scalars(data(20)), engine="torch", passes=[p for p in PASSES if p != "reroll"])
    assert "reroll" in PASSES
    assert not off.rolled
    assert not any(p.name.startswith("loop") for n in off.graph.nodes() for p in n.plates)
