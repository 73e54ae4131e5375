"""Regressions of the standard library against densities from torch.distributions."""

from __future__ import annotations

import torch
from closed_form import Values, agrees, normal, real
from torch.distributions import (
    Bernoulli,
    Gamma,
    HalfNormal,
    LKJCholesky,
    NegativeBinomial,
    Normal,
    Poisson,
    StudentT,
)

import ppl

X = normal(7, 2)
Y = normal(7, seed=1)
HITS = torch.tensor([0, 1, 1, 0, 1, 0, 0])
COUNTS = torch.tensor([0, 3, 1, 7, 2, 0, 4])
GROUP = torch.tensor([0, 2, 1, 1, 0, 2, 2])
EXPOSURE = real([1.0, 2.0, 0.5, 3.0, 1.0, 1.5, 0.7])
library = ppl.std.regression


def line(v: Values, intercept: float, slope: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The predictor α + X β and the log density of the prior of α and β."""
    prior = Normal(0.0, real(intercept)).log_prob(v["alpha"]) + Normal(0.0, slope).log_prob(v["beta"]).sum()
    return v["alpha"] + X @ v["beta"], prior


def test_linear() -> None:
    def formula(v: Values) -> torch.Tensor:
        eta, prior = line(v, 10.0, 2.5)
        return prior + HalfNormal(2.5).log_prob(v["sigma"]) + Normal(eta, v["sigma"]).log_prob(Y).sum()

    agrees(library.linear(X, Y), formula)


def test_logistic() -> None:
    def formula(v: Values) -> torch.Tensor:
        eta, prior = line(v, 5.0, 2.5)
        return prior + Bernoulli(logits=eta).log_prob(HITS.double()).sum()

    agrees(library.logistic(X, HITS), formula)


def test_poisson_with_an_exposure() -> None:
    def formula(v: Values) -> torch.Tensor:
        eta, prior = line(v, 5.0, 1.0)
        return prior + Poisson(EXPOSURE * eta.exp()).log_prob(COUNTS.double()).sum()

    agrees(library.poisson(X, COUNTS, exposure=EXPOSURE), formula)


def test_negative_binomial_has_the_variance_it_says() -> None:
    def formula(v: Values) -> torch.Tensor:
        eta, prior = line(v, 5.0, 1.0)
        mean, variance = eta.exp(), eta.exp() + (v["overdispersion"] * eta.exp()) ** 2
        # torch's: r failures, mean r p / (1 − p), variance mean / (1 − p)
        p = 1 - mean / variance
        law = NegativeBinomial(mean * (1 - p) / p, probs=p)
        return prior + HalfNormal(1.0).log_prob(v["overdispersion"]) + law.log_prob(COUNTS.double()).sum()

    agrees(library.negative_binomial(X, COUNTS), formula)


def test_ordinal_is_differences_of_sigmoids() -> None:
    y = torch.tensor([0, 3, 1, 2, 2, 0, 3])

    def formula(v: Values) -> torch.Tensor:
        below = torch.sigmoid(v["cutpoints"] - (X @ v["beta"]).unsqueeze(-1))
        edges = torch.cat([torch.zeros(7, 1), below, torch.ones(7, 1)], 1)
        probability = edges.diff(dim=1)[torch.arange(7), y]
        priors = Normal(0.0, 5.0).log_prob(v["cutpoints"]).sum() + Normal(0.0, 2.5).log_prob(v["beta"]).sum()
        return priors + probability.log().sum()

    agrees(library.ordinal(X, 4, y), formula)


def test_robust() -> None:
    def formula(v: Values) -> torch.Tensor:
        eta, prior = line(v, 10.0, 2.5)
        prior = prior + HalfNormal(2.5).log_prob(v["sigma"]) + Gamma(real(2.0), 0.1).log_prob(v["nu"])
        return prior + StudentT(v["nu"], eta, v["sigma"]).log_prob(Y).sum()

    agrees(library.robust(X, Y), formula)


def test_varying_intercepts() -> None:
    def formula(v: Values) -> torch.Tensor:
        eta, prior = line(v, 10.0, 2.5)
        eta = eta + v["u/tau"] * v["u/z"][GROUP]
        prior = prior + HalfNormal(1.0).log_prob(v["u/tau"]) + Normal(0.0, 1.0).log_prob(v["u/z"]).sum()
        return prior + HalfNormal(2.5).log_prob(v["sigma"]) + Normal(eta, v["sigma"]).log_prob(Y).sum()

    agrees(library.varying_intercepts(X, 3, GROUP, Y), formula)


def test_varying_slopes() -> None:
    def formula(v: Values) -> torch.Tensor:
        eta, prior = line(v, 10.0, 2.5)
        scales, correlation = v["u/covariance/scales"], v["u/covariance/correlation"]
        effects = torch.stack([scales * (correlation @ z) for z in v["u/z"]])
        for n in range(7):
            own = effects[GROUP[n]]
            eta[n] = eta[n] + own[0] + own[1] * X[n, 0] + own[2] * X[n, 1]
        prior = prior + HalfNormal(0.7).log_prob(scales).sum() + LKJCholesky(3, 2.0).log_prob(correlation)
        prior = prior + Normal(0.0, 1.0).log_prob(v["u/z"]).sum() + HalfNormal(2.5).log_prob(v["sigma"])
        return prior + Normal(eta, v["sigma"]).log_prob(Y).sum()

    agrees(library.varying_slopes(X, 3, GROUP, Y, group_scale=0.7), formula)


def test_outcomes_that_are_not_given_are_drawn_with_everything_else() -> None:
    trace = ppl.simulate(library.poisson(X), seed=3)
    assert set(trace.choices) == {"alpha", "beta", "y"}
    assert trace["y"].shape == (7,)
