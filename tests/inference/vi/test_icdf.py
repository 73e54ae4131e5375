"""Reparameterisation through the inverse cdf: one uniform number for one number, for wrapped families too."""

from __future__ import annotations

import pytest
import torch
from inference.vi.subjects import expectation, near, smooth

import ppl
from ppl.distributions import Bernoulli, Gamma, Independent, Laplace, Normal, Truncated, Weibull
from ppl.errors import MethodError
from ppl.inference.vi.compiled import CompiledObjective

DRAWS = 100_000


@ppl.objective
def of_x(q):
    return smooth(ppl.simulate(q)["x"]).sum()


def test_independent_elements_move_each_through_its_own_quantile():
    at = torch.tensor([0.2, -1.0], dtype=torch.float64)

    @ppl.guide
    def q():
        ppl.sample("x", Independent(Laplace(ppl.param("m", at), 0.8), 1), grad="icdf")

    m = at.clone().requires_grad_()
    total = sum(expectation(Laplace(m[i], torch.tensor(0.8, dtype=torch.float64)), smooth) for i in range(2))
    _, grads = ppl.value_and_grad(of_x)(q(), draws=DRAWS)
    near(grads["m"], torch.autograd.grad(total, m)[0])


def test_its_noise_is_uniform_and_nothing_else():
    """x = λ (−log(1 − u))^(1/k): ∂x/∂λ is x / λ, and x has the law of the family."""

    @ppl.guide
    def q():
        ppl.sample("x", Weibull(ppl.param("scale", 1.3), 1.7), grad="icdf")

    @ppl.objective
    def itself(q):
        return ppl.simulate(q)["x"]

    graph = CompiledObjective(itself(q())).estimator.graph
    drawn = [n.attr("site").spec.cls.__name__ for n in graph.nodes() if n.op == "sample"]
    assert drawn == ["Uniform"]
    value, grads = ppl.value_and_grad(itself)(q(), draws=1000)
    torch.testing.assert_close(grads["scale"], value / 1.3)


@pytest.mark.parametrize(
    ("d", "reason"),
    (
        (lambda p: Bernoulli(p), "its values are discrete"),
        (lambda p: Gamma(p, 1.0), "Gamma has no inverse cdf"),
        (lambda p: Independent(Gamma(p.expand(2), 1.0), 1), "has no inverse cdf"),
        (lambda p: Truncated(Normal(p, 1.0), low=0.1), "the inverse cdf of Truncated can't be recorded"),
    ),
)
def test_families_without_an_inverse_cdf_are_refused(d, reason):
    @ppl.guide
    def q():
        ppl.sample("x", d(ppl.param("p", 0.4)), grad="icdf")

    with pytest.raises(MethodError, match=f"not sound for 'x': .*{reason}"):
        ppl.value_and_grad(of_x)(q())
