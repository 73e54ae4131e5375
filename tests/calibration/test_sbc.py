"""Simulation-based calibration of NUTS on compiled programs, and that it notices what is wrong."""

import numpy as np
import pytest
import torch
from calibration.sbc import LIKELIHOOD, Ranks, calibrate, chi_square_p, envelope_p

import ppl
from ppl.distributions import HalfNormal, LogNormal, Normal, Uniform

REPLICATIONS = 200
LIMIT = 1e-3


def assert_uniform(ranks: Ranks) -> None:
    worst = {name: p for name, p in ranks.p_values().items() if min(p) < LIMIT}
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
    ranks = calibrate(
        model, ["y"], {"mu": (), "tau": (), "theta first": (0,), "theta last": (4,)}, REPLICATIONS
    )
    assert_uniform(ranks)


@pytest.mark.slow
def test_regression_with_a_positive_scale() -> None:
    x = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    ranks = calibrate(
        regression(x), ["y"], {"alpha": (), "beta first": (0,), "beta last": (1,), "sigma": ()}, REPLICATIONS
    )
    assert_uniform(ranks)


@pytest.mark.slow
def test_local_level_scan() -> None:
    quantities = {"phi": (), "sigma": (), "level first": (0,), "level last": (4,)}
    assert_uniform(calibrate(local_level(5), ["y"], quantities, REPLICATIONS))


@ppl.model
def one_mean(scale):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    for _ in ppl.plate("row", 3):
        ppl.sample("y", Normal(mu, scale))


def test_a_simulator_with_another_scale_is_noticed() -> None:
    # Noise three times what the model believes: the posterior is far too sure, ranks pile up at both ends.
    ranks = calibrate(
        one_mean(1.0), ["y"], {"mu": ()}, 25, simulator=one_mean(3.0), draws=25, thin=1, warmup=50
    )
    p = ranks.p_values()
    assert min(p["mu"]) < 1e-3
    assert min(p[LIKELIHOOD]) < LIMIT


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
