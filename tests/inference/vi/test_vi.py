"""`infer(…, method="vi")`: closed forms, engines that agree, runs that go on, diagnostics, mistakes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import ppl
from ppl.distributions import (
    Bernoulli,
    Categorical,
    Flat,
    LogNormal,
    Normal,
    StudentT,
)
from ppl.errors import PplError

Y = torch.tensor([1.2, -0.3, 0.8, 2.1], dtype=torch.float64)


@ppl.model
def conjugate(n):
    mu = ppl.sample("mu", Normal(0.0, 2.0))
    for _ in ppl.plate("n", n):
        ppl.sample("y", Normal(mu, 1.0))
    ppl.deterministic("double", 2.0 * mu)


@ppl.model
def regression(x):
    """Two coefficients that the data correlate."""
    a = ppl.sample("a", Normal(0.0, 1.0))
    b = ppl.sample("b", Normal(0.0, 1.0))
    ppl.sample("y", Normal(a + b * x, 0.5))


X = torch.tensor([1.0, 1.5, 2.0, 2.5], dtype=torch.float64)


def fit(bound, data, **options):
    infer = {
        k: options.pop(k) for k in ("draws", "seed", "engine", "save_to", "resume", "keep") if k in options
    }
    return ppl.infer(bound, data, method=ppl.VI(**options), progress=False, **infer)


def exact(x, prior, noise, y):
    """Mean and covariance of the coefficients of a linear model with normal priors N(0, prior²)."""
    precision = x.T @ x / noise**2 + np.eye(x.shape[1]) / prior**2
    covariance = np.linalg.inv(precision)
    return covariance @ x.T @ y / noise**2, covariance


@pytest.mark.parametrize("engine", ("native", "torch"))
def test_a_normal_posterior_is_found_exactly(engine):
    """The family holds the posterior: at the optimum the ELBO has no variance, and every weight is the evidence."""
    steps = 4000 if engine == "native" else 1500
    posterior = fit(conjugate(4), {"y": Y}, engine=engine, steps=steps, learning_rate=0.05, draws=4000)
    mean, var = exact(np.ones((4, 1)), 2.0, 1.0, Y.numpy())
    mean, sd = mean[0], math.sqrt(var[0, 0])
    assert posterior.attrs["engine"] == engine
    # The noise of the gradient vanishes at the optimum, so that Adam ends there.
    assert abs(posterior.params["mu.loc"] - mean) < 0.01 * sd
    assert abs(posterior.params["mu.scale"] - sd) < 0.01 * sd
    assert abs(posterior.mean("mu") - mean) < 4.5 * sd / math.sqrt(4000)
    np.testing.assert_allclose(posterior.draws["double"], 2 * posterior.draws["mu"])
    cover = torch.distributions.MultivariateNormal(torch.zeros(4).double(), torch.eye(4).double() + 4.0)
    evidence = float(cover.log_prob(Y))
    assert abs(posterior.log_evidence - evidence) < 0.01
    assert abs(-posterior.losses[-100:].mean() - evidence) < 0.01
    assert posterior.draws["mu"].shape == (1, 4000) and posterior.khat < 0.7


def test_full_rank_finds_correlations_that_mean_field_misses():
    mean, covariance = exact(np.stack([np.ones(4), X.numpy()], 1), 1.0, 0.5, Y.numpy())
    whole = fit(regression(X), {"y": Y}, guide="full_rank", steps=8000, draws=20_000, learning_rate=0.05)
    draws = np.stack([whole.draws["a"][0], whole.draws["b"][0]])
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean(1) - mean) < 0.05 * sd).all()
    np.testing.assert_allclose(np.cov(draws), covariance, atol=0.06 * sd.max() ** 2)
    apart = fit(regression(X), {"y": Y}, steps=8000, draws=20_000, learning_rate=0.05)
    best = 1 / np.sqrt(np.diag(np.linalg.inv(covariance)))  # Bishop 2006, equation 10.13
    np.testing.assert_allclose([apart.draws["a"].std(), apart.draws["b"].std()], best, rtol=0.05)
    assert apart.khat > whole.khat and whole.log_evidence > -apart.losses[-1000:].mean()


@pytest.mark.parametrize("engine", ("native", "torch"))
def test_a_resumed_run_is_the_run_that_was_not_stopped(engine, tmp_path):
    path = tmp_path / "fit.npz"
    options = {"engine": engine, "learning_rate": 0.03, "schedule": "constant", "average": 0.0}
    whole = fit(conjugate(4), {"y": Y}, steps=60, **options)
    fit(conjugate(4), {"y": Y}, steps=25, save_to=path, **options)
    rest = fit(conjugate(4), {"y": Y}, steps=60, resume=path, **options)
    assert rest.params["mu.loc"] == whole.params["mu.loc"]
    assert (rest.losses == whole.losses[25:]).all()
    assert (rest.draws["mu"] == whole.draws["mu"]).all()


def test_a_checkpoint_of_other_programs_is_refused(tmp_path):
    path = tmp_path / "fit.npz"
    fit(conjugate(4), {"y": Y}, steps=5, save_to=path)
    with pytest.raises(PplError, match="belongs to other programs"):
        fit(regression(X), {"y": Y}, steps=10, resume=path)


def test_params_of_the_model_are_learned_with_the_guide():
    """The marginal likelihood of y ~ N(m, 2) is largest at the mean of y."""

    @ppl.model
    def random_effects(n):
        m = ppl.param("m", 0.0)
        for _ in ppl.plate("n", n):
            z = ppl.sample("z", Normal(m, 1.0))
            ppl.sample("y", Normal(z, 1.0))

    found = fit(random_effects(4), {"y": Y}, steps=6000, learning_rate=0.05, particles=4)
    assert abs(found.params["m"] - float(Y.mean())) < 0.02
    # Each z has posterior N((m + y) / 2, 1/2).
    np.testing.assert_allclose(found.params["z.loc"], (Y.numpy() + float(Y.mean())) / 2, atol=0.03)


def test_discrete_sites_are_summed_and_drawn():
    @ppl.model
    def switch():
        k = ppl.sample("k", Bernoulli(0.3))
        ppl.sample("y", Normal(2.0 * k, 1.0))

    found = fit(switch(), {"y": 1.2}, steps=3000, learning_rate=0.05, draws=4000)
    odds = 0.3 / 0.7 * math.exp(-0.5 * (0.8**2 - 1.2**2))
    p = odds / (1 + odds)
    assert abs(found.draws["k"].mean() - p) < 4 * math.sqrt(p * (1 - p) / 4000) + 0.005
    assert set(np.unique(found.draws["k"])) <= {0.0, 1.0}
    assert (
        abs(
            found.log_evidence
            - math.log(0.3 * math.exp(-0.32) + 0.7 * math.exp(-0.72))
            + 0.5 * math.log(2 * math.pi)
        )
        < 0.01
    )


def test_several_particles_and_an_objective_with_arguments():
    @ppl.objective
    def iwelbo(p, q, K):
        for _ in (particles := ppl.plate("particle", K)):
            z = ppl.simulate(q)
            log_w = ppl.log_density(p, z) - ppl.log_density(q, z)
        return torch.logsumexp(particles.gather(log_w), 0) - math.log(K)

    one = fit(regression(X), {"y": Y}, steps=3000)
    many = fit(regression(X), {"y": Y}, objective=iwelbo, arguments={"K": 10}, steps=3000, particles=2)
    assert -many.losses[-500:].mean() > -one.losses[-500:].mean() + 0.1


def test_a_guide_that_cannot_fit_says_so():
    """A normal guide of a Cauchy law: weights without a mean, k-hat above 0.7."""

    @ppl.model
    def tails():
        ppl.sample("x", StudentT(1.0).expand([10]))

    assert fit(tails(), {}, steps=3000).khat > 0.7


# ---------------------------------------------------------------- divergence


@pytest.mark.parametrize("engine", ("native", "torch"))
def test_a_number_that_is_none_names_its_site_and_keeps_the_last_good_params(engine):
    @ppl.model
    def overflowing():
        x = ppl.sample("x", Normal(0.0, 1.0))
        ppl.sample("fine", Normal(x, 1.0))
        ppl.sample("y", Normal(torch.exp(torch.exp(torch.exp(x))), 1.0))

    @ppl.guide
    def q():
        ppl.sample("x", Normal(ppl.param("m", 1.0), 0.1))

    with pytest.raises(PplError) as caught:
        fit(
            overflowing(),
            {"y": 1e300, "fine": 0.0},
            guide=q(),
            steps=3000,
            learning_rate=0.5,
            engine=engine,
            schedule="constant",
        )
    error = caught.value
    assert error.site == "y" and "gave no number" in str(error)
    assert math.isfinite(float(error.params["m"]))


# ---------------------------------------------------------------- mistakes (the rest: tests/errors)


@ppl.guide
def good():
    ppl.sample("mu", Normal(ppl.param("m", 0.0), 1.0))


def refused(match, **options):
    bound = options.pop("model", conjugate(4))
    data = options.pop("data", {"y": Y})
    with pytest.raises(PplError, match=match) as caught:
        fit(bound, data, **{"steps": 5, **options})
    return str(caught.value)


def test_an_improper_prior_is_no_obstacle_and_drawing_from_it_is():
    @ppl.model
    def flat():
        mu = ppl.sample("mu", Flat())
        ppl.sample("y", Normal(mu, 1.0).expand([4]))

    found = fit(flat(), {"y": Y}, steps=4000, learning_rate=0.05)
    assert abs(found.params["mu.loc"] - float(Y.mean())) < 0.01

    @ppl.objective
    def sleep(p, q):
        return ppl.log_density(q, ppl.simulate(p))

    refused("can't be drawn", model=flat(), objective=sleep, guide=good())


def test_log_normal_and_categorical_guides_keep_names_and_dims():
    @ppl.model
    def mixed():
        s = ppl.sample("s", LogNormal(0.0, 1.0))
        for _ in ppl.plate("item", 2):
            k = ppl.sample("k", Categorical(torch.tensor([0.2, 0.3, 0.5])))
            ppl.sample("y", Normal(k * s, 1.0))

    found = fit(mixed(), {"y": Y[:2]}, steps=200, draws=50)
    assert found.dims["k"] == ("item",) and found.draws["k"].shape == (1, 50, 2)
    assert bool((found.draws["s"] > 0).all())


# ---------------------------------------------------------------- groups of params


def test_wake_sleep_learns_a_conjugate_model():
    """y ~ N(m, 2) with z in between: the model's m goes to the mean of y, the amortised guide to z | y."""
    from ppl.std.objectives import WAKE_SLEEP

    @ppl.model
    def p():
        z = ppl.sample("z", Normal(ppl.param("m", 0.0), 1.0).expand([4]))
        ppl.sample("y", Normal(z, 1.0))

    @ppl.guide
    def q(y):
        a, b = ppl.param("a", 0.2), ppl.param("b", 0.0)
        ppl.sample("z", Normal(a * y + b, ppl.param("s", 1.0, constraint="positive")))

    found = fit(
        p(),
        {"y": Y},
        guide=q(Y),
        objective=WAKE_SLEEP,
        steps=2500,
        learning_rate=0.03,
        particles=4,
        average=0.3,
    )
    assert found.attrs["engine"] == "torch"
    assert abs(found.params["m"] - float(Y.mean())) < 0.15
    assert abs(found.params["a"] - 0.5) < 0.1 and abs(found.params["s"] - math.sqrt(0.5)) < 0.07


def test_minimize_turns_an_objective_round():
    @ppl.objective
    def loss(p, q):
        z = ppl.simulate(q)
        return ppl.log_density(q.stop_gradient(), z) - ppl.log_density(p, z)

    there = fit(conjugate(4), {"y": Y}, objective=ppl.minimize(loss), steps=300)
    here = fit(conjugate(4), {"y": Y}, steps=300)
    np.testing.assert_allclose(there.params["mu.loc"], here.params["mu.loc"], rtol=1e-9)


def test_params_without_a_group_and_groups_without_params():
    @ppl.objective
    def f(p, q):
        return ppl.log_density(p, ppl.simulate(q))

    assert "is in no group" in refused("param 'm'", guide=good(), objective={"model": f, "guide_": f})
    refused("'critic' has no params", guide=good(), objective={"guide": f, "critic": f})
