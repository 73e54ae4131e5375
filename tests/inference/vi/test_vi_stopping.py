"""`ppl.Convergence`: a run ends where it has converged, not before, and the same after being resumed."""

import math

import numpy as np
import pytest
import torch

import ppl
from ppl.distributions import HalfNormal, Normal
from ppl.errors import PplError
from ppl.inference.vi.stages import EVERY, Stages
from ppl.inference.vi.stopping import Convergence

Y = torch.tensor([1.2, -0.3, 0.8, 2.1], dtype=torch.float64)


@ppl.model
def conjugate(n):
    mu = ppl.sample("mu", Normal(0.0, 2.0))
    for _ in ppl.plate("n", n):
        ppl.sample("y", Normal(mu, 1.0))


@ppl.model
def spread(n):
    """Its posterior is no mean-field guide: gradients stay noisy."""
    mu, s = ppl.sample("mu", Normal(0.0, 2.0)), ppl.sample("s", HalfNormal(2.0))
    for _ in ppl.plate("n", n):
        ppl.sample("y", Normal(mu, s))


def fit(model, steps, stop=Convergence(), **options):  # noqa: B008
    return ppl.infer(model(4), {"y": Y}, "vi", stop=stop, steps=steps, draws=100, progress=False, **options)


@pytest.mark.parametrize("engine", ("native", "torch"))
def test_a_run_ends_at_the_optimum(engine):
    """KL of the guide from the exact posterior N(m, v) is at most the tolerance."""
    found = fit(conjugate, 100_000, engine=engine, learning_rate=0.05)
    assert found.attrs["converged"] and found.attrs["engine"] == engine
    assert found.attrs["steps"] == len(found.losses) == len(found.gradient_norms) < 10_000
    var = 1 / (4 + 1 / 4)
    loc, scale = float(found.params["mu.loc"]), float(found.params["mu.scale"])
    kl = 0.5 * ((scale**2 + (loc - var * float(Y.sum())) ** 2) / var - 1 - math.log(scale**2 / var))
    assert kl < 0.01


def test_a_run_with_noisy_gradients_ends_near_the_optimum_and_goes_on_after_a_stop(tmp_path):
    path = tmp_path / "fit.npz"
    options = {"learning_rate": 0.1, "engine": "native"}
    whole = fit(spread, 200_000, **options)
    assert whole.attrs["converged"]
    bound = spread(4).condition(y=Y)
    best = ppl.infer(bound, {}, "vi", steps=100_000, particles=4, draws=2, engine="native", progress=False)
    guide = ppl.guides.mean_field(bound)
    gap = [
        ppl.estimate(ppl.std.objectives.elbo)(bound, guide, draws=20_000, params=dict(each.params)).value
        for each in (best, whole)
    ]
    assert gap[0] - gap[1] < 0.01  # on the same noise; half of the tolerance is the average's error
    for steps in (1990, 2777):  # while it settles, and while it averages, between two looks
        fit(spread, steps, save_to=path, **options)
        rest = fit(spread, 200_000, resume=path, **options)
        assert (rest.losses == whole.losses[steps:]).all()
        assert all((rest.params[n] == v).all() for n, v in whole.params.items())
        assert rest.attrs["stopped_because"] == whole.attrs["stopped_because"]
    fit(spread, 200_000, save_to=path, **options)
    again = fit(spread, 200_000, resume=path, **options)
    assert len(again.losses) == 0 and again.attrs["converged"]
    closer = fit(spread, 200_000, resume=path, stop=Convergence(tolerance=0.002), **options)
    assert len(closer.losses) > 0 and closer.attrs["converged"]


def test_a_rate_that_is_too_small_does_not_pass_for_convergence():
    found = fit(conjugate, 4000, learning_rate=1e-5, engine="native")
    assert not found.attrs["converged"] and found.attrs["steps"] == 4000
    assert "4000 steps" in found.attrs["stopped_because"]


def followed(iterates, objective, tolerance=0.01):
    """What the rule makes of iterates [n, D], every one looked at."""

    def contrast(points, weights, enough):
        return sum(w * objective(p) for p, w in zip(points, weights, strict=True)), 0.0

    plan = Stages(Convergence(tolerance=tolerance), iterates.shape[1], contrast)
    average, since = iterates[0], None
    for i, u in enumerate(iterates):
        since = i if plan.average_from is None else since
        average = iterates[min(since + 1, i) : i + 1].mean(0)
        plan.ask((i + 1) * EVERY, u, average)
        if plan.ended:
            return plan, i + 1
    return plan, len(iterates)


def test_drift_is_not_stationary_and_noise_is():
    def bowl(u):
        return -0.5 * float(u @ u)

    noise = np.random.default_rng(1).normal(size=(4000, 3))
    still, taken = followed(0.05 * noise, bowl)
    assert still.ended and taken < 1000
    drift = 0.05 * noise + np.linspace(20.0, 0.0, 4000)[:, None]  # a tenth of the noise a look
    moving, _ = followed(drift, bowl)
    assert moving.ended is None and moving.average_from is None and moving.stage == 0


def test_an_average_of_little_use_is_not_the_end():
    """Iterates of variance 9 in 5 coordinates: the average of n costs 22.5 / n nats, and half of the tolerance is spent
    by n = 1125. The cost is estimated from 5 (8 − 1) squares: with a relative error of √(2 / 35).
    """
    for seed in range(10):
        noise = 3.0 * np.random.default_rng(seed).normal(size=(8000, 5))
        plan, taken = followed(noise, lambda u: -0.5 * float(u @ u), tolerance=0.04)
        assert plan.ended and taken > 1125 / (1 + 3 * math.sqrt(2 / 35))


def test_the_rule_is_an_object():
    with pytest.raises(PplError, match=r"ppl.Convergence\(\)"):
        fit(conjugate, 10, stop=True)
    with pytest.raises(PplError, match="tolerance"):
        Convergence(tolerance=0.0)
