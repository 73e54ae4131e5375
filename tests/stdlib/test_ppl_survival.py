"""Survival: log h(t) of an event minus the hazard integrated over the time, censored or not."""

from __future__ import annotations

import math

import torch
from closed_form import Values, agrees, normal, real
from torch.distributions import LogNormal, Normal

import ppl

library = ppl.std.survival
X = normal(6, 2)
TIME = real([0.4, 1.3, 2.0, 0.9, 3.1, 0.2])
EVENT = torch.tensor([1, 1, 0, 0, 1, 1])
LIMIT = library.limits(TIME, EVENT)


def coefficients(v: Values) -> torch.Tensor:
    return Normal(0.0, 5.0).log_prob(v["alpha"]) + Normal(0.0, 1.0).log_prob(v["beta"]).sum()


def test_limits() -> None:
    assert LIMIT.tolist() == [math.inf, math.inf, 2.0, 0.9, math.inf, math.inf]


def test_exponential() -> None:
    def formula(v: Values) -> torch.Tensor:
        hazard = torch.exp(v["alpha"] + X @ v["beta"])
        return coefficients(v) + (EVENT * hazard.log() - hazard * TIME).sum()

    agrees(library.exponential(X, LIMIT, TIME), formula)


def test_weibull() -> None:
    def formula(v: Values) -> torch.Tensor:
        rate, k = torch.exp(v["alpha"] + X @ v["beta"]), v["shape"]
        log_hazard = torch.log(k * rate) + (k - 1) * TIME.log()
        prior = coefficients(v) + LogNormal(0.0, 0.5).log_prob(k)
        return prior + (EVENT * log_hazard - rate * TIME**k).sum()

    agrees(library.weibull(X, LIMIT, TIME), formula)


def test_piecewise_exponential() -> None:
    breaks = [0.5, 1.5]

    def formula(v: Values) -> torch.Tensor:
        prior = Normal(0.0, 5.0).log_prob(v["mu"]) + Normal(0.0, 1.0).log_prob(v["beta"]).sum()
        prior = prior + Normal(0.0, 1.0).log_prob(v["z"]).sum()
        baseline = torch.exp(v["mu"] + 0.8 * v["z"].cumsum(0))
        torch.testing.assert_close(v["baseline"], baseline)
        total = prior
        for n, t in enumerate(TIME.tolist()):
            ratio = torch.exp(X[n] @ v["beta"])
            edges = [0.0, *breaks, math.inf]
            for i in range(3):
                total = total - ratio * baseline[i] * max(min(t, edges[i + 1]) - edges[i], 0.0)
                if EVENT[n] and edges[i] <= t < edges[i + 1]:
                    total = total + torch.log(ratio * baseline[i])
        return total

    agrees(library.piecewise_exponential(X, LIMIT, TIME, breaks, hazard_scale=0.8), formula)


def test_times_that_are_not_given_stop_at_their_limits() -> None:
    """P(T > limit) = exp(−h · limit) of 4000 subjects with h = 1 are censored."""
    limit = torch.full((20,), 0.5, dtype=torch.float64)
    fixed = {"alpha": 0.0, "beta": torch.zeros(1, dtype=torch.float64)}
    bound = library.exponential(torch.zeros(20, 1), limit).do(**fixed)
    time = ppl.compile(bound).sampler(seed=1, n=200)["time"]
    p = math.exp(-0.5)
    assert (time <= 0.5).all()
    assert abs(float((time == 0.5).double().mean()) - p) < 4 * math.sqrt(p * (1 - p) / 4000)
