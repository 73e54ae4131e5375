"""Priors of the standard library: densities, what they return, and moments of draws."""

from __future__ import annotations

import math

import pytest
import torch
from closed_form import Values, agrees, normal, real
from torch.distributions import Beta, Dirichlet, HalfCauchy, HalfNormal, Laplace, LKJCholesky, Normal

import ppl
from ppl.distributions import InverseGamma
from ppl.errors import MethodError
from ppl.syntax.load import loads

library = ppl.std.priors
STANDARD = Normal(real(0.0), real(1.0))


def returned(bound: object, values: Values) -> torch.Tensor:
    """What a program returns with these choices."""
    trace, _ = ppl.generate(bound, values)
    return torch.as_tensor(trace.value)


def test_horseshoe() -> None:
    def formula(v: Values) -> torch.Tensor:
        scales = HalfCauchy(0.3).log_prob(v["tau"]) + HalfCauchy(1.0).log_prob(v["lambda"]).sum()
        return scales + STANDARD.log_prob(v["z"]).sum()

    agrees(library.horseshoe(3, 0.3), formula)
    v = {"tau": real(0.2), "lambda": real([1.0, 4.0]), "z": real([-1.0, 0.5])}
    torch.testing.assert_close(returned(library.horseshoe(2), v), real([-0.2, 0.4]))


def test_a_large_coefficient_of_the_regularised_horseshoe_is_the_slabs() -> None:
    def formula(v: Values) -> torch.Tensor:
        scales = HalfCauchy(0.3).log_prob(v["tau"]) + HalfCauchy(1.0).log_prob(v["lambda"]).sum()
        slab = InverseGamma(real(2.5), real(2.5 * 1.5**2)).log_prob(v["slab"])
        return scales + slab + STANDARD.log_prob(v["z"]).sum()

    bound = library.regularised_horseshoe(3, 0.3, slab_scale=1.5, slab_df=5)
    agrees(bound, formula)
    v = {"tau": real(0.1), "slab": real(4.0), "lambda": real([1e9, 1e-3, 20.0]), "z": real([-1.0, 1.0, 1.0])}
    # λ̃² = c² λ² / (c² + τ² λ²): τ λ̃ is c where τ λ ≫ c, τ λ where τ λ ≪ c, and c/√2 where they are equal.
    torch.testing.assert_close(returned(bound, v), real([-2.0, 1e-4, math.sqrt(2.0)]))


def test_r2d2() -> None:
    def formula(v: Values) -> torch.Tensor:
        shares = Beta(2.0, 3.0).log_prob(v["R2"]) + Dirichlet(torch.full((3,), 0.5)).log_prob(v["phi"])
        return shares + Laplace(0.0, 1.0).log_prob(v["z"]).sum()

    bound = library.r2d2(3, sigma=2.0, a=2, b=3)
    agrees(bound, formula)
    v = {"R2": real(0.8), "phi": real([0.5, 0.25, 0.25]), "z": real([1.0, -1.0, 0.0])}
    # Laplace(0, s) has variance 2 s²; ω = 4, and the variances are σ² φ ω = 8, 4, 4.
    torch.testing.assert_close(returned(bound, v) ** 2 * 2, real([8.0, 4.0, 0.0]))


def test_the_expected_number_of_coefficients_sets_the_global_scale() -> None:
    torch.testing.assert_close(library.global_scale(3.0, 13, 100, 2.0), real(0.06))


def test_spike_and_slab() -> None:
    bound = library.spike_and_slab(3, 2.0)
    v = {"inclusion": real(0.3), "gamma": real([1.0, 0.0, 1.0]), "z": real([0.5, 1.0, -1.0])}
    expected = 2 * math.log(0.3) + math.log(0.7) + float(STANDARD.log_prob(v["z"]).sum())
    assert float(ppl.log_density(bound, v)) == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(returned(bound, v), real([1.0, 0.0, -2.0]))
    with pytest.raises(MethodError, match="gamma"):
        ppl.compile(bound).log_density(torch.zeros(7))


def test_the_continuous_spike_and_slab_is_the_one_with_indicators_summed_out() -> None:
    spike, slab = Normal(0.0, real(0.1)), Normal(0.0, real(2.0))

    def formula(v: Values) -> torch.Tensor:
        pi, beta = v["inclusion"], v["beta"]
        mixed = pi * slab.log_prob(beta).exp() + (1 - pi) * spike.log_prob(beta).exp()
        return Beta(1.0, 2.0).log_prob(pi) + mixed.log().sum()

    agrees(library.continuous_spike_and_slab(3, 0.1, 2.0, b=2), formula)
    beta = real([0.05, -1.0])
    odds = 0.3 / 0.7 * (slab.log_prob(beta) - spike.log_prob(beta)).exp()
    torch.testing.assert_close(library.inclusion_probability(beta, 0.3, 0.1, 2.0), odds / (1 + odds))


def test_the_lkj_covariance_is_a_cholesky_factor() -> None:
    def formula(v: Values) -> torch.Tensor:
        scales = HalfNormal(0.5).log_prob(v["scales"]).sum()
        return scales + LKJCholesky(3, 1.5).log_prob(v["correlation"])

    bound = library.lkj_covariance(3, 1.5, 0.5)
    agrees(bound, formula)
    trace = ppl.simulate(bound, seed=2)
    correlation = trace["correlation"] @ trace["correlation"].mT
    scales = trace["scales"]
    torch.testing.assert_close(trace.value @ trace.value.mT, correlation * scales[:, None] * scales)


def test_effects_of_groups() -> None:
    def formula(v: Values) -> torch.Tensor:
        return HalfNormal(2.0).log_prob(v["tau"]) + STANDARD.log_prob(v["z"]).sum()

    agrees(library.varying(4, 2.0), formula)
    trace = ppl.simulate(library.varying(4), seed=1)
    torch.testing.assert_close(trace.value, trace["tau"] * trace["z"])


def test_multivariate_effects_have_the_covariance() -> None:
    """u_j = L z_j for every group."""
    bound = library.multivariate_varying(5, 2)
    trace = ppl.simulate(bound, seed=1)
    factor = trace["covariance/scales"].unsqueeze(-1) * trace["covariance/correlation"]
    torch.testing.assert_close(trace.value, torch.stack([factor @ z for z in trace["z"]]))


def test_a_prior_in_a_model_and_in_its_result() -> None:
    text = """
import std.priors as pr

model m(X: real[N, D], y: real[N]):
    beta ~ pr.horseshoe(D)
    y ~ Normal(X @ beta, 1)
"""
    X, y = normal(6, 2), normal(6, seed=1)

    def formula(v: Values) -> torch.Tensor:
        scales = HalfCauchy(1.0).log_prob(v["beta/tau"]) + HalfCauchy(1.0).log_prob(v["beta/lambda"]).sum()
        beta = v["beta/tau"] * v["beta/lambda"] * v["beta/z"]
        torch.testing.assert_close(v["beta/coefficients"], beta)
        return scales + STANDARD.log_prob(v["beta/z"]).sum() + Normal(X @ beta, 1.0).log_prob(y).sum()

    agrees(loads(text).m(X, y), formula)


def near(draws: torch.Tensor, expected: torch.Tensor) -> None:
    """Means of independent draws, the first axis, within four standard errors."""
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - expected).abs() < 4 * error).all(), (draws.mean(0), error)


def test_moments_of_the_lkj_covariance() -> None:
    """E Σ_dd = scale²; E Σ_01 = 0 by symmetry; the variance of a correlation is 1 / (2 η + D − 1)."""
    draws = ppl.compile(library.lkj_covariance(2, 1, 0.5)).sampler(seed=4, n=4000)
    correlation = draws["correlation"] @ draws["correlation"].mT
    covariance = correlation * draws["scales"].unsqueeze(2) * draws["scales"].unsqueeze(1)
    near(covariance[:, 0], real([0.25, 0.0]))
    near(correlation[:, 0, 1] ** 2, real(1 / 3))


def test_the_variance_that_r2d2_explains() -> None:
    """E Σ_d β_d² = σ² E ω = σ² a / (b − 1), ω of the beta prime law (a, b)."""
    draws = ppl.compile(library.r2d2(4, sigma=2, a=3, b=6)).sampler(seed=4, n=8000)
    near(draws["coefficients"].square().sum(1), real(4 * 3 / 5))
