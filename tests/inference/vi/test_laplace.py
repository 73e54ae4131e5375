"""The Laplace approximation is exact where log densities are quadratic, and is the normal at the mode elsewhere."""

import math

import pytest
import torch
from inference.vi import zoo
from torch.distributions import MultivariateNormal

import ppl
from ppl.distributions import Flat, Gamma, HalfNormal, Normal


@ppl.model
def regression(x):
    w = ppl.sample("w", Normal(torch.zeros(3), 2.0))
    b = ppl.sample("b", Normal(1.0, 0.5))
    for i in ppl.plate("row", x.shape[0]):
        ppl.sample("y", Normal(x[i] @ w + b, 0.7))


def test_a_gaussian_posterior_is_found_exactly() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((30, 3), (30,)))
    design = torch.cat([x, torch.ones(30, 1)], 1)
    prior = torch.tensor([0.25, 0.25, 0.25, 4.0], dtype=torch.float64)  # precisions
    precision = design.T @ design / 0.49 + prior.diag()
    mean = torch.linalg.solve(precision, design.T @ y / 0.49 + torch.tensor([0.0, 0.0, 0.0, 4.0]))
    guide = ppl.guides.laplace(regression(x).condition(y=y))
    factor = guide.arguments["scale_tril"]
    torch.testing.assert_close(guide.arguments["loc"], mean, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(factor @ factor.T, precision.inverse(), rtol=1e-6, atol=1e-9)
    choices = ppl.simulate(guide, seed=1).choices
    at = torch.cat([choices["w"], choices["b"].reshape(1)])
    expected = MultivariateNormal(mean, precision_matrix=precision).log_prob(at)
    torch.testing.assert_close(ppl.log_density(guide, choices), expected, rtol=1e-6, atol=1e-6)


def test_it_is_the_normal_at_the_mode_of_the_coordinates() -> None:
    """Gamma(a, b) of e^u has log density a u − b e^u + c: its mode is log(a / b), its curvature there a."""

    @ppl.model
    def model():
        ppl.sample("rate", Gamma(6.0, 2.0))

    guide = ppl.guides.laplace(model())
    torch.testing.assert_close(guide.arguments["loc"], torch.tensor([math.log(3.0)]).double())
    variance = guide.arguments["scale_tril"] ** 2  # central differences err by step² / 6 · 4th derivative
    torch.testing.assert_close(variance, torch.tensor([[1 / 6]]).double(), rtol=1e-6, atol=0)


def test_it_covers_plates_scans_and_supports() -> None:
    model = zoo.nested(torch.tensor([1.0, 2.0]))
    guide = ppl.guides.laplace(model)
    compiled = ppl.compile(model, engine="torch")
    gradient = compiled.value_and_grad(guide.arguments["loc"])[1]
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-6, rtol=0)
    trace = ppl.simulate(guide)
    own = {k: v for k, v in trace.choices.items() if k != "_joint"}
    assert torch.isfinite(ppl.log_density(model, own)) and torch.isfinite(trace.log_density)


def test_it_starts_where_it_is_told() -> None:
    @ppl.model
    def two_modes():
        x = ppl.sample("x", Flat())
        ppl.factor("modes", -((x**2 - 4.0) ** 2))

    for start in (-1.0, 1.5):
        loc = ppl.guides.laplace(two_modes(), init={"x": start}).arguments["loc"]
        torch.testing.assert_close(loc, torch.tensor([math.copysign(2.0, start)]).double())


@ppl.model
def unbounded():
    s = ppl.sample("s", HalfNormal(1.0))
    for _ in ppl.plate("i", 4):
        ppl.sample("x", Normal(0.0, s))


@ppl.model
def free():
    x = ppl.sample("x", Flat())
    z = ppl.sample("z", Flat())
    ppl.sample("y", Normal(x + z, 1.0))


@ppl.model
def some(y):
    for i in ppl.plate("row", 10, subsample=2):
        z = ppl.sample("z", Normal(0.0, 1.0))
        ppl.observe("y", Normal(z, 1.0), y[i])


@pytest.mark.parametrize(
    "model", [unbounded(), free().condition(y=0.0), some(torch.zeros(10))], ids=lambda b: b.name
)
def test_a_density_without_a_mode_is_refused(model: ppl.Bound) -> None:
    with pytest.raises(ppl.PplError, match="no Laplace approximation") as caught:
        ppl.guides.laplace(model)
    assert "edit:" in str(caught.value)
