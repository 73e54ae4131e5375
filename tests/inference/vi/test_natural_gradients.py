"""Natural gradients: conjugate posteriors in one step, Fisher matrices, and what is refused."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import kl_divergence

import ppl
from ppl.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    Gamma,
    HalfNormal,
    MultivariateNormal,
    Normal,
    Poisson,
)
from ppl.errors import PplError
from ppl.inference.vi import natural_steps as steps

Y = torch.tensor([1.2, -0.3, 0.8, 2.1], dtype=torch.float64)
X = torch.tensor([1.0, 1.5, 2.0, 2.5], dtype=torch.float64)


def t(*values):
    return torch.tensor(values, dtype=torch.float64)


def fit(bound, data, steps, step_size=1.0, **options):
    rule = ppl.NaturalGradient(step_size=step_size)
    return ppl.infer(
        bound,
        data,
        "vi",
        optimizer=rule,
        steps=steps,
        progress=False,
        **{"draws": 50, "average": 0.0, **options},
    )


# ---------------------------------------------------------------- exact posteriors


@ppl.model
def normals(n):
    a, b = ppl.sample("a", Normal(0.0, 2.0)), ppl.sample("b", Normal(1.0, 0.5))
    for _ in ppl.plate("n", n):
        z = ppl.sample("z", Normal(0.0, 3.0))
        ppl.sample("y", Normal(z, 1.0))
        ppl.sample("x", Normal(a + b, 1.0))


def test_a_normal_posterior_is_reached_in_one_step():
    """Gauss–Hermite quadrature is exact for quadratics: the gradient has no noise."""
    bound = normals(4).condition(y=Y, x=Y)
    found = fit(bound, {}, 1, guide=ppl.guides.mean_field(bound).grad("quadrature"))
    var = 1 / (1 + 1 / 9)
    np.testing.assert_allclose(found.params["z.scale"], math.sqrt(var), rtol=1e-9)
    np.testing.assert_allclose(found.params["z.loc"], var * Y.numpy(), rtol=1e-9)
    # The precisions are the conditional ones; all means move at once, each to its conditional mean given 0.
    for name, prior, pull in (("a", 1 / 4, 0.0), ("b", 4.0, 4.0)):
        np.testing.assert_allclose(found.params[f"{name}.scale"], (4 + prior) ** -0.5, rtol=1e-9)
        np.testing.assert_allclose(
            found.params[f"{name}.loc"], (float(Y.sum()) + pull) / (4 + prior), rtol=1e-9
        )


def test_half_a_step_is_half_way_in_natural_parameters():
    bound = normals(4).condition(y=Y, x=Y)
    found = fit(bound, {}, 1, step_size=0.5, guide=ppl.guides.mean_field(bound).grad("quadrature"))
    precision = 0.5 * 100 + 0.5 * (1 + 1 / 9)  # the guide begins at N(0, 0.1²)
    np.testing.assert_allclose(found.params["z.scale"], precision**-0.5, rtol=1e-9)
    np.testing.assert_allclose(found.params["z.loc"], 0.5 * Y.numpy() / precision, rtol=1e-9)


@ppl.model
def regression(x):
    a, b = ppl.sample("a", Normal(0.0, 1.0)), ppl.sample("b", Normal(0.0, 1.0))
    ppl.sample("y", Normal(a + b * x, 0.5))


def test_a_correlated_posterior_is_reached_by_the_guide_of_full_rank():
    """The noise of the gradient goes with the distance from the posterior: steps of size 1 end there."""
    found = fit(regression(X), {"y": Y}, 12, guide="full_rank", particles=300, schedule="constant")
    design = np.stack([np.ones(4), X.numpy()], 1)
    covariance = np.linalg.inv(design.T @ design / 0.25 + np.eye(2))
    np.testing.assert_allclose(found.params["joint.loc"], covariance @ design.T @ Y.numpy() / 0.25, atol=1e-6)
    factor = found.params["joint.scale_tril"]
    np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-6)


def test_discrete_choices_are_exact_and_params_of_the_model_move_by_adam():
    @ppl.model
    def mixture():
        ppl.deterministic("m", ppl.param("m", 0.3) * 1.0)
        k = ppl.sample("k", Bernoulli(0.3))
        c = ppl.sample("c", Categorical(t(0.2, 0.3, 0.5)))
        ppl.sample("y", Normal(2.0 * k, 1.0))
        ppl.sample("x", Normal(c.to(torch.float64) + ppl.param("m", 0.3), 1.0))

    found = fit(mixture(), {"y": 1.2, "x": 0.4}, 1, learning_rate=0.01)
    odds = math.log(0.3 / 0.7) - 0.5 * (0.8**2 - 1.2**2)
    np.testing.assert_allclose(found.params["k.logits"], odds, rtol=1e-9)
    weights = np.log([0.2, 0.3, 0.5]) - 0.5 * (0.4 - 0.3 - np.arange(3)) ** 2
    weights -= np.log(np.exp(weights).sum())
    np.testing.assert_allclose(found.params["c.logits"], weights, rtol=1e-9)
    assert abs(abs(found.params["m"] - 0.3) - 0.01) < 1e-6  # Adam's first step


def test_gamma_and_beta_posteriors_within_monte_carlo_error():
    """Poisson–gamma and Bernoulli–beta; the last steps of size 1/n average the noise of n of them."""

    @ppl.model
    def counts(n):
        rate, p = ppl.sample("rate", Gamma(2.0, 1.0)), ppl.sample("p", Beta(1.0, 2.0))
        for _ in ppl.plate("n", n):
            ppl.sample("y", Poisson(rate))
            ppl.sample("x", Bernoulli(p))

    @ppl.guide
    def q():
        a, b = ppl.param("a", 1.5, constraint="positive"), ppl.param("b", 1.0, constraint="positive")
        c, d = ppl.param("c", 1.5, constraint="positive"), ppl.param("d", 1.5, constraint="positive")
        ppl.sample("rate", Gamma(a, b))
        ppl.sample("p", Beta(c, d))

    data = {"y": t(3.0, 5.0, 2.0, 4.0), "x": t(1.0, 0.0, 0.0, 1.0)}
    found = fit(counts(4), data, 60, step_size=0.5, guide=q(), particles=100, schedule="constant")
    # Without noise the distance halves at every step, and the noise goes with the distance.
    exact = {"a": 16.0, "b": 5.0, "c": 3.0, "d": 4.0}
    for name, value in exact.items():
        np.testing.assert_allclose(found.params[name], value, rtol=1e-3, err_msg=name)


# ---------------------------------------------------------------- the steps themselves

FAMILIES = {
    "normal": (steps.normal, lambda m, s: Normal(m, s), (0.3, 1.2), (-0.4, 0.7)),
    "gamma": (steps.gamma, lambda a, b: Gamma(a, b), (1.7, 0.8), (3.1, 2.2)),
    "beta": (steps.beta, lambda a, b: Beta(a, b), (1.7, 0.8), (3.1, 2.2)),
    "bernoulli": (steps.bernoulli_logits, lambda x: Bernoulli(logits=x), (0.3,), (-1.1,)),
    "bernoulli in p": (steps.bernoulli_probs, lambda p: Bernoulli(p), (0.3,), (0.8,)),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_step_of_size_one_goes_to_the_smallest_kl(name):
    """L(θ) = −KL(q_θ ‖ p) with p in the family: η + ∂L/∂μ are the natural parameters of p."""
    step, family, start, target = FAMILIES[name]
    values = [t(v, v).requires_grad_() for v in start]
    (-kl_divergence(family(*values), family(*(t(v, v) for v in target))).sum()).backward()
    moved = step([v.detach() for v in values], [v.grad for v in values], 1.0)
    for found, value in zip(moved, target, strict=True):
        torch.testing.assert_close(found, t(value, value), rtol=1e-9, atol=1e-9)


def test_a_step_of_a_multivariate_normal_goes_to_the_smallest_kl():
    generator = torch.Generator().manual_seed(1)
    a, b = (
        torch.randn(2, 3, 3, generator=generator, dtype=torch.float64).tril(-1) + torch.eye(3) for _ in "ab"
    )
    values = [torch.zeros(2, 3, dtype=torch.float64).requires_grad_(), a.requires_grad_()]
    target = MultivariateNormal(torch.ones(2, 3, dtype=torch.float64), scale_tril=b)
    (-kl_divergence(MultivariateNormal(values[0], scale_tril=values[1]), target).sum()).backward()
    loc, factor = steps.multivariate_normal([v.detach() for v in values], [v.grad for v in values], 1.0)
    torch.testing.assert_close(loc, target.loc)
    torch.testing.assert_close(factor, b)


def test_noise_never_leads_out_of_the_family():
    wild = t(1e6, -1e6, 1e6)
    for step, start in ((steps.normal, (t(0, 0, 0), t(1, 1, 1))), (steps.gamma, (t(1, 1, 1), t(1, 1, 1)))):
        for rate in (1.0, 0.1):
            moved = step(start, [wild, wild], rate)
            assert all(bool(torch.isfinite(v).all()) for v in moved) and bool((moved[1] > 0).all())
    factor = torch.eye(3, dtype=torch.float64)
    loc, found = steps.multivariate_normal([t(0, 0, 0), factor], [wild, 1e6 * (factor - 0.3).tril()], 1.0)
    assert bool(torch.isfinite(found).all()) and bool(
        (found.diagonal() > 0).all() and torch.isfinite(loc).all()
    )


# ---------------------------------------------------------------- going on, and refusals


def test_a_resumed_run_is_the_run_that_was_not_stopped(tmp_path):
    path = tmp_path / "fit.npz"
    options = {"schedule": "constant", "step_size": 0.2, "particles": 3}
    whole = fit(regression(X), {"y": Y}, 12, **options)
    fit(regression(X), {"y": Y}, 5, save_to=path, **options)
    rest = fit(regression(X), {"y": Y}, 12, resume=path, **options)
    assert all((rest.params[n] == v).all() for n, v in whole.params.items())
    assert "natural" in whole.attrs["engine_reason"]


def shifted():
    m = ppl.param("m", 0.0)
    ppl.sample("a", Normal(m, ppl.param("s", 1.0, constraint="positive")))
    ppl.sample("b", Normal(m, ppl.param("r", 1.0, constraint="positive")))


def doubled():
    ppl.sample("a", Normal(2.0 * ppl.param("m", 0.0), ppl.param("s", 1.0, constraint="positive")))
    ppl.sample("b", Normal(0.0, 1.0))


def fixed():
    ppl.sample("a", Normal(ppl.param("m", 0.0), 1.0))
    ppl.sample("b", Normal(0.0, 1.0))


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (shifted, "param 'm', which another site uses too"),
        (doubled, "not just params"),
        (fixed, "not just params"),
    ],
)
def test_params_that_are_no_arguments_are_refused(body, found):
    with pytest.raises(PplError, match="no natural gradient for site 'a'") as caught:
        fit(regression(X), {"y": Y}, 1, guide=ppl.guide(body)())
    assert found in str(caught.value)


def test_shared_params_in_a_plate_are_refused():
    @ppl.model
    def m():
        for _ in ppl.plate("n", 3):
            ppl.sample("z", HalfNormal(1.0))

    @ppl.guide
    def q():
        a, b = ppl.param("a", 1.0, constraint="positive"), ppl.param("b", 1.0, constraint="positive")
        for _ in ppl.plate("n", 3):
            ppl.sample("z", Gamma(a, b))

    with pytest.raises(PplError, match="no natural gradient for site 'z'"):
        fit(m(), {}, 1, guide=q())
    with pytest.raises(PplError, match="step_size"):
        ppl.NaturalGradient(step_size=1.5)
