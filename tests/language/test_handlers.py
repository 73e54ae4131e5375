"""Handlers, compiled: each against the interpreter's reading of the same program, and against closed forms."""

from __future__ import annotations

import pytest
import torch
from programs import oracle

import ppl
from ppl.distributions import Gamma, HalfNormal, Independent, LogNormal, MultivariateNormal, Normal, StudentT

Y = torch.tensor([0.3, -1.2, 0.7])


@ppl.model
def model():
    mu = ppl.sample("mu", Normal(0.5, 2.0))
    tau = ppl.sample("tau", HalfNormal(1.5))
    for _ in ppl.plate("j", 3):
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, 1.0))


@ppl.model
def outer():
    return ppl.sample("left", model()) or ppl.sample("z", Normal(0.0, 1.0))


NON_CENTERED = ppl.NonCentered()
HANDLED = {
    "condition": lambda b: b,
    "do": lambda b: b.do(mu=1.5),
    "do in a plate": lambda b: b.do(theta=[0.1, 0.2, 0.3]),
    "mask one": lambda b: b.mask(y=[True, False, True]),
    "mask all": lambda b: b.mask(False),
    "scale one": lambda b: b.scale(y=3.0),
    "scale all": lambda b: b.scale(0.25),
    "scale twice": lambda b: b.scale(0.5).scale(theta=4.0),
    "scale choices": lambda b: b.scale_choices(0.25),
    "scale choices, non-centred": lambda b: b.scale_choices(0.25).reparam(theta=NON_CENTERED),
    "stop gradient": lambda b: b.stop_gradient(),
    "grad": lambda b: b.grad("score", mu="reparam"),
    "non-centred": lambda b: b.reparam(theta=NON_CENTERED),
    "non-centred, scaled": lambda b: b.scale(0.5).reparam(theta=NON_CENTERED),
    "scaled, non-centred": lambda b: b.reparam(theta=NON_CENTERED).scale(0.5),
    "non-centred by itself": lambda b: b.reparam(),
    "non-centred, then given": lambda b: b.reparam(theta=NON_CENTERED).condition(theta=[0.1, 0.2, 0.3]),
    "block data": lambda b: b.block("y"),
}


@pytest.mark.parametrize("name", HANDLED)
def test_compiled_equals_interpreted(name):
    bound = HANDLED[name](model().condition(y=Y))
    compiled = ppl.compile(bound)
    x = torch.linspace(-0.7, 0.9, compiled.dim, dtype=torch.float64).requires_grad_(True)
    expected = oracle.log_density(compiled, x)
    (gradient,) = torch.autograd.grad(expected, x) if expected.requires_grad else (torch.zeros_like(x),)
    value, grad = compiled.value_and_grad(x.detach())
    assert torch.allclose(value, expected.detach(), atol=1e-10)
    assert torch.allclose(grad, gradient, atol=1e-10)


def log_joint(mu, tau, theta, scale=(1.0, 1.0)):
    prior = Normal(0.5, 2.0).log_prob(mu) + HalfNormal(1.5).log_prob(tau)
    return (
        prior
        + scale[0] * Normal(mu, tau).log_prob(theta).sum()
        + scale[1] * Normal(theta, 1.0).log_prob(Y).sum()
    )


def at(bound, mu=0.2, tau=0.8, theta=(0.1, -0.4, 0.6)):
    """The constrained log density at a point: the unconstrained one less the log-Jacobian of tau = exp(u)."""
    compiled = ppl.compile(bound)
    known = {"mu": torch.tensor(mu), "tau": torch.tensor(tau), "theta": torch.tensor(theta)}
    x = compiled.unconstrain({p.name: known[p.name] for p in compiled.parts})
    jacobian = sum(float(torch.log(known["tau"])) for p in compiled.parts if p.name == "tau")
    return float(compiled.log_density(x)) - jacobian, [
        torch.as_tensor(known[k]).double() for k in ("mu", "tau", "theta")
    ]


def test_condition_is_the_joint_density():
    value, point = at(model().condition(y=Y))
    assert value == pytest.approx(float(log_joint(*point)), abs=1e-6)


def test_scale_multiplies_one_site():
    value, point = at(model().condition(y=Y).scale(y=3.0))
    assert value == pytest.approx(float(log_joint(*point, scale=(1.0, 3.0))), abs=1e-6)


def test_scaled_choices_leave_data_alone():
    value, point = at(model().condition(y=Y).scale_choices(0.25))
    prior = log_joint(*point, scale=(1.0, 0.0))
    likelihood = log_joint(*point, scale=(0.0, 1.0)) - log_joint(*point, scale=(0.0, 0.0))
    assert value == pytest.approx(float(0.25 * prior + likelihood), abs=1e-6)


def test_do_cuts_the_site_out_of_the_density():
    value, point = at(model().condition(y=Y).do(mu=0.2))
    assert value == pytest.approx(float(log_joint(*point) - Normal(0.5, 2.0).log_prob(point[0])), abs=1e-6)


def test_automatic_non_centring_chooses_sites_with_random_parameters():
    compiled = ppl.compile(model().condition(y=Y).reparam())
    assert [p.name for p in compiled.parts] == ["mu", "tau", "theta_base"]


@pytest.mark.parametrize(
    "d",
    [
        lambda m, s: Normal(m, s),
        lambda m, s: StudentT(4.0, m, s),
        lambda m, s: LogNormal(m, s),
        lambda m, s: Independent(Normal(m * torch.ones(2), s), 1),
        lambda m, s: MultivariateNormal(m * torch.ones(2), scale_tril=s * torch.eye(2)),
    ],
)
def test_non_centring_keeps_the_law(d):
    """p_base(ε) dε = p(x) dx: densities at corresponding points differ by the log-Jacobian of the map."""

    @ppl.model
    def m():
        loc = ppl.sample("loc", Normal(0.0, 1.0))
        scale = ppl.sample("scale", Gamma(2.0, 1.0))
        ppl.sample("x", d(loc, scale))

    plain, moved = ppl.compile(m()), ppl.compile(m().reparam(x=NON_CENTERED))
    u = torch.linspace(-0.5, 0.8, moved.dim, dtype=torch.float64)

    def forward(u):
        values = moved.constrain(u)
        return plain.unconstrain({k: values[k] for k in ("loc", "scale", "x")})

    columns = []
    for i in range(len(u)):
        e = torch.zeros_like(u)
        e[i] = 1e-5
        columns.append((forward(u + e) - forward(u - e)) / 2e-5)
    jacobian = torch.linalg.slogdet(torch.stack(columns, 1))[1]
    assert float(moved.log_density(u)) == pytest.approx(
        float(plain.log_density(forward(u)) + jacobian), abs=1e-6
    )


def test_names_of_a_subprogram_are_relative_to_it():
    inner = model().condition(y=Y)

    @ppl.model
    def whole():
        ppl.sample("a", inner)
        ppl.sample("b", model().condition(y=Y))

    names = [p.name for p in ppl.compile(whole().do({"b/mu": 0.1})).parts]
    assert names == ["a/mu", "a/tau", "a/theta", "b/tau", "b/theta"]
