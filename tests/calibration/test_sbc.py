"""Simulation-based calibration of NUTS on compiled programs, and that it notices what is wrong."""

import numpy as np
import pytest
import torch

import ppl
from ppl.distributions import HalfNormal, LogNormal, Normal, Uniform
from ppl.results.calibration import Calibration, chi_square_p, envelope_p

REPLICATIONS = 200
LIMIT = 1e-3


def assert_uniform(found: Calibration) -> None:
    p = {name: (chi_square_p(r, found.draws), envelope_p(r, found.draws)) for name, r in found.ranks.items()}
    worst = {name: both for name, both in p.items() if min(both) < LIMIT}
    assert not worst, "ranks aren't uniform (p of χ², p of ECDF): " + repr(worst)


@ppl.model
def schools(sigma):
    mu = ppl.sample("mu", Normal(0.0, 5.0))
    tau = ppl.sample("tau", HalfNormal(5.0))
    for j in ppl.plate("school", sigma.shape[0]):
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, sigma[j]))


@ppl.model
def regression(x):
    alpha = ppl.sample("alpha", Normal(0.0, 2.0))
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([x.shape[1]]), dims=("feature",))
    sigma = ppl.sample("sigma", LogNormal(0.0, 0.5))
    for i in ppl.plate("row", x.shape[0]):
        ppl.sample("y", Normal(alpha + x[i] @ beta, sigma))


@ppl.model
def local_level(steps):
    phi = ppl.sample("phi", Uniform(0.0, 1.0))
    sigma = ppl.sample("sigma", LogNormal(0.0, 0.5))

    def step(level, _):
        level = ppl.sample("level", Normal(phi * level, sigma))
        ppl.sample("y", Normal(level, 0.5))
        return level

    ppl.scan("time", step, torch.zeros(()), length=steps)


@pytest.mark.slow
def test_hierarchical_normal_non_centred() -> None:
    sigma = torch.tensor([3.0, 5.0, 8.0, 4.0, 6.0])
    model = schools(sigma).reparam(theta=ppl.NonCentered())
    found = ppl.sbc(model, ["y"], replications=REPLICATIONS)
    assert {"mu", "tau", "theta[0]", "theta[4]"} < set(found.ranks)
    assert_uniform(found)


@pytest.mark.slow
def test_regression_with_a_positive_scale() -> None:
    x = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    assert_uniform(ppl.sbc(regression(x), ["y"], replications=REPLICATIONS))


@pytest.mark.slow
def test_local_level_scan() -> None:
    assert_uniform(ppl.sbc(local_level(5), ["y"], replications=REPLICATIONS))


@ppl.model
def one_mean(scale):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    for _ in ppl.plate("row", 3):
        ppl.sample("y", Normal(mu, scale))


def test_a_simulator_with_another_scale_is_noticed() -> None:
    # Noise three times what the model believes: the posterior is far too sure, ranks pile up at both ends.
    found = ppl.sbc(
        one_mean(1.0), ["y"], replications=25, simulator=one_mean(3.0), draws=25, thin=1, warmup=50
    )
    assert set(found.failures()) == {"mu", "log likelihood"}
    assert found.table().loc["mu", "width"] == "too narrow"


def test_exact_draws_pass_and_wrong_ones_do_not() -> None:
    rng = np.random.default_rng(1)
    mu = rng.normal(size=400)
    y = rng.normal(mu)
    draws = rng.normal(
        y / 2, np.sqrt(0.5), (99, 400)
    )  # μ ~ N(0, 1), y ~ N(μ, 1): the posterior is N(y/2, 1/2)
    narrow = y / 2 + (draws - y / 2) * 0.7
    shifted = draws + 0.3
    for p in (chi_square_p, envelope_p):
        assert p((draws < mu).sum(0), 99) > 0.01
        assert p((narrow < mu).sum(0), 99) < LIMIT
        assert p((shifted < mu).sum(0), 99) < LIMIT
