"""Subprograms and handlers of the interpreter, against densities written out by hand."""

import math

import numpy as np
import pytest
import torch

import ppl
from ppl.distributions import (
    Categorical,
    Gamma,
    LogNormal,
    Normal,
    Poisson,
)
from ppl.language.gfi import generate, log_density, simulate
from ppl.language.reparam import NonCentered

from .by_hand import DTYPE, SIGMA, Y, close, normal, schools, t

# ---------------------------------------------------------------- subprograms and handlers


@ppl.model
def part(loc):
    x = ppl.sample("x", Normal(loc, 1.0))
    ppl.deterministic("twice", 2 * x)
    return x


@ppl.model
def whole():
    a = ppl.sample("a", part(0.0))
    return ppl.sample("b", part(a).condition(x=3.0))


def test_subprograms_nest_under_their_name() -> None:
    trace = simulate(whole())
    assert set(trace) == {"a/x", "a/twice", "b/x", "b/twice"} and float(trace.value) == 3.0
    close(log_density(whole(), {"a/x": 1.0}), normal(1.0) + normal(3.0, 1.0))
    close(log_density(whole().condition({"a/x": 2.0}), {}), normal(2.0) + normal(3.0, 2.0))


def test_do_fixes_without_density() -> None:
    bound = schools(SIGMA).do(tau=0.5).condition(y=Y)
    theta = t(0.1, 0.2, 0.3)
    close(
        log_density(bound, {"mu": 1.0, "theta": theta}),
        normal(1.0, 0, 5) + normal(theta, 1.0, 0.5) + normal(Y, theta, SIGMA),
    )
    trace = simulate(bound)
    assert float(trace["tau"]) == 0.5 and "tau" in trace.deterministics and "tau" not in trace.choices


def test_mask_leaves_elements_out() -> None:
    theta, keep = t(0.1, 0.2, 0.3), np.array([True, False, True])
    choices = {"mu": 0.0, "tau": 1.0, "theta": theta}
    full = log_density(schools(SIGMA).condition(y=Y), choices)
    close(
        log_density(schools(SIGMA).condition(y=Y).mask(y=keep), choices),
        full - normal(Y[1], theta[1], SIGMA[1]),
    )
    close(log_density(schools(SIGMA).condition(y=Y).mask(False), choices), 0.0)

    @ppl.model
    def vector():
        for _ in ppl.plate("i", 2):
            ppl.sample("x", Normal(0.0, 1.0).expand([3]))

    x = torch.randn(2, 3, dtype=DTYPE)
    close(log_density(vector().mask(x=keep), {"x": x}), normal(x[:, keep]))
    full_mask = torch.tensor([[True, False, False], [True, True, False]])
    close(log_density(vector().mask(x=full_mask), {"x": x}), normal(x[full_mask]))
    rows = torch.tensor([[True], [False]])
    close(log_density(vector().mask(x=rows), {"x": x}), normal(x[0]))


def test_a_masked_element_may_be_impossible() -> None:
    @ppl.model
    def m():
        ppl.sample("x", Poisson(2.0).expand([2]))

    close(log_density(m().mask(x=np.array([True, False])), {"x": t(0.0, -1.0)}), -2.0)
    assert float(log_density(m(), {"x": t(0.0, -1.0)})) == -math.inf


def test_scale_multiplies() -> None:
    theta = t(0.1, 0.2, 0.3)
    choices = {"mu": 0.0, "tau": 1.0, "theta": theta}
    bound = schools(SIGMA).condition(y=Y)
    close(log_density(bound.scale(0.5), choices), 0.5 * log_density(bound, choices))
    close(log_density(bound.scale(y=3.0), choices), log_density(bound, choices) + 2 * normal(Y, theta, SIGMA))
    weights = np.array([1.0, 2.0, 0.0])
    expected = log_density(bound, choices) + sum(
        (w - 1) * normal(y, a, s) for w, y, a, s in zip(weights, Y, theta, SIGMA, strict=True)
    )
    close(log_density(bound.scale(y=weights), choices), expected)
    # Once also for a site that is reparametrised.
    inner = {"mu": 0.0, "tau": 1.0, "theta_base": theta}
    close(log_density(bound.reparam().scale(0.5), inner), 0.5 * log_density(bound.reparam(), inner))
    close(log_density(bound.scale(0.5).reparam(), inner), 0.5 * log_density(bound.reparam(), inner))


def test_factors_count_once_per_element() -> None:
    @ppl.model
    def m():
        for j in ppl.plate("j", 4):
            ppl.factor("f", 0.5 * j)

    close(log_density(m(), {}), 3.0)
    close(log_density(m().mask(f=np.array([True, True, False, True])).scale(f=2.0), {}), 4.0)
    assert simulate(m()).log_densities.keys() == {"f"}


def test_non_centring_keeps_the_joint_law() -> None:
    """p(θ) dθ = p(ε) dε with θ = μ + τ ε: log densities differ by log τ for each element."""
    eps, mu, tau = t(0.5, -1.0, 2.0), 1.0, 3.0
    bound = schools(SIGMA).condition(y=Y)
    centred = log_density(bound, {"mu": mu, "tau": tau, "theta": mu + tau * eps})
    for again in (bound.reparam(theta=NonCentered()), bound.reparam()):
        found = log_density(again, {"mu": mu, "tau": tau, "theta_base": eps})
        close(found, centred + 3 * math.log(tau))
    trace, _ = generate(bound.reparam(), {"mu": mu, "tau": tau, "theta_base": eps})
    assert torch.allclose(trace["theta"], mu + tau * eps) and "theta" in trace.deterministics


def test_automatic_non_centring_follows_dependence_only() -> None:
    @ppl.model
    def m(loc):
        a = ppl.sample("a", Normal(loc, 1.0))
        k = ppl.sample("k", Categorical(torch.ones(2)))
        for _ in ppl.plate("i", 2):
            ppl.sample("b", LogNormal(torch.stack([a, a])[0] * 0.5, 1.0))
        ppl.sample("c", Normal(torch.tensor([0.0, 1.0])[k], 1.0))
        ppl.sample("d", Normal(0.0 * loc, 2.0))
        ppl.sample("e", Gamma(torch.exp(a), 1.0))
        ppl.sample("y", Normal(a, 1.0))

    names = simulate(m(2.0).reparam().condition(y=1.0)).latents.keys()
    assert set(names) == {"a", "k", "b_base", "c_base", "d", "e"}


def test_block_hides_a_site() -> None:
    bound = schools(SIGMA).condition(y=Y).block("theta")
    trace = simulate(bound, seed=2)
    assert "theta" not in trace and set(trace.choices) == {"mu", "tau", "y"}
    with pytest.raises(ppl.PplError, match="hidden random choice"):
        log_density(bound, {"mu": 0.0, "tau": 1.0})
    known = schools(SIGMA).condition(theta=t(1, 2, 3)).block("theta").condition(y=Y)
    close(
        log_density(known, {"mu": 0.0, "tau": 1.0}),
        normal(0, 0, 5) + normal(1, 0, 5) + math.log(2) + normal(Y, [1, 2, 3], SIGMA),
    )
