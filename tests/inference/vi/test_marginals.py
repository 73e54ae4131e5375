"""Marginals by importance sampling: estimates are unbiased where they say so, no entropy is lost, and gradients are
those of what is estimated.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from inference.vi.laws import (
    DRAWS,
    M,
    S,
    T,
    agree,
    backwards,
    by_importance,
    log_normal,
    near,
    noisy,
    roughly,
    roughly_too,
    standard,
)

import ppl
from ppl.distributions import Normal
from ppl.std.objectives import elbo, iwelbo

NESTED = ppl.importance(particles=2)
PROPOSALS: dict[str, Any] = {
    "prior": None,
    "rough": lambda z: roughly(z["x"]),
    "marginal": lambda z: ppl.marginal(roughly_too(z["x"]), keep="u", by=NESTED),
}


def exact_elbo() -> tuple[float, dict[str, float]]:
    """E log N(x; 0, 1) + the entropy of N(m, s² + t²), and its gradient."""
    v = S * S + T * T
    return -0.5 * (v + M * M) + 0.5 * math.log(v) + 0.5, {
        "m": -M,
        "s": -S + S / v,
        "t": -T + T / v,
    }


@pytest.mark.parametrize("grad", ("reparam", "score"))
def test_one_particle_of_the_prior_gives_the_conditional_entropy(grad):
    value, grads = ppl.value_and_grad(elbo)(standard(), by_importance(None, 1, grad), draws=DRAWS)
    near(value, -0.5 * (S * S + T * T + M * M) + math.log(S) + 0.5)
    near(grads["m"], -M)
    near(grads["s"], -S + 1 / S)
    near(grads["t"], -T)


def test_the_exact_proposal_gives_the_exact_entropy_with_one_particle_or_two():
    exact, slope = exact_elbo()
    for particles in (1, 2):
        law = by_importance(lambda z: backwards(z["x"]), particles)
        value, grads = ppl.value_and_grad(elbo)(standard(), law, draws=DRAWS)
        near(value, exact)
        for name in slope:  # the bound is tight, so the proposal's own gradient is zero in expectation
            near(grads[name], slope[name])
            near(grads[f"{name}_r"], 0.0)


def test_the_density_of_a_marginal_by_the_exact_proposal_is_exact_at_every_draw():
    @ppl.objective
    def gap(q):
        z = ppl.simulate(q)
        exact = -0.5 * (z["x"] - M) ** 2 / (S * S + T * T) - 0.5 * math.log(2 * math.pi * (S * S + T * T))
        elsewhere = ppl.log_density(q, {"x": z["x"]})
        return torch.abs(z.log_density - exact) + torch.abs(elsewhere - exact)

    found = ppl.estimate(gap)(by_importance(lambda z: backwards(z["x"]), 3), draws=100)
    assert found.value < 1e-12


def test_bounds_of_marginals_tighten_with_the_particles():
    exact, _ = exact_elbo()
    found = [ppl.estimate(elbo)(standard(), by_importance(None, k), draws=20_000) for k in (1, 4, 64)]
    for looser, tighter in itertools.pairwise(found):
        assert looser.value < tighter.value - 3 * looser.standard_error
    assert abs(found[-1].value - exact) < 0.02 + 4 * found[-1].standard_error


@pytest.mark.parametrize("proposal", PROPOSALS)
@pytest.mark.parametrize("particles", (1, 3))
def test_estimates_of_a_density_are_unbiased_and_so_are_their_reciprocals(proposal, particles):
    law = by_importance(PROPOSALS[proposal], particles)

    @ppl.objective
    def elsewhere(q):
        return torch.exp(ppl.log_density(q, {"x": 0.3}))

    @ppl.objective
    def reciprocal(q):  # E[h(x) / q̂(x)] = ∫ h
        z = ppl.simulate(q)
        return torch.exp(
            -0.5 * ((z["x"] - M) / 0.4) ** 2 - math.log(0.4 * math.sqrt(2 * math.pi)) - z.log_density
        )

    value, grads = ppl.value_and_grad(elsewhere)(law, draws=DRAWS)
    v = S * S + T * T
    density = float(log_normal(0.3, M, math.sqrt(v)).exp())
    near(value, density)
    near(grads["m"], density * (0.3 - M) / v)
    near(grads["s"], density * ((0.3 - M) ** 2 / v - 1) * S / v)
    value, grads = ppl.value_and_grad(reciprocal)(law, draws=DRAWS)
    near(value, 1.0)
    near(grads["m"], 0.0)
    near(grads["t"], 0.0)


def test_score_and_reparameterisation_agree_in_particles_of_an_objective():
    found = [
        ppl.value_and_grad(iwelbo)(standard(), by_importance(None, 3, grad), K=3, draws=DRAWS, seed=seed)
        for seed, grad in enumerate(("reparam", "score"))
    ]
    agree(found[0][0], found[1][0])
    for name in ("m", "s", "t"):
        agree(found[0][1][name], found[1][1][name])


def test_a_marginal_of_another_program_does_not_know_what_was_drawn():
    """Only the very law that drew z knows its u; to another one z comes from elsewhere."""
    q = noisy()
    law, again, other = (ppl.marginal(b, keep=["x"], by=ppl.importance(particles=1)) for b in (q, q, noisy()))

    @ppl.objective
    def reciprocal(p, q):
        z = ppl.simulate(p)
        return log_h(z["x"]) - ppl.log_density(q, z)

    def log_h(x: Any) -> Any:
        return torch.zeros_like(x)

    near(
        ppl.value_and_grad(reciprocal)(law, again, draws=DRAWS)[0],
        math.log(S) + 0.5 + 0.5 * math.log(2 * math.pi),
    )
    # With an independent u the squared distance is s² + 2 t².
    expected = math.log(S) + 0.5 + T * T / (S * S) + 0.5 * math.log(2 * math.pi)
    near(ppl.value_and_grad(reciprocal)(law, other, draws=DRAWS)[0], expected)


def test_a_hidden_choice_in_a_scan_is_estimated():
    """A random walk seen in noise: the density of three sights of it."""

    @ppl.model
    def walk():
        def step(at, t):
            at = ppl.sample("u", Normal(at, 1.3))
            ppl.sample("x", Normal(at, 0.7))
            return at

        ppl.scan("time", step, torch.zeros(()), length=3)

    @ppl.objective
    def elsewhere(m):
        return torch.exp(ppl.log_density(m, {"x": torch.tensor([0.1, 0.4, -0.2])}))

    value, _ = ppl.value_and_grad(elsewhere)(
        ppl.marginal(walk(), keep="x", by=ppl.importance(particles=4)), draws=DRAWS
    )
    steps = torch.ones(3, 3, dtype=torch.float64).tril()
    covariance = 1.69 * steps @ steps.T + 0.49 * torch.eye(3, dtype=torch.float64)
    x = torch.tensor([0.1, 0.4, -0.2], dtype=torch.float64)
    exact = torch.distributions.MultivariateNormal(torch.zeros(3, dtype=torch.float64), covariance)
    near(value, exact.log_prob(x).exp())
