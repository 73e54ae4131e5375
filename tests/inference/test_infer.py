"""`infer` as a whole: draws that don't depend on what runs beside them, resuming, predictions, names and
dims.
"""

from __future__ import annotations

import arviz
import numpy as np
import pytest
import torch

import ppl
from ppl.distributions import Flat, Gamma, HalfNormal, Normal

Y = torch.tensor([1.2, -0.3, 0.8, 2.1])


@ppl.model
def hierarchy(n):
    mu = ppl.sample("mu", Normal(0.0, 2.0))
    tau = ppl.sample("tau", HalfNormal(1.0))
    for _ in ppl.plate("group", n):
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, 1.0))
    ppl.deterministic("double", 2.0 * mu)


@ppl.model
def conjugate(n):
    mu = ppl.sample("mu", Normal(0.0, 2.0))
    for _ in ppl.plate("n", n):
        ppl.sample("y", Normal(mu, 1.0))


def run(**options):
    settings = {"draws": 60, "warmup": 120, "progress": False, "seed": 5} | options
    return ppl.infer(hierarchy(4), data={"y": Y}, **settings)


def test_draws_of_a_chain_depend_on_seed_and_chain_alone():
    together = run(chains=4)
    two = run(chains=2)
    apart = run(chain_ids=[3, 1])
    for name in ("mu", "tau", "theta"):
        assert np.array_equal(together.draws[name][:2], two.draws[name])
        assert np.array_equal(together.draws[name][[3, 1]], apart.draws[name])
    assert not np.array_equal(together.draws["mu"][0], together.draws["mu"][1])
    assert not np.array_equal(run(seed=6, chains=1).draws["mu"], together.draws["mu"][:1])


def test_a_resumed_run_gives_the_same_draws(tmp_path):
    path = tmp_path / "run.npz"
    whole = run(chains=2, draws=80)
    run(chains=2, draws=30, save_to=path)
    resumed = run(chains=2, draws=80, resume=path)
    for name in ("mu", "tau", "theta"):
        assert np.array_equal(whole.draws[name], resumed.draws[name])


def test_posterior_of_a_conjugate_model():
    """Normal mean with known variance: N(Σy / (n + 1/4), 1 / (n + 1/4))."""
    posterior = ppl.infer(conjugate(4), data={"y": Y}, draws=1000, warmup=500, progress=False, seed=1)
    precision = 4 + 0.25
    summary = posterior.summary(round_to="none")
    assert abs(posterior.mean("mu") - float(Y.sum()) / precision) < 4 * summary["mcse_mean"]["mu"]
    assert abs(posterior.sd("mu") - precision**-0.5) < 4 * summary["mcse_sd"]["mu"]


def test_names_dims_and_groups():
    posterior = ppl.infer(
        hierarchy(4),
        {"y": Y},
        draws=50,
        warmup=50,
        chains=2,
        progress=False,
        coords={"group": list("abcd")},
        keep=["mu", "theta"],
    )
    assert set(posterior.draws) == {"mu", "theta"}
    tree = posterior.to_arviz()
    assert tree.posterior["theta"].dims == ("chain", "draw", "group")
    assert list(tree.posterior["group"].values) == list("abcd")
    assert tree.observed_data["y"].dims == ("group",)
    assert tree.log_likelihood["y"].shape == (2, 50, 4)
    assert {"diverging", "energy", "lp", "tree_depth", "step_size"} <= set(tree.sample_stats)
    assert np.isfinite(arviz.loo(tree).elpd_loo)


def test_pointwise_log_likelihood_is_the_density_of_the_data():
    posterior = run(chains=1)
    theta = torch.from_numpy(posterior.draws["theta"])
    expected = torch.distributions.Normal(theta, 1.0).log_prob(Y.double())
    assert np.allclose(posterior.log_likelihood["y"], expected.numpy(), atol=1e-12)


def test_predictions_follow_the_posterior():
    posterior = ppl.infer(conjugate(4), data={"y": Y}, draws=1000, warmup=300, chains=4, progress=False)
    fresh = posterior.predict(conjugate(50))["y"]
    assert fresh.shape == (4, 1000, 50)
    mean = posterior.mean("mu")
    assert abs(fresh.mean() - mean) < 4 * np.sqrt(1.0 / fresh.size + 1e-9)
    prior = posterior.prior_predictive(draws=4000)["y"]
    assert (
        abs(prior.var(axis=1).mean() - 5.0) < 0.6
    )  # Var = 2² + 1; four correlated elements, each ± 4·5·sqrt(2/4000)


def test_method_objects_and_aliases():
    a = ppl.infer(
        hierarchy(4),
        {"y": Y},
        num_samples=40,
        tune=60,
        chains=1,
        random_seed=5,
        progress=False,
        target_accept=0.9,
    )
    b = ppl.infer(
        hierarchy(4),
        {"y": Y},
        ppl.NUTS(target_accept=0.9),
        draws=40,
        warmup=60,
        chains=1,
        seed=5,
        progress=False,
    )
    assert np.array_equal(a.draws["mu"], b.draws["mu"])
    hmc = ppl.infer(hierarchy(4), {"y": Y}, "hmc", draws=30, warmup=50, chains=1, progress=False, num_steps=8)
    assert hmc.draws["theta"].shape == (1, 30, 4)


def test_missing_data_are_imputed():
    """A missing y has the posterior predictive distribution of its group: mean of theta, variance of
    theta plus one.
    """
    y = Y.clone()
    y[2] = float("nan")
    posterior = ppl.infer(conjugate(4), {"y": y}, draws=2000, warmup=500, progress=False)
    assert posterior.draws["y"].shape == (4, 2000, 1)
    observed = y[~torch.isnan(y)]
    precision = 3 + 0.25
    draws = posterior.draws["y"]
    error = 4 * np.sqrt((1 + 1 / precision) / 2000)
    assert abs(draws.mean() - float(observed.sum()) / precision) < error
    assert abs(draws.var() - (1 + 1 / precision)) < 0.2


def test_improper_priors_start_and_sample():
    @ppl.model
    def regression(x):
        b = ppl.sample("b", Flat())
        s = ppl.sample("s", Flat(0.0))
        for n in ppl.plate("n", len(x)):
            ppl.sample("y", Normal(b * x[n], s))

    x = torch.linspace(-1, 1, 40)
    y = 3.0 * x + 0.1 * torch.sin(37.0 * x)
    posterior = ppl.infer(regression(x), {"y": y}, draws=300, warmup=300, chains=2, progress=False)
    slope = float((x * y).sum() / (x * x).sum())
    assert abs(posterior.mean("b") - slope) < 0.02


def test_scan_and_positive_sites():
    @ppl.model
    def level(n):
        s = ppl.sample("s", Gamma(2.0, 2.0))

        def step(z, t):
            z = ppl.sample("z", Normal(z, s))
            ppl.sample("y", Normal(z, 0.5))
            return z

        ppl.scan("time", step, torch.tensor(0.0), length=n)

    posterior = ppl.infer(level(4), {"y": Y}, draws=50, warmup=100, chains=2, progress=False)
    assert posterior.to_arviz().posterior["z"].dims == ("chain", "draw", "time")
    assert (posterior.draws["s"] > 0).all()


def test_ctrl_c_returns_what_was_drawn(monkeypatch):
    from ppl.inference import hamiltonian

    calls = 0
    evaluate = hamiltonian.ModelTarget.value_and_grad

    def interrupted(self, q):
        nonlocal calls
        calls += 1
        if calls == 3000:
            raise KeyboardInterrupt
        return evaluate(self, q)

    monkeypatch.setattr(hamiltonian.ModelTarget, "value_and_grad", interrupted)
    posterior = run(chains=2, draws=5000, warmup=50, engine="torch")
    assert posterior.attrs["interrupted"]
    assert 0 < posterior.num_draws < 5000


@pytest.mark.parametrize("metric", ["diag", "dense", "lowrank", "diag_welford", "unit"])
def test_every_metric_runs(metric):
    posterior = run(chains=1, metric=metric, draws=20, warmup=80)
    assert np.isfinite(posterior.draws["mu"]).all()
