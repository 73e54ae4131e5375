"""Normalised programs: exact ones against enumeration, resampling against the importance-weighted bound."""

from __future__ import annotations

import math

import pytest
import torch
from inference.vi.laws import (
    DRAWS,
    M,
    S,
    T,
    Y,
    agree,
    by_importance,
    coins,
    coins_posterior,
    log_normal,
    near,
    roughly,
)

import ppl
from ppl.distributions import Normal
from ppl.std.objectives import elbo, iwelbo


def test_a_normalised_program_is_drawn_and_scored_exactly():
    law = ppl.normalize(coins().condition(y=Y))

    @ppl.objective
    def statistics(law):
        z = ppl.simulate(law)
        return z["k"] * (1.0 + z["c"][0] + 3.0 * z["c"][1] * z["c"][2]) + 0.1 * ppl.log_density(law, z)

    value, grads = ppl.value_and_grad(statistics)(law, draws=DRAWS)
    p = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64, requires_grad=True)
    logs, every = coins_posterior(p)
    f = torch.stack([k * (1.0 + c[0] + 3.0 * c[1] * c[2]) for k, c in every]) + 0.1 * logs
    exact = (logs.exp() * f).sum()
    exact.backward()
    near(value, exact.detach())
    near(grads["p"], p.grad)


@ppl.model
def located():
    z = ppl.sample("z", Normal(0.0, 1.0))
    ppl.sample("y", Normal(z, 0.5))


@ppl.guide
def proposal(grad="auto"):
    ppl.sample("z", Normal(ppl.param("loc", 0.4), ppl.param("scale", 0.9)), grad=grad)


POSTERIOR = located().condition(y=1.0)


@pytest.mark.parametrize("grad", ("reparam", "score"))
def test_resampling_from_a_guide_is_the_importance_weighted_bound(grad):
    law = ppl.normalize(POSTERIOR, by=ppl.importance(proposal(grad), particles=4))
    mine = ppl.value_and_grad(elbo)(POSTERIOR, law, draws=DRAWS)
    its = ppl.value_and_grad(iwelbo)(POSTERIOR, proposal("reparam"), K=4, draws=DRAWS, seed=1)
    agree(mine[0], its[0])
    for name in ("loc", "scale"):
        agree(mine[1][name], its[1][name])


def test_the_law_of_resampling_is_normalised_and_its_estimates_are_unbiased():
    law = ppl.normalize(POSTERIOR, by=ppl.importance(proposal(), particles=2))

    @ppl.objective
    def mass(law, h):
        z = ppl.simulate(h)
        return torch.exp(ppl.log_density(law, {"z": z["z"]}) - z.log_density)

    @ppl.objective
    def reciprocal(law):
        z = ppl.simulate(law)
        return torch.exp(-0.5 * ((z["z"] - 0.5) / 0.3) ** 2 - z.log_density) / (0.3 * math.sqrt(2 * math.pi))

    @ppl.guide
    def wide():
        ppl.sample("z", Normal(0.5, 1.2))

    near(ppl.value_and_grad(mass)(law, wide(), draws=DRAWS)[0], 1.0)
    value, grads = ppl.value_and_grad(reciprocal)(law, draws=DRAWS)
    near(value, 1.0)
    near(grads["loc"], 0.0)


def test_the_law_of_resampling_depends_on_its_particles():
    """With one particle it is the proposal; what four were weighed by says nothing of it."""
    four, one = (ppl.normalize(POSTERIOR, by=ppl.importance(proposal(), particles=k)) for k in (4, 1))

    @ppl.objective
    def gap(drawn, scored):
        z = ppl.simulate(drawn)
        exact = -0.5 * ((z["z"] - 0.4) / 0.9) ** 2 - math.log(0.9) - 0.5 * math.log(2 * math.pi)
        return torch.abs(ppl.log_density(scored, z) - exact)

    assert ppl.estimate(gap)(four, one, draws=100).value < 1e-12
    assert ppl.estimate(gap)(four, four, draws=100).value > 0.01


def test_many_particles_draw_from_the_posterior():
    @ppl.objective
    def first(law):
        return ppl.simulate(law)["z"]

    @ppl.objective
    def second(law):
        return ppl.simulate(law)["z"] ** 2

    law = ppl.normalize(POSTERIOR, by=ppl.importance(particles=500))  # from the prior
    found = ppl.estimate(first)(law, draws=4000), ppl.estimate(second)(law, draws=4000)
    for estimate, exact in zip(found, (0.8, 0.2 + 0.64), strict=True):  # z | y is N(0.8, 0.2)
        assert abs(estimate.value - exact) < 4 * estimate.standard_error + 0.01


def test_a_normalised_program_is_a_proposal_of_a_marginal():
    """The evidence of x, with u proposed by resampling among draws of the rough proposal."""

    @ppl.model
    def seen(x):
        u = ppl.sample("u", Normal(M, T))
        ppl.observe("x", Normal(u, S), x)

    @ppl.objective
    def elsewhere(q):
        return torch.exp(ppl.log_density(q, {"x": 0.3}))

    law = by_importance(lambda z: ppl.normalize(seen(z["x"]), by=ppl.importance(roughly(z["x"]), 2)), 2)
    near(ppl.value_and_grad(elsewhere)(law, draws=DRAWS)[0], log_normal(0.3, M, math.hypot(S, T)).exp())
