"""A `.ppl` program and the Python program that says the same have the same density, on data and everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

import ppl
from ppl.distributions import (
    Bernoulli,
    Categorical,
    HalfCauchy,
    MultivariateNormal,
    Normal,
    Poisson,
    Restricted,
)
from ppl.syntax.load import loads

X = torch.tensor([[0.3, -1.0], [1.2, 0.4], [-0.7, 0.9]], dtype=torch.float64)
Y = torch.tensor([0.5, -0.2, 1.4, 0.1], dtype=torch.float64)


def same(text: str, python: Any, *arguments: Any, data: dict[str, Any] | None = None) -> None:
    """Both programs' log densities and gradients at random points."""
    module = loads(text)
    (program,) = [p for p in module.programs.values() if p.name == "m"]
    written, reference = program(*arguments), python(*arguments)
    if data:
        written, reference = written.condition(data), reference.condition(data)
    ours, theirs = ppl.compile(written), ppl.compile(reference)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        x = torch.randn(theirs.dim, generator=generator, dtype=torch.float64)
        value, gradient = ours.value_and_grad(x)
        expected, slope = theirs.value_and_grad(x)
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(gradient, slope, rtol=1e-10, atol=1e-12)


def test_a_hierarchy():
    @ppl.model
    def m(sigma):
        mu = ppl.sample("mu", Normal(0.0, 5.0))
        tau = ppl.sample("tau", HalfCauchy(5.0))
        for j in ppl.plate("J", 3):
            theta = ppl.sample("theta", Normal(mu, tau))
            ppl.sample("y", Normal(theta, sigma[j]))

    text = """
model m(sigma: positive[J]):
    mu ~ Normal(0, 5)
    tau ~ HalfCauchy(5)
    for j in J:
        theta[j] ~ Normal(mu, tau)
        y[j] ~ Normal(theta[j], sigma[j])
"""
    sigma = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    same(text, m, sigma, data={"y": torch.tensor([0.1, 2.0, -1.0])})


def test_a_matrix_product_and_elements_of_what_a_loop_built():
    @ppl.model
    def m(x):
        beta = ppl.sample("beta", Normal(0.0, 2.0).expand([2]))
        for i in (p := ppl.plate("N", 3)):
            eta = x[i] @ beta
            ppl.sample("y", Normal(eta, 1.0))
        eta = p.gather(eta)
        ppl.factor("f", -0.5 * (eta**2).sum() + eta[0])

    text = """
model m(x: real[N, D]):
    beta: real[D] ~ Normal(0, 2)
    for i in N:
        eta[i] = x[i] @ beta
        y[i] ~ Normal(eta[i], 1)
    factor f = -0.5 * sum(eta ** 2) + eta[0]
"""
    same(text, m, X, data={"y": torch.tensor([0.1, 2.0, -1.0])})


LOCAL_LEVEL = """
model m(y: real[T]):
    s ~ HalfCauchy(1)
    {first}
    {loop}
        {z}
        y[t] ~ Normal(z[t], 0.5)
"""


@pytest.mark.parametrize(
    ("first", "loop", "z"),
    [
        ("pass", "for t in T:", "z[t] ~ Normal(z[t-1] if t > 0 else 0, s if t > 0 else 2)"),
        (
            "z[0] ~ Normal(0, 2)\n    y[0] ~ Normal(z[0], 0.5)",
            "for t in range(1, T):",
            "z[t] ~ Normal(z[t-1], s)",
        ),
        ("z[-1] = 0", "for t in T:", "z[t] ~ Normal(z[t-1], s if t >= 1 else 2)"),
    ],
)
def test_three_ways_to_begin_a_chain(first: str, loop: str, z: str):
    @ppl.model
    def m(y):
        s = ppl.sample("s", HalfCauchy(1.0))

        def step(before, t):
            here = ppl.sample(
                "z",
                Normal(torch.where(t > 0, before, 0.0 * before), torch.where(t > 0, s, torch.tensor(2.0))),
            )
            ppl.sample("y", Normal(here, 0.5))
            return here

        ppl.scan("T", step, torch.zeros((), dtype=torch.float64), length=4)

    text = LOCAL_LEVEL.format(first=first, loop=loop, z=z)
    module = loads(text)
    ours, theirs = ppl.compile(module.m(Y)), ppl.compile(m(None).condition(y=Y))
    x = torch.linspace(-1, 1, theirs.dim, dtype=torch.float64)
    torch.testing.assert_close(ours.log_density(x), theirs.log_density(x), rtol=1e-12, atol=1e-12)


def test_two_lags_and_an_updated_name():
    @ppl.model
    def m():
        def step(carry, t):
            one, two, total = carry
            z = ppl.sample("z", Normal(0.5 * one - 0.2 * two, 1.0))
            return (z, one, total + z)

        zero = torch.zeros((), dtype=torch.float64)
        *_, total = ppl.scan("t", step, (zero, zero, zero), length=5)
        ppl.factor("f", -(total**2))

    text = """
model m():
    z[-1] = 0
    z[-2] = 0
    total = 0.0
    for t in 5:
        z[t] ~ Normal(0.5 * z[t-1] - 0.2 * z[t-2], 1)
        total += z[t]
    factor f = -total ** 2
"""
    same(text, m)


def test_a_plate_in_a_scan():
    @ppl.model
    def m():
        def step(before, t):
            for k in (p := ppl.plate("K", 2)):
                z = ppl.sample("z", Normal(torch.where(t > 0, 0.3 * before[k], torch.zeros(())), 1.0))
            return p.gather(z)

        ppl.scan("T", step, torch.zeros(2, dtype=torch.float64), length=3)

    text = """
model m(K: int = 2, T: int = 3):
    for t in T:
        for k in K:
            z[t, k] ~ Normal(0.3 * z[t-1, k] if t > 0 else 0, 1)
"""
    same(text, m)


def test_branches_on_data_and_on_a_random_value():
    @ppl.model
    def m(k):
        x = ppl.sample("x", Normal(0.0, 1.0))
        a = ppl.sample("a", Normal(x, 1.0)) if k > 1 else x

        def left():
            return ppl.sample("b", Normal(1.0, 1.0))

        def right():
            return ppl.sample("b", Normal(-1.0, 2.0))

        b = ppl.cond(x > 0, left, right)
        ppl.factor("f", a * b)

    text = """
model m(k: int):
    x ~ Normal(0, 1)
    if k > 1:
        a ~ Normal(x, 1)
    else:
        a = x
    if x > 0:
        b ~ Normal(1, 1)
    else:
        b ~ Normal(-1, 2)
    factor f = a * b
"""
    same(text, m, 2)
    same(text, m, 1)


def test_restricted_and_structured_types():
    @ppl.model
    def m():
        s = ppl.sample("s", Restricted(Normal(0.0, 2.0), "positive"))
        c = ppl.sample("c", Restricted(Normal(0.0, torch.ones(3)), "ordered"))
        u = ppl.sample("u", Restricted(Normal(0.0, 1.0), (-1.0, 2.0)))
        v = ppl.sample("v", MultivariateNormal(torch.zeros(2), torch.eye(2)))
        ppl.factor("f", s * c.sum() + u * v[0])

    text = """
model m():
    s: positive ~ Normal(0, 2)
    c: ordered[3] ~ Normal(0, 1)
    u: real(-1, 2) ~ Normal(0, 1)
    v ~ MultivariateNormal(zeros(2), eye(2))
    factor f = s * sum(c) + u * v[0]
"""
    same(text, m)


def test_a_discrete_mixture_is_summed_out():
    @ppl.model
    def m(y):
        mu = ppl.sample("mu", Normal(torch.tensor([-1.0, 1.0], dtype=torch.float64), 1.0))
        for _ in ppl.plate("N", 4):
            k = ppl.sample("k", Categorical(torch.tensor([0.3, 0.7], dtype=torch.float64)))
            ppl.sample("y", Normal(mu[k], 0.5))

    text = """
model m(y: real[N]):
    mu ~ Normal([-1.0, 1.0], 1)
    for i in N:
        k[i] ~ Categorical([0.3, 0.7])
        y[i] ~ Normal(mu[k[i]], 0.5)
"""
    written, reference = loads(text).m(Y).do(k=[0, 1, 1, 0]), m(None).condition(y=Y).do(k=[0, 1, 1, 0])
    x = torch.tensor([0.3, -0.2], dtype=torch.float64)
    expected = ppl.compile(reference).log_density(x)
    torch.testing.assert_close(ppl.compile(written).log_density(x), expected)


def test_a_submodel_nests_its_choices():
    text = """
model coin(a: positive = 1):
    p ~ Beta(a, a)
    return logit(p)

model m():
    left ~ coin()
    right ~ coin(a=2)
    z ~ Normal(left - right, 1)
"""
    trace = ppl.simulate(loads(text).m(), seed=1)
    assert {"left/p", "right/p", "z"} <= set(trace.choices)


def test_functions_and_conditions_on_elements():
    @ppl.model
    def m(x):
        w = ppl.sample("w", Normal(0.0, 1.0))
        for i in ppl.plate("N", 4):
            rate = torch.where(x[i] > 0, torch.exp(w * x[i]), torch.nn.functional.softplus(w))
            ppl.sample("n", Poisson(rate))
            ppl.sample("b", Bernoulli(logits=w * x[i]))

    text = """
def growth(x: real, w: real) -> positive:
    return exp(w * x) if x > 0 else softplus(w)

model m(x: real[N]):
    w ~ Normal(0, 1)
    for i in N:
        n[i] ~ Poisson(growth(x[i], w))
        b[i] ~ Bernoulli(logits=w * x[i])
"""
    data = {"n": torch.tensor([1.0, 0.0, 3.0, 2.0]), "b": torch.tensor([1.0, 0.0, 1.0, 1.0])}
    same(text, m, Y, data=data)


def test_missing_data_stay_latent():
    text = """
model m(y: real[N]):
    mu ~ Normal(0, 1)
    for i in N:
        y[i] ~ Normal(mu, 1)
"""
    module = loads(text)
    assert ppl.compile(module.m(torch.tensor([1.0, math.nan, 2.0]))).dim == 2
    assert ppl.compile(module.m([1.0, 0.0, 2.0])).dim == 1


def test_an_objective_equals_its_python():
    text = """
model p():
    x ~ Normal(0, 1)
    y ~ Normal(x, 0.5)

guide q for p:
    param m: real = 0.3
    param s: positive = 1
    x ~ Normal(m, s)

objective bound(p: model, q: guide, K: int = 4):
    for k in K:
        z = simulate(q)
        w[k] = log_density(p, z) - log_density(q, z)
    return log_mean_exp(w)
"""

    @ppl.objective
    def bound(p, q, K=4):
        for _ in (plate := ppl.plate("K", K)):
            z = ppl.simulate(q)
            w = ppl.log_density(p, z) - ppl.log_density(q, z)
        return torch.logsumexp(plate.gather(w), 0) - math.log(K)

    module = loads(text)
    p, q = module.p().condition(y=0.7), module.q()
    ours = ppl.value_and_grad(module.bound)(p, q, seed=3)
    theirs = ppl.value_and_grad(bound)(p, q, seed=3)
    torch.testing.assert_close(ours[0], theirs[0])
    for name, gradient in theirs[1].items():
        torch.testing.assert_close(ours[1][name], gradient)


def test_generated_code_reaches_nothing_of_python():
    module = loads("def f(x: real):\n    return x + 1\n")
    names: dict[str, Any] = module.f.__wrapped__.__globals__
    assert names["__builtins__"] == {}
    forbidden: list[Callable[..., Any]] = [eval, exec, open, __import__, getattr, setattr, compile]
    assert not any(value is f for value in names.values() for f in forbidden)


CHAIN_OF_VECTORS = """
model m(T: int = 3, K: int = 2):
    z[0] ~ MultivariateNormal(zeros(K), eye(K))
    for t in range(1, T):
        z[t]{kind} ~ MultivariateNormal(0.5 * z[t-1], eye(K))
"""


def test_a_chain_of_vectors_has_a_type():
    @ppl.model
    def m():
        def step(before, t):
            return ppl.sample("z", MultivariateNormal(torch.where(t > 0, 0.5, 0.0) * before, torch.eye(2)))

        ppl.scan("T", step, torch.zeros(2, dtype=torch.float64), length=3)

    same(CHAIN_OF_VECTORS.format(kind=": real[K]"), m)
    with pytest.raises(ppl.PplError, match=r"the loop carries `z` on(?s:.*)z\[t\]: real\[K\] ~"):
        loads(CHAIN_OF_VECTORS.format(kind=""))


def test_a_marginal_keeps_sites_by_name():
    text = """
model part():
    k ~ Bernoulli(0.25)
    u ~ Normal(0, 1)
    x ~ Normal(2 * k + u, 1)

guide q():
    param m: real = 1
    u ~ Delta(m)
    x ~ Delta(m)

objective exact(p: model, q: guide):
    return log_density(marginal(p, keep=["u", "x"]), simulate(q))
"""
    module = loads(text)
    value, _ = ppl.value_and_grad(module.exact)(module.part(), module.q(), seed=0)
    normal = torch.distributions.Normal(0.0, 1.0)
    x_of_k = torch.stack([normal.log_prob(torch.tensor(0.0)), normal.log_prob(torch.tensor(-2.0))])
    expected = normal.log_prob(torch.tensor(1.0)) + torch.logsumexp(
        x_of_k + torch.log(torch.tensor([0.75, 0.25])), 0
    )
    torch.testing.assert_close(float(value), float(expected), rtol=1e-6, atol=1e-6)


def test_a_network_is_the_programs_own():
    net = torch.nn.Linear(2, 3)

    @ppl.guide
    def encoder(net, y):
        ppl.sample("z", Normal(ppl.module("net", net)(y), 1.0))

    text = """
model decoder(weights: real[3, 2], y: real[2]):
    z: real[3] ~ Normal(0, 1)
    y ~ Normal(z @ weights, 1)

guide encoder(net: module, y: real[2]):
    z ~ Normal(net(y), 1)

objective bound(p: model, q: guide):
    z = simulate(q)
    return log_density(p, z) - log_density(q, z)
"""
    module = loads(text)
    p, y = module.decoder(torch.ones(3, 2), [0.1, 0.2]), torch.tensor([0.5, -0.5])
    ours = ppl.value_and_grad(module.bound)(p, module.encoder(net, y), seed=1)
    theirs = ppl.value_and_grad(module.bound)(p, encoder(net, y), seed=1)
    torch.testing.assert_close(ours, theirs)
    assert set(ours[1]) == {"net.weight", "net.bias"}
