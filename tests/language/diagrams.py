"""Programs with every kind of structure, for the tests of `explain` and `graph`."""

from typing import Any

import torch

import ppl
from ppl.distributions import Dirichlet, Flat, HalfCauchy, HalfNormal, Normal, Poisson, Restricted, Uniform

SIGMA = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
Y = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])


@ppl.model
def eight_schools(sigma: Any) -> None:
    mu = ppl.sample("mu", Normal(0.0, 5.0))
    tau = ppl.sample("tau", HalfCauchy(5.0))
    for j in ppl.plate("school", sigma.shape[0]):
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, sigma[j]))


@ppl.model
def walk(x: Any) -> None:
    """A scan whose state depends on its last, a branch, missing data."""
    phi = ppl.sample("phi", Uniform(-1.0, 1.0))
    s = ppl.sample("s", HalfNormal(1.0))

    def step(z: Any, x_t: Any) -> Any:
        z = ppl.sample("z", Normal(phi * z, s))
        ppl.sample("y", Normal(z + x_t, 1.0))
        return z

    last = ppl.scan("time", step, torch.zeros(()), xs=x)
    jump = ppl.cond(phi > 0, lambda: ppl.sample("jump", Normal(last, 1.0)), lambda: last)
    beta = ppl.sample("beta", Dirichlet(torch.ones(3)))
    ppl.deterministic("scaled", jump * beta)
    for _ in ppl.plate("obs", 4):
        ppl.sample("w", Normal(jump + beta[0], s))


@ppl.model
def regression(x: Any, group: Any) -> None:
    """Plates inside plates and beside them, a gathered plate, a param, a factor."""
    weight = ppl.param("weight", torch.zeros(()))
    mu = ppl.sample("mu", Normal(0.0, 5.0))
    tau = ppl.sample("tau", HalfNormal(1.0))
    sigma = ppl.sample("sigma", HalfNormal(1.0))
    for _ in (groups := ppl.plate("group", 3)):
        alpha = ppl.sample("alpha", Normal(mu, tau))
    every = groups.gather(alpha)
    for i in ppl.plate("person", 5):
        eta = ppl.deterministic("eta", every[group[i]] + weight * x[i, 0])
        for j in ppl.plate("question", 2):
            ppl.sample("answer", Normal(eta * x[i, j], sigma))
    ppl.factor("penalty", -(weight**2))


@ppl.model
def discrete(n: int) -> None:
    k = ppl.sample("k", Poisson(3.0))
    x = ppl.sample("x", Flat())
    ppl.sample("v", Restricted(Normal(torch.zeros(3), 1.0), "ordered"))
    for _ in ppl.plate("obs", n, subsample=2):
        ppl.sample("y", Normal(k * x, 1.0))


@ppl.model(dynamic=True)
def dynamic() -> None:
    k = ppl.sample("k", Normal(0.0, 1.0))
    ppl.sample("always", Normal(k, 1.0))


def schools() -> ppl.Bound:
    return eight_schools(SIGMA).condition(y=Y)


def walked() -> ppl.Bound:
    w = torch.tensor([1.0, float("nan"), 0.5, float("nan")])
    return walk(torch.arange(6.0)).condition(y=torch.zeros(6), w=w)


def regressed() -> ppl.Bound:
    return regression(torch.ones(5, 2), torch.tensor([0, 1, 2, 0, 1])).condition(answer=torch.zeros(5, 2))
