"""Pathfinder: exact on normal targets, within tolerance of reference posteriors where k-hat is good, a start for others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference.cases import ABSENT, FOLDER, case
from scipy.stats import multivariate_normal

import ppl
from ppl.distributions import Bernoulli, HalfNormal, MultivariateNormal, Normal
from ppl.inference.pathfinder import pathfinder


def covariance(size: int, seed: int = 0) -> np.ndarray:
    """A covariance with correlations and scales from 0.5 to 2."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(size, size)) + 2 * np.eye(size)
    scale = np.logspace(-0.3, 0.3, size)
    inner = a @ a.T
    return scale[:, None] * inner / np.sqrt(np.outer(np.diag(inner), np.diag(inner))) * scale


def normal_target(mean: np.ndarray, cov: np.ndarray):
    precision = np.linalg.inv(cov)

    def value_and_grad(x):
        d = x - mean
        return -0.5 * d @ precision @ d, -precision @ d

    return value_and_grad, lambda x: -0.5 * np.einsum("ni,ij,nj->n", x - mean, precision, x - mean)


@pytest.mark.parametrize(("size", "most"), [(1, 1e-6), (2, 0.02), (5, 0.3)])
def test_a_normal_is_found(size: int, most: float) -> None:
    """The Kullback–Leibler divergence, in closed form: quasi-Newton steps find a quadratic's inverse Hessian nearly,
    in one dimension exactly.
    """
    mean, cov = np.linspace(-1.0, 2.0, size), covariance(size)
    found = pathfinder(
        *normal_target(mean, cov), np.full(size, 3.0), np.random.default_rng(0), history=12, elbo_draws=100
    )
    assert found is not None
    away, precision = found.mean - mean, np.linalg.inv(cov)
    log_dets = [np.linalg.slogdet(c)[1] for c in (cov, found.covariance)]
    kl = 0.5 * (
        np.trace(precision @ found.covariance) + away @ precision @ away - size + log_dets[0] - log_dets[1]
    )
    assert kl < most
    # The target is not normalised: the ELBO is log ∫ p = ½ log |2πΣ|, less the divergence.
    constant = 0.5 * np.linalg.slogdet(2 * np.pi * cov)[1]
    assert abs(found.elbo - (constant - kl)) < 4 * np.sqrt(2 * most * size / 100) + 1e-6


def test_draws_and_densities_of_an_approximation_are_those_of_its_mean_and_covariance() -> None:
    mean, cov = np.zeros(12), covariance(12)
    found = pathfinder(*normal_target(mean, cov), np.ones(12), np.random.default_rng(0), history=3)
    assert found is not None and found.q.shape == (12, 6)
    law = multivariate_normal(found.mean, found.covariance)
    x = found.sample(np.random.default_rng(1), 20_000)
    np.testing.assert_allclose(found.log_density(x[:50]), law.logpdf(x[:50]), rtol=1e-7)
    sd = np.sqrt(np.diag(found.covariance))
    assert (np.abs(x.mean(0) - found.mean) < 4.5 * sd / np.sqrt(20_000)).all()
    # Correlations have an error of at most 1/sqrt(n).
    empirical, exact = np.corrcoef(x.T), found.covariance / np.outer(sd, sd)
    np.testing.assert_allclose(empirical, exact, atol=4.5 / np.sqrt(20_000))
    np.testing.assert_allclose(x.std(0), sd, rtol=4.5 / np.sqrt(40_000))


MEAN, COVARIANCE = np.array([1.0, -2.0, 0.5]), covariance(3)


@ppl.model
def gaussian():
    cov = torch.as_tensor(COVARIANCE)
    ppl.sample("x", MultivariateNormal(torch.as_tensor(MEAN), cov))


def test_a_normal_posterior_has_equal_weights_and_the_right_moments() -> None:
    found = ppl.infer(gaussian(), method="pathfinder", draws=4000, progress=False)
    assert found.draws["x"].shape == (1, 4000, 3) and found.log_weights.shape == (1, 4000)
    assert found.khat < 0.5 and abs(found.log_evidence) < 0.01
    sd = np.sqrt(np.diag(COVARIANCE))
    # Draws are resampled with replacement from 8 paths' 32,000: an error √(1 + 1/8) of independent ones'.
    assert (np.abs(found.draws["x"][0].mean(0) - MEAN) < 5 * sd / np.sqrt(4000)).all()
    np.testing.assert_allclose(np.cov(found.draws["x"][0].T), COVARIANCE, atol=0.1 * sd.max() ** 2)
    again = ppl.infer(gaussian(), method="pathfinder", draws=4000, progress=False)
    assert (again.draws["x"] == found.draws["x"]).all()


def test_two_modes_are_weighed_by_their_masses() -> None:
    """Paths end at either; with the mixture of all normals under the weights neither counts by its paths."""

    @ppl.model
    def folded():
        x = ppl.sample("x", Normal(1.0, 3.0))
        ppl.sample("y", Normal(x.abs(), 0.5))

    found = ppl.infer(folded(), {"y": 2.0}, ppl.Pathfinder(paths=12), draws=4000, progress=False)
    x = np.linspace(-15, 15, 200_001)
    p = np.exp(-0.5 * ((x - 1) / 3) ** 2 - 0.5 * ((2 - np.abs(x)) / 0.5) ** 2)
    share = p[x > 0].sum() / p.sum()
    assert abs((found.draws["x"] > 0).mean() - share) < 5 * np.sqrt(share * (1 - share) / 4000)
    evidence = np.log(p.sum() * (x[1] - x[0]) / (2 * np.pi * 1.5))
    assert abs(found.log_evidence - evidence) < 0.02


@pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)
@pytest.mark.parametrize("name", ("kidiq", "sblrc", "earnings", "arK"))
def test_means_of_reference_posteriors(name: str) -> None:
    from reference.test_variational import distances

    known = case(name)
    found = ppl.infer(known.bound, known.data, "pathfinder", draws=2000, seed=1, progress=False)
    assert found.khat < 0.7 and max(distances(found, known).values()) < 0.15


@ppl.model
def schools(sigma):
    mu = ppl.sample("mu", Normal(0.0, 5.0))
    tau = ppl.sample("tau", HalfNormal(5.0))
    for j in ppl.plate("school", 3):
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, sigma[j]))


SIGMA, Y = torch.tensor([15.0, 10.0, 16.0]), torch.tensor([28.0, 8.0, -3.0])


@pytest.mark.parametrize("engine", ("native", "torch"))
def test_chains_start_at_its_draws(engine: str) -> None:
    model = schools(SIGMA).reparam(theta=ppl.NonCentered())
    options = {"draws": 20, "warmup": 20, "progress": False, "engine": engine}
    both = ppl.infer(model, {"y": Y}, init="pathfinder", chains=2, keep_warmup=True, **options)
    assert both.attrs["init_rung"] == "pathfinder"
    one = ppl.infer(model, {"y": Y}, init="pathfinder", chain_ids=[1], keep_warmup=True, **options)
    assert (one.draws["mu"][0] == both.draws["mu"][1]).all()


def test_guides_start_at_its_normal() -> None:
    model = gaussian()
    mean, cov = torch.as_tensor(MEAN), torch.as_tensor(COVARIANCE)
    guide = ppl.guides.pathfinder(model)
    torch.testing.assert_close(guide.arguments["loc"], mean, atol=0.05, rtol=0)
    full = ppl.guides.full_rank(model, init="pathfinder")
    low = ppl.guides.low_rank(model, rank=3, init="pathfinder")
    for each in (guide, full, low):
        trace = ppl.simulate(each, seed=0)
        expected = torch.distributions.MultivariateNormal(mean, cov).log_prob(trace["x"].double())
        assert abs(float(trace.log_density - expected)) < 0.3
    fit = ppl.infer(model, method=ppl.VI(guide="low_rank", init="pathfinder", steps=10), progress=False)
    assert fit.losses[0] < 3.0 and fit.khat is not None


def test_a_low_rank_start_keeps_the_variances() -> None:
    params = ppl.simulate(ppl.guides.low_rank(gaussian(), rank=1, init="pathfinder")).params
    tril = ppl.guides.pathfinder(gaussian()).arguments["scale_tril"]
    factor, diagonal = params["joint.factor"], params["joint.diagonal"]
    torch.testing.assert_close((factor @ factor.T).diagonal() + diagonal, (tril @ tril.T).diagonal())
    assert bool((diagonal > 0).all()) and float(factor.abs().max()) > 0.1


def test_what_is_refused() -> None:
    @ppl.model
    def coin():
        ppl.sample("k", Bernoulli(0.5))

    with pytest.raises(ppl.PplError, match="is discrete"):
        ppl.infer(coin(), method="pathfinder")
    with pytest.raises(ppl.PplError, match="'k' is discrete"):
        ppl.guides.pathfinder(coin())
    with pytest.raises(ppl.PplError, match="`paths` is out of range"):
        ppl.Pathfinder(paths=0)
    with pytest.raises(ppl.PplError, match="no start 'path'"):
        ppl.infer(gaussian(), init="path")
    with pytest.raises(ppl.PplError, match="has no meaning for this guide"):
        ppl.infer(gaussian(), method=ppl.VI(init="pathfinder"), progress=False)
