"""Compiled log densities and gradients against the same density written by hand in torch."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

import ppl
from ppl.distributions import (
    Dirichlet,
    Flat,
    Gamma,
    HalfCauchy,
    HalfNormal,
    Independent,
    LKJCholesky,
    LogNormal,
    MultivariateNormal,
    Normal,
    Restricted,
    StudentT,
    Uniform,
)
from ppl.language.program import Bound

F64 = torch.float64


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=F64)


@dataclass(frozen=True)
class Case:
    bound: Bound
    density: Callable[[torch.Tensor], torch.Tensor]


CASES: dict[str, Callable[[], Case]] = {}


def case(f: Callable[[], Case]) -> Callable[[], Case]:
    CASES[f.__name__] = f
    return f


def normal(x, loc=0.0, scale=1.0):
    return Normal(torch.as_tensor(loc, dtype=F64), torch.as_tensor(scale, dtype=F64)).log_prob(x).sum()


@case
def eight_schools() -> Case:
    y, sigma = t(28, 8, -3, 7, -1, 1, 18, 12), t(15, 10, 16, 11, 9, 11, 10, 18)

    @ppl.model
    def model(sigma):
        mu = ppl.sample("mu", Normal(0.0, 5.0))
        tau = ppl.sample("tau", HalfCauchy(5.0))
        for j in ppl.plate("school", sigma.shape[0]):
            theta = ppl.sample("theta", Normal(mu, tau))
            ppl.sample("y", Normal(theta, sigma[j]))

    def density(x):
        mu, tau, theta = x[0], x[1].exp(), x[2:]
        prior = normal(mu, 0, 5) + HalfCauchy(t(5.0)[0]).log_prob(tau) + x[1]
        return prior + normal(theta, mu, tau) + normal(y, theta, sigma)

    return Case(model(sigma).condition(y=y), density)


@case
def scan_with_latents_and_data() -> Case:
    y = t(0.3, -1.0, 0.2, 0.9, -0.4)

    @ppl.model
    def model(steps, s):
        phi = ppl.sample("phi", Uniform(-1.0, 1.0))

        def step(z, _):
            z = ppl.sample("z", Normal(phi * z, s))
            ppl.sample("y", Normal(z, 1.0))
            return z

        ppl.scan("time", step, torch.tensor(0.0), length=steps)

    def density(x):
        u, z = x[0], x[1:]
        phi = 2 * torch.sigmoid(u) - 1
        jacobian = math.log(2) + torch.nn.functional.logsigmoid(u) + torch.nn.functional.logsigmoid(-u)
        before = torch.cat([t(0.0), z[:-1]])
        return math.log(0.5) + jacobian + normal(z, phi * before, 0.5) + normal(y, z)

    return Case(model(5, 0.5).condition(y=y), density)


@case
def plate_inside_a_scan() -> Case:
    xs = torch.linspace(-1, 1, 12, dtype=F64).reshape(4, 3)

    @ppl.model
    def model(xs):
        def step(c, x):
            for _ in (p := ppl.plate("k", 3)):
                w = ppl.sample("w", Normal(c, 1.0))
            v = p.gather(w)
            return c + (v * x).sum() * 0.1, v.sum()

        c, out = ppl.scan("time", step, torch.tensor(0.0), xs)
        ppl.factor("f", -out.pow(2).sum() - c)

    def density(x):
        w, c, total, outs = x.reshape(4, 3), t(0.0)[0], 0.0, 0.0
        for step in range(4):
            total = total + normal(w[step], c)
            c = c + (w[step] * xs[step]).sum() * 0.1
            outs = outs + w[step].sum() ** 2
        return total - outs - c

    return Case(model(xs), density)


@case
def scan_inside_a_plate() -> Case:
    y = t(0.7, -0.3)

    @ppl.model
    def model(n, steps):
        for _ in ppl.plate("j", n):
            m = ppl.sample("m", Normal(0.0, 1.0))

            def step(z, _, m=m):
                z = ppl.sample("z", Normal(z * 0.5 + m, 1.0))
                return z, z * 2

            z, zs = ppl.scan("time", step, torch.tensor(0.0), length=steps)
            ppl.sample("y", Normal(zs.sum() + z, 1.0))

    def density(x):
        m, z = x[:2], x[2:].reshape(2, 3)
        before = torch.cat([torch.zeros(2, 1, dtype=F64), z[:, :-1]], 1)
        return normal(m) + normal(z, before * 0.5 + m[:, None]) + normal(y, 2 * z.sum(1) + z[:, 2])

    return Case(model(2, 3).condition(y=y), density)


@case
def nested_plates() -> Case:
    a_data = torch.linspace(-1, 2, 6, dtype=F64).reshape(3, 2)
    y = a_data.flip(0)

    @ppl.model
    def model(data):
        rows, columns = data.shape
        for i in ppl.plate("i", rows):
            a = ppl.sample("a", Normal(0.0, 1.0))
            for j in ppl.plate("j", columns):
                b = ppl.sample("b", Normal(a, 1.0))
                ppl.sample("y", Normal(a * b + data[i, j], 2.0))

    def density(x):
        a, b = x[:3], x[3:].reshape(3, 2)
        return normal(a) + normal(b, a[:, None]) + normal(y, a[:, None] * b + a_data, 2.0)

    return Case(model(a_data).condition(y=y), density)


@case
def gather_and_index() -> Case:
    county = torch.tensor([0, 0, 1, 2, 2, 1])
    xs = torch.linspace(-1, 1, 12, dtype=F64).reshape(6, 2)
    y = t(0.1, 0.5, -0.2, 1.1, 0.3, -0.8)

    @ppl.model
    def model(county, xs, groups):
        s = ppl.sample("s", HalfNormal(1.0))
        for _ in (g := ppl.plate("group", groups)):
            alpha = ppl.sample("alpha", Normal(0.0, s))
        alphas = g.gather(alpha)
        beta = ppl.sample("beta", Independent(Normal(torch.zeros(2), 1.0), 1))
        for n in ppl.plate("n", len(county)):
            ppl.sample("y", Normal(alphas[county[n]] + xs[n] @ beta, 1.0))

    def density(x):
        s, alpha, beta = x[0].exp(), x[1:4], x[4:6]
        prior = HalfNormal(t(1.0)[0]).log_prob(s) + x[0] + normal(alpha, 0, s) + normal(beta)
        return prior + normal(y, alpha[county] + xs @ beta)

    return Case(model(county, xs, 3).condition(y=y), density)


@case
def branch_on_a_random_value() -> Case:
    @ppl.model
    def model():
        x = ppl.sample("x", Normal(0.0, 1.0))
        v = ppl.cond(x > 0, lambda x: ppl.sample("a", Normal(x, 1.0)), lambda x: torch.log(-x) * 2, x)
        ppl.sample("y", Normal(v, 1.0))

    def density(u):
        x, a = u[0], u[1]
        if x > 0:
            return normal(x) + normal(a, x) + normal(t(0.3), a)
        return (
            normal(x) + normal(a) + normal(t(0.3), torch.log(-x) * 2)
        )  # a: standard normal where it doesn't exist

    return Case(model().condition(y=0.3), density)


@case
def switch_in_a_plate() -> Case:
    index, y = torch.tensor([0, 1, 2]), t(0.4, -0.6, 1.3)

    @ppl.model
    def model(index):
        for j in ppl.plate("j", 3):
            x = ppl.sample("x", Normal(0.0, 1.0))
            v = ppl.switch(
                index[j],
                [lambda x=x: x * 2, lambda x=x: ppl.sample("a", Normal(x, 1.0)), lambda x=x: torch.exp(x)],
            )
            ppl.sample("y", Normal(v, 1.0))

    def density(u):
        x, a = u[:3], u[3:]
        v = torch.stack([x[0] * 2, a[1], x[2].exp()])
        return normal(x) + normal(a[1], x[1]) + normal(a[[0, 2]]) + normal(y, v)

    return Case(model(index).condition(y=y), density)


@case
def missing_data_and_subprograms() -> Case:
    y = t(1.0, math.nan, 2.0, math.nan)

    @ppl.model
    def part(scale):
        z = ppl.sample("z", Gamma(2.0, 1.0))
        return ppl.deterministic("w", z * scale)

    @ppl.model
    def model():
        w, v = ppl.sample("left", part(2.0)), ppl.sample("right", part(3.0))
        for _ in ppl.plate("j", 4):
            ppl.sample("y", LogNormal(torch.log(w + v), 1.0))

    def density(x):
        z1, z2, holes = x[0].exp(), x[1].exp(), x[2:].exp()
        full = torch.stack([t(1.0)[0], holes[0], t(2.0)[0], holes[1]])
        gamma = Gamma(t(2.0)[0], t(1.0)[0])
        prior = gamma.log_prob(z1) + gamma.log_prob(z2)
        return prior + x.sum() + LogNormal(torch.log(2 * z1 + 3 * z2), t(1.0)[0]).log_prob(full).sum()

    return Case(model().condition(y=y), density)


@pytest.mark.parametrize("name", CASES)
def test_density_and_gradient(name: str) -> None:
    made = CASES[name]()
    compiled = ppl.compile(made.bound)
    points = 0.8 * torch.randn(4, compiled.dim, dtype=F64, generator=torch.Generator().manual_seed(1))
    values, grads = compiled.value_and_grad(points)
    for i, point in enumerate(points):
        x = point.clone().requires_grad_(True)
        expected = made.density(x)
        (gradient,) = torch.autograd.grad(expected, x)
        assert torch.allclose(values[i], expected.detach(), rtol=1e-11, atol=1e-11)
        assert torch.allclose(grads[i], gradient, rtol=1e-10, atol=1e-10)
        single = compiled.value_and_grad(point)
        assert torch.allclose(single[0], values[i], rtol=1e-13) and torch.allclose(
            single[1], grads[i], rtol=1e-12, atol=1e-13
        )
        assert torch.allclose(compiled.log_density(point), values[i], rtol=1e-13)


@ppl.model
def supports():
    d = ppl.sample("d", Dirichlet(torch.ones(3) * 2))
    factor = ppl.sample("L", LKJCholesky(3, 2.0))
    m = ppl.sample("m", MultivariateNormal(torch.zeros(3), scale_tril=factor))
    o = ppl.sample("o", Restricted(Independent(Normal(torch.zeros(2), 1.0), 1), "ordered"))
    s = ppl.sample("s", StudentT(3.0, 0.0, 1.0))
    f = ppl.sample("f", Flat(0.0, 1.0))
    ppl.sample("u", Uniform(f, f + 2.0))
    ppl.factor("e", (d * m).sum() + o[0] * s)


def test_values_and_back() -> None:
    compiled = ppl.compile(supports())
    x = torch.randn(5, compiled.dim, dtype=F64, generator=torch.Generator().manual_seed(2))
    values = compiled.constrain(x)
    assert {k: tuple(v.shape[1:]) for k, v in values.items()} == {
        "d": (3,),
        "L": (3, 3),
        "m": (3,),
        "o": (2,),
        "s": (),
        "f": (),
        "u": (),
    }
    assert torch.allclose(compiled.unconstrain(values), x, atol=1e-10)
    assert torch.allclose(values["d"].sum(-1), torch.ones(5, dtype=F64))
    assert bool((values["o"][:, 1] > values["o"][:, 0]).all())


def test_gradient_of_every_kind_of_support_against_differences() -> None:
    compiled = ppl.compile(supports())
    x = torch.randn(compiled.dim, dtype=F64, generator=torch.Generator().manual_seed(3))
    _, gradient = compiled.value_and_grad(x)
    step = 1e-5 * torch.eye(compiled.dim, dtype=F64)
    differences = (compiled.log_density(x + step) - compiled.log_density(x - step)) / 2e-5
    assert torch.allclose(gradient, differences, atol=1e-6, rtol=1e-6)


def test_float32_data_are_widened_and_modules_keep_their_dtype() -> None:
    @ppl.model
    def regression(x):
        b = ppl.sample("b", Normal(0.0, 1.0))
        ppl.sample("y", Normal(b * x, 1.0))

    compiled = ppl.compile(regression(torch.tensor([1.0, 2.0])).condition(y=torch.tensor([0.1, 0.2])))
    assert compiled.log_density(torch.zeros(1)).dtype == F64

    @ppl.model
    def net(x, module):
        z = ppl.sample("z", Normal(torch.zeros(2), 1.0))
        ppl.sample("y", Normal(ppl.module("net", module)(z), 1.0))

    assert (
        ppl.compile(net(0, torch.nn.Linear(2, 3)).condition(y=torch.zeros(3))).recorded.dtype == torch.float32
    )


def test_sampler_draws_jointly() -> None:
    """Var(y) = Var(x) + 1 and Cov(x, y) = Var(x) for x ~ N(0, 2²), y ~ N(x, 1); 20,000 draws, 5
    standard errors.
    """

    @ppl.model
    def m():
        for _ in ppl.plate("j", 2):
            x = ppl.sample("x", Normal(0.0, 2.0))
            ppl.sample("y", Normal(x, 1.0))

    draws = ppl.compile(m()).sampler(seed=1, n=20000)
    x, y = draws["x"].reshape(-1), draws["y"].reshape(-1)
    assert abs(float(y.var()) - 5.0) < 5 * 5.0 * math.sqrt(2 / 40000)
    assert abs(float((x * y).mean()) - 4.0) < 5 * math.sqrt((4.0 * 5.0 + 16.0) / 40000)
    again = ppl.compile(m()).sampler(seed=1, n=20000)
    assert torch.equal(again["x"], draws["x"])


def test_the_structure_is_equal_for_new_data() -> None:
    first = eight_schools()
    second = eight_schools()
    other = second.bound.program(t(1, 2, 3, 4, 5, 6, 7, 8)).condition(y=t(8, 7, 6, 5, 4, 3, 2, 1))
    assert ppl.compile(first.bound).gradient_graph is not None
    assert ppl.compile(first.bound).gradient_graph.digest == ppl.compile(other).gradient_graph.digest


def test_compiling_does_not_load_torch_compile() -> None:
    """sympy and torch._dynamo take seconds to import; recording and compiling a model must not need them."""
    program = """
import sys, torch, ppl
from ppl.distributions import HalfNormal, Normal

@ppl.model
def m(x):
    s = ppl.sample("s", HalfNormal(1.0))
    b = ppl.sample("b", Normal(torch.zeros(2), 1.0))
    for n in ppl.plate("n", x.shape[0]):
        ppl.sample("y", Normal(x[n] @ b, s))

ppl.compile(m(torch.ones(3, 2)).condition(y=torch.zeros(3))).value_and_grad(torch.zeros(4, 3))
print([name for name in ("sympy", "torch._dynamo") if name in sys.modules])
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
