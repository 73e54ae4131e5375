"""Objectives made of several expectations: sums, products over independent draws, nested ones, and logs of means."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from inference.vi.subjects import near
from inference.vi.test_gradients import DRAWS
from torch import Tensor

import ppl
from ppl.distributions import Bernoulli, Normal
from ppl.errors import PplError

F = torch.float64
PARTICLES = 3


def leaves(*values: float) -> list[Tensor]:
    return [torch.tensor(v, dtype=F, requires_grad=True) for v in values]


def normal(grad):
    @ppl.guide
    def q():
        return ppl.sample("x", Normal(ppl.param("m", 0.3), ppl.param("s", 0.8)), grad=grad)

    return q()


def coin(grad):
    @ppl.guide
    def q():
        return ppl.sample("k", Bernoulli(logits=ppl.param("a", -0.2)), grad=grad)

    return q()


def compare(objective, programs, exact, params: str, values) -> None:
    found, grads = ppl.value_and_grad(objective)(*programs, draws=DRAWS)
    near(found, exact.detach())
    for name, slope in zip(params, torch.autograd.grad(exact, values), strict=True):
        near(grads[name], slope)


PAIRS = [("reparam", "enum"), ("score", "score"), ("mvd", "mvd"), ("reparam", "rebar"), ("auto", "auto")]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_sum_of_expectations(one, other):
    """E x² + 3 E k."""

    @ppl.objective
    def f(q, r):
        return ppl.simulate(q).value ** 2 + 3.0 * ppl.simulate(r).value

    m, s, a = leaves(0.3, 0.8, -0.2)
    compare(f, (normal(one), coin(other)), m * m + s * s + 3.0 * torch.sigmoid(a), "msa", (m, s, a))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_product_of_expectations_over_independent_draws(one, other):
    """E sin x · E (1 + k) · E x, of two draws of x."""

    @ppl.objective
    def f(q, r):
        return torch.sin(ppl.simulate(q).value) * (1.0 + ppl.simulate(r).value) * ppl.simulate(q).value

    m, s, a = leaves(0.3, 0.8, -0.2)
    exact = torch.sin(m) * torch.exp(-s * s / 2) * (1.0 + torch.sigmoid(a)) * m
    compare(f, (normal(one), coin(other)), exact, "msa", (m, s, a))


@pytest.mark.parametrize("grad", ("reparam", "score", "mvd", "auto"))
def test_a_nested_expectation(grad):
    """E_x[x · E_y[y | x]] with y ~ N(x + c, s²): E x² + c E x."""

    @ppl.guide
    def inner(x):
        return ppl.sample("y", Normal(x + ppl.param("c", 0.4), 0.5), grad=grad)

    @ppl.objective
    def f(q):
        x = ppl.simulate(q).value
        for _ in (particles := ppl.plate("inner", PARTICLES)):
            y = ppl.simulate(inner(x)).value
        return x * particles.gather(y).mean()

    m, s, c = leaves(0.3, 0.8, 0.4)
    compare(f, (normal(grad),), m * m + s * s + c * m, "msc", (m, s, c))
    assert not ppl.explain(f(normal(grad))).curved


@pytest.mark.parametrize("grad", ("score", ppl.Score(baseline="none"), "auto"))
def test_the_log_of_a_mean_of_coins(grad):
    """E log (mean of 3 weights of 1 or 4), over all 8 combinations."""

    @ppl.objective
    def f(q):
        for _ in (particles := ppl.plate("particle", PARTICLES)):
            w = 1.0 + 3.0 * ppl.simulate(q).value
        return torch.log(particles.gather(w).mean())

    (a,) = leaves(-0.2)
    p = torch.sigmoid(a)
    exact = torch.zeros((), dtype=F)
    for ks in itertools.product((0, 1), repeat=PARTICLES):
        heads = sum(ks)
        exact = exact + p**heads * (1 - p) ** (PARTICLES - heads) * math.log(1 + 3 * heads / PARTICLES)
    compare(f, (coin(grad),), exact, "a", (a,))
    assert float(exact.detach()) < math.log(1 + 3 * float(p.detach())) - 0.05


def grid() -> tuple[Tensor, Tensor]:
    """Points and weights of the standard normal."""
    e = torch.linspace(-8, 8, 801, dtype=F)
    w = torch.exp(-e * e / 2)
    return e, w / w.sum()


@pytest.mark.parametrize("grad", ("reparam", "score"))
def test_the_log_of_a_mean_of_exponentials(grad):
    """E log (½ (eˣ + eʸ)) by quadrature over both."""

    @ppl.objective
    def f(q):
        for _ in (particles := ppl.plate("particle", 2)):
            x = ppl.simulate(q).value
        return torch.logsumexp(particles.gather(x), 0) - math.log(2.0)

    m, s = leaves(0.3, 0.8)
    e, w = grid()
    x = m + s * e
    exact = (w[:, None] * w * (torch.logaddexp(x[:, None], x) - math.log(2.0))).sum()
    compare(f, (normal(grad),), exact, "ms", (m, s))


def test_a_mean_inside_a_function_is_not_enumerated_by_the_particle():
    @ppl.objective
    def f(q):
        for _ in (particles := ppl.plate("particle", PARTICLES)):
            w = 1.0 + ppl.simulate(q).value
        return torch.log(particles.gather(w).mean())

    for grad in ("enum", "mvd"):
        with pytest.raises(PplError, match="not a sum"):
            ppl.value_and_grad(f)(coin(grad))


def test_the_bias_of_a_function_of_a_mean_is_stated():
    def objective(function):
        @ppl.objective
        def f(q):
            for _ in (particles := ppl.plate("particle", 10)):
                x = ppl.simulate(q).value
            return function(particles.gather(x))

        return f(normal("reparam"))

    (log,) = ppl.explain(objective(lambda x: torch.log(torch.exp(x).mean()))).curved
    (lse,) = ppl.explain(objective(lambda x: torch.logsumexp(x, 0))).curved
    (square,) = ppl.explain(objective(lambda x: (x.sum() / 10) ** 2)).curved
    assert (log.plate.name, log.side, lse.side, square.side) == ("particle", "below", "below", None)
    said = " ".join(str(ppl.explain(objective(lambda x: torch.log(torch.exp(x).mean())))).split())
    assert "log of a mean w over particle (10): its expectation lies below log E[w]" in said
    assert "Var(w) / (20 E[w]²)" in said
    assert not ppl.explain(objective(lambda x: (x**2).mean())).curved
