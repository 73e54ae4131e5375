"""Hidden Markov models: the forward algorithm and the smoothed states against all paths."""

from __future__ import annotations

import itertools

import torch
from closed_form import Values, agrees, normal, real
from torch.distributions import Dirichlet, Exponential, Normal, Poisson

import ppl
from ppl.distributions import InverseGamma

library = ppl.std.hmm
T, K = 4, 3
Y = normal(T, seed=3)
COUNTS = torch.tensor([0, 5, 2, 1])


def paths(initial: torch.Tensor, transition: torch.Tensor, log_emission: torch.Tensor) -> torch.Tensor:
    """log p(y, z) for every path z, [K, …, K]."""
    total = torch.empty([K] * T, dtype=torch.float64)
    for z in itertools.product(range(K), repeat=T):
        p = initial[z[0]] * torch.stack([transition[i, j] for i, j in itertools.pairwise(z)]).prod()
        total[z] = p.log() + sum(log_emission[t, k] for t, k in enumerate(z))
    return total


def test_forward_and_smoothed_sum_over_all_paths() -> None:
    initial, transition = torch.softmax(normal(K), 0), torch.softmax(normal(K, K, seed=1), 1)
    log_emission = normal(T, K, seed=2)
    joint = paths(initial, transition, log_emission)
    total = joint.logsumexp(tuple(range(T)))
    torch.testing.assert_close(library.forward(initial, transition, log_emission), total)
    marginals = [joint.logsumexp([s for s in range(T) if s != t]) for t in range(T)]
    expected = (torch.stack(marginals) - total).exp()
    torch.testing.assert_close(library.smoothed(initial, transition, log_emission), expected)


def chain(v: Values, stay: float) -> torch.Tensor:
    """The log density of the chain's prior."""
    rows = Dirichlet(1.0 + stay * torch.eye(K)).log_prob(v["transition"]).sum()
    return rows + Dirichlet(torch.ones(K)).log_prob(v["initial"])


def test_gaussian_emissions() -> None:
    def formula(v: Values) -> torch.Tensor:
        prior = Normal(0.0, 5.0).log_prob(v["mu"]).sum()
        prior = prior + InverseGamma(real(3.0), real(2.0)).log_prob(v["sigma"]).sum()
        emission = Normal(v["mu"], v["sigma"]).log_prob(Y.unsqueeze(1))
        joint = paths(v["initial"], v["transition"], emission)
        return chain(v, 3.0) + prior + joint.logsumexp(tuple(range(T)))

    agrees(library.gaussian_hmm(T, K, Y, stay=3.0), formula)


def test_poisson_emissions() -> None:
    def formula(v: Values) -> torch.Tensor:
        prior = Exponential(0.5).log_prob(v["rate"]).sum()
        joint = paths(
            v["initial"], v["transition"], Poisson(v["rate"]).log_prob(COUNTS.double().unsqueeze(1))
        )
        return chain(v, 0.0) + prior + joint.logsumexp(tuple(range(T)))

    agrees(library.poisson_hmm(T, K, COUNTS, rate_scale=2.0), formula)
