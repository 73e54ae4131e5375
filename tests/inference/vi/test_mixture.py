"""The mixture guide: its density is the mixture's, and it fits posteriors with two modes, weights included."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

import ppl
from ppl.distributions import HalfNormal, Normal


@ppl.model
def folded():
    """Only |x| is seen: two modes, of which the prior likes one better."""
    x = ppl.sample("x", Normal(1.0, 3.0))
    ppl.sample("y", Normal(x.abs(), 0.5))


@ppl.model
def plane():
    a = ppl.sample("a", Normal(0.0, 2.0))
    b = ppl.sample("b", Normal(a, 0.5))
    ppl.sample("s", HalfNormal(1.0))
    ppl.sample("y", Normal(a * b, 0.5))


def quadrature(y: float) -> tuple[float, float, float, float]:
    """Evidence, mean, sd and P(x > 0) of `folded`, by a fine sum."""
    x = np.linspace(-20.0, 20.0, 400_001)
    log_p = -0.5 * ((x - 1) / 3) ** 2 - math.log(3) - 0.5 * ((y - np.abs(x)) / 0.5) ** 2 - math.log(0.5)
    p = np.exp(log_p - math.log(2 * math.pi)) * (x[1] - x[0])
    evidence = p.sum()
    mean = (p * x).sum() / evidence
    return (
        math.log(evidence),
        mean,
        math.sqrt((p * x**2).sum() / evidence - mean**2),
        p[x > 0].sum() / evidence,
    )


def test_both_modes_are_found_with_their_weights() -> None:
    model = folded().condition(y=2.0)
    method = ppl.VI(guide=ppl.guides.mixture(model), steps=3000, learning_rate=0.05)
    fit = ppl.infer(folded(), {"y": 2.0}, method, draws=4000, progress=False)
    log_evidence, mean, sd, positive = quadrature(2.0)
    assert fit.attrs["engine"] == "native"
    # Modes 4 apart with sd ½ hardly overlap, so that the family all but holds the posterior: weights vary little.
    assert fit.khat < 0.7 and np.std(fit.log_weights) < 0.1
    assert abs(fit.log_evidence - log_evidence) < 4 * 0.1 / math.sqrt(4000)
    draws = fit.draws["x"][0]
    assert abs((draws > 0).mean() - positive) < 4 * math.sqrt(positive * (1 - positive) / 4000) + 0.01
    assert abs(draws.mean() - mean) < 4 * sd / math.sqrt(4000) + 0.02
    weights = torch.softmax(torch.as_tensor(fit.params["component.logits"]), 0)
    assert abs(float(weights.max()) - max(positive, 1 - positive)) < 0.01
    # One normal has to choose.
    single = ppl.infer(folded(), {"y": 2.0}, ppl.VI(steps=1000), draws=1000, progress=False)
    assert (single.draws["x"] > 0).mean() in (0.0, 1.0)


@pytest.mark.parametrize("base", ("mean_field", "full_rank"))
def test_the_density_is_the_mixture_s(base: str) -> None:
    guide = ppl.guides.mixture(plane().condition(y=1.0), components=3, base=base)
    generator = torch.Generator().manual_seed(0)
    logits, loc, wide = (torch.randn(s, generator=generator).double() for s in ((3,), (3, 3), (3, 3, 3)))
    factor = wide.tril(-1) + torch.diag_embed(0.5 + torch.diagonal(wide, dim1=-2, dim2=-1).abs())
    name = "joint.scale_tril"
    if base == "mean_field":
        name, factor = "joint.scale", torch.diagonal(factor, dim1=-2, dim2=-1)
    params = {"component.logits": logits, "joint.loc": loc, name: factor}
    trace = ppl.simulate(guide, seed=1, params=params)
    tril = factor if base == "full_rank" else torch.diag_embed(factor)
    law = MixtureSameFamily(Categorical(logits=logits), MultivariateNormal(loc, scale_tril=tril))
    u = torch.stack([trace["a"], trace["b"], trace["s"].log()])
    torch.testing.assert_close(u, trace["_joint"])
    torch.testing.assert_close(trace.log_density, law.log_prob(u) - u[2])


def test_components_of_full_rank_keep_correlations() -> None:
    """|a| is seen and b follows a: two normals, in each of which a and b are correlated."""

    @ppl.model
    def branches():
        a = ppl.sample("a", Normal(0.0, 2.0))
        ppl.sample("b", Normal(a, 0.5))
        ppl.sample("y", Normal(a.abs(), 0.5))

    starts = [{"a": -2.0, "b": -2.0}, {"a": 2.0, "b": 2.0}]
    guide = ppl.guides.mixture(branches().condition(y=3.0), base="full_rank", init=starts)
    method = ppl.VI(guide=guide, steps=2000, learning_rate=0.03)
    fit = ppl.infer(branches(), {"y": 3.0}, method, draws=4000, progress=False)
    a, b = fit.draws["a"][0], fit.draws["b"][0]
    variance = 1 / (1 / 2.0**2 + 1 / 0.5**2)
    mean, covariance = 3.0 / 0.5**2 * variance, np.array([[variance, variance], [variance, variance + 0.25]])
    assert fit.khat < 0.7 and abs((a > 0).mean() - 0.5) < 4 * 0.5 / math.sqrt(4000) + 0.01
    for sign in (-1, 1):
        mine = np.stack([a, b])[:, a * sign > 0]
        assert (np.abs(mine.mean(1) - sign * mean) < 4.5 * np.sqrt(np.diag(covariance) / mine.shape[1])).all()
        # A variance's relative error is sqrt(2/n) = 0.03.
        np.testing.assert_allclose(np.cov(mine), covariance, rtol=0.15)


def test_options_that_do_not_fit() -> None:
    model = folded().condition(y=2.0)
    with pytest.raises(ppl.PplError, match="at least one component"):
        ppl.guides.mixture(model, components=0)
    with pytest.raises(ppl.PplError, match="init has not as many starts"):
        ppl.guides.mixture(model, init=[{"x": 1.0}])
    with pytest.raises(ppl.PplError, match="there are no mixtures of 'full' guides") as caught:
        ppl.guides.mixture(model, base="full")
    assert 'base="full_rank"' in str(caught.value)
