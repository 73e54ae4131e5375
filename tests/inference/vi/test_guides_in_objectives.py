"""Automatic guides inside an objective: every kind can be trained, and exact ones give the evidence."""

import pytest
import torch
from inference.vi import zoo
from inference.vi.test_guides import moved
from inference.vi.test_laplace import regression
from torch.distributions import MultivariateNormal

import ppl
from ppl.distributions import Beta, Normal

GUIDES = ("mean_field", "full_rank", "low_rank", "flow", "mixture", "structured", "delta")
MODELS = zoo.continuous()
FLAT = {"simplex", "shares", "interval", "above"}
"""Sites with a uniform prior that nothing depends on: a point estimate of them has no gradient."""


@ppl.objective
def elbo(p, q):
    z = ppl.simulate(q)
    return ppl.log_density(p, z) - ppl.log_density(q, z)


@pytest.mark.parametrize("kind", GUIDES)
@pytest.mark.parametrize("name", ["eight_schools", "nested", "chain", "supports"])
def test_every_guide_has_a_gradient(kind: str, name: str) -> None:
    guide = getattr(ppl.guides, kind)(MODELS[name])
    params = moved(guide, by=0.1)
    value, gradient = ppl.value_and_grad(elbo)(MODELS[name], guide, seed=1, params=params)
    assert bool(torch.isfinite(value))
    assert all(bool(torch.isfinite(g).all()) for g in gradient.values())
    still = {k for k, g in gradient.items() if not bool((g != 0).any())}
    assert still <= (FLAT if kind == "delta" else set())


@pytest.mark.parametrize("kind", ["full_rank", "low_rank", "flow", "structured"])
@pytest.mark.parametrize("name", ["nested", "chain"])
def test_the_gradient_is_that_of_the_value_at_the_same_noise(kind: str, name: str) -> None:
    """Pathwise: a central difference along a direction, the random numbers kept, gives gradient · direction."""
    guide = getattr(ppl.guides, kind)(MODELS[name])
    at = moved(guide, by=0.1)
    f = ppl.value_and_grad(elbo)
    _, gradient = f(MODELS[name], guide, seed=1, params=at)
    generator = torch.Generator().manual_seed(3)
    along = {k: torch.randn(v.shape, generator=generator, dtype=v.dtype) for k, v in at.items()}
    along = {k: v.tril() if k.endswith("scale_tril") else v for k, v in along.items()}
    step = 1e-5
    ends = [
        f(MODELS[name], guide, seed=1, params={k: v + side * along[k] for k, v in at.items()})[0]
        for side in (step, -step)
    ]
    slope = sum((gradient[k] * along[k]).sum() for k in at)
    torch.testing.assert_close(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["mean_field", "full_rank", "flow"])
def test_guides_with_the_same_start_have_the_same_elbo(kind: str) -> None:
    """All start as independent normals of scale ½, so that their expectations agree."""
    found = [
        ppl.estimate(elbo)(MODELS["nested"], make(MODELS["nested"], scale=0.5), draws=4000, seed=seed)
        for seed, make in ((1, getattr(ppl.guides, kind)), (2, ppl.guides.mean_field))
    ]
    error = sum(f.standard_error**2 for f in found) ** 0.5
    assert abs(found[0].value - found[1].value) < 4.5 * error


def test_the_laplace_guide_of_a_gaussian_model_gives_the_evidence_with_every_draw() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((12, 3), (12,)))
    model = regression(x).condition(y=y)
    mean = torch.ones(12, dtype=torch.float64)
    covariance = 4.0 * x @ x.T + 0.25 + 0.49 * torch.eye(12)
    evidence = MultivariateNormal(mean, covariance).log_prob(y)
    found = ppl.estimate(elbo)(model, ppl.guides.laplace(model), draws=100)
    assert abs(found.value - evidence) < 1e-5 and found.standard_error < 1e-6


def test_delta_has_the_model_s_log_density_and_its_gradient() -> None:
    @ppl.model
    def model():
        p = ppl.sample("p", Beta(2.0, 4.0))
        ppl.sample("y", Normal(p, 1.0))

    bound = model().condition(y=0.3)
    value, gradient = ppl.value_and_grad(elbo)(bound, ppl.guides.delta(bound, init={"p": 0.4}))
    p = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    expected = ppl.log_density(bound, {"p": p})
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradient["p"], torch.autograd.grad(expected, p)[0])
