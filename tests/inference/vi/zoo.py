"""Models whose latent sites stand in every kind of place and have every kind of support."""

import torch

import ppl
from ppl.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    Dirichlet,
    Exponential,
    Flat,
    Gamma,
    HalfCauchy,
    HalfNormal,
    LKJCholesky,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    Restricted,
    Uniform,
    VonMises,
    Wishart,
)
from ppl.language.program import Bound

SIGMA = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
Y = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])


@ppl.model
def eight_schools(sigma):
    mu = ppl.sample("mu", Normal(0.0, 5.0))
    tau = ppl.sample("tau", HalfCauchy(5.0))
    for j in ppl.plate("school", sigma.shape[0]):
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, sigma[j]))


@ppl.model
def nested(low):
    a = ppl.sample("a", Normal(torch.zeros(3), 1.0), dims=("feature",))
    for i in ppl.plate("row", 2):
        b = ppl.sample("b", Uniform(low[i], 9.0))
        ppl.sample("shares", Dirichlet(torch.ones(3)))
        for _ in ppl.plate("the column", 3):
            ppl.sample("d", Gamma(2.0, b))
    for _ in ppl.plate("row", 2):
        ppl.sample("e", Normal(a.sum(), 1.0))


@ppl.model
def chain(steps):
    s = ppl.sample("s", HalfNormal(1.0))

    def step(x, t):
        x = ppl.sample("x", Normal(0.9 * x, s))
        ppl.sample("gate", Beta(2.0, 2.0))
        ppl.sample("obs", Normal(x, 1.0))
        return x

    for _ in ppl.plate("series", 2):
        ppl.scan("time", step, torch.tensor(0.0), length=steps)


@ppl.model
def supports():
    ppl.sample("simplex", Dirichlet(torch.ones(3)))
    ppl.sample("ordered", Restricted(Normal(torch.zeros(4), 1.0), "ordered"))
    ppl.sample("correlation", LKJCholesky(3, 1.0))
    ppl.sample("unit", Beta(1.0, 2.0))
    ppl.sample("interval", Uniform(-1.0, 2.0))
    ppl.sample("positive", Exponential(1.0))
    ppl.sample("above", Flat(lower=2.0))
    ppl.sample("cov", Wishart(torch.tensor(4.0), torch.eye(2)))
    ppl.sample("vectors", MultivariateNormal(torch.zeros(2), torch.eye(2)).expand([3]))
    ppl.sample("rates", Gamma(torch.ones(2), 1.0))
    ppl.sample("angle", VonMises(0.0, 1.0))


@ppl.model
def mixed():
    z = ppl.sample("z", Bernoulli(0.3))
    w = ppl.sample("w", Normal(0.0, 1.0))
    for _ in ppl.plate("i", 4):
        k = ppl.sample("k", Categorical(torch.ones(3)))
        ppl.sample("hot", OneHotCategorical(torch.ones(2)))
        ppl.sample("y", Normal(k + w * z, 1.0))


def continuous() -> dict[str, Bound]:
    """Bound models, data conditioned on, by name."""
    bound = [
        eight_schools(SIGMA).condition(y=Y),
        eight_schools(SIGMA).condition(y=Y).reparam(theta=ppl.NonCentered()),
        nested(torch.tensor([1.0, 2.0])),
        chain(5).condition(obs=torch.zeros(2, 5)),
        supports(),
    ]
    return {f"{b.name}{'_apart' * bool('reparam' in repr(b))}": b for b in bound}
