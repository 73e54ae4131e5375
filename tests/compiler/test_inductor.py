"""The inductor engine computes what the torch engine does, and says so when it leaves a graph to it."""

import os
import shutil
import warnings

import pytest
import torch

import ppl
from ppl.compiler.engines import check_engine, choose
from ppl.compiler.engines.inductor import EngineNotice, compile_inductor
from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph
from ppl.compiler.ops import make, make_input
from ppl.distributions import HalfNormal, Normal

compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
needs_compiler = pytest.mark.skipif(
    compiler is None, reason="inductor on a CPU needs a C++ compiler (g++ or clang++)"
)


@ppl.model
def regression(x: torch.Tensor) -> None:
    beta = ppl.sample("beta", Normal(torch.zeros(x.shape[1]), 1.0))
    sigma = ppl.sample("sigma", HalfNormal(1.0))
    ppl.sample("y", Normal(x @ beta, sigma))


@pytest.mark.slow
@needs_compiler
def test_value_and_gradient_equal_those_of_the_torch_engine() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    bound = regression(x).condition(y=x.sum(1))
    points = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    expected = ppl.compile(bound).value_and_grad(points)
    with warnings.catch_warnings():
        warnings.simplefilter("error", EngineNotice)  # falling back would prove nothing
        found = ppl.compile(bound, engine="inductor").value_and_grad(points)
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_graphs_with_regions_go_to_the_torch_engine_with_one_notice() -> None:
    @ppl.model
    def walk() -> None:
        ppl.scan("time", lambda z, t: 0.5 * z + ppl.sample("e", Normal(z, 1.0)), torch.zeros(()), length=3)

    compiled = ppl.compile(walk(), engine="inductor")
    with pytest.warns(EngineNotice, match=r"'scan' \(time\).*the torch engine runs it") as notices:
        value = compiled.log_density(torch.zeros(3))
    assert len([n for n in notices if n.category is EngineNotice]) == 1
    torch.testing.assert_close(value, ppl.compile(walk()).log_density(torch.zeros(3)))


def test_draws_go_to_the_torch_engine_and_are_the_same() -> None:
    bound = regression(torch.eye(2))
    with pytest.warns(EngineNotice, match="'draw'"):
        found = ppl.compile(bound, engine="inductor").sampler(3, 5)
    expected = ppl.compile(bound).sampler(3, 5)
    assert all(torch.equal(expected[k], found[k]) for k in expected)


def test_what_torch_compile_refuses_runs_on_the_torch_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.exc import Unsupported

    def refusing(*_: object, **__: object) -> object:
        def call(*_: object) -> object:
            raise Unsupported("no such luck")

        return call

    monkeypatch.setattr(torch, "compile", refusing)
    x = make_input("x", (3,), torch.float64)
    graph = Graph((x,), (make("exp", x),))
    program = compile_inductor(graph)
    value = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    with pytest.warns(EngineNotice, match="no such luck"):
        first = program(value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = program(value)  # said once
    assert torch.equal(first[0], second[0]) and torch.equal(first[0], compile_torch(graph)(value)[0])


def test_the_engine_is_known_by_name() -> None:
    x = make_input("x", (), torch.float64)
    graph = Graph((x,), (x,))
    assert choose("inductor", lambda: graph, "cpu", torch.float64)[0].name == "inductor"
    with pytest.raises(ppl.PplError, match="no engine 'inducter'"):
        check_engine("inducter")
