"""Mixtures: the density against a sum over components, and over all allocations of all points."""

from __future__ import annotations

import itertools

import torch
from closed_form import Values, agrees, float64, normal, real
from torch.distributions import Dirichlet, HalfNormal, LKJCholesky, MultivariateNormal, Normal

import ppl
from ppl.distributions import InverseGamma

library = ppl.std.mixture
Y = normal(4, seed=1)


def test_a_normal_mixture_is_a_sum_over_all_allocations() -> None:
    def formula(v: Values) -> torch.Tensor:
        prior = (
            Dirichlet(torch.full((3,), 2.0)).log_prob(v["weights"]) + Normal(0.0, 4.0).log_prob(v["mu"]).sum()
        )
        prior = prior + InverseGamma(real(3.0), real(1.0)).log_prob(v["sigma"]).sum()
        paths = []
        for k in itertools.product(range(3), repeat=4):
            chosen = torch.tensor(k)
            law = Normal(v["mu"][chosen], v["sigma"][chosen])
            paths.append((v["weights"][chosen].log() + law.log_prob(Y)).sum())
        return prior + torch.logsumexp(torch.stack(paths), 0)

    agrees(library.normal_mixture(4, 3, Y, spread=4.0, scale=0.5, concentration=2.0), formula)


def test_responsibilities_are_bayes_rule() -> None:
    weights, mu, sigma = real([0.2, 0.8], [-1.0, 1.0], [0.5, 2.0])
    joint = weights * Normal(mu, sigma).log_prob(Y.unsqueeze(-1)).exp()
    torch.testing.assert_close(
        library.responsibilities(Y, weights, mu, sigma), joint / joint.sum(1, keepdim=True)
    )


def test_a_multivariate_mixture() -> None:
    y = normal(5, 2, seed=2)

    def formula(v: Values) -> torch.Tensor:
        prior = Dirichlet(torch.ones(2)).log_prob(v["weights"]) + Normal(0.0, 5.0).log_prob(v["mu"]).sum()
        scales, correlation = v["covariance/scales"], v["covariance/correlation"]
        prior = (
            prior + HalfNormal(1.0).log_prob(scales).sum() + LKJCholesky(2, 2.0).log_prob(correlation).sum()
        )
        covariance = scales[:, :, None] * scales[:, None, :] * (correlation @ correlation.mT)
        densities = torch.stack(
            [MultivariateNormal(v["mu"][k], covariance[k]).log_prob(y).exp() for k in range(2)], 1
        )
        return prior + (v["weights"] * densities).sum(1).log().sum()

    agrees(library.multivariate_normal_mixture(5, 2, 2, y), formula)


def test_points_that_are_not_given_are_drawn() -> None:
    with float64():
        trace = ppl.simulate(
            library.normal_mixture(50, 2).do(weights=[0.0, 1.0], mu=[-9.0, 9.0], sigma=[1.0, 1.0])
        )
    assert (trace["y"] > 0).all()
