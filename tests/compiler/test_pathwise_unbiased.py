"""Pathwise gradients of expectations against closed forms and quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from compiler.checks import cotangents_of, differentiated, plated
from compiler.pathwise_subject import Subject
from torch import Tensor

from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Plate
from ppl.compiler.passes.vectorise import vectorise
from ppl.distributions import (
    Beta,
    Categorical,
    Dirichlet,
    Distribution,
    Gamma,
    MixtureSameFamily,
    Normal,
    StudentT,
    VonMises,
)

Formula = Callable[..., Tensor]


def check_unbiased(
    d: Distribution,
    f: Formula,
    expectation: Callable[[Distribution], Tensor],
    count: int = 100_000,
    chunk: int = 10_000,
) -> None:
    """The mean over draws of d f(x)/dθ against the derivative of E f(x), within four standard errors."""
    subject = Subject.of(d)
    leaves = [t.clone().requires_grad_() for t in subject.tensors]
    known = torch.autograd.grad(expectation(subject.distribution(leaves)), leaves, allow_unused=True)
    exact = [torch.zeros_like(t) if g is None else g for g, t in zip(known, leaves, strict=True)]
    draws = Plate(0, "draws", chunk)
    graph = plated(subject.sampler.value, [(draws,)] * len(subject.sampler.value.inputs))
    wrt = [n for n in graph.inputs if n.attr("role") != "noise"]
    both = compile_torch(vectorise(differentiated(graph, wrt, cotangents_of(graph))))
    rows: list[list[Tensor]] = []
    for _ in range(count // chunk):
        repeated = [t.expand(chunk, *t.shape) for t in subject.tensors]
        noise = subject.noise((chunk,))
        x = both(*repeated, *noise, torch.zeros(chunk, *subject.shape))[0].requires_grad_()
        (slope,) = torch.autograd.grad(f(x).sum(), x)
        rows.append(
            [
                g.expand(chunk, *t.shape)
                for g, t in zip(both(*repeated, *noise, slope)[1:], subject.tensors, strict=True)
            ]
        )
    for column, expected in zip(zip(*rows, strict=True), exact, strict=True):
        per_draw = torch.cat(column)
        error = per_draw.std(0) / math.sqrt(len(per_draw))
        gap = (per_draw.mean(0) - expected).abs()
        assert bool((gap <= 4 * error + 1e-9).all()), f"{d}: {per_draw.mean(0)} ± {error}, exact {expected}"


def second_moment(d: Any) -> Tensor:
    return (d.variance + d.mean**2).sum()


@pytest.mark.parametrize("concentration", [0.3, 2.5, 60.0])
def test_gamma_is_unbiased(concentration: float) -> None:
    check_unbiased(Gamma(torch.tensor(concentration), torch.tensor(0.5)), lambda x: x**2, second_moment)


@pytest.mark.parametrize(("a", "b"), [(2.0, 3.5), (0.6, 0.8)])
def test_beta_is_unbiased(a: float, b: float) -> None:
    check_unbiased(Beta(torch.tensor(a), torch.tensor(b)), lambda x: x**2, second_moment)


def test_dirichlet_is_unbiased() -> None:
    """E x₀ x₁ = α₀ α₁ / (A (A + 1)), E x₂² = α₂ (α₂ + 1) / (A (A + 1))."""

    def expectation(d: Any) -> Tensor:
        a = d.concentration
        return (a[0] * a[1] + a[2] * (a[2] + 1)) / (a.sum() * (a.sum() + 1))

    d = Dirichlet(torch.tensor([0.7, 2.0, 3.0]))
    check_unbiased(d, lambda x: x[..., 0] * x[..., 1] + x[..., 2] ** 2, expectation)


def test_student_t_is_unbiased() -> None:
    def expectation(d: Any) -> Tensor:
        return d.scale**2 * d.df / (d.df - 2) + d.loc**2

    check_unbiased(
        StudentT(torch.tensor(9.0), torch.tensor(0.5), torch.tensor(1.5)), lambda x: x**2, expectation
    )


def test_von_mises_is_unbiased() -> None:
    """For a function that jumps at ±π too, since mass that leaves at one end enters at the other."""

    def expectation(d: Any) -> Tensor:
        x = torch.linspace(-math.pi, math.pi, 20_001)
        return torch.trapezoid(f(x) * d.log_prob(x).exp(), x)

    def f(x: Tensor) -> Tensor:
        return x + torch.cos(2 * x)

    check_unbiased(VonMises(torch.tensor(0.5), torch.tensor(1.5)), f, expectation, count=20_000, chunk=2000)


def test_a_normal_mixture_is_unbiased() -> None:
    def expectation(d: Any) -> Tensor:
        m, s = d.component_distribution.loc, d.component_distribution.scale
        return (torch.softmax(d.mixture_distribution.logits, -1) * (m**3 + 3 * m * s**2)).sum()

    mixing = Categorical(torch.tensor([0.3, 0.5, 0.2]))
    d = MixtureSameFamily(mixing, Normal(torch.tensor([-1.0, 0.5, 2.0]), torch.tensor([0.7, 1.0, 0.8])))
    check_unbiased(d, lambda x: x**3, expectation)
