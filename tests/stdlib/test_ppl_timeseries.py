"""Time series: densities written out over the steps; the local level's data against a joint normal law."""

from __future__ import annotations

import math

import pytest
import torch
from closed_form import Values, agrees, normal, real
from torch.distributions import Beta, Dirichlet, HalfNormal, MultivariateNormal, Normal, Uniform

import ppl

library = ppl.std.timeseries
T = 6
Y = normal(T, seed=3)
STANDARD = Normal(real(0.0), real(1.0))


def test_random_walk() -> None:
    def formula(v: Values) -> torch.Tensor:
        prior = Normal(0.0, 1.0).log_prob(v["drift"]) + HalfNormal(1.0).log_prob(v["sigma"])
        steps = Normal(v["drift"], v["sigma"]).log_prob(Y.diff()).sum()
        return prior + Normal(0.0, 10.0).log_prob(Y[0]) + steps

    agrees(library.random_walk(T, Y), formula)


def test_ar1_is_the_stationary_normal_law() -> None:
    """Cov(y_s, y_t) = σ² φ^|s−t| / (1 − φ²)."""

    def formula(v: Values) -> torch.Tensor:
        prior = Normal(0.0, 10.0).log_prob(v["mu"]) + Uniform(-1.0, 1.0).log_prob(v["phi"])
        t = torch.arange(T)
        covariance = v["sigma"] ** 2 * v["phi"] ** (t[:, None] - t).abs() / (1 - v["phi"] ** 2)
        law = MultivariateNormal(v["mu"].expand(T), covariance)
        return prior + HalfNormal(1.0).log_prob(v["sigma"]) + law.log_prob(Y)

    agrees(library.ar1(T, Y), formula)


def test_autoregression() -> None:
    def formula(v: Values) -> torch.Tensor:
        prior = Normal(0.0, 10.0).log_prob(v["mu"]) + Normal(0.0, 0.5).log_prob(v["phi"]).sum()
        total = prior + HalfNormal(1.0).log_prob(v["sigma"]) + Normal(v["mu"], 3.0).log_prob(Y[:2]).sum()
        for t in range(2, T):
            mean = v["mu"] + v["phi"][0] * (Y[t - 1] - v["mu"]) + v["phi"][1] * (Y[t - 2] - v["mu"])
            total = total + Normal(mean, v["sigma"]).log_prob(Y[t])
        return total

    agrees(library.autoregression(T, 2, Y, start_scale=3.0), formula)


def test_local_level() -> None:
    def formula(v: Values) -> torch.Tensor:
        scales = HalfNormal(1.0).log_prob(v["level_sigma"]) + HalfNormal(0.5).log_prob(v["sigma"])
        level = v["level"]
        walk = (
            Normal(0.0, 10.0).log_prob(level[0]) + Normal(0.0, v["level_sigma"]).log_prob(level.diff()).sum()
        )
        return scales + walk + Normal(level, v["sigma"]).log_prob(Y).sum()

    agrees(library.local_level(T, Y, noise_scale=0.5), formula)


def test_the_level_integrated_out_of_local_level_is_a_normal_law() -> None:
    """p(y) = p(y, l) / p(l | y) at any l; y ~ N(0, C + σ² I), C_st = 10² + ς² min(s, t)."""
    sigma, step = 0.7, 0.4
    t = torch.arange(T, dtype=torch.float64)
    C = 100 + step**2 * torch.minimum(t[:, None], t)
    noise = sigma**2 * torch.eye(T, dtype=torch.float64)
    gain = C @ torch.linalg.inv(C + noise)
    given = MultivariateNormal(gain @ Y, C - gain @ C)
    level = normal(T, seed=5)
    bound = library.local_level(T, Y)
    joint = ppl.log_density(bound, {"sigma": sigma, "level_sigma": step, "level": level})
    priors = HalfNormal(real(1.0)).log_prob(real([sigma, step])).sum()
    marginal = MultivariateNormal(torch.zeros(T, dtype=torch.float64), C + noise).log_prob(Y)
    torch.testing.assert_close(joint - priors - given.log_prob(level), marginal, rtol=1e-8, atol=1e-8)


def test_local_linear_trend() -> None:
    def formula(v: Values) -> torch.Tensor:
        scales = HalfNormal(1.0).log_prob(v["level_sigma"]) + HalfNormal(0.1).log_prob(v["slope_sigma"])
        level, slope = v["level"], v["slope"]
        total = scales + HalfNormal(1.0).log_prob(v["sigma"]) + Normal(level, v["sigma"]).log_prob(Y).sum()
        total = total + Normal(0.0, 10.0).log_prob(level[0]) + Normal(0.0, 1.0).log_prob(slope[0])
        total = total + Normal(level[:-1] + slope[:-1], v["level_sigma"]).log_prob(level[1:]).sum()
        return total + Normal(0.0, v["slope_sigma"]).log_prob(slope.diff()).sum()

    agrees(library.local_linear_trend(T, Y), formula)


def test_stochastic_volatility() -> None:
    def formula(v: Values) -> torch.Tensor:
        prior = Normal(0.0, 5.0).log_prob(v["mu"]) + Beta(20.0, 1.5).log_prob(v["persistence"])
        total = prior + HalfNormal(0.5).log_prob(v["sigma"]) + STANDARD.log_prob(v["z"]).sum()
        phi = 2 * v["persistence"] - 1
        h = v["mu"] + v["sigma"] * v["z"][0] / torch.sqrt(1 - phi**2)
        for t in range(T):
            if t:
                h = v["mu"] + phi * (h - v["mu"]) + v["sigma"] * v["z"][t]
            torch.testing.assert_close(v["log_variance"][t], h)
            total = total + Normal(0.0, torch.exp(h / 2)).log_prob(Y[t])
        return total

    agrees(library.stochastic_volatility(T, Y), formula)


def test_garch() -> None:
    def formula(v: Values) -> torch.Tensor:
        total = Normal(0.0, 1.0).log_prob(v["mu"]) + Dirichlet(torch.ones(3)).log_prob(v["shares"])
        total = total + HalfNormal(2.0).log_prob(v["long_run"])
        a, b, rest = v["shares"]
        variance = v["long_run"] ** 2
        for t in range(T):
            if t:
                variance = rest * v["long_run"] ** 2 + a * (Y[t - 1] - v["mu"]) ** 2 + b * variance
            torch.testing.assert_close(v["variance"][t], variance)
            total = total + Normal(v["mu"], variance.sqrt()).log_prob(Y[t])
        return total

    agrees(library.garch(T, Y, variation_scale=2.0), formula)


@pytest.mark.parametrize("name", ["random_walk", "ar1", "local_level", "stochastic_volatility", "garch"])
def test_values_at_the_end_that_are_not_observed_are_forecasts(name: str) -> None:
    bound = getattr(library, name)(T, [*Y[:-2].tolist(), math.nan, math.nan])
    compiled = ppl.compile(bound)
    assert compiled.dim == ppl.compile(getattr(library, name)(T, Y)).dim + 2
    assert torch.isfinite(compiled.value_and_grad(0.1 * normal(compiled.dim))[1]).all()
